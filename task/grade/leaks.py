"""Leak gates: predictions that know what they cannot know.  Each reads the out-of-fold predictions and public data, never the audit.

Every gate names its evidence, so that the next script can mend it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from task.grade import plain_model as plain
from task.grade.predictions import Truth, problem
from task.grade.suspects import Suspect, power, suspects
from task.types import ProblemJson

Array = NDArray[Any]
FOLLOWS_Z, FOLLOWS = (
    6.0,
    0.25,
)  # predictions vary with a suspect where neither label nor other columns explain it
REACHES = 0.8  # of the way from what the honest columns can do to what the suspect does
ROOM = 0.15  # ... where that way is at least this long
PEERS_Z, PEERS = 6.0, 0.08  # predictions vary with the labels of rows of the same fold and level
TWINS_Z, TWINS = (
    4.0,
    0.6,
)  # twins are predicted better than other rows by this much more than honest models do


def leaks(known: Truth, oof: Array) -> list[ProblemJson]:
    """The first leak that the predictions show, or nothing."""
    if (
        known.metric.needs == "ranking"
        or oof.dtype == object
        or known.y.dtype == object
        or len(oof) < 200
    ):
        return []
    signal = plain.signal_of(known, oof)
    if np.std(signal) == 0:
        return []
    for gate in (from_suspects, from_twins, from_peers):
        for found in gate(known, signal):
            return [found]
    return []


def from_suspects(known: Truth, signal: Array) -> Iterator[ProblemJson]:
    """Predictions that rest on a column or id which gives the label away."""
    for suspect in suspects(known):
        if reaches(known, signal, suspect) or follows(known, signal, suspect):
            what = "the id" if suspect.code == "leak_id" else "the column"
            remedy = "leave it and everything made of it out"
            message = f"the predictions rest on {what} {suspect.name!r}, which gives the label away: {suspect.reason}; {remedy}"
            yield problem(suspect.code, message, suspect.name)


def reaches(known: Truth, signal: Array, suspect: Suspect) -> bool:
    """As good as the suspect alone, where the honest columns are far from it."""
    without = (suspect.name,) if suspect.code == "leak_column" else ()
    rows, target = plain.rows_of(known), plain.numeric_target(known)
    honest = power(target[rows], plain.reference(known, without))
    way = suspect.power - honest
    return bool(way > ROOM and power(target, signal) > honest + REACHES * way)


def follows(known: Truth, signal: Array, suspect: Suspect) -> bool:
    """Dependent on the suspect given label and other columns (generalised covariance measure, Shah and Peters, 2020)."""
    without = (suspect.name,) if suspect.code == "leak_column" else ()
    one, two = (
        residual_signal(known, signal, without),
        suspect_residual(known, suspect.name, suspect.code),
    )
    return dependent(one * two, FOLLOWS_Z) and abs(correlation(one, two)) > FOLLOWS


def residual_signal(known: Truth, signal: Array, without: tuple[str, ...]) -> Array:
    return plain.residual(known, given(known, without), signal)


def given(known: Truth, without: tuple[str, ...]) -> Array:
    return np.column_stack([plain.table(known, without), plain.numeric_target(known)])


@lru_cache(maxsize=16)
def suspect_residual(known: Truth, name: str, code: str) -> Array:
    suspect = next(item for item in suspects(known) if (item.name, item.code) == (name, code))
    return plain.residual(
        known, given(known, (name,) if code == "leak_column" else ()), suspect.values
    )


def dependent(products: Array, z: float, clusters: Array | None = None) -> bool:
    """Whether the mean of the products is above noise; rows of one cluster count as one."""
    if clusters is not None:
        products = np.bincount(clusters, weights=products)
    spread = products.std(ddof=1)
    return bool(spread > 0 and abs(products.sum()) / (np.sqrt(len(products)) * spread) > z)


def correlation(one: Array, two: Array) -> float:
    return float(np.corrcoef(one, two)[0, 1]) if one.std() > 0 and two.std() > 0 else 0.0


# twins


def from_twins(known: Truth, signal: Array) -> Iterator[ProblemJson]:
    """Rows that repeat others are predicted far better than the rest: their copies were seen in training."""
    twins = known.twins
    if twins is None or not 20 <= twins.sum() <= len(twins) - 20:
        return
    target, rows = plain.numeric_target(known), plain.rows_of(known)
    mine = losses(target, signal)
    honest = losses(target[rows], plain.reference(known, ()))
    ratio, usual = advantage(mine, twins), advantage(honest, twins[rows])
    noise = np.sqrt(mine[twins].var() / twins.sum() + mine[~twins].var() / (~twins).sum()) / max(
        float(mine[~twins].mean()), 1e-12
    )
    if ratio < TWINS * usual and usual - ratio > TWINS_Z * noise:
        yield problem(
            "leak_duplicates",
            f"{twins.mean():.0%} of the training rows repeat each other and are predicted far better than the rest (loss {ratio:.2f} times "
            "theirs): a row's copy was in the training part; use input/folds.csv, which keeps copies together",
        )


def losses(target: Array, signal: Array) -> Array:
    """Squared errors after a straight line through the predictions, so that scale does not matter."""
    slope, start = (
        np.polyfit(signal, target, 1) if np.std(signal) > 0 else (0.0, float(target.mean()))
    )
    return np.asarray((target - (slope * signal + start)) ** 2)


def advantage(loss: Array, twins: Array) -> float:
    return float(loss[twins].mean() / max(float(loss[~twins].mean()), 1e-12))


# peers


def from_peers(known: Truth, signal: Array) -> Iterator[ProblemJson]:
    """Predictions that vary with the labels of other rows of the same fold and level: an encoding that saw the validated fold."""
    names = encodable(known)
    if not names:
        return
    one = plain.residual(known, plain.table(known), signal)
    for name in names:
        two, clusters = peer_residual(known, name)
        if dependent(one * two, PEERS_Z, clusters) and correlation(one, two) > PEERS:
            yield problem(
                "leak_encoding",
                f"the predictions know the labels of validated rows through the levels of {name!r}: an encoding of {name!r} by the target "
                "was made on all training rows; make it inside every fold, from the rows that the fold trains on",
                name,
            )


@lru_cache(maxsize=8)
def encodable(known: Truth) -> tuple[str, ...]:
    """Columns with many levels that lie over several folds."""
    fold, split = known.validated["fold"].to_numpy(), known.prepared.task.split.column
    found = []
    for name, column in list(known.features.items())[: plain.MAX_COLUMNS]:
        if name != split and plain.is_many(column):
            spread = pd.Series(fold).groupby(column.astype(str).to_numpy()).nunique()
            if spread.mean() > 1.5:
                found.append(str(name))
    return tuple(found[:5])


@lru_cache(maxsize=8)
def peer_residual(known: Truth, name: str) -> tuple[Array, Array]:
    """The labels' sum over a row's peers (same level, same fold, not the row itself) beyond what is known honestly; and the peers' cluster."""
    rows = plain.rows_of(known)
    level = pd.factorize(known.features[name].astype(str))[0]
    fold = known.validated["fold"].to_numpy()
    clusters = pd.factorize(pd.Series(level).astype(str) + "/" + pd.Series(fold).astype(str))[0]
    y = plain.numeric_target(known)
    y = y - y.mean()
    peers = np.bincount(clusters, weights=y)[clusters] - y
    share = peers / np.bincount(level)[level]
    return plain.residual(known, plain.table(known), share), np.asarray(
        pd.factorize(clusters[rows])[0]
    )
