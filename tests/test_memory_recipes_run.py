"""Every fragment of Gome's own recipes runs as a step of the plain script, on made-up tasks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evals.harness.file_tasks import WRITERS, write_table
from evals.harness.forked import ForkedSandbox
from graph.settings import Settings
from memory.recipes.library import BOOK, read_folder
from memory.recipes.plain_script import plain_script, redefined_steps
from memory.recipes.spec import Recipe
from session.recipe_trials import (
    TrialBench,
    TrialTask,
    open_task,
    open_trials,
    run_script,
    unmet_here,
)

N_ROWS = 240
WORDS = ["red", "blue", "green", "small", "large", "old", "new", "fast", "slow", "warm"]
SHAPES = {"CCO": 3, "CCN(C)C": 5, "c1ccccc1": 6, "CC(=O)O": 4, "C#N": 2, "CCl": 2, "OCC=C": 4}
ASKED = frozenset({"large"})
"""Traits that a made-up task is taken to have."""


def write_task(
    folder: Path, target: str, metric: str, names: Sequence[str], rows: Sequence[Sequence[Any]]
) -> None:
    """Write a task whose last column is the target; every third row is a test row."""
    folder.mkdir(parents=True, exist_ok=True)
    train = [row for i, row in enumerate(rows) if i % 3]
    test = [row for i, row in enumerate(rows) if i % 3 == 0]
    write_table(folder / "train.csv", ["id", *names, target], train)
    write_table(folder / "test.csv", ["id", *names], [row[:-1] for row in test])
    sample = [(row[0], rows[1][-1]) for row in test]
    write_table(folder / "sample_submission.csv", ["id", target], sample)
    (folder / "task.yaml").write_text(
        f"name: {folder.name}\nmetric: {metric}\ntrain: train.csv\ntest: test.csv\n"
        f"sample_submission: sample_submission.csv\nid: id\ntarget: {target}\n"
    )


def write_trips(folder: Path, metric: str) -> None:
    """Counts of trips by place, date and kind; many are zero, but not for relative errors."""
    rng = np.random.default_rng(0)
    rows = []
    for i in range(N_ROWS):
        lat, lon, level = rng.normal(), rng.normal(), rng.integers(20)
        rate = np.exp(1.5 * lat - abs(lon)) * (rng.random() < 0.8)
        gap = "" if rng.random() < 0.1 else f"{rng.lognormal():.3f}"
        day = f"2024-{1 + i * 12 // N_ROWS:02}-{1 + i % 28:02}"
        count = 1 + int(20 * rate) if metric == "mape" else int(rng.poisson(rate))
        rows.append((f"r{i:03}", f"{lat:.4f}", f"{lon:.4f}", gap, f"k{level:02}", day, count))
    write_task(folder, "n", metric, ["lat", "lon", "fee", "kind", "day"], rows)


def write_pairs(folder: Path) -> None:
    """Two texts of a row, and whether they share their first words."""
    rng = np.random.default_rng(1)
    rows = []
    for i in range(N_ROWS):
        one, two = (" ".join(rng.choice(WORDS, 14)) for _ in range(2))
        same = int(rng.integers(2))
        two = one[:30] + two if same else two
        rows.append((f"r{i:03}", one, two, same))
    write_task(folder, "same", "auc", ["question", "answer"], rows)


def write_molecules(folder: Path) -> None:
    """A structure as SMILES and as a file of atoms; the target is its size."""
    rng = np.random.default_rng(2)
    rows = []
    for i in range(N_ROWS):
        smiles = "".join(rng.choice(list(SHAPES), rng.integers(1, 4)))
        n = len(smiles)
        part = "train" if i % 3 else "test"
        (folder / part).mkdir(parents=True, exist_ok=True)
        places = rng.normal(size=(n, 3)).round(3).tolist()
        atoms = [f"C {x} {y} {z}" for x, y, z in places]
        (folder / part / f"r{i:03}.xyz").write_text("\n".join([str(n), "made up", *atoms]))
        rows.append((f"r{i:03}", smiles, round(n + rng.normal(), 2)))
    write_task(folder, "size", "rmse", ["smiles"], rows)


def made_up_tasks(place: Path) -> Iterator[Path]:
    """Write the tasks and yield their folders."""
    for metric in ("rmse", "mape", "spearman"):
        write_trips(place / f"trips-{metric}", metric)
        yield place / f"trips-{metric}"
    write_pairs(place / "pairs")
    write_molecules(place / "molecules")
    yield place / "pairs"
    yield place / "molecules"
    for name, write in WRITERS.items():
        write(place / name)
        yield place / name


def first_fit(recipe: Recipe, tasks: Sequence[TrialTask]) -> TrialTask | None:
    """Return the first task that a recipe fits, were it as large as the recipe asks for."""
    when = recipe.when.model_copy(update={"rows": type(recipe.when.rows)()})
    asked = recipe.model_copy(update={"when": when})
    for task in tasks:
        facts = replace(task.facts, traits=task.facts.traits | ASKED)
        if not unmet_here(asked, replace(task, facts=facts)):
            return task
    return None


@pytest.mark.slow
async def test_every_fragment_that_fits_a_made_up_task_runs_and_is_graded(tmp_path: Path) -> None:
    said: list[str] = []
    ran, failed = [], []
    trials = open_trials(Settings(), seeds=1, limit_s=120, say=said.append, inner=ForkedSandbox())
    async with trials as bench:
        tasks = [await open_task(bench, folder) for folder in made_up_tasks(tmp_path)]
        for recipe in read_folder(BOOK, own=True).recipes:
            task = first_fit(recipe, tasks) if redefined_steps(recipe.code) else None
            if task is not None:
                ran.append(recipe.id)
                failed += [] if await runs(bench, recipe, task) else [recipe.id]
    assert not failed, "\n".join(said)
    assert {"geometry-distances", "text-pair-overlap", "places-clusters-and-turns"} <= set(ran)
    assert len(ran) > 60


async def runs(bench: TrialBench, recipe: Recipe, task: TrialTask) -> bool:
    """Whether the plain script with the recipe's code is valid."""
    script = plain_script(task.brief, task.profile, recipe)
    return bool(await run_script(bench, task, script, 0, recipe.id))
