"""Suspects: columns and ids that give the target away in train and cannot do so in test.

They are found in the public tables alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from task.grade import plain_model as plain
from task.grade.metrics import roc_auc
from task.grade.predictions import Truth
from task.load.form import label_text
from task.load.tables import read_public_table

Array = NDArray[Any]
EMPTY_SHARE = 0.95  # of missing values, above which a column counts as empty
MIN_DEAD_POWER = 0.3  # predictions must not use a column this strong (0..1) that is dead in test
MIN_ID_POWER = 0.3
MIN_ORDER_POWER = 0.9  # rows in order of time: the size of their ids tells something of the label
STRONG_POWER = 0.7  # a column this strong is compared between train and test
MIN_AGREEMENT = 0.15
"""The comparison means something if column and prediction correlate at least so in train."""
MIN_TEST_ROWS = 100  # ... and test has so many rows
DISAGREEMENT_Z = 5.0
MAX_SUSPECTS = 3
SIZE = "its size"
TIME_TEXT = r"^(?:19|20)\d\d[-/.]?[01]\d[-/.]?[0-3]\d(?:[T _-]?\d\d(?::?\d\d){0,2}(?:\.\d+)?Z?)?$"
ID_MODULI = (2, 3, 5, 7, 10, 16, 100)


class Suspect(NamedTuple):
    """A source of the label that predictions must not rest on."""

    code: str  # leak_column | leak_id
    name: str
    power: float  # predictive power of it alone, 0..1
    values: Array  # a number per validated row
    reason: str


@lru_cache(maxsize=4)
def find_suspects(truth: Truth) -> tuple[Suspect, ...]:
    """Return the suspected columns and ids, the strongest first."""
    if truth.metric.needs == "ranking" or truth.y.dtype == object:
        return ()
    suspects = [*suspect_columns(truth), *suspect_ids(truth)]
    return tuple(sorted(suspects, key=lambda suspect: -suspect.power)[:MAX_SUSPECTS])


def predictive_power(target: Array, values: Array) -> float:
    """Return |2 AUC - 1| for a target of 0 and 1, else the squared rank correlation; 0..1."""
    ok = np.isfinite(values) & np.isfinite(target)
    if ok.sum() < 20 or np.ptp(values[ok]) == 0 or np.ptp(target[ok]) == 0:
        return 0.0  # (the deviation of a constant such as 37.4 is not exactly 0)
    if set(np.unique(target[ok])) <= {0.0, 1.0}:
        return abs(2 * roc_auc(target[ok], values[ok]) - 1)
    return float(stats.spearmanr(target[ok], values[ok])[0]) ** 2


def encode_column(column: pd.Series[Any], target: Array) -> Array:
    """Return a column as one number a row.

    Itself, or the target mean of its level over the other half of the rows.
    """
    if pd.api.types.is_numeric_dtype(column) and column.nunique() > 20:
        values = column.to_numpy(dtype=float)
        is_finite = np.isfinite(values)
        return np.where(is_finite, values, np.nanmedian(values) if is_finite.any() else 0.0)
    return encode_levels(column.astype(str).to_numpy(), target)


def encode_levels(texts: Array, target: Array) -> Array:
    """Replace each level by its target mean over the other, random half of the rows."""
    half = np.random.default_rng(0).integers(0, 2, len(texts))
    out = np.full(len(texts), target.mean())
    for side in (0, 1):
        means = pd.Series(target[half != side]).groupby(texts[half != side]).mean()
        encoded = pd.Series(texts[half == side]).map(means).fillna(target.mean())
        out[half == side] = encoded.to_numpy(dtype=float)
    return out


def suspect_columns(truth: Truth) -> Iterator[Suspect]:
    """Find strong columns that are empty, constant or out of step with the others in test."""
    test, target = read_real_test(truth), plain.numeric_target(truth)
    split_column = truth.prepared.task.split.column
    for name, column in list(truth.features.items())[: plain.MAX_COLUMNS]:
        if name == split_column:
            continue
        values = encode_column(column, target)
        power = predictive_power(target, values)
        if power > MIN_DEAD_POWER and is_dead_column(column, test.get(name)):
            reason = f"it is {fate_in_test(test.get(name))} test"
        elif (
            power > STRONG_POWER and name in test and is_out_of_step(truth, str(name), values, test)
        ):
            reason = "in test it does not agree with the other columns as it does in train"
        else:
            continue
        yield Suspect("leak_column", str(name), power, values, reason)


def read_real_test(truth: Truth) -> pd.DataFrame:
    """Read the task's own test rows: the public ones without the audit rows."""
    frame = read_public_table(truth.prepared.public, "test")
    is_audit = frame[truth.prepared.id].map(label_text).isin(set(truth.audit["_id"]))
    return frame[~is_audit].reset_index(drop=True)


