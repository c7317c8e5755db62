"""What the summary says of how the run's best came about."""

from __future__ import annotations

from typing import Any

from report.harness_work import describe_average
from report.model import RunView
from report.projection import apply_events, describe_attempt
from report.summary import describe_best_change, describe_usage, most_helpful_attempt


def attempt(name: str, score: float, verdict: str, parent: str = "", **more: Any) -> dict[str, Any]:
    base = {"ev": "attempt", "t": 1, "id": name, "trace": int(name[1]), "step": int(name[3:])}
    base |= {"kind": "update" if parent else "draft", "parent": parent or None, "score": score}
    base |= {"verdict": verdict, "replaces": verdict == "accepted", "gain": None, "codes": []}
    return base | {"hypothesis": f"idea {name}", "gain_se": 0.01} | more


def blend(score: float, verdict: str, members: list[str], **more: Any) -> dict[str, Any]:
    weights = {name: {"weight": 1 / len(members), "script": "s"} for name in members}
    made = attempt("t0s0", score, verdict, members[0], kind="ensemble", members=weights)
    return made | {"id": "m1", "trace": -1, "hypothesis": "blend of " + ", ".join(members)} | more


def view_of(*events: dict[str, Any]) -> RunView:
    started = {"t": 0, "ev": "run_started", "direction": "max", "metric": "auc", "traces": 2}
    return apply_events([started, *events])


FIRST = attempt("t0s0", 0.8, "accepted")
OTHER = attempt("t1s0", 0.7, "accepted")
BEHIND = attempt("t1s1", 0.75, "accepted", "t1s0", gain=0.05, run_best="t0s0", run_gain=-0.05)


def test_a_gain_of_a_trace_that_never_led_is_not_what_helped_most() -> None:
    view = view_of(FIRST, OTHER, BEHIND, attempt("t0s1", 0.81, "accepted", "t0s0", gain=0.01))
    assert describe_best_change(view).startswith("What helped most: idea t0s1 ")
    assert "below the run's best t0s0" in describe_attempt(view.attempts["t1s1"], rising=True)
    assert most_helpful_attempt(view_of(FIRST, OTHER, BEHIND)) is None


def test_a_step_of_a_blends_member_counts() -> None:
    made = blend(0.82, "tie", ["t0s0", "t1s1"], gain=0.001, replaces=True)
    view = view_of(FIRST, OTHER, BEHIND, made)
    assert view.best == "m1" and "idea t1s1" in describe_best_change(view)
    alone = view_of(FIRST, OTHER, blend(0.82, "tie", ["t0s0", "t1s0"], gain=0.001, replaces=True))
    assert describe_best_change(alone) == (
        "The best is a blend of t0s0, t1s0; no change by itself was accepted."
    )


def test_ties_that_add_up_are_called_what_they_are() -> None:
    tie = attempt("t0s1", 0.81, "tie", "t0s0", gain=0.01, replaces=True)
    view = view_of(FIRST, tie, attempt("t0s2", 0.83, "tie", "t0s1", gain=0.02, replaces=True))
    assert describe_best_change(view) == (
        "No change by itself was accepted; 2 steps within noise, likely better or cheaper, led to"
        " the best, the largest: idea t0s2 (+0.020 ± 0.010)."
    )
    assert "(0 accepted, 2 ties stepped on)" in describe_usage(view)
    assert "beat" in describe_best_change(view_of(FIRST)) and "draft" in describe_best_change(
        view_of(OTHER, FIRST | {"parent": None})
    )


def test_a_worse_blend_does_not_take_a_better_ones_place() -> None:
    better = blend(0.9, "accepted", ["t0s0", "t1s0"], gain=0.1, replaces=True)
    worse = blend(0.85, "accepted", ["t0s0", "t1s0"], gain=0.05, replaces=True) | {"id": "m2"}
    assert view_of(FIRST, OTHER, better, worse).best == "m1"


def test_an_average_over_seeds_is_told_with_what_it_brought() -> None:
    def told(**averaged: Any) -> str:
        return describe_average(
            view_of(FIRST, {"t": 2, "ev": "finalized", "averaged": averaged or None})
        )

    assert told(rounds=3, tried=4, gain=0.0123).startswith(
        "the submission is the average over 3 seeds: +0.0123 "
    )
    assert told(rounds=1, tried=3, gain=-0.1).startswith("not averaged: 3 seeds were run")
    assert told() == "" == told(rounds="x", tried=[], gain="<b>")
    counted = [{"t": 1, "ev": "execution_finished", **more} for more in ({}, {"refit": True})]
    assert view_of(*counted).n_executions == 1


def test_the_runs_comparator_says_who_leads() -> None:
    """Better probabilities lead though one row less is right."""
    for code, best in (("ahead_of_run", "t1s1"), ("below_run", "t0s0")):
        ahead = attempt("t1s1", 0.79, "accepted", "t1s0", gain=0.09, run_best="t0s0", codes=[code])
        assert view_of(FIRST, OTHER, ahead).best == best
    lucky = attempt("t1s1", 0.81, "accepted", "t1s0", run_best="t0s0", codes=["below_run"])
    assert view_of(FIRST, OTHER, lucky).best == "t0s0"
