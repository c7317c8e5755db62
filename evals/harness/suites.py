"""Suites of tasks: real data sets with fewer rows, and planted tasks.

Each task is a folder with its answers beside it, where a run cannot read them.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from evals.harness import planted
from task.load.examples import EXAMPLES, Example, write_task

N_TRAIN, N_TEST = 600, 2500  # rows kept of a real data set: a script then takes about a second
REAL = ("modechoice", "randhie", "fair", "co2", "digits", "breast_cancer", "diabetes", "anes96")
GROUPED = frozenset({"modechoice", "co2"})  # cutting rows would break groups or time
DATA = Path(__file__).parents[1] / "data" / "references.json"

SUITES = {
    "real": REAL,
    "planted": tuple(planted.PLANTED),
    "clean": (
        "randhie",
        "breast_cancer",
        "diabetes",
        "many_levels",
        "not_at_random",
        "one_per_group",
        "ratio",
    ),
    "flawed": ("credit_leak", "new_stores", "demand_time"),
}
SUITES["crossover"] = SUITES["clean"] + SUITES["flawed"]


def task_names(wanted: str) -> list[str]:
    """Return the tasks of a comma-separated list of suites and tasks, each once."""
    tasks = [name for word in wanted.split(",") for name in SUITES.get(word, (word,))]
    unknown = [name for name in tasks if name not in planted.PLANTED and name not in EXAMPLES]
    if unknown:
        known = ", ".join([*SUITES, *planted.PLANTED, *EXAMPLES])
        raise SystemExit(f"no task or suite named {unknown[0]}; choose from {known}")
    return list(dict.fromkeys(tasks))


def write_suite_task(name: str, place: Path) -> None:
    """Write the task's folder unless it exists."""
    if (place / "task.yaml").exists():
        return
    if name in planted.PLANTED:
        planted.write_planted_task(name, place)
    else:
        write_task(cut_example(name), name, place, np.random.default_rng(1))


def cut_example(name: str) -> Example:
    """Return a real example with at most N_TRAIN and N_TEST rows."""
    example = EXAMPLES[name]
    if name in GROUPED:
        return example

    def make(rng: np.random.Generator) -> Any:
        frame, test = example.make(rng)
        train_rows = draw_rows(rng, np.flatnonzero(~test), N_TRAIN)
        test_rows = draw_rows(rng, np.flatnonzero(test), N_TEST)
        rows = np.sort(np.concatenate([train_rows, test_rows]))
        return frame.iloc[rows].reset_index(drop=True), test[rows]

    return replace(example, make=make)


def draw_rows(rng: np.random.Generator, rows: Any, n: int) -> Any:
    """Return at most n of the rows, drawn without replacement."""
    return rng.choice(rows, min(n, len(rows)), replace=False)


def load_references() -> dict[str, dict[str, float]]:
    """Return per task the private scores of the default script and of the reference.

    `python -m evals.studies.references` writes them.
    """
    tasks: dict[str, dict[str, float]] = json.loads(DATA.read_text())["tasks"]
    return tasks


def normalise_score(
    private: float | None, reference: dict[str, float], low: float = -1.0, high: float = 1.3
) -> float:
    """Return 0 for the default script, 1 for the reference, clipped; `low` without a submission."""
    if private is None:
        return low
    value = (private - reference["default"]) / (reference["reference"] - reference["default"])
    return float(min(high, max(low, value)))
