"""Plots of out-of-fold predictions against the labels, as counts and shares of groups of rows.

The labels are private: a report holds only what is computed here. No group has fewer than
`MIN_ROWS` rows unless the task has; cells of a matrix are plain counts.
"""

from __future__ import annotations

import math
from typing import Any, Literal, TypedDict, cast

import numpy as np
from numpy.typing import NDArray

from task.grade.evidence import clean_json
from task.grade.predictions import PredictionsError, Truth, get_truth, read_earlier
from task.types import Prepared

Array = NDArray[Any]
MIN_ROWS = 10  # of a group
MAX_GROUPS = 40  # of a ROC curve
N_BANDS = 10  # of calibration and of residuals
MAX_CLASSES = 12  # of a confusion matrix; the rarer ones are joined
MAX_BARS = 30
MAX_TARGETS = 4
MAX_CELLS = 24  # of a predicted-against-true map, along an axis
LOG_RATIO = 20.0  # of the largest to the median value, from which the map has a log scale
OTHER = "other"


class BinaryPanel(TypedDict):
    """Probabilities of two classes: ROC, precision-recall and calibration.

    `groups` from the highest prediction down: (rows, positives). `calibration` from the lowest
    up: (rows, mean prediction, share of positives); empty for scores that are no probabilities.
    """

    kind: Literal["binary"]
    target: str
    positive: str
    n: int
    n_positive: int
    auc: float
    average_precision: float
    groups: list[tuple[int, int]]
    calibration: list[tuple[int, float, float]]


class ClassBar(TypedDict):
    """A class: its rows, and the recall and precision of its predictions."""

    label: str
    n: int
    recall: float
    precision: float


class ClassesPanel(TypedDict):
    """Predicted classes: a confusion matrix (rows: true, columns: predicted) and bars.

    `n_joined`: how many rare classes the last row and column hold together.
    """

    kind: Literal["classes"]
    target: str
    n: int
    accuracy: float
    labels: list[str]
    matrix: list[list[int]]
    n_joined: int
    bars: list[ClassBar]
    n_more: int


class RegressionPanel(TypedDict):
    """Predicted values: counts of rows by true (rows) and predicted value (columns), residuals.

    `edges` bound the cells of both axes, `residual_edges` those of `residuals` (true minus
    predicted); rows beyond the ends count in the outer cells. `bands` in the order of the
    prediction: (rows, mean prediction, 10 %, 50 % and 90 % quantile of the residual).
    """

    kind: Literal["regression"]
    target: str
    n: int
    r2: float
    scale: Literal["linear", "log"]
    edges: list[float]
    counts: list[list[int]]
    residual_edges: list[float]
    residuals: list[int]
    bands: list[tuple[int, float, float, float, float]]


Panel = BinaryPanel | ClassesPanel | RegressionPanel


def describe_predictions(prepared: Prepared, oof: str) -> list[Panel]:
    """Return the panels that fit the task; empty for rankings, texts and an unreadable file.

    Args:
        prepared: the task.
        oof: path of out-of-fold predictions that were graded before.
    """
    truth = get_truth(prepared)
    try:
        predicted = read_earlier(truth, oof)
    except (PredictionsError, OSError):
        return []
    return cast(list[Panel], [clean_json(panel) for panel in make_panels(truth, predicted)])


def make_panels(truth: Truth, p: Array) -> list[Panel]:
    """Return the panels of predictions in the order of `truth.y`."""
    needs, target = truth.metric.needs, truth.form.columns[0].target
    if needs in ("ranking", "text") or not len(p):
        return []
    if truth.prepared.task.kind == "regression":
        return make_value_panels(truth, p)
    if needs != "probability":
        codes = truth.codes
        return [classes_panel(target, list(codes), codes_to_places(truth.y, codes), p, codes)]
    if len(truth.labels) == 2:
        positive = p[:, 1] if p.ndim == 2 else p
        return [binary_panel(target, truth.labels[1], truth.y, positive)]
    places = {label: float(index) for index, label in enumerate(truth.labels)}
    guess = p.argmax(axis=1).astype(float)
    return [classes_panel(target, truth.labels, truth.y, guess, places)]


def make_value_panels(truth: Truth, p: Array) -> list[Panel]:
    """Return a panel per target column; targets of zeros and ones are classes."""
    y, p = truth.y.reshape(len(p), -1), p.reshape(len(p), -1)
    panels: list[Panel] = []
    for index, column in enumerate(truth.form.columns[: min(MAX_TARGETS, y.shape[1])]):
        true, predicted = y[:, index], p[:, index]
        is_share = predicted.min() >= 0 and predicted.max() <= 1
        if is_share and set(np.unique(true)) == {0.0, 1.0}:
            panels.append(binary_panel(column.name, "1", true, predicted))
        else:
            panels.append(regression_panel(column.name, true, predicted))
    return panels


# two classes


