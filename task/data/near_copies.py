"""Near copies: training rows that differ from another by a little noise, while no test row does.

Distances are the largest over the columns of numbers, each column as ranks of the training rows, so
that a column's unit and tails do not matter.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Array = NDArray[Any]
MIN_COLUMNS = 3  # of numbers that hardly repeat: near in fewer is near by chance
MIN_DISTINCT = 0.2  # of a column's values: fewer are levels, not measurements
COUNTER_RANGE = 2  # numbers of a counter's range to one that it takes
N_TREE = 8  # columns that the tree holds; the others are compared afterwards
N_ASKED = 2000  # rows of train and of test whose nearest row is looked up first
NEAR = 0.1  # of the usual distance to a row that is no copy
BEYOND = 10  # training row that is farther than a row's copies
N_NEAREST = 6  # rows looked at around each
MAX_SET = 50  # rows: larger sets are a density, not copies
MIN_SHARE = 0.02  # near copies below this share of the training rows are ignored
NATURAL_RATIO = 0.25  # test rows as near, against training rows: nearness is natural


def near_copy_groups(train: pd.DataFrame, test: pd.DataFrame, names: list[str]) -> Array | None:
    """Return a number per training row, equal for rows that nearly repeat each other.

    None where there are none, or where test rows are as near to training rows. Columns of `names`
    that are no measurements have to be equal; those that count the rows tell nothing.
    """
    names = [name for name in names if not is_counter(train[name], test[name])]
    columns = [name for name in names if is_measured(train[name]) and is_number(test[name])]
    if len(columns) < MIN_COLUMNS or len(test) == 0 or len(train) <= BEYOND:
        return None
    columns.sort(key=lambda name: -train[name].nunique())
    held, further = columns[:N_TREE], columns[N_TREE:]
    own = np.column_stack([rank_values(train[name], train[name]) for name in held])
    rng = np.random.default_rng(0)
    asked = test.iloc[np.sort(rng.permutation(len(test))[:N_ASKED])]
    others = np.column_stack([rank_values(asked[name], train[name]) for name in held])
    radius = find_radius(own, others, rng)
    if radius is None:
        return None
    left, right = find_pairs(own, radius)
    for name in further:
        ranks = rank_values(train[name], train[name])
        is_near = np.abs(ranks[left] - ranks[right]) <= radius
        left, right = left[is_near], right[is_near]
    if levels := [name for name in names if name not in columns]:
        codes = level_codes(train[levels])
        is_same = codes[left] == codes[right]
        left, right = left[is_same], right[is_same]
    return join_pairs(left, right, len(train))


def is_number(column: pd.Series[Any]) -> bool:
    """Whether a column holds numbers that can be ranked."""
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def is_counter(train: pd.Series[Any], test: pd.Series[Any]) -> bool:
    """Whether a column counts rows: distinct whole numbers that leave out few on their way."""
    if not (is_number(train) and is_number(test)) or train.isna().any():
        return False
    both = np.concatenate([train.to_numpy(dtype=float), test.dropna().to_numpy(dtype=float)])
    is_whole = bool((both == np.floor(both)).all())
    if not is_whole or len(np.unique(both)) < len(both):
        return False
    own = both[: len(train)]
    return any(np.ptp(values) < COUNTER_RANGE * len(values) for values in (own, both))


def is_measured(column: pd.Series[Any]) -> bool:
    """Whether a column holds measurements, which hardly repeat."""
    return is_number(column) and column.nunique() >= MIN_DISTINCT * max(1, column.count()) > 0


def rank_values(column: pd.Series[Any], among: pd.Series[Any]) -> Array:
    """Return the share of `among` that is smaller, from 0 to 1; -1 for a missing value."""
    known = np.sort(among.dropna().to_numpy(dtype=float))
    values = column.to_numpy(dtype=float, na_value=np.nan)
    low, high = np.searchsorted(known, values), np.searchsorted(known, values, side="right")
    return np.where(np.isnan(values), -1.0, (low + high) / 2 / len(known)).astype(np.float32)


def find_radius(own: Array, others: Array, rng: np.random.Generator) -> float | None:
    """Return the distance within which training rows are near copies; None: there are none."""
    from scipy.spatial import cKDTree

    tree = cKDTree(own)
    test_d = tree.query(others, p=np.inf)[0]
    rows = rng.permutation(len(own))[:N_ASKED]
    nearest = tree.query(own[rows], k=min(BEYOND + 1, len(own)), p=np.inf)[0]
    train_d = nearest[:, 1]
    radius = NEAR * float(min(np.median(test_d), np.median(nearest[:, -1])))
    share = float((train_d <= radius).mean())
    natural = float((test_d <= radius).mean())
    if radius <= 0 or share < MIN_SHARE or natural > NATURAL_RATIO * share:
        return None
    return radius


def find_pairs(own: Array, radius: float) -> tuple[Array, Array]:
    """Return pairs of rows within `radius` of each other, as two arrays of row numbers."""
    from scipy.spatial import cKDTree

    n, reach = len(own), radius * (1 + 1e-6)
    k = min(N_NEAREST, n)
    near = cKDTree(own).query(own, k=k, p=np.inf, distance_upper_bound=reach)[1]
    left, right = np.repeat(np.arange(n), k), near.reshape(-1)
    is_pair = (right < n) & (right != left)  # a place without a row has the number n
    return left[is_pair], right[is_pair]


def join_pairs(left: Array, right: Array, n: int) -> Array | None:
    """Return a number per row, equal for rows that pairs connect; None where few are."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    edges = coo_matrix((np.ones(len(left), dtype=np.int8), (left, right)), shape=(n, n))
    groups = np.asarray(connected_components(edges, directed=False)[1])
    sizes = np.bincount(groups)[groups]
    if (sizes > 1).mean() < MIN_SHARE or sizes.max() > MAX_SET:
        return None
    return groups


def level_codes(frame: pd.DataFrame) -> Array:
    """Return a number per row, equal for rows with equal values."""
    return np.asarray(pd.util.hash_pandas_object(frame.astype(str), index=False))
