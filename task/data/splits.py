"""Folds, fixed once per run: every script is validated on the same rows, so scores are paired."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold

from task.load.tables import read_table
from task.types import Kind, Split, TaskError

MAX_OVERLAP = 0.05
"""Of a group column, at most this share of the test's values occurs in train."""
DATE = r"^\d{4}[-/.]\d{1,2}([-/.]\d{1,2})?|^\d{1,2}[-/.]\d{1,2}[-/.]\d{4}"
Folds = NDArray[np.int64]


def decide_split(
    train: pd.DataFrame,
    test: pd.DataFrame,
    kind: Kind,
    target: list[str],
    id_column: str | None,
    n_folds: int,
) -> tuple[Split, str]:
    """Decide what `auto` means for these data; return the split and the reason."""
    if column := detect_time_column(train, test, id_column, target):
        reason = f"the test rows come after the training rows by {column!r}"
        return Split(kind="time", column=column, n_folds=n_folds), reason
    if column := detect_group_column(train, test, id_column, target):
        mean_size = len(train) / train[column].nunique()
        reason = (
            f"{column!r} has {mean_size:.1f} rows per value and its test values are new: "
            "whole groups are held out"
        )
        return Split(kind="group", column=column, n_folds=n_folds), reason
    if kind == "regression":
        reason = "rows are exchangeable; folds stratified by target quantile"
        return Split(kind="random", n_folds=n_folds), reason
    reason = "rows are exchangeable; folds stratified by class"
    return Split(kind="stratified", n_folds=n_folds), reason


def detect_time_column(
    train: pd.DataFrame, test: pd.DataFrame, id_column: str | None, target: list[str]
) -> str | None:
    """Find a date column whose test values come after (nearly) all training values."""
    for column in shared_features(train, test, id_column, target):
        dates, test_dates = parse_dates(train[column]), parse_dates(test[column])
        if dates is None or test_dates is None:
            continue
        if test_dates.min() >= dates.quantile(0.98) and dates.nunique() > 10:
            return column
    return None


def detect_group_column(
    train: pd.DataFrame, test: pd.DataFrame, id_column: str | None, target: list[str]
) -> str | None:
    """Find an entity with several rows each, whose test values are (nearly) all new."""
    candidates = []
    for column in shared_features(train, test, id_column, target):
        values = train[column]
        if pd.api.types.is_float_dtype(values):
            numbers = values.dropna()
            if not (numbers == numbers.round()).all():
                continue
        n_unique = values.nunique()
        if not (10 <= n_unique <= len(train) / 1.8) or values.isna().any():
            continue
        unseen = ~test[column].dropna().astype(str).isin(set(values.astype(str)))
        if len(unseen) and unseen.mean() > 1 - MAX_OVERLAP:
            candidates.append((n_unique, column))
    return max(candidates)[1] if candidates else None


def shared_features(
    train: pd.DataFrame, test: pd.DataFrame, id_column: str | None, target: list[str]
) -> list[str]:
    """List the feature columns that train and test have in common."""
    return [
        column
        for column in train.columns
        if column in test.columns and column != id_column and column not in target
    ]


def parse_dates(values: pd.Series[Any]) -> pd.Series[Any] | None:
    """Return the non-missing dates of a column, or None when it contains none."""
    if pd.api.types.is_datetime64_any_dtype(values):
        return values.dropna()
    if pd.api.types.is_numeric_dtype(values) or values.isna().all():
        return None
    texts = values.dropna().astype(str)
    if not texts.head(50).str.match(DATE).all():
        return None
    dates = pd.to_datetime(texts, errors="coerce", format="mixed")
    return dates.dropna() if dates.notna().mean() > 0.95 else None


def assign_folds(
    train: pd.DataFrame,
    split: Split,
    kind: Kind,
    target: list[str],
    id_column: str,
    seed: int,
    *,
    together: NDArray[Any] | None = None,
) -> Folds:
    """Return the fold of every training row; -1 is never validated.

    Rows with the same number in `together` share a fold, where rows are exchangeable.
    Raises TaskError for fewer groups than folds.
    """
    n = split.n_folds
    if split.kind == "file":
        return read_folds(train, str(split.column), id_column)
    if split.kind == "time":
        return time_blocks(train[str(split.column)], n)
    y = strata_codes(train, kind, target)
    if split.kind == "group" or together is not None:
        groups = group_labels(train, split, together)
        if groups.nunique() < n:
            raise TaskError(
                f"column {split.column!r} has {groups.nunique()} groups, fewer than {n} folds; "
                "set a smaller `n_folds:` in task.yaml"
            )
        group_splitter = GroupKFold if kind == "regression" else StratifiedGroupKFold
        parts = group_splitter(n, shuffle=True, random_state=seed).split(train, y, groups)
        return number_folds(parts, len(train))
    splitter = StratifiedKFold if min(np.bincount(y)) >= n else KFold
    return number_folds(splitter(n, shuffle=True, random_state=seed).split(train, y), len(train))


def group_labels(
    train: pd.DataFrame, split: Split, together: NDArray[Any] | None
) -> pd.Series[Any]:
    """Return what rows must share to stay together: the group column, else `together`."""
    if split.kind == "group":
        return train[str(split.column)].astype(str)
    return pd.Series(together, index=train.index)


def strata_codes(train: pd.DataFrame, kind: Kind, target: list[str]) -> NDArray[np.int64]:
    """Return the strata: the class, or the decile of a numeric target."""
    values = train[target[0]]
    if kind == "regression":
        ranks = values.rank(method="first")
        return np.asarray(np.floor((ranks - 1) / len(ranks) * 10), dtype=np.int64)
    return np.asarray(pd.factorize(values, sort=True)[0], dtype=np.int64)


def number_folds(parts: Iterable[tuple[NDArray[Any], NDArray[Any]]], n_rows: int) -> Folds:
    """Return the fold of every row from the splitter's (train, validation) positions."""
    folds = np.full(n_rows, -1, dtype=np.int64)
    for index, (_, validation) in enumerate(parts):
        folds[validation] = index
    return folds


def time_blocks(column: pd.Series[Any], n_folds: int) -> Folds:
    """Return n_folds + 1 blocks in order of time, numbered from -1; equal times share a block.

    Block -1, the first, is only trained on.
    """
    if parse_dates(column) is not None:
        column = pd.to_datetime(column.astype(str), errors="coerce", format="mixed")
    order = column.rank(method="min", na_option="top")
    share = (order - 1) / len(column)
    return np.asarray(np.floor(share * (n_folds + 1)), dtype=np.int64) - 1


def read_folds(train: pd.DataFrame, path: str, id_column: str) -> Folds:
    """Read the folds of a file with the id column and `fold`. Raises TaskError."""
    frame = read_table(Path(path))
    if id_column not in frame or "fold" not in frame:
        raise TaskError(f"{path} should have the columns {id_column!r} and 'fold'")
    folds = dict(zip(frame[id_column].astype(str), frame["fold"], strict=True))
    keys = list(train[id_column].astype(str))
    missing = [key for key in keys if key not in folds]
    if missing:
        raise TaskError(
            f"{path} has no fold for {len(missing)} training rows (e.g. {missing[0]!r}); "
            "give every row one"
        )
    return np.asarray([int(folds[key]) for key in keys], dtype=np.int64)
