"""Shuffled labels: whether a script's out-of-fold predictions follow the labels that they predict.

A script runs a second time on a training table in which the labels of one fold were permuted. An
honest prediction of a row never saw its label, so it is independent of a permutation that only the
harness knows, whatever the model, the data or the metric. The test is therefore exact: the observed
agreement with the permuted labels is one draw among those with other permutations. Permuting inside
a fold keeps what honest scripts may know of all labels: their mean, counts and quantiles.
"""

from __future__ import annotations

import csv
from functools import lru_cache
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.special import gammaln

from task.grade import plain_model as plain
from task.grade.predictions import (
    PredictionsError,
    Truth,
    get_truth,
    read_earlier,
    read_predictions,
)
from task.grade.suspects import predictive_power
from task.types import Prepared, ProblemJson

Array = NDArray[Any]
MIN_ROWS = 10  # below which nothing is compared
MAX_TARGETS = 5  # target columns, or commonest classes, that are compared with the plain model
FALSE_ALARM = 0.01  # of one fold; a verdict needs two folds, so 1 in 10,000
N_PERMUTATIONS = 999
MIN_FOLLOWED = 0.25  # share of the apparent agreement that follows the permuted labels
MAX_ROWS = 1000  # of a fold that are compared


class Strength(TypedDict):
    """How well predictions and the plain model tell the label, per target column, 0..1."""

    power: list[float]
    plain: list[float]


class ShuffledTable(TypedDict):
    """A training table with the labels of one fold permuted."""

    path: str
    fold: int
    n_rows: int


class Following(TypedDict):
    """How far predictions of the second execution follow the permuted labels."""

    fold: int
    p: float  # of the permutation test
    followed: float  # share of the first execution's agreement; 1: entirely
    follows: bool
    problem: ProblemJson | None  # why the second execution's file cannot be read


# ----------------------------------------------------------------------------------------- strength


def measure_strength(prepared: Prepared, oof: str) -> Strength:
    """Measure the out-of-fold predictions and the plain model's by the same yardstick.

    Nothing is measured of a few rows, of which a plain model learns nothing.
    """
    truth, strength = get_truth(prepared), Strength(power=[], plain=[])
    if len(truth.y) < MIN_ROWS:
        return strength
    rows, p = plain.gate_rows(truth), read_earlier(truth, oof)
    for column, target in enumerate(target_columns(truth)):
        signal = signal_column(truth, p, column)[rows]
        reference = match_form(plain_predictions(truth, column), signal)
        strength["power"].append(predictive_power(target[rows], signal))
        strength["plain"].append(predictive_power(target[rows], reference))
    return strength


def target_columns(truth: Truth) -> list[Array]:
    """Return the labels as numbers: target columns, or the commonest classes against the rest."""
    if truth.y.dtype == object or truth.prepared.task.kind == "multiclass":
        return [np.asarray(truth.y == value, dtype=float) for value in common_classes(truth)]
    columns = truth.y.reshape(len(truth.y), -1).T
    return [np.asarray(column, dtype=float) for column in columns[:MAX_TARGETS]]


def common_classes(truth: Truth) -> list[Any]:
    """Return the commonest labels, as they are encoded."""
    values, counts = np.unique(truth.y, return_counts=True)
    return list(values[np.argsort(-counts, kind="stable")][:MAX_TARGETS])


def signal_column(truth: Truth, p: Array, column: int) -> Array:
    """Return what the predictions say of one of the `target_columns`, a number a row."""
    if truth.y.dtype == object:
        value = common_classes(truth)[column]
        return np.array([rank_weight(guesses, value) for guesses in p], dtype=float)
    if truth.prepared.task.kind == "multiclass":
        value = common_classes(truth)[column]
        return np.asarray(p[:, int(value)] if p.ndim == 2 else p == value, dtype=float)
    return np.asarray(p.reshape(len(p), -1)[:, column], dtype=float)


