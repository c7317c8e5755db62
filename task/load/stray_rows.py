"""Rows of a text table that are no rows: the names once more, units below them, a total at the end.

Loaded by the task worker only.
"""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from task.load.headers import PLAIN_NUMBER
from task.load.marked_numbers import MISSING_WORDS

N_PROBES = 200
MIN_NUMERIC = 2  # columns of numbers that show a row of units
TOTAL = re.compile(
    r"^(?:(?:grand|sub)?[- ]?totals?|sum|summe|gesamt|somme|suma|итого|всего)\W*$", re.IGNORECASE
)


def drop_stray_rows(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Return a table of text without rows that are none, and what was left out."""
    if frame.shape[1] < 2 or not len(frame):
        return frame, []
    said = []
    if n := int((is_header := find_headers(frame)).sum()):
        frame = frame[~is_header].reset_index(drop=True)
        said.append(f"{n} {'row' if n == 1 else 'rows'} with the column names again left out")
    if example := find_units(frame):
        frame = frame.iloc[1:].reset_index(drop=True)
        said.append(f"the row below the column names has no values ({example}) and is left out")
    if len(frame) > 1 and is_total(frame):
        said.append(f"the last row is a total ({frame.iloc[-1, 0]!r}) and is left out")
        frame = frame.iloc[:-1]
    return frame, said


def find_headers(frame: pd.DataFrame) -> NDArray[np.bool_]:
    """Find the rows whose cells are the names of their columns."""
    names = list(map(str, frame.columns))
    is_header = np.ones(len(frame), dtype=bool)
    for index, name in enumerate(names):
        column = frame.iloc[:, index]
        if not isinstance(column.dtype, pd.StringDtype):
            return np.zeros(len(frame), dtype=bool)
        place = is_header.nonzero()[0]
        if not len(place):
            break
        cells = column.iloc[place].str.strip()
        wanted = None if re.fullmatch(r"Unnamed: \d+", name) else name
        is_name = cells.isna() if wanted is None else (cells == wanted).fillna(False)
        is_header[place] = is_name.to_numpy(dtype=bool)
    return is_header


def find_units(frame: pd.DataFrame) -> str:
    """Return the cells of a first row that has words over several columns of numbers; else empty.

    Its cells in columns of numbers are words or empty, and some are no words for missing.
    """
    if len(frame) < 4:
        return ""
    words, n_numeric = [], 0
    for index in range(frame.shape[1]):
        column = frame.iloc[: N_PROBES + 1, index]
        if not isinstance(column.dtype, pd.StringDtype):
            return ""
        below = [text for text in column.iloc[1:].dropna() if text.strip()]
        if len(below) < 3 or not all(map(PLAIN_NUMBER.match, map(str.strip, below))):
            continue
        n_numeric += 1
        first = column.iloc[0]
        text = "" if pd.isna(first) else str(first).strip()
        if any(mark.isdigit() for mark in text):
            return ""
        if text and text.lower() not in MISSING_WORDS:
            words.append(text)
    if len(words) < MIN_NUMERIC or len(words) * 2 < n_numeric:
        return ""
    return ", ".join(words[:3])


def is_total(frame: pd.DataFrame) -> bool:
    """Whether the last row is a total, by its first cell, which no other row has."""
    first = frame.iloc[-1, 0]
    if not isinstance(first, str) or not TOTAL.match(first.strip()):
        return False
    return not (frame.iloc[:-1, 0] == first).any()
