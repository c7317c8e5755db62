"""Which file belongs to which row: by the names of files and folders, and a column of the table."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import pandas as pd

from task.data.media.listing import ListedFile
from task.types import MediaRole

MIN_SHARE = 0.2  # of the rows whose cells in a column must name files
MIN_DISTINCT = 0.1  # distinct cells per row, below which a column names classes and not samples
MAX_ROW_FILES = 2_000  # of one row in the index; a folder with more is listed as far as that
MAX_INDEX = 3_000_000
TRAIN_WORD = re.compile(r"(?<![a-z])(train|training|labell?ed)(?![a-z])")
TEST_WORD = re.compile(r"(?<![a-z])(test|testing|eval|holdout|unlabell?ed)(?![a-z])")


class MountedFile(NamedTuple):
    """A media file: its name below input/, where it lies, and whose rows it may belong to."""

    name: str  # below input/, with slashes
    path: str  # absolute
    n_bytes: int
    role: MediaRole


class RowFile(NamedTuple):
    """A file of a row."""

    row: int
    file: MountedFile
    is_folder: bool  # the row names a folder above the file


class RowFiles(NamedTuple):
    """The files of a table's rows by a column that names them."""

    column: str
    files: list[RowFile]
    share: float  # of the rows that have files


def mounted_files(
    listed: Sequence[ListedFile], top: str, folder: str, role: MediaRole
) -> list[MountedFile]:
    """Return the files of a source as they are named below input/."""
    prefix = f"{top}/" if top else ""
    return [
        MountedFile(
            prefix + file.name,
            f"{folder}/{file.name}" if file.name else folder,
            file.n_bytes,
            role if role != "both" else role_of_file(prefix + file.name),
        )
        for file in listed
    ]


def role_of_file(name: str) -> MediaRole:
    """Return whose rows a file belongs to by its folders, else by its own name."""
    folder, _, last = name.rpartition("/")
    role = role_of_name(folder)
    return role if role != "both" else role_of_name(last)


@lru_cache(maxsize=10_000)
def role_of_name(name: str) -> MediaRole:
    """Return whose rows files belong to by the words of a name."""
    text = name.lower().replace("_", " ")
    is_train, is_test = TRAIN_WORD.search(text), TEST_WORD.search(text)
    if is_train and not is_test:
        return "train"
    return "test" if is_test and not is_train else "both"


class FileNames:
    """Files by all the texts that a cell may call them by."""

    def __init__(self, files: Sequence[MountedFile]) -> None:
        self.files: dict[str, list[MountedFile]] = {}
        self.folders: dict[str, list[MountedFile]] = {}
        by_folder: dict[str, list[MountedFile]] = {}
        for file in files:
            for key in file_keys(file.name):
                self.files.setdefault(key, []).append(file)
            by_folder.setdefault(file.name.rpartition("/")[0], []).append(file)
        for folder, members in by_folder.items():
            for key in folder_keys(folder):
                self.folders.setdefault(key, []).extend(members)

    def find(self, cell: str) -> tuple[list[MountedFile], bool]:
        """Return the files that a cell names, and whether it names a folder.

        A mark before it is left out: scripts see such ids as `216e62447306`, an infinite number to
        pandas, behind one.
        """
        for key in (cell, cell.strip("/"), file_stem(cell)):
            if key and (found := self.files.get(key)):
                return found, False
        if cell.isdigit() and (found := self.files.get(f"#{int(cell)}")):
            return found, False
        if found := self.folders.get(cell.strip("/")):
            return found[:MAX_ROW_FILES], True
        return self.find(cell[1:]) if cell.startswith("_") else ([], True)

    def knows(self, cell: str) -> bool:
        """Whether a cell names any file."""
        return bool(self.find(cell)[0])


def file_keys(name: str) -> Iterator[str]:
    """Yield what a table may call a file: path, ends of the path, name, stem, its number."""
    last = name
    while last:
        yield last
        _, _, last = last.partition("/")
    last = name.rpartition("/")[2]
    stem = file_stem(last)
    if stem != last:
        yield stem
    short = last.partition(".")[0]
    if short not in (stem, last, ""):
        yield short
    if stem.isdigit() and stem.isascii():
        yield f"#{int(stem)}"


def file_stem(name: str) -> str:
    """Return a name without folders and its last ending."""
    last = name.rpartition("/")[2]
    stem, dot, _ = last.rpartition(".")
    return stem if dot and stem else last


def folder_keys(folder: str) -> Iterator[str]:
    """Yield what a table may call a folder and those above it: each by itself, and joined."""
    parts = folder.split("/")
    for start in range(1, len(parts)):
        yield parts[start]
        for end in range(start + 2, len(parts) + 1):
            for mark in "/-_":
                yield mark.join(parts[start:end])


def match_rows(
    frame: pd.DataFrame, names: FileNames, columns: Sequence[str], role: MediaRole
) -> list[RowFiles]:
    """Return the files of the rows by every column that names enough of them, best first.

    Files of the other table's part are left out, unless nothing else is found.
    """
    found = []
    for column in columns:
        cells = frame[column].astype(object).map(cell_name)
        if cells.nunique() < max(2, MIN_DISTINCT * len(cells)) and column != columns[0]:
            continue
        if not is_promising(cells, names):
            continue
        matched = match_column(cells, names, column, role)
        if matched.share >= MIN_SHARE:
            found.append(matched)
    return sorted(found, key=lambda item: -round(item.share, 2))


def cell_name(value: object) -> str:
    """Return a cell as a file may be named after it; 5.0 is 5."""
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else ""
    return "" if value is None or value is pd.NA else str(value).strip()


def is_promising(cells: pd.Series[str], names: FileNames) -> bool:
    """Whether some of the first and of scattered cells name files; most columns name none."""
    step = max(1, len(cells) // 200)
    sample = [*cells.iloc[:50], *cells.iloc[::step]]
    return any(names.knows(cell) for cell in sample)


def match_column(cells: pd.Series[str], names: FileNames, column: str, role: MediaRole) -> RowFiles:
    """Return the files that the cells of a column name."""
    other: MediaRole = "test" if role == "train" else "train"
    rows: list[RowFile] = []
    strays: list[RowFile] = []
    n_rows = 0
    for row, cell in enumerate(cells):
        files, is_folder = names.find(cell) if cell else ([], False)
        own = [file for file in files if file.role != other]
        n_rows += bool(own)
        rows += [RowFile(row, file, is_folder) for file in own]
        strays += [RowFile(row, file, is_folder) for file in files] if not own else []
        if len(rows) > MAX_INDEX:
            break
    if not rows and strays:
        n_rows = len({item.row for item in strays})
        rows = strays
    return RowFiles(column, rows, n_rows / max(1, len(cells)))


def id_like_columns(frame: pd.DataFrame, id_column: str, without: Sequence[str]) -> list[str]:
    """Return the columns that may name files, the id first: texts and whole numbers."""
    names = [id_column]
    for name in map(str, frame.columns):
        column = frame[name]
        if name in (id_column, *without) or pd.api.types.is_bool_dtype(column):
            continue
        if pd.api.types.is_float_dtype(column) and not is_whole(column):
            continue
        names.append(name)
    return names


def is_whole(column: pd.Series[float]) -> bool:
    """Whether a column of floats holds whole numbers and gaps alone."""
    known = column.dropna()
    return bool(len(known)) and bool((known % 1 == 0).all())
