"""Reading tables: csv, tsv, json, jsonl, parquet and their gz and zip forms.  Loaded by the task worker only."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import pandas as pd

from task.types import TaskError

MAX_UNZIPPED_BYTES = 20 * 2**30
DECIMAL_COMMA = r"[+-]?\d+,\d+(?:[eE][+-]?\d+)?"
SUFFIXES = (".csv", ".tsv", ".json", ".jsonl", ".parquet")
FORMS = tuple(suffix + form for suffix in SUFFIXES for form in ("", ".gz", ".zip"))
BINARY = {
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"%PDF": "a PDF",
    b"GIF8": "a GIF picture",
    b"\x7fELF": "a program",
}


def find_table(folder: Path, *names: str) -> Path | None:
    """The first of `names` (without ending) that lies in the folder in a form that can be read."""
    for name in names:
        for form in FORMS:
            if (folder / (name + form)).is_file():
                return folder / (name + form)
        if (folder / f"{name}.zip").is_file():
            return folder / f"{name}.zip"
    return None


def read_table(path: Path, *, n_rows: int | None = None) -> pd.DataFrame:
    """The table in a file. Raises TaskError, a sentence, when the file is not what its name says."""
    if not path.is_file():
        raise TaskError(
            f"{path} does not exist; put the table there or name another file in task.yaml"
        )
    try:
        return parse(path, n_rows)
    except (ValueError, OSError, UnicodeError, zipfile.BadZipFile, EOFError) as error:
        what = foreign(path) or f"unreadable ({str(error).splitlines()[0][:120]})"
        raise TaskError(
            f"{path} is {what}, not a {kind(path)} table; replace it or name another file in task.yaml"
        ) from error


def parse(path: Path, n_rows: int | None) -> pd.DataFrame:
    if path.suffix != ".parquet" and (what := foreign(path)):
        raise ValueError(what)
    if path.suffix == ".zip":
        return from_zip(path, n_rows)
    form = kind(path)
    compression: Any = "gzip" if path.suffix == ".gz" else None
    if form == "parquet":
        return pd.read_parquet(path)
    if form in ("json", "jsonl"):
        return pd.read_json(path, lines=form == "jsonl", compression=compression)
    return from_text(path, form, n_rows, compression)


def from_text(
    source: Path | io.BytesIO, form: str, n_rows: int | None, compression: Any = None
) -> pd.DataFrame:
    def read(mark: str, decimal: str = ".") -> pd.DataFrame:
        if isinstance(source, io.BytesIO):
            source.seek(0)
        return pd.read_csv(
            source,
            sep=mark,
            decimal=decimal,
            nrows=n_rows,
            compression=compression,
            low_memory=False,
        )

    mark = "\t" if form == "tsv" else ","
    frame = read(mark)
    if form == "csv" and (other := other_separator(frame)):
        frame = read(mark := other)
    if mark != "," and decimal_commas(frame):
        frame = read(mark, ",")
    if not len(frame.columns) or any("\x00" in str(column) for column in frame.columns):
        raise ValueError("no columns")
    return frame


def other_separator(frame: pd.DataFrame) -> str | None:
    """The mark that separates the fields of a csv whose header holds no comma."""
    if len(frame.columns) != 1:
        return None
    return next((mark for mark in (";", "\t", "|") if mark in str(frame.columns[0])), None)


def decimal_commas(frame: pd.DataFrame) -> bool:
    """Whether numbers are written as 3,14: some text column holds nothing else, and no column has decimal points."""
    if any(
        pd.api.types.is_float_dtype(kind) and (frame[name].dropna() % 1 != 0).any()
        for name, kind in frame.dtypes.items()
    ):
        return False
    texts = [
        frame[name].dropna().head(200).astype(str).str.strip()
        for name in frame.select_dtypes("object")
    ]
    return any(len(text) and text.str.fullmatch(DECIMAL_COMMA).all() for text in texts)


def from_zip(path: Path, n_rows: int | None) -> pd.DataFrame:
    """The one table inside a zip; names inside are never used as paths, and a bomb is refused by its declared size."""
    with zipfile.ZipFile(path) as archive:
        inside = [
            info
            for info in archive.infolist()
            if Path(info.filename).suffix in SUFFIXES
            and not Path(info.filename).name.startswith(".")
        ]
        if len(inside) != 1:
            raise ValueError(f"{len(inside)} tables inside")
        if inside[0].file_size > MAX_UNZIPPED_BYTES:
            raise ValueError("too large unzipped")
        raw = io.BytesIO(archive.read(inside[0]))
    form = Path(inside[0].filename).suffix[1:]
    if form == "parquet":
        return pd.read_parquet(raw)
    if form in ("json", "jsonl"):
        return pd.read_json(raw, lines=form == "jsonl")
    return from_text(raw, form, n_rows)


def kind(path: Path) -> str:
    """csv, tsv, json, jsonl or parquet, by the name."""
    suffixes = [suffix for suffix in path.suffixes if suffix in SUFFIXES]
    return suffixes[-1][1:] if suffixes else "csv"


def foreign(path: Path) -> str | None:
    """What a file really is when it is no table at all, by its first bytes."""
    head = b""
    if path.suffix not in (".gz", ".zip", ".parquet"):
        with path.open("rb") as file:
            head = file.read(512)
    for magic, what in BINARY.items():
        if head.startswith(magic):
            return what
    if b"<html" in head[:200].lower() or b"<!doctype html" in head[:200].lower():
        return "an HTML page"
    return "a binary file" if b"\x00" in head else None


def write_table(frame: pd.DataFrame, path: Path) -> None:
    if path.suffix == ".parquet":
        frame.to_parquet(path, index=False)
    else:
        frame.to_csv(path, index=False)
