"""The process tree below a job, read from /proc: only its own branch, because a job is looked at twenty times a second."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass, field

PAGE = os.sysconf("SC_PAGE_SIZE")
TICK_S = 1 / os.sysconf("SC_CLK_TCK")


HAS_CHILDREN = os.path.exists(f"/proc/self/task/{os.getpid()}/children")  # not in every kernel


def children(pid: int) -> list[int]:
    found: list[int] = []
    if not HAS_CHILDREN:
        import psutil

        with suppress(psutil.Error):
            found = [process.pid for process in psutil.Process(pid).children()]
        return found
    with suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with suppress(OSError), open(f"/proc/{pid}/task/{thread}/children") as file:
                found += [int(text) for text in file.read().split()]
    return found


def tree(pid: int) -> list[int]:
    """The process and everything below it, parents first."""
    found, queue = [], [pid]
    while queue:
        place = queue.pop()
        found.append(place)
        queue += children(place)
    return found


def resident(pid: int) -> int:
    """Bytes in memory, shared pages included; 0 when the process is gone."""
    with suppress(OSError, ValueError), open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * PAGE
    return 0


def proportional(pid: int) -> int:
    """Like `resident`, shared pages divided among those who share them; a process that hides them counts in full."""
    with suppress(OSError, ValueError), open(f"/proc/{pid}/smaps_rollup") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("Pss:"))
    return resident(pid)


def cpu_s(pid: int) -> float:
    """Its own and its waited-for children's CPU seconds."""
    with suppress(OSError, ValueError), open(f"/proc/{pid}/stat") as file:
        return sum(int(text) for text in file.read().rpartition(")")[2].split()[11:15]) * TICK_S
    return 0.0


def started(pid: int) -> int:
    """Start time in ticks since boot: tells a process from a later one of the same number; 0 when it is gone."""
    with suppress(OSError, ValueError), open(f"/proc/{pid}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[19])
    return 0


def signal_all(pids: list[int], number: int) -> None:
    for pid in pids:
        with suppress(OSError):
            os.kill(pid, number)


def kill_tree(pid: int) -> None:
    """SIGKILL to the process and all below it, stopped first so that none can fork away."""
    below = tree(pid)
    signal_all(below, signal.SIGSTOP)
    signal_all(list(dict.fromkeys([*below, *tree(pid)])), signal.SIGKILL)


def marked(mark: str) -> list[int]:
    """Processes that were started with this text in their environment, as far as we may read it."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            with suppress(OSError), open(f"/proc/{name}/environ", "rb") as file:
                if mark.encode() in file.read():
                    found.append(int(name))
    return found


@dataclass
class Usage:
    """Peak memory and CPU seconds of a process tree, and since when."""

    peak_bytes: int = 0
    cpu_s: float = 0.0
    began: float = field(default_factory=time.monotonic)

    def sample(self, pid: int, limit: int) -> bool:
        """Looks once; True when the tree holds more than the limit."""
        below = tree(pid)
        total = sum(resident(one) for one in below)
        if total > limit:
            total = sum(proportional(one) for one in below)
        self.cpu_s = max(self.cpu_s, sum(cpu_s(one) for one in below))
        self.peak_bytes = max(self.peak_bytes, total)
        return total > limit
