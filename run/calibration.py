"""Which attempts measured a hypothesis, and what the reasoner is told of its predictions.  Pure functions of attempts' records.

A hypothesis *helped* when its attempt was accepted for a measured improvement. Crashes say nothing about a hypothesis and changes of
the protocol are not judged by their score: neither counts. The arithmetic is the report's (`report.calibration`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from report.calibration import UNSAID, Prediction, noise_units
from report.calibration import Calibration as Calibration
from report.calibration import calibration as calibration

Attempt = dict[str, Any]

ENOUGH = 3  # predictions below which nothing is told to the reasoner


def predictions(attempts: Iterable[Attempt]) -> list[Prediction]:
    return [prediction(attempt) for attempt in attempts if measured(attempt)]


def measured(attempt: Attempt) -> bool:
    hypothesis = attempt.get("hypothesis")
    if (
        not hypothesis
        or hypothesis.get("protocol")
        or attempt.get("problems")
        or attempt["mode"] == "crossover"
    ):
        return False
    lost_fairly = attempt["verdict"] in ("tie", "rejected") and attempt.get("from_best", True)
    return attempt["gain"] is not None and (attempt["verdict"] == "accepted" or lost_fairly)


def prediction(attempt: Attempt) -> Prediction:
    hypothesis = attempt["hypothesis"]
    return Prediction(
        component=str(hypothesis.get("component") or "other"),
        size=str((hypothesis.get("effect") or {}).get("size", "small")),
        confidence=min(1.0, max(0.0, float(hypothesis.get("confidence", UNSAID)))),
        helped=attempt["verdict"] == "accepted",
        z=gained(attempt),
    )


def gained(attempt: Attempt) -> float:
    """The paired gain in standard errors."""
    return noise_units(attempt["gain"], attempt["gain_se"])


def as_event(found: Calibration, reasoner: str) -> dict[str, Any]:
    """JSON of the `calibration` event."""
    rows = {"by_component": found.by_component, "by_confidence": found.by_confidence}
    tables = {name: [rounded(asdict(item)) for item in items] for name, items in rows.items()}
    return {"reasoner": reasoner, **rounded(asdict(found)), **tables, "rate": round(found.rate, 4)}


def rounded(values: dict[str, Any]) -> dict[str, Any]:
    return {
        key: round(value, 4) if isinstance(value, float) else value for key, value in values.items()
    }


def facts(found: Calibration | None) -> list[str]:
    """The same as sentences for the reasoner; none before there is enough to say."""
    if found is None or found.n < ENOUGH:
        return []
    told = [
        f"of {found.n} measured hypotheses {found.helped} helped beyond noise ({found.rate:.0%}); the mean confidence stated was"
        f" {found.confidence:.0%}: {verdict(found.confidence - found.rate)}"
    ]
    told += [
        f"{line.key}: {line.helped} of {line.n} helped"
        for line in found.by_component
        if line.n >= 2
    ]
    told += [
        f"stated confidence {line.key}: {line.helped} of {line.n} helped ({line.rate:.0%})"
        for line in found.by_confidence
        if line.n >= ENOUGH
    ]
    if found.helped:
        told.append(
            f"of the {found.helped} that helped {found.size_right} had the size that was predicted"
        )
    return told


def verdict(excess: float) -> str:
    if abs(excess) <= 0.1 + 1e-9:
        return "about right"
    return "too sure" if excess > 0 else "too modest"
