"""What a column is decided to be, and what the decisions share.

Loaded by the task worker only.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

ReadingKind = Literal["numeric", "boolean", "text", "date", "id", "label", "list", "object"]
Series = pd.Series
N_PROBES = 2000


class Hints(NamedTuple):
    """What the rest of the tables says about a column."""

    decimal_comma: bool  # whether other columns are written 3,14
    chunk_rows: int  # rows to which a plain read_csv gives types at a time


class Decision(NamedTuple):
    """A column's kind, the reason, its values in every table that has it, and the repairs."""

    kind: ReadingKind
    why: str
    values: list[Any]  # a Series, or a DataFrame of several columns, per table
    repairs: list[str] = []


def any_match(arrays: list[Any], pattern: str) -> bool:
    """Whether a value of the arrays matches a regular expression."""
    return any(bool(pc.any(pc.match_substring_regex(a, pattern)).as_py()) for a in arrays)


def sample_texts(arrays: list[Any]) -> list[str]:
    """Return values evenly from all arrays, at most N_PROBES each."""
    probe: list[str] = []
    for array in arrays:
        known = array.drop_null() if array.null_count else array
        step = max(1, len(known) // N_PROBES)
        probe += known.take(pa.array(range(0, len(known), step), pa.int64())).to_pylist()
    return probe


def count_texts(arrays: list[Any]) -> dict[str, int]:
    """Count the distinct texts of all arrays."""
    counts: dict[str, int] = {}
    for array in arrays:
        known = array.drop_null() if array.null_count else array
        pairs = pc.value_counts(known)
        texts, numbers = pairs.field(0).to_pylist(), pairs.field(1).to_pylist()
        for text, n in zip(texts, numbers, strict=True):
            counts[text] = counts.get(text, 0) + n
    return counts


def count_missing(values: list[Series]) -> int:
    """Count the missing values of all tables."""
    return sum(int(column.isna().sum()) for column in values)
