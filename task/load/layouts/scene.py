"""What readers of a folder work on, and what they return."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import pandas as pd

from task.load.form import label_text, plain_name
from task.load.layouts.inventory import Inventory, plain_stem
from task.load.tables import Table, read_table
from task.types import LayoutKeys, TaskError

N_HEAD = 50
TRAIN_WORD = re.compile(r"(^|[^a-z])(train|training|trn)", re.IGNORECASE)
TEST_WORD = re.compile(r"(^|[^a-z])(test|tst)", re.IGNORECASE)
MIN_MATCH = 0.9
"""Share of ids that files or tables have to contain to be theirs."""


class LayoutTables(NamedTuple):
    """Tables made of a folder.

    `test` has the column `id`; `train` has it unless its ids would tell the labels.
    """

    train: Table
    test: Table
    labels: Path  # file or folder that labels come from, for messages
    rows: Path  # file or folder that rows to predict come from, for messages
    sample: Path | None
    id: str | None  # None: rows are numbered and matched by place
    target: list[str]
    readings: list[str]
    sample_id: str | None = None  # id column of the sample, where it has one
    id_parts: list[str] = []  # noqa: RUF012 - columns of both tables that the id is put together of
    mark: str = "_"  # between the parts of an id
    label_columns: list[str] = []  # noqa: RUF012 - columns that a target is put together of
    label_sources: list[Path] = []  # noqa: RUF012 - files that repeat the labels
    group: str | None = None  # column whose rows belong together
    id_name: str = ""  # what people call the id where rows are numbered


class SampleColumns(NamedTuple):
    """Columns of a sample submission by what they are for."""

    ids: list[str]
    predicted: list[str]
    carried: list[str]  # neither: an index, features of the test rows


class RoleFile(NamedTuple):
    """A file of a row: `source/name` is its path in the task folder, archives taken as folders."""

    source: str
    name: str

    @property
    def path(self) -> str:
        """Path in the task folder."""
        return f"{self.source}/{self.name}"

    @property
    def stem(self) -> str:
        """Name of the file without folder and ending."""
        return PurePosixPath(self.name).stem

    @property
    def parts(self) -> tuple[str, ...]:
        """Folders from the task folder to the file, without the file's own name."""
        return (self.source, *PurePosixPath(self.name).parts[:-1])


@dataclass(frozen=True)
class Scene:
    """A task folder with its sample submission, as readers look at it."""

    inventory: Inventory
    keys: LayoutKeys
    sample_path: Path | None
    sample: Table | None
    cache: dict[Path, Table] = field(default_factory=dict)

    @property
    def root(self) -> Path:
        """The task folder."""
        return self.inventory.root

    def read_full(self, path: Path) -> Table:
        """Read a table once. Raises TaskError."""
        if path not in self.cache:
            self.cache[path] = read_table(path)
        return self.cache[path]

    @cached_property
    def heads(self) -> dict[Path, pd.DataFrame]:
        """First rows of the tables that can be read, without the sample."""
        found = {}
        for path in self.inventory.tables:
            if path == self.sample_path:
                continue
            try:
                found[path] = read_table(path, n_rows=N_HEAD).frame
            except TaskError:
                continue
        return found

    def name_path(self, path: Path) -> str:
        """Return a path as messages show it."""
        return self.inventory.name_path(path)

    @cached_property
    def files(self) -> list[RoleFile]:
        """Files of all folders and archives, without tables and texts that stand alone."""
        loose = {*self.inventory.tables, *self.inventory.texts}
        alone = {
            (source.name, str(path.relative_to(source.path)))
            for source in self.inventory.sources
            for path in loose
            if source.path.is_dir() and path.is_relative_to(source.path)
        }
        return [
            RoleFile(source.name, name)
            for source in self.inventory.sources
            for name in source.files
            if (source.name, name) not in alone
        ]

    @cached_property
    def test_files(self) -> list[RoleFile]:
        """Files below a folder that says test."""
        return [file for file in self.files if is_role(file, TEST_WORD)]

    @cached_property
    def train_files(self) -> list[RoleFile]:
        """Files below a folder that says train or, where none does, that does not say test."""
        named = [file for file in self.files if is_role(file, TRAIN_WORD)]
        return named or [file for file in self.files if not is_role(file, TEST_WORD)]

    @cached_property
    def train_names(self) -> set[str]:
        """Names, stems and folders of the training files: what an id of theirs may be."""
        return name_texts(self.train_files)

    @cached_property
    def test_names(self) -> set[str]:
        """Names, stems and folders of the test files."""
        return name_texts(self.test_files)


