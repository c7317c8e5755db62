"""Tables of many formats: csv, tsv, json, jsonl, parquet, xlsx and their gz and zip forms.

A file is what its content says, whatever its name. Loaded by the task worker only.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import mmap
import re
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa

from report.formatting import format_plural
from settings.remedies import install_command
from task.load.dialects import parse_rows
from task.load.encodings import Buffer, Text, to_utf8
from task.load.stray_rows import drop_stray_rows
from task.types import TaskError

MAX_UNZIPPED_BYTES = 20 * 2**30
UNCALCULATED = re.compile(rb"</f>\s*(<v\s*/>|<v>\s*</v>|</c>)")  # a formula without a result
TABLE_SUFFIXES = (".csv", ".tsv", ".json", ".jsonl", ".parquet", ".xlsx")
TABLE_ENDINGS = tuple(suffix + form for suffix in TABLE_SUFFIXES for form in ("", ".gz", ".zip"))
SEVEN_ZIP_MAGIC = b"7z\xbc\xaf"
LONG_COLUMN_BYTES = 2**26
EXCEL_MAGIC = b"\xd0\xcf\x11\xe0"  # of .xls
MAGIC_BYTES = {
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"%PDF": "a PDF",
    b"GIF8": "a GIF picture",
    b"\x7fELF": "a program",
    SEVEN_ZIP_MAGIC: "a 7z archive",
    b"Rar!": "a RAR archive",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ": "an xz archive",
    b"version https://git-lfs": "a pointer of Git LFS (run `git lfs pull`)",
}
READ_ERRORS = (ValueError, OSError, UnicodeError, zipfile.BadZipFile, EOFError, pa.ArrowException)


class Table(NamedTuple):
    """A table as it is written, and what was repaired while it was read, one sentence each.

    Columns of a text format are text, letter for letter, and only empty cells are missing; those
    of other formats have their own types.
    """

    frame: pd.DataFrame
    repairs: list[str]
    encoding: str | None = None  # where it was guessed
    separator: str = ","  # of a csv; of other formats that of a csv written instead
    has_header: bool = True  # whether its first line names the columns


class Content(NamedTuple):
    """The bytes of a table and the name that tells its format."""

    data: Buffer
    name: str


def find_table(folder: Path, *names: str) -> Path | None:
    """Return the first of `names` (without ending) that the folder has in a readable format."""
    for name in names:
        for form in TABLE_ENDINGS:
            if (folder / (name + form)).is_file():
                return folder / (name + form)
        if (folder / f"{name}.zip").is_file():
            return folder / f"{name}.zip"
    return None


def read_table(path: Path, *, n_rows: int | None = None, encoding: str | None = None) -> Table:
    """Read a table as it is written; `encoding`: the one to prefer where it has to be guessed.

    Raises TaskError when the file is not what its name says.
    """
    if not path.is_file():
        raise TaskError(
            f"{path} does not exist; put the table there or name another file in task.yaml"
        )
    try:
        table = parse_table(load_content(path), n_rows, encoding)
    except READ_ERRORS as error:
        what = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise TaskError(explain_unreadable(path, what)) from error
    said = [f"{path.name}: {sentence}" for sentence in table.repairs]
    return table._replace(repairs=said)


def read_alike(*paths: Path) -> list[Table]:
    """Read the tables of one task; an encoding that has to be guessed is the same in all.

    Raises TaskError.
    """
    pa.default_memory_pool().release_unused()  # of tables read before
    tables = [read_table(path) for path in paths]
    guess = next((table.encoding for table in tables if table.encoding), None)
    return [
        read_table(path, encoding=guess) if table.encoding not in (None, guess) else table
        for path, table in zip(paths, tables, strict=True)
    ]


def explain_unreadable(path: Path, what: str) -> str:
    """Say in a sentence why a file is no table, and the remedy."""
    remedy = "replace it or name another file in task.yaml"
    if what.startswith("line "):
        return f"{path}: {what}"
    if what.startswith("open: "):
        return f"{path}: {what.removeprefix('open: ')}"
    if what.startswith("an Excel workbook"):
        return f"{path} is {what}"
    what = what if what.startswith(("a ", "an ")) else f"unreadable ({what})"
    return f"{path} is {what}, not a {table_format(path.name)} table; {remedy}"


def read_frame(path: Path, *, n_rows: int | None = None) -> pd.DataFrame:
    """Read one table with the types that its own columns have. Raises TaskError."""
    from task.load.columns import type_table

    return type_table(read_table(path, n_rows=n_rows))


def read_public_table(folder: str, name: str, columns: list[str] | None = None) -> pd.DataFrame:
    """Read train or test of a prepared task's public folder; `columns`: those alone."""
    path = Path(folder) / f"{name}.csv"
    if path.exists():
        return pd.read_csv(path, low_memory=False, usecols=columns)
    return pd.read_parquet(path.with_suffix(".parquet"), columns=columns)


