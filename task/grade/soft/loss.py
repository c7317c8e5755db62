"""The surrogates: a proper loss of every row, blind to what the decoder undoes.

Predictions are calibrated first, each fold by the other folds: a change of scale (and, where the
decoder fits weights or cut points, of the classes' weights) would change the loss and no label.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from task.grade.metric import Metric
from task.types import SoftForm

Array = NDArray[Any]
FLOOR = 1e-3  # share of an even guess that is mixed in: one zero does not decide a comparison
FIT_ROWS = 20_000
PULL = 1e-3  # towards probabilities as they are
N_ITERATIONS = 60
LOSSES = Metric(
    "surrogate", "min", "value", lambda y, p: float(np.mean(p)), lambda y, p: np.asarray(p)
)
"""Compares rows of losses as a metric compares predictions."""


def surrogate_losses(form: SoftForm, y: Array, p: Array, folds: Array) -> Array:
    """Return the loss of every row. `y`, `p`: as `fit_decoder` takes them."""
    if form.layout == "values":
        return value_losses(y, p, folds)
    return class_losses(y.astype(int), p, folds, with_weights=form.decoder == "weights")


def class_losses(y: Array, p: Array, folds: Array, *, with_weights: bool) -> Array:
    """Return -log of the calibrated probability of the true class."""
    n_classes = p.shape[1]
    logs = np.log((1 - FLOOR) * p + FLOOR / n_classes)
    losses = np.empty(len(y))
    for k in np.unique(folds):
        held = folds == k
        scale, shift = fit_calibration(y[~held], logs[~held], with_weights=with_weights)
        z = scale * logs[held] + shift
        z = normalize_logs(z)
        losses[held] = -np.log(
            (1 - FLOOR) * np.exp(z[np.arange(len(z)), y[held]]) + FLOOR / n_classes
        )
    return losses


def fit_calibration(y: Array, logs: Array, *, with_weights: bool) -> tuple[float, Array]:
    """Return scale and shifts of log probabilities that fit the labels best."""
    n_classes = logs.shape[1]
    if len(y) == 0:
        return 1.0, np.zeros(n_classes)
    if len(y) > FIT_ROWS:
        rows = np.random.default_rng(0).choice(len(y), FIT_ROWS, replace=False)
        y, logs = y[rows], logs[rows]
    true = np.eye(n_classes)[y]

    def loss(free: Array) -> tuple[float, Array]:
        shift = free[1:] if with_weights else 0.0
        z = normalize_logs(free[0] * logs + shift)
        error = np.exp(z) - true
        away = free - start
        value = -float((z * true).sum()) / len(y) + PULL * float(away @ away)
        slope = np.concatenate([[(error * logs).sum()], error.sum(axis=0)])[: len(free)] / len(y)
        return value, slope + 2 * PULL * away

    start = np.zeros(1 + (n_classes if with_weights else 0))
    start[0] = 1.0
    found = optimize.minimize(
        loss, start, jac=True, method="L-BFGS-B", options={"maxiter": N_ITERATIONS}
    )
    free = found.x if np.isfinite(found.x).all() else start
    return float(free[0]), free[1:] if with_weights else np.zeros(n_classes)


def normalize_logs(z: Array) -> Array:
    """Return logarithms of probabilities that sum to one in every row."""
    z = z - z.max(axis=1, keepdims=True)
    return np.asarray(z - np.log(np.exp(z).sum(axis=1, keepdims=True)))


def value_losses(y: Array, values: Array, folds: Array) -> Array:
    """Return squared errors in variances of the label, after a straight line; mean of columns."""
    true, said = y.reshape(len(y), -1), values.reshape(len(values), -1)
    losses = np.zeros(len(y))
    for k in np.unique(folds):
        held = folds == k
        for column in range(true.shape[1]):
            slope, level = fit_line(said[~held, column], true[~held, column])
            errors = true[held, column] - (level + slope * said[held, column])
            losses[held] += errors**2 / max(float(np.var(true[:, column])), 1e-12)
    return losses / true.shape[1]


def fit_line(x: Array, y: Array) -> tuple[float, float]:
    """Return slope and level of the least squares line; level alone where x does not vary."""
    if len(x) == 0:
        return 1.0, 0.0
    spread = float(np.var(x))
    if spread <= 1e-18:
        return 0.0, float(np.mean(y))
    slope = float(np.mean((x - x.mean()) * (y - y.mean()))) / spread
    return slope, float(y.mean() - slope * x.mean())
