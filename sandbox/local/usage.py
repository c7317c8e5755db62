"""What a running job uses: each watcher here returns when one limit is exceeded.

`sandbox.local.watchdog` runs them beside the job and decides why and how it ended.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from sandbox.inside.collect import folder_bytes
from sandbox.local.procs import TreeUsage
from sandbox.protocol import End

MEMORY_EVERY_S = 0.05
DISK_EVERY_S = 0.5


async def watch_memory(
    pid: int, usage: TreeUsage, limit: int, is_killed: Callable[[], bool]
) -> End:
    """Return once the tree exceeds the limit, or the kernel has killed a part of it for memory.

    Args:
        pid: root of the tree.
        usage: updated with every sample.
        limit: bytes.
        is_killed: asks the job's control group; always false without one.
    """
    while True:
        began = time.monotonic()
        if is_killed() or await asyncio.to_thread(usage.sample, pid, limit):
            return "memory"
        # sampling a large tree takes a while; it may cost a fifth of a core at most
        await asyncio.sleep(max(MEMORY_EVERY_S, 4 * (time.monotonic() - began)))


async def watch_disk(workspace: Path, limit: int) -> End:
    """Return once the workspace exceeds the limit, in bytes."""
    while True:
        await asyncio.sleep(DISK_EVERY_S)
        if await asyncio.to_thread(folder_bytes, workspace) > limit:
            return "disk"
