"""A clock that counts CPU seconds, so that a contest on a machine shared with others stays fair.

Nothing in here is part of Gome: the contest gives every contestant CPU seconds, and Gome's own
clock, which counts wall time, is replaced in the process that takes part in it.
"""

from __future__ import annotations

import sys
import time

import psutil

READ_EVERY_S = 0.5
SLOWEST = 60.0  # wall seconds that count as one CPU second where nothing is computed
STARVED = 40.0  # times its limit that a script may take which waits for its cores


class FamilyClock:
    """Counts the CPU seconds of this process and of all that it started; a stand-in for `time`."""

    def __init__(self) -> None:
        self._me = psutil.Process()
        self._began = self._read_at = time.monotonic()
        self._known = self._read_family()

    def time(self) -> float:
        """Return the time of day, which no budget uses."""
        return time.time()

    def monotonic(self) -> float:
        """Return the CPU seconds so far; it never goes back, and never stands still for good."""
        now = time.monotonic()
        if now - self._read_at > READ_EVERY_S:
            self._read_at = now
            waited = (now - self._began) / SLOWEST
            self._known = max(self._known, self._read_family(), waited)
        return self._known

    def _read_family(self) -> float:
        return sum(map(read_cpu_s, list_family(self._me)))


def list_family(process: psutil.Process) -> list[psutil.Process]:
    """Return a process with all that it started; nothing where it has ended."""
    try:
        return [process, *process.children(recursive=True)]
    except psutil.Error:
        return []


def read_cpu_s(process: psutil.Process) -> float:
    """Return the CPU seconds of a process and of its children that have ended."""
    try:
        return float(sum(process.cpu_times()[:4]))
    except psutil.Error:  # it has ended meanwhile
        return 0.0


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
