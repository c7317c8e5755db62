"""Measure Gome's own recipes and write the evidence into their files.

    python -m evals.suite make --half tuning --tasks FOLDER
    python -m evals.studies.recipes [--suite FOLDER] [--seconds 330] [ID ...]
    python -m evals.studies.recipes --spread

Tasks: planted and real ones of the suites, the four of evals/harness/file_tasks.py, and the tuning
half of the suite (never the final one). Each recipe is measured on at most `--tasks` of those that
meet its conditions, in an order drawn by its id; recipes with the fewest tasks come first. The
command ends after `--seconds` and goes on where it was when it is called again: what was measured
of the same code under as many seeds stays, and code in which nothing depends on the seed is run
once. Recipes without a matching task stay untested. Then `make reference` writes the page.
`--spread` prints what the rule of verdicts assumes of all recipes, as the book shows it, and how
often luck gives a verdict under that rule.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import itertools
import json
import math
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.optimize import brentq
from scipy.special import digamma, polygamma

from evals.harness.file_tasks import WRITERS
from evals.harness.forked import ForkedSandbox
from evals.harness.pages import CACHE
from evals.harness.suites import REAL, SUITES, write_suite_task
from evals.suite.catalogue import tasks_of_half
from graph.settings import Settings
from memory.recipes.evidence import (
    Evidence,
    TaskGain,
    merge_evidence,
    read_evidence,
    with_evidence,
)
from memory.recipes.library import BOOK, read_folder, recipe_path, write_recipe_file
from memory.recipes.plain_script import plain_script
from memory.recipes.spec import Recipe
from run.artifacts import write_atomic
from session.recipe_trials import (
    N_FOLDS,
    TrialBench,
    TrialTask,
    make_trial_task,
    matching_tasks,
    measure_recipe,
    n_seeds,
    open_trials,
    task_word,
)
from task.types import Prepared

TASKS = (*WRITERS, *SUITES["planted"], *REAL)
LIMIT_S = 60.0
N_DRAWN = 2000
TURN = 3
"""Tasks of a recipe before the next one has its turn."""


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
    """Measure recipes, or those of `names`, on more tasks until time is up."""
    end = time.monotonic() + seconds
    sandbox = ForkedSandbox() if forked else None
    async with open_trials(
        Settings(), seeds=seeds, limit_s=LIMIT_S, say=print, inner=sandbox
    ) as bench:
        folders = write_tasks(root, suite)
        tasks = [await open_stored_task(bench, folder, root / "prepared") for folder in folders]
        for least in range(TURN, n_tasks + TURN, TURN):
            for recipe in read_folder(BOOK, own=True).recipes:
                if names and recipe.id not in names:
                    continue
                new = unmeasured_tasks(recipe, tasks, min(least, n_tasks), seeds)
                if time.monotonic() > end:
                    print("time is up; call again to go on")
                    return
                if new:
                    await measure_one(bench, recipe, new, root / "prepared")


def unmeasured_tasks(
    recipe: Recipe, tasks: Sequence[TrialTask], least: int, seeds: int
) -> list[TrialTask]:
    """Return the tasks that the recipe lacks to have been tried on at least so many.

    Tried: under as many seeds, where something depends on them. Those under fewer come first.
    """
    drawn = draw_tasks(recipe, tasks, len(tasks))
    evidence = read_evidence(recipe)
    new = list(drawn)
    if evidence:  # a task is what its name says: some are written anew, with a row more or less
        new = [
            task
            for task in drawn
            if task_word(task)
            not in evidence.measured_under(n_seeds(recipe, task, seeds)).union(evidence.failed)
        ]
    new.sort(key=lambda task: not evidence or task_word(task) not in evidence.tried)
    return new[: max(0, least - (len(drawn) - len(new)))]


async def measure_one(
    bench: TrialBench, recipe: Recipe, tasks: Sequence[TrialTask], store: Path
) -> None:
    """Measure a recipe on more tasks and write its evidence."""
    for task in tasks:
        load_plain_files(bench, task, store)
    evidence = await measure_recipe(bench, recipe, tasks)
    for task in tasks:
        await store_plain_files(bench, task, store)
    if evidence is None:
        print(f"{recipe.id}: the plain script fails on all of its tasks", flush=True)
        return
    evidence = merge_evidence(read_evidence(recipe), evidence)
    text = with_evidence(recipe_path(recipe).read_text("utf-8"), recipe, evidence)
    write_recipe_file(recipe, text)
    print(f"{recipe.id}: {evidence.describe()} {' '.join(evidence.failed)}", flush=True)


def plain_folder(task: TrialTask, store: Path) -> Path:
    """Return where the files of this task's plain script are kept; another script, another name."""
    script = plain_script(task.brief, task.profile)
    name = hashlib.sha256(script.encode()).hexdigest()[:16]
    return store / task.folder.name / f"plain-{name}"


