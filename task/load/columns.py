"""One type per column, decided over the training and the test table together.

Ids and labels stay text as they are written. Loaded by the task worker only.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from task.load.cells import expand_cells, tag_column, text_of_cells
from task.load.compound_numbers import describe_numeric_words, parse_compounds
from task.load.dates import (
    format_times,
    is_iso_date,
    looks_like_dates,
)
from task.load.decisions import (
    Decision,
    Hints,
    ReadingKind,
    Series,
    any_match,
    count_texts,
    sample_texts,
)
from task.load.marked_numbers import (
    MISSING_WORDS,
    PLAIN_NUMBER,
    parse_numbers,
)
from task.load.number_columns import (
    LEADING_ZERO,
    cast_numbers,
    finish_numbers,
    has_decimal_commas,
    has_only_groups,
    may_be_numbers,
)
from task.load.tables import Table
from task.load.word_columns import (
    TRUTH_VALUES,
    decide_boolean,
    decide_clock,
    decide_dates,
    decide_words,
)

NO_LABEL = frozenset(["?", "-", "--", ".", "na", "n/a", "n.a.", "nan", "null", "#n/a", "<na>"])
"""What stands for a missing label among numbers, in lower case."""
MANY_COLUMNS = 500  # beyond which a table is one block in memory
FEW_VALUES = 20  # a target with more distinct numbers is no set of classes


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
    typed = []
    for part, frame in zip(parts, frames, strict=True):
        arrays = {name: values.array for name, values in part.items()}
        is_copied = len(arrays) > MANY_COLUMNS  # a block for each column would be slow
        typed.append(pd.DataFrame(arrays, index=frame.index, copy=is_copied))
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
        is_date = all(map(is_iso_date, decision.values))
        return "names the rows; its dates are features" if is_date else "names the rows; no feature"
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
        texts = [text_of_cells(v) for v in values]
        if role == "label":
            return Decision(role, "classes; text as written", *blank_marks(texts))  # type: ignore[arg-type]
        return Decision("id", "names the rows; text as written", texts)
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
    is_target, marks = role == "target", list[str]()
    if is_target:
        texts, marks = blank_marks(texts)
    arrays = [pa.array(column, pa.large_string(), from_pandas=True) for column in texts]
    if (numbers := cast_numbers(arrays)) is not None:
        keeps_zeros = is_target and any_match(arrays, LEADING_ZERO)
        is_grouped = hints.decimal_comma and has_only_groups(arrays)
        if not keeps_zeros and not is_grouped:
            return finish_numbers(name, numbers, "every value is a number", marks, role)
        if keeps_zeros:
            return Decision("label", "digits with leading zeros; text as written", texts)
    probe = sample_texts(arrays)
    if not probe:
        return Decision("numeric", "empty", [pd.Series(np.nan, index=t.index) for t in texts])
    if {text.strip().lower() for text in probe} - MISSING_WORDS <= set(TRUTH_VALUES):
        lowered = {str(v).strip().lower() for array in arrays for v in pc.unique(array).to_pylist()}
        known = lowered - MISSING_WORDS - {"none"}
        is_mixed = not is_target and known <= set(TRUTH_VALUES)  # 0 and 1 in one table only
        if known & {"true", "false"} and (known <= {"true", "false"} or is_mixed):
            return decide_boolean(texts, role)
    if may_be_numbers(probe):
        if (apart := parse_apart(texts, arrays, hints)) is not None:
            values, said = apart
            why = "every value is a number, with another decimal mark in either table"
            return finish_numbers(name, values, why, said, role)
        counts = count_texts(arrays)
        found = parse_numbers(counts, decimal_comma=hints.decimal_comma)
        if found and not (is_target and is_class_set(found.values, found.repairs)):
            values = [column.map(found.values).astype(float) for column in texts]
            share = "every" if pd.notna(list(found.values.values())).all() else "nearly every"
            return finish_numbers(name, values, f"{share} value is a number", found.repairs, role)
    if not is_target and (clock := decide_clock(texts, arrays)) is not None:
        return clock
    has_digits = any(mark.isdigit() for mark in probe[0])
    found_parts = parse_compounds(count_texts(arrays)) if has_digits and not is_target else None
    if found_parts is not None:
        values = [column.map(found_parts.values).astype(float) for column in texts]
        why = "nearly every value is put together of numbers"
        return Decision("numeric", why, values, found_parts.repairs)
    if not is_target and looks_like_dates(list(dict.fromkeys(probe))):
        dates = decide_dates(texts, arrays, hints.decimal_comma)
        if dates is not None:
            return dates
    if is_target:
        return Decision("label", "words; text as written", texts)
    words = decide_words(texts, arrays, hints)
    return words._replace(repairs=words.repairs + describe_numeric_words(probe))


def parse_apart(
    texts: list[Series], arrays: list[Any], hints: Hints
) -> tuple[list[Series], list[str]] | None:
    """Read tables of which one has decimal commas and the other decimal points, each by itself.

    None where they do not contradict each other.
    """
    if len(arrays) < 2 or not (any_match(arrays, ",") and any_match(arrays, r"\.")):
        return None
    counts = [count_texts([array]) for array in arrays]
    found = [parse_numbers(each, decimal_comma=hints.decimal_comma) for each in counts]
    known = [numbers for numbers in found if numbers is not None]
    if len(known) < len(found) or len({n.decimal_comma for n in known} - {None}) < 2:
        return None
    values = [
        column.map(numbers.values).astype(float)
        for column, numbers in zip(texts, known, strict=True)
    ]
    marks = ["commas" if numbers.decimal_comma else "points" for numbers in known]
    said = [f"one table has decimal {marks[0]}, the other decimal {marks[1]}; read each by itself"]
    return values, said + [sentence for numbers in known for sentence in numbers.repairs]


def blank_marks(texts: list[Series]) -> tuple[list[Series], list[str]]:
    """Return labels without the marks that stand for a missing one among numbers, and say so.

    Among words they are classes.
    """
    words = {str(text) for column in texts for text in column.dropna().unique()}
    marks = {word for word in words if word.strip().lower() in NO_LABEL}
    numbers = words - marks
    if not marks or not numbers or not all(map(PLAIN_NUMBER.match, numbers)):
        return texts, []
    n = sum(int(column.isin(marks).sum()) for column in texts)
    listed = ", ".join(map(repr, sorted(marks)[:3]))
    kept = [column.where(~column.isin(marks)) for column in texts]
    return kept, [f"{n} cells with {listed} among numbers read as missing labels"]


def is_class_set(values: dict[str, float], repairs: list[str]) -> bool:
    """Whether a target's few numbers stand beside words, which are classes too."""
    return len(set(values.values())) <= FEW_VALUES and any("missing" in said for said in repairs)
