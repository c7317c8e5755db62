"""Scripts that may run long are rehearsed on a sample: a crash there costs no execution."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from kit import HONEST, Player, events, quick, write_task

from reasoner.chat.answer.convert import solution_from_repair
from reasoner.chat.answer.edits import AnswerError
from reasoner.chat.answer.schemas import RepairAnswer
from reasoner.protocol import RepairBrief, Resources, Solution, Stage, TaskBrief
from report.event_log import load_view
from report.harness_work import rehearsal_sentence
from run.attempt import ExecutionRecord, Sampled
from scoring.rehearsal import describe_rehearsal, extrapolate_s
from session.session import resume_run, start_run

SLOW = "import time\ntime.sleep(2)\n"
CRASH_LATE = HONEST.format(noise=1).replace(
    "folds = [", "import time\ntime.sleep(0.002 * len(train))\nraise ValueError('boom')\nfolds = ["
)  # its time grows with the rows: 3 s here stand for minutes
WANTS_ALL = HONEST.format(noise=0.1) + "\nassert len(train) == 1500, 'too few rows'\n"
N = 1500


class Repairer(Player):
    """Repairs with the scripts given, in order; it remembers what it was told."""

    def __init__(self, scripts: list[str], repairs: list[str]) -> None:
        super().__init__(scripts)
        self.repairs, self.briefs = repairs, list[RepairBrief]()

    async def repair(self, brief: RepairBrief) -> Solution:
        self.briefs.append(brief)
        script = self.repairs[min(len(self.briefs), len(self.repairs)) - 1]
        return Solution(script=script, summary="repaired", cause="boom", fix="none")


async def test_a_late_crash_costs_no_execution(tmp_path: Path) -> None:
    task = write_task(tmp_path / "task", n=N)
    reasoner = Repairer([SLOW + HONEST.format(noise=2), CRASH_LATE], [HONEST.format(noise=0.1)])
    settings = quick(tmp_path, steps=2, rehearse_s=1, run_time_s=60, max_executions=5)
    outcome = await start_run(str(task), settings, reasoner=reasoner)
    first, second = events(outcome.folder, "attempt")
    assert (first["verdict"], second["verdict"]) == ("accepted", "accepted")
    assert second["repairs"] == 1
    crashed = events(outcome.folder, "rehearsed")[0]
    assert (crashed["attempt"], crashed["failed"], crashed["exit_code"]) == ("t0s1", True, 1)
    assert (crashed["rows"], crashed["of"]) == (300, N)
    assert crashed["expected_s"] > crashed["seconds"] - 0.1
    started = events(outcome.folder, "execution_started")
    assert [event["attempt"] for event in started] == ["t0s0", "t0s1"]
    finished = [event["attempt"] for event in events(outcome.folder, "execution_finished")]
    assert finished == ["t0s0", "t0s1"]  # one execution an attempt: the crash was none
    (brief,) = reasoner.briefs
    assert brief.problems[0].startswith("in a rehearsal on 300 of 1,500 training rows: ")
    assert "boom" in brief.problems[0] and "no execution was spent" in brief.rehearsal
    view = load_view(outcome.folder)
    assert "found a failure" in rehearsal_sentence(view)
    assert (await resume_run(outcome.folder, reasoner=reasoner)).score == outcome.score


@pytest.mark.slow
async def test_short_scripts_and_small_tasks_are_not_rehearsed(tmp_path: Path) -> None:
    cases: list[tuple[int, dict[str, Any]]] = [
        (N, {}),
        (N, {"rehearse_s": 0}),
        (100, {"rehearse_s": 1}),
    ]
    for number, (n, changes) in enumerate(cases):
        place = tmp_path / str(number)
        task = write_task(place / "task", n=n)
        scripts = [SLOW + HONEST.format(noise=2), SLOW + HONEST.format(noise=0.1)]
        settings = quick(place, steps=2, run_time_s=60, **changes)
        outcome = await start_run(str(task), settings, reasoner=Player(scripts))
        assert not events(outcome.folder, "rehearsed")
        assert len(events(outcome.folder, "execution_finished")) == 2


@pytest.mark.slow
async def test_a_script_that_the_reasoner_stands_by_runs_on_all_rows(tmp_path: Path) -> None:
    task = write_task(tmp_path / "task", n=N)
    reasoner = Repairer([SLOW + HONEST.format(noise=2), WANTS_ALL], [WANTS_ALL])
    settings = quick(tmp_path, steps=2, rehearse_s=1, run_time_s=60)
    outcome = await start_run(str(task), settings, reasoner=reasoner)
    assert [event["failed"] for event in events(outcome.folder, "rehearsed")] == [True]
    assert [event["verdict"] for event in events(outcome.folder, "attempt")] == ["accepted"] * 2


async def test_after_the_last_repair_the_script_runs_whatever_the_sample_says(
    tmp_path: Path,
) -> None:
    task = write_task(tmp_path / "task", n=N)
    other = WANTS_ALL + "print('another')\n"
    reasoner = Repairer([SLOW + HONEST.format(noise=2), WANTS_ALL], [other])
    settings = quick(tmp_path, steps=2, rehearse_s=1, run_time_s=60, max_repairs=1)
    outcome = await start_run(str(task), settings, reasoner=reasoner)
    assert len(events(outcome.folder, "rehearsed")) == 1
    assert events(outcome.folder, "attempt")[1]["verdict"] == "accepted"


@pytest.mark.slow
async def test_missing_files_and_long_rehearsals(tmp_path: Path) -> None:
    task = write_task(tmp_path / "task", n=N)
    no_file = HONEST.format(noise=1) + "\nimport os\nos.remove('oof.csv')\n"
    hang = "import time\nif len(open('input/train.csv').readlines()) < 400:\n    time.sleep(600)\n"
    scripts = [SLOW + HONEST.format(noise=2), no_file, hang + HONEST.format(noise=0.1)]
    reasoner = Repairer(scripts, [HONEST.format(noise=0.5)])
    settings = quick(tmp_path, steps=3, rehearse_s=0.01, run_time_s=20)
    outcome = await start_run(str(task), settings, reasoner=reasoner)
    by_attempt = {event["attempt"]: event for event in events(outcome.folder, "rehearsed")[::-1]}
    assert by_attempt["t0s1"]["failed"] is True
    assert "wrote no oof.csv" in reasoner.briefs[0].problems[0]
    slow = by_attempt["t0s2"]
    assert (slow["end"], slow["failed"]) == ("timeout", False)  # short of time is no failure
    assert slow["expected_s"] > 15
    assert events(outcome.folder, "attempt")[2]["verdict"] == "accepted"


def test_the_seconds_grow_with_the_rows_but_for_the_start() -> None:
    sampled = Sampled(rows=50, of=1000)
    record = ExecutionRecord(exit_code=0, wall_s=12.0, rehearsed=sampled)
    assert extrapolate_s(record) == 202.0
    assert extrapolate_s(record.evolve(wall_s=1.0)) == 1.0
    assert describe_rehearsal(record, None) == ""
    assert "ended well" in describe_rehearsal(record.evolve(rehearsed=None), 202.0)


def test_only_after_a_rehearsal_an_answer_may_stand_by_the_script() -> None:
    task = TaskBrief(
        name="t",
        description="",
        kind="binary",
        metric="auc",
        direction="max",
        id="id",
        target=["y"],
        columns=["id", "y"],
        split={},
        inputs=[],
        n_train=10,
        n_test=5,
    )
    base: dict[str, Any] = {
        "task": task,
        "profile": {},
        "resources": Resources(wall_s=60, memory_bytes=2**30, cpus=2),
        "stage": Stage(phase="improve", used=0.2, step=2, trace=0, n_traces=2),
        "script": "print(1)\n",
        "evidence": {},
    }
    answer = RepairAnswer.model_validate(
        {"cause": "few rows", "fix": "none", "edits": [], "script": "", "summary": ""}
    )
    kept = solution_from_repair(answer, RepairBrief(**base, rehearsal="it ran on a sample"))
    assert kept.script == "print(1)\n"
    with pytest.raises(AnswerError):
        solution_from_repair(answer, RepairBrief(**base))
