"""Text tables without the usual marks: fields aligned by blanks, no line of column names."""

from __future__ import annotations

import csv
import re

from task.load.encodings import Buffer

N_PROBES = 200
MIN_LINES = 3
MANY_NUMBERS = 10  # fewer ascending ones that are not whole are no names
PLAIN_NUMBER = re.compile(r"^[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?$")
WHOLE_NUMBER = re.compile(r"^\d+$")
BLANKS = re.compile(rb'"[^"\n]*"|^[ \t]+|[ \t]+$|[ \t]+', re.MULTILINE)


def find_double_mark(head: str) -> str:
    """Return the two marks that separate fields equally often in all lines; empty for none."""
    lines = [line for line in head.splitlines() if line.strip()][:N_PROBES]
    for mark in ("||", "::", ";;"):
        counts = {line.count(mark) for line in lines}
        singles = {line.replace(mark, "").count(mark[0]) for line in lines}
        if len(counts) == 1 and min(counts) > 0 and singles == {0}:
            return mark
    return ""


def is_aligned_by_blanks(head: str) -> bool:
    """Whether blanks alone separate equally many fields in all lines, one of them numbers."""
    lines = [line.strip().replace("\t", " ") for line in head.splitlines() if line.strip()]
    lines = lines[:N_PROBES]
    records = list(csv.reader(lines, delimiter=" ", skipinitialspace=True))
    if len(records) < MIN_LINES or len({len(record) for record in records}) != 1:
        return False
    header, *rows = records
    return len(header) > 1 and any(
        all(PLAIN_NUMBER.match(row[index]) for row in rows) for index in range(len(header))
    )


def replace_blanks(data: Buffer) -> bytes:
    """Return a text with a tab for the blanks between fields, none at the ends of lines."""

    def replace(match: re.Match[bytes]) -> bytes:
        found, text = match[0], match.string
        if found[:1] == b'"':
            return bytes(found)
        is_edge = match.start() == 0 or text[match.start() - 1 : match.start()] == b"\n"
        is_edge = is_edge or text[match.end() : match.end() + 1] in (b"", b"\n")
        return b"" if is_edge else b"\t"

    return BLANKS.sub(replace, bytes(data).replace(b"\r\n", b"\n"))


def is_row(header: list[str], rows: list[list[str]]) -> bool:
    """Whether a first line holds values as the rows below it, and no names.

    Every field is a number, empty or a word of its own column; not all are numbers in ascending
    order, which are names of columns as libraries number them, or wavelengths.
    """
    rows = [row for row in rows if len(row) == len(header)]
    fields = [field.strip() for field in header]
    if len(fields) < 2 or not rows or not any(fields):
        return False
    for index, field in enumerate(fields):
        column = [row[index].strip() for row in rows]
        if field and field not in column and not is_number_of(field, column):
            return False
    known = [field for field in fields if field]
    if not all(map(PLAIN_NUMBER.match, known)):
        return any(map(PLAIN_NUMBER.match, known)) or len(set(known)) < len(known)
    numbers = [float(field) for field in known]
    if len(numbers) < MANY_NUMBERS and not all(map(WHOLE_NUMBER.match, known)):
        return True
    return any(one >= two for one, two in zip(numbers, numbers[1:], strict=False))


def is_number_of(field: str, column: list[str]) -> bool:
    """Whether a number stands above numbers."""
    known = [cell for cell in column if cell]
    return bool(PLAIN_NUMBER.match(field)) and bool(known) and all(map(PLAIN_NUMBER.match, known))
