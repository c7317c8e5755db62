"""Find what names the rows of a task: a column, columns put together, or their numbers."""

from __future__ import annotations

import re
from itertools import permutations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from task.load.form import ROW_NUMBERS, label_text, plain_name
from task.types import TableFaultError, Task, TaskError

USUAL_IDS = ("id", "Id", "ID", "row_id", "index", "Unnamed: 0")
PLAIN_NUMBER = r"^(?:0|[1-9]\d{0,17})$"
ID_ENDING = re.compile(r"(_id|Id|ID)$")
MARKS = ("_", "-", " ", "/", ":", "|", ".", ",", "")
NUMBERED = re.compile(r"([^\W\d_](?:\S*[^\d\s])?)\d+")  # begins with a letter: no decimal, no date
MAX_PARTS_COLUMNS = 12  # columns that may be parts of an id
N_PROSE, MIN_PROSE_WORDS = 200, 3.0  # cells looked at, and words per cell of sentences
MAX_STRAY_SHARE = 0.1  # of the rows: repeated ids up to it are a mistake, not several rows an id
N_TRIED = 5  # rows that a put-together id must match before all are compared


class IdChoice(NamedTuple):
    """What names the rows."""

    column: str | None  # None: rows are numbered, and matched by place
    sample_column: str | None  # that column in the sample
    parts: list[str]  # columns that the id is put together of
    mark: str  # what stands between the parts
    decided: str  # how it was decided, where no name did


def choose_id(
    name: str | None, train: pd.DataFrame, test: pd.DataFrame, sample: pd.DataFrame | None
) -> IdChoice:
    """Choose the id: the named one, the sample's, or a unique column of both tables.

    Raises TaskError where the sample's ids are found nowhere.
    """
    if sample is None:
        if name or (name := usual_id(train, test)):
            return IdChoice(name, None, [], "_", "")
        if name := numbered_names(train, test):
            told = f"id: {name!r}, the first column, has a prefix and a number for each row"
            return IdChoice(name, None, [], "_", told)
        return IdChoice(None, None, [], "_", doubt_first(train, test))
    named = [str(name) for name in sample.columns if str(name) != ROW_NUMBERS]
    first = named[0] if len(named) > 1 else str(sample.columns[0])
    if name is not None:
        return IdChoice(name, name if name in sample else first, [], "_", "")
    shared = [str(c) for c in sample.columns if c in test]
    shared.sort(key=lambda column: column == ROW_NUMBERS)
    for column in shared:
        if same_values(sample[column], test[column]):
            if is_prose(column, test[column]):
                return number_prose(column, sample, test)
            is_equal = set(id_texts(sample[column])) == set(id_texts(test[column]))
            told = f"ids of the sample's {column!r} matched without case, blanks and marks"
            return IdChoice(column, column, [], "_", "" if is_equal else told)
    for column in map(str, test.columns):
        names_rows = column not in train or is_unique_column(train[column])
        if names_rows and same_values(sample[first], test[column]):
            told = f"the sample's {first!r} is the column {column!r} of the test table: same values"
            return IdChoice(column, first, [], "_", told)
    if first in shared:
        return IdChoice(first, first, [], "_", "")
    if parts := find_parts(sample[first], test):
        names, mark = parts
        told = f"the sample's {first!r} is {mark.join(names)} of the test table"
        return IdChoice(first, first, list(names), mark, told)
    if why := row_numbers(sample[first], len(train), len(test)):
        return IdChoice(None, first, [], "_", f"the sample's {first!r} numbers the rows: {why}")
    if row_numbers(sort_numbers(sample[first]), len(train), len(test)):
        raise TaskError(
            f"the sample's ids ({first!r}) number the rows of the test table in another order, and "
            "the test table has no such column; sort the rows of the sample by it"
        )
    raise TaskError(
        f"the sample's ids ({first!r}, e.g. {sample[first].iloc[0]!r}) are in no column of the "
        "test table; set `id:` in task.yaml to a column that both have"
        if len(sample)
        else "the sample submission has no rows; write one row for each row to predict"
    )


def is_prose(name: str, values: pd.Series[Any]) -> bool:
    """Whether cells are sentences: a feature that tells rows apart, and no name of a row."""
    if name in USUAL_IDS or ID_ENDING.search(name) or has_nested_cells(values):
        return False
    texts = id_texts(values.dropna().head(N_PROSE))
    n_words = [len(text.split()) for text in texts]
    return bool(n_words) and sum(n_words) >= MIN_PROSE_WORDS * len(n_words)


