"""A plain model of the harness's own: what the honest columns say of anything, fitted across folds.  For the leak gates."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from task.grade.predictions import Truth

Array = NDArray[Any]
MAX_ROWS = 5000
MAX_COLUMNS = 60
MANY_LEVELS = 20  # from so many on, a column of categories is worth an encoding by the target
N_PARTS = 3


def rows_of(known: Truth) -> Array:
    """Positions of the validated rows that the gates look at; the same for every attempt."""
    n = len(known.validated)
    if n <= MAX_ROWS:
        return np.arange(n)
    return np.sort(np.random.default_rng(known.prepared.seed).choice(n, MAX_ROWS, replace=False))


def table(known: Truth, without: tuple[str, ...] = ()) -> Array:
    """Numbers for every validated row: numeric columns as they are, categories as codes and as target means of the other folds."""
    columns = []
    for name, column in list(known.features.items())[:MAX_COLUMNS]:
        if name in without:
            continue
        if pd.api.types.is_numeric_dtype(column):
            columns.append(column.to_numpy(dtype=float))
        else:
            columns.append(pd.factorize(column.astype(str), sort=True)[0].astype(float))
        if is_many(column):
            columns += list(of_other_folds(known, str(name)))
    return np.column_stack(columns) if columns else np.zeros((len(known.validated), 1))


def is_many(column: pd.Series[Any]) -> bool:
    """A column whose levels repeat and are many: an encoding by the target would be tempting."""
    n = column.nunique()
    whole = not pd.api.types.is_float_dtype(column)
    return bool(whole and n >= MANY_LEVELS and len(column) / max(n, 1) >= 2)


def numeric_target(known: Truth) -> Array:
    """The labels as one number a row: the value, the class 1, or the commonest class against the rest."""
    y = known.y.reshape(len(known.y), -1)[:, 0]
    if known.metric.needs == "ranking" or y.dtype == object:
        y = pd.factorize(y)[0].astype(float)
    if known.prepared.task.kind == "multiclass":
        values, counts = np.unique(y, return_counts=True)
        return np.asarray(y == values[counts.argmax()], dtype=float)
    return np.asarray(y, dtype=float)


def signal_of(known: Truth, p: Array) -> Array:
    """Predictions as one number a row, to go with `numeric_target`."""
    if known.prepared.task.kind == "multiclass":
        y = known.y.reshape(len(known.y), -1)[:, 0]
        values, counts = np.unique(y, return_counts=True)
        common = values[counts.argmax()]
        return np.asarray(p[:, int(common)] if p.ndim == 2 else p == common, dtype=float)
    return np.asarray(p.reshape(len(p), -1)[:, 0], dtype=float)


def of_other_folds(known: Truth, name: str) -> tuple[Array, Array]:
    """Mean of the target over the rows of the same level in other folds, and how many they are."""
    level = pd.factorize(known.features[name].astype(str))[0]
    fold, y = known.validated["fold"].to_numpy(), numeric_target(known)
    frame = pd.DataFrame({"level": level, "fold": fold, "y": y - y.mean()})
    whole = frame.groupby("level")["y"].agg(["sum", "size"]).loc[level]
    here = (
        frame.groupby(["level", "fold"])["y"]
        .agg(["sum", "size"])
        .loc[list(zip(level, fold, strict=True))]
    )
    n = whole["size"].to_numpy() - here["size"].to_numpy()
    return (whole["sum"].to_numpy() - here["sum"].to_numpy()) / (n + 1.0), n.astype(float)


def fitted(X: Array, values: Array, parts: Array) -> Array:
    """What X says of `values`, every row predicted by a model that has not seen its part."""
    from lightgbm import LGBMRegressor

    out = np.full(len(values), float(np.mean(values)))
    for k in np.unique(parts):
        held = parts == k
        model = LGBMRegressor(
            n_estimators=80,
            learning_rate=0.1,
            num_leaves=15,
            min_child_samples=15,
            n_jobs=1,
            verbose=-1,
            random_state=0,
            deterministic=True,
        )
        out[held] = np.asarray(model.fit(X[~held], values[~held]).predict(X[held]))
    return out


def residual(known: Truth, X: Array, values: Array) -> Array:
    """`values` less what X says of them; rows as in `rows_of`."""
    rows = rows_of(known)
    parts = np.random.default_rng(1).integers(0, N_PARTS, len(rows))
    return values[rows] - fitted(X[rows], values[rows], parts)


@lru_cache(maxsize=8)
def reference(known: Truth, without: tuple[str, ...]) -> Array:
    """The plain model's out-of-fold prediction of the target on the harness's folds, from the columns but `without`."""
    rows = rows_of(known)
    return fitted(
        table(known, without)[rows],
        numeric_target(known)[rows],
        known.validated["fold"].to_numpy()[rows],
    )
