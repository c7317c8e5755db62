"""A running job watched to its end: the first of its exit, a limit, the time; and what that end means."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass
from typing import Any

from sandbox.local import cgroup, procs
from sandbox.local import usage as watch
from sandbox.local.running import Drain, terminate
from sandbox.protocol import End, Job, SandboxLost


@dataclass(frozen=True)
class Seen:
    """How a job ended, before its files are looked at."""

    end: End
    exit_code: int | None
    signal: int | None
    wall_s: float
    cpu_s: float
    peak_bytes: int
    output: watch.Output


async def watched(
    pid: int,
    ended: asyncio.Future[End],
    drain: Drain,
    job: Job,
    usage: procs.Usage,
    group: cgroup.Group | None,
) -> End:
    """The first of: the script's exit, a limit, the time."""
    limits = job.limits
    killed = group.killed_for_memory if group else lambda: False
    watchers: list[asyncio.Task[End]] = [
        asyncio.create_task(watch.memory(pid, usage, limits.memory_bytes, killed)),
        asyncio.create_task(watch.disk(job.workspace, limits.disk_bytes)),
    ]
    try:
        waiting: list[asyncio.Future[End]] = [ended, drain.flooded, *watchers]
        done, _ = await asyncio.wait(
            waiting, timeout=limits.wall_s, return_when=asyncio.FIRST_COMPLETED
        )
        if not done:
            await terminate(pid, ended, limits.grace_s)
            return "timeout"
        return next((task.result() for task in (drain.flooded, *watchers) if task in done), "exit")
    finally:
        for task in watchers:
            task.cancel()
        await asyncio.gather(*watchers, return_exceptions=True)


def judge(
    end: End,
    returncode: int | None,
    output: watch.Output,
    report: dict[str, Any],
    usage: procs.Usage,
    group: cgroup.Group | None,
) -> Seen:
    """Exit code or signal. Raises SandboxLost when the sandbox failed before the script began."""
    if "error" in report:
        raise SandboxLost(f"the sandbox could not set up the job: {report['error']}")
    first = (output.text().splitlines() or [""])[0]
    if not report and end == "exit" and returncode == 1 and first.startswith("bwrap: "):
        raise SandboxLost(f"bubblewrap could not set up the job: {first}")
    if not report and end == "exit" and returncode == 125 and not first:
        raise SandboxLost("the job could not enter its control group")
    if end == "exit" and group and group.killed_for_memory():
        end = "memory"
    code, number = ending(report.get("status"), returncode)
    peak = max(usage.peak_bytes, group.peak_bytes() if group else 0)
    return Seen(
        end,
        code,
        number,
        time.monotonic() - usage.began,
        max(usage.cpu_s, float(report.get("cpu_s") or 0)),
        peak,
        output,
    )


def ending(status: object, returncode: int | None) -> tuple[int | None, int | None]:
    """(exit code, signal): as the keeper saw it, else as its own end tells."""
    if isinstance(status, int):
        return (
            (None, os.WTERMSIG(status))
            if os.WIFSIGNALED(status)
            else (os.WEXITSTATUS(status), None)
        )
    if returncode is None or 0 <= returncode <= 128:
        return returncode, None
    return None, -returncode if returncode < 0 else returncode - 128
