"""Find the train, test and sample tables of a folder by their columns, and hold rows out."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from pathlib import Path

import numpy as np
import pandas as pd

from task.load.spec import SAMPLE_NAMES
from task.load.tables import TABLE_ENDINGS, find_table, read_table, write_table
from task.types import TaskError

TARGET_NAMES = ("target", "label", "labels", "y", "class", "outcome", "response")
HOLD_OUT_SEED = 20


@dataclass(frozen=True)
class Roles:
    """Names of the tables inside the folder, by key of task.yaml, and why each was chosen.

    Empty where load_task finds the files by their names.
    """

    keys: dict[str, str]
    why: dict[str, str]


def find_roles(root: Path) -> Roles:
    """Find the tables of a folder.

    Raises TaskError where the folder contains no pair of training and test table.
    """
    if find_table(root, "train", "training", "train_labels") and find_table(
        root, "test", "testing"
    ):
        return Roles({}, {})
    columns = {
        path: [str(c) for c in read_table(path, n_rows=50).columns] for path in list_tables(root)
    }
    pairs = [
        (one, two)
        for one, two in permutations(columns, 2)
        if 2 <= len(columns[two]) < len(columns[one]) and has_all_columns(columns, one, two)
    ]
    if not pairs:
        raise TaskError(explain_missing_pair(root, list(columns)))
    train, test = max(pairs, key=lambda pair: (len(columns[pair[1]]), len(columns[pair[0]])))
    keys = {"train": relative_name(train, root), "test": relative_name(test, root)}
    beyond = ", ".join(c for c in columns[train] if c not in columns[test])
    why = {
        "train": f"it has {beyond} beyond the columns of {test.name}",
        "test": f"all its columns are in {train.name}",
    }
    sample = next(
        (
            path
            for path in columns
            if path not in (train, test) and is_sample_submission(columns, path, train, test)
        ),
        None,
    )
    if sample and not find_table(root, *SAMPLE_NAMES):
        keys["sample_submission"] = relative_name(sample, root)
    return Roles(keys, why)


def list_tables(root: Path) -> list[Path]:
    """List the tables of a folder or, where it has none, of its subfolders."""
    if not root.is_dir():
        raise TaskError(f"{root} is not a folder; give the folder that contains the task's data")
    here = [
        path
        for path in sorted(root.iterdir())
        if path.is_file() and path.name.endswith(TABLE_ENDINGS) and not path.name.startswith(".")
    ]
    return here or [
        path
        for path in sorted(root.glob("*/*"))
        if path.is_file() and path.name.endswith(TABLE_ENDINGS)
    ]


def has_all_columns(columns: dict[Path, list[str]], train: Path, test: Path) -> bool:
    """Whether `train` has all columns of `test` and more."""
    return set(columns[test]) < set(columns[train])


def is_sample_submission(
    columns: dict[Path, list[str]], path: Path, train: Path, test: Path
) -> bool:
    """Whether a table has a column of test and then columns that train alone has."""
    first, *rest = columns[path]
    return (
        first in columns[test]
        and bool(rest)
        and all(c in columns[train] and c not in columns[test] for c in rest)
    )


def relative_name(path: Path, root: Path) -> str:
    """Return the path as task.yaml names it."""
    return str(path.relative_to(root))


def explain_missing_pair(root: Path, tables: list[Path]) -> str:
    """Say why no two tables are train and test, and what to do."""
    if not tables:
        return (
            f"{root} contains no table; "
            "put train.csv and test.csv there (csv, tsv, json, jsonl or parquet)"
        )
    if len(tables) == 1:
        return (
            f"{root} contains one table only ({tables[0].name}); "
            "add the rows to predict as test.csv, or let "
            f"`gome init {root.name} --hold-out 0.2` set a fifth of its rows aside as the test "
            "table"
        )
    listed = ", ".join(path.name for path in tables[:6])
    return (
        f"{root}: none of its tables ({listed}) has all columns of another and more; "
        f"set `train:` and `test:` in {root / 'task.yaml'}"
    )


def hold_out_rows(root: Path, share: float, target: str | None) -> list[str]:
    """Split the folder's only table into train.csv and test.csv; return what was done, in lines.

    The answers and the table itself move to FOLDER-private, readable by the owner alone.
    """
    tables = list_tables(root)
    if len(tables) != 1:
        raise TaskError(f"{root} contains {len(tables)} tables; --hold-out splits a single one")
    if not 0 < share < 1:
        raise TaskError(
            f"--hold-out {share}: give a share of the rows between 0 and 1, such as 0.2"
        )
    [source] = tables
    frame = read_table(source)
    target, why = guess_target(frame, target, source)
    if "id" not in frame:
        frame.insert(0, "id", np.arange(len(frame)))
    held = np.random.default_rng(HOLD_OUT_SEED).random(len(frame)) < share
    if not held.any() or held.all():
        raise TaskError(
            f"{source} has {len(frame)} rows; --hold-out {share} leaves one side empty, "
            "give another share"
        )
    private = root.with_name(root.name + "-private")
    private.mkdir(exist_ok=True)
    private.chmod(0o700)
    write_table(frame[~held], root / "train.csv")
    write_table(frame[held].drop(columns=target), root / "test.csv")
    write_table(frame.loc[held, ["id", target]], private / "answers.csv")
    source.rename(private / source.name)
    return [
        f"{int(held.sum())} of {len(frame)} rows set aside as test.csv, chosen at random; "
        f"their answers are in {private / 'answers.csv'}",
        f"{source.name} itself moved to {private}, "
        "since scripts see every file of the task's folder",
        f"target: {target} ({why})",
    ]


def guess_target(frame: pd.DataFrame, name: str | None, path: Path) -> tuple[str, str]:
    """Return (target column, why): the named one, one with a usual name, or the last.

    Raises TaskError where the table has no column `name`.
    """
    names = [str(column) for column in frame.columns]
    if name is not None:
        if name not in names:
            raise TaskError(f"{path} has no column {name!r}; it has {', '.join(names[:12])}")
        return name, "as you said"
    usual = next((column for column in names if column.lower() in TARGET_NAMES), None)
    if usual:
        return usual, "by its name; --target NAME chooses another"
    return names[-1], "the last column; --target NAME chooses another"
