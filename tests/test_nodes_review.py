"""Review of code: of doubtful scripts and of the finalist, each once; it judges no score."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kit import HONEST, Player, events, quick, write_task

from graph.state import Work
from nodes.review import apply_findings
from reasoner.protocol import (
    ReasonerError,
    ReasonerUnavailableError,
    RepairBrief,
    Review,
    ReviewBrief,
    Solution,
    Usage,
)
from report.projection import apply_events
from run.events import Events, iterate_events
from session.session import start_run

FINDING = "`random.seed(1)` is set from the labels"


class Critic(Player):
    """Finds the same fault in everything; its repair is a better script."""

    def __init__(self, answer: Review | Exception) -> None:
        super().__init__([HONEST.format(noise=3)])
        self.suspect = ""
        self.answer, self.read, self.repairs = answer, list[ReviewBrief](), list[RepairBrief]()

    async def review(self, brief: ReviewBrief) -> Review:
        self.read.append(brief)
        if brief.script == self.suspect:
            return Review(leaks=True, reasons=[FINDING])
        if isinstance(self.answer, Exception):
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
    settings = quick(tmp_path, **{"steps": 1, **changes})
    outcome = await start_run(str(write_task(tmp_path / "task")), settings, reasoner=critic)
    return events(outcome.folder, "attempt") + events(outcome.folder, "reviewed")


async def test_a_finding_in_a_doubtful_script_is_repaired_once(tmp_path: Path) -> None:
    critic = Critic(Review(leaks=True, reasons=[FINDING], usage=Usage(calls=1, input_tokens=7)))
    attempt, seen, _ = await run(tmp_path, critic, check_labels=False)
    assert [brief.problems for brief in critic.repairs] == [[f"review of the code: {FINDING}"]]
    doubted, finalist = critic.read
    assert doubted.doubts == ["no gate of this run can measure whether its labels leak"]
    assert finalist.doubts == [] and finalist.script == HONEST.format(noise=0.1)
    assert seen["leaks"] and seen["usage"]["input_tokens"] == 7
    assert (attempt["verdict"], attempt["kind"], attempt["usage"]["input_tokens"]) == (
        "accepted",
        "repair",
        7,
    )


@pytest.mark.parametrize(
    "answer",
    [
        Review(usage=Usage(calls=3, input_tokens=9)),
        ReasonerError("no answer", Usage(calls=3, input_tokens=9)),
        ReasonerUnavailableError("the endpoint is down", Usage(calls=3, input_tokens=9)),
    ],
    ids=["nothing found", "no answer", "endpoint down"],
)
async def test_only_the_finalist_is_read_and_without_a_finding_nothing_changes(
    tmp_path: Path, answer: Any
) -> None:
    critic = Critic(answer)
    critic.scripts = [HONEST.format(noise=noise) for noise in (3, 1, 0.3)]
    first, *_, seen = await run(tmp_path, critic, steps=3)
    assert first["verdict"] == "accepted" and not critic.repairs and not seen["reasons"]
    (read,) = critic.read
    assert read.script == HONEST.format(noise=0.3) and read.diff and not read.doubts
    folder = next((tmp_path / "runs").iterdir())
    view = apply_events(iterate_events(folder / "events.jsonl"))
    assert view.usage.tokens == 9 and view.usage_by_activity["review"].calls == 3
    assert Events(folder / "events.jsonl").used.tokens == 9


async def test_a_finalist_with_a_finding_lets_the_next_one_go_first(tmp_path: Path) -> None:
    critic = Critic(Review())
    bad, critic.scripts = HONEST.format(noise=0.3), [HONEST.format(noise=3), ""]
    critic.scripts[1] = bad
    critic.suspect = bad
    await run(tmp_path, critic, steps=2, top_k=2)
    folder = next((tmp_path / "runs").iterdir())
    (final,) = events(folder, "finalized")
    assert final["attempt"] == "t0s0" and [brief.script for brief in critic.read][0] == bad
    assert any(FINDING in event["message"] for event in events(folder, "warning"))


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
