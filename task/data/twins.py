"""Twins: training rows that repeat each other although test rows repeat none of them.

They are held out together.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from task.data.near_copies import near_copy_groups

Array = NDArray[Any]
MIN_SHARE = 0.02  # twins below this share of the training rows are ignored
NATURAL_RATIO = 0.25
"""Repetition is natural when test rows repeat training rows at this share of train's own rate."""
PART_ROWS = 250_000  # that are hashed at once
N_DIGITS = 3  # numbers that agree to so many significant digits are equal


def twin_groups(train: pd.DataFrame, test: pd.DataFrame, without: list[str]) -> Array | None:
    """Return a number per training row, equal for rows that repeat each other or nearly do.

    None where there are no twins or repetition is natural. Columns in `without` are ignored.
    """
    names = [column for column in train.columns if column in test.columns and column not in without]
    if not names:
        return None
    equal = equal_groups(train, test, names)
    near = near_copy_groups(train, test, names)
    if equal is None or near is None:
        return near if equal is None else equal
    return join_groups(equal, near)


def describe_twins(twins: Array | None) -> list[str]:
    """Say how many rows are held out together with those that they repeat."""
    if twins is None:
        return []
    n = int(pd.Series(twins).duplicated(keep=False).sum())
    said = f"{n:,} training rows repeat others, some by a little noise, and test rows do not"
    return [f"{said}: rows that repeat each other are held out together"]


def equal_groups(train: pd.DataFrame, test: pd.DataFrame, names: list[str]) -> Array | None:
    """Return sets of rows that are equal but for rounding, or None as in `twin_groups`."""
    keys, others = hash_rows(train[names]), hash_rows(test[names])
    repeated = pd.Series(keys).duplicated(keep=False)
    rate = float(repeated.mean())
    natural = float(pd.Series(others).isin(keys).mean()) if len(others) else 0.0
    if rate < MIN_SHARE or natural > NATURAL_RATIO * rate:
        return None
    return np.asarray(pd.factorize(keys)[0])


def hash_rows(frame: pd.DataFrame) -> Array:
    """Hash the values of every row, numbers at three significant digits; a part at a time."""
    parts = [hash_part(frame[at : at + PART_ROWS]) for at in range(0, len(frame), PART_ROWS)]
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.uint64)


def hash_part(frame: pd.DataFrame) -> Array:
    """Hash the values of some rows."""
    rounded = {
        name: round_significant(column)
        if pd.api.types.is_numeric_dtype(column)
        else column.astype(str)
        for name, column in frame.items()
    }
    return np.asarray(pd.util.hash_pandas_object(pd.DataFrame(rounded), index=False))


def round_significant(column: pd.Series[Any]) -> Array:
    """Return the numbers at three significant digits, each as a whole number of its own.

    Digits and exponent are put together; zero, infinite and missing numbers have their own.
    """
    values = column.to_numpy(dtype=float)
    is_usual = np.isfinite(values) & (np.abs(values) > 1e-300)
    sizes = np.abs(np.where(is_usual, values, 1.0))
    exponents = np.floor(np.log10(sizes)).astype(np.int64)
    digits = np.rint(sizes / np.power(10.0, exponents - (N_DIGITS - 1))).astype(np.int64)
    is_next = digits == 10**N_DIGITS  # 9.999 is 10.0
    digits, exponents = np.where(is_next, digits // 10, digits), exponents + is_next
    keys = np.sign(np.where(is_usual, values, 1.0)).astype(np.int64) * digits * 1000 + exponents
    special = np.select(
        [np.isnan(values), values == np.inf, values == -np.inf], [-3, -2, -1], default=0
    )
    return np.where(is_usual, keys, special * 10**9)


def join_groups(one: Array, two: Array) -> Array:
    """Return sets of rows that are together in either of two groupings."""
    codes = pd.factorize(pd.Series(one))[0]
    while True:
        lowest = pd.Series(codes).groupby(np.asarray(two)).transform("min").to_numpy()
        joined = pd.Series(lowest).groupby(codes).transform("min").to_numpy()
        if np.array_equal(joined, codes):
            return np.asarray(codes)
        codes = joined
