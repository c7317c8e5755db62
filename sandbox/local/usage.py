"""What a running job uses: each watcher here returns when one limit is exceeded.

`sandbox.local.watchdog` runs them beside the job and decides why and how it ended.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from sandbox.inside.held import device_of, find_held_files
from sandbox.inside.walk import FolderUse, measure_folder
from sandbox.local.procs import TreeUsage, count_runnable, tree_pids
from sandbox.protocol import End, Limits

MEMORY_EVERY_S = 0.05
DISK_EVERY_S = 0.5
TIME_EVERY_S = 0.5
MAX_UNREAD = 6  # walks in a row that could not read everything: a script may move its folders


async def watch_memory(
    pid: int,
    usage: TreeUsage,
    limit: int,
    is_killed: Callable[[], bool] | None,
    workspace: Path,
) -> End:
    """Return once the tree exceeds the limit, or the kernel has killed a part of it for memory.

    Args:
        pid: root of the tree.
        usage: updated with every sample.
        limit: bytes.
        is_killed: asks the job's control group, which counts files in memory too; None: the
            job has none that limits memory.
        workspace: of the job; what is not on its disk is in memory.
    """
    disk = None if is_killed else device_of(str(workspace)) or 0
    while True:
        if is_killed and is_killed():
            return "memory"
        is_above, cost_s = await asyncio.to_thread(_sample_memory, pid, usage, limit, disk)
        if is_above:
            return "memory"
        # sampling a large tree may cost a fifth of a core at most; on a busy machine it takes
        # longer than that, and must not look less often for it
        await asyncio.sleep(max(MEMORY_EVERY_S, 4 * cost_s))


def _sample_memory(pid: int, usage: TreeUsage, limit: int, disk: int | None) -> tuple[bool, float]:
    """Return whether the tree is above its limit, and the CPU seconds that it took to look."""
    began = time.thread_time()
    is_above = usage.sample(pid, limit, disk)
    return is_above, time.thread_time() - began


async def watch_time(pid: int, usage: TreeUsage, limits: Limits) -> End:
    """Return once the tree has had its seconds, or all of its wall time has passed.

    Seconds in which threads wait for a core count as far as the tree got one: a machine shared with
    others ends no script that it starved. What sleeps or waits for a disk has its seconds.
    """
    longest_s = max(limits.wall_s, limits.longest_s or 0.0)
    counted_s, cpu_s, last = 0.0, usage.cpu_s, usage.began
    while True:
        left_s = min(limits.wall_s - counted_s, usage.began + longest_s - last)
        if left_s <= 0:
            return "timeout"
        await asyncio.sleep(min(TIME_EVERY_S, left_s))
        now = time.monotonic()
        passed_s, last = now - last, now
        if longest_s > limits.wall_s:
            n = await asyncio.to_thread(lambda: count_runnable(tree_pids(pid)[1:], limits.cpus))
            passed_s = count_served_s(passed_s, usage.cpu_s - cpu_s, min(n, limits.cpus))
            cpu_s = usage.cpu_s
        counted_s += passed_s


def count_served_s(passed_s: float, cpu_s: float, n_wanted: int) -> float:
    """Return how many of the seconds that passed count, by the cores that were wanted."""
    return min(passed_s, cpu_s / n_wanted) if n_wanted else passed_s


async def watch_disk(pid: int, usage: TreeUsage, workspace: Path, limits: Limits) -> End:
    """Return once workspace and deleted open files exceed a limit, in bytes or in number.

    What cannot be measured, again and again, counts as too large.
    """
    n_unread = 0
    while True:
        await asyncio.sleep(DISK_EVERY_S)
        began = time.monotonic()
        use = await asyncio.to_thread(measure_disk, pid, workspace, limits.files)
        n_unread = n_unread + 1 if use.unread else 0
        if use.n_files > limits.files:
            usage.why = f"more than {limits.files} files and folders in the workspace"
            return "disk"
        if use.n_bytes > limits.disk_bytes:
            return "disk"
        if n_unread >= MAX_UNREAD:
            usage.why = f"the workspace cannot be measured ({use.unread})"
            return "disk"
        await asyncio.sleep(max(0.0, 4 * (time.monotonic() - began) - DISK_EVERY_S))


def measure_disk(pid: int, workspace: Path, max_files: int) -> FolderUse:
    """Return what is in the workspace, with the deleted files that processes below keep open."""
    use = measure_folder(workspace, max_files)
    disk = device_of(str(workspace)) or 0
    use.n_bytes += find_held_files(tree_pids(pid)[1:], disk, mapped=True).disk_bytes
    return use
