"""The suites: real data sets with their rows cut, and planted tasks; each a folder with its answers beside it, out of a run's reach."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from evals.harness import planted
from task.load.examples import EXAMPLES, write_task

N_TRAIN, N_TEST = (
    600,
    2500,
)  # real data sets are cut to so many rows, so that a script takes about a second
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


def names(wanted: str) -> list[str]:
    """Suite names and task names, comma separated, as task names."""
    found = [name for word in wanted.split(",") for name in SUITES.get(word, (word,))]
    unknown = [name for name in found if name not in planted.PLANTED and name not in EXAMPLES]
    if unknown:
        raise SystemExit(
            f"no task or suite named {unknown[0]}; there are {', '.join([*SUITES, *planted.PLANTED, *EXAMPLES])}"
        )
    return list(dict.fromkeys(found))


def write(name: str, place: Path) -> None:
    """The task's folder unless it is there already."""
    if (place / "task.yaml").exists():
        return
    if name in planted.PLANTED:
        planted.write(name, place)
    else:
        write_task(cut(name), name, place, np.random.default_rng(1))


def cut(name: str) -> Any:
    """A real example with at most N_TRAIN and N_TEST rows."""
    example = EXAMPLES[name]
    if name in GROUPED:
        return example

    def make(rng: np.random.Generator) -> Any:
        frame, test = example.make(rng)
        rows = np.sort(
            np.concatenate(
                [
                    sample(rng, np.flatnonzero(~test), N_TRAIN),
                    sample(rng, np.flatnonzero(test), N_TEST),
                ]
            )
        )
        return frame.iloc[rows].reset_index(drop=True), test[rows]

    return replace(example, make=make)


def sample(rng: np.random.Generator, rows: Any, n: int) -> Any:
    return rng.choice(rows, min(n, len(rows)), replace=False)


def references() -> dict[str, dict[str, float]]:
    """Per task the private scores of the default script and of the reference (`python -m evals.studies.references` writes them)."""
    found: dict[str, dict[str, float]] = json.loads(DATA.read_text())["tasks"]
    return found


def normalised(
    private: float | None, reference: dict[str, float], low: float = -1.0, high: float = 1.3
) -> float:
    """0 the default script, 1 the reference, clipped; a run without a submission scores as `low`."""
    if private is None:
        return low
    value = (private - reference["default"]) / (reference["reference"] - reference["default"])
    return float(min(high, max(low, value)))
