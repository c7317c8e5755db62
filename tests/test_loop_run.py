"""The whole loop with real parts: worker, sandbox, checkpoints, artifact store."""

from __future__ import annotations

import csv
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from kit import FAULTS, HONEST, REVERSED, Player, events, quick, write_task

from policies.protocol import Choice, View
from reasoner.protocol import DraftBrief, ReasonerUnavailableError, Solution
from scoring.acceptance import Judgement, judge_attempt, one_reason
from session.session import resume_run, start_run
from task.types import Grade


async def test_better_scripts_are_accepted_and_the_best_is_published(tmp_path: Path) -> None:
    task = write_task(tmp_path / "task")
    player = Player(
        [
            HONEST.format(noise=3),
            HONEST.format(noise=1),
            HONEST.format(noise=5),
            HONEST.format(noise=0.01),
        ]
    )
    outcome = await start_run(str(task), quick(tmp_path, steps=4), reasoner=player)
    verdicts = [event["verdict"] for event in events(outcome.folder, "attempt")]
    assert verdicts == ["accepted", "accepted", "rejected", "accepted"]
    assert outcome.reason == "budget: steps" and outcome.score is not None and outcome.score > 0.9
    assert ids(outcome.folder / "best" / "submission.csv") == ids(task / "test.csv")
    curve = outcome.curve
    assert curve is not None and curve == events(outcome.folder, "run_ended")[0]["curve"]
    assert curve["executions"] == 4 and curve["zero_is"] == "baseline"
    assert curve["by_executions"]["area"] < curve["last_gain"]


def ids(path: Path) -> list[str]:
    return [row["id"] for row in csv.DictReader(path.read_text().splitlines())]


