"""Create the sandbox that the settings name."""

from __future__ import annotations

from pathlib import Path

from sandbox.local.backend import create_local_sandbox
from sandbox.protocol import Sandbox, SandboxUnavailableError


def create_sandbox(
    kind: str,
    *,
    isolation: str = "auto",
    network: bool = False,
    gpus: str = "none",
    run_dir: Path | None = None,
    e2b_template: str | None = None,
    e2b_usd_per_hour: float = 0,
    e2b_life_s: int = 3600,
    ray_address: str | None = None,
    python: str | None = None,
) -> Sandbox:
    """Create a sandbox of the kind local, e2b or ray; a backend's libraries load on demand.

    `python`: interpreter, environment folder or environment name, where scripts run; None: Gome's.

    Raises:
        SandboxUnavailableError: no such kind, or it cannot start here; the message has the remedy.
    """
    if kind == "local":
        return create_local_sandbox(
            isolation=isolation, network=network, gpus=gpus, run_dir=run_dir, python=python
        )
    if kind == "e2b":
        from sandbox.e2b.backend import create_e2b_sandbox

        return create_e2b_sandbox(
            run_dir=run_dir,
            template=e2b_template,
            usd_per_hour=e2b_usd_per_hour,
            life_s=e2b_life_s,
            network=network,
            python=python,
        )
    if kind == "ray":
        from sandbox.ray.backend import create_ray_sandbox

        return create_ray_sandbox(
            address=ray_address,
            isolation=isolation,
            network=network,
            gpus=gpus != "none",
            python=python,
        )
    raise SandboxUnavailableError(f"there is no {kind} sandbox; use --sandbox local, e2b or ray")
