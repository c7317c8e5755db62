"""What a fit may lack although the table has it: values of a column, rows of a class, words.

Found once per task over the folds that scripts use; the expert's scripts and people read it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from task.types import CLASS_KINDS, Hazards, Prepared

Array = NDArray[Any]
LARGEST_NUMBER = 1e30  # beyond it single precision overflows
OFFSET = r"(?:[+-]\d{2}:?\d{2}|Z)$"
MIN_REPEATED_WORDS = 100
MAX_TEXTS = 2000


def find_hazards(train: pd.DataFrame, test: pd.DataFrame, prepared: Prepared) -> Hazards:
    """Return what at least one fit of the cross-validation lacks."""
    task = prepared.task
    fits = list(iterate_fits(read_folds_column(prepared), task.split.kind == "time"))
    names = [c for c in train.columns if c in test.columns and c not in (prepared.id, *task.target)]
    features, hazards = train[names], Hazards(smallest_fit=min(int(fit.sum()) for fit in fits))
    if task.kind in CLASS_KINDS:
        codes = pd.factorize(train[task.target[0]].astype(str))[0]
        hazards["fewest_of_class"] = fewest_of_class(codes, fits)
    test_only = test.drop(columns=[*train.columns, prepared.id], errors="ignore")
    empty = empty_columns(features, fits) + list(test_only.select_dtypes("number").columns)
    if empty:
        hazards["empty"] = empty
    if huge := [name for name in names if has_huge_numbers(train[name], test[name])]:
        hazards["huge"] = huge
    if offsets := [name for name in names if has_offset(train[name], test[name])]:
        hazards["offsets"] = offsets
    return hazards


def read_folds_column(prepared: Prepared) -> Array:
    """Return the fold of every row of the public training table."""
    return np.asarray(pd.read_csv(Path(prepared.public) / "folds.csv").iloc[:, -1])


def iterate_fits(folds: Array, is_time: bool) -> Iterator[Array]:
    """Yield the rows that scripts train on, as masks: those of every fold; in time their half too.

    The last one is the fit on all rows.
    """
    for fold in np.unique(folds[folds >= 0]):
        fit = folds < fold if is_time else folds != fold
        yield fit
        if is_time:  # scripts may train on the recent half of the rows
            recent = fit.copy()
            recent[np.flatnonzero(fit)[: fit.sum() // 2]] = False
            yield recent
    yield np.ones(len(folds), dtype=bool)


def fewest_of_class(codes: Array, fits: list[Array]) -> int:
    """Return the fewest rows that a class has in a fit; 0: it is absent."""
    n_classes = int(codes.max()) + 1
    return min(int(np.bincount(codes[fit], minlength=n_classes).min()) for fit in fits)


def empty_columns(features: pd.DataFrame, fits: list[Array]) -> list[str]:
    """Return the columns without a value in some fit; an infinite number is no value."""
    gaps = features.columns[features.isna().to_numpy().mean(axis=0) > 0.2]
    infinite = [c for c in features.columns if has_infinities(features[c])]
    names = [str(name) for name in dict.fromkeys([*gaps, *infinite])]
    empty = []
    for name in names:
        filled = features[name].notna().to_numpy()
        if name in infinite:
            filled = np.isfinite(features[name].to_numpy(dtype=float, na_value=np.nan))
        if not all((filled & fit).any() for fit in fits):
            empty.append(name)
    return empty


def has_infinities(column: pd.Series[Any]) -> bool:
    """Whether a column of numbers contains an infinite one."""
    if not pd.api.types.is_float_dtype(column):
        return False
    return bool(np.isinf(column.to_numpy(dtype=float, na_value=np.nan)).any())


def has_huge_numbers(*columns: pd.Series[Any]) -> bool:
    """Whether a column of numbers contains infinite ones, or ones beyond single precision."""
    for column in columns:
        if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
            values = column.to_numpy(dtype=float, na_value=np.nan)
            if (np.abs(values[~np.isnan(values)]) > LARGEST_NUMBER).any():
                return True
    return False


def has_offset(*columns: pd.Series[Any]) -> bool:
    """Whether texts of a column end with an offset from UTC, as times with a zone do."""
    for column in columns:
        if isinstance(column.dtype, pd.DatetimeTZDtype):
            return True
        if pd.api.types.is_numeric_dtype(column) or column.isna().all():
            continue
        texts = column.dropna().astype(str).astype(object)
        if texts.head(50).str.match(r"\d{4}-\d\d-\d\d").all() and texts.str.contains(OFFSET).any():
            return True
    return False


def has_few_words(texts: pd.Series[Any], smallest_fit: int) -> bool:
    """Whether too few words occur in several rows for a vocabulary in every fit."""
    sample = texts.dropna().astype(str).head(MAX_TEXTS).astype(object)
    words = sample.str.lower().str.findall(r"\b\w\w+\b").map(set).explode()
    share = len(sample) / max(len(texts), 1)
    often = max(3.0, 3 * len(texts) / max(smallest_fit, 1))  # so often that every fit has it twice
    repeated = int((words.value_counts() > often).sum())
    return repeated < MIN_REPEATED_WORDS or share * smallest_fit < 50
