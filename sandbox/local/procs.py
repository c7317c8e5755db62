"""The process tree below a job, read from /proc.

Only the job's own branch is read, because a job is sampled twenty times a second; for the same
reason files are read with plain `os` and `open` calls.
"""

# ruff: noqa: PTH110, PTH123, PTH208

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache

from sandbox.inside.held import HeldFiles, find_held_files

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
TICK_S = 1 / os.sysconf("SC_CLK_TCK")
HIDDEN_S = 1.0  # a process that may not be looked into for longer than this hides on purpose
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


def counted_bytes(pid: int, held: HeldFiles) -> int:
    """Return the bytes among `proportional_bytes` that `held` counts already."""
    if not held.in_memory and not held.mounts:
        return 0
    total, is_counted = 0, False
    with suppress(OSError, ValueError), open(f"/proc/{pid}/smaps", errors="replace") as file:
        for line in file:
            words = line.split(maxsplit=5)
            if not words[0].endswith(":"):  # the first line of a mapping
                major, minor = (int(part, 16) for part in words[3].split(":"))
                is_counted = held.is_counted((os.makedev(major, minor), int(words[4])))
            elif is_counted and words[0] == "Pss:":
                total += int(words[1]) * 1024
    return total


def cpu_s(pid: int) -> float:
    """Return the CPU seconds of a process and of its waited-for children."""
    with suppress(OSError, ValueError), open(f"/proc/{pid}/stat") as file:
        return sum(int(text) for text in file.read().rpartition(")")[2].split()[11:15]) * TICK_S
    return 0.0


def count_runnable(pids: list[int], most: int) -> int:
    """Return how many threads run or are ready to run; counting ends at `most`."""
    n = 0
    for pid in pids:
        with suppress(OSError):
            for thread in os.listdir(f"/proc/{pid}/task"):
                with suppress(OSError), open(f"/proc/{pid}/task/{thread}/stat", "rb") as file:
                    n += file.read().rpartition(b") ")[2][:1] == b"R"
                if n >= most:
                    return n
    return n


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


@lru_cache(maxsize=1)
def can_see_descriptors() -> bool:
    """Whether this machine lets us see the descriptors of our own processes, as most do."""
    with suppress(OSError), subprocess.Popen(["/bin/sleep", "60"]) as process:
        try:
            return bool(os.listdir(f"/proc/{process.pid}/fd"))
        finally:
            process.kill()
    return False


@dataclass
class TreeUsage:
    """Peak memory and CPU seconds of a process tree since `began`.

    `n_keepers`: processes at its root that are ours and hold nothing. `why`: the watcher's words
    when it ended the job for something that its script may not guess.
    """

    n_keepers: int = 1
    peak_bytes: int = 0
    why: str = ""
    hidden_since: float = 0.0
    cpu_s: float = 0.0
    began: float = field(default_factory=time.monotonic)

    def sample(self, pid: int, limit: int, disk: int | None = None) -> bool:
        """Sample the tree once; True if it uses more memory than the limit.

        `disk`, the device of the workspace: count files in memory too; None: a group does.
        """
        pids = tree_pids(pid)
        held = HeldFiles() if disk is None else find_held_files(pids[self.n_keepers :], disk)
        total = sum(resident_bytes(one) for one in pids) + held.memory_bytes
        if total > limit:  # reading proportional sizes is slow
            total = held.memory_bytes
            total += sum(proportional_bytes(one) - counted_bytes(one, held) for one in pids)
            if total > limit and held.memory_bytes > limit // 4:
                self.why = (
                    f"{held.memory_bytes >> 20} MiB of its memory were in files in memory"
                    " (memfd, /tmp, /dev/shm) and in buffers of sockets"
                )
        self.cpu_s = max(self.cpu_s, sum(cpu_s(one) for one in pids))
        self.peak_bytes = max(self.peak_bytes, total)
        return total > limit or self._is_hiding(held)

    def _is_hiding(self, held: HeldFiles) -> bool:
        """Whether a process of the script hides what it holds."""
        if not held.hidden or not can_see_descriptors():
            self.hidden_since = 0.0
            return False
        self.hidden_since = self.hidden_since or time.monotonic()
        if time.monotonic() - self.hidden_since < HIDDEN_S:
            return False
        self.why = "a process hid from the watchdog what it holds (PR_SET_DUMPABLE)"
        return True
