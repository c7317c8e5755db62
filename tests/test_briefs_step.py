"""A step in one call, asked for only once; and no script is measured twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kit import HONEST, Player, events, quick, write_task

from briefs.excerpts import refused_script
from graph.state import Trace
from reasoner.protocol import (
    DiagnoseBrief,
    Diagnosis,
    DraftBrief,
    Hypothesis,
    Solution,
    Turn,
    UpdateBrief,
    Usage,
)
from report.projection import apply_events
from run.attempt import Attempt
from run.events import iterate_events
from run.members import is_blendable
from run.registry import close_run, open_run
from session.session import start_run

SCRIPTS = [HONEST.format(noise=noise) for noise in (3, 1, 0.5)]


def idea(name: str, confidence: float) -> Hypothesis:
    return Hypothesis(
        id=name, challenge="noise", statement=name, component="model", confidence=confidence
    )


class Thinker(Player):
    """Diagnoses with two hypotheses, and changes the script for the second of them."""

    def __init__(self, scripts: list[str], *, with_change: bool = True) -> None:
        super().__init__(scripts)
        self.with_change = with_change
        self.diagnosed: list[DiagnoseBrief] = []
        self.updated: list[UpdateBrief] = []

    async def diagnose(self, brief: DiagnoseBrief) -> Diagnosis:
        self.diagnosed.append(brief)
        first, own = idea("louder", 0.5), idea("quieter", 0.4)
        change = Solution(
            script=self.scripts[brief.stage.step], summary="less noise", hypothesis=own
        )
        is_given = self.with_change and brief.wants_change
        return Diagnosis(
            hypotheses=[first, own],
            change=change if is_given else None,
            turns=[Turn(role="user", content="ROWS 1,2,3")],
            change_problem="" if is_given else "it does not apply",
            change_owner="quieter" if brief.wants_change else "",
            usage=Usage(calls=1, input_tokens=10),
        )

    async def update(self, brief: UpdateBrief) -> Solution:
        self.updated.append(brief)
        return Solution(
            script=self.scripts[brief.stage.step],
            summary="less noise",
            hypothesis=brief.chosen_hypothesis or brief.diagnosis.hypotheses[0],
            usage=Usage(calls=1, input_tokens=5),
        )


async def play(tmp_path: Path, player: Player, **changes: Any) -> Path:
    task = str(write_task(tmp_path / "task"))
    return (await start_run(task, quick(tmp_path, **changes), reasoner=player)).folder


async def test_the_change_that_comes_with_the_diagnosis_is_run_without_another_call(
    tmp_path: Path,
) -> None:
    player = Thinker(SCRIPTS)
    folder = await play(tmp_path, player)
    attempts = events(folder, "attempt")
    assert not player.updated and len(player.diagnosed) == 2
    assert [attempt["hypothesis"] for attempt in attempts[1:]] == ["quieter", "quieter"]
    assert [attempt["usage"]["calls"] for attempt in attempts] == [0, 1, 1]
    assert len(events(folder, "updated")) == 2
    view = apply_events(iterate_events(folder / "events.jsonl"))
    assert view.usage.tokens == 20, "what the diagnosis has paid for is not paid twice"
    assert all("script" not in str(event.get("change")) for event in events(folder, "diagnosed"))
    assert attempts[1]["verdict"] == "accepted"


async def test_a_change_that_does_not_apply_is_asked_for_again_for_the_same_hypothesis(
    tmp_path: Path,
) -> None:
    player = Thinker(SCRIPTS, with_change=False)
    folder = await play(tmp_path, player, steps=2)
    (asked,) = player.updated
    assert asked.diagnosis.turns == [Turn(role="user", content="ROWS 1,2,3")]
    stored = [path.read_bytes() for path in (folder / "artifacts").glob("*/*")]
    assert not any(b"ROWS 1,2,3" in raw for raw in stored), "an export may hold the artifacts"
    assert asked.chosen == "quieter" and asked.diagnosis.change_problem == "it does not apply"
    assert events(folder, "attempt")[-1]["usage"]["calls"] == 2


async def test_two_calls_leave_the_choice_to_the_second(tmp_path: Path) -> None:
    player = Thinker(SCRIPTS)
    await play(tmp_path, player, steps=2, calls="two")
    (asked,) = player.updated
    assert asked.chosen == "" and not player.diagnosed[0].wants_change


async def test_the_same_bytes_are_never_run_twice(tmp_path: Path) -> None:
    folder = await play(tmp_path, Player([SCRIPTS[0], SCRIPTS[1], SCRIPTS[0]]))
    ran = [event["attempt"] for event in events(folder, "execution_finished") if "attempt" in event]
    first, _, again = events(folder, "attempt")
    assert ran == ["t0s0", "t0s1"]
    assert again["score"] == first["score"] and again["verdict"] == "rejected"


class Redrafter(Player):
    """Its first draft gives the label away; it keeps the briefs of its drafts."""

    def __init__(self) -> None:
        leak = SCRIPTS[0].replace("import", "print('unmatched 216')\nimport", 1)
        super().__init__([leak, SCRIPTS[0]])
        self.drafted: list[DraftBrief] = []

    async def draft(self, brief: DraftBrief) -> Solution:
        self.drafted.append(brief)
        return await super().draft(brief)


async def test_a_refused_first_script_is_shown_with_its_log_and_is_no_member_of_a_blend(
    tmp_path: Path,
) -> None:
    folder = await play(tmp_path, Redrafter(), steps=1)
    run = open_run(folder)
    try:
        (event,) = events(folder, "attempt")
        head = next(
            attempt for attempt in map(run.attempt, _attempt_refs(folder)) if attempt.id == "t0s0"
        )
        refused = head.evolve(
            verdict="rejected", codes=["leak_audit"], reasons=["by more than 3 standard errors"]
        )
        assert is_blendable(head) and not is_blendable(refused)
        ref = run.artifacts.put_json(refused.dump())
        shown = refused_script(run, Trace(trace=0, step=1, head=ref))
        assert shown is not None and "unmatched 216" in shown.log
        assert shown.reasons == ["by more than 3 standard errors"] and "random" in shown.script
        assert refused_script(run, Trace(trace=0, step=1, head=head.ref)) is None
        assert event["verdict"] == "accepted"
    finally:
        await close_run(folder)


def _attempt_refs(folder: Path) -> list[str]:
    """The hashes of all stored attempts."""
    refs = []
    for path in (folder / "artifacts").glob("*/*"):
        text = path.read_text(errors="replace")
        if text.startswith("{") and '"prev"' in text and '"verdict"' in text:
            Attempt.model_validate_json(text)
            refs.append(path.name)
    return refs
