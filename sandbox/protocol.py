"""The sandbox protocol: run(job) -> Execution.

A failure of the sandbox raises an exception; a failure of the script is a result.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

from sandbox.inside.progress import ProgressCallback

MODEL_FOLDER = "model/"  # in which a script may leave what it trained
KEEP_FOLDER = "keep/"  # in which it may leave what later scripts build on
OUTPUTS = ("oof.csv", "submission.csv", "evidence.json", MODEL_FOLDER, KEEP_FOLDER)
MAX_NAME_PARTS = 8  # of a name below input/
End = Literal["exit", "timeout", "memory", "disk", "output", "cancelled"]


class SandboxUnavailableError(RuntimeError):
    """No sandbox of the wanted kind can start here; the message has the remedy."""


class SandboxLostError(Exception):
    """The sandbox broke while a script ran; the script is not at fault and may be run again."""


def error_line(error: BaseException) -> str:
    """Return a foreign error as one line of a message, at most 300 characters long."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def check_input_names(inputs: Iterable[str]) -> None:
    """Check names below input/: plain ones, or below a folder that is no input itself.

    Raises:
        SandboxLostError: a name leads elsewhere.
    """
    names = set(inputs)
    for name in names:
        parts = name.split("/")
        above = {"/".join(parts[:n]) for n in range(1, len(parts))}
        is_odd = {"", ".", ".."} & set(parts) or "\0" in name or len(parts) > MAX_NAME_PARTS
        if is_odd or above & names:
            raise SandboxLostError(f"input name {name!r} is no plain name below input/")


class Limits(BaseModel):
    """What one script may use."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    wall_s: float = Field(
        600, description="seconds; those in which it waits for a core of its own count less"
    )
    longest_s: float | None = Field(
        None, description="end of a script that waits for its cores, seconds; None: as `wall_s`"
    )
    grace_s: float = Field(2, description="between SIGTERM and SIGKILL, seconds")
    memory_bytes: int = 4 * 2**30
    disk_bytes: int = Field(2 * 2**30, description="maximum size of the workspace")
    files: int = Field(50_000, description="maximum number of files and folders in the workspace")
    output_bytes: int = Field(
        2**20, description="stored part of stdout+stderr, half head and half tail"
    )
    output_kill_bytes: int = Field(8 * 2**30, description="a script that prints more is killed")
    processes: int = 512
    cpus: int = Field(1, description="cores and thread-pool size")
    gpus: int = 0
    network: bool = False


class Job(BaseModel):
    """One script to run in its workspace, where `inputs` appear read-only below input/."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    id: str = Field(description="attempt id; also the name of the process group's pid file")
    script: str = Field(description="text of solution.py")
    workspace: Path = Field(
        description="host folder, writable by the script; empty, or with what an earlier job left "
        "but its solution.py and input/"
    )
    inputs: dict[str, str] = Field(
        default_factory=dict,
        description="name below input/, with slashes in a folder of ours -> host path",
    )
    limits: Limits = Limits()
    env: dict[str, str] = Field(
        default_factory=dict, description="added to the script's minimal environment"
    )
    collect: list[str] = Field(
        default_factory=lambda: list(OUTPUTS),
        description="names of files to collect, only regular files, never links; with a slash at "
        "the end: of a folder; with a star: of all variants",
    )


class Execution(BaseModel):
    """The result of a job; the script itself decides only exit code, output and files."""

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
    where: str = Field("", description="the machine it ran on, if that is not this one")
    gpu_ids: list[str] = Field(default_factory=list)
    usd: float = Field(
        0, description="cost of a rented sandbox since it was last charged; 0: not rented"
    )

    @property
    def ok(self) -> bool:
        """Whether the script ended by itself with exit code 0."""
        return self.end == "exit" and self.exit_code == 0


class Survey(BaseModel):
    """What the Python that runs scripts says of itself and its packages."""

    model_config = ConfigDict(frozen=True)
    python: str = Field("", description="version")
    packages: dict[str, str] = Field(
        default_factory=dict, description="useful packages that scripts can import: name -> version"
    )
    installed: dict[str, str] = Field(
        default_factory=dict, description="every installed package: name -> version"
    )
    modules: dict[str, str] = Field(
        default_factory=dict, description="first name of an import -> package that brings it"
    )


class Host(Survey):
    """Resources that scripts find where they run."""

    interpreter: str = Field("", description="path of the Python that runs scripts, where known")
    cpus: int = Field(description="cores of the largest machine")
    total_cpus: int | None = Field(
        None,
        description="cores that all scripts share; None: every script has its own machine",
    )
    memory_bytes: int | None = Field(
        None, description="memory that scripts may use on the largest machine; None: unknown"
    )
    total_memory_bytes: int | None = Field(
        None,
        description="memory that all scripts share; None: every script has its own machine",
    )
    gpus: list[str] = Field(
        default_factory=list, description="names of the GPUs that scripts may lease"
    )
    enforced: list[str] = Field(default_factory=list, description="limits enforced on every script")
    notice: str = Field(
        "",
        description="one sentence for the user: how scripts are isolated, and what is not stopped",
    )


class Sandbox(Protocol):
    """Runs scripts. Cancelling the awaiting task kills the script's whole process tree."""

    tier: str
    own_python: str  # path of the scripts' Python on this machine; empty: Gome's own, or elsewhere

    async def probe(self) -> Host:
        """Start the sandbox once and describe it. Raises SandboxUnavailableError."""
        ...

    async def run(self, job: Job, on_progress: ProgressCallback | None = None) -> Execution:
        """Run one script to its end.

        Args:
            job: the script, its inputs and limits.
            on_progress: receives the last printed line, at most every few seconds, if the
                sandbox can see output while the script runs.

        Raises:
            SandboxLostError: the sandbox broke; the job may be run again.
            SandboxUnavailableError: no sandbox can run this job.
        """
        ...

    async def close(self) -> None:
        """Release everything that the sandbox holds."""
        ...
