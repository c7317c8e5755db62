"""Cells of typed formats: what a column contains, and lists and objects as columns or JSON text.

Loaded by the task worker only.
"""

from __future__ import annotations

import datetime
import decimal
import json
from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from report.formatting import format_plural

Tag = Literal["text", "number", "bool", "date", "list", "object", "empty"]
MAX_PARTS = 64  # a list of more numbers, or an object of more keys, stays one text
Series = pd.Series


class Tagged(NamedTuple):
    """A column and what its cells are."""

    tag: Tag
    values: Series


def tag_column(column: Series) -> Tagged:
    """Say what the cells of a column are."""
    if isinstance(column.dtype, pd.StringDtype):
        return Tagged("text", column)
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(column.cat.categories.dtype)
    if pd.api.types.is_bool_dtype(column):
        return Tagged("bool", column)
    if pd.api.types.is_complex_dtype(column):
        return Tagged("text", column.astype("str"))
    if pd.api.types.is_numeric_dtype(column):
        return Tagged("number", column)
    if pd.api.types.is_datetime64_any_dtype(column):
        return Tagged("date", column.dt.tz_localize(None))
    if pd.api.types.is_timedelta64_dtype(column):
        return Tagged("number", column.dt.total_seconds())
    if column.isna().all():
        return Tagged("empty", column)
    return tag_objects(column)


def tag_objects(column: Series) -> Tagged:
    """Say what the cells of a column of Python objects are."""
    known = [cell for cell in column if not is_missing(cell)]
    kinds = {type(cell) for cell in known}
    if not known:
        return Tagged("empty", column)
    if kinds <= {bool, np.bool_}:
        return Tagged("bool", column)
    if all(issubclass(kind, (bool, int, float, np.number, decimal.Decimal)) for kind in kinds):
        floats = [np.nan if is_missing(cell) else float(cell) for cell in column]
        return Tagged("number", pd.Series(floats))
    if all(issubclass(kind, (datetime.date, datetime.datetime)) for kind in kinds):
        times = pd.to_datetime(column.astype(object), errors="coerce", utc=True)
        return Tagged("date", times.dt.tz_localize(None))
    if all(issubclass(kind, (list, tuple, np.ndarray, set)) for kind in kinds):
        return Tagged("list", column)
    if all(issubclass(kind, dict) for kind in kinds):
        return Tagged("object", column)
    if any(issubclass(kind, (list, dict, tuple, np.ndarray)) for kind in kinds):
        return Tagged("object", column)
    return Tagged("text", text_of_cells(column))


def is_missing(cell: Any) -> bool:
    """Whether a cell is empty."""
    if cell is None or cell is pd.NA or cell is pd.NaT:
        return True
    return isinstance(cell, (float, np.floating)) and bool(np.isnan(cell))


def text_of_cells(column: Series) -> Series:
    """Return a column as text, as it is written; missing cells stay missing."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(column.cat.categories.dtype)
    if isinstance(column.dtype, pd.StringDtype) and column.dtype.na_value is not pd.NA:
        return column
    if pd.api.types.is_datetime64_any_dtype(column):
        from task.load.dates import format_times

        local, texts = column.dt.tz_localize(None), pd.Series([None] * len(column), dtype=object)
        texts[local.notna()] = format_times(local.dropna()) if local.notna().any() else []
        return texts.astype("str")
    cells: list[Any] = [None if is_missing(cell) else text_of_cell(cell) for cell in column]
    return pd.Series(pd.array(cells, dtype="str"))


def text_of_cell(cell: Any) -> str | None:
    """Return a cell as text; lists and objects as JSON."""
    if isinstance(cell, str):
        return cell or None
    if isinstance(cell, bytes):
        return cell.decode("utf-8", "backslashreplace")
    if isinstance(cell, (list, tuple, dict, set, np.ndarray)):
        return json.dumps(plain_value(cell), ensure_ascii=False)
    return str(cell)


def plain_value(value: Any) -> Any:
    """Return a value as JSON knows it."""
    if isinstance(value, dict):
        return {str(key): plain_value(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain_value(item) for item in value]
    if isinstance(value, set):
        return sorted(str(item) for item in value)
    if isinstance(value, np.generic):
        return plain_value(value.item())
    if is_missing(value):
        return None
    return value if isinstance(value, (str, int, float, bool)) else str(value)


def expand_cells(
    series: list[Series], tags: set[str]
) -> tuple[Literal["list", "object"], list[Any], list[str]]:
    """Make columns of lists of equally many numbers and of flat objects; else JSON text.

    Return (kind, a DataFrame or a Series per table, what was done).
    """
    kind: Literal["list", "object"] = "list" if tags == {"list"} else "object"
    known = [cell for column in series for cell in column if not is_missing(cell)]
    keys = list_keys(known) if kind == "list" else object_keys(known)
    if keys is None:
        texts = [text_of_cells(column) for column in series]
        return (
            kind,
            texts,
            [f"{format_plural(len(known), 'cell')} with {kind}s written as JSON text"],
        )
    frames = [split_cells(column, keys, kind) for column in series]
    return (
        kind,
        frames,
        [f"{format_plural(len(known), kind)} split into {format_plural(len(keys), 'column')}"],
    )


def list_keys(known: list[Any]) -> list[Any] | None:
    """Return the positions of lists that all have equally many numbers; None for others."""
    lengths = {len(cell) for cell in known}
    n = max(lengths, default=0)
    if len(lengths) != 1 or not 0 < n <= MAX_PARTS:
        return None
    return list(range(n)) if all(is_number(item) for cell in known for item in cell) else None


def object_keys(known: Iterable[Any]) -> list[Any] | None:
    """Return the keys of flat objects, at most MAX_PARTS; None for others."""
    keys: dict[Any, None] = {}
    for cell in known:
        if not isinstance(cell, dict):
            return None
        if any(isinstance(item, (list, tuple, dict, np.ndarray)) for item in cell.values()):
            return None
        keys.update(dict.fromkeys(cell))
    return list(keys) if 0 < len(keys) <= MAX_PARTS else None


def is_number(item: Any) -> bool:
    """Whether an item is a number or missing."""
    return is_missing(item) or (
        isinstance(item, (int, float, np.number)) and not isinstance(item, bool)
    )


def split_cells(column: Series, keys: list[Any], kind: str) -> pd.DataFrame:
    """Return a column per position or key."""
    empty: dict[Any, Any] = {}

    def item(cell: Any, key: Any) -> Any:
        if is_missing(cell):
            return None
        return cell[key] if kind == "list" else dict(cell or empty).get(key)

    parts = {str(key): pd.Series([item(cell, key) for cell in column]) for key in keys}
    return pd.DataFrame({key: part.infer_objects() for key, part in parts.items()})
