"""Metrics over tables: they read columns of the answers beside the targets."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd

from task.grade.metric import Array, FrameColumns, FrameScore, Metric, ScoreFunction, score_unbound

WEIGHT_NAMES = ("weight", "weights", "sample_weight", "row_weight", "w")
MIN_SIGMA, MAX_DELTA = 70.0, 1000.0  # of the Laplace log likelihood
GROUP_POWER = -5.0  # of the mean over groups in bias_auc: the worst group counts most
EARTH_M = 6_371_000.0
EPS = 1e-15
CONDITION = re.compile(r"(.+?)_where_(.+)_is_(.+)")
PER_GROUP = re.compile(r"(.+?)_per_(.+)")


def read_values(table: pd.DataFrame, names: list[str]) -> Array:
    """Return columns as numbers, shape (n, k). Raises ValueError for others."""
    return np.asarray(table[names].to_numpy(dtype=float))


# ----------------------------------------------------------------------- conditions and groups


def restrict_metric(base: Metric, name: str, column: str, value: str) -> Metric:
    """Return a metric of the rows alone in which a column of the answers has a value."""

    def mask_rows(answers: pd.DataFrame) -> Array:
        mask = matches_value(answers[column], value)
        if not mask.any():
            raise ValueError(f"no scored row has {column} {value!r}")
        return mask

    def score(answers: pd.DataFrame, said: pd.DataFrame, columns: FrameColumns) -> float:
        mask = mask_rows(answers)
        y, p = pair_values(answers, said, columns)
        return base.score(y[mask], p[mask])

    def losses(answers: pd.DataFrame, said: pd.DataFrame, columns: FrameColumns) -> Array:
        assert base.row_loss is not None
        mask = mask_rows(answers)
        y, p = pair_values(answers, said, columns)
        out = np.zeros(len(answers))
        out[mask] = base.row_loss(y[mask], p[mask]) * len(mask) / mask.sum()
        return out

    return Metric(
        name,
        base.direction,
        base.needs,
        score_unbound,
        bounds=base.bounds,
        optimum=base.best,
        frame=score,
        frame_losses=losses if base.row_loss else None,
        columns=(column,),
    )


def matches_value(cells: pd.Series[Any], value: str) -> Array:
    """Return which cells are a value, as numbers where both are."""
    numbers = pd.to_numeric(cells, errors="coerce")
    try:
        is_number = np.asarray(numbers == float(value), dtype=bool)
        return np.asarray(is_number | np.asarray(cells.astype(str) == value, dtype=bool))
    except ValueError:
        return np.asarray(cells.astype(str) == value)


def average_groups(base: Metric, name: str, column: str) -> Metric:
    """Return the mean over the values of a column of the metric of their rows.

    Groups that it cannot score (one class only) are left out.
    """

    def score(answers: pd.DataFrame, said: pd.DataFrame, columns: FrameColumns) -> float:
        y, p = pair_values(answers, said, columns)
        return mean_of_groups(answers[column], lambda rows: base.score(y[rows], p[rows]))

    return Metric(
        name,
        base.direction,
        base.needs,
        score_unbound,
        bounds=base.bounds,
        optimum=base.best,
        frame=score,
        columns=(column,),
    )


def mean_of_groups(labels: pd.Series[Any], one: Callable[[Array], float]) -> float:
    """Return the mean of a score over groups of rows. Raises ValueError where none has one."""
    codes = pd.factorize(labels.astype(str))[0]
    scores = []
    for code in np.unique(codes):
        try:
            scores.append(one(np.flatnonzero(codes == code)))
        except ValueError:
            continue
    if not scores:
        raise ValueError("no group can be scored")
    return float(np.mean(scores))


def pair_values(
    answers: pd.DataFrame, said: pd.DataFrame, columns: FrameColumns
) -> tuple[Array, Array]:
    """Return true and predicted values, shape (n,) or (n, k); texts stay texts."""
    y, p = answers[columns.targets], said[columns.predictions]
    one, two = (
        table.to_numpy(dtype=float if is_numeric(answers, columns.targets) else object)
        for table in (y, p)
    )
    return (one[:, 0], two[:, 0]) if one.shape[1] == 1 else (one, two)


def is_numeric(table: pd.DataFrame, names: list[str]) -> bool:
    """Whether all of these columns are numbers."""
    return all(pd.api.types.is_numeric_dtype(table[name]) for name in names)


# ------------------------------------------------------------------------------------- weights


def row_weights(answers: pd.DataFrame) -> Array:
    """Return the weight of every row: a column named so, else 1."""
    name = next((name for name in answers if str(name).lower() in WEIGHT_NAMES), None)
    return np.ones(len(answers)) if name is None else np.asarray(answers[name], dtype=float)


def weighted_losses(answers: pd.DataFrame, said: pd.DataFrame, columns: FrameColumns) -> Array:
    """Return every row's log loss times its weight over the mean weight."""
    y = read_values(answers, columns.targets)
    p = np.clip(read_values(said, columns.predictions), EPS, 1 - EPS)
    losses = -(y * np.log(p) + (1 - y) * np.log1p(-p)).mean(axis=1)
    weights = row_weights(answers)
    if not weights.sum() > 0:
        raise ValueError("the weights of the scored rows are all zero")
    return np.asarray(losses * weights / weights.mean())


