"""Baseline model on the non-suspect columns, fitted across folds; used by the leak gates."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from task.grade.predictions import Truth
from task.types import TaskError

Array = NDArray[Any]
MAX_ROWS = 5000
MAX_COLUMNS = 60
MANY_LEVELS = 20  # from here on, a categorical column is worth an encoding by the target
N_PARTS = 3
MIN_TEXTS, MIN_WORDS = 50, 3.5  # a column with so many texts of so many words is free text
MAX_TEXT_CHARS, N_TEXT_COMPONENTS = 2000, 30
MODEL_OPTIONS = {
    "n_estimators": 80,
    "learning_rate": 0.1,
    "num_leaves": 15,
    "min_child_samples": 15,
    "n_jobs": 1,
    "verbose": -1,
    "random_state": 0,
}


def gate_rows(truth: Truth) -> Array:
    """Return the positions of the validated rows that the gates use, the same for all attempts."""
    n = len(truth.validated)
    if n <= MAX_ROWS:
        return np.arange(n)
    return np.sort(np.random.default_rng(truth.prepared.seed).choice(n, MAX_ROWS, replace=False))


def feature_table(truth: Truth, without: tuple[str, ...] = ()) -> Array:
    """Return the features but `without` as numbers, shape (validated rows, k).

    Categories become codes and, where they have many levels, target means of the other folds.
    """
    columns = []
    for name, column in list(truth.features.items())[:MAX_COLUMNS]:
        if name in without:
            continue
        if pd.api.types.is_numeric_dtype(column):
            values = column.to_numpy(dtype=float, na_value=np.nan)
            columns.append(np.where(np.isinf(values), np.nan, values))
        elif is_free_text(column):
            columns += list(text_components(truth, str(name)))
        else:
            columns.append(pd.factorize(column.astype(str), sort=True)[0].astype(float))
        if has_many_levels(column):
            columns += list(encode_by_other_folds(truth, str(name)))
    return np.column_stack(columns) if columns else np.zeros((len(truth.validated), 1))


def is_free_text(column: pd.Series[Any]) -> bool:
    """Whether a column contains sentences that seldom repeat."""
    texts = column.dropna().astype(str).head(500)
    if len(texts) < MIN_TEXTS or texts.nunique() < 0.5 * len(texts):
        return False
    return bool(texts.astype(object).str.count(r"\s+").mean() + 1 >= MIN_WORDS)


@lru_cache(maxsize=16)
def text_components(truth: Truth, name: str) -> tuple[Array, ...]:
    """Return a text column as a few numbers a row: the main directions of its words."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
    from sklearn.pipeline import make_pipeline

    texts = truth.features[name].fillna("").astype(str).str[:MAX_TEXT_CHARS]
    model = make_pipeline(
        HashingVectorizer(n_features=2**14, alternate_sign=False),
        TfidfTransformer(sublinear_tf=True),
        TruncatedSVD(N_TEXT_COMPONENTS, random_state=0),
    )
    return tuple(np.asarray(model.fit_transform(texts)).T)


def has_many_levels(column: pd.Series[Any]) -> bool:
    """Whether a column has many repeating levels: an encoding by the target is tempting."""
    if pd.api.types.is_float_dtype(column):
        return False
    n = column.nunique()
    return bool(n >= MANY_LEVELS and len(column) / n >= 2)


def numeric_target(truth: Truth) -> Array:
    """Return the labels as one number a row.

    The value, 0 or 1 of two classes, or the most frequent of several classes against the rest.
    """
    y = truth.y.reshape(len(truth.y), -1)[:, 0]
    if truth.metric.needs == "ranking" or y.dtype == object:
        y = pd.factorize(y)[0].astype(float)
    if truth.prepared.task.kind == "multiclass":
        values, counts = np.unique(y, return_counts=True)
        return np.asarray(y == values[counts.argmax()], dtype=float)
    return np.asarray(y, dtype=float)


def numeric_signal(truth: Truth, p: Array) -> Array:
    """Return predictions as one number a row, on the scale of `numeric_target`."""
    if truth.prepared.task.kind == "multiclass":
        y = truth.y.reshape(len(truth.y), -1)[:, 0]
        values, counts = np.unique(y, return_counts=True)
        common = values[counts.argmax()]
        return np.asarray(p[:, int(common)] if p.ndim == 2 else p == common, dtype=float)
    return np.asarray(p.reshape(len(p), -1)[:, 0], dtype=float)


def encode_by_other_folds(truth: Truth, name: str) -> tuple[Array, Array]:
    """Return the centred target mean of a row's level in the other folds, and its rows there."""
    level = pd.factorize(truth.features[name].astype(str))[0]
    y = numeric_target(truth)
    frame = pd.DataFrame({"level": level, "fold": truth.fold, "y": y - y.mean()})
    by_level = frame.groupby("level")["y"].agg(["sum", "size"]).loc[level]
    by_fold = frame.groupby(["level", "fold"])["y"].agg(["sum", "size"])
    here = by_fold.loc[list(zip(level, truth.fold, strict=True))]
    n = by_level["size"].to_numpy() - here["size"].to_numpy()
    total = by_level["sum"].to_numpy() - here["sum"].to_numpy()
    return total / (n + 1.0), n.astype(float)


def make_regressor(**options: Any) -> Any:
    """Return a LightGBM regressor. Raises TaskError where this machine cannot load LightGBM."""
    try:
        from lightgbm import LGBMRegressor
    except OSError as error:
        raise TaskError(
            f"LightGBM, which checks the scores, cannot be loaded ({str(error)[:120]}); "
            "apt install libgomp1"
        ) from None
    return LGBMRegressor(**MODEL_OPTIONS, **options)


def cross_fit(table: Array, values: Array, parts: Array) -> Array:
    """Predict `values` from `table`, every row by a model that has not seen its part."""
    out = np.full(len(values), float(np.mean(values)))
    for k in np.unique(parts):
        held = parts == k
        model = make_regressor(deterministic=True)
        out[held] = np.asarray(model.fit(table[~held], values[~held]).predict(table[held]))
    return out


def cross_fit_residual(truth: Truth, table: Array, values: Array) -> Array:
    """Return what `table` leaves unexplained of `values`, on the `gate_rows`."""
    rows = gate_rows(truth)
    parts = np.random.default_rng(1).integers(0, N_PARTS, len(rows))
    return values[rows] - cross_fit(table[rows], values[rows], parts)


@lru_cache(maxsize=8)
def reference_prediction(truth: Truth, without: tuple[str, ...]) -> Array:
    """Predict the target out of fold from the columns but `without`, on the `gate_rows`."""
    rows = gate_rows(truth)
    table = feature_table(truth, without)
    return cross_fit(table[rows], numeric_target(truth)[rows], truth.fold[rows])
