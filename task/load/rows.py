"""Read the rows of a task: typed tables, ids and labels as text as they are written."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from task.load.columns import type_tables
from task.load.form import ROW_NUMBERS, label_text
from task.load.ids import id_texts, join_parts
from task.load.layouts.layout import read_layout_again
from task.load.tables import Table, read_alike
from task.load.targets import number_words
from task.types import CLASS_KINDS, Kind, Task, TaskError

ROW_ID = "row_id"
RESERVED_ID = "fold"  # a column of folds.csv
MADE_ID_START = 10**6


class TaskRows(NamedTuple):
    """Train and test with an id column, and how they were read."""

    train: pd.DataFrame
    test: pd.DataFrame
    id: str  # id column of both
    has_made_ids: bool  # the training rows have no ids of their own
    columns: list[dict[str, str]]  # name, kind, why, fate
    repairs: list[str]
    has_decimal_commas: bool = False  # whether its tables write numbers as 3,14


def read_rows(task: Task) -> TaskRows:
    """Read a task's tables. The same task gives the same rows. Raises TaskError."""
    if task.layout is not None:
        made = read_layout_again(Path(task.root), task.layout)
        return type_rows(task, made.train, made.test)
    train, test = read_alike(Path(task.train), Path(task.test))
    return type_rows(task, train, test)


def type_rows(task: Task, train: Table, test: Table, *, has_features: bool = True) -> TaskRows:
    """Type the tables together, name their rows and drop those without a label.

    Without `has_features` the rows have ids and targets alone.
    """
    repairs = drop_target_of_test(task, test)
    test = test._replace(frame=test.frame.drop(columns=task.target, errors="ignore"))
    train, test, dropped = drop_row_numbers(task, train, test)
    repairs += dropped
    if task.id_parts:
        train, test = add_joined_ids(task, train), add_joined_ids(task, test)
    id_column = public_id(task, train.frame, test.frame)
    typed = type_tables(
        train,
        test,
        id_columns=[task.id] if task.id else [],
        target=task.target,
        labels=task.target if task.kind != "regression" else [],
        has_features=has_features,
    )
    rows, others = typed.train, typed.test
    if lists := [name for name in task.target if name not in rows]:
        raise TaskError(
            f"{task.train}: the cells of the target {lists[0]!r} are lists of numbers; write a row "
            "for each number, or a column for each place"
        )
    if task.kind == "text":  # an empty cell is a label
        for name in task.target:
            rows[name] = rows[name].astype(object).where(rows[name].notna(), "").map(str)
    rows, dropped = drop_unlabelled(rows, task)
    if task.kind == "regression" and len(task.target) > 1:
        rows, said = number_words(rows, task.target)
        dropped += said
    if task.id is None:
        rows = insert_id(rows, id_column, [str(i) for i in range(len(rows))])
        n = len(rows)
        others = insert_id(others, id_column, [str(n + i) for i in range(len(others))])
    else:
        others = others.rename(columns={task.id: id_column})
        others[id_column] = id_texts(others[id_column])
        if task.id in rows:
            rows = rows.rename(columns={task.id: id_column})
            rows[id_column] = id_texts(rows[id_column])
        else:
            rows = insert_id(rows, id_column, make_ids(others[id_column], len(rows)))
    if task.kind in CLASS_KINDS:
        rows[task.target[0]] = rows[task.target[0]].map(label_text)
    found = typed.repairs + repairs + dropped
    columns = [
        {"name": item.name, "kind": item.kind, "why": item.why, "fate": item.fate}
        for item in typed.columns
    ]
    has_made_ids = task.id is None or task.id not in train.frame
    has_commas = typed.has_decimal_commas
    return TaskRows(rows, others, id_column, has_made_ids, columns, found, has_commas)


