"""Folds, fixed once per run: every script is validated on the same rows, so that scores are paired."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold

from task.load.tables import read_table
from task.types import Kind, Split, TaskError

OVERLAP = 0.05  # an entity column: at most this share of the test's values is known from train
Folds = NDArray[np.int64]


def decide(
    train: pd.DataFrame,
    test: pd.DataFrame,
    kind: Kind,
    target: list[str],
    id_column: str | None,
    n_folds: int,
) -> tuple[Split, str]:
    """What `auto` means for these data, with its reason."""
    if column := time_column(train, test, id_column, target):
        return Split(
            kind="time", column=column, n_folds=n_folds
        ), f"the test rows lie after the training rows by {column!r}"
    if column := group_column(train, test, id_column, target):
        mean_size = len(train) / train[column].nunique()
        reason = f"{column!r} has {mean_size:.1f} rows per value and its test values are new: whole groups are held out"
        return Split(kind="group", column=column, n_folds=n_folds), reason
    if kind == "regression":
        return Split(
            kind="random", n_folds=n_folds
        ), "rows are exchangeable; folds stratified by target quantile"
    return Split(
        kind="stratified", n_folds=n_folds
    ), "rows are exchangeable; folds stratified by class"


def time_column(
    train: pd.DataFrame, test: pd.DataFrame, id_column: str | None, target: list[str]
) -> str | None:
    """A date column whose test values lie after (nearly) all training values."""
    for column in shared(train, test, id_column, target):
        known, new = dates(train[column]), dates(test[column])
        if known is None or new is None:
            continue
        if new.min() >= known.quantile(0.98) and known.nunique() > 10:
            return column
    return None


def group_column(
    train: pd.DataFrame, test: pd.DataFrame, id_column: str | None, target: list[str]
) -> str | None:
    """An entity with several rows each, whose test values are (nearly) all new."""
    found = []
    for column in shared(train, test, id_column, target):
        values = train[column]
        if (
            pd.api.types.is_float_dtype(values)
            and not (values.dropna() == values.dropna().round()).all()
        ):
            continue
        n_unique = values.nunique()
        if not (10 <= n_unique <= len(train) / 1.8) or values.isna().any():
            continue
        known = set(values.astype(str))
        unseen = ~test[column].dropna().astype(str).isin(known)
        if len(unseen) and unseen.mean() > 1 - OVERLAP and unseen.mean() > 0:
            found.append((n_unique, column))
    return max(found)[1] if found else None


def shared(
    train: pd.DataFrame, test: pd.DataFrame, id_column: str | None, target: list[str]
) -> list[str]:
    return [
        column
        for column in train.columns
        if column in test.columns and column != id_column and column not in target
    ]


def dates(values: pd.Series[Any]) -> pd.Series[Any] | None:
    """The column as dates, or None when it holds none."""
    if pd.api.types.is_datetime64_any_dtype(values):
        return values.dropna()
    if pd.api.types.is_numeric_dtype(values) or values.isna().all():
        return None
    sample = values.dropna().astype(str)
    if (
        not sample.head(50)
        .str.match(r"^\d{4}[-/.]\d{1,2}([-/.]\d{1,2})?|^\d{1,2}[-/.]\d{1,2}[-/.]\d{4}")
        .all()
    ):
        return None
    parsed = pd.to_datetime(sample, errors="coerce", format="mixed")
    return parsed.dropna() if parsed.notna().mean() > 0.95 else None


def assign(
    train: pd.DataFrame,
    split: Split,
    kind: Kind,
    target: list[str],
    id_column: str,
    seed: int,
    *,
    together: NDArray[Any] | None = None,
) -> Folds:
    """Fold of every training row; -1 is never validated. Rows with the same number in `together` share a fold, where rows are exchangeable."""
    n = split.n_folds
    if split.kind == "file":
        return from_file(train, str(split.column), id_column)
    if split.kind == "time":
        return blocks(train[str(split.column)], n)
    y = classes(train, kind, target)
    if split.kind == "group" or together is not None:
        groups = (
            train[str(split.column)].astype(str)
            if split.kind == "group"
            else pd.Series(together, index=train.index)
        )
        if groups.nunique() < n:
            raise TaskError(
                f"column {split.column!r} has {groups.nunique()} groups, fewer than {n} folds; set a smaller `n_folds:` in task.yaml"
            )
        splitter: Any = (
            StratifiedGroupKFold(n, shuffle=True, random_state=seed)
            if kind != "regression"
            else GroupKFold(n, shuffle=True, random_state=seed)
        )
        return number(splitter.split(train, y, groups), len(train))
    if min(np.bincount(y)) >= n:
        return number(
            StratifiedKFold(n, shuffle=True, random_state=seed).split(train, y), len(train)
        )
    return number(KFold(n, shuffle=True, random_state=seed).split(train), len(train))


def classes(train: pd.DataFrame, kind: Kind, target: list[str]) -> NDArray[np.int64]:
    """Strata: the class, or the quantile of a numeric target."""
    values = train[target[0]]
    if kind == "regression":
        ranks = values.rank(method="first")
        return np.asarray(np.floor((ranks - 1) / len(ranks) * 10), dtype=np.int64)
    return np.asarray(pd.factorize(values, sort=True)[0], dtype=np.int64)


def number(parts: Any, n_rows: int) -> Folds:
    folds = np.full(n_rows, -1, dtype=np.int64)
    for index, (_, held) in enumerate(parts):
        folds[held] = index
    return folds


def blocks(column: pd.Series[Any], n_folds: int) -> Folds:
    """Time: n_folds + 1 blocks in order of time, equal times together; the first is only trained on."""
    parsed = dates(column)
    order = (
        pd.to_datetime(column.astype(str), errors="coerce", format="mixed")
        if parsed is not None
        else column
    ).rank(method="min", na_option="top")
    share = (order - 1) / len(column)
    return np.asarray(np.floor(share * (n_folds + 1)), dtype=np.int64) - 1


def from_file(train: pd.DataFrame, path: str, id_column: str) -> Folds:
    frame = read_table(Path(path))
    if id_column not in frame or "fold" not in frame:
        raise TaskError(f"{path} should have the columns {id_column!r} and 'fold'")
    known = dict(zip(frame[id_column].astype(str), frame["fold"], strict=True))
    missing = [key for key in train[id_column].astype(str) if key not in known]
    if missing:
        raise TaskError(
            f"{path} has no fold for {len(missing)} training rows (e.g. {missing[0]!r}); give every row one"
        )
    return np.asarray([int(known[key]) for key in train[id_column].astype(str)], dtype=np.int64)