def name_texts(files: list[RoleFile]) -> set[str]:
    """Return names, stems and folders of files."""
    texts = {part for file in files for part in file.parts}
    for file in files:
        texts |= {file.stem, PurePosixPath(file.name).name}
    return texts


def is_role(file: RoleFile, word: re.Pattern[str]) -> bool:
    """Whether a folder of a file has the word of a role."""
    return any(word.search(part) for part in file.parts)


def says_test(path: Path) -> bool:
    """Whether a table's name says that it belongs to the test rows."""
    return bool(TEST_WORD.search(plain_stem(path.name)))


def says_train(path: Path) -> bool:
    """Whether a table's name says that it belongs to the training rows."""
    return bool(TRAIN_WORD.search(plain_stem(path.name)))


def split_sample(sample: pd.DataFrame, test: pd.DataFrame | None) -> SampleColumns:
    """Tell ids, predictions and carried columns of a sample apart.

    Ids are the first column, or the first columns together, that differ in every row; columns
    that the test table has too are never predictions.
    """
    names = [str(name) for name in sample.columns]
    shared = [name for name in names if test is not None and name in test]
    candidates = shared or names[:-1]
    if len(candidates) > 1 and is_index_column(sample, candidates[0]):
        candidates = candidates[1:]
    ids = find_unique_columns(sample, candidates)
    rest = [name for name in names if name not in ids]
    carried = [name for name in rest if name in shared or is_index_column(sample, name)]
    return SampleColumns(ids, [name for name in rest if name not in carried], carried)


def find_unique_columns(frame: pd.DataFrame, names: list[str]) -> list[str]:
    """Return the first columns that together differ in every row, at most three; else the first."""
    for n_columns in range(1, min(3, len(names)) + 1):
        if not frame[names[:n_columns]].duplicated().any():
            return names[:n_columns]
    for name in names:
        if frame[name].is_unique and not frame[name].isna().any():
            return [name]
    return names[:1]


def is_index_column(frame: pd.DataFrame, name: str) -> bool:
    """Whether a column without a name numbers the rows."""
    if not (name.startswith("Unnamed: ") or name.casefold() == "index"):
        return False
    texts = list(frame[name].map(label_text))
    return texts in ([str(i) for i in range(len(texts))], [str(i + 1) for i in range(len(texts))])


def match_column(frame: pd.DataFrame, name: str) -> str | None:
    """Return the column with a name, letter for letter or else in plain spelling."""
    if name in frame:
        return name
    plain = [str(other) for other in frame.columns if plain_name(str(other)) == plain_name(name)]
    return plain[0] if len(plain) == 1 else None


def free_name(name: str, *taken: object) -> str:
    """Return a name that is not among the taken ones."""
    while name in taken:
        name += "_"
    return name


def text_set(values: pd.Series[Any]) -> set[str]:
    """Return the distinct values as text."""
    present = values.dropna()
    if pd.api.types.is_object_dtype(present.dtype):
        return set(present.map(label_text))  # cells may be lists
    return {label_text(value) for value in present.unique()}


def share_of(found: set[str], wanted: set[str]) -> float:
    """Return the share of `wanted` that is found."""
    return len(found & wanted) / len(wanted) if wanted else 0.0


def is_number_column(values: pd.Series[Any]) -> bool:
    """Whether all values that are there are numbers, or text that reads as such."""
    present = values.dropna()
    return bool(len(present)) and bool(pd.to_numeric(present, errors="coerce").notna().all())
