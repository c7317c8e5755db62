"""The expert is steered by what other traces measured and run now."""

from __future__ import annotations

import pytest

from reasoner.expert.momentum import sibling_record_factor, sibling_resting_moves
from reasoner.expert.moves import FIXED_MOVES
from reasoner.protocol import Brief, Claim, Fact, Hypothesis, Ledger, Resources, Stage, TaskBrief
from reasoner.ranking import Momentum, ideas_in_flight, rank_hypotheses

TASK = TaskBrief(
    name="t",
    description="",
    kind="binary",
    metric="auc",
    direction="max",
    id="id",
    target=["y"],
    columns=["id", "y"],
    split={"kind": "stratified", "column": None, "n_folds": 5},
    inputs=[],
    n_train=100,
    n_test=100,
)


def brief(*others: Fact, step: int = 6) -> Brief:
    stage = Stage(phase="improve", used=0.5, step=step, trace=0, n_traces=2)
    return Brief(
        task=TASK,
        profile={},
        resources=Resources(wall_s=1, memory_bytes=1, cpus=1),
        stage=stage,
        others=list(others),
    )


def fact(move: str, z: float, *, step: int = 5, by: str = "LightGBM") -> Fact:
    verdict = "accepted" if z > 1 else "rejected" if z < -1 else "tie"
    summary = f"Predict y by {by}, slower learning."
    return Fact(
        attempt="t1",
        trace=1,
        step=step,
        hypothesis=move,
        move=move,
        gain=z,
        gain_se=1.0,
        verdict=verdict,
        summary=summary,
    )


@pytest.mark.parametrize(
    ("failure", "rests"),
    [
        (fact("bag", 0.2), True),  # boosting there, boosting here
        (fact("bag", 0.2, by="extra trees"), False),  # another kind of model
        (fact("bag", -4.0, by="extra trees"), True),  # harmed clearly
        (
            fact("family:linear", -1.5, by="extra trees"),
            True,
        ),  # the result does not depend on the family before
        (fact("bag", 0.2, step=0), False),  # long ago
        (fact("bag", 3.0), False),  # helped
    ],
)
def test_a_move_that_failed_in_another_trace_rests_here_too(failure: Fact, rests: bool) -> None:
    assert (failure.move in sibling_resting_moves(brief(failure), "hgb")) is rests


def test_moves_that_helped_another_trace_are_worth_more_and_failed_ones_less() -> None:
    bag = next(move for move in FIXED_MOVES if move.name == "bag")
    factors = [
        sibling_record_factor(bag, others)
        for others in ([fact("bag", -2)], [], [fact("bag", 1.3)], [fact("bag", 6)])
    ]
    assert factors == sorted(factors) and factors[1] == 1.0


def test_a_move_in_progress_elsewhere_is_repeated_only_if_it_is_by_far_the_best() -> None:
    first, second = (
        Hypothesis(id=name, challenge="c", statement=name, component="model", confidence=0.5)
        for name in ("a", "b")
    )
    running = Claim(id="K1", claim="A", trying=["t1s3"])
    busy = Momentum(in_flight=ideas_in_flight(Ledger(claims=[running])))
    assert not ideas_in_flight(Ledger(claims=[running.model_copy(update={"trying": []})]))
    assert rank_hypotheses([first, second], Momentum()) == [first, second]
    assert rank_hypotheses([first, second], busy) == [second, first]
    assert rank_hypotheses([first], busy) == [first] and rank_hypotheses([], busy) == []
    strong = first.model_copy(update={"effect": first.effect.model_copy(update={"size": "large"})})
    assert rank_hypotheses([strong, second], busy)[0] == strong
