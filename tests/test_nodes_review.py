"""Review of code: a finding sends a script back once, and never overrules a measurement."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kit import HONEST, Player, events, quick, write_task

from graph.state import Work
from nodes.review import apply_findings
from reasoner.protocol import ReasonerError, RepairBrief, Review, ReviewBrief, Solution, Usage
from session.session import start_run

FINDING = "`random.seed(1)` is set from the labels"


class Critic(Player):
    """Finds the same fault in everything; its repair is a better script."""

    def __init__(self, answer: Review | ReasonerError) -> None:
        super().__init__([HONEST.format(noise=3)])
        self.answer, self.read, self.repairs = answer, list[ReviewBrief](), list[RepairBrief]()

    async def review(self, brief: ReviewBrief) -> Review:
        self.read.append(brief)
        if isinstance(self.answer, ReasonerError):
            raise self.answer
        return self.answer

    async def repair(self, brief: RepairBrief) -> Solution:
        self.repairs.append(brief)
        return Solution(
            script=HONEST.format(noise=0.1),
            summary="without the fault",
            cause="leak",
            fix="removed",
        )


async def run(tmp_path: Path, critic: Critic, **changes: Any) -> list[dict[str, Any]]:
    outcome = await start_run(
        str(write_task(tmp_path / "task")), quick(tmp_path, steps=1, **changes), reasoner=critic
    )
    return events(outcome.folder, "attempt") + events(outcome.folder, "reviewed")


async def test_a_finding_is_repaired_once(tmp_path: Path) -> None:
    critic = Critic(Review(leaks=True, reasons=[FINDING], usage=Usage(calls=1, input_tokens=7)))
    attempt, seen = await run(tmp_path, critic)
    assert [brief.problems for brief in critic.repairs] == [[f"review of the code: {FINDING}"]]
    assert len(critic.read) == 1 and seen["leaks"] and seen["usage"]["input_tokens"] == 7
    assert (attempt["verdict"], attempt["kind"], attempt["usage"]["input_tokens"]) == (
        "accepted",
        "repair",
        7,
    )


@pytest.mark.parametrize(
    "answer",
    [Review(), ReasonerError("no answer", Usage(calls=3, input_tokens=9))],
    ids=["nothing found", "no answer"],
)
async def test_without_a_finding_the_measurement_is_unchanged(tmp_path: Path, answer: Any) -> None:
    critic = Critic(answer)
    attempt, seen = await run(tmp_path, critic)
    assert attempt["verdict"] == "accepted" and not critic.repairs and not seen["reasons"]
    assert attempt["usage"]["calls"] == (3 if isinstance(answer, ReasonerError) else 0)


def test_audit_rows_decide_where_there_are_some() -> None:
    work = Work(
        attempt="t0s0",
        kind="draft",
        mode="draft",
        reasons=["better: +0.1"],
        verdict="accepted",
        replaces=True,
    )
    audited: Any = SimpleNamespace(
        prepared=SimpleNamespace(n_audit=500), settings=SimpleNamespace(max_repairs=2)
    )
    assert apply_findings(audited, work, [FINDING]) == work.evolve(
        reasons=["better: +0.1", FINDING]
    )
    assert apply_findings(audited, work, []) == work
