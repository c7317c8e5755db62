"""Calibration: predictions of hypotheses against their measured effect.

The loop shows these figures to the reasoner and the report shows them to people.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from report.model import AttemptView, RunView

BINS = (0.0, 0.3, 0.5, 0.7, 0.9)  # lower bounds of the reliability table's confidence bins
BIN_NAMES = [f"{low:.1f}-{high:.1f}" for low, high in zip(BINS, (*BINS[1:], 1.0), strict=True)]
# Measured gain in standard errors that counts as each predicted size: [low, high).
SIZE_RANGES = {"small": (0.0, 2.0), "medium": (2.0, 5.0), "large": (5.0, float("inf"))}
DEFAULT_CONFIDENCE = 0.5  # of a hypothesis that states none
MAX_EXCESS = 0.1  # difference of mean confidence and hit rate that still counts as calibrated
MIN_PREDICTIONS = 3  # fewer say nothing about a reasoner


class Prediction(NamedTuple):
    """One hypothesis, its stated confidence and size, and its measured gain in standard errors."""

    component: str
    size: str
    confidence: float
    helped: bool
    z: float


@dataclass(frozen=True)
class ReliabilityRow:
    """One row of a reliability table: hypotheses with the same component or confidence bin."""

    key: str
    n: int
    helped: int
    confidence: float  # mean stated
    brier: float
    z: float  # mean measured gain in standard errors

    @property
    def rate(self) -> float:
        """Share of the hypotheses that helped."""
        return self.helped / self.n


@dataclass(frozen=True)
class Calibration:
    """Calibration of `n` measured hypotheses, of which `helped` had an accepted gain.

    `brier_constant` is the Brier score of always stating the hit rate.
    """

    n: int
    helped: int
    confidence: float
    brier: float
    brier_constant: float
    size_right: int  # of those that helped: the gain was of the predicted size
    by_component: tuple[ReliabilityRow, ...]
    by_confidence: tuple[ReliabilityRow, ...]

    @property
    def rate(self) -> float:
        """Share of the hypotheses that helped."""
        return self.helped / self.n


def calibrate_run(view: RunView) -> Calibration | None:
    """Compute the calibration over all attempts that measured a hypothesis; None without any.

    One that passed when its attempt was measured again counts by that alone.
    """
    known = [attempt for attempt in view.attempts.values() if attempt.measured]
    again = {attempt.parent for attempt in known if attempt.kind == "remeasure"}
    return calibration([prediction_of_attempt(one) for one in known if one.id not in again])


def prediction_of_attempt(attempt: AttemptView) -> Prediction:
    """Return the prediction that an attempt measured."""
    stated = DEFAULT_CONFIDENCE if attempt.confidence is None else attempt.confidence
    return Prediction(
        component=attempt.component or "other",
        size=attempt.size or "small",
        confidence=min(1.0, max(0.0, stated)),
        helped=attempt.verdict == "accepted",
        z=gain_in_noise_units(attempt.gain, attempt.gain_se),
    )


def gain_in_noise_units(gain: float | None, se: float | None) -> float:
    """Return the paired gain in standard errors, capped at ±50 (identical rows have `se` 0)."""
    return max(-50.0, min(50.0, (gain or 0.0) / max(se or 0.0, 1e-12)))


def calibration(predictions: Sequence[Prediction]) -> Calibration | None:
    """Compute the calibration of measured predictions; None without any."""
    if not predictions:
        return None
    helped = [item for item in predictions if item.helped]
    rate = len(helped) / len(predictions)
    return Calibration(
        n=len(predictions),
        helped=len(helped),
        confidence=arithmetic_mean(item.confidence for item in predictions),
        brier=brier_score(predictions),
        brier_constant=rate * (1 - rate),
        size_right=sum(has_predicted_size(item) for item in helped),
        by_component=group_rows(predictions, lambda item: item.component),
        by_confidence=group_rows(predictions, lambda item: confidence_bin(item.confidence)),
    )


def has_predicted_size(prediction: Prediction) -> bool:
    """Whether the measured gain lies in the range of the predicted size."""
    low, high = SIZE_RANGES.get(prediction.size, (0.0, 0.0))
    return low <= prediction.z < high


def group_rows(
    predictions: Sequence[Prediction], key: Callable[[Prediction], str]
) -> tuple[ReliabilityRow, ...]:
    """Return one row for each value of `key`, sorted by it."""
    groups: dict[str, list[Prediction]] = {}
    for item in predictions:
        groups.setdefault(key(item), []).append(item)
    return tuple(reliability_row(name, groups[name]) for name in sorted(groups))


def reliability_row(key: str, predictions: Sequence[Prediction]) -> ReliabilityRow:
    """Aggregate the predictions of one group."""
    return ReliabilityRow(
        key=key,
        n=len(predictions),
        helped=sum(item.helped for item in predictions),
        confidence=arithmetic_mean(item.confidence for item in predictions),
        brier=brier_score(predictions),
        z=arithmetic_mean(item.z for item in predictions),
    )


def brier_score(predictions: Sequence[Prediction]) -> float:
    """Mean squared difference of confidence and outcome: 0 is perfect, 0.25 is guessing."""
    return arithmetic_mean((item.confidence - item.helped) ** 2 for item in predictions)


def confidence_bin(confidence: float) -> str:
    """Return the name of the bin, for example `0.5-0.7`."""
    return BIN_NAMES[bisect_right(BINS, confidence) - 1]


def arithmetic_mean(values: Iterable[float]) -> float:
    """Plain mean of at least one value."""
    items = list(values)
    return sum(items) / len(items)


def describe_confidence(found: Calibration) -> str:
    """Compare mean confidence and hit rate: `overconfident: 98 % sure, 85 % right`."""
    verdict = "too few to judge"
    if found.n >= MIN_PREDICTIONS:
        verdict = describe_excess(found.confidence - found.rate, "well calibrated")
    return f"{verdict}: {100 * found.confidence:.0f} % sure, {100 * found.rate:.0f} % right"


def describe_excess(excess: float, calibrated: str = "about right") -> str:
    """Name the difference between stated confidence and hit rate."""
    if abs(excess) <= MAX_EXCESS + 1e-9:
        return calibrated
    return "overconfident" if excess > 0 else "underconfident"
