"""What the traces of one process know of each other at this moment. Never stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class Blackboard:
    """Hypotheses being run, directions of first drafts, and verbs at work."""

    def __init__(self) -> None:
        self._running: dict[int, str] = {}
        self._directions: dict[int, str] = {}
        self._busy: Counter[str] = Counter()
        self.in_finale = False  # the finale may spend its reserve

    def start_hypothesis(self, trace: int, statement: str) -> None:
        """Announce what a trace is about to try."""
        self._running[trace] = statement

    def end_hypothesis(self, trace: int) -> None:
        """Forget what a trace was trying."""
        self._running.pop(trace, None)

    def hypotheses_of_others(self, trace: int) -> list[str]:
        """Return the hypotheses that other traces are running."""
        return [text for other, text in sorted(self._running.items()) if other != trace]

    def set_direction(self, trace: int, summary: str) -> None:
        """Announce what a trace drafted; later drafts are asked to differ."""
        self._directions[trace] = summary

    def directions_of_others(self, trace: int) -> list[str]:
        """Return one line per other trace that has drafted."""
        return [line for other, line in sorted(self._directions.items()) if other != trace]

    @contextmanager
    def busy_with(self, verb: str) -> Iterator[None]:
        """Count a verb as at work while the block runs."""
        self._busy[verb] += 1
        try:
            yield
        finally:
            self._busy[verb] -= 1

    def n_busy(self, verb: str) -> int:
        """Return how many of this verb are at work."""
        return self._busy[verb]
