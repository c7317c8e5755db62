"""Columns of text that are no numbers: truth values, dates, times of day, words.

Loaded by the task worker only.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from report.formatting import format_plural
from task.load.dates import (
    ISO_SHAPE,
    parse_column_dates,
)
from task.load.decisions import (
    N_PROBES,
    Decision,
    Hints,
    Series,
    any_match,
    count_missing,
    count_texts,
)
from task.load.marked_numbers import (
    MISSING_WORDS,
    PANDAS_MISSING,
)

TRUTH_VALUES = {"true": True, "false": False, "1": True, "0": False}
CLOCK = r"^\s*\d{1,3}:[0-5]\d(:[0-5]\d(\.\d+)?)?\s*$"


def decide_boolean(texts: list[Series], role: str) -> Decision:
    """Return true and false; as 1 and 0 where some are missing, so that both tables read alike."""
    if role == "target":
        return Decision("label", "true or false; text as written", texts)
    lowered = [column.str.strip().str.lower() for column in texts]
    values = [column.map(TRUTH_VALUES) for column in lowered]
    if any(column.isin(["0", "1"]).any() for column in lowered):
        said = ["true and false written as 1 and 0, as other rows have them"]
        return Decision("boolean", "true or false", [v.astype(float) for v in values], said)
    if any(column.isna().any() for column in values):
        said = [f"true and false written as 1 and 0, since {count_missing(values)} are missing"]
        return Decision("boolean", "true or false", [v.astype(float) for v in values], said)
    return Decision("boolean", "true or false", [column.astype(bool) for column in values])


def decide_dates(texts: list[Series], arrays: list[Any], day_first_hint: bool) -> Decision | None:
    """Read a column of dates; None where it is none after all."""
    shape = ISO_SHAPE.pattern
    if not any_match(arrays, "^(0000|9999)-") and all(
        bool(pc.all(pc.match_substring_regex(array, shape)).as_py()) for array in arrays
    ):
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


def decide_clock(texts: list[Series], arrays: list[Any]) -> Decision | None:
    """Read times of day and durations such as 7:05 or 01:30:00 as seconds; None for others."""
    if not all(
        pc.all(pc.match_substring_regex(array, CLOCK)).as_py() is not False for array in arrays
    ):
        return None
    counts = count_texts(arrays)
    seconds = {}
    for text in counts:
        parts = [float(part) for part in text.strip().split(":")]
        parts = parts + [0.0] * (3 - len(parts))
        seconds[text] = parts[0] * 3600 + parts[1] * 60 + parts[2]
    text = next(iter(counts))
    said = f"{sum(counts.values())} times written as seconds ({text!r} -> {seconds[text]:g})"
    values = [column.map(seconds).astype(float) for column in texts]
    return Decision("numeric", "every value is a time of day or a duration", values, [said])


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
        repairs.append(f"blanks around {format_plural(n_blank, 'value')} left out")
    if n_missing:
        found = [w for w in sorted(PANDAS_MISSING) if any((t == w).any() for t in texts)]
        listed = ", ".join(map(repr, found[:3]))
        repairs.append(f"{format_plural(n_missing, 'cell')} with {listed} read as missing")
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