def rank_weight(guesses: list[str] | str, label: str) -> float:
    """Return 1 / rank of a label among guesses, best first; 0 where it is not guessed."""
    if isinstance(guesses, str):  # a text is one guess
        return float(guesses == label)
    return 1.0 / (guesses.index(label) + 1) if label in guesses else 0.0


@lru_cache(maxsize=16)
def plain_predictions(truth: Truth, column: int) -> Array:
    """Predict one of the `target_columns` out of fold by the plain model, on the `gate_rows`."""
    rows, target = plain.gate_rows(truth), target_columns(truth)[column]
    return plain.cross_fit(plain.feature_table(truth)[rows], target[rows], truth.fold[rows])


def match_form(reference: Array, signal: Array) -> Array:
    """Cut the reference to as many ones as the signal has, where that consists of labels alone."""
    values = np.unique(signal)
    if len(values) != 2:
        return reference
    n_high = int((signal == values[1]).sum())
    return np.asarray(stats.rankdata(reference, method="ordinal") > len(reference) - n_high, float)


# --------------------------------------------------------------------------------------- shuffling


def write_shuffled_labels(prepared: Prepared, place: int, draw: str, folder: str) -> ShuffledTable:
    """Write the training table with the labels of one fold permuted into `folder`.

    Args:
        prepared: the task.
        place: 0 for the fold whose labels tell most, 1 for the next one.
        draw: hexadecimal number that decides the permutation; scripts never see it.
        folder: where to write; it exists.
    """
    truth, fold = get_truth(prepared), choose_fold(get_truth(prepared), place)
    source = Path(prepared.public) / "train.csv"
    if not source.exists():
        source = source.with_suffix(".parquet")
    target = Path(folder) / source.name
    rows = np.flatnonzero(np.asarray(truth.frame["_fold"] == fold))
    taken_from = rows[permute_rows(len(rows), draw)]
    columns = list(prepared.task.target)
    if source.suffix == ".parquet":
        shuffle_parquet(source, target, columns, rows, taken_from)
    else:
        shuffle_csv(source, target, columns, rows, taken_from)
    return ShuffledTable(path=str(target), fold=fold, n_rows=len(rows))


def choose_fold(truth: Truth, place: int) -> int:
    """Return the validated fold with the `place`-th most arrangements of its labels."""
    folds = [int(fold) for fold in np.unique(truth.fold)]
    folds.sort(key=lambda fold: -count_arrangements(truth.y[truth.fold == fold]))
    return folds[min(place, len(folds) - 1)]


def count_arrangements(y: Array) -> float:
    """Return the logarithm of the number of distinct permutations of labels."""
    if y.ndim > 1:
        y = y[:, 0]
    _, counts = np.unique(y, return_counts=True)
    return float(gammaln(len(y) + 1) - gammaln(counts + 1).sum())


def permute_rows(n: int, draw: str) -> Array:
    """Return the secret permutation of `n` rows."""
    return np.random.default_rng(int(draw, 16)).permutation(n)


def shuffle_csv(
    source: Path, target: Path, columns: list[str], rows: Array, taken_from: Array
) -> None:
    """Copy a csv with the cells of `columns` in `rows` taken from other rows."""
    with source.open(newline="", encoding="utf-8") as file:
        reader = csv.reader(file)
        header = next(reader)
        places = [header.index(name) for name in columns]
        wanted = set(rows.tolist())
        cells = {
            number: [record[place] for place in places]
            for number, record in enumerate(reader)
            if number in wanted
        }
    origin = dict(zip(rows.tolist(), taken_from.tolist(), strict=True))
    with (
        source.open(newline="", encoding="utf-8") as file,
        target.open("w", newline="", encoding="utf-8") as out,
    ):
        reader, plain_writer = csv.reader(file), csv.writer(out, lineterminator="\n")
        quoting_writer = csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_ALL)
        for number, record in enumerate(reader, -1):  # -1: the header
            if number in origin:
                for place, cell in zip(places, cells[origin[number]], strict=True):
                    record[place] = cell
            has_return = any("\r" in cell for cell in record)  # quoted only where it ends lines
            (quoting_writer if has_return else plain_writer).writerow(record)


