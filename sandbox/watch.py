"""Watching a running job from outside: bounded output, memory of its whole tree, disk of its workspace."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from sandbox.output import Output as Output
from sandbox.protocol import End

MEMORY_EVERY_S = 0.05
DISK_EVERY_S = 0.5
CHUNK = 64 * 1024


async def drain(stream: asyncio.StreamReader, output: Output, kill_bytes: int) -> End | None:
    """Reads to the end, or until the flood limit."""
    while data := await stream.read(CHUNK):
        output.add(data)
        if output.n_total > kill_bytes:
            return "output"
    return None


@dataclass
class Usage:
    """Peak memory and latest CPU seconds of a process tree."""

    peak_bytes: int = 0
    cpu_s: float = 0.0
    seen: dict[int, float] = field(default_factory=dict)

    def sample(self, pid: int) -> int:
        """Resident bytes of the tree now; shared pages are counted once when the sum looks too high."""
        total = 0
        with suppress(psutil.Error):
            root = psutil.Process(pid)
            for process in [root, *root.children(recursive=True)]:
                with suppress(psutil.Error):
                    total += process.memory_info().rss
                    times = process.cpu_times()
                    self.seen[process.pid] = times.user + times.system
        self.cpu_s = sum(self.seen.values())
        self.peak_bytes = max(self.peak_bytes, total)
        return total

    def proportional(self, pid: int) -> int:
        """Like `sample`, with pages that several processes share divided among them (PSS)."""
        total = 0
        with suppress(psutil.Error):
            root = psutil.Process(pid)
            for process in [root, *root.children(recursive=True)]:
                with suppress(psutil.Error):
                    total += process.memory_full_info().pss
        return total


async def memory(pid: int, usage: Usage, limit: int) -> End:
    """Returns once the tree holds more than the limit."""
    while True:
        if usage.sample(pid) > limit and usage.proportional(pid) > limit:
            return "memory"
        await asyncio.sleep(MEMORY_EVERY_S)


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
