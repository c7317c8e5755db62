"""One type per column, decided over the training and the test table together.

Ids and labels stay text as they are written. Loaded by the task worker only.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from task.load.cells import expand_cells, tag_column, text_of_cells
from task.load.counted_dates import may_be_counted, read_counted_dates
from task.load.dates import (
    ISO_SHAPE,
    format_times,
    looks_like_dates,
    parse_column_dates,
)
from task.load.marked_numbers import (
    MISSING_WORDS,
    PANDAS_MISSING,
    PLAIN_NUMBER,
    is_decimal_comma,
    is_marked_number,
    parse_numbers,
    split_number,
)
from task.load.tables import Table

ReadingKind = Literal["numeric", "boolean", "text", "date", "id", "label", "list", "object"]
Series = pd.Series
N_PROBES = 2000
MIN_NUMBERS = 0.9  # of a column's sample, before all its values are looked at
FEW_VALUES = 20  # a target with more distinct numbers is no set of classes
LEADING_ZERO = r"^[-+]?0\d"
DECIMAL_COMMA = re.compile(r"^[^A-Za-z,]{0,12}\d,\d")
DECIMAL_POINT = re.compile(r"^\s*[-+]?\d*\.(?:\d{1,2}|\d{4,})\s*$")
WHOLE_NUMBER = re.compile(r"^\s*-?\d+\s*$")


class ColumnReading(NamedTuple):
    """How a column is read: its kind and why, what happens to it, and what was repaired."""

    name: str
    kind: ReadingKind
    why: str
    fate: str
    repairs: list[str]


class TypedTables(NamedTuple):
    """Train and test with one type per column, and how every column is read."""

    train: pd.DataFrame
    test: pd.DataFrame
    columns: list[ColumnReading]
    repairs: list[str]
    has_decimal_commas: bool  # whether numbers are written 3,14


class Roles(NamedTuple):
    """Columns that are no features."""

    ids: Collection[str] = ()
    target: Collection[str] = ()
    labels: Collection[str] = ()
    has_features: bool = True  # whether the others are typed, too

    def of(self, name: str) -> str:
        """Return id, label, target or feature."""
        if name in self.ids:
            return "id"
        if name in self.labels:
            return "label"
        return "target" if name in self.target else "feature"


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


def type_tables(
    train: Table,
    test: Table,
    *,
    id_columns: Sequence[str] = (),
    target: Sequence[str] = (),
    labels: Sequence[str] = (),
    has_features: bool = True,
) -> TypedTables:
    """Give every column one type in both tables.

    `id_columns` and `labels` stay text, letter for letter, with only empty cells missing; a
    `target` is numeric where it can be, else text. The same tables give the same types. Without
    `has_features` only these columns are returned.
    """
    roles = Roles(set(id_columns), set(target), set(labels), has_features)
    frames = [train.frame, test.frame]
    is_comma_free = "," not in (train.separator, test.separator)
    typed, columns, hints = type_frames(frames, roles, is_comma_free)
    repairs = [*train.repairs, *test.repairs]
    repairs += [f"{column.name}: {said}" for column in columns for said in column.repairs]
    return TypedTables(typed[0], typed[1], columns, repairs, hints.decimal_comma)


def type_table(table: Table) -> pd.DataFrame:
    """Give every column of one table the type that its own values have."""
    return type_frames([table.frame], Roles(), table.separator != ",")[0][0]


def type_frames(
    frames: list[pd.DataFrame], roles: Roles, is_comma_free: bool
) -> tuple[list[pd.DataFrame], list[ColumnReading], Hints]:
    """Give every column one type in all frames.

    `is_comma_free`: no comma separates their fields, so that one in a number is hardly a
    thousands mark.
    """
    frames = [frame.reset_index(drop=True) for frame in frames]
    names = list(dict.fromkeys(str(name) for frame in frames for name in frame.columns))
    hints = Hints(has_decimal_commas(frames, is_comma_free), 2**20 // max(1, len(names)))
    if not roles.has_features:
        names = [name for name in names if roles.of(name) != "feature"]
    parts: list[dict[str, Series]] = [{} for _ in frames]
    columns = []
    for name in names:
        places = [index for index, frame in enumerate(frames) if name in frame.columns]
        role = roles.of(name)
        decision = decide_column(name, [frames[i][name] for i in places], role, hints)
        for index, values in zip(places, decision.values, strict=True):
            parts[index].update(name_parts(name, values, names))
        columns.append(describe_column(name, decision, role, places, len(frames)))
    typed = [
        pd.DataFrame({name: values.array for name, values in part.items()}, index=frame.index)
        for part, frame in zip(parts, frames, strict=True)
    ]
    return typed, columns, hints


def name_parts(name: str, values: Any, taken: Collection[str]) -> dict[str, Series]:
    """Return a column, or the several that it became, by names that no other column has."""
    if isinstance(values, pd.Series):
        return {name: values}
    result = {}
    for part in values.columns:
        unique = f"{name}.{part}"
        while unique in taken:
            unique += "_"
        result[unique] = values[part]
    return result


def describe_column(
    name: str, decision: Decision, role: str, places: list[int], n_frames: int
) -> ColumnReading:
    """Say what a column is and what happens to it."""
    fate = column_fate(decision, role, places, n_frames)
    return ColumnReading(name, decision.kind, decision.why, fate, decision.repairs)


def column_fate(decision: Decision, role: str, places: list[int], n_frames: int) -> str:
    """Say what happens to a column."""
    if role == "id":
        return "names the rows; no feature"
    if role in ("target", "label"):
        return "is predicted"
    if n_frames == 2 and places == [0]:
        return "not in the test table; no feature"
    if n_frames == 2 and places == [1]:
        return "not in the training table; no feature"
    series = [values for values in decision.values if isinstance(values, pd.Series)]
    if series and all(values.isna().all() for values in series):
        return "empty; no feature"
    fates = {
        "date": "feature, written in one ISO form",
        "list": "feature, as columns or as JSON text",
        "object": "feature, as columns or as JSON text",
    }
    return fates.get(decision.kind, "feature")


def decide_column(name: str, values: list[Series], role: str, hints: Hints) -> Decision:
    """Decide what a column is from its values in all tables."""
    if role in ("id", "label"):
        why = "names the rows; text as written" if role == "id" else "classes; text as written"
        return Decision(role, why, [text_of_cells(v) for v in values])  # type: ignore[arg-type]
    tagged = [tag_column(column) for column in values]
    if len({item.tag for item in tagged}) > 1:
        tagged = [
            item._replace(tag="empty") if item.values.isna().all() else item for item in tagged
        ]
    tags: set[str] = {item.tag for item in tagged if item.tag != "empty"}
    series = [item.values for item in tagged]
    if not tags:
        return Decision("numeric", "empty", [pd.Series(np.nan, index=v.index) for v in values])
    if tags <= {"number", "bool"}:
        return decide_typed(name, series, tags, role)
    if tags == {"number", "text"}:
        series = [cast_like_numbers(column) for column in series]
        if all(not isinstance(column.dtype, pd.StringDtype) for column in series):
            return decide_typed(name, series, {"number"}, role)
    if tags == {"date"}:
        return decide_times(series)
    if tags <= {"list", "object"}:
        kind, parts, said = expand_cells(series, tags)
        return Decision(kind, "cells that contain several values", parts, said)
    texts = [text_of_cells(column) for column in series]
    return decide_text(name, texts, role, hints)


def cast_like_numbers(column: Series) -> Series:
    """Return text that is all numbers as such, for a column that is numbers in another table."""
    if not isinstance(column.dtype, pd.StringDtype):
        return column
    cast = cast_numbers([pa.array(column, pa.large_string(), from_pandas=True)])
    return column if cast is None else cast[0]


def decide_typed(name: str, series: list[Series], tags: set[str], role: str) -> Decision:
    """Decide on a column of numbers or booleans that the format itself tells."""
    if tags == {"bool"}:
        texts = [text_of_cells(column) for column in series]
        return decide_boolean(texts, role)
    numbers = [pd.to_numeric(column, errors="coerce") for column in series]
    return finish_numbers(name, numbers, "numbers", [], role)


def decide_times(series: list[Series]) -> Decision:
    """Write times that the format itself tells in ISO form."""
    known = pd.concat([column.dropna() for column in series], ignore_index=True)
    texts = dict(zip(known, format_times(known), strict=True))
    written = [column.map(texts).astype("str") for column in series]
    return Decision("date", "a type of dates", written)


def decide_text(name: str, texts: list[Series], role: str, hints: Hints) -> Decision:
    """Decide what a column of text contains: numbers, booleans, dates or words."""
    arrays = [pa.array(column, pa.large_string(), from_pandas=True) for column in texts]
    is_target = role == "target"
    if (numbers := cast_numbers(arrays)) is not None:
        keeps_zeros = is_target and any_match(arrays, LEADING_ZERO)
        is_grouped = hints.decimal_comma and has_only_groups(arrays)
        if not keeps_zeros and not is_grouped:
            return finish_numbers(name, numbers, "every value is a number", [], role)
        if keeps_zeros:
            return Decision("label", "digits with leading zeros; text as written", texts)
    probe = sample_texts(arrays)
    if not probe:
        return Decision("numeric", "empty", [pd.Series(np.nan, index=t.index) for t in texts])
    if {text.strip().lower() for text in probe} - MISSING_WORDS <= {"true", "false"}:
        lowered = {str(v).strip().lower() for array in arrays for v in pc.unique(array).to_pylist()}
        if lowered - MISSING_WORDS - {"none"} <= {"true", "false"} and lowered & {"true", "false"}:
            return decide_boolean(texts, role)
    if may_be_numbers(probe):
        counts = count_texts(arrays)
        found = parse_numbers(counts, decimal_comma=hints.decimal_comma)
        if found and not (is_target and is_class_set(found.values, found.repairs)):
            values = [column.map(found.values).astype(float) for column in texts]
            return finish_numbers(
                name, values, "nearly every value is a number", found.repairs, role
            )
    if not is_target and looks_like_dates(list(dict.fromkeys(probe))):
        dates = decide_dates(texts, arrays, hints.decimal_comma)
        if dates is not None:
            return dates
    if is_target:
        return Decision("label", "words; text as written", texts)
    return decide_words(texts, arrays, hints)


def is_class_set(values: dict[str, float], repairs: list[str]) -> bool:
    """Whether a target's few numbers stand beside words, which are classes too."""
    return len(set(values.values())) <= FEW_VALUES and any("missing" in said for said in repairs)


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


