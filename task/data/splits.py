"""Folds, fixed once per run: every script is validated on the same rows, so scores are paired."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold

from task.load.dates import is_iso_date
from task.load.tables import read_frame
from task.types import CLASS_KINDS, Kind, Split, TaskError

MAX_OVERLAP = 0.05
"""Of a group column, at most this share of the test's values occurs in train."""
MAX_GAPS = 0.05
"""A group column may lack at most this share of its values."""
N_HEAD = 50  # values that show whether a column contains dates
MIN_TIMES = 4
"""A time column has at least so many distinct times."""
MAX_UNVALIDATED = 0.1
"""Share of rows whose class is too rare for the folds; with more, there are fewer folds."""
DATE = r"^\d{4}[-/.]\d{1,2}([-/.]\d{1,2})?|^\d{1,2}[-/.]\d{1,2}[-/.]\d{4}"
TIME_MARK = "+"
"""Between the columns of a time that is in several, the largest unit first: year+month."""
LARGEST = {"month": 12, "quarter": 4, "week": 53, "day": 31}
"""Units of time by which columns are called, and their largest number."""
TIME_UNITS = (("month", "day"), ("month",), ("quarter",), ("week",))
"""What orders the rows of a year."""
YEAR_NAME = r"(?i)(?:^|[^a-z])(?:year|yr|date|jahr|annee|ano)(?:$|[^a-z])"
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
    rare = ""
    if kind in CLASS_KINDS:
        n_folds, rare = explain_rare_classes(train[target[0]], n_folds)
    if column := detect_group_column(train, test, id_column, target):
        mean_size = len(train) / train[column].nunique()
        reason = (
            f"{column!r} has {mean_size:.1f} rows per value and its test values are new: "
            f"whole groups are held out{rare}"
        )
        return Split(kind="group", column=column, n_folds=n_folds), reason
    if kind not in CLASS_KINDS:
        how = "stratified by target quantile" if kind == "regression" else "at random"
        reason = f"rows are exchangeable; folds {how}"
        return Split(kind="random", n_folds=n_folds), reason
    reason = f"rows are exchangeable; folds stratified by class{rare}"
    return Split(kind="stratified", n_folds=n_folds), reason


def usable_folds(values: pd.Series[Any], n_folds: int) -> int:
    """Return the folds of a classification: fewer where only one class has rows for all of them.

    And fewer where many rows are of classes too rare for so many folds: these rows would be trained
    on and never validated, and the score would be of the common classes alone.
    """
    counts = values.value_counts()
    second = int(counts.iloc[1]) if len(counts) > 1 else 0
    n_most = min(n_folds, max(2, second))

    def lost(n: int) -> float:
        return float(counts[counts < n].sum() / max(1, counts.sum()))

    allowed = max(MAX_UNVALIDATED, lost(2) + MAX_UNVALIDATED / 2)
    return next((n for n in range(n_most, 2, -1) if lost(n) <= allowed), 2)


def rare_classes(values: pd.Series[Any], n_folds: int) -> dict[str, int]:
    """Return the classes with fewer rows than folds: class -> rows."""
    counts = values.value_counts()
    return {str(label): int(n) for label, n in counts[counts < n_folds].items()}


def explain_rare_classes(values: pd.Series[Any], n_folds: int) -> tuple[int, str]:
    """Return the folds that the classes allow, and what that means for the rare ones."""
    n_usable = usable_folds(values, n_folds)
    text = ""
    if n_usable < n_folds:
        text = f"; {n_usable} folds, since classes have only so many rows"
    if rare := rare_classes(values, n_usable):
        shown = ", ".join(f"{label!r} ({n})" for label, n in list(rare.items())[:5])
        more = f" and {len(rare) - 5} more" if len(rare) > 5 else ""
        text += (
            f"; classes with fewer rows than folds ({sum(rare.values()):,} of {len(values):,} rows)"
            f" are trained on and never validated: {shown}{more}"
        )
    return n_usable, text


def detect_time_column(
    train: pd.DataFrame, test: pd.DataFrame, id_column: str | None, target: list[str]
) -> str | None:
    """Find a column of dates whose test values come after (nearly) all training values.

    A year is a date too, and so may be an id.
    """
    names = shared_features(train, test, id_column, target)
    if id_column in train and id_column in test and is_iso_date(train[id_column]):
        names.append(str(id_column))
    for column in names:
        dates, test_dates = read_times(train[column]), read_times(test[column])
        if dates is None or test_dates is None or not len(test_dates):
            continue
        is_year = pd.api.types.is_numeric_dtype(dates)
        n_least = 3 if is_year else MIN_TIMES
        if test_dates.min() >= dates.quantile(0.98) and dates.nunique() >= n_least:
            return column
    return detect_time_parts(train, test, names)


