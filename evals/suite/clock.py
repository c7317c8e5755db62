"""A clock that counts CPU seconds, so that a contest on a machine shared with others stays fair.

Nothing in here is part of Gome: the contest gives every contestant CPU seconds, and Gome's own
clock, which counts wall time, is replaced in the process that takes part in it.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

READ_EVERY_S = 0.1
SLOWEST = 60.0  # wall seconds that count as one CPU second where nothing is computed
STARVED = 40.0  # times its limit that a script may take which waits for its cores


class FamilyMeter:
    """CPU seconds and memory of a process and of all that it started, those that ended included.

    What an ended process used is in the times of the parent that waited for it, and in none where a
    sandbox's first process took it along: so what each was last seen with is kept. Read it often.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.cpu_s = 0.0
        self.peak_bytes = 0
        self._seen: dict[tuple[int, str], float] = {}  # (process, its start) -> CPU seconds
        self._lock = threading.Lock()

    def read(self) -> float:
        """Look at all processes now; return the CPU seconds so far."""
        with self._lock:
            family = list_family(self.pid)
            self.peak_bytes = max(self.peak_bytes, read_memory(family))
            with_ended = 0.0
            for pid in family:
                found = read_times(pid)
                if found is not None:
                    self._seen[pid, found.start] = found.own_s
                    with_ended += found.own_s + found.ended_s
            self.cpu_s = max(self.cpu_s, sum(self._seen.values()), with_ended)
        return self.cpu_s


class FamilyClock:
    """Counts the CPU seconds of this process and of all that it started; a stand-in for `time`."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._meter = FamilyMeter(os.getpid())
        self._meter.read()
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while True:
            time.sleep(READ_EVERY_S)
            self._meter.read()

    def time(self) -> float:
        """Return the time of day, which no budget uses."""
        return time.time()

    def monotonic(self) -> float:
        """Return the CPU seconds so far; it never goes back, and never stands still for good."""
        return max(self._meter.cpu_s, (time.monotonic() - self._began) / SLOWEST)


def list_family(pid: int) -> list[int]:
    """Return a process and all that it started and that is alive.

    Its children are read one by one: psutil reads every process of the machine, which took half of
    a budget of 30 CPU seconds where others kept a run waiting.
    """
    family = [pid]
    for parent in family:
        for path in Path(f"/proc/{parent}/task").glob("*/children"):
            with suppress(OSError):
                family += map(int, path.read_text().split())
    return family


class Times(NamedTuple):
    """CPU seconds of a process, and of its ended children that it waited for."""

    start: str
    own_s: float
    ended_s: float


def read_times(pid: int) -> Times | None:
    """Return what a process used; None where it has ended meanwhile."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    own, own_system, ended, ended_system = map(int, fields[11:15])
    second = os.sysconf("SC_CLK_TCK")
    return Times(fields[19], (own + own_system) / second, (ended + ended_system) / second)


def read_memory(family: list[int]) -> int:
    """Return the resident bytes of processes."""
    pages = 0
    for pid in family:
        with suppress(OSError):
            pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    """Run Gome's command line, whose arguments these are, by CPU seconds; start-up counts."""
    import gome
    import reasoner.expert.media
    import run.events
    import scoring.execution

    clock = FamilyClock()
    place = sys.argv.index("--time") + 1
    sys.argv[place] = f"{max(1.0, float(sys.argv[place]) - clock.monotonic()):.1f}"
    vars(run.events)["time"] = clock
    vars(scoring.execution)["longest_wall_s"] = lambda run, limit_s: STARVED * limit_s
    vars(reasoner.expert.media)["READ_SHARE"] = STARVED  # of a script's limit, in wall seconds
    gome.main()


if __name__ == "__main__":
    main()
