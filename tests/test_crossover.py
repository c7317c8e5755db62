"""Rescue of stuck traces: the expert's union of compatible moves, and what the merge asks for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from kit import HONEST, Player, events, quick, write_task

from reasoner.expert.cross import combine
from reasoner.expert.moves import Look
from reasoner.expert.spec import Facts, Spec, dump
from reasoner.protocol import (
    Crossover,
    DiagnoseBrief,
    Diagnosis,
    DraftBrief,
    Fact,
    Hypothesis,
    Solution,
    UpdateBrief,
)
from session.session import start_run

FACTS = Facts(
    id="id", target=("y",), kind="binary", metric="auc", columns=("id", "y"), labels=("0", "1"), parquet=False, split="stratified",
    group=None, time=None, categorical=("c",), top_numeric=("a", "b"),
)  # fmt: skip


def look(spec: Spec) -> Look:
    return Look(spec=spec, facts=FACTS, profile={}, evidence={}, families=(), late=False)


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
    own = Spec(ratios=True)
    new, taken = combine(look(own), Crossover(lacks=[fact("slow", 2), fact("bag", 3)]), [])
    assert new == replace(own, slow=1, seeds=5) and len(taken) == 2


def test_a_conflict_goes_to_the_larger_gain() -> None:
    lacks = [fact("encode_target", 2), fact("encode_onehot", 5)]
    assert combine(look(Spec()), Crossover(lacks=lacks), [])[0].categories == "onehot"
    own = Spec(categories="frequency")
    history = [fact("encode_frequency", 3)]
    assert combine(look(own), Crossover(lacks=lacks), history)[0].categories == "onehot"
    assert combine(look(own), Crossover(lacks=lacks[:1]), history)[0] == own


def test_nothing_to_take_over_blends_with_the_partners_family_or_stays() -> None:
    partner = dump(Spec(family="linear")) + "\n"
    assert combine(look(Spec()), Crossover(partner=partner), [])[0].second == "linear"
    assert combine(
        look(Spec()), Crossover(partner="print(1)", lacks=[fact("no such move", 3)]), []
    ) == (Spec(), [])


class Sisters(Player):
    """Trace 0 improves twice and is stuck; trace 1 is stuck at once with nothing of its own."""

    def __init__(self) -> None:
        super().__init__([])
        self.seen: list[UpdateBrief] = []

    async def draft(self, brief: DraftBrief) -> Solution:
        return Solution(script=HONEST.format(noise=2 + brief.stage.trace), summary="draft")

    async def diagnose(self, brief: DiagnoseBrief) -> Diagnosis:
        step, trace = brief.stage.step, brief.stage.trace
        noise: Any = {(0, 1): 1.0, (1, 1): 0.5}.get((trace, step), 9)
        statement = f"noise {noise} in trace {trace} at {step}"
        return Diagnosis(
            hypotheses=[
                Hypothesis(
                    id=statement,
                    challenge="noise",
                    statement=statement,
                    component="model",
                    plan=str(noise),
                )
            ]
        )

    async def update(self, brief: UpdateBrief) -> Solution:
        self.seen.append(brief)
        chosen = brief.diagnosis.hypotheses[0]
        script = HONEST.format(noise=0.01 if brief.crossover else chosen.plan)
        return Solution(script=script, summary=chosen.statement, hypothesis=chosen)


async def test_a_stuck_trace_combines_the_best_with_what_the_other_proved_once(
    tmp_path: Path,
) -> None:
    task = write_task(tmp_path / "task", n=300)
    reasoner = Sisters()
    outcome = await start_run(
        str(task), quick(tmp_path, traces=2, steps=7, patience=1, time_s=300), reasoner=reasoner
    )
    crossed = [brief for brief in reasoner.seen if brief.crossover]
    assert crossed and all(brief.crossover and brief.crossover.lacks for brief in crossed)
    first = crossed[0].crossover
    assert first is not None and "noise" in first.lacks[0].hypothesis and first.partner
    attempts = [
        event for event in events(outcome.folder, "attempt") if event["mode"] == "crossover"
    ]
    assert attempts[0]["verdict"] == "accepted" and "take over" in attempts[0]["hypothesis"]
    combinations = [(event["parent"], event["hypothesis"]) for event in attempts]
    assert len(set(combinations)) == len(combinations)
    told = [
        action
        for event in events(outcome.folder, "merged")
        for action in event["actions"]
        if "stuck" in action
    ]
    assert any("combines" in line for line in told)
