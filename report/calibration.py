"""Was the reasoner right about itself? Predicted effects against what was measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from report.view import Attempt, RunView

EDGES = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class Group:
    """Measured hypotheses of one kind: how many, how sure on average, how many helped beyond noise, their mean gain."""

    name: str
    n: int
    confidence: float | None
    hits: int
    gain: float

    @property
    def rate(self) -> float:
        return self.hits / self.n


@dataclass(frozen=True)
class Calibration:
    """Brier score of the stated confidences (0 is perfect, .25 is what always saying one half earns), and hit rates by group."""

    n: int
    hits: int
    brier: float | None
    by_confidence: tuple[Group, ...]
    by_component: tuple[Group, ...]


def calibrate(view: RunView) -> Calibration:
    """Over all attempts that tested a hypothesis and got a measured gain; crashes tell nothing about the hypothesis."""
    tested = [a for a in view.attempts.values() if a.parent and a.gain is not None and a.component]
    stated = [(a.confidence, helped(a)) for a in tested if a.confidence is not None]
    brier = sum((confidence - hit) ** 2 for confidence, hit in stated) / len(stated) if stated else None
    sure = [a for a in tested if a.confidence is not None]
    bands = groups(sure, band)
    return Calibration(len(tested), sum(map(helped, tested)), brier, bands, groups(tested, lambda a: a.component))


def helped(attempt: Attempt) -> bool:
    return attempt.verdict == "accepted"


def band(attempt: Attempt) -> str:
    """`25–50 %`, the quarter in which the stated confidence lies."""
    confidence = min(max(attempt.confidence or 0.0, 0.0), 1.0)
    index = min(int(confidence * 4), 3)
    return f"{EDGES[index]:.0%}–{EDGES[index + 1]:.0%}".replace("%", "", 1).replace("%", " %")


def groups(attempts: Iterable[Attempt], key: Callable[[Attempt], str]) -> tuple[Group, ...]:
    """One group per key, in the keys' order."""
    found: dict[str, list[Attempt]] = {}
    for attempt in attempts:
        found.setdefault(key(attempt), []).append(attempt)
    return tuple(group(name, found[name]) for name in sorted(found))


def group(name: str, members: list[Attempt]) -> Group:
    said = [a.confidence for a in members if a.confidence is not None]
    gains = [a.gain for a in members if a.gain is not None]
    return Group(name, len(members), sum(said) / len(said) if said else None, sum(map(helped, members)), sum(gains) / len(gains))
