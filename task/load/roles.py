"""Find the train, test and sample tables of a folder by their columns, and hold rows out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path

import numpy as np
import pandas as pd

from report.formatting import format_plural
from settings.parse import suggest_near
from task.data.told_answers import ANSWER_FILE
from task.load.dates import looks_like_dates
from task.load.ids import numbered_names, usual_id
from task.load.tables import TABLE_ENDINGS, find_table, read_table, write_table
from task.load.targets import list_columns
from task.types import TaskError

TRAIN_NAMES = ("train", "training", "train_labels")
TEST_NAMES = ("test", "testing")
SAMPLE_NAMES = (
    "sample_submission",
    "sampleSubmission",
    "sample_submission_null",
    "SampleSubmission",
    "samplesubmission",
    "sample_submission_stg2",
    "sampleEntry",
)
SAMPLE_PATTERN = re.compile(
    r"(sample|example|dummy|random|baseline|gender).*(sub|entry|entries|solution|prediction)"
    r"|sub.*(sample|format|template|example)",
    re.IGNORECASE,
)
EMPTY_FORM = re.compile(r"format|template|example|sample", re.IGNORECASE)
TARGET_NAMES = ("target", "label", "labels", "y", "class", "outcome", "response")
HOLD_OUT_SEED = 20
MAX_ALIKE_BYTES = 2**30  # of a table that may repeat the training table
N_DATES = 50  # values that show whether a column contains dates


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
    if find_table(root, *TRAIN_NAMES) and find_table(root, *TEST_NAMES):
        return Roles({}, {})
    heads = {path: read_table(path, n_rows=50).frame for path in list_tables(root)}
    others = {path: head for path, head in heads.items() if not SAMPLE_PATTERN.search(path.name)}
    pairs = [(one, two) for one, two in permutations(others, 2) if is_pair(heads[one], heads[two])]
    if not pairs:
        raise TaskError(explain_missing_pair(root, list(heads)))
    train, test = max(pairs, key=lambda pair: pair_rank(pair, heads))
    keys = {"train": relative_name(train, root), "test": relative_name(test, root)}
    beyond = ", ".join(str(c) for c in heads[train] if c not in filled_columns(heads[test]))
    why = {
        "train": f"it has {beyond} beyond the columns of {test.name}",
        "test": f"all its columns are in {train.name}",
    }
    if (sample := find_sample(root, train, test)) and not find_table(root, *SAMPLE_NAMES):
        keys["sample_submission"] = relative_name(sample, root)
    return Roles(keys, why)


def find_roles_if_any(root: Path) -> Roles:
    """Return the roles of a folder's tables; none where only a reader can make a pair of them."""
    try:
        return find_roles(root)
    except TaskError:
        return Roles({}, {})


def filled_columns(head: pd.DataFrame) -> list[str]:
    """List the columns that contain anything."""
    return [str(name) for name in head.columns if head[name].notna().any()]


def is_pair(train: pd.DataFrame, test: pd.DataFrame) -> bool:
    """Whether `train` has all columns of `test`, and values in columns where test has none."""
    has_more = set(filled_columns(train)) > set(filled_columns(test)) & set(map(str, train.columns))
    return len(test.columns) >= 2 and has_more and set(test.columns) <= set(train.columns)


def pair_rank(pair: tuple[Path, Path], heads: dict[Path, pd.DataFrame]) -> tuple[int, int, int]:
    """Rank a pair: by names that say train and test, then by the columns that they share."""
    train, test = pair
    named = ("train" in train.name.lower()) + ("test" in test.name.lower())
    return named, len(heads[test].columns), len(heads[train].columns)


def find_sample(root: Path, train: Path, test: Path) -> Path | None:
    """Find the sample submission by its name or, without one, by its columns."""
    paths = [path for path in list_tables(root) if path not in (train, test)]
    if named := [path for path in paths if SAMPLE_PATTERN.search(path.name)]:
        return min(named, key=lambda path: ("sample" not in path.name.lower(), path.name))
    if not paths:
        return None
    columns = {
        path: [str(c) for c in read_table(path, n_rows=50).frame.columns]
        for path in (*paths, train, test)
    }
    return next(
        (
            path
            for path in paths
            if is_sample_submission(columns, path, train, test) and not holds_answers(path)
        ),
        None,
    )


def holds_answers(path: Path) -> bool:
    """Whether a table that looks like a sample is called a solution and has different values."""
    if not ANSWER_FILE.search(path.name) or EMPTY_FORM.search(path.name):
        return False
    frame = read_table(path).frame
    return any(frame[name].nunique() > 1 for name in frame.columns[1:])


