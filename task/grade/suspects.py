"""Columns, ids and twins that give the target away in train and cannot do so in test.  Seen in the public tables alone."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from task.grade import plain_model as plain
from task.grade.metrics import auc
from task.grade.predictions import Truth

Array = NDArray[Any]
POWER = (
    0.3  # a column dead in test that tells this much (0..1) is one that predictions must not use
)
ID_POWER = 0.3
STRONG = 0.7  # a column that tells this much is compared between train and test
TRACKS = 0.15  # it should agree with what the other columns say at least by this much in train for the comparison to mean something


class Suspect(NamedTuple):
    """A source of the label that predictions must not rest on."""

    code: str  # leak_column | leak_id
    name: str
    power: float  # how much it tells alone, 0..1
    values: (
        Array  # its values on the validated rows, as one number a row that rises with the target
    )
    reason: str


@lru_cache(maxsize=4)
def suspects(known: Truth) -> tuple[Suspect, ...]:
    """Suspected columns and ids, the most telling first."""
    if known.metric.needs == "ranking" or known.y.dtype == object:
        return ()
    found = [*columns(known), *ids(known)]
    return tuple(sorted(found, key=lambda suspect: -suspect.power)[:3])


def power(target: Array, values: Array) -> float:
    """|2 AUC - 1| for a target of 0 and 1, squared rank correlation otherwise."""
    ok = np.isfinite(values) & np.isfinite(target)
    if ok.sum() < 20 or np.std(values[ok]) == 0 or np.std(target[ok]) == 0:
        return 0.0
    if set(np.unique(target[ok])) <= {0.0, 1.0}:
        return abs(2 * auc(target[ok], values[ok]) - 1)
    return float(stats.spearmanr(target[ok], values[ok])[0]) ** 2


def encoded(column: pd.Series[Any], target: Array) -> Array:
    """A column as one number a row: itself, or the mean target of its level on the other half of the rows."""
    if pd.api.types.is_numeric_dtype(column) and column.nunique() > 20:
        values = column.to_numpy(dtype=float)
        return np.where(
            np.isfinite(values), values, np.nanmedian(values) if np.isfinite(values).any() else 0.0
        )
    return levels(column.astype(str).to_numpy(), target)


def levels(texts: Array, target: Array) -> Array:
    half, out = (
        np.random.default_rng(0).integers(0, 2, len(texts)),
        np.full(len(texts), target.mean()),
    )
    for side in (0, 1):
        means = pd.Series(target[half != side]).groupby(texts[half != side]).mean()
        out[half == side] = (
            pd.Series(texts[half == side]).map(means).fillna(target.mean()).to_numpy(dtype=float)
        )
    return out


def columns(known: Truth) -> Iterator[Suspect]:
    """Columns that tell the target in train and are empty, constant or out of step with all others in test."""
    test, target, split = (
        real_test(known),
        plain.numeric_target(known),
        known.prepared.task.split.column,
    )
    for name, column in list(known.features.items())[: plain.MAX_COLUMNS]:
        if name == split:
            continue
        values = encoded(column, target)
        telling = power(target, values)
        if telling > POWER and dead(column, test.get(name)):
            yield Suspect(
                "leak_column", str(name), telling, values, "it is empty or constant in test"
            )
        elif telling > STRONG and name in test and out_of_step(known, str(name), values, test):
            yield Suspect(
                "leak_column",
                str(name),
                telling,
                values,
                "in test it does not agree with the other columns as it does in train",
            )


def real_test(known: Truth) -> pd.DataFrame:
    """The task's own test rows: what scripts see, less the rows held back for the audit."""
    public = Path(known.prepared.public)
    path = public / "test.csv"
    frame = (
        pd.read_csv(path, low_memory=False)
        if path.exists()
        else pd.read_parquet(public / "test.parquet")
    )
    from task.data.prepare import plain as text

    held = set(known.audit["_id"])
    return frame[~frame[known.prepared.id].map(text).isin(held)].reset_index(drop=True)