def load_plain_files(bench: TrialBench, task: TrialTask, store: Path) -> None:
    """Give the bench what the plain script wrote in an earlier call."""
    place = plain_folder(task, store)
    if str(task.folder) not in bench.plain and place.is_dir():
        files: asyncio.Future[dict[str, str]] = asyncio.get_running_loop().create_future()
        files.set_result({path.name: str(path) for path in place.iterdir()})
        bench.plain[str(task.folder)] = files


async def store_plain_files(bench: TrialBench, task: TrialTask, store: Path) -> None:
    """Keep what the plain script wrote for later calls."""
    files = await bench.plain[str(task.folder)]
    place = plain_folder(task, store)
    if files and not place.is_dir():
        building = place.with_suffix(f".{os.getpid()}.part")
        shutil.rmtree(building, ignore_errors=True)
        building.mkdir(parents=True)
        for name, path in files.items():
            shutil.copyfile(path, building / name)
        building.rename(place)


def print_spread() -> None:
    """Print the prior of the spread between tasks, and rates of verdicts by luck."""
    known = [each for each in map(read_evidence, read_folder(BOOK, own=True).recipes) if each]
    squares, tasks = fit_spread([[task.z for task in one.tasks] for one in known])
    print(f"spread between tasks {squares:.2f} SE, weighing {tasks:.1f} tasks")
    rng = np.random.default_rng(0)
    for n, spread in itertools.product((3, 5, 8), (0.0, 1.0, 3.0)):
        drawn = rng.normal(0, math.hypot(1, spread), (N_DRAWN, n))
        found = sum(make_evidence(gains).verdict != "neutral" for gains in drawn)
        print(f"{n} tasks that differ by {spread:.0f} SE around 0: {found / N_DRAWN:.2%} by luck")


def fit_spread(groups: Sequence[Sequence[float]]) -> tuple[float, float]:
    """Return the spread within groups, and the degrees of freedom that its prior weighs.

    By the moments of the logarithms of their variances (Smyth 2004); groups of one say nothing.
    """
    sizes = np.array([len(group) - 1 for group in groups if len(group) > 1])
    variances = np.array([np.var(group, ddof=1) for group in groups if len(group) > 1])
    log = np.log(np.maximum(variances, 0.01)) - digamma(sizes / 2) + np.log(sizes / 2)
    excess = float(np.var(log, ddof=1) - np.mean(polygamma(1, sizes / 2)))
    if excess <= 0:
        return float(np.exp(log.mean() / 2)), math.inf
    weight = 2 * brentq(lambda x: polygamma(1, x) - excess, 1e-3, 1e4)
    mean = log.mean() + digamma(weight / 2) - math.log(weight / 2)
    return float(np.exp(mean / 2)), float(weight)


def make_evidence(gains: Sequence[float]) -> Evidence:
    """Return made-up evidence of these gains in standard errors."""
    tasks = [
        TaskGain(task=f"t{i}", metric="auc", rows=1, seeds=1, gain=float(gain), se=1)
        for i, gain in enumerate(gains)
    ]
    return Evidence(measured="", by="", tasks=tuple(tasks))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="ID")
    parser.add_argument("--seconds", type=float, default=330)
    parser.add_argument("--tasks", type=int, default=9)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument(
        "--forked", action="store_true", help="in forks of one process: faster, nothing is isolated"
    )
    parser.add_argument("--spread", action="store_true", help="print it and end")
    parser.add_argument("--suite", type=Path, help="folder of the suite's tasks")
    parser.add_argument("--root", type=Path, default=CACHE)
    options = parser.parse_args()
    if options.spread:
        print_spread()
        return
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
