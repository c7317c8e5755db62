"""The baseline: a small boosted model of the columns as they are.

Gome writes it before the first attempt, so that there is a submission from the start. The harness
runs this module; a copy of it, with its PLAN, is the baseline's solution.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

MAX_FIT_ROWS, MAX_COLUMNS, MAX_CLASSES = 5000, 200, 60
MAX_ROUNDS, MAX_TREES = 100, 600
MIN_TEXTS, MIN_WORDS, MAX_TEXT_CHARS, N_TEXT_COMPONENTS = 50, 3.5, 2000, 20
Predict = Callable[[Any], Any]


@dataclass(frozen=True)
class Plan:
    """What the baseline knows of the task.

    `columns`: name and class (or an empty text) of every prediction column. `labels`: the classes;
    empty for values. `guesses`: classes in a row, where a ranking is scored. `left_out`: columns
    that are no features.
    """

    id: str
    targets: list[str]
    columns: list[list[str]]
    labels: list[str]
    guesses: int
    is_ranking: bool
    is_in_time: bool
    left_out: list[str]


PLAN: Plan | None = None


def run_baseline(plan: Plan, source: Path, out: Path, limit_s: float = 1e9) -> None:
    """Fit on the tables in `source`; write oof.csv and submission.csv. Raises TimeoutError."""
    deadline = time.monotonic() + limit_s
    texts = [plan.id, *(plan.targets if plan.labels else [])]
    train, test = read_table(source, "train", texts), read_table(source, "test", texts)
    folds = read_table(source, "folds", [plan.id]).set_index(plan.id).iloc[:, 0]
    fold = train[plan.id].map(folds).to_numpy()
    table = encode_columns(plan, train, test)
    of_train, of_test = table[: len(train)], table[len(train) :]
    oof = np.zeros((len(train), len(plan.labels) or len(plan.targets)))
    with threadpool_limits(1):  # threads beyond the free cores would wait for each other
        for k, predict in fit_models(plan, of_train, train, fold, deadline):
            if k is None:
                write_predictions(plan, test[plan.id], predict(of_test), out / "submission.csv")
            else:
                oof[fold == k] = predict(of_train[fold == k])
    is_held = fold >= 0
    write_predictions(plan, train[plan.id][is_held], oof[is_held], out / "oof.csv")


def read_table(source: Path, name: str, texts: list[str]) -> pd.DataFrame:
    """Read a table, some columns as text."""
    path = source / f"{name}.csv"
    if path.exists():
        return pd.read_csv(path, dtype=dict.fromkeys(texts, str), low_memory=False)
    frame = pd.read_parquet(source / f"{name}.parquet")
    return frame.assign(**{text: frame[text].astype(str) for text in texts if text in frame})


def encode_columns(plan: Plan, train: pd.DataFrame, test: pd.DataFrame) -> Any:
    """Return the columns that both tables have as numbers, train above test."""
    left_out = {plan.id, *plan.targets, *plan.left_out}
    names = [name for name in train if name in test and name not in left_out][:MAX_COLUMNS]
    columns: list[Any] = [np.zeros(len(train) + len(test))]
    for name in names:
        column = pd.concat([train[name], test[name]], ignore_index=True)
        if pd.api.types.is_numeric_dtype(column):
            values = column.to_numpy(dtype=float, na_value=np.nan)
            columns.append(np.where(np.isfinite(values), values, np.nan))
        elif is_free_text(column):
            columns += text_components(column)
        else:
            codes, levels = pd.factorize(column.astype(str), sort=True)
            columns += [codes.astype(float), np.bincount(codes, minlength=len(levels))[codes]]
    return np.column_stack(columns)


def is_free_text(column: pd.Series[Any]) -> bool:
    """Whether a column contains sentences that seldom repeat."""
    texts = column.dropna().astype(str).head(500)
    if len(texts) < MIN_TEXTS or texts.nunique() < 0.5 * len(texts):
        return False
    return bool(texts.str.count(r"\s+").mean() + 1 >= MIN_WORDS)


def text_components(column: pd.Series[Any]) -> list[Any]:
    """Return the main directions of the words, a column each."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = column.fillna("").astype(str).str[:MAX_TEXT_CHARS]
    words = TfidfVectorizer(max_features=5000, sublinear_tf=True).fit_transform(texts)
    if words.shape[1] <= N_TEXT_COMPONENTS:
        return list(words.toarray().T)
    return list(TruncatedSVD(N_TEXT_COMPONENTS, random_state=0).fit_transform(words).T)


def fit_models(
    plan: Plan, table: Any, train: pd.DataFrame, fold: Any, deadline: float
) -> Iterator[tuple[int | None, Predict]]:
    """Yield a function that predicts the test rows (None), then one for every fold."""
    rng = np.random.default_rng(0)
    for k in [None, *sorted(set(fold[fold >= 0]))]:
        if time.monotonic() > deadline:
            raise TimeoutError("it had no more time")
        is_used = np.ones(len(table), dtype=bool)
        if k is not None:
            is_used = fold < k if plan.is_in_time else fold != k
        rows = np.flatnonzero(is_used)
        if len(rows) > MAX_FIT_ROWS:
            rows = np.sort(rng.choice(rows, MAX_FIT_ROWS, replace=False))
        yield k, fit_model(plan, table[rows], train.iloc[rows])


def fit_model(plan: Plan, table: Any, rows: pd.DataFrame) -> Predict:
    """Fit one model a target, or one of all classes; return its predictions as a function."""
    n_trees = len(plan.labels) if len(plan.labels) > 2 else 1
    options: dict[str, Any] = {
        "max_iter": max(10, min(MAX_ROUNDS, MAX_TREES // n_trees)),
        "max_leaf_nodes": 15,
        "early_stopping": False,
        "random_state": 0,
    }
    if not plan.labels:
        models = []
        for name in plan.targets:
            y = rows[name].to_numpy(dtype=float)
            known = np.isfinite(y)
            models.append(HistGradientBoostingRegressor(**options).fit(table[known], y[known]))
        return lambda other: np.column_stack([model.predict(other) for model in models])
    codes = rows[plan.targets[0]].map({label: i for i, label in enumerate(plan.labels)})
    known = codes.notna().to_numpy()
    y = codes[known].to_numpy(dtype=int)
    if len(present := np.unique(y)) == 1:
        return lambda other: np.tile(np.eye(len(plan.labels))[present[0]], (len(other), 1))
    model = HistGradientBoostingClassifier(**options).fit(table[known], y)

    def predict(other: Any) -> Any:
        p = np.zeros((len(other), len(plan.labels)))
        p[:, model.classes_] = model.predict_proba(other)
        return p

    return predict


def write_predictions(plan: Plan, ids: pd.Series[Any], p: Any, path: Path) -> None:
    """Write predictions in the columns of the submission."""
    labels = np.asarray(plan.labels, dtype=object)
    frame = pd.DataFrame({plan.id: ids.to_numpy()})
    for index, (name, label) in enumerate(plan.columns):
        if label:
            frame[name] = p[:, plan.labels.index(label)]
        elif plan.is_ranking:
            order = np.argsort(-p, axis=1, kind="stable")[:, : plan.guesses]
            frame[name] = [" ".join(labels[row]) for row in order]
        elif len(labels):
            frame[name] = labels[p.argmax(axis=1)]
        else:
            frame[name] = p[:, index]
    frame.to_csv(path, index=False)


if __name__ == "__main__" and PLAN is not None:
    run_baseline(PLAN, Path("input"), Path())
