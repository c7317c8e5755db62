"""Tables of training rows alone whose numbers together give the labels, such as a label's parts."""

from __future__ import annotations

import numpy as np
import pandas as pd

MIN_ROWS, MIN_ROWS_PER_COLUMN = 40, 5
MAX_PARTS, MAX_KEYS = 50, 12
SAME_R2 = 0.9999
MARK = "\x00"


def find_parts_of_labels(
    columns: dict[str, pd.Series[str]],
    keys: list[str],
    train: pd.DataFrame,
    test: pd.DataFrame | None,
    labels: dict[str, pd.Series[str]],
) -> tuple[str, list[str]] | None:
    """Return a target and the columns of a file that give it as a weighted sum; None for none.

    All cells are texts. Rows are matched by `keys`, the columns of the file that `train` has,
    too. A file that has rows of `test` holds features.
    """
    fresh = [name for name in columns if name not in (*keys, *labels)][:MAX_PARTS]
    rows = match_keys(columns, keys, train)
    if len(rows) < max(MIN_ROWS, MIN_ROWS_PER_COLUMN * (len(fresh) + 1)):
        return None
    if test is not None and set(keys) <= set(test.columns) and has_rows(columns, keys, test):
        return None
    numbers = pd.DataFrame(
        {name: pd.to_numeric(columns[name].loc[rows.index], errors="coerce") for name in fresh}
    )
    numbers = numbers.loc[:, numbers.notna().all() & (numbers.nunique() > 1)]
    for target, texts in labels.items():
        wanted = pd.to_numeric(texts.loc[list(rows)], errors="coerce").to_numpy(dtype=float)
        if numbers.empty or np.isnan(wanted).any() or len(np.unique(wanted)) < MIN_ROWS / 4:
            continue
        if explain_share(numbers.to_numpy(dtype=float), wanted) > SAME_R2:
            return target, [str(name) for name in numbers.columns]
    return None


def match_keys(
    columns: dict[str, pd.Series[str]], keys: list[str], train: pd.DataFrame
) -> pd.Series[int]:
    """Return place in the file -> row of `train`, where the keys are those of one row alone."""
    own = train[keys].agg(MARK.join, axis=1)
    known = pd.Series(train.index, index=own)
    known = known[~known.index.duplicated(keep=False)]
    return join_cells(columns, keys).map(known).dropna().astype(int)


def has_rows(columns: dict[str, pd.Series[str]], keys: list[str], test: pd.DataFrame) -> bool:
    """Whether a file names any row of `test`."""
    return bool(join_cells(columns, keys).isin(set(test[keys].agg(MARK.join, axis=1))).any())


def join_cells(columns: dict[str, pd.Series[str]], keys: list[str]) -> pd.Series[str]:
    """Return the keys of a file's rows as one text each."""
    return pd.DataFrame({name: columns[name] for name in keys}).agg(MARK.join, axis=1)


def explain_share(numbers: np.ndarray, wanted: np.ndarray) -> float:
    """Return the share of the variance that a weighted sum explains, on rows it was not fitted on.

    Every other row is fitted on.
    """
    table = np.column_stack([numbers, np.ones(len(numbers))])
    weights = np.linalg.lstsq(table[::2], wanted[::2], rcond=None)[0]
    rest = wanted[1::2]
    total = float(((rest - rest.mean()) ** 2).sum())
    return 1 - float(((rest - table[1::2] @ weights) ** 2).sum()) / total if total else 0.0
