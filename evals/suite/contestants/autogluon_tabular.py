"""Contestant: AutoGluon's TabularPredictor, medium quality, on the columns of features.py.

python autogluon_tabular.py TASK SUBMISSION SECONDS, by the Python of its own environment.
"""

from __future__ import annotations

import tempfile
import time
from typing import Any

import numpy as np

from evals.suite.contestants.features import (
    N_CORES,
    Task,
    answer_texts,
    left_s,
    read_arguments,
    write_submission,
)

METRICS = {
    "auc": "roc_auc",
    "log_loss": "log_loss",
    "average_precision": "average_precision",
    "accuracy": "accuracy",
    "f1_macro": "f1_macro",
    "qwk": "quadratic_kappa",
    "mae": "mean_absolute_error",
    "mape": "mean_absolute_error",
}


def fit_target(task: Task, name: str, seconds: float) -> tuple[Any, Any]:
    """Return probabilities or values of the test rows, and the classes."""
    from autogluon.tabular import TabularPredictor  # imports count, so that it comes last

    columns = [*task.numeric, *task.categorical, *task.text]
    train = task.train[[*columns, name]].copy()
    if task.is_relative:
        train[name] = np.log1p(train[name].astype(float))
    kind = "regression"
    metric = METRICS.get(task.metric, "root_mean_squared_error")
    if task.is_classification:
        kind = "binary" if train[name].nunique() == 2 else "multiclass"
        metric = "log_loss" if kind == "multiclass" and metric == "roc_auc" else metric
        metric = "log_loss" if task.metric.startswith("map@") else metric
    with tempfile.TemporaryDirectory() as place:
        predictor = TabularPredictor(
            name, problem_type=kind, eval_metric=metric, path=place, verbosity=0
        ).fit(train, time_limit=seconds, num_cpus=N_CORES, num_gpus=0)
        if not task.is_classification:
            said = predictor.predict(task.test[columns]).to_numpy()
            return (np.expm1(said).clip(0) if task.is_relative else said), None
        p = predictor.predict_proba(task.test[columns])
        return p.to_numpy(), list(p.columns)


def main() -> None:
    task, path, until = read_arguments()
    if task.is_text:
        write_submission(task, answer_texts(task), None, path)
        return
    time.time = time.process_time  # AutoGluon counts its limit by it: CPU seconds for all
    answers: list[Any] = []
    classes = None
    for name in task.target:
        seconds = max(5.0, left_s(until) * 0.8 / (len(task.target) - len(answers)))
        answer, classes = fit_target(task, name, seconds)
        answers.append(answer)
    write_submission(
        task, answers[0] if task.is_classification else np.column_stack(answers), classes, path
    )


if __name__ == "__main__":
    main()
