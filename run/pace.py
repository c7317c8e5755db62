"""The pace of a run: how long steps take, and which traces are in the middle of one. Never stored.

A trace that finishes its steps of a round asks here whether the others need long enough for one
more step.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

N_STEPS = 200  # latest steps whose seconds count
WORTH_WAITING = 0.5  # of a step: a trace waits for another that is expected back within it


class Pace:
    """The traces at work in this process, and the seconds of their steps."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.heads: dict[int, str] = {}  # latest attempt of each trace
        self._clock = clock
        self._steps_s: deque[float] = deque(maxlen=N_STEPS)
        self._since: dict[int, float] = {}
        self._left: dict[int, float] = {}  # traces that wait at the merge

    def begin_step(self, trace: int) -> None:
        """Note that a trace is in a step; one that was in it already stays in it."""
        self._since.setdefault(trace, self._clock())

    def end_step(self, trace: int, head: str) -> None:
        """Note that a trace has recorded its step; it is at work until it leaves."""
        now = self._clock()
        self._steps_s.append(now - self._since.get(trace, now))
        self._since[trace], self.heads[trace] = now, head

    def leave(self, trace: int, *, waits: bool) -> None:
        """Note that a trace returned to the merge, with work left or for good."""
        self._since.pop(trace, None)
        if waits:
            self._left[trace] = self._clock()

    def close_round(self) -> float:
        """Forget who was at work; return the seconds that traces waited for others."""
        now = self._clock()
        waited = sum(now - left for left in self._left.values())
        self._since.clear()
        self._left.clear()
        return waited

    def slower_traces(self, trace: int) -> list[int]:
        """Return the traces at work that are not worth waiting for.

        Where a trace waits already there are none: the others come back after their step.
        """
        if self._left or not self._steps_s:
            return []
        enough_s = WORTH_WAITING * sum(self._steps_s) / len(self._steps_s)
        others = sorted(set(self._since) - {trace})
        return [other for other in others if self._expected_left_s(other) > enough_s]

    def _expected_left_s(self, trace: int) -> float:
        """By the steps that took longer than this one has so far, and one half as long again."""
        spent = self._clock() - self._since[trace]
        longer = [seconds - spent for seconds in self._steps_s if seconds > spent]
        return (sum(longer) + 0.5 * spent) / (len(longer) + 1)
