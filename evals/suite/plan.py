"""Which contestants meet which tasks: the loop of a contest, several at the same time."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from evals.harness.pages import append_row, read_rows
from evals.suite.catalogue import halves
from evals.suite.contest import (
    CONTESTANTS,
    Budget,
    ContestRow,
    read_commit,
    row_as_json,
    run_contestant,
)
from evals.suite.task import SuiteTask, write_suite_task
from evals.suite.wheels import Wheels
from task.client import TaskWorker


@dataclass(frozen=True)
class ContestPlan:
    """Contestants, budget and places of a contest."""

    names: Sequence[str]
    folder: Path  # of the task folders
    results: Path  # file
    wheels: Path  # folder
    budget: Budget
    jobs: int = 1  # contestants at the same time
    python: str = sys.executable  # of the contestants but Gome and AutoGluon
    autogluon: str = ""  # Python of the environment that has it


async def run_tasks(tasks: list[SuiteTask], plan: ContestPlan) -> None:
    """Run the contestants on every task that the results lack; print and append a line for each."""
    read_commit()  # the code that runs, whatever the checkout becomes meanwhile
    plan.results.parent.mkdir(parents=True, exist_ok=True)
    done = {(row["task"], row["contestant"]) for row in read_rows(plan.results)}
    for task in tasks:
        write_suite_task(task, Wheels(plan.wheels), plan.folder / task.name)
    slots = asyncio.Semaphore(plan.jobs)
    async with open_worker() as worker:

        async def run_one(task: SuiteTask, name: str) -> None:
            folder, half = plan.folder / task.name, halves()[task.name]
            python = plan.autogluon if name == "autogluon" else plan.python
            async with slots:
                one = CONTESTANTS[name]
                row = await run_contestant(one, task, half, folder, plan.budget, python, worker)
            append_row(plan.results, row_as_json(row))
            print(describe_row(row, shows_score=half != "final"), flush=True)

        pairs = [(task, name) for task in tasks for name in plan.names]
        missing = [(task, name) for task, name in pairs if (task.name, name) not in done]
        await asyncio.gather(*(run_one(*pair) for pair in missing))


@asynccontextmanager
async def open_worker() -> AsyncIterator[TaskWorker]:
    """Yield a worker that is closed at the end."""
    worker = TaskWorker()
    try:
        yield worker
    finally:
        await worker.close()


def describe_row(row: ContestRow, *, shows_score: bool) -> str:
    """Return a line on a contestant; scores of the final half are for its page."""
    score = "graded" if row.private is not None else row.failure
    if shows_score and row.private is not None:
        score = f"{row.private:.5g}"
    return f"{row.task:14} {row.contestant:10} {row.metric:18} {score:>10}  {row.seconds:.0f} s"
