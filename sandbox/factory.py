"""Which sandbox the settings name."""

from __future__ import annotations

from pathlib import Path

from sandbox.local.backend import make_local
from sandbox.protocol import Sandbox, SandboxUnavailable


def make_sandbox(
    kind: str,
    *,
    isolation: str = "auto",
    network: bool = False,
    gpus: str = "none",
    warm: bool = False,
    run_dir: Path | None = None,
    e2b_template: str | None = None,
    e2b_usd_per_hour: float = 0,
    e2b_life_s: int = 3600,
    ray_address: str | None = None,
) -> Sandbox:
    """local | e2b | ray. Raises SandboxUnavailable with the remedy. A backend's own libraries load with it."""
    if kind == "local":
        return make_local(
            isolation=isolation, network=network, gpus=gpus, warm=warm, run_dir=run_dir
        )
    if kind == "e2b":
        from sandbox.e2b.backend import make_e2b

        return make_e2b(
            run_dir=run_dir,
            template=e2b_template,
            usd_per_hour=e2b_usd_per_hour,
            life_s=e2b_life_s,
            network=network,
        )
    if kind == "ray":
        from sandbox.ray.backend import make_ray

        return make_ray(
            address=ray_address, isolation=isolation, network=network, gpus=gpus != "none"
        )
    raise SandboxUnavailable(f"there is no {kind} sandbox; use --sandbox local, e2b or ray")
