"""Which attempts measured a hypothesis, and how the reasoner's predictions fared. Pure.

A hypothesis *helped* when its attempt was accepted for a measured improvement. Crashes say nothing
about a hypothesis, changes of the protocol are not judged by their score, and a script that was
executed before was measured then: none of these counts. The arithmetic is the report's
(`report.reliability`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from statistics import NormalDist
from typing import Any

from report.reliability import MIN_PREDICTIONS, arithmetic_mean, describe_excess
from report.reliability import Calibration as Calibration
from report.reliability import Prediction as Prediction
from report.reliability import calibration as calibration
from report.reliability import gain_in_noise_units as gain_in_noise_units
from run.attempt import DUPLICATE, Attempt

PRIOR_WEIGHT = 4.0
"""Predictions that the overall rate counts for in the rate of a component."""
MIN_CHANCE = 0.05
"""Least overall rate: where everything failed, no component stands out."""
NORMAL = NormalDist()


def measures_hypothesis(attempt: Attempt) -> bool:
    """Whether the attempt's score says if its hypothesis was right."""
    hypothesis = attempt.hypothesis
    if hypothesis is None or hypothesis.protocol or attempt.problems or attempt.gain is None:
        return False
    if attempt.mode == "crossover" or DUPLICATE in attempt.codes:
        return False
    lost_fairly = attempt.verdict in ("tie", "rejected") and attempt.from_best
    return attempt.verdict == "accepted" or lost_fairly


def prediction_of(attempt: Attempt) -> Prediction | None:
    """Return the prediction that the attempt measured, or None."""
    hypothesis = attempt.hypothesis
    if hypothesis is None or not measures_hypothesis(attempt):
        return None
    return Prediction(
        component=hypothesis.component or "other",
        size=hypothesis.effect.size,
        confidence=min(1.0, max(0.0, hypothesis.confidence)),
        helped=attempt.verdict == "accepted",
        z=gain_in_noise_units(attempt.gain, attempt.gain_se),
    )


def component_factors(predictions: Sequence[Prediction]) -> dict[str, float]:
    """Return how likely each component's changes were better, against all: a factor from .5 to 2.

    An acceptance takes several standard errors and is rare, so what counts is the probability that
    a change is better, by its measured gain. Small counts are drawn to 1; empty below
    `MIN_PREDICTIONS`, where nothing can be said.
    """
    if len(predictions) < MIN_PREDICTIONS:
        return {}
    chances: dict[str, list[float]] = {}
    for item in predictions:
        chances.setdefault(item.component, []).append(NORMAL.cdf(item.z))
    overall = arithmetic_mean(chance for group in chances.values() for chance in group)
    overall = max(overall, MIN_CHANCE)
    rates = {
        key: (sum(group) + PRIOR_WEIGHT * overall) / (len(group) + PRIOR_WEIGHT)
        for key, group in chances.items()
    }
    return {key: min(2.0, max(0.5, rate / overall)) for key, rate in rates.items()}


def calibration_event(result: Calibration, reasoner: str) -> dict[str, Any]:
    """Return the payload of the `calibration` event."""
    lines = {"by_component": result.by_component, "by_confidence": result.by_confidence}
    tables = {name: [round_floats(asdict(line)) for line in rows] for name, rows in lines.items()}
    totals = round_floats(asdict(result))
    return {"reasoner": reasoner, **totals, **tables, "rate": round(result.rate, 4)}


def round_floats(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values with floats to four places."""
    return {
        key: round(value, 4) if isinstance(value, float) else value for key, value in values.items()
    }


def describe_calibration(result: Calibration | None) -> list[str]:
    """Return the calibration in sentences for the reasoner; empty below `MIN_PREDICTIONS`."""
    if result is None or result.n < MIN_PREDICTIONS:
        return []
    judgement = describe_excess(result.confidence - result.rate)
    facts = [
        f"of {result.n} measured hypotheses {result.helped} helped beyond noise "
        f"({result.rate:.0%}); the mean confidence stated was {result.confidence:.0%}: {judgement}"
    ]
    if result.helped:
        facts[0] += f"; {result.size_right} of the {result.helped} had the predicted size"
    parts = [line for line in result.by_component if line.n >= 2]
    stated = [line for line in result.by_confidence if line.n >= MIN_PREDICTIONS]
    shares = [
        f"{title}: " + ", ".join(f"{line.key} {line.helped} of {line.n}" for line in lines)
        for title, lines in (("by component", parts), ("by stated confidence", stated))
        if lines
    ]
    return [*facts, f"helped {'; '.join(shares)}"] if shares else facts