def mean_of(losses: Callable[[pd.DataFrame, pd.DataFrame, FrameColumns], Array]) -> FrameScore:
    """Score by the mean loss."""
    return lambda answers, said, columns: float(losses(answers, said, columns).mean())


# ------------------------------------------------------------------------------------ geometry


def angular_losses(answers: pd.DataFrame, said: pd.DataFrame, columns: FrameColumns) -> Array:
    """Return the angle between true and predicted direction, in radians."""
    one = direction_vectors(answers, columns.targets, columns.targets)
    two = direction_vectors(said, columns.predictions, columns.targets)
    return np.asarray(np.arccos(np.clip((one * two).sum(axis=1), -1, 1)))


def direction_vectors(table: pd.DataFrame, names: list[str], targets: list[str]) -> Array:
    """Return unit vectors from azimuth and zenith, shape (n, 3), in columns told by the targets."""
    azimuth = find_name(targets, "az")
    zenith = find_name(targets, "zen|polar|theta|incl")
    a, z = (np.asarray(table[names[at]], dtype=float) for at in (azimuth, zenith))
    return np.column_stack([np.cos(a) * np.sin(z), np.sin(a) * np.sin(z), np.cos(z)])


def find_name(names: Iterable[str], pattern: str) -> int:
    """Return the place of the one name that fits. Raises ValueError for none or several."""
    found = [at for at, name in enumerate(names) if re.search(pattern, name.casefold())]
    if len(found) != 1:
        raise ValueError(f"{len(found)} of the targets are named like {pattern!r}; one should be")
    return found[0]


def distance_percentiles(answers: pd.DataFrame, said: pd.DataFrame, columns: FrameColumns) -> float:
    """Return the mean of the 50th and 95th percentile of distances, averaged over the groups."""
    metres = earth_distances(answers, said, columns)
    labels = answers[columns.group] if columns.group else pd.Series("", index=answers.index)
    return mean_of_groups(labels, lambda rows: float(np.percentile(metres[rows], (50, 95)).mean()))


def earth_distances(answers: pd.DataFrame, said: pd.DataFrame, columns: FrameColumns) -> Array:
    """Return the distances on the sphere between points of latitude and longitude, in metres."""
    latitude, longitude = find_name(columns.targets, "lat"), find_name(columns.targets, "lon|lng")
    a, b = (
        np.radians(read_values(table, [names[latitude], names[longitude]]))
        for table, names in ((answers, columns.targets), (said, columns.predictions))
    )
    haversine = (
        np.sin((a[:, 0] - b[:, 0]) / 2) ** 2
        + np.cos(a[:, 0]) * np.cos(b[:, 0]) * np.sin((a[:, 1] - b[:, 1]) / 2) ** 2
    )
    return np.asarray(2 * EARTH_M * np.arcsin(np.sqrt(np.clip(haversine, 0, 1))))