def load_content(path: Path) -> Content:
    """Return the bytes of a file, unpacked where it is a gz or a zip, by its content."""
    content = Content(map_file(path), path.name)
    for _ in range(2):
        head = bytes(content.data[:4])
        if head[:2] == b"\x1f\x8b":
            with gzip.GzipFile(fileobj=io.BytesIO(content.data)) as file:
                raw = file.read(MAX_UNZIPPED_BYTES)
            content = Content(raw, content.name.removesuffix(".gz"))
        elif head == b"PK\x03\x04" and not is_workbook(content.data):
            content = unzip_table(content)
        elif head == SEVEN_ZIP_MAGIC:
            content = unpack_seven_zip(content)
    return content


def map_file(path: Path) -> Buffer:
    """Return the bytes of a file without a copy in memory."""
    if not path.stat().st_size:
        raise ValueError("empty")
    with path.open("rb") as file:
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def is_workbook(data: Buffer) -> bool:
    """Whether a zip is an Excel workbook."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return any(name.startswith("xl/workbook") for name in archive.namelist())


def unzip_table(content: Content) -> Content:
    """Return the only table of a zip, or the one of several that the zip is named after.

    Names inside are never used as paths; a zip bomb is refused by its declared size.
    """
    with zipfile.ZipFile(io.BytesIO(content.data)) as archive:
        tables = [
            info
            for info in archive.infolist()
            if Path(info.filename).name.endswith(TABLE_ENDINGS)
            and not Path(info.filename).name.startswith(".")
            and "__MACOSX" not in info.filename
        ]
        stem = content.name.removesuffix(".zip").partition(".")[0]
        named = [info for info in tables if Path(info.filename).name.partition(".")[0] == stem]
        tables = tables if len(tables) == 1 else named
        if len(tables) != 1:
            n = len(archive.namelist())
            raise ValueError(f"a zip without a table named {stem!r} among its {n} files")
        if tables[0].file_size > MAX_UNZIPPED_BYTES:
            raise ValueError("too large unzipped")
        return Content(archive.read(tables[0]), Path(tables[0].filename).name)


def unpack_seven_zip(content: Content) -> Content:
    """Return the only table of a 7z archive. Raises ValueError without py7zr."""
    try:
        import py7zr
    except ImportError:
        raise ValueError(
            f"a 7z archive; unpack it, or install what reads it: `{install_command('py7zr')}`"
        ) from None
    try:
        with py7zr.SevenZipFile(io.BytesIO(content.data)) as archive:
            tables = [
                item
                for item in archive.list()
                if Path(item.filename).name.endswith(TABLE_ENDINGS) and not item.is_directory
            ]
            if len(tables) != 1:
                raise ValueError(f"a 7z archive with {len(tables)} tables")
            if tables[0].uncompressed > MAX_UNZIPPED_BYTES:
                raise ValueError("too large unpacked")
            factory = py7zr.io.BytesIOFactory(MAX_UNZIPPED_BYTES)
            archive.extract(targets=[tables[0].filename], factory=factory)
    except py7zr.exceptions.ArchiveError as error:
        raise ValueError(f"a 7z archive that cannot be read ({error})") from error
    [data] = [product.read() for product in factory.products.values()]
    return Content(data, Path(tables[0].filename).name)


def parse_table(content: Content, n_rows: int | None, encoding: str | None) -> Table:
    """Read a table in the format that its content has. Raises ValueError for a foreign one."""
    data, head = content.data, bytes(content.data[:512])
    form = table_format(content.name)
    if head[:4] == b"PAR1":
        return read_parquet_table(data)
    if head[:4] == EXCEL_MAGIC or (head[:4] == b"PK\x03\x04" and is_workbook(data)):
        return read_workbook(data)
    if what := detect_foreign_format(head):
        raise ValueError(what)
    if form in ("parquet", "xlsx"):
        form = "csv"
    text = to_utf8(data, encoding)
    if b"\x00" in bytes(text.data[:4096]):
        raise ValueError("a binary file")
    said = describe_encoding(text)
    if form in ("json", "jsonl") or bytes(text.data[:1]) in (b"{", b"["):
        frame = parse_json(bytes(text.data), form)
        table = Table(frame if n_rows is None else frame.head(n_rows), [])
    else:
        table = parse_text_table(text.data, form, n_rows)
    guess = text.encoding if text.is_guess else None
    separator = table.separator if form == "csv" else ","
    return Table(table.frame, said + table.repairs, guess, separator, table.has_header)


def describe_encoding(text: Text) -> list[str]:
    """Say in which encoding a text is, unless it is UTF-8."""
    if text.encoding == "utf-8":
        return []
    if not text.is_guess:
        return [f"read as {text.encoding}, by its byte order mark"]
    example = f", which gives words such as {text.example!r}" if text.example else ""
    return [f"not UTF-8; read as {text.encoding}, the likeliest encoding{example}"]


def parse_text_table(data: Buffer, form: str, n_rows: int | None) -> Table:
    """Read csv or tsv, every cell as text."""
    rows = parse_rows(data, form, n_rows)
    names, said = clean_names(rows.names)
    columns = {
        name: as_text_array(column) for name, column in zip(names, rows.table.columns, strict=True)
    }
    frame, more = drop_stray_rows(pd.DataFrame(columns, copy=False))
    said += more
    return drop_empty_rows(
        Table(frame, rows.repairs + said, separator=rows.separator, has_header=rows.has_header)
    )


def as_text_array(column: pa.ChunkedArray) -> Any:
    """Return an Arrow column as pandas text, without a copy where pandas stores it so.

    Columns of long tables may be numbers, and stay in the blocks in which they were read.
    """
    if pa.types.is_floating(column.type):
        return column.to_numpy()
    if column.nbytes >= LONG_COLUMN_BYTES:
        return pd.array(column, dtype="str")
    return pd.array(column.combine_chunks() if column.num_chunks > 1 else column, dtype="str")


def drop_empty_rows(table: Table) -> Table:
    """Drop rows in which every cell is empty, as spreadsheets leave them.

    Those between others only where the first column names the rows, so that none is lost.
    """
    frame = table.frame
    if frame.shape[1] < 2 or not len(frame):
        return table
    is_empty = frame.iloc[:, 0].isna()
    for name in frame.columns[1:]:
        if not is_empty.any():
            return table
        is_empty &= frame[name].isna()
    first = frame.iloc[:, 0][~is_empty]
    if first.isna().any() or not first.is_unique:
        is_empty &= is_empty[::-1].cummin()[::-1]  # at the end only
    n = int(is_empty.sum())
    if not n:
        return table
    said = f"{format_plural(n, 'empty row')} left out"
    kept = frame[~is_empty].reset_index(drop=True)
    return table._replace(frame=kept, repairs=[*table.repairs, said])


def clean_names(names: list[Any]) -> tuple[list[str], list[str]]:
    """Return names without blanks at their ends, each once, and what was changed.

    A column without a name is called as pandas calls it: Unnamed: 0.
    """
    said = []
    stripped = [str(name).strip().strip("\ufeff") for name in names]
    n_blank = sum(new != str(old) for new, old in zip(stripped, names, strict=True))
    if n_blank:
        said.append(f"blanks around {format_plural(n_blank, 'column name')} left out")
    taken, result = set(stripped), []
    seen: set[str] = set()
    repeated = []
    for index, name in enumerate(stripped):
        unique, number = name or f"Unnamed: {index}", 0
        while unique in seen or (number and unique in taken):
            number += 1
            unique = f"{name}.{number}"
        if number:
            repeated.append(f"{name!r} -> {unique!r}")
        seen.add(unique)
        result.append(unique)
    if repeated:
        more = f" and {len(repeated) - 5} more" if len(repeated) > 5 else ""
        said.append(f"column names that occur twice made unique: {', '.join(repeated[:5])}{more}")
    return result, said


def read_parquet_table(data: Buffer) -> Table:
    """Read parquet; a named index becomes columns."""
    frame = pd.read_parquet(io.BytesIO(data))
    said = []
    if any(name is not None for name in frame.index.names):
        named = ", ".join(str(name) for name in frame.index.names)
        said.append(f"the index ({named}) is read as the first column")
        frame = frame.reset_index()
    else:
        frame = frame.reset_index(drop=True)
    names, more = clean_names(list(frame.columns))
    frame.columns = pd.Index(names)
    return Table(frame, said + more)


def read_workbook(data: Buffer) -> Table:
    """Read the first filled sheet of a workbook. Raises ValueError without python-calamine."""
    try:
        from python_calamine import CalamineWorkbook
    except ImportError:
        raise ValueError(
            "an Excel workbook; save it as csv, or install what reads it:"
            f" `{install_command('python-calamine')}`"
        ) from None
    try:
        book = CalamineWorkbook.from_filelike(io.BytesIO(data))
    except Exception as error:  # noqa: BLE001 -- the library's errors have no common base
        raise ValueError(
            f"an Excel workbook that cannot be read ({error}); save its table as csv"
        ) from error
    sheets = {name: book.get_sheet_by_name(name).to_python() for name in book.sheet_names}
    filled = [name for name, rows in sheets.items() if len(rows) > 1]
    if not filled:
        raise ValueError("an Excel workbook without rows; save its table as csv")
    said = [f"read from the sheet {filled[0]!r} of {len(sheets)}"] if len(sheets) > 1 else []
    rows = sheets[filled[0]]
    header = next((i for i, row in enumerate(rows) if sum(cell != "" for cell in row) > 1), 0)
    if header:
        said.append(f"{header} lines before the header skipped")
    names, more = clean_names(rows[header])
    columns = list(zip(*rows[header + 1 :], strict=True))
    empty = [n for n, cells in zip(names, columns, strict=True) if all(c == "" for c in cells)]
    if empty and has_uncalculated_cells(data):
        raise ValueError(
            f"an Excel workbook whose column {empty[0]!r} has formulas and no results, as programs "
            "write them; open it in Excel or LibreOffice and save it, or save its table as csv"
        )
    frame = pd.DataFrame(
        {
            name: pd.Series([plain_cell(cell) for cell in column], dtype=object).infer_objects()
            for name, column in zip(names, columns, strict=True)
        }
    )
    return drop_empty_rows(Table(frame, said + more))


def has_uncalculated_cells(data: Buffer) -> bool:
    """Whether a sheet of a workbook has a formula whose result was never stored."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as book:
            sheets = [n for n in book.namelist() if n.startswith("xl/worksheets/sheet")]
            return any(UNCALCULATED.search(book.read(name)) for name in sheets)
    except (zipfile.BadZipFile, OSError, ValueError, RuntimeError):
        return False


