"""Watching a running job from outside: bounded output, memory of its whole tree, disk of its workspace."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from sandbox.inside.output import Output as Output
from sandbox.local.procs import Usage
from sandbox.protocol import End

MEMORY_EVERY_S = 0.05
DISK_EVERY_S = 0.5


async def memory(pid: int, usage: Usage, limit: int, killed: Callable[[], bool]) -> End:
    """Returns once the tree holds more than the limit, or the kernel has ended a part of it for that.

    Looking at a large tree takes a while; it may cost a fifth of a core at most.
    """
    while True:
        began = time.monotonic()
        if killed() or await asyncio.to_thread(usage.sample, pid, limit):
            return "memory"
        await asyncio.sleep(max(MEMORY_EVERY_S, 4 * (time.monotonic() - began)))


async def disk(workspace: Path, limit: int) -> End:
    """Returns once the workspace holds more than the limit."""
    while True:
        await asyncio.sleep(DISK_EVERY_S)
        if await asyncio.to_thread(size_of, workspace) > limit:
            return "disk"


def size_of(folder: Path) -> int:
    """Bytes below a folder; links are not followed."""
    total = 0
    for place, _, names in os.walk(folder, followlinks=False):
        for name in names:
            with suppress(OSError):
                info = os.lstat(os.path.join(place, name))
                total += info.st_blocks * 512
    return total
