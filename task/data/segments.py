"""Segments: where the loss concentrates, by category, numeric quartile and missingness."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Array = NDArray[Any]
N_COLUMNS = 60
N_VALUES = 20  # of a category, the most frequent
N_SEGMENTS = 8
MIN_ROWS, MAX_SHARE = 20, 0.8  # a smaller one is noise, a larger one is the whole
WORST = 1.25  # a segment is worth telling when its loss exceeds the mean's by this factor


class Partition(NamedTuple):
    """Rows of a table by what one column says of them."""

    column: str
    names: list[str]
    code: Array  # int8, (rows,): position in `names`, -1 for rows of no segment


def partitions(features: pd.DataFrame) -> list[Partition]:
    found = [partition(str(name), column) for name, column in list(features.items())[:N_COLUMNS]]
    return [large_enough(each) for each in found]


def partition(name: str, column: pd.Series[Any]) -> Partition:
    missing = column.isna().to_numpy()
    names, code = by_value(column)
    if missing.any():
        code[missing] = len(names)
        names = [*names, "missing"]
    return Partition(name, names, code)


def by_value(column: pd.Series[Any]) -> tuple[list[str], Array]:
    """Quartiles of a number, the frequent values of anything else."""
    n_values = column.nunique()
    if pd.api.types.is_numeric_dtype(column) and n_values > 12:
        values = column.to_numpy(dtype=float, na_value=np.nan)
        edges = np.unique(np.nanquantile(values, [0, 0.25, 0.5, 0.75, 1]))
        code = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 2)
        return [
            f"{low:.4g}..{high:.4g}" for low, high in zip(edges[:-1], edges[1:], strict=True)
        ], code.astype(np.int8)
    if n_values > 200:
        return [], np.full(len(column), -1, dtype=np.int8)
    frequent = column.value_counts().index[:N_VALUES]
    return [str(value)[:60] for value in frequent], frequent.get_indexer(pd.Index(column)).astype(
        np.int8
    )


def large_enough(whole: Partition) -> Partition:
    """Without the segments of too few or too many rows."""
    n = np.bincount(whole.code[whole.code >= 0], minlength=len(whole.names))
    kept = np.flatnonzero((n >= MIN_ROWS) & (n <= MAX_SHARE * len(whole.code)))
    place = np.full(len(whole.names) + 1, -1, dtype=np.int8)
    place[kept] = np.arange(len(kept))
    return Partition(
        whole.column, [whole.names[k] for k in kept], place[whole.code]
    )  # code -1 reads the last place, which is -1


def worst(found: list[Partition], losses: Array) -> list[dict[str, Any]]:
    """The segments whose mean loss lies above the table's by more than noise, worst first."""
    overall = float(losses.mean())
    if overall <= 0:
        return []
    squares, told = losses**2, []
    for each in found:
        rows, k = each.code + 1, len(each.names) + 1
        n, total, square = (
            np.bincount(rows, weights, k)[1:] for weights in (None, losses, squares)
        )
        mean = total / np.maximum(n, 1)
        noise = np.sqrt(np.maximum(square / np.maximum(n, 1) - mean**2, 0) / np.maximum(n, 1))
        for place in np.flatnonzero((mean > WORST * overall) & (mean - overall > 2 * noise)):
            told.append(
                {
                    "column": each.column,
                    "value": each.names[place],
                    "ratio": round(mean[place] / overall, 3),
                    "n": int(n[place]),
                }
            )
    return sorted(told, key=lambda item: -(item["ratio"] - 1) * math.sqrt(item["n"]))[:N_SEGMENTS]
