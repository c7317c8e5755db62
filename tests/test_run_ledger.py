"""The ledger of real runs: live for all traces, rebuilt from events, shown, and remembered."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from kit import Player, events, make_record, quick, write_task
from trust_kit import one_column
from typer.testing import CliRunner

from cli.app import app
from memory.manage import select_records
from reasoner.chat.prompt.render import prompt_messages
from reasoner.protocol import DiagnoseBrief, Diagnosis, Revision, Solution, UpdateBrief
from report.event_log import load_view
from run.hints import add_hint
from run.ledger import LiveLedger
from run.registry import close_run, open_run
from session.fork import fork_run
from session.session import Outcome, start_run

HINT = "try ratios of x and y"


class Halves(Player):
    """Each trace knows one column; later steps change nothing that counts."""

    def __init__(self, root: Path) -> None:
        super().__init__([one_column("x"), one_column("y", sign=-1)])
        self.root = root
        self.diagnosed: list[DiagnoseBrief] = []
        self.updated: list[UpdateBrief] = []

    async def draft(self, brief: Any) -> Solution:
        return Solution(script=self.scripts[brief.stage.trace], summary=f"half {brief.stage.trace}")

    async def diagnose(self, brief: DiagnoseBrief) -> Diagnosis:
        self.diagnosed.append(brief)
        known = {claim.claim: claim.id for claim in brief.ledger.claims}
        diagnosis = await super().diagnose(brief)
        if brief.stage.step == 1:
            (folder,) = (self.root / "runs").iterdir()
            add_hint(folder, HINT, key="one")
            return diagnosis
        half = f"half {brief.stage.trace}"
        words = Revision(id=known[half], claim=f"{half}, in new words")
        return Diagnosis(hypotheses=diagnosis.hypotheses, revisions=[words])

    async def update(self, brief: UpdateBrief) -> Solution:
        self.updated.append(brief)
        script = self.scripts[brief.stage.trace] + f"# step {brief.stage.step}\n"
        hypothesis = brief.diagnosis.hypotheses[0]
        return Solution(script=script, summary="the same", hypothesis=hypothesis)


class Done:
    """A finished run, its player, and the folder of its memory."""

    def __init__(self, root: Path) -> None:
        self.player = Halves(root)
        self.player.scripts += ["", ""]
        self.memory = str(root / "memory")
        settings = quick(root, traces=2, steps=3, memory=self.memory, time_s=900, ahead=0)
        task = write_task(root / "task", n=300)
        self.outcome: Outcome = asyncio.run(start_run(str(task), settings, reasoner=self.player))
        self.folder = self.outcome.folder


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    return Done(tmp_path_factory.mktemp("ledger"))


async def test_the_live_ledger_is_rebuilt_from_the_events_alone(done: Done) -> None:
    live = open_run(done.folder).ledger
    await close_run(done.folder)
    assert live.seen_by(0) == load_view(done.folder).ledger
    measured = {each.attempt for claim in live.all_claims() for each in claim.measured}
    assert measured == {event["id"] for event in events(done.folder, "attempt")}


def test_every_trace_sees_drafts_blends_hints_and_results_of_all(done: Done) -> None:
    last = max(done.player.diagnosed, key=lambda brief: brief.stage.step)
    claims = {claim.claim: claim for claim in last.ledger.claims}
    other = f"half {1 - last.stage.trace}"
    assert other in claims or f"{other}, in new words" in claims
    own = claims.get(f"half {last.stage.trace}") or claims[f"half {last.stage.trace}, in new words"]
    assert own.held and own.score is not None
    assert any(claim.source == "blend" and claim.gain for claim in claims.values())
    assert claims[HINT].source == "person"
    text = prompt_messages("diagnose", last)[1]["content"]
    assert text.count(HINT) == 1 and f"{claims[HINT].id}: {HINT}" in text


def test_a_diagnosis_sees_how_its_script_relates_to_blend_and_siblings(done: Done) -> None:
    last = max(done.player.diagnosed, key=lambda brief: brief.stage.step)
    relations = last.evidence["relations"]
    sibling = f"t{1 - last.stage.trace}s0"
    assert relations[sibling]["half_gain"] > relations[sibling]["half_se"] > 0
    blends = [item for item in relations.values() if item["what"].startswith("blend of ")]
    assert len(blends) == 1 and f"t{1 - last.stage.trace}s" in blends[0]["what"]
    text = prompt_messages("diagnose", last)[1]["content"]
    assert f"{sibling} (half {1 - last.stage.trace}): 0." in text
    assert "its members, by weight; r with the blend: t" in text


def test_words_of_a_diagnosis_change_a_claim_and_its_numbers_stay(done: Done) -> None:
    claims = load_view(done.folder).ledger.claims.values()
    words = {claim.text for claim in claims}
    assert {"half 0, in new words", "half 1, in new words"} <= words
    (claim,) = (claim for claim in claims if claim.text == "half 0, in new words")
    (draft,) = (event for event in events(done.folder, "attempt") if event["id"] == "t0s0")
    assert claim.best is not None
    assert (claim.best.attempt, claim.best.score) == ("t0s0", draft["score"])


def test_what_no_lesson_holds_enters_the_memory_at_the_end_once(done: Done) -> None:
    records = select_records(done.memory)
    blends = [record for record in records if record.hypothesis.startswith("blend of all traces")]
    assert [record.kind for record in blends] == ["accepted"]
    assert blends[0].gain / blends[0].gain_se > 1
    lessons = [event for event in events(done.folder, "attempt") if event["component"]]
    measured = [
        each for each in lessons if each["verdict"] == "accepted" or "worse" in each["codes"]
    ]
    assert len(records) == len(measured) + len(blends)


def test_a_fork_keeps_the_claims_of_its_time_under_their_ids(done: Done) -> None:
    new = fork_run(done.folder, 1, {"traces": 2})
    whole, part = load_view(done.folder).ledger, load_view(new).ledger
    assert 0 < len(part.claims) < len(whole.claims)
    assert set(part.claims) <= set(whole.claims)
    assert {claim.source for claim in part.claims.values()} == {"draft", "blend"}


def test_gome_show_prints_the_ledger_and_its_json(done: Done) -> None:
    def show(*words: str) -> str:
        result = CliRunner().invoke(app, ["show", str(done.folder), *words], env={"COLUMNS": "160"})
        assert result.exit_code == 0, result.output
        return result.output

    assert "half 0, in new words" in show("--ledger") and "supported" in show("--ledger")
    found = json.loads(show("--ledger", "--json"))
    *_, blend = (each for each in found["claims"] if each["source"] == "blend")
    assert blend["best"]["z"] == pytest.approx(blend["best"]["gain"] / blend["best"]["gain_se"])
    page = (done.folder / "report.html").read_text()
    assert 'id="ledger"' in page and "half 0, in new words" in page


def test_attempts_whose_events_were_lost_are_read_from_their_records() -> None:
    kept = make_record("t0s0", hypothesis={"statement": "one"}, verdict="accepted", gain=2.0)
    lost = make_record("t0s1", hypothesis={"statement": "two"}, gain=1.0, gain_se=1.0)
    ledger = LiveLedger([{"ev": "attempt", "id": "t0s0", "trace": 0, "hypothesis": "one"}])
    ledger.complete([kept, lost])
    assert [len(claim.measured) for claim in ledger.all_claims()] == [1, 1]


def test_traces_that_share_nothing_have_ledgers_of_their_own() -> None:
    shared = [
        {"ev": "attempt", "id": f"t{k}s0", "trace": k, "hypothesis": f"idea {k}", "verdict": "tie"}
        for k in (0, 1)
    ]
    hint = {"ev": "hinted", "trace": None, "text": HINT}
    ledger = LiveLedger([shared[0], hint, shared[1]], sharing=False)
    words = [{claim.text for claim in ledger.seen_by(k).claims.values()} for k in (0, 1, 2)]
    assert words == [{"idea 0", HINT}, {"idea 1", HINT}, {HINT}]
