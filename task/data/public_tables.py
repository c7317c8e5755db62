"""Public tables: what is written is what a script's plain `pandas.read_csv` reads.

Ids and labels that would not survive it stand there in another spelling, and are found again.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv
from numpy.typing import NDArray

from task.load.marked_numbers import INFINITY, PANDAS_MISSING
from task.types import TaskError

WHOLE = re.compile(r"^[-+]?\d+$")
PLAIN_WHOLE = re.compile(r"^(?:0|[1-9]\d*)$")
NUMBER = re.compile(r"^[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?$")
MANY_COLUMNS = 200
SAFE_DIGITS = 15  # of a number that any parser and writer of floats returns alike
MANY_ROWS = 1_000_000  # of a csv that is compared in parts
BOOLEANS = {"true": "True", "false": "False"}


def write_public_table(frame: pd.DataFrame, path: Path, free: Iterable[str] = ()) -> None:
    """Write a table for scripts; a csv is read back and compared. Raises TaskError.

    `free`: columns of texts that may be empty, or words that pandas reads as missing by default.
    """
    if path.suffix == ".parquet":
        frame.to_parquet(path, index=False)
        return
    try:
        write_fast(frame, path)
    except (pa.ArrowException, TypeError):
        frame.to_csv(path, index=False, quoting=csv.QUOTE_NONNUMERIC)
    check_written(frame.assign(**{name: drop_missing_words(frame[name]) for name in free}), path)


def drop_missing_words(texts: pd.Series[Any]) -> pd.Series[Any]:
    """Return texts with gaps where pandas reads a missing value."""
    is_missing = texts.astype(str).isin({"", *PANDAS_MISSING})
    return texts.astype(object).where(~is_missing)


def write_fast(frame: pd.DataFrame, path: Path) -> None:
    """Write a csv with Arrow. Raises pa.ArrowException or TypeError for mixed columns."""
    if len(frame.columns) == 1:  # an empty cell would be an empty line, which is no row
        raise TypeError("a single column")
    table = pa.Table.from_pandas(frame, preserve_index=False)
    with path.open("w", encoding="utf-8", newline="") as file:
        names = [str(name) for name in frame.columns]
        has_returns = any("\r" in name for name in names)
        quoting: Any = csv.QUOTE_ALL if has_returns else csv.QUOTE_MINIMAL
        csv.writer(file, lineterminator="\n", quoting=quoting).writerow(names)
    with path.open("ab") as file:
        arrow_csv.write_csv(table, file, arrow_csv.WriteOptions(include_header=False))


def check_written(frame: pd.DataFrame, path: Path) -> None:
    """Compare a written csv with its table: names, rows, gaps and numbers. Raises TaskError."""
    if len(frame) > MANY_ROWS:
        check_in_parts(frame, path)
        return
    try:
        back = pd.read_csv(path)
    except (ValueError, pd.errors.ParserError) as error:
        raise TaskError(f"{path} does not read back ({error}); clean the task's tables") from error
    refuse_differences(frame, back, path)


def check_in_parts(frame: pd.DataFrame, path: Path) -> None:
    """Compare a long csv with its table, a part at a time. Raises TaskError."""
    n_rows = 0
    try:
        with pd.read_csv(path, chunksize=MANY_ROWS) as parts:
            for back in parts:
                part = frame.iloc[n_rows : n_rows + len(back)].reset_index(drop=True)
                n_rows += len(back)
                refuse_differences(part, back.reset_index(drop=True), path)
    except (ValueError, pd.errors.ParserError) as error:
        raise TaskError(f"{path} does not read back ({error}); clean the task's tables") from error
    if n_rows != len(frame):
        raise TaskError(f"{path}: {len(frame)} rows read back as {n_rows}; clean the task's tables")


def refuse_differences(frame: pd.DataFrame, back: pd.DataFrame, path: Path) -> None:
    """Refuse a table that reads back in another way. Raises TaskError."""
    names = [str(name) for name in frame.columns]
    wrong = ""
    if list(back.columns) != names:
        odd = [name for name in names if name not in set(back.columns)]
        wrong = f"the column name {odd[0]!r}" if odd else "column names"
    elif len(back) != len(frame):
        wrong = f"{len(frame)} rows, which are {len(back)}"
    else:
        same = names_of_same_numbers(frame, back) if len(names) > MANY_COLUMNS else set()
        others = [name for name in names if name not in same]
        wrong = next((n for n in others if not reads_alike(frame[n], back[n])), "")
        wrong = f"the column {wrong!r}" if wrong else ""
    if wrong:
        raise TaskError(
            f"{path}: {wrong} cannot be written so that pandas reads it back; "
            "rename or clean it in the task's own table"
        )


def names_of_same_numbers(frame: pd.DataFrame, back: pd.DataFrame) -> set[str]:
    """Return the columns of floats of a wide table that read back the same, compared at once."""
    names = [n for n in frame if frame[n].dtype == back[n].dtype == np.dtype(float)]
    one, two = frame[names].to_numpy(), back[names].to_numpy()
    same = np.isclose(one, two, rtol=1e-12, atol=0, equal_nan=True).all(axis=0)
    return {str(name) for name, is_same in zip(names, same, strict=True) if is_same}


def reads_alike(column: pd.Series[Any], back: pd.Series[Any]) -> bool:
    """Whether a column reads back with the same numbers, words and gaps.

    Ids and labels are compared as scripts write them again: 007 and 7 are the same.
    """
    if pd.api.types.is_bool_dtype(column):
        return bool((column.to_numpy() == back.to_numpy()).all())
    if not (column.isna().to_numpy() == back.isna().to_numpy()).all():
        return False
    if pd.api.types.is_numeric_dtype(column):
        if not pd.api.types.is_numeric_dtype(back):
            return False
        one, two = column.to_numpy(dtype=float), back.to_numpy(dtype=float)
        return bool(np.allclose(one, two, rtol=1e-12, atol=0, equal_nan=True))
    known = column.dropna()
    if isinstance(column.dtype, pd.StringDtype) and holds_same_texts(known, back.dropna()):
        return True
    if isinstance(back.dtype, pd.StringDtype):
        return [str(cell) for cell in known] == list(back.dropna())
    keys = [plain_key(str(text)) for text in known]
    return keys == [plain_key(str(value)) for value in back.dropna()]


def holds_same_texts(column: pd.Series[Any], back: pd.Series[Any]) -> bool:
    """Whether columns without gaps hold the same texts, or the same whole numbers."""
    try:
        one, two = arrow_array(column, pa.large_string()), arrow_array(back)
        if pa.types.is_integer(two.type):
            return bool(pc.cast(one, two.type).equals(two))
        return bool(one.equals(pc.cast(two, pa.large_string())))
    except (pa.ArrowException, TypeError, OverflowError):  # whole numbers beyond 64 bits, too
        return False


def arrow_array(column: pd.Series[Any], kind: Any = None) -> Any:
    """Return a column as one Arrow array."""
    array = pa.array(column, kind)
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def plain_key(text: str) -> str:
    """Return how an id or label stands after a plain read_csv and to_csv: 007 is 7, 1.0 is 1."""
    stripped = text.strip()
    if WHOLE.match(stripped):
        return str(int(stripped))
    if NUMBER.match(stripped):
        value = float(stripped)
        whole = np.isfinite(value) and value.is_integer() and abs(value) < 2**63
        return str(int(value)) if whole else repr(value)
    return BOOLEANS.get(stripped.lower(), text)


def spell_texts(texts: Iterable[str]) -> dict[str, str]:
    """Return how ids or labels stand in public tables, by the text as written.

    As written, save for words that read_csv takes for missing or infinite, numbers that a float
    does not keep, and texts that it makes equal.
    """
    distinct = list(dict.fromkeys(texts))
    if all(map(PLAIN_WHOLE.match, distinct)):
        return dict(zip(distinct, distinct, strict=True))
    counts = Counter(plain_key(text) for text in distinct)
    has_floats = any(is_float_text(text) for text in distinct)
    taken = set(distinct)
    result = {}
    for text in distinct:
        spelled = text
        if reads_as_value(text) and (
            counts[plain_key(text)] > 1 or (has_floats and is_cut_by_float(text))
        ):
            spelled = f"_{text}"
        elif text in PANDAS_MISSING or not text.strip() or INFINITY.match(text):
            spelled = f"{text}_"
        while spelled != text and spelled in taken:
            spelled += "_"
        taken.add(spelled)
        result[text] = spelled
    return result


def keeps_spelling(*columns: pd.Series[Any]) -> bool:
    """Whether ids or labels all stand in public tables as they are written.

    A fast answer for long columns: no is no answer.
    """
    for column in columns:
        if not isinstance(column.dtype, pd.StringDtype) or column.isna().any():
            return False
        texts = pa.chunked_array(pa.array(column, pa.large_string()))
        if not pc.all(pc.match_substring_regex(texts, r"^(?:0|[1-9]\d{0,14})$")).as_py():
            return False
    return True


def reads_as_value(text: str) -> bool:
    """Whether a column of such texts is read as numbers or truth values."""
    stripped = text.strip()
    return bool(NUMBER.match(stripped)) or stripped.lower() in BOOLEANS


def is_float_text(text: str) -> bool:
    """Whether a text is a number that is not written as a whole one."""
    stripped = text.strip()
    return bool(NUMBER.match(stripped)) and not WHOLE.match(stripped)


def is_cut_by_float(text: str) -> bool:
    """Whether a number has more digits than a float is sure to keep."""
    stripped = text.strip()
    if WHOLE.match(stripped):
        return abs(int(stripped)) > 2**53
    if not NUMBER.match(stripped):
        return False
    body = re.split("[eE]", stripped)[0]
    n_digits = len(re.sub(r"\D", "", body).lstrip("0"))
    return n_digits > SAFE_DIGITS or not np.isfinite(float(stripped))


def match_keys(given: Sequence[str], wanted: Sequence[str]) -> NDArray[np.int64]:
    """Return where each of `wanted` stands in `given`; -1 where it does not.

    As text first; what is left by `plain_key`, where that names one only on both sides.
    """
    exact: dict[str, int] = {}
    for place, text in enumerate(given):
        exact.setdefault(text, place)
    found = np.array([exact.get(text, -1) for text in wanted], dtype=np.int64)
    if (found >= 0).all():
        return found
    used = set(found.tolist())
    free = only_once([(plain_key(t), i) for i, t in enumerate(given) if i not in used])
    open_ones = [(plain_key(t), i) for i, t in enumerate(wanted) if found[i] < 0]
    for key, place in only_once(open_ones).items():
        found[place] = free.get(key, -1)
    return found


def only_once(pairs: list[tuple[str, int]]) -> dict[str, int]:
    """Return the places of the keys that occur once."""
    counts = Counter(key for key, _ in pairs)
    return {key: place for key, place in pairs if counts[key] == 1}
