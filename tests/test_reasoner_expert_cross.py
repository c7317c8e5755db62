"""The expert's combination of moves that were accepted in other traces."""

from __future__ import annotations

from dataclasses import replace

from reasoner.expert.cross import combine_accepted_moves
from reasoner.expert.moves import MoveContext
from reasoner.expert.spec import ScriptSpec, TaskFacts, spec_header
from reasoner.protocol import (
    Crossover,
    Fact,
)

FACTS = TaskFacts(
    id="id",
    target=("y",),
    kind="binary",
    metric="auc",
    columns=("id", "y"),
    labels=("0", "1"),
    parquet=False,
    split="stratified",
    group=None,
    time=None,
    categorical=("c",),
    top_numeric=("a", "b"),
)


def look(spec: ScriptSpec) -> MoveContext:
    return MoveContext(spec=spec, facts=FACTS, profile={}, evidence={}, families=(), late=False)


def fact(move: str, z: float, verdict: str = "accepted") -> Fact:
    return Fact(
        attempt=move,
        trace=1,
        step=1,
        hypothesis=move,
        move=move,
        gain=z,
        gain_se=1.0,
        verdict=verdict,
    )


def test_compatible_moves_are_united() -> None:
    own = ScriptSpec(ratios=True)
    new, taken = combine_accepted_moves(
        look(own), Crossover(lacks=[fact("slow", 2), fact("bag", 3)]), []
    )
    assert new == replace(own, slow=1, seeds=5) and len(taken) == 2


def test_a_conflict_goes_to_the_larger_gain() -> None:
    lacks = [fact("encode_target", 2), fact("encode_onehot", 5)]
    assert (
        combine_accepted_moves(look(ScriptSpec()), Crossover(lacks=lacks), [])[0].categories
        == "onehot"
    )
    own = ScriptSpec(categories="frequency")
    history = [fact("encode_frequency", 3)]
    assert (
        combine_accepted_moves(look(own), Crossover(lacks=lacks), history)[0].categories == "onehot"
    )
    assert combine_accepted_moves(look(own), Crossover(lacks=lacks[:1]), history)[0] == own


def test_without_moves_to_combine_it_blends_with_the_partners_family_or_stays() -> None:
    partner = spec_header(ScriptSpec(family="linear")) + "\n"
    assert (
        combine_accepted_moves(look(ScriptSpec()), Crossover(partner=partner), [])[0].second
        == "linear"
    )
    assert combine_accepted_moves(
        look(ScriptSpec()), Crossover(partner="print(1)", lacks=[fact("no such move", 3)]), []
    ) == (ScriptSpec(), [])
