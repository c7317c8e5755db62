"""Twins: training rows that repeat each other although test rows repeat none of them.

They are held out together.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Array = NDArray[Any]
MIN_SHARE = 0.02  # twins below this share of the training rows are ignored
NATURAL_RATIO = 0.25
"""Repetition is natural when test rows repeat training rows at this share of train's own rate."""
N_DIGITS = 3  # numbers that agree to so many significant digits are equal


def twin_groups(train: pd.DataFrame, test: pd.DataFrame, without: list[str]) -> Array | None:
    """Return a number per training row, equal for rows that repeat each other.

    None where there are no twins or repetition is natural. Columns in `without` are ignored.
    """
    names = [column for column in train.columns if column in test.columns and column not in without]
    if not names:
        return None
    keys, others = hash_rows(train[names]), hash_rows(test[names])
    repeated = pd.Series(keys).duplicated(keep=False)
    rate = float(repeated.mean())
    natural = float(pd.Series(others).isin(set(keys)).mean()) if len(others) else 0.0
    if rate < MIN_SHARE or natural > NATURAL_RATIO * rate:
        return None
    return np.asarray(pd.factorize(keys)[0])


def hash_rows(frame: pd.DataFrame) -> Array:
    """Hash the values of every row, numbers at three significant digits."""
    rounded = {
        name: round_significant(column)
        if pd.api.types.is_numeric_dtype(column)
        else column.astype(str)
        for name, column in frame.items()
    }
    return np.asarray(pd.util.hash_pandas_object(pd.DataFrame(rounded), index=False))


def round_significant(column: pd.Series[Any]) -> pd.Series[Any]:
    """Return the numbers as text at three significant digits."""
    values = column.to_numpy(dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = np.power(10.0, np.floor(np.log10(np.abs(values))) - (N_DIGITS - 1))
        rounded = np.where(
            np.isfinite(values) & (values != 0), np.round(values / scale) * scale, values
        )
    return pd.Series([f"{value:.{N_DIGITS - 1}e}" for value in rounded])