def plain_cell(cell: object) -> object:
    """Return a cell of a workbook: whole numbers without a decimal point, None for an empty one."""
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 2**53:
        return int(cell)
    return None if cell == "" else cell


def parse_json(raw: bytes, form: str) -> pd.DataFrame:
    """Read records, columns or lines of JSON; no value is taken for a date."""
    text = raw.decode()
    if form == "jsonl":
        rows: Any = parse_json_lines(text)
    else:
        try:
            rows = json.loads(text)
        except json.JSONDecodeError as error:
            if error.msg != "Extra data":
                raise
            rows = parse_json_lines(text)
    frame = frame_of_json(rows)
    names, _ = clean_names(list(frame.columns))
    frame.columns = pd.Index(names)
    return frame


def parse_json_lines(text: str) -> list[Any]:
    """Read a JSON value per line. Raises ValueError with the line's number."""
    rows = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError as error:
                raise ValueError(f"line {number} is not JSON ({error.msg})") from error
    return rows


def frame_of_json(value: Any) -> pd.DataFrame:
    """Make a table of records, of columns, or of the only list of records in an object."""
    if isinstance(value, dict) and {"columns", "data"} <= set(value):
        return object_frame(
            dict(zip(value["columns"], zip(*value["data"], strict=True), strict=True))
        )
    if isinstance(value, dict):
        lists = [item for item in value.values() if isinstance(item, list)]
        records = [item for item in lists if item and all(isinstance(row, dict) for row in item)]
        if len(records) == 1 and len(value) != len(lists):
            value = records[0]
        elif len(lists) == len(value):
            return object_frame(value)
        elif value and all(isinstance(item, dict) for item in value.values()):
            keys = list(dict.fromkeys(key for column in value.values() for key in column))
            return object_frame({k: [c.get(key) for key in keys] for k, c in value.items()})
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise ValueError("JSON that contains neither records nor columns")
    names = list(dict.fromkeys(name for row in value for name in row))
    return object_frame({name: [row.get(name) for row in value] for name in names})


