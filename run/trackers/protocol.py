"""What a tracker is told of a run, and the protocol that it fulfils."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from graph.state import Json

MAX_TEXT = 2_000


class TrackerError(Exception):
    """A tracker that cannot be used; one sentence with the remedy."""


@dataclass(frozen=True)
class RunFacts:
    """A run as a tracker records it; `settings` without what names places or services."""

    id: str
    task: str
    metric: str
    direction: str
    settings: Json = field(default_factory=dict)


@dataclass(frozen=True)
class AttemptFacts:
    """An attempt: its number in the run, what was tried, and its numbers by name.

    `t` and `seconds`: Unix time of its end, and how long its script ran.
    `best`: the run's best score after it; None while there is none.
    """

    id: str
    number: int
    t: float
    seconds: float
    verdict: str
    texts: dict[str, str]
    numbers: dict[str, float]
    best: float | None


@dataclass(frozen=True)
class EndFacts:
    """The end of a session: why, the best score, and the files of best/ by their names there."""

    reason: str
    is_final: bool
    best: float | None
    attempt: str
    files: dict[str, Path]


class Tracker(Protocol):
    """A tracker's run. Every method may block and may raise: it is called from a thread."""

    name: str

    def start(self, facts: RunFacts, known: str) -> str:
        """Start a run, or continue the one with the id `known`; return its id."""
        ...

    def add_attempt(self, facts: AttemptFacts) -> None:
        """Record an attempt."""
        ...

    def end(self, facts: EndFacts) -> None:
        """Record the result, upload the files and end the session."""
        ...
