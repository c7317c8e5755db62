"""Contestant: LightGBM, as it comes, or tuned by Optuna until its CPU seconds are up.

python boosting.py TASK SUBMISSION SECONDS [tuned]
"""

from __future__ import annotations

import sys
import time
from functools import partial
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import KFold, StratifiedKFold

from evals.suite.contestants.features import (
    N_CORES,
    Task,
    answer_texts,
    left_s,
    read_arguments,
    write_submission,
)

N_FOLDS = 3
Params = dict[str, Any]
DEFAULTS: Params = {  # of LightGBM itself, which are tried first
    "n_estimators": 100,
    "learning_rate": 0.1,
    "num_leaves": 31,
    "min_child_samples": 20,
    "colsample_bytree": 1.0,
    "reg_lambda": 1e-3,
    "subsample": 1.0,
}


def make_table(task: Task) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return both tables with categories as categories and texts as sixty directions of TF-IDF."""
    both = pd.concat([task.train, task.test], ignore_index=True)
    columns = both[task.numeric].astype(float)
    for name in task.categorical:
        columns[name] = both[name].astype("category")
    for name in task.text:
        words = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), max_features=50_000)
        letters = TfidfVectorizer(sublinear_tf=True, analyzer="char_wb", ngram_range=(2, 4))
        vectors = sparse.hstack(
            [words.fit_transform(both[name]), letters.fit_transform(both[name])]
        )
        topics = TruncatedSVD(60, random_state=0).fit_transform(vectors)
        named = pd.DataFrame(topics, columns=[f"{name}_{i}" for i in range(60)])
        columns = pd.concat([columns, named], axis=1)
    columns.columns = [f"c{i}" for i in range(len(columns.columns))]
    n = len(task.train)
    return columns.iloc[:n], columns.iloc[n:].reset_index(drop=True)


def fit_model(task: Task, params: Params, table: pd.DataFrame, y: Any, until: float = 0) -> Any:
    """Fit a model of the task's kind; with `until`, Optuna's trial ends then."""
    common = {"verbose": -1, "random_state": 0, "n_jobs": N_CORES, **params}
    callbacks = [partial(prune_late, until)] if until else []
    if task.is_classification:
        return lightgbm.LGBMClassifier(**common).fit(table, y, callbacks=callbacks)
    loss = {"objective": "mae"} if task.metric in ("mae", "mape") else {}
    return lightgbm.LGBMRegressor(**loss, **common).fit(table, y, callbacks=callbacks)


def prune_late(until: float, _: Any) -> None:
    """Give a trial up that is at work when the time is up."""
    if left_s(until) < 0:
        import optuna

        raise optuna.TrialPruned


def find_params(task: Task, table: pd.DataFrame, y: Any, until: float) -> Params:
    """Return the best parameters that Optuna finds until the time is up."""
    import optuna  # only the tuned contestant needs it

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    splitter = StratifiedKFold if task.is_classification else KFold
    folds = list(splitter(N_FOLDS, shuffle=True, random_state=0).split(table, y))

    def loss_of(trial: optuna.Trial) -> float:
        params = {
            "n_estimators": trial.suggest_int("n_estimators", 30, 1000, log=True),
            "learning_rate": trial.suggest_float("learning_rate", 0.01, 0.3, log=True),
            "num_leaves": trial.suggest_int("num_leaves", 3, 128, log=True),
            "min_child_samples": trial.suggest_int("min_child_samples", 3, 80, log=True),
            "colsample_bytree": trial.suggest_float("colsample_bytree", 0.3, 1.0),
            "reg_lambda": trial.suggest_float("reg_lambda", 1e-3, 30, log=True),
            "subsample": trial.suggest_float("subsample", 0.5, 1.0),
            "subsample_freq": 1,
        }
        losses = [validated_loss(task, params, table, y, part, until) for part in folds]
        return float(np.mean(losses))

    def stop_in_time(study: optuna.Study, _: optuna.trial.FrozenTrial) -> None:
        if left_s(until) < 0:
            study.stop()

    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0))
    study.enqueue_trial(DEFAULTS)
    study.optimize(loss_of, callbacks=[stop_in_time])
    done = any(trial.value is not None for trial in study.trials)
    return dict(study.best_params, subsample_freq=1) if done else {}


def validated_loss(
    task: Task, params: Params, table: pd.DataFrame, y: Any, part: tuple[Any, Any], until: float
) -> float:
    """Return log loss, absolute or squared error on the held rows."""
    fit, held = part
    model = fit_model(task, params, table.iloc[fit], y[fit], until)
    if not task.is_classification:
        errors = np.abs(model.predict(table.iloc[held]) - y[held])
        return float(np.mean(errors if task.metric in ("mae", "mape") else errors**2))
    place = {label: i for i, label in enumerate(model.classes_)}
    p = model.predict_proba(table.iloc[held])
    right = [p[row, place[label]] if label in place else 0 for row, label in enumerate(y[held])]
    return float(-np.log(np.clip(right, 1e-6, 1)).mean())


def main() -> None:
    task, path, until = read_arguments()
    if task.is_text:
        write_submission(task, answer_texts(task), None, path)
        return
    table, test = make_table(task)
    answers, classes = [], None
    is_tuned = "tuned" in sys.argv[4:]
    begin = time.process_time()
    for place, name in enumerate(task.target):
        y = task.train[name].to_numpy()
        y = np.log1p(y.astype(float)) if task.is_relative else y
        share = begin + (until - begin) * 0.75 * (place + 1) / len(task.target)
        model = fit_model(task, find_params(task, table, y, share) if is_tuned else {}, table, y)
        if task.is_classification:
            answers, classes = model.predict_proba(test), model.classes_
        else:
            said = model.predict(test)
            answers.append(np.expm1(said).clip(0) if task.is_relative else said)
    answer = answers if task.is_classification else np.column_stack(answers)
    write_submission(task, answer, classes, path)


if __name__ == "__main__":
    main()