def object_frame(columns: dict[str, Any]) -> pd.DataFrame:
    """Make a frame in which numbers and texts keep their types; an empty text is missing."""
    return pd.DataFrame(
        {
            name: pd.Series(
                [None if isinstance(cell, str) and not cell else cell for cell in cells],
                dtype=object,
            ).infer_objects()
            for name, cells in columns.items()
        }
    )


def table_format(name: str) -> str:
    """Return csv, tsv, json, jsonl, parquet or xlsx, by the file's name."""
    suffixes = [suffix for suffix in Path(name).suffixes if suffix in TABLE_SUFFIXES]
    return suffixes[-1][1:] if suffixes else "csv"


def detect_foreign_format(head: bytes) -> str | None:
    """Describe a file that is no table at all, by its first bytes; None for a possible table."""
    for magic, what in MAGIC_BYTES.items():
        if head.startswith(magic):
            return what
    if b"<html" in head[:200].lower() or b"<!doctype html" in head[:200].lower():
        return "an HTML page"
    return None


def write_table(frame: pd.DataFrame, path: Path) -> None:
    """Write parquet or csv, by the file's name."""
    if path.suffix == ".parquet":
        frame.to_parquet(path, index=False)
        return
    texts = frame.select_dtypes(["object", "string"])
    has_returns = any(texts[name].astype("str").str.contains("\r").any() for name in texts)
    frame.to_csv(path, index=False, quoting=csv.QUOTE_ALL if has_returns else csv.QUOTE_MINIMAL)
