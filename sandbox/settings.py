"""Settings of the sandbox: where scripts run and what they may use."""

from __future__ import annotations

from typing import Literal

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
    run_time_s: float = setting(600, "Wall limit of one script.", scope="task", unit="s", gt=0)
    run_cpus: int = setting(
        0,
        "Cores of one script; 0: the available ones, divided among the slots.",
        scope="task",
        ge=0,
    )
    run_memory_bytes: int = setting(
        4 * 2**30, "Memory limit of one script.", scope="task", unit="bytes", gt=0
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