async def test_best_solution_runs_alone(tmp_path: Path) -> None:
    task = write_task(tmp_path / "task")
    outcome = await start_run(
        str(task), quick(tmp_path, steps=1), reasoner=Player([HONEST.format(noise=0.1)])
    )
    folder = outcome.folder / "best"
    before = (folder / "submission.csv").read_text()
    done = subprocess.run(
        [sys.executable, "solution.py"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len((folder / "submission.csv").read_text().splitlines()) == len(before.splitlines())


@pytest.mark.parametrize(
    ("fault", "word"),
    [
        ("crash", "boom in fit"),
        ("hang", "time"),
        ("nan", "nan"),
        ("rows", "row"),
        ("nothing", "oof.csv"),
    ],
)
async def test_a_faulty_script_is_recorded_with_its_reason_and_the_run_continues(
    tmp_path: Path, fault: str, word: str
) -> None:
    task = write_task(tmp_path / "task")
    player = Player([HONEST.format(noise=2), FAULTS[fault], HONEST.format(noise=0.01)])
    outcome = await start_run(
        str(task), quick(tmp_path, max_repairs=0, run_time_s=3), reasoner=player
    )
    first, faulty, last = events(outcome.folder, "attempt")
    assert (first["verdict"], faulty["verdict"], last["verdict"]) == (
        "accepted",
        "failed",
        "accepted",
    )
    assert word in " ".join(faulty["reasons"]).lower()


@pytest.mark.slow
async def test_a_script_that_prints_a_gigabyte_costs_the_host_little(tmp_path: Path) -> None:
    task = write_task(tmp_path / "task")
    outcome = await start_run(
        str(task),
        quick(tmp_path, max_repairs=0, run_time_s=60),
        reasoner=Player([HONEST.format(noise=2), FAULTS["flood"]]),
    )
    faulty = events(outcome.folder, "attempt")[1]
    assert faulty["verdict"] == "failed"
    log = outcome.folder / "artifacts" / faulty["log"][:2] / faulty["log"]
    assert log.stat().st_size < 4 * 2**20


async def test_a_crash_reaches_the_repair_with_its_evidence(tmp_path: Path) -> None:
    task = write_task(tmp_path / "task")
    outcome = await start_run(
        str(task), quick(tmp_path, steps=1), reasoner=Player([FAULTS["crash"]])
    )
    assert "boom in fit" in json.dumps(events(outcome.folder, "repaired")[0])
    attempt = events(outcome.folder, "attempt")[0]
    assert (attempt["kind"], attempt["verdict"], attempt["repairs"]) == ("repair", "accepted", 1)


async def test_rows_in_another_order_are_accepted(tmp_path: Path) -> None:
    task = write_task(tmp_path / "task")
    outcome = await start_run(
        str(task), quick(tmp_path, steps=1), reasoner=Player([REVERSED.format(noise=0.01)])
    )
    assert outcome.score is not None and outcome.score > 0.9


async def test_a_run_without_success_ends_and_reports_it(tmp_path: Path) -> None:
    task = write_task(tmp_path / "task")
    settings = quick(tmp_path, steps=6, max_repairs=0, max_failures=2)
    outcome = await start_run(str(task), settings, reasoner=Player([FAULTS["crash"]]))
    assert outcome.reason == "no valid script" and outcome.score is None and outcome.is_baseline
    assert outcome.submission is not None and ids(outcome.submission) == ids(task / "test.csv")
    assert len(events(outcome.folder, "attempt")) == 2


async def test_resuming_a_run_that_ended_changes_nothing(tmp_path: Path) -> None:
    task = write_task(tmp_path / "task")
    first = await start_run(
        str(task), quick(tmp_path, steps=1), reasoner=Player([HONEST.format(noise=0.1)])
    )
    again = await resume_run(first.folder)
    assert (again.reason, again.score) == (first.reason, first.score)
    assert len(events(first.folder, "execution_started")) == 1


async def test_traces_share_measured_hypotheses_through_the_memory(tmp_path: Path) -> None:
    task = write_task(tmp_path / "task")
    player = Player([HONEST.format(noise=3), HONEST.format(noise=0.5), HONEST.format(noise=0.3)])
    outcome = await start_run(
        str(task), quick(tmp_path, traces=2, memory=str(tmp_path / "memory")), reasoner=player
    )
    hints = [hint for event in events(outcome.folder, "recalled") for hint in event["hints"]]
    assert hints and all(hint["where"].startswith(f"run {outcome.run}") for hint in hints)
    (used,) = events(outcome.folder, "embedding")
    stored = json.loads((outcome.folder / "run.json").read_text())["embedding"]
    assert used["name"] == stored["name"] == "lexical-1"
    assert not events(outcome.folder, "warning")


async def test_a_run_is_driven_by_one_process_at_a_time(tmp_path: Path) -> None:
    from run.lock import RunError, drive_alone

    with (
        drive_alone(tmp_path),
        pytest.raises(RunError, match="already being driven by this process"),
        drive_alone(tmp_path),
    ):
        pass


class Breaking(Player):
    """Its second draft finds no model, until it is mended."""

    broken = True

    async def draft(self, brief: DraftBrief) -> Solution:
        if brief.stage.step == 1 and self.broken:
            raise ReasonerUnavailableError("the endpoint is down")
        return await super().draft(brief)


def draft_again(view: View, rng: random.Random) -> Choice:
    return Choice("draft", None, f"own policy, {len(view.attempts)} before")


async def test_a_policy_of_ones_own_chooses_every_step_also_after_a_resume(tmp_path: Path) -> None:
    task = write_task(tmp_path / "task")
    player = Breaking([HONEST.format(noise=noise) for noise in (3, 1, 0.1)])
    folder = tmp_path / "run"
    with pytest.raises(ReasonerUnavailableError, match="gome resume"):
        await start_run(
            str(task), quick(tmp_path), folder=folder, reasoner=player, policy=draft_again
        )
    player.broken = False
    await resume_run(folder, reasoner=player, policy=draft_again)
    attempts = events(folder, "attempt")
    assert [event["mode"] for event in attempts] == ["draft"] * 3
    assert [event["why"] for event in attempts] == [f"own policy, {n} before" for n in range(3)]


def accept_all(grade: Grade, *, has_best: bool, **given: Any) -> Judgement:
    if not grade.ok or not has_best:
        return judge_attempt(grade, has_best=has_best, **given)
    return one_reason("accepted", True, "mine", "my rule accepts all")


async def test_an_acceptance_rule_of_ones_own_judges_every_attempt(tmp_path: Path) -> None:
    task = write_task(tmp_path / "task")
    player = Player([HONEST.format(noise=noise) for noise in (0.1, 5, 9)])
    outcome = await start_run(str(task), quick(tmp_path), reasoner=player, acceptance=accept_all)
    attempts = events(outcome.folder, "attempt")
    assert [event["verdict"] for event in attempts] == ["accepted"] * 3
    assert [event["codes"] for event in attempts] == [
        ["first_valid"],
        ["mine"],
        ["mine", "below_run"],
    ]


@pytest.mark.parametrize(
    ("first", "second"),
    [(HONEST.format(noise=3.0), 2.9), (FAULTS["crash"], 0.1)],
    ids=["honest", "repaired"],
)
async def test_a_trace_goes_on_from_the_best_of_its_first_drafts(
    tmp_path: Path, first: str, second: float
) -> None:
    """Of two within noise it is the one with the better score, whichever came first."""
    task = write_task(tmp_path / "task")
    player = Player([first, *(HONEST.format(noise=noise) for noise in (second, 3.05, 3.1, 2.0))])
    settings = quick(tmp_path, steps=9, accept_z=9.0, step_p=1.0, ensemble=False)
    outcome = await start_run(str(task), settings, reasoner=player)
    made = events(outcome.folder, "attempt")
    assert [event["mode"] for event in made[:5]] == ["draft"] * 4 + ["directed"]
    assert [event["verdict"] for event in made[:5]] == ["accepted"] + ["tie"] * 4
    assert made[4]["parent"] == "t0s1"
