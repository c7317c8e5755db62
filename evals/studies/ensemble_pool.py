"""Ten plain pipelines on one task: what attempts of a run would have predicted."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.multioutput import MultiOutputRegressor
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from task.data.prepare import prepare_task
from task.grade.blend import (
    blending_of,
    choose_form,
    choose_method,
    class_codes,
    read_members,
    write_predictions,
)
from task.grade.blend_weights import Blending, finish_predictions, sample_positions
from task.grade.compare import score_predictions
from task.grade.predictions import Truth, get_truth, read_earlier
from task.load.spec import load_task
from task.types import Prepared

Array = NDArray[Any]
FOREST: dict[str, Any] = {"n_estimators": 60, "min_samples_leaf": 3, "random_state": 0}


class Fitted(NamedTuple):
    """The files of one pipeline, with the score of its out-of-fold predictions."""

    oof: str
    submission: str
    score: float
    se: float


def fit_pool(task: Path) -> tuple[Prepared, dict[str, Fitted]]:
    """Prepare a task without held-back rows, and fit every pipeline on its folds."""
    place = task.parent / f"{task.name}-pool"
    prepared = prepare_task(
        load_task(str(task)), str(place / "public"), str(place / "private"), seed=0, audit=False
    )
    truth = get_truth(prepared)
    x, x_test = feature_tables(prepared, truth)
    return prepared, {
        name: fit_pipeline(truth, name, x, x_test, place) for name in pipelines(truth)
    }


def pipelines(truth: Truth) -> dict[str, Any]:
    """Return the pipelines for the task's kind of target."""
    if is_classes(truth):
        return {
            "linear": make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)),
            "shrunk": make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=500)),
            "near": make_pipeline(StandardScaler(), KNeighborsClassifier(15)),
            "wide": make_pipeline(StandardScaler(), KNeighborsClassifier(60)),
            "bayes": GaussianNB(var_smoothing=1e-3),
            "tree": DecisionTreeClassifier(max_depth=6, min_samples_leaf=10, random_state=0),
            "forest": RandomForestClassifier(**FOREST),
            "extra": ExtraTreesClassifier(**FOREST),
            "boosting": HistGradientBoostingClassifier(max_iter=60, random_state=0),
            "stumps": HistGradientBoostingClassifier(max_iter=120, max_depth=2, random_state=0),
        }
    is_multiple = truth.y.ndim > 1

    def several(model: Any) -> Any:
        return MultiOutputRegressor(model) if is_multiple else model

    boosting = HistGradientBoostingRegressor
    return {
        "linear": make_pipeline(StandardScaler(), Ridge(1.0)),
        "shrunk": make_pipeline(StandardScaler(), Ridge(300.0)),
        "near": make_pipeline(StandardScaler(), KNeighborsRegressor(10)),
        "wide": make_pipeline(StandardScaler(), KNeighborsRegressor(40)),
        "leaf": DecisionTreeRegressor(max_depth=4, min_samples_leaf=10, random_state=0),
        "tree": DecisionTreeRegressor(max_depth=8, min_samples_leaf=10, random_state=0),
        "forest": RandomForestRegressor(**FOREST),
        "extra": ExtraTreesRegressor(**FOREST),
        "boosting": several(boosting(max_iter=60, random_state=0)),
        "stumps": several(boosting(max_iter=120, max_depth=2, random_state=0)),
    }


def choose_nested(blending: Blending) -> Array:
    """Return a row per row of the best single member, chosen without the row's block of folds."""
    parts = blending.parts
    total = np.zeros_like(next(iter(parts.values())))
    for block in np.unique(blending.blocks):
        held = blending.blocks == block
        rows = sample_positions(len(held), ~held, blending.seed + (1 << int(block)))
        scores = {name: blending.score(part[rows], rows) for name, part in parts.items()}
        total[held] = parts[max(scores, key=lambda name: (scores[name], name))][held]
    return total


