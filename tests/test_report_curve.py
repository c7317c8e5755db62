"""The area under best so far: formula, zero, end of the search, one scale for several runs."""

from __future__ import annotations

from typing import Any

import pytest

from evals.harness import suites
from evals.studies.curves import area_cells, area_under_leads
from report.compare_runs import area_cells as compared_cells
from report.model import RunView
from report.projection import apply_events
from report.score_curve import compare_areas, curve_json, describe_curve


def executed(n: int, seconds: float) -> list[dict[str, Any]]:
    return [{"t": 1, "ev": "execution_finished", "trace": 0, "seconds": seconds}] * n


def attempt(id: str, score: float) -> dict[str, Any]:
    found = {"ev": "attempt", "id": id, "trace": 0, "score": score, "verdict": "accepted"}
    return {"t": 1, **found, "kind": "update", "replaces": True, "gain": 0.1}


def search(*, direction: str = "max", baseline: float | None = 0.5) -> RunView:
    """Gain 0 after one execution (it failed), 0.1 from the second on, 0.3 from the fourth."""
    sign = 1 if direction == "max" else -1
    scores = [0.5 + sign * gain for gain in (0.1, 0.3, 0.9)]
    started = {"t": 0, "ev": "run_started", "direction": direction, "metric": "auc", "traces": 1}
    scored = {"t": 0, "ev": "baseline", "method": "plain model", "score": baseline}
    return apply_events(
        [
            started,
            scored,
            *executed(2, 10.0),
            attempt("a", scores[0]),
            *executed(2, 30.0),
            attempt("b", scores[1]),
            *executed(1, 20.0),
            {"t": 2, "ev": "finalizing", "candidates": []},
            *executed(3, 99.0),
            attempt("final", scores[2]),  # of the finale: no part of the search
        ]
    )


@pytest.mark.parametrize("direction", ["max", "min"])
def test_the_area_is_the_mean_gain_over_the_search(direction: str) -> None:
    found = curve_json(search(direction=direction))
    assert found is not None
    assert (found["executions"], found["seconds"], found["zero_is"]) == (5, 100.0, "baseline")
    # gains after each execution: 0, .1, .1, .3, .3; over seconds: 0 to 20, .1 to 80, .3 to 100
    assert found["by_executions"] == pytest.approx({"area": 0.16, "share": 0.16 / 0.3})
    assert found["by_seconds"] == pytest.approx({"area": 0.12, "share": 0.4})
    assert "(53% of the last gain)" in describe_curve(search(direction=direction))


def test_without_a_scored_baseline_the_first_valid_attempt_is_the_zero() -> None:
    found = curve_json(search(baseline=None))
    assert found is not None and found["zero_is"] == "first valid attempt"
    assert found["by_executions"]["area"] == pytest.approx(0.08)  # 0, 0, 0, .2, .2
    assert curve_json(RunView()) is None and describe_curve(RunView()) == ""


def test_runs_of_one_task_are_compared_on_one_scale() -> None:
    long = search()
    ended = [{"t": 1, "ev": "finalizing"}]
    early = apply_events([*executed(1, 5.0), attempt("a", 0.7), *ended])  # zero is .7
    areas = compare_areas([long, early, RunView()])
    assert areas[0] == pytest.approx((0.16 / 0.3, 0.4)) and areas[2] is None
    assert areas[1] == pytest.approx((0.2 / 0.3, 0.2 / 0.3))  # its last best stays to the end
    assert compared_cells([long, early]) == ["–", "–"]  # another metric


def study_row(strategy: str, leads: list[dict[str, float]], executions: int) -> Any:
    search = {"executions": executions, "seconds": 10.0 * executions, "leads": leads}
    return {"task": "ratio", "strategy": strategy, "q": 1.0, "seed": 0, "search": search}


def test_a_study_measures_the_area_of_the_private_scores_on_the_longest_curve() -> None:
    ends = suites.load_references()["ratio"]

    def private(share: float) -> float:
        return ends["default"] + share * (ends["reference"] - ends["default"])

    lead = [{"executions": 2, "seconds": 20.0, "score": 0.0, "private": private(0.5)}]
    short, long = study_row("gome", lead, 4), study_row("tree", lead, 8)
    earlier: Any = {"task": "ratio"}  # a row without its search
    cells = area_cells([short, long, earlier], "executions")
    assert cells["gome", 1.0]["ratio"][0] == pytest.approx(0.5 * 7 / 8)
    assert cells["tree", 1.0]["ratio"][0] == pytest.approx(0.5 * 7 / 8)
    assert area_under_leads(short, "seconds", 40.0) == pytest.approx(0.25)