def shuffle_parquet(
    source: Path, target: Path, columns: list[str], rows: Array, taken_from: Array
) -> None:
    """Do the same for a parquet file; types stay as they are."""
    import pyarrow.parquet as pq

    table = pq.read_table(source)
    order = np.arange(table.num_rows)
    order[rows] = taken_from
    for name in columns:
        index = table.column_names.index(name)
        table = table.set_column(index, table.schema.field(index), table.column(index).take(order))
    pq.write_table(table, target)


# ----------------------------------------------------------------------------------------- the test


def measure_following(
    prepared: Prepared, first: str, second: str, fold: int, draw: str
) -> Following:
    """Return how far predictions follow the permuted labels of a fold.

    Args:
        prepared: the task.
        first: path of oof.csv of the first execution, on the true labels.
        second: path of oof.csv of the second one.
        fold: the permuted fold.
        draw: of its permutation.
    """
    truth = get_truth(prepared)
    answer = Following(fold=fold, p=1.0, followed=0.0, follows=False, problem=None)
    try:
        again = read_predictions(truth, second, "oof.csv", truth.ids("oof.csv"))
    except PredictionsError as error:
        return answer | {"problem": error.problem}
    rows = np.flatnonzero(truth.fold == fold)
    order = permute_rows(len(rows), draw)
    kept = np.sort(np.random.default_rng(0).permutation(len(rows))[:MAX_ROWS])
    y, shuffled = truth.y[rows][kept], truth.y[rows][order][kept]
    apparent, _ = measure_agreement(truth, read_earlier(truth, first)[rows][kept], y)
    excess, p = measure_agreement(truth, again[rows][kept], shuffled)
    followed = excess / apparent if apparent > 0 else 0.0
    follows = p <= FALSE_ALARM and followed >= MIN_FOLLOWED
    return answer | {"p": p, "followed": round(followed, 4), "follows": bool(follows)}


def measure_agreement(truth: Truth, p: Array, y: Array) -> tuple[float, float]:
    """Return the agreement of predictions and labels above that of permuted ones, and its p-value.

    The p-value counts the observed arrangement as one of the permutations, so it is never too
    small.
    """
    table = agreement_table(truth, p, y)
    places, rng = np.arange(len(y)), np.random.default_rng(1)
    observed = table[places, places].sum()
    others = np.array([table[places, rng.permutation(len(y))].sum() for _ in range(N_PERMUTATIONS)])
    is_as_large = others >= observed - 1e-9 * max(1.0, abs(observed))
    p_value = (1 + int(is_as_large.sum())) / (1 + N_PERMUTATIONS)
    return float(observed - table.mean() * len(y)), float(p_value)


def agreement_table(truth: Truth, p: Array, y: Array) -> Array:
    """Return how well the prediction of row i fits the label of row j, shape (rows, rows)."""
    if y.dtype == object:
        classes, codes = np.unique(y.astype(str), return_inverse=True)
        weights = [[rank_weight(guesses, label) for label in classes] for guesses in p]
        return np.asarray(weights, dtype=float)[:, codes]
    if truth.has_class_columns and y.ndim == 1:
        return np.asarray(p[:, y.astype(int)])
    if truth.metric.needs == "label" and truth.prepared.task.kind == "multiclass":
        return np.asarray(p[:, None] == y[None, :], dtype=float)
    guesses, labels = p.reshape(len(p), -1), y.reshape(len(y), -1)
    return sum(
        (
            np.outer(standard_ranks(guesses[:, column]), standard_ranks(labels[:, column]))
            for column in range(labels.shape[1])
        ),
        np.zeros((len(y), len(y))),
    )


def standard_ranks(values: Array) -> Array:
    """Return ranks of mean 0 and standard deviation 1; zeros for a constant."""
    ranks = stats.rankdata(values)
    spread = ranks.std()
    return (ranks - ranks.mean()) / spread if spread > 0 else np.zeros(len(ranks))