def number_prose(column: str, sample: pd.DataFrame, test: pd.DataFrame) -> IdChoice:
    """Return that rows are numbered, where the sample names them by their text alone.

    Raises TaskError where they stand in another order there.
    """
    if list(id_texts(sample[column])) != list(id_texts(test[column])):
        raise TaskError(
            f"rows have no id but their text ({column!r}), and the sample has them in another "
            "order than the test table; sort both alike, or number the rows of both in a column id"
        )
    told = f"rows have no id and are numbered; {column!r} is text, in the order of the test table"
    return IdChoice(None, column, [], "_", told)


def usual_id(train: pd.DataFrame, test: pd.DataFrame) -> str | None:
    """Return a column with an id's name whose values are unique in test and, if there, in train."""
    endings = [str(c) for c in train.columns if ID_ENDING.search(str(c))]
    for name in (*USUAL_IDS, *endings):
        if name not in test:
            continue
        known = train[name].dropna() if name in train else pd.Series(dtype=object)
        has_gaps = test[name].isna().any() or (name in train and len(known) < len(train))
        is_unique = is_unique_column(test[name].dropna()) and is_unique_column(known)
        if is_unique and not has_gaps:
            return name
        if name.casefold() == "id" and (is_unique or is_nearly_unique(test[name], known)):
            return name  # `check_ids` refuses an id with gaps or stray repeated values
    first = str(test.columns[0])
    return first if first in train and is_row_number(train[first], test[first]) else None


def numbered_names(*frames: pd.DataFrame) -> str | None:
    """Return the first column where it is a number behind a prefix, such as P-0420, in each row.

    The prefix is the same within a table, and each value stands once in all tables.
    """
    first = str(frames[-1].columns[0])
    if any(first not in frame for frame in frames):
        return None
    texts = [list(id_texts(frame[first])) for frame in frames]
    for some in texts:
        parts = [NUMBERED.fullmatch(text) for text in some]
        prefixes = {part[1] if part else "" for part in parts}
        if len(prefixes) != 1 or "" in prefixes:
            return None
    n_values = len({text for some in texts for text in some})
    return first if n_values == sum(map(len, texts)) else None


def doubt_first(train: pd.DataFrame, test: pd.DataFrame) -> str:
    """Say that the first column may be the id and is not taken for it; empty: it cannot be."""
    first = str(test.columns[0])
    if first not in train or not (is_whole_once(train[first]) and is_whole_once(test[first])):
        return ""
    return (
        f"{first!r}, the first column, has another whole number in each row and is a feature; rows "
        f"have no id and are numbered: if it names them, set `id: {first}`"
    )


def is_whole_once(values: pd.Series[Any]) -> bool:
    """Whether a column holds whole numbers, each once."""
    if len(values) < 2 or not all(text.isdigit() for text in id_texts(values.head(N_PROSE))):
        return False
    return are_distinct_numbers(values) or (
        bool(values.is_unique) and all(text.isdigit() for text in id_texts(values))
    )


def is_nearly_unique(*columns: pd.Series[Any]) -> bool:
    """Whether few values of columns named `id` are missing or occur again, by mistake."""
    for column in columns:
        if has_nested_cells(column):
            return False
        n_stray = int(column.isna().sum()) + int(column.dropna().duplicated().sum())
        if n_stray > MAX_STRAY_SHARE * len(column):
            return False
    return True


def is_row_number(train: pd.Series[Any], test: pd.Series[Any]) -> bool:
    """Whether whole numbers go on from the training rows through the test rows without a gap."""
    texts = [*id_texts(train), *id_texts(test)]
    if not all(text.isdigit() for text in texts) or not train.is_unique or not test.is_unique:
        return False
    numbers = sorted(map(int, texts))
    is_whole = numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    return (
        is_whole
        and len(numbers) > 1
        and max(map(int, id_texts(train))) < min(map(int, id_texts(test)))
    )


def id_texts(values: pd.Series[Any]) -> pd.Series[Any]:
    """Return ids as text."""
    if isinstance(values.dtype, pd.StringDtype) and not values.isna().any():
        return values
    return values.map(label_text)


