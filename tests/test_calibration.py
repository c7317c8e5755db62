"""Calibration: predicted against realised effect."""

from __future__ import annotations

from typing import Any

import pytest
from sampler_kit import attempt

from report.calibration import bin_of
from run.calibration import as_event, calibration, facts, predictions


def measured(component: str, confidence: float, z: float, **changes: Any) -> dict[str, Any]:
    hypothesis = {
        "id": "h",
        "component": component,
        "confidence": confidence,
        "effect": {"sign": 1, "size": "small"},
    }
    verdict = "accepted" if z > 1 else "rejected" if z < -1 else "tie"
    return attempt(
        1,
        **(
            {
                "mode": "directed",
                "hypothesis": hypothesis,
                "gain": z,
                "gain_se": 1.0,
                "verdict": verdict,
            }
            | changes
        ),
    )


HISTORY = [
    measured("model", 0.8, 1.5),
    measured("model", 0.8, -2),
    measured("features", 0.6, 3),
    measured("features", 0.2, 0),
]


def test_brier_score_hit_rate_and_tables() -> None:
    found = calibration(predictions(HISTORY))
    assert found is not None
    assert (found.n, found.helped, found.rate) == (4, 2, 0.5)
    assert found.brier == pytest.approx((0.2**2 + 0.8**2 + 0.4**2 + 0.2**2) / 4)
    assert (
        found.brier_constant == 0.25 and found.size_right == 1
    )  # +3 se is more than the `small` that was predicted
    assert [(row.key, row.n, row.helped) for row in found.by_component] == [
        ("features", 2, 1),
        ("model", 2, 1),
    ]
    assert [(row.key, row.n, row.helped) for row in found.by_confidence] == [
        ("0.0-0.3", 1, 0),
        ("0.5-0.7", 1, 1),
        ("0.7-0.9", 2, 1),
    ]


def test_what_says_nothing_of_a_prediction_does_not_count() -> None:
    protocol = measured("data", 0.9, -5)
    protocol["hypothesis"] = protocol["hypothesis"] | {"protocol": True}
    others = [
        measured("model", 0.9, 0, verdict="failed", gain=None),
        measured("model", 0.9, 9, problems=[{"code": "leak_audit"}]),
        measured("model", 0.9, 0, from_best=False),
        measured("model", 0.9, 3, mode="crossover"),
        attempt(0),
        protocol,
    ]
    assert predictions(others) == [] and calibration([]) is None


def test_the_reasoner_is_told_in_sentences_once_there_is_enough() -> None:
    assert facts(calibration(predictions(HISTORY[:2]))) == []
    told = facts(calibration(predictions(HISTORY)))
    assert (
        "of 4 measured hypotheses 2 helped" in told[0]
        and "60%" in told[0]
        and "about right" in told[0]
    )
    assert "too sure" in facts(calibration(predictions([measured("model", 0.9, -2)] * 3)))[0]
    assert "model: 1 of 2 helped" in told


def test_bins_and_the_event() -> None:
    assert [bin_of(value) for value in (0.0, 0.3, 0.89, 0.9, 1.0)] == [
        "0.0-0.3",
        "0.3-0.5",
        "0.7-0.9",
        "0.9-1.0",
        "0.9-1.0",
    ]
    event = as_event(calibration(predictions(HISTORY)), "expert")  # type: ignore[arg-type]
    assert event["reasoner"] == "expert" and event["by_component"][0] == {
        "key": "features",
        "n": 2,
        "helped": 1,
        "confidence": 0.4,
        "brier": 0.1,
        "z": 1.5,
    }