def detect_time_parts(train: pd.DataFrame, test: pd.DataFrame, names: list[str]) -> str | None:
    """Find a year and its months (and days), quarters or weeks that put test after train."""
    years = [
        name
        for name in names
        if pd.api.types.is_numeric_dtype(train[name]) and read_times(train[name]) is not None
    ]
    for year, units in product(years, TIME_UNITS):
        parts = [year, *(find_time_part(train, names, unit) for unit in units)]
        columns = [name for name in parts if name is not None]
        if len(columns) < len(parts):
            continue
        column = TIME_MARK.join(columns)
        both = pd.concat([train[columns], test[columns]], ignore_index=True)
        times = time_values(both, column)
        ours, theirs = times[: len(train)], times[len(train) :]
        if ours.nunique() >= MIN_TIMES and theirs.min() > ours.quantile(0.98):
            return column
    return None


def find_time_part(train: pd.DataFrame, names: list[str], unit: str) -> str | None:
    """Return the one column called after a unit of time that has its numbers; None for none."""
    found = []
    for name in names:
        words = set(re.split(r"[\W_\d]+", name.casefold())) & set(LARGEST)
        if words != {unit} or not pd.api.types.is_numeric_dtype(train[name]):
            continue
        numbers = train[name].dropna()
        is_whole = bool((numbers == numbers.round()).all())
        if len(numbers) and is_whole and numbers.between(0, LARGEST[unit]).all():
            found.append(name)
    return found[0] if len(found) == 1 else None


def time_columns(train: pd.DataFrame, column: str) -> list[str]:
    """Return the columns that a time split names: one, or several with + between them."""
    return [column] if column in train else [part.strip() for part in column.split(TIME_MARK)]


def time_values(train: pd.DataFrame, column: str) -> pd.Series[Any]:
    """Return the time of every row; of several columns the place in their common order."""
    names = time_columns(train, column)
    if len(names) == 1:
        return train[names[0]]
    times = train[names].apply(lambda part: part if is_ordered(part) else to_dates(part))
    places: pd.Series[Any] = times.groupby(names, sort=True).ngroup().astype(float)
    return places.where(places >= 0)  # -1: a part is missing


def is_ordered(values: pd.Series[Any]) -> bool:
    """Whether values are numbers, rather than texts of dates."""
    return bool(pd.api.types.is_numeric_dtype(values))


def read_times(values: pd.Series[Any]) -> pd.Series[Any] | None:
    """Return the dates of a column, or the numbers of a column of years; None for others."""
    if not pd.api.types.is_numeric_dtype(values):
        return parse_dates(values)
    numbers = values.dropna()
    if not re.search(YEAR_NAME, str(values.name)) or not len(numbers):
        return None
    is_year = numbers.between(1900, 2100).all() and bool((numbers == numbers.round()).all())
    return numbers if is_year else None


def detect_group_column(
    train: pd.DataFrame, test: pd.DataFrame, id_column: str | None, target: list[str]
) -> str | None:
    """Find an entity with several rows each, whose test values are (nearly) all new."""
    candidates = []
    for column in shared_features(train, test, id_column, target):
        values = train[column]
        if pd.api.types.is_float_dtype(values) and is_fractional(values):
            continue
        n_unique = values.nunique()
        if not (10 <= n_unique <= len(train) / 1.8) or values.isna().mean() > MAX_GAPS:
            continue
        known, others = set(map(key_text, values.dropna().unique())), test[column].dropna()
        unseen = others.isin([value for value in others.unique() if key_text(value) not in known])
        if len(unseen) and unseen.mean() > 1 - MAX_OVERLAP:
            candidates.append((n_unique, column))
    return max(candidates)[1] if candidates else None


def is_fractional(values: pd.Series[Any]) -> bool:
    """Whether a number among them is not whole; most columns show it at once."""
    for numbers in (values.iloc[:50].dropna(), values.dropna()):
        if (numbers != numbers.round()).any():
            return True
    return False


