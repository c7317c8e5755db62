"""Segments of high loss, by category, numeric quartile and missingness."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from task.types import Segment

Array = NDArray[Any]
MAX_COLUMNS = 60
MAX_VALUES = 20  # of a category, the most frequent
MAX_SEGMENTS, MAX_EXTRA = 8, 4  # the worst, and independent ones after them
MAX_CANDIDATES = 200  # segments, the worst first, whose independence is asked
MIN_ROWS, MAX_SHARE = 20, 0.8  # a smaller segment is noise, a larger one is nearly all rows
MIN_RATIO = 1.25  # a segment is reported when its loss exceeds the mean by this factor


class Partition(NamedTuple):
    """Rows of a table by the value of one column."""

    column: str
    names: list[str]
    code: Array  # int8, (rows,): position in `names`, -1 for rows of no segment


def partition_columns(features: pd.DataFrame) -> list[Partition]:
    """Partition the rows by each of the first columns."""
    columns = list(features.items())[:MAX_COLUMNS]
    return [drop_unfit_segments(partition_column(str(name), values)) for name, values in columns]


def partition_column(name: str, column: pd.Series[Any]) -> Partition:
    """Partition the rows by a column; missing values are a segment of their own."""
    missing = column.isna().to_numpy()
    names, code = partition_values(column)
    if missing.any():
        code[missing] = len(names)
        names = [*names, "missing"]
    return Partition(name, names, code)


def partition_values(column: pd.Series[Any]) -> tuple[list[str], Array]:
    """Return (names, codes): quartiles of a number, the frequent values of anything else."""
    n_values = column.nunique()
    if pd.api.types.is_numeric_dtype(column) and n_values > 12:
        values = column.to_numpy(dtype=float, na_value=np.nan)
        edges = np.unique(np.nanquantile(values, [0, 0.25, 0.5, 0.75, 1]))
        code = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 2)
        ranges = zip(edges[:-1], edges[1:], strict=True)
        return [f"{low:.4g}..{high:.4g}" for low, high in ranges], code.astype(np.int8)
    if n_values > 200:
        return [], np.full(len(column), -1, dtype=np.int8)
    frequent = column.value_counts().index[:MAX_VALUES]
    code = frequent.get_indexer(pd.Index(column))
    return [str(value)[:60] for value in frequent], code.astype(np.int8)


def drop_unfit_segments(whole: Partition) -> Partition:
    """Drop the segments of too few or too many rows."""
    n = np.bincount(whole.code[whole.code >= 0], minlength=len(whole.names))
    fit = np.flatnonzero((n >= MIN_ROWS) & (n <= MAX_SHARE * len(whole.code)))
    new_code = np.full(len(whole.names) + 1, -1, dtype=np.int8)  # code -1 reads the last: -1
    new_code[fit] = np.arange(len(fit))
    return Partition(whole.column, [whole.names[k] for k in fit], new_code[whole.code])


def find_worst_segments(
    partitions: list[Partition], losses: Array, residuals: Array | None = None
) -> list[Segment]:
    """Return the segments whose mean loss exceeds the table's by more than noise, worst first.

    One whose rows outside the earlier ones lose no more than others is marked as their shadow;
    after the first MAX_SEGMENTS come independent ones alone. `residuals`: true - predicted.
    """
    overall = float(losses.mean())
    if overall <= 0:
        return []
    found = sorted(
        (item for partition in partitions for item in _segments_of(partition, losses, overall)),
        key=lambda item: _weight_of_segment(item.segment),
    )
    covered = np.zeros(len(losses), dtype=bool)
    segments: list[Segment] = []
    for index, (segment, code, place) in enumerate(found[:MAX_CANDIDATES]):
        rows = code == place
        if _exceeds(losses[rows & ~covered], overall):
            covered |= rows
        elif index < MAX_SEGMENTS:
            segment["shadow"] = True
        else:
            continue
        if residuals is not None:
            segment["bias"] = float(residuals[rows].mean())
        segments.append(segment)
        if index >= MAX_SEGMENTS and len(segments) >= MAX_SEGMENTS + MAX_EXTRA:
            break
    return segments


class FoundSegment(NamedTuple):
    """A segment of high loss, and where its rows are: those of this code."""

    segment: Segment
    code: Array
    place: int


def _segments_of(partition: Partition, losses: Array, overall: float) -> Iterator[FoundSegment]:
    """Yield the segments of one column with a loss beyond noise."""
    rows, k = partition.code + 1, len(partition.names) + 1
    n, total, square = (np.bincount(rows, weights, k)[1:] for weights in (None, losses, losses**2))
    mean = total / np.maximum(n, 1)
    variance = np.maximum(square / np.maximum(n, 1) - mean**2, 0)
    noise = np.sqrt(variance / np.maximum(n, 1))
    for index in np.flatnonzero((mean > MIN_RATIO * overall) & (mean - overall > 2 * noise)):
        ratio = round(mean[index] / overall, 3)
        name = partition.names[index]
        segment = Segment(column=partition.column, value=name, ratio=ratio, n=int(n[index]))
        yield FoundSegment(segment, partition.code, int(index))


def _exceeds(losses: Array, overall: float) -> bool:
    """Whether rows lose more than all do, beyond noise."""
    if len(losses) < MIN_ROWS:
        return False
    noise = float(losses.std() / math.sqrt(len(losses)))
    mean = float(losses.mean())
    return mean > MIN_RATIO * overall and mean - overall > 2 * noise


def _weight_of_segment(segment: Segment) -> float:
    """Excess loss, weighted by the precision of its estimate; the worst is the most negative."""
    return -(segment["ratio"] - 1) * math.sqrt(segment["n"])
