"""Calibration: what a reasoner predicted for its hypotheses against what was measured.  Pure functions of attempts' records.

A hypothesis *helped* when its attempt was accepted for a measured improvement. Crashes say nothing about a hypothesis and changes of
the protocol are not judged by their score: neither counts.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

Attempt = dict[str, Any]

BINS = (0.0, 0.3, 0.5, 0.7, 0.9)  # lower bounds of the reliability table's confidence bins
BIN_NAMES = [f"{low:.1f}-{high:.1f}" for low, high in zip(BINS, (*BINS[1:], 1.0), strict=True)]
SIZES = {"small": (0.0, 2.0), "medium": (2.0, 5.0), "large": (5.0, float("inf"))}  # realised gain in standard errors
ENOUGH = 3  # predictions below which nothing is told to the reasoner


class Prediction(NamedTuple):
    """One hypothesis, its stated confidence and size, and its measured gain in standard errors."""

    component: str
    size: str
    confidence: float
    helped: bool
    z: float


@dataclass(frozen=True)
class Row:
    """One line of a reliability table."""

    key: str
    n: int
    helped: int
    confidence: float  # mean stated
    brier: float

    @property
    def rate(self) -> float:
        return self.helped / self.n


@dataclass(frozen=True)
class Calibration:
    """n hypotheses measured, how many helped, the Brier score and what a constant guess at the hit rate would have got."""

    n: int
    helped: int
    confidence: float
    brier: float
    brier_constant: float
    size_right: int  # of those that helped: the gain was of the predicted size
    by_component: tuple[Row, ...]
    by_confidence: tuple[Row, ...]

    @property
    def rate(self) -> float:
        return self.helped / self.n


def predictions(attempts: Iterable[Attempt]) -> list[Prediction]:
    return [prediction(attempt) for attempt in attempts if measured(attempt)]


def measured(attempt: Attempt) -> bool:
    hypothesis = attempt.get("hypothesis")
    if not hypothesis or hypothesis.get("protocol") or attempt.get("problems") or attempt["mode"] == "crossover":
        return False
    lost_fairly = attempt["verdict"] in ("tie", "rejected") and attempt.get("from_best", True)
    return attempt["gain"] is not None and (attempt["verdict"] == "accepted" or lost_fairly)


def prediction(attempt: Attempt) -> Prediction:
    hypothesis = attempt["hypothesis"]
    return Prediction(
        component=str(hypothesis.get("component") or "other"),
        size=str((hypothesis.get("effect") or {}).get("size", "small")),
        confidence=min(1.0, max(0.0, float(hypothesis.get("confidence", 0.5)))),
        helped=attempt["verdict"] == "accepted",
        z=noise_units(attempt),
    )


def noise_units(attempt: Attempt) -> float:
    """The paired gain in standard errors, capped at 50 (a standard error of zero means identical rows)."""
    gain, se = attempt["gain"] or 0.0, attempt["gain_se"] or 0.0
    return max(-50.0, min(50.0, gain / max(se, 1e-12)))


def calibration(found: Sequence[Prediction]) -> Calibration | None:
    """None where nothing was measured yet."""
    if not found:
        return None
    helped = [item for item in found if item.helped]
    rate = len(helped) / len(found)
    return Calibration(
        n=len(found),
        helped=len(helped),
        confidence=mean(item.confidence for item in found),
        brier=brier(found),
        brier_constant=rate * (1 - rate),
        size_right=sum(SIZES.get(item.size, (0, 0))[0] <= item.z < SIZES.get(item.size, (0, 0))[1] for item in helped),
        by_component=table(found, lambda item: item.component),
        by_confidence=table(found, lambda item: bin_of(item.confidence)),
    )


def table(found: Sequence[Prediction], key: Callable[[Prediction], str]) -> tuple[Row, ...]:
    groups: dict[str, list[Prediction]] = {}
    for item in found:
        groups.setdefault(key(item), []).append(item)
    return tuple(row(name, groups[name]) for name in sorted(groups))


def row(key: str, items: Sequence[Prediction]) -> Row:
    return Row(key, len(items), sum(item.helped for item in items), mean(item.confidence for item in items), brier(items))


def brier(items: Sequence[Prediction]) -> float:
    """Mean squared difference of stated confidence and outcome: 0 is perfect, .25 what a coin gets."""
    return mean((item.confidence - item.helped) ** 2 for item in items)


def bin_of(confidence: float) -> str:
    return BIN_NAMES[bisect_right(BINS, confidence) - 1]


def mean(values: Iterable[float]) -> float:
    listed = list(values)
    return sum(listed) / len(listed)


def as_event(found: Calibration, reasoner: str) -> dict[str, Any]:
    """JSON of the `calibration` event."""
    rows = {"by_component": found.by_component, "by_confidence": found.by_confidence}
    tables = {name: [rounded(asdict(item)) for item in items] for name, items in rows.items()}
    return {"reasoner": reasoner, **rounded(asdict(found)), **tables, "rate": round(found.rate, 4)}


def rounded(values: dict[str, Any]) -> dict[str, Any]:
    return {key: round(value, 4) if isinstance(value, float) else value for key, value in values.items()}


def facts(found: Calibration | None) -> list[str]:
    """The same as sentences for the reasoner; none before there is enough to say."""
    if found is None or found.n < ENOUGH:
        return []
    told = [
        f"of {found.n} measured hypotheses {found.helped} helped beyond noise ({found.rate:.0%}); the mean confidence stated was"
        f" {found.confidence:.0%}: {verdict(found.confidence - found.rate)}"
    ]
    told += [f"{line.key}: {line.helped} of {line.n} helped" for line in found.by_component if line.n >= 2]
    told += [
        f"stated confidence {line.key}: {line.helped} of {line.n} helped ({line.rate:.0%})"
        for line in found.by_confidence
        if line.n >= ENOUGH
    ]
    if found.helped:
        told.append(f"of the {found.helped} that helped {found.size_right} had the size that was predicted")
    return told


def verdict(excess: float) -> str:
    if abs(excess) <= 0.1 + 1e-9:
        return "about right"
    return "too sure" if excess > 0 else "too modest"
