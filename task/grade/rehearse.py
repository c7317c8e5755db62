"""Rehearsal of the metric: the true labels as a submission, graded as every attempt is graded.

The truth must have the metric's optimum, a shuffle must be worse, and another order of rows and
columns must change nothing. What writing and grading disagree on, shows here, before anything is
spent.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import pandas as pd

from task.data.prepare import LABEL_PREFIX
from task.data.public_tables import match_keys
from task.grade.handover import write_final_submission
from task.grade.predictions import PredictionsError, Truth, get_truth, read_predictions
from task.load.tables import read_public_table, read_table
from task.types import Prepared, TaskError

TOLERANCE = 1e-6
N_SHUFFLES = 5
MANY_ROWS = 20_000  # of which one shuffle tells enough


class RehearsalJson(TypedDict):
    """What the rehearsal found."""

    metric: str
    truth: float  # score of the true labels
    optimum: float | None  # None: a metric of the task's own, whose optimum is not known
    shuffled: float  # mean score of the shuffled labels
    rows: int


def rehearse(prepared: Prepared) -> RehearsalJson:
    """Grade the truth, shuffles and another order; try what is handed over. Raises TaskError."""
    truth = get_truth(prepared)
    if not len(truth.validated):
        raise TaskError(f"{prepared.task.train}: no row can be validated; check `split:`")
    with tempfile.TemporaryDirectory(prefix="gome-rehearsal-") as folder:
        try:
            found = grade_truth(truth, Path(folder))
        except PredictionsError as error:
            raise TaskError(
                f"{prepared.task.train}: its own labels, written as a submission, are refused: "
                f"{error}; check `target:`, `kind:` and `metric:` in task.yaml"
            ) from error
        check_found(prepared, found, truth.metric.direction, is_varied=has_varied_labels(truth))
        try_handover(prepared, Path(folder))
    return found


def grade_truth(truth: Truth, folder: Path) -> RehearsalJson:
    """Grade the true labels, their shuffles and another order of rows and columns."""
    labels = read_public_labels(truth)
    true = make_submission(truth, labels)
    score = grade_frame(truth, true, folder)
    rng = np.random.default_rng(0)
    other = true.sample(frac=1, random_state=1)[[*rng.permutation(true.columns)]]
    again = grade_frame(truth, other, folder)
    if not np.isclose(score, again, rtol=0, atol=TOLERANCE, equal_nan=True):
        raise TaskError(
            f"the metric {truth.metric.name} gives {score:.6g} for the true labels and "
            f"{again:.6g} when the rows stand in another order; correct the metric"
        )
    shuffles = [
        grade_frame(truth, make_submission(truth, labels, rng), folder)
        for _ in range(N_SHUFFLES if len(labels) < MANY_ROWS else 1)
    ]
    return RehearsalJson(
        metric=Path(truth.metric.name).name,
        truth=score,
        optimum=truth.metric.best,
        shuffled=float(np.mean(shuffles)),
        rows=len(true),
    )


def read_public_labels(truth: Truth) -> pd.DataFrame:
    """Return the validated rows' ids and labels as scripts read them, with pandas' defaults."""
    task = truth.prepared.task
    columns = [truth.prepared.id, *task.target]
    frame = read_public_table(truth.prepared.public, "train", columns)
    rows = match_keys([str(key) for key in frame[truth.prepared.id]], truth.validated_ids)
    if task.kind == "text":  # scripts read texts as they are written
        texts = pd.DataFrame({name: truth.validated[LABEL_PREFIX + name] for name in task.target})
        return texts.assign(**{truth.prepared.id: truth.validated_ids})
    if (rows < 0).any():
        missing = truth.validated_ids[int(np.flatnonzero(rows < 0)[0])]
        raise TaskError(
            f"{truth.prepared.task.train}: the id {missing!r} is not found again in the table "
            "that scripts read; give the rows other ids"
        )
    return frame.take(rows).reset_index(drop=True)


def make_submission(
    truth: Truth, labels: pd.DataFrame, shuffle: np.random.Generator | None = None
) -> pd.DataFrame:
    """Return labels as predictions in the form of a submission; shuffled among the rows or not."""
    form, metric = truth.form, truth.metric
    order = np.arange(len(labels)) if shuffle is None else shuffle.permutation(len(labels))
    frame = pd.DataFrame({form.id: labels[form.id]})
    for column in form.columns:
        if not column.target:
            frame[column.name] = metric.true_value[1] if metric.true_value else 0.5
            continue
        values = labels[column.target].take(order).reset_index(drop=True)
        if column.label:
            texts = truth.find_labels(values.astype(str))
            frame[column.name] = (texts == column.label).astype(float)
        elif metric.write_truth:
            frame[column.name] = values.map(str).map(metric.write_truth)
        else:
            frame[column.name] = values
    return frame


def grade_frame(truth: Truth, frame: pd.DataFrame, folder: Path) -> float:
    """Write predictions, then read and score them as those of an attempt."""
    path = folder / "oof.csv"
    frame.to_csv(path, index=False)
    p = read_predictions(truth, str(path), "oof.csv", truth.validated_ids)
    try:
        return float(truth.metric.score(truth.scored, p))
    except Exception as error:
        if not isinstance(error, (ValueError, ZeroDivisionError)):
            raise
        raise TaskError(
            f"{truth.prepared.task.train}: {truth.metric.name} cannot be computed on the validated "
            f"rows ({str(error)[:120]}); set another `metric:` or `split:` in task.yaml"
        ) from error


def has_varied_labels(truth: Truth) -> bool:
    """Whether a shuffle changes anything: some validated labels differ."""
    names = [LABEL_PREFIX + name for name in truth.prepared.task.target]
    return any(truth.validated[name].nunique(dropna=False) > 1 for name in names)


def check_found(
    prepared: Prepared, found: RehearsalJson, direction: str, *, is_varied: bool = True
) -> None:
    """Refuse a truth without the optimum, or a shuffle as good. Raises TaskError.

    `is_varied`: the validated labels are not all the same, so that a shuffle is another answer.
    """
    task, score, best = prepared.task, found["truth"], found["optimum"]
    remedy = "check `metric:`, `direction:`, `kind:` and `target:` in task.yaml"
    what = f"the true labels of {task.train}, written as a submission,"
    if not np.isfinite(score) or (best is not None and abs(score - best) > TOLERANCE):
        expected = "" if best is None else f" instead of {best:g}"
        raise TaskError(f"{what} score {score:.6g} by {found['metric']}{expected}; {remedy}")
    sign = 1 if direction == "max" else -1
    if is_varied and not sign * (score - found["shuffled"]) > 0:
        raise TaskError(
            f"{what} score {score:.6g} by {found['metric']} ({direction} is better) and shuffled "
            f"ones {found['shuffled']:.6g}; {remedy}"
        )


def try_handover(prepared: Prepared, folder: Path) -> None:
    """Write the final submission of a plain one; its ids must be those of the sample.

    Raises TaskError.
    """
    out = folder / "submission.csv"
    source = Path(prepared.public) / "sample_submission.csv"
    write_final_submission(prepared, str(source), str(out))
    if not prepared.task.sample_submission:
        return
    sample = read_table(Path(prepared.task.sample_submission)).frame
    separator = get_truth(prepared).form.separator
    back = pd.read_csv(out, dtype=str, keep_default_na=False, sep=separator)
    name = prepared.task.sample_id or str(sample.columns[0])
    wanted: list[Any] = ["" if pd.isna(key) else str(key) for key in sample[name]]
    if list(back.columns) != [str(c) for c in sample.columns] or list(back[name]) != wanted:
        raise TaskError(
            f"{prepared.task.sample_submission}: its ids or columns cannot be written back as they "
            "are; save it as a plain csv"
        )