def binary_panel(target: str, positive: str, y: Array, p: Array) -> BinaryPanel:
    """Describe the predictions `p` of labels 0 and 1."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    order = np.argsort(-p, kind="stable")
    sorted_p, sorted_y = p[order], y[order]
    both = 0 < y.sum() < len(y)
    bounds = bound_groups(sorted_p, MAX_GROUPS)
    is_probability = bool(p.min() >= 0 and p.max() <= 1)
    bands = bound_groups(sorted_p, N_BANDS) if is_probability else []
    return BinaryPanel(
        kind="binary",
        target=target,
        positive=positive,
        n=len(y),
        n_positive=int(y.sum()),
        auc=float(roc_auc_score(y, p)) if both else math.nan,
        average_precision=float(average_precision_score(y, p)) if both else math.nan,
        groups=[(end - start, int(sorted_y[start:end].sum())) for start, end in bounds],
        calibration=[
            (end - start, float(sorted_p[start:end].mean()), float(sorted_y[start:end].mean()))
            for start, end in reversed(bands)
        ],
    )


def bound_groups(ordered: Array, n_groups: int) -> list[tuple[int, int]]:
    """Cut sorted values into about `n_groups` runs (start, end); equal values stay together."""
    n = len(ordered)
    size = max(MIN_ROWS, math.ceil(n / n_groups))
    ends = np.append(np.flatnonzero(np.diff(ordered)) + 1, n)
    bounds: list[tuple[int, int]] = []
    start = 0
    while start < n:
        place = min(int(np.searchsorted(ends, start + size)), len(ends) - 1)
        end = int(ends[place])
        bounds.append((start, end if n - end >= MIN_ROWS else n))
        start = bounds[-1][1]
    return bounds


# classes


def codes_to_places(values: Array, codes: dict[str, float]) -> Array:
    """Return the positions of label codes."""
    places = {code: float(index) for index, code in enumerate(codes.values())}
    return np.array([places.get(value, -1.0) for value in values])


def classes_panel(
    target: str, labels: list[str], y: Array, guess: Array, codes: dict[str, float]
) -> ClassesPanel:
    """Describe guesses, given as `codes`, of the classes at the positions `y` of `labels`."""
    predicted = codes_to_places(guess, codes)
    counts = np.bincount(y.astype(int), minlength=len(labels))
    hits = np.bincount(y[y == predicted].astype(int), minlength=len(labels))
    chosen = np.bincount(predicted[predicted >= 0].astype(int), minlength=len(labels))
    by_size = np.argsort(-counts, kind="stable")
    is_long = len(labels) > MAX_CLASSES
    kept = np.sort(by_size[: MAX_CLASSES - 1] if is_long else by_size)
    row = np.full(len(labels), len(kept))
    row[kept] = np.arange(len(kept))
    size = len(kept) + is_long
    cells = row[y.astype(int)] * size + row[predicted.astype(int)]
    matrix = np.bincount(cells, minlength=size * size).reshape(size, size)
    bars = [
        ClassBar(
            label=labels[index][:80],
            n=int(counts[index]),
            recall=float(hits[index] / counts[index]),
            precision=float(hits[index] / max(1, chosen[index])),
        )
        for index in by_size[:MAX_BARS]
        if counts[index]
    ]
    return ClassesPanel(
        kind="classes",
        target=target,
        n=len(y),
        accuracy=float((y == predicted).mean()),
        labels=[labels[index][:80] for index in kept] + [OTHER] * is_long,
        matrix=matrix.tolist(),
        n_joined=len(labels) - len(kept),
        bars=bars,
        n_more=int((counts > 0).sum()) - len(bars),
    )


# values


def regression_panel(target: str, y: Array, p: Array) -> RegressionPanel:
    """Describe predicted values."""
    residual = y - p
    spread = float(((y - y.mean()) ** 2).sum())
    values = np.concatenate([y, p])
    is_log = bool(values.min() > 0 and np.quantile(y, 0.99) > LOG_RATIO * np.median(y))
    n_cells = int(np.clip(math.sqrt(len(y)) / 2, 5, MAX_CELLS))
    edges = round_edges(values, n_cells, is_log)
    size = round_up(float(np.quantile(np.abs(residual), 0.99))) or 1.0
    residual_edges = np.linspace(-size, size, 2 * (n_cells // 2) + 2)
    order = np.argsort(p, kind="stable")
    bands = [order[start:end] for start, end in bound_groups(p[order], N_BANDS)]
    return RegressionPanel(
        kind="regression",
        target=target,
        n=len(y),
        r2=1 - float((residual**2).sum()) / spread if spread else math.nan,
        scale="log" if is_log else "linear",
        edges=edges.tolist(),
        counts=count_cells(y, p, edges).tolist(),
        residual_edges=residual_edges.tolist(),
        residuals=np.bincount(
            find_cells(residual, residual_edges), minlength=len(residual_edges) - 1
        ).tolist(),
        bands=[
            (len(rows), float(p[rows].mean()), *np.quantile(residual[rows], (0.1, 0.5, 0.9)))
            for rows in bands
        ],
    )


def round_edges(values: Array, n_cells: int, is_log: bool) -> Array:
    """Return edges over all but the outermost values, rounded outwards so that none shows."""
    low, high = (float(value) for value in np.quantile(values, (0.005, 0.995)))
    if is_log:
        low, high = math.floor(4 * math.log10(low)) / 4, math.ceil(4 * math.log10(high)) / 4
        return np.logspace(low, high if high > low else low + 0.25, n_cells + 1)
    step = 10.0 ** (math.floor(math.log10(high - low)) - 1) if high > low else 1.0
    low, high = math.floor(low / step) * step, math.ceil(high / step) * step
    return np.linspace(low, high if high > low else low + step, n_cells + 1)


def round_up(value: float) -> float:
    """Round up to two significant digits."""
    if value <= 0:
        return 0.0
    step = 10.0 ** (math.floor(math.log10(value)) - 1)
    return math.ceil(value / step) * step


def find_cells(values: Array, edges: Array) -> Array:
    """Return the cell of every value; values beyond the ends are in the outer cells."""
    return np.asarray(np.clip(np.searchsorted(edges, values, "right") - 1, 0, len(edges) - 2))


def count_cells(y: Array, p: Array, edges: Array) -> Array:
    """Return the counts of rows by cell of the true and of the predicted value."""
    size = len(edges) - 1
    cells = find_cells(y, edges) * size + find_cells(p, edges)
    return np.bincount(cells, minlength=size * size).reshape(size, size)
