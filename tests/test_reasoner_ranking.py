"""Momentum, the reasoner's record and the other traces decide between its hypotheses."""

from __future__ import annotations

from typing import Any

from reasoner.protocol import Effect, Hint, Hypothesis
from reasoner.ranking import Momentum, rank_hypotheses


def idea(name: str, confidence: float = 0.5, **more: Any) -> Hypothesis:
    values = {"challenge": "c", "statement": name, "component": "model", "confidence": confidence}
    return Hypothesis.model_validate({"id": name, **values, **more})


def hint(kind: str, weight: float, move: str | None = None) -> Hint:
    return Hint(
        id=f"{kind}{weight}",
        kind="accepted" if kind == "accepted" else "refuted",
        hypothesis="x",
        component="model",
        move=move,
        gain=1,
        gain_se=1,
        weight=weight,
        where="",
    )


def names(*args: Any) -> list[str]:
    return [item.id for item in rank_hypotheses(*args)]


def test_without_evidence_the_own_choice_comes_first_and_the_rest_by_expected_gain() -> None:
    ideas = [idea("a", 0.3), idea("b", 0.4), idea("c", 0.2, effect=Effect(size="large"))]
    assert names(ideas, Momentum(), "a") == ["a", "c", "b"]
    assert names(ideas, Momentum()) == ["c", "b", "a"]


def test_what_helped_elsewhere_comes_before_the_own_choice_and_what_failed_after_it() -> None:
    ideas = [idea("a"), idea("b")]
    assert names(ideas, Momentum({"b": [hint("accepted", 0.5)]}), "a") == ["b", "a"]
    assert names(ideas, Momentum({"a": [hint("refuted", -0.5)]}), "a") == ["b", "a"]
    weak = Momentum({"b": [hint("accepted", 0.05)]})
    assert names(ideas, weak, "a") == ["a", "b"], "a second call costs more than a weak hint"


def test_a_named_move_is_moved_by_its_own_records_only() -> None:
    ideas = [idea("a", move="bag"), idea("b", move="slow")]
    other = Momentum({"b": [hint("accepted", 0.5, "bag")]})
    assert names(ideas, other, "a") == ["a", "b"]
    assert names(ideas, Momentum({"b": [hint("accepted", 0.5, "slow")]}), "a") == ["b", "a"]


def test_a_component_that_never_helped_here_comes_later() -> None:
    ideas = [idea("a"), idea("b", component="features")]
    records = Momentum(records={"model": 0.5, "features": 1.2})
    assert names(ideas, records, "a") == ["b", "a"]
    named = [item.model_copy(update={"move": item.id}) for item in ideas]
    assert names(named, records, "a") == ["a", "b"], "a move is judged by what it did itself"


def test_what_another_trace_runs_now_comes_later_unless_it_is_by_far_the_best() -> None:
    ideas = [idea("a", move="x"), idea("b", move="y")]
    assert names(ideas, Momentum(in_flight=["x"]), "a") == ["b", "a"]
    strong = [idea("a", move="x", effect=Effect(size="large")), idea("b", move="y")]
    assert names(strong, Momentum(in_flight=["x"]), "a") == ["a", "b"]
