"""Twins: training rows that repeat each other although test rows repeat none of them.  They are held out together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Array = NDArray[Any]
SHARE = 0.02  # twins below this share of the training rows are left alone
NATURAL = 0.25  # test rows that repeat training rows at this share of the training rows' own rate: repetition is natural
DIGITS = 3  # numbers that agree to so many significant digits are the same


def twin_groups(train: pd.DataFrame, test: pd.DataFrame, without: list[str]) -> Array | None:
    """A number per training row, equal for rows that repeat each other; None where there are no twins or they are natural."""
    names = [column for column in train.columns if column in test.columns and column not in without]
    if not names:
        return None
    keys, others = hashed(train[names]), hashed(test[names])
    repeated = pd.Series(keys).duplicated(keep=False)
    rate = float(repeated.mean())
    natural = float(pd.Series(others).isin(set(keys)).mean()) if len(others) else 0.0
    if rate < SHARE or natural > NATURAL * rate:
        return None
    return np.asarray(pd.factorize(keys)[0])


def hashed(frame: pd.DataFrame) -> Array:
    """A hash per row of its values, numbers at three significant digits."""
    rounded = {
        name: significant(column) if pd.api.types.is_numeric_dtype(column) else column.astype(str)
        for name, column in frame.items()
    }
    return np.asarray(pd.util.hash_pandas_object(pd.DataFrame(rounded), index=False))


def significant(column: pd.Series[Any]) -> pd.Series[Any]:
    values = column.to_numpy(dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = np.power(10.0, np.floor(np.log10(np.abs(values))) - (DIGITS - 1))
        found = np.where(
            np.isfinite(values) & (values != 0), np.round(values / scale) * scale, values
        )
    return pd.Series([f"{value:.{DIGITS - 1}e}" for value in found])
