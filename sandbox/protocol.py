"""The sandbox protocol: run(job) -> Execution.  A sandbox's own failure is typed apart from the script's."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

from sandbox.inside.progress import Tell

End = Literal["exit", "timeout", "memory", "disk", "output", "cancelled"]


class SandboxUnavailable(Exception):
    """No sandbox of the wanted kind can start here; the message holds the remedy."""


class SandboxLost(Exception):
    """The sandbox broke while a script ran; the script is not to blame and may be run again."""


class Limits(BaseModel):
    """What one script may use."""

    model_config = ConfigDict(frozen=True)
    wall_s: float = 600
    grace_s: float = Field(2, description="between SIGTERM and SIGKILL, seconds")
    memory_bytes: int = 4 * 2**30
    disk_bytes: int = Field(2 * 2**30, description="what the workspace may grow to")
    output_bytes: int = Field(2**20, description="kept of stdout+stderr, half head and half tail")
    output_kill_bytes: int = Field(8 * 2**30, description="a script that prints more is ended")
    processes: int = 512
    cpus: int = Field(1, description="cores and thread-pool size")
    gpus: int = 0
    network: bool = False


class Job(BaseModel):
    """One script to run. cwd = workspace; `inputs` appear read-only below input/ in it."""

    model_config = ConfigDict(frozen=True)
    id: str = Field(description="attempt id; also the name of the process group's pid file")
    script: str = Field(description="text of solution.py")
    workspace: Path = Field(description="host folder, fresh and empty, writable by the script")
    inputs: dict[str, str] = Field(
        default_factory=dict, description="name below input/ -> host path"
    )
    limits: Limits = Limits()
    env: dict[str, str] = Field(
        default_factory=dict, description="added to the scrubbed environment"
    )
    warm: str = Field(
        "",
        description="trace whose warm interpreter may run it, where the sandbox keeps one; empty: a cold start",
    )
    collect: list[str] = Field(
        default_factory=lambda: ["oof.csv", "submission.csv", "evidence.json"],
        description="files wanted back; only regular files, never links, stay in the workspace",
    )


class Execution(BaseModel):
    """What happened. Nothing in it was decided by the script except exit code, output and files."""

    model_config = ConfigDict(frozen=True)
    end: End
    exit_code: int | None
    signal: int | None = None
    wall_s: float
    cpu_s: float | None = None
    peak_bytes: int | None = None
    output: str = Field(description="bounded stdout+stderr, head and tail")
    output_dropped_bytes: int = 0
    files: dict[str, str] = Field(
        default_factory=dict, description="collected name -> host path of a checked regular file"
    )
    refused: dict[str, str] = Field(
        default_factory=dict, description="name -> why it was not collected"
    )
    tier: str = Field(description="what isolated it, e.g. bubblewrap")
    enforced: list[str] = Field(default_factory=list)
    where: str = Field("", description="the machine it ran on, where that is not this one")
    gpu_ids: list[str] = Field(default_factory=list)
    usd: float = Field(
        0, description="what a rented sandbox cost since it was last charged; 0: not rented"
    )

    @property
    def ok(self) -> bool:
        return self.end == "exit" and self.exit_code == 0


class Host(BaseModel):
    """What scripts find where they run."""

    model_config = ConfigDict(frozen=True)
    packages: dict[str, str] = Field(
        description="useful packages that scripts can import: name -> version"
    )
    cpus: int = Field(description="cores of the largest machine there")
    total_cpus: int | None = Field(
        None,
        description="cores that all scripts share; None: every script has a machine of its own",
    )
    gpus: list[str] = Field(
        default_factory=list, description="names of the GPUs that scripts may lease"
    )
    enforced: list[str] = Field(
        default_factory=list, description="what every script is held to there"
    )
    notice: str = Field(
        "",
        description="one sentence for the person: how strongly scripts are isolated, and what is not stopped",
    )


class Sandbox(Protocol):
    """Where scripts run. Cancelling the awaiting task kills the script's whole process tree."""

    tier: str

    async def probe(self) -> Host:
        """What is there, found out by really starting it. Raises SandboxUnavailable with the remedy."""
        ...

    async def run(self, job: Job, tell: Tell | None = None) -> Execution:
        """`tell` hears the last line that the script printed, every few seconds at most, where the sandbox can see it so early."""
        ...

    async def close(self) -> None: ...