def is_dead_column(column: pd.Series[Any], other: pd.Series[Any] | None) -> bool:
    """Whether test lacks the column, or has it only (nearly) empty or constant."""
    if other is None:
        return True
    is_nearly_empty = other.isna().mean() > EMPTY_SHARE > column.isna().mean()
    return bool(is_nearly_empty or (other.nunique() <= 1 < column.nunique()))


def fate_in_test(other: pd.Series[Any] | None) -> str:
    """Say what a dead column is in test, with the preposition."""
    if other is None:
        return "absent from"
    return "empty in" if other.isna().mean() > EMPTY_SHARE else "constant in"


def is_out_of_step(truth: Truth, name: str, values: Array, test: pd.DataFrame) -> bool:
    """Whether a column agrees with a prediction from the others in train, but not in test.

    The rank correlations of the two are compared by Fisher's z.
    """
    column, other = truth.features[name], test[name]
    is_numeric = pd.api.types.is_numeric_dtype(column) and pd.api.types.is_numeric_dtype(other)
    if not is_numeric or len(other) < MIN_TEST_ROWS:
        return False
    rows = plain.gate_rows(truth)
    test_values = other.to_numpy(dtype=float)
    ok = np.isfinite(test_values)
    in_train = stats.spearmanr(values[rows], plain.reference_prediction(truth, (name,)))[0]
    in_test = stats.spearmanr(test_values[ok], predict_on_test(truth, name, test)[ok])[0]
    if not np.isfinite(in_train) or not np.isfinite(in_test) or abs(in_train) < MIN_AGREEMENT:
        return False
    in_train, in_test = abs(in_train), in_test * np.sign(in_train)
    distance = np.arctanh(min(in_train, 0.999)) - np.arctanh(np.clip(in_test, -0.999, 0.999))
    z = distance / np.sqrt(1 / (len(rows) - 3) + 1 / (ok.sum() - 3))
    return bool(z > DISAGREEMENT_Z and in_test < 0.5 * in_train)


def predict_on_test(truth: Truth, name: str, test: pd.DataFrame) -> Array:
    """Predict the target on the test rows from the other numeric columns."""
    features, rows = truth.features, plain.gate_rows(truth)
    is_numeric = pd.api.types.is_numeric_dtype
    others = [column for column in features if column != name and column in test]
    numeric = [c for c in others if is_numeric(features[c]) and is_numeric(test[c])]
    columns = numeric[: plain.MAX_COLUMNS]
    if not columns:
        return np.zeros(len(test))
    model = plain.make_regressor()
    table = features[columns].to_numpy(dtype=float)
    model.fit(table[rows], plain.numeric_target(truth)[rows])
    return np.asarray(model.predict(test[columns].to_numpy(dtype=float)))


def suspect_ids(truth: Truth) -> Iterator[Suspect]:
    """Find the strongest reading of the id; an id that tells the label is a leak."""
    if truth.prepared.task.split.kind == "time" or truth.prepared.task.id is None:
        return
    target, best = plain.numeric_target(truth), None
    texts = truth.validated["_id"].to_numpy(dtype=str)
    if names_times(texts):
        return  # hour, month and trend are honest readings
    is_number = all(text.isdigit() for text in texts)
    for name, values in id_readings(texts, target):
        power = predictive_power(target, values)
        is_order = name == SIZE or (is_number and name.startswith(("its first", "its length")))
        least = MIN_ORDER_POWER if is_order else MIN_ID_POWER
        if power > least and (best is None or power > best.power):
            reason = f"the label can be read from {name}"
            best = Suspect("leak_id", truth.prepared.id, power, values, reason)
    if best is not None:
        yield best


def names_times(texts: Array) -> bool:
    """Whether ids are dates or times, as text or as digits such as 2021030417."""
    series: Any = pd.Series(texts, dtype=object)
    if not series.str.match(TIME_TEXT).all():
        return False
    days: Any = series.str.replace(r"\D", "", regex=True).str[:8]
    return bool(pd.to_datetime(days, format="%Y%m%d", errors="coerce").notna().all())


def id_readings(texts: Array, target: Array) -> Iterator[tuple[str, Array]]:
    """Yield numbers that can be read from ids: size, remainders, first and last characters."""
    series: Any = pd.Series(texts, dtype=object)
    digits: Any = pd.to_numeric(series.str.extract(r"(\d{1,15})", expand=False), errors="coerce")
    if digits.notna().all():
        yield SIZE, digits.to_numpy(dtype=float)
        for m in ID_MODULI:
            remainders = (digits % m).astype(int).astype(str).to_numpy()
            yield f"its remainder by {m}", encode_levels(remainders, target)
    for n in (1, 2):
        yield f"its first {n} characters", encode_levels(series.str[:n].to_numpy(dtype=str), target)
        yield f"its last {n} characters", encode_levels(series.str[-n:].to_numpy(dtype=str), target)
    yield "its length", series.str.len().to_numpy(dtype=float)