# ---------------------------------------------------------------------------------------- groups


def group_columns(answers: pd.DataFrame, targets: list[str]) -> list[str]:
    """Return the columns that say whether a row speaks of a group.

    They are shares in 0..1 that are missing in the rows nobody asked about it.
    """
    found = []
    for name in answers:
        values = answers[name]
        if name in targets or not pd.api.types.is_numeric_dtype(values) or not values.isna().any():
            continue
        if values.notna().any() and values.min() >= 0 and values.max() <= 1:
            found.append(str(name))
    return found


def bias_auc(area: ScoreFunction) -> FrameScore:
    """Return the mixture of AUCs of a classifier that should not mind whom a row speaks of.

    A quarter each: the AUC of all rows, and the power means over the groups of the AUC within the
    group, of the group's negative with the other positive rows, and of its positive with the
    others' negative ones (Borkan et al., 2019).
    """

    def score(answers: pd.DataFrame, said: pd.DataFrame, columns: FrameColumns) -> float:
        y = read_values(answers, columns.targets)[:, 0] >= 0.5
        p = read_values(said, columns.predictions)[:, 0]
        names = group_columns(answers, columns.targets)
        if not names:
            raise ValueError(
                "no column of the training table says which group a row speaks of (a share in "
                "0..1 with missing values)"
            )
        parts: list[list[float]] = [[], [], []]
        for name in names:
            inside = np.asarray(answers[name].fillna(0) >= 0.5)
            masks = (inside, (inside & ~y) | (~inside & y), (inside & y) | (~inside & ~y))
            for part, mask in zip(parts, masks, strict=True):
                if 0 < y[mask].sum() < mask.sum():
                    part.append(area(y[mask].astype(float), p[mask]))
        means = [power_mean(part) for part in parts if part]
        overall = area(y.astype(float), p)
        return float(0.25 * overall + 0.75 * np.mean(means)) if means else overall

    return score


def power_mean(values: list[float]) -> float:
    """Return the mean of the powers GROUP_POWER, to the power of its inverse."""
    powers = np.maximum(np.asarray(values), EPS) ** GROUP_POWER
    return float(powers.mean() ** (1 / GROUP_POWER))


# ------------------------------------------------------------------------------------- likelihood


def laplace_scores(answers: pd.DataFrame, said: pd.DataFrame, columns: FrameColumns) -> Array:
    """Return the modified Laplace log likelihood of every row.

    The prediction is a value and its standard deviation, which counts as 70 at least; errors count
    as 1000 at most.
    """
    spread = find_name(columns.predictions, "confidence|sigma|std|deviation|uncertainty")
    value = 1 - spread
    sigma = np.maximum(read_values(said, columns.predictions)[:, spread], MIN_SIGMA)
    y = read_values(answers, [columns.targets[value]])[:, 0]
    delta = np.abs(y - read_values(said, columns.predictions)[:, value])
    delta = np.minimum(delta, MAX_DELTA)
    return np.asarray(-np.sqrt(2) * delta / sigma - np.log(np.sqrt(2) * sigma))


TABLE_METRICS = (
    Metric(
        "mean_angular_error",
        "min",
        "value",
        score_unbound,
        frame=mean_of(angular_losses),
        frame_losses=angular_losses,
    ),
    Metric("distance_percentiles", "min", "value", score_unbound, frame=distance_percentiles),
    Metric(
        "weighted_log_loss",
        "min",
        "value",
        score_unbound,
        bounds=(0.0, 1.0),
        frame=mean_of(weighted_losses),
        frame_losses=weighted_losses,
    ),
    Metric(
        "laplace_log_likelihood",
        "max",
        "value",
        score_unbound,
        optimum=float(-np.log(np.sqrt(2) * MIN_SIGMA)),
        frame=mean_of(laplace_scores),
        frame_losses=lambda *tables: -laplace_scores(*tables),
        true_value=("confidence|sigma|std|deviation|uncertainty", MIN_SIGMA),
    ),
)
