"""The type of a metric: direction, input, score and, where it separates, the loss of each row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from task.types import Direction

Array = NDArray[Any]
Needs = Literal["probability", "label", "value", "ranking", "text"]
Resampling = Literal["rows", "folds"]
ScoreFunction = Callable[[Array, Array], float]
LossFunction = Callable[[Array, Array], Array]  # one loss per row, shape (n,)
Bounds = tuple[float | None, float | None]


class FrameColumns(NamedTuple):
    """Which columns of answers and submission mean what."""

    id: str
    targets: list[str]  # of the answers, one for each prediction
    predictions: list[str]  # of the submission
    group: str = ""  # column of the answers whose rows belong together; empty: none


FrameScore = Callable[[pd.DataFrame, pd.DataFrame, FrameColumns], float]
FrameLosses = Callable[[pd.DataFrame, pd.DataFrame, FrameColumns], Array]


@dataclass(frozen=True)
class Metric:
    """A metric: score(y_true, y_pred) with both of shape (n,) or (n, k).

    For `probability` with more than two classes y_true contains class positions and y_pred a
    column per class; for `text` both are texts. `row_loss` gives the loss of each row (lower is
    better) where the metric is its mean or a monotone function of it. Predicted values are clipped
    to `bounds`.

    A metric over tables has `frame` (and `frame_losses`) and reads other columns of the answers
    too; `bind_answers` makes its `score`, whose y_true are positions in the answers.

    Attributes:
        optimum: the score of the truth; None: the usual one, or not known of a metric of the
            user's own.
        is_own: a Python file of the user's.
        columns: columns that the answers need besides the targets.
        write_truth: turns a true cell into a submission's, where they are written differently.
        true_value: predicted value of a column that is no target (its name is a pattern).
        is_whole: predicted values are labels, rounded to whole numbers.
        sums_to_one: the predictions of a row are scaled to sum to one.
        resample: how differences are judged where rows have no loss: by drawing rows with
            replacement, or from fold to fold.
    """

    name: str
    direction: Direction
    needs: Needs
    score: ScoreFunction
    row_loss: LossFunction | None = None
    bounds: Bounds | None = None
    optimum: float | None = None
    is_own: bool = False
    frame: FrameScore | None = None
    frame_losses: FrameLosses | None = None
    columns: tuple[str, ...] = ()
    write_truth: Callable[[str], str] | None = None
    true_value: tuple[str, float] | None = None
    sums_to_one: bool = False
    is_whole: bool = False
    resample: Resampling = "rows"

    @property
    def best(self) -> float | None:
        """The score of the truth, where it is known."""
        if self.optimum is not None or self.is_own:
            return self.optimum
        return 1.0 if self.direction == "max" else 0.0


def score_unbound(y: Array, p: Array) -> float:
    """Stand for the score of a metric over tables that is not bound to its answers yet."""
    raise TypeError("a metric over tables needs its answers; see bind_answers")


def bind_answers(metric: Metric, answers: pd.DataFrame, columns: FrameColumns) -> Metric:
    """Return a metric over tables as one whose y_true are positions of rows in `answers`."""
    if metric.frame is None:
        return metric
    score, losses = metric.frame, metric.frame_losses

    def make_tables(rows: Array, p: Array) -> tuple[pd.DataFrame, pd.DataFrame]:
        true = answers.take(np.asarray(rows, dtype=np.int64)).reset_index(drop=True)
        said = pd.DataFrame(np.asarray(p).reshape(len(p), -1), columns=columns.predictions)
        said.insert(0, columns.id, true[columns.id])
        return true, said

    def score_rows(rows: Array, p: Array) -> float:
        return float(score(*make_tables(rows, p), columns))

    def lose_rows(rows: Array, p: Array) -> Array:
        assert losses is not None
        return np.asarray(losses(*make_tables(rows, p), columns), dtype=float)

    return replace(metric, score=score_rows, row_loss=lose_rows if losses else None)