def dead(column: pd.Series[Any], other: pd.Series[Any] | None) -> bool:
    if other is None:
        return True
    nearly_empty = other.isna().mean() > 0.95 > column.isna().mean()
    return bool(nearly_empty or (other.nunique() <= 1 < column.nunique()))


def out_of_step(known: Truth, name: str, values: Array, test: pd.DataFrame) -> bool:
    """Whether a telling column follows what the other columns say of the target in train, but not in test."""
    column, other = known.features[name], test[name]
    if (
        not pd.api.types.is_numeric_dtype(column)
        or not pd.api.types.is_numeric_dtype(other)
        or len(other) < 100
    ):
        return False
    rows = plain.rows_of(known)
    inside = plain.reference(known, (name,))
    outside = on_test(known, name, test)
    there = other.to_numpy(dtype=float)
    ok = np.isfinite(there)
    one, two = stats.spearmanr(values[rows], inside)[0], stats.spearmanr(there[ok], outside[ok])[0]
    if not np.isfinite(one) or not np.isfinite(two) or abs(one) < TRACKS:
        return False
    one, two = abs(one), two * np.sign(one)
    z = (np.arctanh(min(one, 0.999)) - np.arctanh(np.clip(two, -0.999, 0.999))) / np.sqrt(
        1 / (len(rows) - 3) + 1 / (ok.sum() - 3)
    )
    return bool(z > 5 and two < 0.5 * one)


def on_test(known: Truth, name: str, test: pd.DataFrame) -> Array:
    """What the other columns say of the target on the test rows, by numeric columns alone."""
    from lightgbm import LGBMRegressor

    rows = plain.rows_of(known)
    shared = [
        c
        for c in known.features
        if c != name and c in test and pd.api.types.is_numeric_dtype(known.features[c])
    ]
    shared = [c for c in shared if pd.api.types.is_numeric_dtype(test[c])][: plain.MAX_COLUMNS]
    if not shared:
        return np.zeros(len(test))
    model = LGBMRegressor(
        n_estimators=80,
        learning_rate=0.1,
        num_leaves=15,
        min_child_samples=15,
        n_jobs=1,
        verbose=-1,
        random_state=0,
    )
    model.fit(known.features[shared].to_numpy(dtype=float)[rows], plain.numeric_target(known)[rows])
    return np.asarray(model.predict(test[shared].to_numpy(dtype=float)))


def ids(known: Truth) -> Iterator[Suspect]:
    """The id as a source: its size, its remainders, its first and last characters. An id that means something is a leak."""
    if known.prepared.task.split.kind == "time" or known.prepared.task.id is None:
        return
    target, best = plain.numeric_target(known), None
    for name, values in pieces(known.validated["_id"].to_numpy(dtype=str), target):
        telling = power(target, values)
        if telling > ID_POWER and (best is None or telling > best.power):
            best = Suspect(
                "leak_id", known.prepared.id, telling, values, f"the label can be read from {name}"
            )
    if best is not None:
        yield best


def pieces(texts: Array, target: Array) -> Iterator[tuple[str, Array]]:
    """Numbers that can be read from an id."""
    series: Any = pd.Series(texts)
    digits: Any = pd.to_numeric(series.str.extract(r"(\d{1,15})", expand=False), errors="coerce")
    if digits.notna().all():
        yield "its size", digits.to_numpy(dtype=float)
        for m in (2, 3, 5, 7, 10, 16, 100):
            yield (
                f"its remainder by {m}",
                levels((digits % m).astype(int).astype(str).to_numpy(), target),
            )
    for n in (1, 2):
        yield f"its first {n} characters", levels(series.str[:n].to_numpy(dtype=str), target)
        yield f"its last {n} characters", levels(series.str[-n:].to_numpy(dtype=str), target)
    yield "its length", series.str.len().to_numpy(dtype=float)
