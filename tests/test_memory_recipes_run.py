"""Every fragment of Gome's own recipes runs as steps of the plain script, on a made-up task."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import replace
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import pytest_asyncio
from PIL import Image

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
RUNNABLE = [each for each in read_folder(BOOK, own=True).recipes if redefined_steps(each.code)]


def write_task(
    folder: Path,
    target: str,
    metric: str,
    names: Sequence[str],
    rows: Sequence[Sequence[Any]],
    more: str = "",
) -> None:
    """Write a task whose last columns are the targets; every third row is a test row.

    `target`: their names, with blanks between them; `more`: further lines of task.yaml.
    """
    targets = target.split()
    n = len(targets)
    folder.mkdir(parents=True, exist_ok=True)
    train = [row for i, row in enumerate(rows) if i % 3]
    test = [row for i, row in enumerate(rows) if i % 3 == 0]
    write_table(folder / "train.csv", ["id", *names, *targets], train)
    write_table(folder / "test.csv", ["id", *names], [row[:-n] for row in test])
    sample = [(row[0], *rows[1][-n:]) for row in test]
    write_table(folder / "sample_submission.csv", ["id", *targets], sample)
    (folder / "task.yaml").write_text(
        f"name: {folder.name}\nmetric: {metric}\ntrain: train.csv\ntest: test.csv\n"
        f"sample_submission: sample_submission.csv\nid: id\n"
        f"target: [{', '.join(targets)}]\n{more}"
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


def write_alarms(folder: Path, metric: str) -> None:
    """A class of a tenth of the rows, answered as a label."""
    rng = np.random.default_rng(3)
    rows = []
    for i in range(N_ROWS):
        heat, hum = rng.normal(), rng.normal()
        alarm = int(heat + hum + 0.5 * rng.normal() > 1.8)
        rows.append((f"r{i:03}", f"{heat:.3f}", f"{hum:.3f}", alarm))
    write_task(folder, "alarm", metric, ["heat", "hum"], rows)


def write_grades(folder: Path) -> None:
    """Four classes in an order, of ten columns one that matters and one that is apart in test."""
    rng = np.random.default_rng(4)
    rows = []
    for i in range(N_ROWS):
        skill, others = rng.normal(), rng.normal(size=8).round(3)
        grade = int(np.clip(np.round(1.5 + skill + 0.4 * rng.normal()), 0, 3))
        batch = round(rng.normal() + 9 * (i % 3 == 0), 3)
        rows.append((f"r{i:03}", f"{skill:.3f}", batch, *others, grade))
    names = ["skill", "batch", *(f"c{k}" for k in range(8))]
    write_task(folder, "grade", "qwk", names, rows)


def write_sales(folder: Path, metric: str) -> None:
    """A rising series by day and shop, the last third of which is to be foretold."""
    rng = np.random.default_rng(9)
    rows = []
    for i in range(N_ROWS):
        day = f"{date(2024, 1, 1) + timedelta(days=i)}"
        shop, price = rng.choice(["north", "south"]), rng.normal()
        sold = max(0.0, 20 + i / 10 + 5 * np.sin(i / 3) - 2 * price + rng.normal())
        rows.append((f"r{i:03}", day, shop, f"{price:.3f}", f"{sold:.2f}"))
    rows = in_thirds([*rows[-N_ROWS // 3 :], *rows[: -N_ROWS // 3]])
    write_task(folder, "sold", metric, ["day", "shop", "price"], rows, "split: time:day\n")


def write_winds(folder: Path) -> None:
    """Two targets that depend on one another."""
    rng = np.random.default_rng(10)
    rows = []
    for i in range(N_ROWS):
        force, turn = rng.normal(size=2).round(3)
        east = force + 0.3 * rng.normal()
        rows.append((f"r{i:03}", force, turn, round(east, 3), round(east * turn, 3)))
    write_task(folder, "east north", "rmse_mean_columns", ["force", "turn"], rows)


def write_races(folder: Path, sizes: Sequence[int] = (6,)) -> None:
    """Rows of a race compete, so many of each three races in turn; one of each wins."""
    rng = np.random.default_rng(5)
    rows = []
    for race in range(42):  # as many of each third
        n = sizes[race // 3 % len(sizes)]
        power = rng.normal(size=n)
        place = int((power + 0.5 * rng.normal(size=n)).argmax())
        for k in range(n):
            rows.append(
                (f"r{race}_{k}", race, f"{power[k]:.3f}", f"{rng.normal():.3f}", int(k == place))
            )
    names = ["race", "power", "noise"]
    rows = [row for third in range(3) for row in rows if row[1] % 3 == third]
    write_task(folder, "won", "auc", names, in_thirds(rows), "split: group:race\n")


def in_thirds(rows: Sequence[Any]) -> list[Any]:
    """Return the rows so that the first third of them become the test rows of `write_task`."""
    n = len(rows) // 3
    return [
        row for three in zip(rows[:n], rows[n : 2 * n], rows[2 * n :], strict=True) for row in three
    ]


def write_grids(folder: Path) -> None:
    """The columns are the pixels of a bright stroke, which stands or lies."""
    rng = np.random.default_rng(6)
    rows = []
    for i in range(N_ROWS):
        stands, place, cells = int(rng.integers(2)), rng.integers(1, 5), rng.normal(size=(6, 6))
        cells[(slice(None), place) if stands else (place, slice(None))] += 2
        rows.append((f"r{i:03}", *(f"{cell:.2f}" for cell in cells.ravel()), stands))
    names = [f"p{row}_{column}" for row in range(6) for column in range(6)]
    write_task(folder, "stands", "accuracy", names, rows)


def write_reviews(folder: Path) -> None:
    """A text and a number of each row, which count both."""
    rng = np.random.default_rng(7)
    rows = []
    for i in range(N_ROWS):
        words, price = rng.choice(WORDS, 12), rng.normal()
        liked = int((words == "warm").sum() + price > 1)
        rows.append((f"r{i:03}", " ".join(words), f"{price:.3f}", liked))
    write_task(folder, "liked", "auc", ["review", "price"], rows)


def write_shades(folder: Path) -> None:
    """Small pictures, the upper or the lower half of which is darker."""
    rng = np.random.default_rng(8)
    rows = []
    for i in range(N_ROWS):
        dark, part = int(rng.integers(2)), "train" if i % 3 else "test"
        (folder / part).mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(90, 160, (16, 16, 3))
        pixels[8 * dark : 8 * dark + 8] -= 60
        Image.fromarray(pixels.astype("uint8")).save(folder / part / f"r{i:03}.png")
        rows.append((f"r{i:03}", dark))
    write_task(folder, "dark", "accuracy", [], rows)


def made_up_tasks(place: Path) -> Iterator[Path]:
    """Write the tasks and yield their folders."""
    for metric in ("rmse", "mape", "spearman"):
        write_trips(place / f"trips-{metric}", metric)
        yield place / f"trips-{metric}"
    for metric in ("f1", "balanced_accuracy"):
        write_alarms(place / f"alarms-{metric}", metric)
        yield place / f"alarms-{metric}"
    for metric in ("mae", "rmsle"):
        write_sales(place / f"sales-{metric}", metric)
        yield place / f"sales-{metric}"
    others: dict[str, Callable[[Path], None]] = {
        "pairs": write_pairs,
        "molecules": write_molecules,
        "grades": write_grades,
        "winds": write_winds,
        "races": write_races,
        "heats": partial(write_races, sizes=(4, 8)),
        "grids": write_grids,
        "reviews": write_reviews,
        "shades": write_shades,
        **{name: WRITERS[name] for name in ("texts", "sounds", "series")},
    }
    for name, write in others.items():
        write(place / name)
        yield place / name


class MadeUp(NamedTuple):
    """The bench, the made-up tasks, and what was said of failures."""

    bench: TrialBench
    tasks: list[TrialTask]
    said: list[str]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def made_up(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[MadeUp]:
    """All made-up tasks, prepared once."""
    said: list[str] = []
    trials = open_trials(Settings(), seeds=1, limit_s=120, say=said.append, inner=ForkedSandbox())
    async with trials as bench:
        folders = made_up_tasks(tmp_path_factory.mktemp("made-up"))
        yield MadeUp(bench, [await open_task(bench, folder) for folder in folders], said)


def first_fit(recipe: Recipe, tasks: Sequence[TrialTask]) -> TrialTask | None:
    """Return the first task that a recipe fits, were it as large as the recipe asks for."""
    when = recipe.when.model_copy(update={"rows": type(recipe.when.rows)()})
    asked = recipe.model_copy(update={"when": when})
    for more in (frozenset[str](), ASKED):
        for task in tasks:
            facts = replace(task.facts, traits=task.facts.traits | more)
            if not unmet_here(asked, replace(task, facts=facts)):
                return task
    return None


@pytest.mark.slow
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("recipe", RUNNABLE, ids=lambda recipe: recipe.id)
async def test_a_fragment_runs_on_a_made_up_task_and_is_graded(
    recipe: Recipe, made_up: MadeUp
) -> None:
    packages = made_up.bench.resources.packages
    if lacking := [name for name in recipe.when.packages if name not in packages]:
        pytest.skip(f"{lacking[0]} is not installed")
    task = first_fit(recipe, made_up.tasks)
    assert task is not None
    script = plain_script(task.brief, task.profile, recipe)
    files = await run_script(made_up.bench, task, script, 0, recipe.id)
    assert files, made_up.said[-1]
