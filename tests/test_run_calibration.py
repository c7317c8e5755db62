"""Calibration: predicted against realised effect."""

from __future__ import annotations

from typing import Any

import pytest
from kit import make_record

from report.projection import apply_events
from report.reliability import calibrate_run, confidence_bin
from run.attempt_event import AttemptEvent
from run.calibration import (
    calibration,
    calibration_event,
    component_factors,
    describe_calibration,
)
from run.history import HistoryEntry, collect_predictions, history_entry


def measured(component: str, confidence: float, z: float, **changes: Any) -> HistoryEntry:
    hypothesis = {"component": component, "confidence": confidence, **changes.pop("idea", {})}
    verdict = "accepted" if z > 1 else "rejected" if z < -1 else "tie"
    given: dict[str, Any] = {
        "hypothesis": hypothesis,
        "gain": z,
        "gain_se": 1.0,
        "verdict": verdict,
    } | changes
    return history_entry(make_record(**given))


HISTORY = [
    measured("model", 0.8, 1.5),
    measured("model", 0.8, -2),
    measured("features", 0.6, 3),
    measured("features", 0.2, 0),
]


def test_brier_score_hit_rate_and_tables() -> None:
    found = calibration(collect_predictions(HISTORY))
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


def test_attempts_without_a_usable_prediction_do_not_count() -> None:
    others = [
        measured("model", 0.9, 0, verdict="failed", gain=None),
        measured("model", 0.9, 9, problems=[{"code": "leak_audit", "message": "m"}]),
        measured("model", 0.9, 0, from_best=False),
        measured("model", 0.9, 3, mode="crossover"),
        history_entry(make_record()),
        measured("data", 0.9, -5, idea={"protocol": True}),
    ]
    assert collect_predictions(others) == [] and calibration([]) is None


def test_a_hypothesis_that_passes_when_it_is_measured_again_counts_once() -> None:
    idea: dict[str, Any] = {"hypothesis": {"confidence": 0.8}, "gain_se": 1.0}
    unlucky = make_record("t0s1", gain=-0.5, **idea)
    other = make_record("t0s2", gain=-3.0, verdict="rejected", **idea)
    late = {"kind": "remeasure", "parent": "t0s1", "from_best": False, "verdict": "accepted"}
    records = [unlucky, other, make_record("t0s3", gain=2.5, **idea, **late)]
    told = calibration(collect_predictions(map(history_entry, records)))
    lines = [{"ev": "attempt"} | AttemptEvent.from_attempt(one).model_dump() for one in records]
    for found in (told, calibrate_run(apply_events(lines))):
        assert found is not None and (found.n, found.helped) == (2, 1)
    before = calibration(collect_predictions(map(history_entry, records[:2])))
    assert before is not None and (before.n, before.helped) == (2, 0)


def test_the_reasoner_gets_sentences_once_there_is_enough_data() -> None:
    assert describe_calibration(calibration(collect_predictions(HISTORY[:2]))) == []
    told = describe_calibration(calibration(collect_predictions(HISTORY)))
    assert (
        "of 4 measured hypotheses 2 helped" in told[0]
        and "60%" in told[0]
        and "about right" in told[0]
    )
    assert (
        "overconfident"
        in describe_calibration(calibration(collect_predictions([measured("model", 0.9, -2)] * 3)))[
            0
        ]
    )
    assert "helped by component: features 1 of 2, model 1 of 2" in told[1]


def test_a_component_is_ranked_by_its_gains_and_not_by_the_rarity_of_acceptance() -> None:
    tried = [measured("model", 0.5, z, verdict="tie") for z in (0.9, 1.1, 0.2, 0.8)]
    near = component_factors(collect_predictions([*tried, measured("data", 0.5, 0.6)]))
    assert near["model"] == pytest.approx(near["data"], abs=0.05), "ties are no failures"
    harm = component_factors(collect_predictions([*tried, *[measured("data", 0.5, -4)] * 3]))
    assert harm["model"] > 1.1 and 0.5 <= harm["data"] < 0.75
    assert component_factors(collect_predictions(tried[:2])) == {}
    assert set(component_factors(collect_predictions([measured("data", 0.5, -9)] * 3))) == {"data"}


def test_bins_and_the_event() -> None:
    assert [confidence_bin(value) for value in (0.0, 0.3, 0.89, 0.9, 1.0)] == [
        "0.0-0.3",
        "0.3-0.5",
        "0.7-0.9",
        "0.9-1.0",
        "0.9-1.0",
    ]
    found = calibration(collect_predictions(HISTORY))
    assert found is not None
    event = calibration_event(found, "expert")
    assert event["reasoner"] == "expert" and event["by_component"][0] == {
        "key": "features",
        "n": 2,
        "helped": 1,
        "confidence": 0.4,
        "brier": 0.1,
        "z": 1.5,
    }