def check_folder(root: Path) -> None:
    """Raise TaskError where the folder of a task is none; name the nearest beside it."""
    try:
        if root.is_dir():
            return
    except PermissionError:
        raise TaskError(f"{root} cannot be read: a folder above it is closed to you") from None
    beside = [path.name for path in root.parent.glob("*/")] if root.parent.is_dir() else []
    near = suggest_near(root.name, beside)
    raise TaskError(
        f"{root} is not a folder" + (near or "; give the folder that contains the task's data")
    )


def list_tables(root: Path) -> list[Path]:
    """List the tables of a folder or, where it has none, of its subfolders."""
    check_folder(root)
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


def is_sample_submission(
    columns: dict[Path, list[str]], path: Path, train: Path, test: Path
) -> bool:
    """Whether a table has a column of test and then columns that train alone has."""
    first, *rest = columns[path]
    return (
        first in columns[test]
        and 1 <= len(rest) < len(columns[train])
        and all(c in columns[train] and c not in columns[test] for c in rest)
    )


def list_alike(root: Path, train: Path, others: set[Path | None]) -> list[str]:
    """List the tables beside the training table that have just its columns.

    A link to a table is that table.
    """
    columns = set(read_table(train, n_rows=1).frame.columns)
    known = {path.resolve() for path in (train, *others) if path}
    found = []
    for path in list_tables(root):
        if path.resolve() in known or path.stat().st_size > MAX_ALIKE_BYTES:
            continue
        known.add(path.resolve())
        try:
            names = set(read_table(path, n_rows=1).frame.columns)
        except TaskError:
            continue
        if names == columns:
            found.append(relative_name(path, root))
    return found


def relative_name(path: Path, root: Path) -> str:
    """Return the path as task.yaml names it; a path outside the folder as it is."""
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def explain_missing_pair(root: Path, tables: list[Path]) -> str:
    """Say why no two tables are train and test, and what to do."""
    if not tables:
        return (
            f"{root} contains no table; "
            "put train.csv and test.csv there (csv, tsv, json, jsonl, parquet or xlsx)"
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
    frame = read_table(source).frame
    target, why = guess_target(frame, target, source)
    n_bare = int(frame[target].isna().sum())
    frame = frame[frame[target].notna()].reset_index(drop=True)
    id_column, is_new = name_rows(frame, target)
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
    write_table(frame.loc[held, [id_column, target]], private / "answers.csv")
    source.rename(private / source.name)
    return [
        f"{int(held.sum())} of {len(frame)} rows set aside as test.csv, chosen at random; "
        f"their answers are in {private / 'answers.csv'}",
        f"{source.name} itself moved to {private}, "
        "since scripts see every file of the task's folder",
        *[f"{format_plural(n_bare, 'row')} without a value of {target} left out"] * bool(n_bare),
        *hint_at_time(frame.drop(columns=target)),
        *[f"id: {id_column} (added: the rows numbered as in {source.name})"] * is_new,
        f"target: {target} ({why})",
    ]


def name_rows(frame: pd.DataFrame, target: str) -> tuple[str, bool]:
    """Return the id of a table, and whether it is a new column that numbers the rows."""
    name = usual_id(frame, frame) or numbered_names(frame)
    if name is not None and name != target:
        return name, False
    name = next(name for name in ("id", "row_id", "new_row_id") if name not in frame)
    frame.insert(0, name, np.arange(len(frame)))
    return name, True


def hint_at_time(frame: pd.DataFrame) -> list[str]:
    """Say that rows drawn at random are no future, where a column contains dates."""
    for name in frame:
        texts = [str(text) for text in frame[name].dropna().unique()[:N_DATES]]
        if len(texts) > 1 and looks_like_dates(texts):
            return [
                f"{name} contains dates: to be scored on the future, split the table by hand, the "
                "last rows as test.csv"
            ]
    return []


def guess_target(frame: pd.DataFrame, name: str | None, path: Path) -> tuple[str, str]:
    """Return (target column, why): the named one, one with a usual name, or the last.

    Raises TaskError where the table has no column `name`.
    """
    names = [str(column) for column in frame.columns]
    if name is not None:
        if name not in names:
            raise TaskError(
                f"{path} has no column {name!r}; give --target one of {list_columns(frame, name)}"
            )
        return name, "as you said"
    usual = next((column for column in names if column.lower() in TARGET_NAMES), None)
    if usual:
        return usual, "by its name; --target NAME chooses another"
    return names[-1], "the last column; --target NAME chooses another"