def drop_target_of_test(task: Task, test: Table) -> list[str]:
    """Say which target columns of test are not read."""
    there = [name for name in task.target if name in test.frame]
    return [
        f"{Path(task.test).name}: the target column {name!r} is "
        + ("empty" if test.frame[name].isna().all() else "left out")
        for name in there
    ]


def drop_row_numbers(task: Task, train: Table, test: Table) -> tuple[Table, Table, list[str]]:
    """Leave out a first column without a name that numbers the rows, as pandas saves its index.

    The order of training rows says nothing of those to predict.
    """
    used = {task.id, task.sample_id, task.split.column, *task.id_parts, *task.target}
    if ROW_NUMBERS in used or ROW_NUMBERS not in train.frame:
        return train, test, []
    tables = [table for table in (train, test) if ROW_NUMBERS in table.frame]
    for table in tables:
        texts = id_texts(table.frame[ROW_NUMBERS])
        if not texts.is_unique or not all(str(text).isdigit() for text in texts):
            return train, test, []
    said = f"{ROW_NUMBERS}: a column without a name that numbers the rows; left out, no feature"
    train, test = (
        table._replace(frame=table.frame.drop(columns=ROW_NUMBERS, errors="ignore"))
        for table in (train, test)
    )
    return train, test, [said]


def add_joined_ids(task: Task, table: Table) -> Table:
    """Add the id that is put together of columns, where the table has them all."""
    frame = table.frame
    if task.id is None or task.id in frame or not set(task.id_parts) <= set(frame):
        return table
    ids = join_parts(frame, task.id_parts, task.id_mark)
    if not ids.is_unique or ids.isna().any():
        return table
    return table._replace(frame=insert_id(frame, task.id, list(ids)))


def public_id(task: Task, train: pd.DataFrame, test: pd.DataFrame) -> str:
    """Return the id column's name as scripts see it; `fold` is the name of our folds."""
    if task.id and task.id != RESERVED_ID:
        return task.id
    name = ROW_ID
    while name in train or name in test:
        name += "_"
    return name


def insert_id(frame: pd.DataFrame, name: str, ids: list[str]) -> pd.DataFrame:
    """Return the table with its ids as first column."""
    return pd.concat([pd.Series(ids, index=frame.index, name=name, dtype=object), frame], axis=1)


def make_ids(test_ids: pd.Series[Any], n: int) -> list[str]:
    """Make ids for training rows without one, which no test row has and whose type is test's."""
    texts = list(test_ids)
    if all(text.isdigit() and len(text) < 18 and str(int(text)) == text for text in texts):
        start = max([MADE_ID_START, *(int(text) + 1 for text in texts)])
        return [str(start + index) for index in range(n)]
    taken, prefix = set(texts), "train"
    while any(f"{prefix}{index}" in taken for index in range(n)):
        prefix += "_"
    return [f"{prefix}{index}" for index in range(n)]


def drop_unlabelled(rows: pd.DataFrame, task: Task) -> tuple[pd.DataFrame, list[str]]:
    """Drop the training rows without a label, and say how many. Raises TaskError for all."""
    is_missing = rows[task.target].isna().any(axis=1)
    n = int(is_missing.sum())
    if n == len(rows):
        raise TaskError(
            f"{task.train}: the target {', '.join(task.target)} is missing in every row; "
            "check `target:` in task.yaml"
        )
    if not n:
        return rows, []
    said = f"{Path(task.train).name}: {n} of {len(rows)} rows have no label and are left out"
    return rows[~is_missing].reset_index(drop=True), [said]


def kind_of(values: pd.Series[Any]) -> Kind:
    """Return the kind that a target's values alone show."""
    present = values.dropna()
    if present.nunique() <= 2:
        return "binary"
    if not pd.api.types.is_numeric_dtype(present) or pd.api.types.is_bool_dtype(present):
        return "multiclass"
    n_values = present.nunique()
    has_few_integers = (
        n_values <= 20 and n_values < len(present) / 10 and (present == present.round()).all()
    )
    return "multiclass" if has_few_integers else "regression"
