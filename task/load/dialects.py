"""Dialects of text tables: separator, preamble lines, trailing separators, blanks, ragged rows.

Every cell is read as text, as it is written; only an empty cell is missing. Loaded by the task
worker only.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv

from report.formatting import format_plural
from task.load.encodings import Buffer
from task.load.headers import (
    PLAIN_NUMBER,
    find_double_mark,
    is_aligned_by_blanks,
    is_row,
    replace_blanks,
)
from task.load.long_tables import LONG_BYTES, read_long_csv

csv.field_size_limit(2**31 - 1)
HEAD_BYTES = 2**20
N_PROBES = 200  # records that decide the separator
MAX_PREAMBLE, MAX_FOOTER = 30, 5
MAX_LONG_FIELDS = 1000  # fields with line ends that are looked into, per column
MIN_SWALLOWED = 3  # lines of a field that look like rows
SEPARATORS = (",", ";", "\t", "|")
UNIT = "\x1f"  # a stand-in for a separator of two marks
RARE_SEPARATORS = (UNIT, "^", "~", "\x01", ":")  # where no usual one fits
SEPARATOR_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars", UNIT: "two marks"}
SINGLE_QUOTED = re.compile(r"^\s*'[^'\"\n]*'(?:[,;\t|]\s*'[^'\"\n]*')+\s*$")
ESCAPED_MARK = '\\"'
END_OF_FILE = b"\x1a"  # as old programs write it
FOOTER = re.compile(
    r"^\W*(?:\d[\d., ]*\s+(?:rows?|records?|lines?|entries)\b|(?:total|rows?|records?|end)\b)",
    re.IGNORECASE,
)
SEPARATOR_LINE = re.compile(r'^"?sep=(.)"?[;,\t ]*\r?\n?$')
STAND_IN = "\ue00d"  # of a lone carriage return while rows are parsed
MIN_SHARE = 0.7  # of the first records that have the usual number of fields


class Quoting(NamedTuple):
    """The mark around fields, and the mark before one inside of them."""

    mark: str = '"'
    escape: str | None = None  # None: a mark inside of a field stands twice


class Dialect(NamedTuple):
    """How a text table is written."""

    separator: str
    skipped: list[str]  # preamble lines
    header: list[str]
    start: int  # where the first row begins, in bytes
    n_fields: int  # of a row
    has_blanks: bool  # a blank after every separator
    first_line: int  # line number of the first row
    quoting: Quoting = Quoting()
    has_header: bool = True


class Rows(NamedTuple):
    """Columns of text and what was repaired while reading, one sentence each."""

    names: list[str]
    table: pa.Table
    repairs: list[str]
    separator: str
    has_header: bool  # whether the first line names the columns


def parse_rows(data: Buffer, form: str, n_rows: int | None = None) -> Rows:
    """Read a text table. Raises ValueError, with the line number, for rows that do not fit."""
    if bytes(data[-1:]) == END_OF_FILE:
        data = memoryview(data)[:-1]
    head = decode_head(data)
    if mark := find_double_mark(head):
        data = bytes(data).replace(mark.encode(), UNIT.encode())
        head = decode_head(data)
    dialect, separator, repairs = find_dialect(head, form), "", list[str]()
    is_odd = dialect.n_fields == 1 or bool(dialect.skipped)
    if is_odd and is_aligned_by_blanks(head):
        data, form, separator = replace_blanks(data), "tsv", " "
        head, repairs = decode_head(data), ["fields are separated by blanks"]
        dialect = find_dialect(head, form)
    separator = separator or dialect.separator.replace(UNIT, ",")
    names, n_cut = name_fields(dialect, head)
    repairs += describe_dialect(dialect, form, n_cut)
    if n_rows is None and not dialect.has_blanks:
        try:
            table = parse_fast(data, dialect)
        except pa.ArrowInvalid:
            table, more = parse_slowly(data, dialect, None)
            repairs += more
    else:
        part = head.encode() if n_rows is not None and len(data) > HEAD_BYTES else data
        table, more = parse_slowly(part, dialect, n_rows)
        repairs += more if n_rows is None else []
    if n_rows is None:
        check_swallowed(names, table, dialect.separator)
    if n_cut:
        table = check_empty(table, len(names))
    return Rows(names, table, repairs, separator, dialect.has_header)


def decode_head(data: Buffer) -> str:
    """Return the beginning of the text, whole lines where it is cut."""
    raw = bytes(data[:HEAD_BYTES])
    text = raw.decode("utf-8", "ignore")
    if len(data) > HEAD_BYTES:
        text = text[: max(text.rfind("\n"), text.rfind("\r")) + 1] or text
    return text


class CountedLines:
    """Lines of a text, which counts what was read: characters and lines.

    A lone carriage return is a line's end where most lines end so; else it is hidden by a
    stand-in.
    """

    def __init__(self, text: str) -> None:
        self.n_characters = 0
        self.n_lines = 0
        self._ends_with_returns = ends_with_returns(text)
        self._lines = io.StringIO(text, newline="" if self._ends_with_returns else "\n")

    def __iter__(self) -> Iterator[str]:
        for line in self._lines:
            self.n_characters += len(line)
            self.n_lines += 1
            if "\r" in line and not self._ends_with_returns:
                body, end = (line[:-2], "\r\n") if line.endswith("\r\n") else (line, "")
                yield body.replace("\r", STAND_IN) + end
            else:
                yield line


def ends_with_returns(text: str) -> bool:
    """Whether lines end with a lone carriage return, as on old Macs."""
    n_lines = text.count("\n")
    return text.count("\r") - text.count("\r\n") > n_lines


class Probe(NamedTuple):
    """What the first records look like with a separator."""

    separator: str
    records: list[list[str]]
    ends: list[tuple[int, int]]  # (characters, lines) read after each record
    width: int  # usual number of fields
    share: float  # of records of this width
    header: int  # position of the header


def find_dialect(head: str, form: str) -> Dialect:
    """Find the separator, the header and the first row. Raises ValueError for an empty text."""
    if not head.strip():
        raise ValueError("empty")
    quoting = find_quoting(head)
    dialect = find_separator(head, form, quoting)
    if quoting.escape is None and ESCAPED_MARK in head:
        other = find_separator(head, form, quoting._replace(escape="\\"))
        if fits_escape(head, other) and not fits_escape(head, dialect):
            return other
    return dialect


def find_quoting(head: str) -> Quoting:
    """Return the mark around fields: a single one where the names of the columns have it."""
    first = next((line for line in head.splitlines() if line.strip()), "")
    return Quoting("'") if SINGLE_QUOTED.match(first) else Quoting()


def fits_escape(head: str, dialect: Dialect) -> bool:
    """Whether rows are as long as the header and no field is left with half of an escaped mark."""
    lines = CountedLines(head)
    reader = make_reader(lines, dialect.separator, dialect.quoting)
    rows = [record for _, record in zip(range(N_PROBES), reader, strict=False) if record]
    rows = [row for row in rows if row != dialect.header][len(dialect.skipped) :]
    is_long = any(len(row) != len(dialect.header) for row in rows)
    return not is_long and not any(
        field.endswith('"') and "\\" in field for f in rows for field in f
    )


def make_reader(
    lines: CountedLines, separator: str, quoting: Quoting, *, has_blanks: bool = True
) -> Any:
    """Return a reader of records; blanks after separators are left out where there are any."""
    return csv.reader(
        lines,
        delimiter=separator,
        skipinitialspace=has_blanks,
        quotechar=quoting.mark,
        escapechar=quoting.escape,
        doublequote=quoting.escape is None,
    )


def find_separator(head: str, form: str, quoting: Quoting) -> Dialect:
    """Find the separator, the header and the first row, the marks around fields known."""
    first = head.split("\n", 1)[0]
    told = SEPARATOR_LINE.match(first)
    usual = "\t" if form == "tsv" else ","
    candidates = [told[1]] if told else [usual, *(mark for mark in SEPARATORS if mark != usual)]
    skip = len(first) + 1 if told else 0
    probes = []
    for separator in candidates:
        probe = probe_separator(head[skip:], separator, quoting)
        if probe.width > 1 and probe.share == 1 and probe.header == 0:
            return make_dialect(head, probe, skip, quoting)
        probes.append(probe)
    good = [probe for probe in probes if probe.width > 1 and probe.share >= MIN_SHARE]
    if not good and not told:
        rare = [probe_separator(head, separator, quoting) for separator in RARE_SEPARATORS]
        good = [probe for probe in rare if probe.width > 1 and probe.share == 1]
    best = min(good, key=lambda p: (-round(p.share, 2), p.header, -p.width), default=probes[0])
    if best not in good:
        best = best._replace(width=max(best.width, 1), header=0)
    return make_dialect(head, best, skip, quoting)


def probe_separator(text: str, separator: str, quoting: Quoting) -> Probe:
    """Parse the first records with a separator."""
    records: list[list[str]] = []
    ends = []
    lines = CountedLines(text)
    reader = make_reader(lines, separator, quoting)
    for record in reader:
        records.append(record)
        ends.append((lines.n_characters, lines.n_lines))
        if len(records) == N_PROBES:
            break
    filled = [record for record in records if any(field.strip() for field in record)]
    counts = Counter(len(record) for record in filled)
    width, n = max(counts.items(), key=lambda item: (item[1], item[0]), default=(0, 0))
    full = [record for record in filled if len(record) == width]
    n_tail = count_empty_tail(full)
    header = find_header(records, width - max(1, n_tail))
    if header < 0:
        return Probe(separator, records, ends, 1, 0.0, 0)
    after = [r for r in records[header:] if r and any(r)]
    fitting = sum(width - max(1, n_tail) <= len(record) <= width for record in after)
    return Probe(separator, records, ends, width, fitting / max(1, len(after)), header)


def count_empty_tail(records: list[list[str]]) -> int:
    """Return how many fields at the end are empty in all records but the first."""
    n = 0
    rows = records[1:]
    while rows and n < len(rows[0]) - 1 and not any(row[-1 - n].strip() for row in rows):
        n += 1
    return n


def find_header(records: list[list[str]], least: int) -> int:
    """Return the position of the first record of at least so many fields, some of them named.

    -1 where none is.
    """
    for position, record in enumerate(records[:MAX_PREAMBLE]):
        n_named = sum(bool(field.strip()) for field in record)
        if len(record) >= max(2, least) and n_named > 1:
            return position
    return -1


def make_dialect(head: str, probe: Probe, skip: int, quoting: Quoting) -> Dialect:
    """Return the dialect that a probe found."""
    header = probe.records[probe.header] if probe.records else []
    n_characters, n_lines = probe.ends[probe.header] if probe.ends else (0, 0)
    begin = probe.ends[probe.header - 1][0] if probe.header else 0
    skipped = [line for line in head[: skip + begin].splitlines() if line.strip()]
    rows = [r for r in probe.records[probe.header + 1 :] if r]
    extra = Counter(len(record) for record in rows).most_common(1)
    width = extra[0][0] if extra and extra[0][0] > len(header) else len(header)
    start = len(head[: skip + n_characters].encode())
    raw = [line for line in head[skip + begin :].splitlines()[:N_PROBES] if line]
    blanks = re.compile(re.escape(probe.separator) + r"(?! )")
    has_blanks = probe.separator != " " and any(f'{probe.separator} "' in line for line in raw)
    if not has_blanks and len(header) > 1:
        has_blanks = bool(raw) and not any(blanks.search(line) for line in raw)
    return Dialect(
        separator=probe.separator,
        skipped=skipped,
        header=[field.replace(STAND_IN, "\r") for field in header],
        start=start,
        n_fields=width,
        has_blanks=has_blanks,
        first_line=n_lines + head[:skip].count("\n") + 1,
        quoting=quoting,
        has_header=not is_row(header, rows),
    )


def name_fields(dialect: Dialect, head: str) -> tuple[list[str], int]:
    """Return the names of a row's fields, and how many nameless empty ones are cut off its end.

    A header that is one name short of rows whose last field is filled lacks the name of the
    first, a number or name of the row. Raises ValueError where rows are longer otherwise.
    """
    names, extra = list(dialect.header), dialect.n_fields - len(dialect.header)
    text = head.encode()[dialect.start :].decode("utf-8", "ignore")
    lines = CountedLines(text)
    reader = make_reader(lines, dialect.separator, dialect.quoting)
    rows = [record for _, record in zip(range(N_PROBES), reader, strict=False) if record]
    full = [row for row in rows if len(row) == dialect.n_fields]
    if extra <= 0:
        is_empty = bool(full) and len(names) > 1 and not names[-1].strip()
        if is_empty and not any(row[-1].strip() for row in full):
            return names[:-1], 1
        return names, 0
    if full and not any(field.strip() for row in full for field in row[len(names) :]):
        return names, extra
    if extra == 1:
        return ["", *names], 0
    raise ValueError(
        f"line {dialect.first_line} has {dialect.n_fields} fields where the header has "
        f"{len(names)}; quote fields that contain {dialect.separator!r}"
    )


def describe_dialect(dialect: Dialect, form: str, n_cut: int) -> list[str]:
    """Say what is unusual in the way a table is written."""
    said = []
    if dialect.skipped:
        lines = "line" if len(dialect.skipped) == 1 else "lines"
        said.append(
            f"{len(dialect.skipped)} {lines} before the header skipped "
            f"({dialect.skipped[0].strip()[:40]!r})"
        )
    if dialect.separator != ("\t" if form == "tsv" else ",") and dialect.n_fields > 1:
        name = SEPARATOR_NAMES.get(dialect.separator, repr(dialect.separator))
        said.append(f"fields are separated by {name}")
    if n_cut:
        said.append(f"a separator without a field at the end of the rows cut off ({n_cut} a row)")
    elif dialect.n_fields == len(dialect.header) + 1:
        said.append("the header is one name short; the first field of each row is its row name")
    if dialect.quoting.mark != '"':
        said.append(f"fields stand between {dialect.quoting.mark} marks")
    if dialect.quoting.escape:
        said.append(f"quotation marks inside of fields are written {ESCAPED_MARK}")
    if dialect.has_blanks:
        said.append("blanks after the separators left out")
    return said


def parse_fast(data: Buffer, dialect: Dialect) -> pa.Table:
    """Read rows of equal length. Raises pa.ArrowInvalid for others."""
    names = [str(index) for index in range(dialect.n_fields)]
    body = pa.py_buffer(memoryview(data)[dialect.start :])
    if not body.size:
        return pa.table({name: pa.array([], pa.large_string()) for name in names})
    parse_options = arrow_csv.ParseOptions(
        delimiter=dialect.separator,
        newlines_in_values=True,
        quote_char=dialect.quoting.mark,
        double_quote=dialect.quoting.escape is None,
        escape_char=dialect.quoting.escape or False,
    )
    convert_options = arrow_csv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.large_string()),
        strings_can_be_null=True,
        null_values=[""],
    )
    if body.size >= LONG_BYTES:
        return read_long_csv(data, dialect.start, names, parse_options, convert_options)
    return arrow_csv.read_csv(
        pa.BufferReader(body),
        read_options=arrow_csv.ReadOptions(column_names=names, block_size=2**23),
        parse_options=parse_options,
        convert_options=convert_options,
    )


def parse_slowly(data: Buffer, dialect: Dialect, n_rows: int | None) -> tuple[pa.Table, list[str]]:
    """Read rows one by one: short ones are filled up, empty fields beyond the header cut off."""
    text = bytes(memoryview(data)[dialect.start :]).decode("utf-8")
    n_returns = 0 if ends_with_returns(text) else text.count("\r") - text.count("\r\n")
    lines = CountedLines(text)
    reader = make_reader(lines, dialect.separator, dialect.quoting, has_blanks=dialect.has_blanks)
    columns: list[list[str | None]] = [[] for _ in range(dialect.n_fields)]
    n_short = n_long = 0
    line = dialect.first_line
    for record in reader:
        if n_rows is not None and len(columns[0]) >= n_rows:
            break
        if not record or (len(record) == 1 and not record[0].strip() and len(columns) > 1):
            line = dialect.first_line + lines.n_lines
            continue
        n_short += len(record) < dialect.n_fields
        if len(record) > dialect.n_fields:
            check_row(record, dialect, line)
            n_long += 1
        for index, column in enumerate(columns):
            field = record[index] if index < len(record) else ""
            column.append(field.replace(STAND_IN, "\r") or None)
        line = dialect.first_line + lines.n_lines
    repairs, n_footer = cut_footer(columns)
    n_short -= n_footer
    if n_short > 0 and dialect.n_fields > 1:
        repairs.append(
            f"fewer fields than the header in {format_plural(n_short, 'row')}; the rest is missing"
        )
    if n_long:
        repairs.append(f"empty fields beyond the header cut off in {format_plural(n_long, 'row')}")
    if n_returns:
        repairs.append(
            f"{format_plural(n_returns, 'carriage return')} inside fields kept as written"
        )
    arrays = [pa.array(column, pa.large_string()) for column in columns]
    return pa.table({str(index): array for index, array in enumerate(arrays)}), repairs


def cut_footer(columns: list[list[str | None]]) -> tuple[list[str], int]:
    """Take the lines of one field off the end of the rows: a count, a remark, a line cut short."""
    n, example = 0, ""
    while len(columns) > 1 and len(columns[0]) > n + 1 and n < MAX_FOOTER:
        text = columns[0][-1 - n]
        if (
            text is None
            or "\n" in text
            or any(column[-1 - n] is not None for column in columns[1:])
        ):
            break
        if not FOOTER.match(text) and not (n == 0 and is_unlike(text, columns[0][: -1 - n])):
            break
        n, example = n + 1, text.strip()[:40]
    if not n:
        return [], 0
    for column in columns:
        del column[-n:]
    lines = "line" if n == 1 else "lines"
    return [f"{n} {lines} below the rows left out ({example!r})"], n


def is_unlike(text: str, others: list[str | None]) -> bool:
    """Whether a text is no number below numbers alone."""
    known = [other for other in others[:N_PROBES] if other]
    return not PLAIN_NUMBER.match(text) and bool(known) and all(map(PLAIN_NUMBER.match, known))


def check_swallowed(names: list[str], table: pa.Table, separator: str) -> None:
    """Refuse fields that contain rows: a quotation mark stands open. Raises ValueError."""
    n_marks = table.num_columns - 1
    if n_marks < 2:
        return
    for name in names:
        check_long_field(name, n_marks, separator, f"the column name {show_start(name)}")
    for column in table.columns:
        if pa.types.is_floating(column.type):
            continue  # of a long table
        is_long = pc.fill_null(pc.match_substring(column, "\n"), False)
        if not pc.any(is_long).as_py():
            continue
        for place in pc.indices_nonzero(is_long).to_pylist()[:MAX_LONG_FIELDS]:
            where = f"the row that begins with {show_start(str(table.column(0)[place].as_py()))}"
            check_long_field(column[place].as_py(), n_marks, separator, where)


def show_start(text: str) -> str:
    """Return the first line of a text in quotation marks, cut short."""
    return repr(text.split("\n")[0][:40])


def check_long_field(text: str, n_marks: int, separator: str, where: str) -> None:
    """Refuse a field most of whose lines have the marks of a row. Raises ValueError."""
    lines = text.split("\n")[1:]
    n_rows = sum(line.count(separator) == n_marks for line in lines)
    if n_rows >= MIN_SWALLOWED and n_rows >= MIN_SHARE * (len(lines) - 1):
        raise ValueError(
            f"open: {where} has a quotation mark that is not closed and takes in {n_rows} more "
            "rows; close or remove it"
        )


def check_row(record: list[str], dialect: Dialect, line: int) -> None:
    """Refuse a row that is longer than the header and not empty there. Raises ValueError."""
    if any(field.strip() for field in record[dialect.n_fields :]):
        raise ValueError(
            f"line {line} has {len(record)} fields where the header has {dialect.n_fields}; "
            f"quote fields that contain {dialect.separator!r}"
        )


def check_empty(table: pa.Table, n_named: int) -> pa.Table:
    """Cut off the nameless fields. Raises ValueError where one is filled after all."""
    for name in table.column_names[n_named:]:
        column = table[name]
        if column.null_count < len(column):
            raise ValueError(
                "some rows have a field more than the header; name it or quote the fields"
            )
    return table.select(table.column_names[:n_named])
