"""Files that hold the labels of the rows to predict: no script may read them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

ANSWER_FILE = re.compile(
    r"(^|[^a-z])(solutions?|answers?|labels?|(ground)?truths?|gold|y)([^a-z]|$)", re.IGNORECASE
)
"""Names of files that hold labels rather than features."""
ANSWER_COLUMN = re.compile(
    r"(y|y_?(true|test)|labels?|class|target|(ground_?)?truth|gold|answers?|solution|expected"
    r"|actual|outcome)",
    re.IGNORECASE,
)
MIN_ROWS = 10
MIN_SHARE = 0.5  # of a file's rows, which repeat the features of rows to predict
MAX_FEATURES = 12
FEW_LABELS = 50
"""Distinct labels up to which another column has to have the same ones."""


class AskedRows(NamedTuple):
    """The rows to predict as text: their ids and all their columns, and the targets' labels."""

    ids: pd.Series[str]
    frame: pd.DataFrame
    labels: dict[str, set[str]]  # target -> the labels of training rows
    shares_ids: bool  # whether training rows have the same ids


def find_answers(
    columns: dict[str, pd.Series[str]],
    asked: AskedRows,
    id_columns: Sequence[str],
    file_name: str,
) -> str | None:
    """Return a column of a file that tells labels of the rows to predict; None for none.

    `id_columns`: the columns that hold ids of these rows.
    """
    own = set(map(str, asked.frame.columns))
    free = [
        name
        for name, cells in columns.items()
        if name not in own and name not in id_columns and cells[cells != ""].nunique() > 1
    ]
    wanted = {plain(name) for name in asked.labels}
    named = [name for name in free if plain(name) in wanted]
    alike = [
        name for name in free if any(is_alike(columns[name], v) for v in asked.labels.values())
    ]
    n_rows = len(next(iter(columns.values())))
    says_answers = bool(ANSWER_FILE.search(file_name))
    if id_columns:
        more = [name for name in alike if says_answers or ANSWER_COLUMN.fullmatch(name)]
        return next(iter(named + more), None)
    is_in_order = len(columns) == 1 and says_answers and n_rows == len(asked.ids)
    if is_in_order and len(asked.ids) >= MIN_ROWS:
        return next(iter(named + alike), None)
    return named[0] if named and repeats_features(columns, asked) else None


def is_alike(cells: pd.Series[str], labels: set[str]) -> bool:
    """Whether values may be labels: the same classes (or as many), or many numbers for numbers."""
    values = set(cells) - {""}
    if len(labels) <= FEW_LABELS:
        return values <= labels or len(values) == len(labels)
    some = pd.Series(sorted(labels)[:1000] + sorted(values)[:1000])
    is_number = pd.to_numeric(some, errors="coerce").notna()
    if is_number.all():
        return len(values) > min(FEW_LABELS, len(cells) / 3)
    return len(values & labels) > len(values) / 2


def plain(name: str) -> str:
    """Return a column's name without case, blanks and marks."""
    return re.sub(r"[\W_]+", "", name).casefold()


def repeats_features(columns: dict[str, pd.Series[str]], asked: AskedRows) -> bool:
    """Whether most rows of a file have the features of rows to predict."""
    shared = [name for name in map(str, asked.frame.columns) if name in columns][:MAX_FEATURES]
    if len(shared) < 2:
        return False
    known = set(asked.frame[shared].agg("\x00".join, axis=1))
    given = pd.DataFrame({name: columns[name] for name in shared}).agg("\x00".join, axis=1)
    found = given.isin(known)
    return bool(found.sum() >= MIN_ROWS and found.mean() >= MIN_SHARE)
