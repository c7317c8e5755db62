"""A clock that counts CPU seconds, so that a contest on a machine shared with others stays fair.

Nothing in here is part of Gome: the contest gives every contestant CPU seconds, and Gome's own
clock, which counts wall time, is replaced in the process that takes part in it.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from pathlib import Path

READ_EVERY_S = 0.5
SLOWEST = 60.0  # wall seconds that count as one CPU second where nothing is computed
STARVED = 40.0  # times its limit that a script may take which waits for its cores


class FamilyClock:
    """Counts the CPU seconds of this process and of all that it started; a stand-in for `time`."""

    def __init__(self) -> None:
        self._began = self._read_at = time.monotonic()
        self._known = read_cpu_s(list_family(os.getpid()))

    def time(self) -> float:
        """Return the time of day, which no budget uses."""
        return time.time()

    def monotonic(self) -> float:
        """Return the CPU seconds so far; it never goes back, and never stands still for good."""
        now = time.monotonic()
        if now - self._read_at > READ_EVERY_S:
            self._read_at = now
            waited = (now - self._began) / SLOWEST
            self._known = max(self._known, read_cpu_s(list_family(os.getpid())), waited)
        return self._known


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


def read_cpu_s(family: list[int]) -> float:
    """Return the CPU seconds of processes and of their children that have ended."""
    ticks = 0
    for pid in family:
        with suppress(OSError):  # it has ended meanwhile
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(map(int, fields[11:15]))  # utime stime cutime cstime
    return ticks / os.sysconf("SC_CLK_TCK")


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
