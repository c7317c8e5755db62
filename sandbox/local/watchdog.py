"""Watch a running job to its end and interpret that end.

The end is the first of: the script's exit, a limit (seen by the watchers of
`sandbox.local.usage`), the time limit.
"""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass

from sandbox.inside.output import Output
from sandbox.inside.specs import KeeperReport
from sandbox.local import cgroup, procs
from sandbox.local.running import OutputDrain, terminate_tree
from sandbox.local.usage import watch_disk, watch_memory, watch_time
from sandbox.protocol import End, Job, SandboxLostError


@dataclass(frozen=True)
class JobResult:
    """How a job ended, before its files are collected."""

    end: End
    exit_code: int | None
    signal: int | None
    wall_s: float
    cpu_s: float
    peak_bytes: int
    output: Output


async def watch_job(
    pid: int,
    ended: asyncio.Future[End],
    drain: OutputDrain,
    job: Job,
    usage: procs.TreeUsage,
    group: cgroup.ControlGroup | None,
) -> End:
    """Return the first of: the script's exit, a limit, the time limit (after its grace)."""
    limits = job.limits
    is_killed = group.is_killed_for_memory if group and group.limits_memory else None
    watchers: list[asyncio.Task[End]] = [
        asyncio.create_task(
            watch_memory(pid, usage, limits.memory_bytes, is_killed, job.workspace)
        ),
        asyncio.create_task(watch_disk(pid, usage, job.workspace, limits)),
        asyncio.create_task(watch_time(pid, usage, limits)),
    ]
    try:
        waiting: list[asyncio.Future[End]] = [ended, drain.flooded, *watchers]
        done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        end: End = next(
            (task.result() for task in (drain.flooded, *watchers) if task in done), "exit"
        )
        if end == "timeout":
            await terminate_tree(pid, ended, limits.grace_s)
        return end
    finally:
        for task in watchers:
            task.cancel()
        await asyncio.gather(*watchers, return_exceptions=True)


def interpret_end(
    end: End,
    returncode: int | None,
    output: Output,
    report: KeeperReport,
    usage: procs.TreeUsage,
    group: cgroup.ControlGroup | None,
) -> JobResult:
    """Derive the result of a job from all that was observed.

    Args:
        end: why it ended, as `watch_job` saw it.
        returncode: of the outermost process.
        output: of the script.
        report: of the keeper; empty if it was killed.
        usage: samples of the whole tree.
        group: the job's control group, if it has one.

    Raises:
        SandboxLostError: the sandbox failed before the script began.
    """
    _raise_setup_failure(end, returncode, output, report)
    if end == "exit" and group and group.is_killed_for_memory():
        end = "memory"
    if usage.why and end in ("memory", "disk"):
        output.add(f"\nEnded by the sandbox: {usage.why}.\n".encode())
    code, number = exit_status(report.get("status"), returncode)
    peak = max(usage.peak_bytes, group.peak_bytes() if group else 0)
    return JobResult(
        end,
        code,
        number,
        time.monotonic() - usage.began,
        max(usage.cpu_s, float(report.get("cpu_s") or 0)),
        peak,
        output,
    )


def _raise_setup_failure(
    end: End, returncode: int | None, output: Output, report: KeeperReport
) -> None:
    if "error" in report:
        raise SandboxLostError(f"the sandbox could not set up the job: {report['error']}")
    first_line = (output.text().splitlines() or [""])[0]
    if report or end != "exit":
        return
    if returncode == 1 and first_line.startswith("bwrap: "):
        raise SandboxLostError(f"bubblewrap could not set up the job: {first_line}")
    if returncode == cgroup.ENTER_FAILED and not first_line:
        raise SandboxLostError("the job could not enter its control group")


def exit_status(status: object, returncode: int | None) -> tuple[int | None, int | None]:
    """Return (exit code, signal) from the keeper's wait status, else from its own exit code."""
    if isinstance(status, int):
        if os.WIFSIGNALED(status):
            return None, os.WTERMSIG(status)
        return os.WEXITSTATUS(status), None
    if returncode is None or 0 <= returncode <= 128:
        return returncode, None
    return None, -returncode if returncode < 0 else returncode - 128
