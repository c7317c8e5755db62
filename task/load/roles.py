"""Which table of a folder plays which part, seen from the columns where the names do not tell."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from pathlib import Path

import numpy as np
import pandas as pd

from task.load.spec import SAMPLES
from task.load.tables import FORMS, find_table, read_table, write_table
from task.types import TaskError

TARGETS = ("target", "label", "labels", "y", "class", "outcome", "response")
SEED = 20


@dataclass(frozen=True)
class Roles:
    """Names inside the folder, and why each was chosen; empty where load_task finds the file by its name."""

    keys: dict[str, str]
    why: dict[str, str]


def find_roles(root: Path) -> Roles:
    """Raises TaskError where the folder holds no pair of training and test table."""
    if find_table(root, "train", "training", "train_labels") and find_table(
        root, "test", "testing"
    ):
        return Roles({}, {})
    columns = {path: [str(c) for c in read_table(path, n_rows=50).columns] for path in tables(root)}
    pairs = [
        (one, two)
        for one, two in permutations(columns, 2)
        if 2 <= len(columns[two]) < len(columns[one]) and covers(columns, one, two)
    ]
    if not pairs:
        raise TaskError(without_pair(root, list(columns)))
    train, test = max(pairs, key=lambda pair: (len(columns[pair[1]]), len(columns[pair[0]])))
    keys, why = {"train": name(train, root), "test": name(test, root)}, {}
    why["train"] = (
        f"it has {', '.join(c for c in columns[train] if c not in columns[test])} beyond the columns of {test.name}"
    )
    why["test"] = f"all its columns are in {train.name}"
    sample = next(
        (
            path
            for path in columns
            if path not in (train, test) and is_sample(columns, path, train, test)
        ),
        None,
    )
    if sample and not find_table(root, *SAMPLES):
        keys["sample_submission"] = name(sample, root)
    return Roles(keys, why)


def tables(root: Path) -> list[Path]:
    """Tables in the folder, or, where there are none, in its only subfolders."""
    if not root.is_dir():
        raise TaskError(f"{root} is not a folder; give the folder that holds the task's data")
    here = [
        path
        for path in sorted(root.iterdir())
        if path.is_file() and path.name.endswith(FORMS) and not path.name.startswith(".")
    ]
    return here or [
        path for path in sorted(root.glob("*/*")) if path.is_file() and path.name.endswith(FORMS)
    ]


def covers(columns: dict[Path, list[str]], train: Path, test: Path) -> bool:
    return set(columns[test]) < set(columns[train])


def is_sample(columns: dict[Path, list[str]], path: Path, train: Path, test: Path) -> bool:
    first, *rest = columns[path]
    return (
        first in columns[test]
        and bool(rest)
        and all(c in columns[train] and c not in columns[test] for c in rest)
    )


def name(path: Path, root: Path) -> str:
    return str(path.relative_to(root))


def without_pair(root: Path, found: list[Path]) -> str:
    if not found:
        return f"{root} holds no table; put train.csv and test.csv there (csv, tsv, json, jsonl or parquet)"
    if len(found) == 1:
        return (
            f"{root} holds one table only ({found[0].name}); add the rows to predict as test.csv, "
            f"or let `gome init {root.name} --hold-out 0.2` set a fifth of its rows aside as the test table"
        )
    listed = ", ".join(path.name for path in found[:6])
    return f"{root}: none of its tables ({listed}) has all columns of another and more; set `train:` and `test:` in {root / 'task.yaml'}"


def hold_out(root: Path, share: float, target: str | None) -> list[str]:
    """Parts the folder's only table into train.csv and test.csv; the answers and the table itself move to FOLDER-private."""
    found = tables(root)
    if len(found) != 1:
        raise TaskError(f"{root} holds {len(found)} tables; --hold-out parts a single one")
    if not 0 < share < 1:
        raise TaskError(
            f"--hold-out {share}: give a share of the rows between 0 and 1, such as 0.2"
        )
    frame = read_table(found[0])
    chosen, why = guess_target(frame, target, found[0])
    if "id" not in frame:
        frame.insert(0, "id", np.arange(len(frame)))
    held = np.random.default_rng(SEED).random(len(frame)) < share
    if not held.any() or held.all():
        raise TaskError(
            f"{found[0]} has {len(frame)} rows; --hold-out {share} leaves one side empty, give another share"
        )
    private = root.with_name(root.name + "-private")
    private.mkdir(exist_ok=True)
    private.chmod(0o700)
    write_table(frame[~held], root / "train.csv")
    write_table(frame[held].drop(columns=chosen), root / "test.csv")
    write_table(frame.loc[held, ["id", chosen]], private / "answers.csv")
    found[0].rename(private / found[0].name)
    return [
        f"{int(held.sum())} of {len(frame)} rows set aside as test.csv, chosen at random; their answers are in {private / 'answers.csv'}",
        f"{found[0].name} itself moved to {private}, since scripts see every file of the task's folder",
        f"target: {chosen} ({why})",
    ]


def guess_target(frame: pd.DataFrame, given: str | None, path: Path) -> tuple[str, str]:
    """(column, why)."""
    names = [str(column) for column in frame.columns]
    if given is not None:
        if given not in names:
            raise TaskError(f"{path} has no column {given!r}; it has {', '.join(names[:12])}")
        return given, "as you said"
    known = next((column for column in names if column.lower() in TARGETS), None)
    if known:
        return known, "by its name; --target NAME chooses another"
    return names[-1], "the last column; --target NAME chooses another"
