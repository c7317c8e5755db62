"""What the traces of one process know of each other at this moment. Never stored."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class Blackboard:
    """Directions of first drafts, and the number of scripts running."""

    def __init__(self) -> None:
        self._directions: dict[int, str] = {}
        self.n_scripts = 0  # that run in the sandbox: of attempts, under other seeds, refits
        self.in_finale = False  # the finale may spend its reserve

    def set_direction(self, trace: int, summary: str) -> None:
        """Announce what a trace drafted; later drafts are asked to differ."""
        self._directions[trace] = summary

    def directions_of_others(self, trace: int) -> list[str]:
        """Return one line per other trace that has drafted."""
        return [line for other, line in sorted(self._directions.items()) if other != trace]

    @contextmanager
    def running_script(self) -> Iterator[None]:
        """Count a script as running while the block runs."""
        self.n_scripts += 1
        try:
            yield
        finally:
            self.n_scripts -= 1