def same_values(one: pd.Series[Any], two: pd.Series[Any]) -> bool:
    """Whether two columns contain the same values, each once; as text, else as plain text."""
    if len(one) != len(two) or has_nested_cells(two) or not two.is_unique:
        return False
    if set(id_texts(one)) == set(id_texts(two)):
        return True
    plain = set(id_texts(two).map(plain_name))
    return len(plain) == len(two) and set(id_texts(one).map(plain_name)) == plain


def are_distinct_numbers(ids: pd.Series[Any]) -> bool:
    """Whether ids are whole numbers, each once: a fast answer that makes no text of long columns.

    No is no answer.
    """
    if not isinstance(ids.dtype, pd.StringDtype) or ids.isna().any():
        return False
    texts = pa.chunked_array(pa.array(ids, pa.large_string()))
    if not pc.all(pc.match_substring_regex(texts, PLAIN_NUMBER)).as_py():
        return False
    numbers = np.sort(pc.cast(texts, pa.int64()).to_numpy())
    return bool((numbers[1:] != numbers[:-1]).all())


def has_nested_cells(values: pd.Series[Any]) -> bool:
    """Whether cells are lists or objects, which name no row."""
    return values.dtype == object and any(isinstance(cell, (list, dict)) for cell in values)


def is_unique_column(values: pd.Series[Any]) -> bool:
    """Whether every cell is another one; lists and objects name no row."""
    return not has_nested_cells(values) and bool(values.is_unique)


def find_parts(ids: pd.Series[Any], test: pd.DataFrame) -> tuple[tuple[str, ...], str] | None:
    """Find columns of test and a mark that put together give the ids."""
    wanted = set(id_texts(ids))
    columns = [
        str(c) for c in test.columns if test[c].notna().all() and not has_nested_cells(test[c])
    ][:MAX_PARTS_COLUMNS]
    for n_parts in (2, 3):
        for names in permutations(columns, n_parts):
            for mark in MARKS:
                head = join_parts(test.head(N_TRIED), list(names), mark)
                if not set(head) <= wanted:
                    continue
                joined = join_parts(test, list(names), mark)
                if joined.is_unique and set(joined) == wanted:
                    return names, mark
    return None


def join_parts(frame: pd.DataFrame, names: list[str], mark: str) -> pd.Series[Any]:
    """Put the parts of an id together."""
    joined = id_texts(frame[names[0]])
    for name in names[1:]:
        joined = joined + mark + id_texts(frame[name])
    return joined


def read_sample_ids(task: Task, sample: pd.DataFrame) -> pd.Series[Any]:
    """Return the ids of a sample as scripts see them: one column, or several put together."""
    if task.id_parts and set(task.id_parts) <= set(sample):
        return join_parts(sample, task.id_parts, task.id_mark)
    return id_texts(sample[task.sample_id or sample.columns[0]])


def row_numbers(ids: pd.Series[Any], n_train: int, n_test: int) -> str | None:
    """Say how ids number the test rows in their order; None where they do not."""
    if len(ids) != n_test:
        return None
    try:
        numbers = [int(text) for text in id_texts(ids)]
    except ValueError:
        return None
    for start, why in (
        (0, "from 0"),
        (1, "from 1"),
        (n_train, "on from the training rows"),
        (n_train + 1, "on from the training rows"),
    ):
        if numbers == list(range(start, start + n_test)):
            return f"{why}, in the order of the test table"
    return None


def sort_numbers(ids: pd.Series[Any]) -> pd.Series[Any]:
    """Return ids in ascending order where they are numbers, else as they are."""
    numbers = pd.to_numeric(id_texts(ids), errors="coerce")
    return ids if numbers.isna().any() else numbers.sort_values(ignore_index=True)


def check_sample_ids(
    sample: pd.Series[Any], test: pd.Series[Any], where: tuple[Path, Path]
) -> None:
    """Refuse a sample whose ids are not exactly those of test. Raises TaskError."""
    one, two = set(id_texts(sample)), set(id_texts(test))
    if one != two:
        one, two = {plain_name(text) for text in one}, {plain_name(text) for text in two}
    if unmatched := one ^ two:
        is_of_test = 2 * len(one & two) >= len(one)
        raise (TableFaultError if is_of_test else TaskError)(
            f"{where[0]} does not match {where[1]}: {len(unmatched)} ids are in only one of them "
            f"(e.g. {min(unmatched)!r}); write the sample submission for exactly the test ids"
        )
