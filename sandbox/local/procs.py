"""The process tree below a job, read from /proc.

Only the job's own branch is read, because a job is sampled twenty times a second; for the same
reason files are read with plain `os` and `open` calls.
"""

# ruff: noqa: PTH110, PTH123, PTH208

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass, field

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
TICK_S = 1 / os.sysconf("SC_CLK_TCK")
HAS_CHILDREN = os.path.exists(f"/proc/self/task/{os.getpid()}/children")  # not in every kernel


def child_pids(pid: int) -> list[int]:
    """Return the children of a process; empty if it has ended."""
    pids: list[int] = []
    if not HAS_CHILDREN:
        import psutil

        with suppress(psutil.Error):
            pids = [process.pid for process in psutil.Process(pid).children()]
        return pids
    with suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with suppress(OSError), open(f"/proc/{pid}/task/{thread}/children") as file:
                pids += [int(text) for text in file.read().split()]
    return pids


def tree_pids(pid: int) -> list[int]:
    """Return the process and everything below it, parents first."""
    pids, queue = [], [pid]
    while queue:
        parent = queue.pop()
        pids.append(parent)
        queue += child_pids(parent)
    return pids


def resident_bytes(pid: int) -> int:
    """Return the bytes in memory, shared pages included; 0 if the process has ended."""
    with suppress(OSError, ValueError), open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * PAGE_BYTES
    return 0


def proportional_bytes(pid: int) -> int:
    """Return the bytes in memory, each shared page divided among the processes that share it.

    A process that hides them counts in full.
    """
    with suppress(OSError, ValueError), open(f"/proc/{pid}/smaps_rollup") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("Pss:"))
    return resident_bytes(pid)


def cpu_s(pid: int) -> float:
    """Return the CPU seconds of a process and of its waited-for children."""
    with suppress(OSError, ValueError), open(f"/proc/{pid}/stat") as file:
        return sum(int(text) for text in file.read().rpartition(")")[2].split()[11:15]) * TICK_S
    return 0.0


def start_ticks(pid: int) -> int:
    """Return the start time in ticks since boot; 0 if the process has ended.

    It distinguishes a process from a later one with the same number.
    """
    with suppress(OSError, ValueError), open(f"/proc/{pid}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[19])
    return 0


def signal_all(pids: list[int], number: int) -> None:
    """Send a signal to processes; those that have ended are skipped."""
    for pid in pids:
        with suppress(OSError):
            os.kill(pid, number)


def kill_tree(pid: int) -> None:
    """Kill the process and all below it, stopped first so that none can fork away."""
    pids = tree_pids(pid)
    signal_all(pids, signal.SIGSTOP)
    signal_all(list(dict.fromkeys([*pids, *tree_pids(pid)])), signal.SIGKILL)


def pids_with_mark(mark: str) -> list[int]:
    """Return the processes started with this text in an environment that we may read."""
    pids = []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            with suppress(OSError), open(f"/proc/{name}/environ", "rb") as file:
                if mark.encode() in file.read():
                    pids.append(int(name))
    return pids


@dataclass
class TreeUsage:
    """Peak memory and CPU seconds of a process tree since `began`."""

    peak_bytes: int = 0
    cpu_s: float = 0.0
    began: float = field(default_factory=time.monotonic)

    def sample(self, pid: int, limit: int) -> bool:
        """Sample the tree once; True if it uses more memory than the limit."""
        pids = tree_pids(pid)
        total = sum(resident_bytes(one) for one in pids)
        if total > limit:  # reading proportional sizes is slow
            total = sum(proportional_bytes(one) for one in pids)
        self.cpu_s = max(self.cpu_s, sum(cpu_s(one) for one in pids))
        self.peak_bytes = max(self.peak_bytes, total)
        return total > limit
