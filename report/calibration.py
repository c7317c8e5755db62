"""Calibration: what was predicted for hypotheses against what was measured. One arithmetic: the loop tells it to the reasoner, the report to people."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from report.model import Attempt, RunView

BINS = (0.0, 0.3, 0.5, 0.7, 0.9)  # lower bounds of the reliability table's confidence bins
BIN_NAMES = [f"{low:.1f}-{high:.1f}" for low, high in zip(BINS, (*BINS[1:], 1.0), strict=True)]
SIZES = {
    "small": (0.0, 2.0),
    "medium": (2.0, 5.0),
    "large": (5.0, float("inf")),
}  # realised gain in standard errors
UNSAID = 0.5  # the confidence of a hypothesis that states none


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
    z: float  # mean measured gain in standard errors

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


def calibrate(view: RunView) -> Calibration | None:
    """Over all attempts of a run that measured a hypothesis, as the loop judged (`run.calibration.measured`)."""
    return calibration(
        [of_attempt(attempt) for attempt in view.attempts.values() if attempt.measured]
    )


def of_attempt(attempt: Attempt) -> Prediction:
    confidence = UNSAID if attempt.confidence is None else min(1.0, max(0.0, attempt.confidence))
    z = noise_units(attempt.gain, attempt.gain_se)
    return Prediction(
        attempt.component or "other",
        attempt.size or "small",
        confidence,
        attempt.verdict == "accepted",
        z,
    )


def noise_units(gain: float | None, se: float | None) -> float:
    """The paired gain in standard errors, capped at 50 (a standard error of zero means identical rows)."""
    return max(-50.0, min(50.0, (gain or 0.0) / max(se or 0.0, 1e-12)))


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
        size_right=sum(
            SIZES.get(item.size, (0, 0))[0] <= item.z < SIZES.get(item.size, (0, 0))[1]
            for item in helped
        ),
        by_component=table(found, lambda item: item.component),
        by_confidence=table(found, lambda item: bin_of(item.confidence)),
    )


def table(found: Sequence[Prediction], key: Callable[[Prediction], str]) -> tuple[Row, ...]:
    groups: dict[str, list[Prediction]] = {}
    for item in found:
        groups.setdefault(key(item), []).append(item)
    return tuple(row(name, groups[name]) for name in sorted(groups))


def row(key: str, items: Sequence[Prediction]) -> Row:
    stated, gained = mean(item.confidence for item in items), mean(item.z for item in items)
    return Row(key, len(items), sum(item.helped for item in items), stated, brier(items), gained)


def brier(items: Sequence[Prediction]) -> float:
    """Mean squared difference of stated confidence and outcome: 0 is perfect, .25 what a coin gets."""
    return mean((item.confidence - item.helped) ** 2 for item in items)


def bin_of(confidence: float) -> str:
    return BIN_NAMES[bisect_right(BINS, confidence) - 1]


def mean(values: Iterable[float]) -> float:
    listed = list(values)
    return sum(listed) / len(listed)
