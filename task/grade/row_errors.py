"""Evidence on the errors of rows: signed residuals, by target and by prediction, and worst rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from task.grade.metrics import METRICS
from task.grade.order import RANKED
from task.grade.predictions import Truth
from task.load.form import label_text
from task.types import FifthOfPredictions, TargetStats, WorstRow

Array = NDArray[Any]
N_FIFTHS, MIN_ROWS = 5, 20  # rows of a fifth below which none are formed
N_WORST, N_WORST_COLUMNS, MAX_CELL_CHARS = 5, 6, 40
MAX_ROW_CHARS = N_WORST_COLUMNS * MAX_CELL_CHARS
MAX_TARGETS = 24
N_CONFUSIONS = 5
MIN_CONFUSED = 3  # rows of one confusion below which it is not told


def signed_residuals(truth: Truth, oof: Array) -> Array | None:
    """Return true - predicted per row, on the scale that the metric measures on.

    That is the logarithm of 1 + y for the logarithmic errors, and the units of y else; for two
    classes label - probability. None where there is no such difference: labels, classes, order.
    """
    y = truth.y
    if oof.dtype == object or y.shape != oof.shape or y.dtype == object:
        return None
    if truth.metric.needs == "value" and truth.prepared.task.kind == "regression":
        if truth.metric.name.startswith("rmsle"):
            return np.asarray(np.log1p(np.maximum(y, 0)) - np.log1p(np.maximum(oof, 0)))
        return np.asarray(y - oof)
    is_probability = truth.metric.needs == "probability" and truth.metric.name not in RANKED
    return np.asarray(y - oof) if is_probability and oof.ndim == 1 else None


def residual_unit(truth: Truth) -> str:
    """Return the unit of signed residuals."""
    if truth.metric.needs == "probability":
        return "probability"
    return "log1p" if truth.metric.name.startswith("rmsle") else "target"


def mean_residual(residuals: Array | None) -> Array | None:
    """Return one residual per row; None where several targets have units of their own."""
    return residuals if residuals is not None and residuals.ndim == 1 else None


def fifths_of_predictions(truth: Truth, oof: Array) -> list[FifthOfPredictions]:
    """Compare mean prediction and mean truth by fifth of the prediction."""
    if oof.ndim != 1 or truth.y.ndim != 1 or len(oof) < N_FIFTHS * MIN_ROWS:
        return []
    return [
        FifthOfPredictions(
            n=len(rows), predicted=float(oof[rows].mean()), true=float(truth.y[rows].mean())
        )
        for rows in np.array_split(np.argsort(oof, kind="stable"), N_FIFTHS)
    ]


def target_stats(truth: Truth, oof: Array) -> dict[str, TargetStats]:
    """Describe the predictions of each of several targets by itself, the worst first."""
    y = truth.y
    if y.ndim != 2 or y.shape != oof.shape or y.dtype == object or truth.metric.frame is not None:
        return {}
    residuals = signed_residuals(truth, oof)
    if residuals is None:
        residuals = y - oof
    single = METRICS.get(truth.metric.name.removesuffix("_mean_columns"))
    names = [column.name for column in truth.form.columns]
    losses = (residuals**2).mean(axis=0) if truth.metric.row_loss is not None else None
    by_target: dict[str, TargetStats] = {}
    for k in range(min(y.shape[1], MAX_TARGETS)):
        score = None
        if single is not None and single.needs in ("value", "probability"):
            try:
                score = float(single.score(y[:, k], oof[:, k]))
            except ValueError:  # one value only
                score = None
        entry = TargetStats(score=score, bias=float(residuals[:, k].mean()))
        if losses is not None and losses.sum() > 0:
            entry["loss_share"] = float(losses[k] / losses.sum())
        if y.shape[1] == 2 and residuals[:, 0].std() > 0 and residuals[:, 1].std() > 0:
            entry["correlation"] = float(np.corrcoef(residuals[:, 0], residuals[:, 1])[0, 1])
        by_target[names[k] if k < len(names) else str(k)] = entry
    sign = 1 if truth.metric.direction == "max" else -1
    return dict(sorted(by_target.items(), key=lambda item: sign * (item[1]["score"] or 0.0)))


def worst_rows(truth: Truth, oof: Array, losses: Array) -> list[WorstRow]:
    """Return the validated rows that lost most, with some of their cells.

    None where many rows share the largest loss, as with labels: they would be any rows.
    """
    order = np.argsort(-losses, kind="stable")
    if oof.dtype == object or len(order) <= N_WORST or losses[order[N_WORST]] >= losses[order[0]]:
        return []
    mean, columns = float(losses.mean()) or 1.0, list(truth.features.columns)[:N_WORST_COLUMNS]
    rows = []
    for row in order[:N_WORST]:
        cells = truth.features.iloc[row]
        rows.append(
            WorstRow(
                id=short_cell(truth.validated_ids[row]),
                fold=int(truth.fold[row]),
                true=_true_text(truth, row),
                predicted=_predicted_text(truth, oof[row]),
                ratio=float(losses[row] / mean),
                values=quote_cells(cells[columns]),
            )
        )
    return rows


def quote_cells(cells: pd.Series[Any]) -> dict[str, str]:
    """Return a row's cells by column; what short cells leave of the room goes to long ones."""
    short = [short_cell(cell) for cell in cells]
    is_cut = [text.endswith("…") for text in short]
    room = MAX_ROW_CHARS - sum(
        len(text) for text, cut in zip(short, is_cut, strict=True) if not cut
    )
    limit = max(MAX_CELL_CHARS, room // max(1, sum(is_cut)))
    return {
        short_cell(name): short_cell(cell, limit)
        for name, cell in zip(cells.index, cells, strict=True)
    }


def short_cell(value: object, limit: int = MAX_CELL_CHARS) -> str:
    """Return a cell on one line, bounded to so many characters."""
    if isinstance(value, float):
        return f"{value:.5g}"
    text = " ".join(str(value)[: 4 * limit].split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _true_text(truth: Truth, row: int) -> str:
    value = truth.y[row]
    if truth.metric.needs == "probability" and truth.labels and np.ndim(value) == 0:
        position = int(value)
        known = 0 <= position < len(truth.labels)
        return short_cell(truth.labels[position] if known else label_text(value))
    return _numbers_text(value)


def _predicted_text(truth: Truth, value: Any) -> str:
    if np.ndim(value) == 1 and truth.labels and len(value) == len(truth.labels):
        top = np.argsort(-value)[:3]
        return ", ".join(f"{short_cell(truth.labels[k])} {value[k]:.3g}" for k in top)
    return _numbers_text(value)


def _numbers_text(value: Any) -> str:
    return ", ".join(f"{float(each):.5g}" for each in np.ravel(value)[:6])


def count_confusions(
    true: Array, predicted: Array, names: dict[float, str]
) -> list[dict[str, Any]]:
    """Return the commonest wrong pairs of classes."""
    wrong = (true != predicted) & np.isfinite(true) & np.isfinite(predicted)
    pairs, counts = np.unique(
        np.stack([true[wrong], predicted[wrong]], axis=1), axis=0, return_counts=True
    )
    order = np.argsort(-counts, kind="stable")[:N_CONFUSIONS]
    return [
        {
            "true": short_cell(names.get(float(pairs[k][0]), pairs[k][0])),
            "predicted": short_cell(names.get(float(pairs[k][1]), pairs[k][1])),
            "n": int(counts[k]),
        }
        for k in order
        if counts[k] >= MIN_CONFUSED
    ]
