"""Measure Gome's own recipes and write the evidence into their files.

    python -m evals.suite make --half tuning --tasks FOLDER
    python -m evals.studies.recipes [--suite FOLDER] [--seconds 330] [ID ...]

Tasks: planted and real ones of the suites, the four of evals/harness/file_tasks.py, and the tuning
half of the suite (never the final one). Each recipe is measured on at most `--tasks` of those that
meet its conditions, drawn by its id. The command ends after `--seconds` and goes on with what has
no valid evidence yet when it is called again; recipes without a matching task stay untested. Then
`make reference` writes the page.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path

from evals.harness.file_tasks import WRITERS
from evals.harness.forked import ForkedSandbox
from evals.harness.pages import CACHE
from evals.harness.suites import REAL, SUITES, write_suite_task
from evals.suite.catalogue import tasks_of_half
from graph.settings import Settings
from memory.recipes.evidence import read_evidence, with_evidence
from memory.recipes.library import BOOK, read_folder, recipe_path, write_recipe_file
from memory.recipes.spec import Recipe
from run.artifacts import write_atomic
from session.recipe_trials import (
    N_FOLDS,
    TrialBench,
    TrialTask,
    make_trial_task,
    matching_tasks,
    measure_recipe,
    open_trials,
)
from task.types import Prepared

TASKS = (*WRITERS, *SUITES["planted"], *REAL)
LIMIT_S = 150.0


def write_tasks(root: Path, suite: Path | None) -> list[Path]:
    """Write the tasks below `root` unless they exist; return their folders and the suite's."""
    folders = []
    for name in TASKS:
        folder = root / "tasks" / name
        if name not in WRITERS:
            write_suite_task(name, folder)
        elif not (folder / "sample_submission.csv").exists():
            WRITERS[name](folder)
        folders.append(folder)
    names = [task.name for task in tasks_of_half("tuning")] if suite else []
    return folders + [suite / name for name in names if suite and (suite / name).is_dir()]


async def open_stored_task(bench: TrialBench, folder: Path, store: Path) -> TrialTask:
    """Open a task that an earlier call may have prepared and profiled."""
    root = store / folder.name
    known = root / "trial.json"
    if not known.is_file():
        task = await bench.worker.load_task(str(folder), None)
        root.mkdir(parents=True, exist_ok=True)
        prepared = await bench.worker.prepare(
            task, str(root / "public"), str(root / "private"), seed=0, audit=False, n_folds=N_FOLDS
        )
        profile = await bench.worker.profile(prepared)
        write_atomic(known, json.dumps([prepared.model_dump(mode="json"), profile]))
    stored, profile = json.loads(known.read_text())
    return make_trial_task(bench, folder, Prepared.model_validate(stored), profile)


def draw_tasks(recipe: Recipe, tasks: Sequence[TrialTask], n: int) -> list[TrialTask]:
    """Return at most n matching tasks, drawn by the recipe's id."""

    def order(task: TrialTask) -> str:
        return hashlib.sha256(f"{recipe.id}/{task.prepared.task.name}".encode()).hexdigest()

    return sorted(matching_tasks(recipe, tasks), key=order)[:n]


async def measure_book(
    names: Sequence[str],
    root: Path,
    suite: Path | None,
    *,
    seconds: float,
    n_tasks: int,
    seeds: int,
    forked: bool,
) -> None:
    """Measure the recipes that have no valid evidence, or those of `names`, until time is up."""
    recipes = read_folder(BOOK, own=True).recipes
    wanted = [each for each in recipes if read_evidence(each) is None]
    if names:
        wanted = sorted((r for r in wanted if r.id in names), key=lambda r: names.index(r.id))
    sandbox = ForkedSandbox() if forked else None
    async with open_trials(
        Settings(), seeds=seeds, limit_s=LIMIT_S, say=print, inner=sandbox
    ) as bench:
        bench.slots = asyncio.Semaphore(2)
        folders = write_tasks(root, suite)
        tasks = [await open_stored_task(bench, folder, root / "prepared") for folder in folders]
        end = time.monotonic() + seconds
        for recipe in wanted:
            if time.monotonic() > end:
                print("time is up; call again to go on")
                return
            await measure_one(bench, recipe, draw_tasks(recipe, tasks, n_tasks))


async def measure_one(bench: TrialBench, recipe: Recipe, tasks: Sequence[TrialTask]) -> None:
    """Measure one recipe and write its evidence; nothing where no task fits."""
    evidence = await measure_recipe(bench, recipe, tasks)
    if evidence is None:
        print(f"{recipe.id}: no task meets its conditions", flush=True)
        return
    text = with_evidence(recipe_path(recipe).read_text("utf-8"), recipe, evidence)
    write_recipe_file(recipe, text)
    print(f"{recipe.id}: {evidence.describe()} {' '.join(evidence.failed)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="ID")
    parser.add_argument("--seconds", type=float, default=330)
    parser.add_argument("--tasks", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument(
        "--forked", action="store_true", help="in forks of one process: faster, nothing is isolated"
    )
    parser.add_argument("--suite", type=Path, help="folder of the suite's tasks")
    parser.add_argument("--root", type=Path, default=CACHE)
    options = parser.parse_args()
    work = measure_book(
        options.names,
        options.root,
        options.suite,
        seconds=options.seconds,
        n_tasks=options.tasks,
        seeds=options.seeds,
        forked=options.forked,
    )
    asyncio.run(work)


if __name__ == "__main__":
    main()
