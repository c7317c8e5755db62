"""A shell in the sandbox: files stay from command to command, processes do not."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sandbox.inside.walk import free_place
from sandbox.local.plan import TMP_NAME
from sandbox.protocol import Execution, Job, Limits, Sandbox

SUBMISSION = "submission.csv"
OUTPUT_BYTES = 16_000  # of a command, head and tail: what the model reads
OUTPUT_KILL_BYTES = 512 * 2**20
DISK_BYTES = 8 * 2**30
SCRIPT, KEPT = "solution.py", ".solution.py.kept"  # the sandbox writes the first one itself
INPUT = "input"
START = """\
import os, tempfile
os.unlink({script!r})
if os.path.lexists({kept!r}):
    os.rename({kept!r}, {script!r})
handle, path = tempfile.mkstemp(suffix=".sh")
with os.fdopen(handle, "w") as file:
    file.write({command!r})
os.execvp("bash", ["bash", path])
"""


@dataclass
class Shell:
    """Runs commands in one workspace."""

    sandbox: Sandbox
    workspace: Path
    inputs: dict[str, str]
    memory_bytes: int
    cpus: int
    gpus: int = 0
    n_commands: int = 0

    async def run(self, command: str, limit_s: float) -> Execution:
        """Run a command by bash to its end or limit; nothing of it goes on afterwards.

        Raises SandboxLostError, SandboxUnavailableError.
        """
        self.n_commands += 1
        clear_workspace(self.workspace)
        job = Job(
            id=f"command-{self.n_commands}",
            script=START.format(script=SCRIPT, kept=KEPT, command=command),
            workspace=self.workspace,
            inputs=self.inputs,
            limits=Limits(
                wall_s=max(1.0, limit_s),
                memory_bytes=self.memory_bytes,
                disk_bytes=DISK_BYTES,
                output_bytes=OUTPUT_BYTES,
                output_kill_bytes=OUTPUT_KILL_BYTES,
                cpus=self.cpus,
                gpus=self.gpus,
            ),
            collect=[SUBMISSION],
        )
        return await self.sandbox.run(job)


def clear_workspace(workspace: Path) -> None:
    """Make room for what the sandbox itself lays out; a script of that name is kept."""
    workspace.mkdir(parents=True, exist_ok=True)
    with suppress(FileNotFoundError, OSError):
        os.rename(workspace / SCRIPT, workspace / KEPT)  # noqa: PTH104 - a link moves as a link
    for name in (SCRIPT, INPUT, TMP_NAME):
        free_place(workspace / name)


def describe_end(done: Execution) -> str:
    """Return how a command ended, for the model."""
    ends = {
        "timeout": f"ended after {done.wall_s:.0f} s: its time limit",
        "memory": "ended: it used more memory than there is",
        "disk": "ended: the workspace grew too large",
        "output": "ended: it printed too much",
    }
    if done.end in ends:
        return ends[done.end]
    if done.signal:
        return f"killed by signal {done.signal} after {done.wall_s:.1f} s"
    return f"exit code {done.exit_code}, {done.wall_s:.1f} s"
