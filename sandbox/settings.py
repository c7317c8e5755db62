"""Settings of the sandbox: where scripts run and what they may use."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import PositiveFloat, PositiveInt, ValidationInfo, field_validator

from settings.field import SettingsGroup, setting


class SandboxSettings(SettingsGroup):
    """The sandbox: backend, isolation and limits of one script."""

    sandbox: Literal["local", "e2b", "ray"] = setting(
        "local", "Where scripts run.", scope="machine", flag="KIND"
    )
    ray_address: str | None = setting(
        None,
        "Head of the Ray cluster, host:port or ray://host:port; empty: RAY_ADDRESS,"
        " else a cluster on this machine.",
        scope="machine",
        flag="HOST:PORT",
    )
    python: str | None = setting(
        None,
        "Python that runs the scripts: an interpreter, the folder of an environment, or the name"
        " of one made by `gome env`; empty: Gome's own.",
        scope="machine",
        flag="PATH",
    )
    isolation: Literal["auto", "bubblewrap", "userns", "landlock", "none"] = setting(
        "auto",
        "Isolation tier of the local sandbox (docs/sandbox.md); none runs scripts with your"
        " own rights.",
        scope="machine",
        flag="TIER",
    )
    gpus: str = setting(
        "auto",
        "GPUs that scripts may lease: auto, none, or indices such as 0,1.",
        scope="machine",
        flag="WHICH",
    )
    network: bool = setting(False, "Let scripts reach the network.", flag="")
    slots: int = setting(
        0,
        "Scripts that run at the same time; 0: as many as traces, locally at most the cores.",
        scope="machine",
        ge=0,
    )
    run_time_s: PositiveFloat | Literal["auto"] = setting(
        "auto",
        "Wall limit of one script; auto: a share of the time that the run has left.",
        scope="task",
        unit="s",
    )
    rehearse_s: float = setting(
        120,
        "A script that is expected to run longer than this first runs on a small sample of the"
        " rows; 0: never.",
        scope="task",
        unit="s",
        ge=0,
    )
    run_cpus: int = setting(
        0,
        "Cores of one script; 0: the available ones, divided among the slots.",
        scope="task",
        ge=0,
    )
    run_memory_bytes: PositiveInt | Literal["auto"] = setting(
        "auto",
        "Memory limit of one script; auto: its share of the machine's memory.",
        scope="task",
        unit="bytes",
    )
    e2b_template: str | None = setting(
        None,
        "E2B template; empty: E2B's code interpreter (scikit-learn, no boosting libraries).",
    )
    e2b_usd_per_hour: float = setting(
        0.1332,
        "Price of one running E2B sandbox per hour; the default is that of 2 cores and 2 GiB"
        " (docs/sandbox-backends.md).",
        unit="USD",
        ge=0,
    )
    e2b_life_s: int = setting(
        3600,
        "Longest life of one E2B sandbox in your plan; 86400 on Pro.",
        unit="s",
        ge=60,
    )

    @field_validator("python")
    @classmethod
    def _absolute_python(cls, python: str | None, info: ValidationInfo) -> str | None:
        """Find the interpreter again from another folder; its links are kept as they are.

        A path in an E2B template means nothing here.
        """
        if python is None or "/" not in python or info.data.get("sandbox") == "e2b":
            return python
        return str(Path(python).expanduser().absolute())