def write_nested_choice(prepared: Prepared, members: dict[str, dict[str, str]], out: str) -> None:
    """Write the out-of-fold file of the best single member, chosen as the weights of a blend are.

    `members`: as of `task.grade.blend.blend_attempts`.
    """
    owner = get_truth(prepared)
    is_soft, known, _ = choose_form(owner, members)
    truth = owner.soft_truth if is_soft else owner
    method = choose_method(truth)
    classes = class_codes(truth, method)
    oof = read_members(owner, known, method, is_soft=is_soft).oof
    total = choose_nested(blending_of(truth, oof, classes, method))
    values = finish_predictions(total, classes, method)
    write_predictions(truth, out, truth.validated_ids, values, method)


def is_classes(truth: Truth) -> bool:
    """Whether the target is a class."""
    return truth.prepared.task.kind != "regression"


def feature_tables(prepared: Prepared, truth: Truth) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return numbers of the validated rows and of the test rows: words become counts and codes."""
    tables = []
    for name, ids in (("train", truth.validated_ids), ("test", truth.test_ids)):
        table = pd.read_csv(f"{prepared.public}/{name}.csv", dtype={prepared.id: str})
        tables.append(table.set_index(prepared.id).loc[ids])
    train, test = tables
    made: dict[str, pd.Series[Any]] = {}
    both = pd.concat([train[list(test.columns)], test])
    for column in both.columns:
        values = pd.to_numeric(both[column], errors="coerce")
        if values.notna().mean() < 0.5:
            codes = pd.factorize(both[column].astype(str), sort=True)[0]
            values = pd.Series(codes, index=both.index, dtype=float)
        made[str(column)] = values.fillna(values.median()).fillna(0.0)
    numbers = pd.DataFrame(made)
    return numbers.iloc[: len(train)], numbers.iloc[len(train) :]


def fit_pipeline(
    truth: Truth, name: str, x: pd.DataFrame, x_test: pd.DataFrame, place: Path
) -> Fitted:
    """Fit a pipeline on every fold; the test rows get the mean of the folds' models."""
    parts, tests = [], []
    for fold in np.unique(truth.fold):
        held = truth.fold == fold
        model = pipelines(truth)[name]
        model.fit(x[~held], target_of(truth)[~held])
        parts.append((held, raw_predictions(truth, model, x[held])))
        tests.append(raw_predictions(truth, model, x_test))
    raw = np.zeros((len(x), *parts[0][1].shape[1:]))
    for held, values in parts:
        raw[held] = values
    files = []
    ids = {"oof": truth.validated_ids, "submission": truth.test_ids}
    for which, values in (("oof", raw), ("submission", np.mean(tests, axis=0))):
        path = str(place / f"{name}-{which}.csv")
        final = finish(truth, values)
        write_predictions(truth, path, ids[which], final, choose_method(truth))
        files.append(path)
    score = score_predictions(truth, read_earlier(truth, files[0]))
    return Fitted(files[0], files[1], score["value"], score["se"] or 1.0)


def is_log(truth: Truth) -> bool:
    """Whether the metric compares ratios, so that models fit the logarithm."""
    return truth.metric.name.startswith("rmsle")


def target_of(truth: Truth) -> Array:
    """Return what the models are fitted to."""
    return np.asarray(np.log1p(truth.y) if is_log(truth) else truth.y)


def raw_predictions(truth: Truth, model: Any, x: pd.DataFrame) -> Array:
    """Return probabilities of all classes, or values."""
    if is_classes(truth):
        known = model.predict_proba(x)
        classes = np.unique(truth.y)
        whole = np.zeros((len(x), len(classes)))
        whole[:, np.searchsorted(classes, model.classes_)] = known
        return whole
    return np.asarray(model.predict(x)).reshape(len(x), -1)


def finish(truth: Truth, values: Array) -> Array:
    """Return predictions in the form of a submission."""
    if not is_classes(truth):
        return np.expm1(values).clip(0) if is_log(truth) else values
    if truth.metric.needs == "label":
        return np.asarray(np.unique(truth.y)[values.argmax(axis=1)])
    values = (values + 1e-6) / (values + 1e-6).sum(axis=1, keepdims=True)
    return values[:, 1:] if len(truth.prepared.columns) == 2 else values