def key_text(value: object) -> str:
    """Return a value as text; 7.0 and 7 are the same."""
    return str(value).removesuffix(".0")


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
        return to_dates(values).dropna()
    if pd.api.types.is_numeric_dtype(values) or values.isna().all():
        return None
    few = values.dropna().head(N_HEAD).astype(str).astype(object)
    if not few.str.match(DATE).all():
        return None
    texts = values.dropna().astype(str).astype(object)
    dates = to_dates(texts)
    return dates.dropna() if dates.notna().mean() > 0.95 else None


def to_dates(values: pd.Series[Any]) -> pd.Series[Any]:
    """Return the dates that texts or dates mean, without zone; missing where there is none."""
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        naive: pd.Series[Any] = values.dt.tz_convert("UTC").dt.tz_localize(None)
        return naive
    if pd.api.types.is_datetime64_any_dtype(values):
        return values
    dates = pd.to_datetime(values.astype(str), errors="coerce", format="mixed", utc=True)
    return dates.dt.tz_localize(None)


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
        return time_blocks(time_values(train, str(split.column)), n)
    y = strata_codes(train, kind, target)
    if kind in CLASS_KINDS and split.kind != "group":
        return common_class_folds(train, y, split, seed, together)
    if split.kind == "group" or together is not None:
        groups = group_labels(train, split, together)
        if groups.nunique() < n:
            raise TaskError(
                f"column {split.column!r} has {groups.nunique()} groups, fewer than {n} folds; "
                "set a smaller `n_folds:` in task.yaml"
            )
        group_splitter = StratifiedGroupKFold if kind in CLASS_KINDS else GroupKFold
        parts = group_splitter(n, shuffle=True, random_state=seed).split(train, y, groups)
        return number_folds(parts, len(train))
    return number_folds(regular_splitter(y, n, seed).split(train, y), len(train))


def regular_splitter(y: NDArray[np.int64], n_folds: int, seed: int) -> StratifiedKFold | KFold:
    """Return the splitter of exchangeable rows, stratified where every stratum has enough."""
    splitter = StratifiedKFold if min(np.bincount(y)) >= n_folds else KFold
    return splitter(n_folds, shuffle=True, random_state=seed)


def common_class_folds(
    train: pd.DataFrame,
    y: NDArray[np.int64],
    split: Split,
    seed: int,
    together: NDArray[Any] | None,
) -> Folds:
    """Return stratified folds; rows of classes rarer than the folds, and their twins, get -1."""
    n = min(split.n_folds, usable_folds(pd.Series(y), split.n_folds))
    is_rare = np.bincount(y)[y] < n
    if together is not None:
        is_rare = np.isin(together, together[is_rare])
    rows = np.flatnonzero(~is_rare)
    if len(np.unique(y[rows])) < 2:
        raise TaskError(
            "train has fewer than two classes with two rows or more, so nothing can be validated; "
            "add rows, or check `target:` in task.yaml"
        )
    folds = np.full(len(train), -1, dtype=np.int64)
    part, strata = train.iloc[rows], pd.factorize(y[rows], sort=True)[0]
    if together is not None:
        groups = pd.Series(together[rows])
        grouped = StratifiedGroupKFold(n, shuffle=True, random_state=seed)
        folds[rows] = number_folds(grouped.split(part, strata, groups), len(rows))
    else:
        parts = regular_splitter(strata, n, seed).split(part, strata)
        folds[rows] = number_folds(parts, len(rows))
    return folds


def group_labels(
    train: pd.DataFrame, split: Split, together: NDArray[Any] | None
) -> pd.Series[Any]:
    """Return what rows must share to stay together: the group column, else `together`."""
    if split.kind == "group":
        column = train[str(split.column)]
        texts = column.map(key_text).astype(object)
        alone = [f"row {index}" for index in range(len(train))]  # a row without a group is its own
        return texts.where(column.notna(), pd.Series(alone, index=train.index))
    return pd.Series(together, index=train.index)


def strata_codes(train: pd.DataFrame, kind: Kind, target: list[str]) -> NDArray[np.int64]:
    """Return the strata: the class, or the decile of a numeric target; one for texts."""
    if kind == "text":
        return np.zeros(len(train), dtype=np.int64)
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
        column = to_dates(column)
    order = column.rank(method="min", na_option="top")
    share = (order - 1) / len(column)
    return np.asarray(np.floor(share * (n_folds + 1)), dtype=np.int64) - 1


def read_folds(train: pd.DataFrame, path: str, id_column: str) -> Folds:
    """Read the folds of a file with the id column and `fold`. Raises TaskError."""
    frame = read_frame(Path(path))
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
