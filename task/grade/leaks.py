"""Leak gates: they refuse predictions that depend on what they cannot honestly know.

Each gate reads the out-of-fold predictions and public data, never the audit, and names its
evidence, so that the next script can fix the leak.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from task.grade import plain_model as plain
from task.grade.predictions import Truth, make_problem
from task.grade.suspects import Suspect, find_suspects, predictive_power
from task.types import ProblemJson

Array = NDArray[Any]
MIN_ROWS = 200  # the gates need at least this many predictions
DEPENDENCE_Z, MIN_DEPENDENCE = 6.0, 0.25
"""Predictions vary with a suspect beyond what label and other columns explain."""
MIN_POWER_GAP = 0.15  # the suspect is stronger than the honest columns by this much
POWER_SHARE = 0.8  # predictions close at least this share of the gap
PEER_Z, MIN_PEER_CORRELATION = 6.0, 0.08
"""Predictions vary with the labels of rows of the same fold and level."""
TWIN_Z, MAX_TWIN_RATIO = 4.0, 0.6
"""Twins are predicted better than other rows, by this factor more than honest models do."""
MIN_TWINS = 20


def find_leaks(truth: Truth, oof: Array) -> list[ProblemJson]:
    """Return the first leak that the predictions show, or nothing."""
    is_text = oof.dtype == object or truth.y.dtype == object
    if truth.metric.needs == "ranking" or is_text or len(oof) < MIN_ROWS:
        return []
    signal = plain.numeric_signal(truth, oof)
    if np.std(signal) == 0:
        return []
    gates = (suspect_leaks, twin_leaks, peer_leaks)
    problems = (problem for gate in gates for problem in gate(truth, signal))
    return list(islice(problems, 1))


# ----------------------------------------------------------------------------------------- suspects


def suspect_leaks(truth: Truth, signal: Array) -> Iterator[ProblemJson]:
    """Find columns and ids that give the label away and that the predictions rest on."""
    for suspect in find_suspects(truth):
        if has_suspect_power(truth, signal, suspect) or is_driven_by(truth, signal, suspect):
            what = "the id" if suspect.code == "leak_id" else "the column"
            message = (
                f"the predictions rest on {what} {suspect.name!r}, which gives the label away: "
                f"{suspect.reason}; leave out {what} and everything derived from it"
            )
            yield make_problem(suspect.code, message, suspect.name)


def has_suspect_power(truth: Truth, signal: Array, suspect: Suspect) -> bool:
    """Whether predictions are as good as the suspect where the honest columns are far from it."""
    task = truth.prepared.task
    if suspect.code == "leak_id" and (task.extra or task.media):
        return False  # pictures or other files may tell what no column tells
    rows, target = plain.gate_rows(truth), plain.numeric_target(truth)
    reference = plain.reference_prediction(truth, excluded_columns(suspect))
    honest = predictive_power(target[rows], reference)
    gap = suspect.power - honest
    return bool(
        gap > MIN_POWER_GAP and predictive_power(target, signal) > honest + POWER_SHARE * gap
    )


def is_driven_by(truth: Truth, signal: Array, suspect: Suspect) -> bool:
    """Whether predictions depend on the suspect, given the label and the other columns.

    Tested by the generalised covariance measure (Shah and Peters, 2020).
    """
    controls = conditioning_table(truth, excluded_columns(suspect))
    one = plain.cross_fit_residual(truth, controls, signal)
    two = suspect_residual(truth, suspect.name, suspect.code)
    if not is_dependent(one * two, DEPENDENCE_Z):
        return False
    return abs(safe_correlation(one, two)) > MIN_DEPENDENCE


def excluded_columns(suspect: Suspect) -> tuple[str, ...]:
    """Return the columns that honest models must not see; an id is no column of theirs."""
    return (suspect.name,) if suspect.code == "leak_column" else ()


def conditioning_table(truth: Truth, without: tuple[str, ...]) -> Array:
    """Return the features but `without`, and the label."""
    return np.column_stack([plain.feature_table(truth, without), plain.numeric_target(truth)])


@lru_cache(maxsize=16)
def suspect_residual(truth: Truth, name: str, code: str) -> Array:
    """Return what label and other columns leave unexplained of a suspect."""
    suspect = next(item for item in find_suspects(truth) if (item.name, item.code) == (name, code))
    controls = conditioning_table(truth, excluded_columns(suspect))
    return plain.cross_fit_residual(truth, controls, suspect.values)


def is_dependent(products: Array, z: float, clusters: Array | None = None) -> bool:
    """Whether the mean of the products exceeds noise; rows of one cluster count as one."""
    if clusters is not None:
        products = np.bincount(clusters, weights=products)
    spread = products.std(ddof=1)
    return bool(spread > 0 and abs(products.sum()) / (np.sqrt(len(products)) * spread) > z)


def safe_correlation(one: Array, two: Array) -> float:
    """Return Pearson's correlation; 0 where one side is constant."""
    return float(np.corrcoef(one, two)[0, 1]) if one.std() > 0 and two.std() > 0 else 0.0


