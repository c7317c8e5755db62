"""Which sandbox the settings name."""

from __future__ import annotations

from pathlib import Path

from sandbox.local import make_local
from sandbox.protocol import Sandbox, SandboxUnavailable


def make_sandbox(kind: str, *, isolation: str = "auto", network: bool = False, gpus: str = "none", run_dir: Path | None = None) -> Sandbox:
    """local | e2b | ray. Raises SandboxUnavailable with the remedy."""
    if kind == "local":
        return make_local(isolation=isolation, network=network, gpus=gpus, run_dir=run_dir)
    raise SandboxUnavailable(f"the {kind} sandbox is not part of this version; use --sandbox local")
