"""Tables of many formats: csv, tsv, json, jsonl, parquet and their gz and zip forms.

Loaded by the task worker only.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import pandas as pd

from task.types import TaskError

MAX_UNZIPPED_BYTES = 20 * 2**30
DECIMAL_COMMA = r"[+-]?\d+,\d+(?:[eE][+-]?\d+)?"
TABLE_SUFFIXES = (".csv", ".tsv", ".json", ".jsonl", ".parquet")
TABLE_ENDINGS = tuple(suffix + form for suffix in TABLE_SUFFIXES for form in ("", ".gz", ".zip"))
MAGIC_BYTES = {
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"%PDF": "a PDF",
    b"GIF8": "a GIF picture",
    b"\x7fELF": "a program",
}


def find_table(folder: Path, *names: str) -> Path | None:
    """Return the first of `names` (without ending) that the folder has in a readable format."""
    for name in names:
        for form in TABLE_ENDINGS:
            if (folder / (name + form)).is_file():
                return folder / (name + form)
        if (folder / f"{name}.zip").is_file():
            return folder / f"{name}.zip"
    return None


def read_table(path: Path, *, n_rows: int | None = None) -> pd.DataFrame:
    """Read a table. Raises TaskError when the file is not what its name says."""
    if not path.is_file():
        raise TaskError(
            f"{path} does not exist; put the table there or name another file in task.yaml"
        )
    try:
        return parse_table(path, n_rows)
    except (ValueError, OSError, UnicodeError, zipfile.BadZipFile, EOFError) as error:
        what = detect_foreign_format(path) or f"unreadable ({str(error).splitlines()[0][:120]})"
        raise TaskError(
            f"{path} is {what}, not a {table_format(path)} table; "
            "replace it or name another file in task.yaml"
        ) from error


def read_public_table(folder: str, name: str) -> pd.DataFrame:
    """Read train or test of a prepared task's public folder."""
    path = Path(folder) / f"{name}.csv"
    if path.exists():
        return pd.read_csv(path, low_memory=False)
    return pd.read_parquet(path.with_suffix(".parquet"))


def parse_table(path: Path, n_rows: int | None) -> pd.DataFrame:
    """Read a table in the format that its name says. Raises ValueError for foreign content."""
    if path.suffix != ".parquet" and (what := detect_foreign_format(path)):
        raise ValueError(what)
    if path.suffix == ".zip":
        return read_zipped_table(path, n_rows)
    form = table_format(path)
    compression: Any = "gzip" if path.suffix == ".gz" else None
    if form == "parquet":
        return pd.read_parquet(path)
    if form in ("json", "jsonl"):
        return pd.read_json(path, lines=form == "jsonl", compression=compression)
    return parse_text_table(path, form, n_rows, compression)


def parse_text_table(
    source: Path | io.BytesIO, form: str, n_rows: int | None, compression: Any = None
) -> pd.DataFrame:
    """Read csv or tsv; a csv's separator and decimal mark are detected."""

    def read(separator: str, decimal: str = ".") -> pd.DataFrame:
        if isinstance(source, io.BytesIO):
            source.seek(0)
        return pd.read_csv(
            source,
            sep=separator,
            decimal=decimal,
            nrows=n_rows,
            compression=compression,
            low_memory=False,
        )

    separator = "\t" if form == "tsv" else ","
    frame = read(separator)
    if form == "csv" and (other := detect_separator(frame)):
        frame = read(separator := other)
    if separator != "," and has_decimal_commas(frame):
        frame = read(separator, ",")
    if not len(frame.columns) or any("\x00" in str(column) for column in frame.columns):
        raise ValueError("no columns")
    return frame


def detect_separator(frame: pd.DataFrame) -> str | None:
    """Return the separator of a csv whose header contains no comma."""
    if len(frame.columns) != 1:
        return None
    return next((mark for mark in (";", "\t", "|") if mark in str(frame.columns[0])), None)


def has_decimal_commas(frame: pd.DataFrame) -> bool:
    """Whether numbers are written as 3,14.

    Then some text column contains nothing else, and no column has decimal points.
    """
    if any(
        pd.api.types.is_float_dtype(dtype) and (frame[name].dropna() % 1 != 0).any()
        for name, dtype in frame.dtypes.items()
    ):
        return False
    texts = [
        frame[name].dropna().head(200).astype(str).str.strip()
        for name in frame.select_dtypes("object")
    ]
    return any(len(text) and text.str.fullmatch(DECIMAL_COMMA).all() for text in texts)


def read_zipped_table(path: Path, n_rows: int | None) -> pd.DataFrame:
    """Read the only table of a zip.

    Names inside are never used as paths; a zip bomb is refused by its declared size.
    """
    with zipfile.ZipFile(path) as archive:
        tables = [
            info
            for info in archive.infolist()
            if Path(info.filename).suffix in TABLE_SUFFIXES
            and not Path(info.filename).name.startswith(".")
        ]
        if len(tables) != 1:
            raise ValueError(f"{len(tables)} tables inside")
        if tables[0].file_size > MAX_UNZIPPED_BYTES:
            raise ValueError("too large unzipped")
        raw = io.BytesIO(archive.read(tables[0]))
    form = Path(tables[0].filename).suffix[1:]
    if form == "parquet":
        return pd.read_parquet(raw)
    if form in ("json", "jsonl"):
        return pd.read_json(raw, lines=form == "jsonl")
    return parse_text_table(raw, form, n_rows)


def table_format(path: Path) -> str:
    """Return csv, tsv, json, jsonl or parquet, by the file's name."""
    suffixes = [suffix for suffix in path.suffixes if suffix in TABLE_SUFFIXES]
    return suffixes[-1][1:] if suffixes else "csv"


def detect_foreign_format(path: Path) -> str | None:
    """Describe a file that is no table at all, by its first bytes; None for a possible table."""
    head = b""
    if path.suffix not in (".gz", ".zip", ".parquet"):
        with path.open("rb") as file:
            head = file.read(512)
    for magic, what in MAGIC_BYTES.items():
        if head.startswith(magic):
            return what
    if b"<html" in head[:200].lower() or b"<!doctype html" in head[:200].lower():
        return "an HTML page"
    return "a binary file" if b"\x00" in head else None


def write_table(frame: pd.DataFrame, path: Path) -> None:
    """Write parquet or csv, by the file's name."""
    if path.suffix == ".parquet":
        frame.to_parquet(path, index=False)
    else:
        frame.to_csv(path, index=False)
