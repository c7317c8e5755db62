"""The budget: its plan, the limit of a script, and runs that end at a limit."""

from __future__ import annotations

from pathlib import Path

import pytest
from kit import HONEST, Player, events, quick, write_task
from trust_kit import binary_frames, one_column, open_run_without_worker, write_frames

from graph.state import Used
from run import budget
from run.registry import close_run
from session.session import start_run


async def test_the_plan_divides_the_budget_and_keeps_a_reserve(tmp_path: Path) -> None:
    run = open_run_without_worker(tmp_path, time_s=1000, max_executions=40, max_tokens=1000)
    try:
        plan = budget.budget_plan(run)
        assert plan["seconds"] == {"draft": 100, "improve": 800, "finalize": 100}
        assert plan["executions"]["finalize"] == 4 and plan["tokens"]["draft"] == 100
        used = Used(executions=35)
        assert (
            budget.exhausted_budget(run, used) == ""
            and budget.exhausted_budget(run, used.evolve(executions=36)) == "budget: executions"
        )
    finally:
        await close_run(run.folder)


async def test_the_target_reached_ends_the_run_early(tmp_path: Path) -> None:
    task = write_task(tmp_path / "task")
    outcome = await start_run(
        str(task),
        quick(tmp_path, steps=5, target=0.8),
        reasoner=Player([HONEST.format(noise=0.01)] * 5),
    )
    assert outcome.reason == "target" and len(events(outcome.folder, "attempt")) == 1


async def test_a_limit_of_executions_ends_the_run_with_a_valid_submission(tmp_path: Path) -> None:
    task = write_task(tmp_path / "task")
    scripts = [HONEST.format(noise=noise) for noise in (3, 2, 1, 0.5, 0.1)]
    outcome = await start_run(
        str(task), quick(tmp_path, steps=5, max_executions=3), reasoner=Player(scripts)
    )
    assert (
        outcome.reason == "budget: executions"
        and outcome.submission is not None
        and outcome.submission.exists()
    )
    assert len(events(outcome.folder, "execution_finished")) <= 3


@pytest.mark.slow
async def test_out_of_time_keeps_the_best_submission(tmp_path: Path) -> None:
    task = write_frames(tmp_path / "task", *binary_frames(300, 60), metric="auc")
    outcome = await start_run(
        str(task),
        quick(tmp_path, steps=5000, time_s=15),
        reasoner=Player([one_column("x", noise=2.0)] * 5000),
    )
    assert (
        outcome.reason == "budget: time"
        and outcome.submission is not None
        and outcome.submission.exists()
    )
