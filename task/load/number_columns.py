"""Columns of numbers: plain ones, decimal commas, infinities, dates that are numbers.

Loaded by the task worker only.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from report.formatting import format_plural
from task.load.counted_dates import may_be_counted, read_counted_dates
from task.load.dates import (
    format_times,
)
from task.load.decisions import (
    Decision,
    Series,
    any_match,
)
from task.load.marked_numbers import (
    MISSING_WORDS,
    PLAIN_NUMBER,
    is_decimal_comma,
    is_marked_number,
    split_number,
)

MIN_NUMBERS = 0.9  # of a column's sample, before all its values are looked at
LEADING_ZERO = r"^[-+]?0\d"
DECIMAL_COMMA = re.compile(r"^[^A-Za-z,]{0,12}\d,\d")
DECIMAL_POINT = re.compile(r"^\s*[-+]?\d*\.(?:\d{1,2}|\d{4,})\s*$")
WHOLE_NUMBER = re.compile(r"^\s*-?\d+\s*$")


def cast_numbers(arrays: list[Any]) -> list[Series] | None:
    """Return columns of plain numbers as such: whole ones where all are; None for others."""
    first = [text for array in arrays for text in array.slice(0, 50).to_pylist() if text]
    if not first:  # the column begins with gaps
        first = [text for array in arrays for text in array.drop_null().slice(0, 50).to_pylist()]
    if not first or not all(PLAIN_NUMBER.match(text) for text in first):
        return None
    if any(text != text.strip() for text in first):
        arrays = [pc.utf8_trim_whitespace(array) for array in arrays]
        arrays = [pc.if_else(pc.equal(array, ""), None, array) for array in arrays]
    is_whole = all(WHOLE_NUMBER.match(text) for text in first)
    for kind in (pa.int64(), pa.uint64(), pa.float64()) if is_whole else (pa.float64(),):
        try:
            cast = [pc.cast(array, kind) for array in arrays]
        except pa.ArrowInvalid:
            continue
        if is_whole and any_match(arrays, "[xX]"):
            return None
        return [as_series(array) for array in cast]
    return None


def as_series(array: Any) -> Series:
    """Return an Arrow column of numbers; whole numbers with gaps become floats."""
    if array.null_count:
        array = pc.cast(array, pa.float64(), safe=False)
    return pd.Series(array.to_numpy(zero_copy_only=False))


def has_only_groups(arrays: list[Any]) -> bool:
    """Whether all points in the numbers can be thousands marks, and there are some."""
    found = False
    for array in arrays:
        marked = array.filter(pc.fill_null(pc.match_substring(array, "."), False))
        if len(marked):
            found = True
            if not pc.all(pc.match_substring_regex(marked, r"^[-+]?\d{1,3}(\.\d{3})+$")).as_py():
                return False
    return found


def may_be_numbers(probe: list[str]) -> bool:
    """Whether most of a sample are numbers with marks, words for missing left aside."""
    words = [text for text in probe if text.strip().lower() not in MISSING_WORDS]
    distinct = dict.fromkeys(words[:400])
    n = sum(len(text) <= 40 and is_marked_number(text) for text in distinct)
    return bool(distinct) and n >= MIN_NUMBERS * len(distinct)


def finish_numbers(
    name: str, numbers: list[Series], why: str, repairs: list[str], role: str
) -> Decision:
    """Return numbers of one type; dates that are written as whole numbers become dates."""
    numbers = [whole_numbers(column) for column in numbers]
    if role == "feature":
        if (dates := read_integer_dates(name, numbers)) is not None:
            return dates
        numbers, said = drop_infinities(numbers)
        repairs = repairs + said
    kinds = {column.dtype.kind for column in numbers}
    if len(kinds) > 1 and any(has_fractions(column) for column in numbers):
        numbers = [column.astype(float) for column in numbers]
    return Decision("numeric", why, numbers, repairs)


def has_fractions(column: Series) -> bool:
    """Whether a column has a number that is not whole."""
    values = column.to_numpy()
    if values.dtype.kind != "f":
        return False
    known = values[np.isfinite(values)]
    return bool((known != np.floor(known)).any())


def whole_numbers(column: Series) -> Series:
    """Return a nullable or object column of numbers in a plain numpy type."""
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "iuf":
        return column
    if column.dtype == bool:
        return column.astype(int)
    kind: Any = float if column.isna().any() else column.dtype.name.lower()
    return column.astype(kind)


def drop_infinities(numbers: list[Series]) -> tuple[list[Series], list[str]]:
    """Make infinite numbers missing, which no library of models takes."""
    arrays = [column.to_numpy() for column in numbers]
    n = sum(int(np.isinf(values).sum()) for values in arrays if values.dtype.kind == "f")
    if not n:
        return numbers, []
    kept = [column.replace([np.inf, -np.inf], np.nan) for column in numbers]
    return kept, [f"{format_plural(n, 'infinite value')} read as missing"]


def read_integer_dates(name: str, numbers: list[Series]) -> Decision | None:
    """Read numbers as dates where they count or spell them; None for plain numbers."""
    for column in numbers:
        if not may_be_counted(name, column.to_numpy()[:20].astype(float)):
            return None
    known = [column.dropna() for column in numbers]
    if not any(len(column) for column in known):
        return None
    distinct = pd.concat(known).unique().astype(float)
    found = read_counted_dates(name, distinct)
    if found is None:
        return None
    times, why = found
    texts = dict(zip(times.dropna().index, format_times(times.dropna()), strict=True))
    written = [column.astype(float).map(texts).astype("str") for column in numbers]
    n, first = sum(len(column) for column in known), next(iter(texts))
    written_as = int(first) if first == int(first) else first
    said = f"{format_plural(n, 'date')} written in ISO form ({written_as} -> {texts[first]!r})"
    return Decision("date", why, written, [said])


def has_decimal_commas(frames: list[pd.DataFrame], is_comma_free: bool) -> bool:
    """Whether a text column of the tables is written 3,14.

    Where no comma separates fields and no number has a decimal point, 3,141 is one, too.
    """
    heads = [frame.iloc[:20].to_numpy(dtype=object) for frame in frames]
    cells = [cell for head in heads for cell in head.ravel() if isinstance(cell, str)]
    is_usual = is_comma_free and not any(map(DECIMAL_POINT.match, cells))
    for frame, head in zip(frames, heads, strict=True):
        for index, column in enumerate(head.T):
            if not any(isinstance(t, str) and DECIMAL_COMMA.match(t) for t in column):
                continue
            texts = [text for text in frame.iloc[:500, index] if isinstance(text, str)]
            parts = [split_number(text) for text in texts]
            bodies = [part.body for part in parts if part is not None]
            if len(bodies) >= MIN_NUMBERS * len(parts) and is_decimal_comma(bodies, is_usual):
                return True
    return False