def any_match(arrays: list[Any], pattern: str) -> bool:
    """Whether a value of the arrays matches a regular expression."""
    return any(bool(pc.any(pc.match_substring_regex(a, pattern)).as_py()) for a in arrays)


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


def sample_texts(arrays: list[Any]) -> list[str]:
    """Return values evenly from all arrays, at most N_PROBES each."""
    probe: list[str] = []
    for array in arrays:
        known = array.drop_null() if array.null_count else array
        step = max(1, len(known) // N_PROBES)
        probe += known.take(pa.array(range(0, len(known), step), pa.int64())).to_pylist()
    return probe


def may_be_numbers(probe: list[str]) -> bool:
    """Whether most of a sample are numbers with marks, words for missing left aside."""
    words = [text for text in probe if text.strip().lower() not in MISSING_WORDS]
    distinct = dict.fromkeys(words[:400])
    n = sum(len(text) <= 40 and is_marked_number(text) for text in distinct)
    return bool(distinct) and n >= MIN_NUMBERS * len(distinct)


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
    return kept, [f"{n} infinite values read as missing"]


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
    said = f"{n} dates written in ISO form ({written_as} -> {texts[first]!r})"
    return Decision("date", why, written, [said])


def decide_boolean(texts: list[Series], role: str) -> Decision:
    """Return true and false; as 1 and 0 where some are missing, so that both tables read alike."""
    if role == "target":
        return Decision("label", "true or false; text as written", texts)
    codes = {"true": True, "false": False}
    values = [column.str.strip().str.lower().map(codes) for column in texts]
    if any(column.isna().any() for column in values):
        said = [f"true and false written as 1 and 0, since {count_missing(values)} are missing"]
        return Decision("boolean", "true or false", [v.astype(float) for v in values], said)
    return Decision("boolean", "true or false", [column.astype(bool) for column in values])


def count_missing(values: list[Series]) -> int:
    """Count the missing values of all tables."""
    return sum(int(column.isna().sum()) for column in values)


def decide_dates(texts: list[Series], arrays: list[Any], day_first_hint: bool) -> Decision | None:
    """Read a column of dates; None where it is none after all."""
    shape = ISO_SHAPE.pattern
    if all(bool(pc.all(pc.match_substring_regex(array, shape)).as_py()) for array in arrays):
        lengths = {n for a in arrays for n in pc.unique(pc.utf8_length(a)).to_pylist() if n}
        if len(lengths) == 1 and not any_match(arrays, "T"):
            return Decision("date", "every value is a date in ISO form", texts)
    counts = count_texts(arrays)
    in_order = texts[0].dropna().tolist()[:N_PROBES]
    found = parse_column_dates(
        counts, in_order, missing=MISSING_WORDS, day_first_hint=day_first_hint
    )
    if found is None:
        return None
    values = [column.map(found.values).astype("str") for column in texts]
    return Decision("date", found.why, values, found.repairs)


def decide_words(texts: list[Series], arrays: list[Any], hints: Hints) -> Decision:
    """Return words without blanks at their ends; those that mean missing become missing.

    Texts that a plain read_csv would take for numbers in one table only get a mark in both.
    """
    repairs = []
    words = pa.array(sorted(PANDAS_MISSING), pa.large_string())
    values = []
    n_blank = n_missing = 0
    for column, array in zip(texts, arrays, strict=True):
        n_edges = pc.sum(pc.match_substring_regex(array, r"^[ \t]|[ \t]$")).as_py() or 0
        if n_edges:
            array = pc.utf8_trim(array, " \t")
            array = pc.if_else(pc.equal(array, ""), None, array)
        is_word = pc.fill_null(pc.is_in(array, words), False)
        n_words = pc.sum(is_word).as_py() or 0
        if n_words:
            array = pc.if_else(is_word, None, array)
        n_blank, n_missing = n_blank + n_edges, n_missing + n_words
        fresh = pd.Series(pd.array(array, dtype="str"), index=column.index)
        values.append(fresh if n_edges or n_words else column)
    if n_blank:
        repairs.append(f"blanks around {n_blank} values left out")
    if n_missing:
        found = [w for w in sorted(PANDAS_MISSING) if any((t == w).any() for t in texts)]
        listed = ", ".join(map(repr, found[:3]))
        repairs.append(f"{n_missing} cells with {listed} read as missing")
    values, said = mark_numbers(values, hints.chunk_rows)
    n = len(pd.unique(pd.concat(values).dropna()))
    return Decision("text", f"words, {n} different ones", values, repairs + said)


def mark_numbers(values: list[Series], chunk_rows: int) -> tuple[list[Series], list[str]]:
    """Put a mark before words where read_csv takes a whole table, or a chunk of it, for numbers."""
    plain = r"^\s*([-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|[Tt]rue|[Ff]alse|TRUE|FALSE)\s*$"
    example = ""
    for column in values:
        array = pa.array(column, pa.large_string(), from_pandas=True)
        is_plain = pc.fill_null(pc.match_substring_regex(array, plain), False)
        n_plain = pc.sum(is_plain).as_py() or 0
        if n_plain and (n_plain == len(array) - array.null_count or n_plain > chunk_rows // 4):
            example = array.filter(is_plain)[0].as_py()
    if not example:
        return values, []
    said = (
        f"words, of which pandas would read some as numbers: written with a mark ({example!r} -> "
        f"{'_' + example!r})"
    )
    return [("_" + column).astype("str") for column in values], [said]


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
