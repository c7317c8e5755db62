"""Rescue of a stuck trace: the brief asks it to combine the best with another trace's gains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kit import HONEST, Player, events, quick, write_task

from reasoner.protocol import (
    DiagnoseBrief,
    Diagnosis,
    DraftBrief,
    Hypothesis,
    Solution,
    UpdateBrief,
)
from session.session import start_run


class Sisters(Player):
    """Trace 0 improves twice and is stuck; trace 1 is stuck at once without gains."""

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


async def test_a_stuck_trace_combines_the_best_with_the_gains_of_the_other_trace(
    tmp_path: Path,
) -> None:
    task = write_task(tmp_path / "task", n=300)
    reasoner = Sisters()
    outcome = await start_run(
        str(task),
        quick(tmp_path, traces=2, steps=7, patience=1, time_s=300, deal="turns", ahead=0),
        reasoner=reasoner,
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