# -------------------------------------------------------------------------------------------- twins


def twin_leaks(truth: Truth, signal: Array) -> Iterator[ProblemJson]:
    """Find twins predicted far better than other rows: their copies were seen in training."""
    twins = truth.twins
    if twins is None or not MIN_TWINS <= twins.sum() <= len(twins) - MIN_TWINS:
        return
    target, rows = plain.numeric_target(truth), plain.gate_rows(truth)
    losses = line_losses(target, signal)
    honest_losses = line_losses(target[rows], plain.reference_prediction(truth, ()))
    ratio = twin_loss_ratio(losses, twins)
    honest_ratio = twin_loss_ratio(honest_losses, twins[rows])
    variance = losses[twins].var() / twins.sum() + losses[~twins].var() / (~twins).sum()
    noise = np.sqrt(variance) / max(float(losses[~twins].mean()), 1e-12)
    if ratio < MAX_TWIN_RATIO * honest_ratio and honest_ratio - ratio > TWIN_Z * noise:
        yield make_problem(
            "leak_duplicates",
            f"{twins.mean():.0%} of the training rows repeat each other and are predicted far "
            f"better than the rest (loss {ratio:.2f} times theirs): a row's copy was in the "
            "training part; use input/folds.csv, which keeps copies together",
        )


def line_losses(target: Array, signal: Array) -> Array:
    """Return squared errors of the best line through the predictions, free of their scale."""
    slope, start = 0.0, float(target.mean())
    if np.std(signal) > 0:
        slope, start = np.polyfit(signal, target, 1)
    return np.asarray((target - (slope * signal + start)) ** 2)


def twin_loss_ratio(losses: Array, twins: Array) -> float:
    """Return the mean loss of twins over that of other rows."""
    return float(losses[twins].mean() / max(float(losses[~twins].mean()), 1e-12))


# -------------------------------------------------------------------------------------------- peers


def peer_leaks(truth: Truth, signal: Array) -> Iterator[ProblemJson]:
    """Find encodings by the target that saw the validated fold.

    Such predictions vary with the labels of other rows of the same fold and level.
    """
    names = encodable_columns(truth)
    if not names:
        return
    one = plain.cross_fit_residual(truth, plain.feature_table(truth), signal)
    for name in names:
        two, clusters = peer_residual(truth, name)
        if not is_dependent(one * two, PEER_Z, clusters):
            continue
        if safe_correlation(one, two) > MIN_PEER_CORRELATION:
            message = (
                "the predictions know the labels of validated rows through the levels of "
                f"{name!r}: an encoding of {name!r} by the target was made on all training rows; "
                "make it inside every fold, from the rows that the fold trains on"
            )
            yield make_problem("leak_encoding", message, name)


@lru_cache(maxsize=8)
def encodable_columns(truth: Truth) -> tuple[str, ...]:
    """Return columns with many levels that spread over several folds; at most five."""
    split_column = truth.prepared.task.split.column
    names = []
    for name, column in list(truth.features.items())[: plain.MAX_COLUMNS]:
        if name != split_column and plain.has_many_levels(column):
            levels = column.astype(str).to_numpy()
            if pd.Series(truth.fold).groupby(levels).nunique().mean() > 1.5:
                names.append(str(name))
    return tuple(names[:5])


@lru_cache(maxsize=8)
def peer_residual(truth: Truth, name: str) -> tuple[Array, Array]:
    """Return what honest knowledge leaves unexplained of the peers' labels, and peer clusters.

    Peers of a row are the other rows of its level and fold; a cluster is a row and its peers.
    """
    rows = plain.gate_rows(truth)
    level = pd.factorize(truth.features[name].astype(str))[0]
    keys = pd.Series(level).astype(str) + "/" + pd.Series(truth.fold).astype(str)
    clusters = pd.factorize(keys)[0]
    y = plain.numeric_target(truth)
    y = y - y.mean()
    peers = np.bincount(clusters, weights=y)[clusters] - y
    share = peers / np.bincount(level)[level]
    residual = plain.cross_fit_residual(truth, plain.feature_table(truth), share)
    return residual, np.asarray(pd.factorize(clusters[rows])[0])
