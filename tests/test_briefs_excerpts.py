"""Recorded code comes back word for word, and a failure with its cause and fix, in a real run."""

from __future__ import annotations

from pathlib import Path

from kit import HONEST, Player, events, quick, write_task

from reasoner.chat.prompt.render import prompt_hash
from reasoner.protocol import (
    DiagnoseBrief,
    Diagnosis,
    DraftBrief,
    RepairBrief,
    Solution,
    UpdateBrief,
    Usage,
)
from run.folder import read_run_meta
from session.session import start_run

DRAFT, BETTER = HONEST.format(noise=3), HONEST.format(noise=0.5)


class Asker(Player):
    """A draft, a change that crashes beyond repair, a step that asks to see the draft's script."""

    def __init__(self) -> None:
        super().__init__([DRAFT, "print('on my way')\nraise ValueError('boom in fit')", BETTER])
        self.diagnosed: list[DiagnoseBrief] = []
        self.updated: list[UpdateBrief] = []
        self.repaired: list[RepairBrief] = []

    async def draft(self, brief: DraftBrief) -> Solution:
        return Solution(script=DRAFT, summary="draft")

    async def diagnose(self, brief: DiagnoseBrief) -> Diagnosis:
        self.diagnosed.append(brief)
        return await super().diagnose(brief)

    async def update(self, brief: UpdateBrief) -> Solution:
        self.updated.append(brief)
        solution = (await super().update(brief)).model_copy(
            update={"usage": Usage(calls=1, input_tokens=10)}
        )
        if brief.stage.step == 2 and not brief.quotes:
            return solution.model_copy(update={"script": "", "take_from": ["t0s1", "t0s0", "t9s9"]})
        return solution

    async def repair(self, brief: RepairBrief) -> Solution:
        self.repaired.append(brief)
        script = f"print('on my way')\nraise ValueError('boom in repair {brief.attempt}')"
        return Solution(
            script=script,
            summary="repaired",
            cause=f"cause {brief.attempt}",
            fix=f"fix {brief.attempt}",
        )


async def test_scripts_logs_causes_and_fixes_reach_later_briefs(tmp_path: Path) -> None:
    player = Asker()
    outcome = await start_run(str(write_task(tmp_path / "task")), quick(tmp_path), reasoner=player)
    crash = player.diagnosed[-1].history[-1]
    assert (crash.verdict, crash.cause, crash.fix) == (
        "failed",
        "cause 2",
        "fix 2",
    ) and "boom in repair 2" in crash.why
    assert player.diagnosed[-1].last_diff.count("boom in repair 2") == 1
    first, second = player.repaired
    assert "on my way" in first.log and (first.earlier, second.earlier) == (
        [],
        ["cause 1 -> fix 1"],
    )
    asked, again = player.updated[-2:]
    assert asked.may_ask and not again.may_ask and not asked.quotes
    assert [quote.attempt for quote in again.quotes] == ["t0s1", "t0s0"] and again.quotes[
        1
    ].text == DRAFT
    last = events(outcome.folder, "attempt")[-1]
    assert last["verdict"] == "accepted" and last["usage"]["calls"] == 2
    claims = {claim.claim: claim for claim in again.ledger.claims}
    draft, crashed = claims["draft"], claims["play script 1"]
    assert (draft.state, draft.held, draft.attempts) == ("supported", True, ["t0s0"])
    assert (crashed.state, crashed.n_failed, crashed.held) == ("open", 1, False)
    assert "boom in repair 2" in crashed.note
    assert crashed.note.endswith("; cause: cause 2; fix tried: fix 2")
    assert again.stage.best == player.updated[0].stage.best and again.stage.steps_left == 1


def test_the_run_of_a_model_stores_the_version_of_the_prompts(tmp_path: Path) -> None:
    from run.folder import make_run_folder

    for name, model, version in (("a", [], None), ("b", ["some-model"], prompt_hash())):
        make_run_folder(tmp_path / name, "task", quick(tmp_path, model=model))
        assert read_run_meta(tmp_path / name)["prompts"] == version
