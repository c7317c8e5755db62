"""Labels in tables of one name, one in each training folder, such as ground_truth.csv."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import pandas as pd

from task.load.form import label_text
from task.load.layouts.inventory import is_table_name
from task.load.layouts.readers.tables import MARKS, choose_mark, make_rows_of_sample
from task.load.layouts.scene import (
    TEST_WORD,
    LayoutTables,
    SampleColumns,
    Scene,
    free_name,
    match_column,
    split_sample,
)
from task.load.tables import Table, read_table
from task.types import TaskError

MAX_FOLDER_PARTS = 3


class FolderTables(NamedTuple):
    """Tables of one name: where they are, relative to the folder that says train."""

    name: str
    paths: dict[Path, tuple[str, ...]]


class FolderKey(NamedTuple):
    """How an id of the sample is put together of the names of folders."""

    levels: tuple[int, ...]
    mark: str


def read_folder_tables(scene: Scene) -> LayoutTables | None:
    """Read the tables of labels of all training folders; None where there are none."""
    if scene.sample is None:
        return None
    columns = split_sample(scene.sample.frame, None)
    if not columns.predicted or not columns.ids:
        return None
    for found in list_folder_tables(scene):
        head = read_table(next(iter(found.paths)), n_rows=5).frame
        names = {name: match_column(head, name) for name in columns.predicted}
        if not all(names.values()):
            continue
        missing = [name for name in columns.ids if match_column(head, name) is None]
        key = find_folder_key(scene, missing[0]) if missing else None
        if len(missing) > 1 or (missing and key is None):
            continue
        return tables_of_folders(scene, found, columns, missing[0] if missing else None, key)
    return None


def list_folder_tables(scene: Scene) -> list[FolderTables]:
    """List the tables that have one name in several folders, none of which says test."""
    groups: dict[str, dict[Path, tuple[str, ...]]] = {}
    of_test: set[str] = set()
    for source in scene.inventory.sources:
        if not source.path.is_dir():
            continue
        for name in source.files:
            inside = PurePosixPath(name)
            if not is_table_name(inside.name):
                continue
            if TEST_WORD.search(source.name) or any(map(TEST_WORD.search, inside.parts[:-1])):
                of_test.add(inside.name)
            else:
                groups.setdefault(inside.name, {})[source.path / name] = inside.parts[:-1]
    return [
        FolderTables(name, paths)
        for name, paths in sorted(groups.items())
        if len(paths) > 1 and name not in of_test
    ]


def find_folder_key(scene: Scene, name: str) -> FolderKey | None:
    """Find how the sample's ids are put together of the names of the test folders."""
    assert scene.sample is not None
    wanted = set(scene.sample.frame[name].map(label_text))
    folders = {
        PurePosixPath(name).parts[:-1]
        for source in scene.inventory.sources
        if source.path.is_dir() and TEST_WORD.search(source.name)
        for name in source.files
    }
    depth = min((len(parts) for parts in folders), default=0)
    for n_levels in range(1, min(depth, MAX_FOLDER_PARTS) + 1):
        for levels in permutations(range(depth), n_levels):
            for mark in ("-", *MARKS):
                if {join_levels(parts, FolderKey(levels, mark)) for parts in folders} >= wanted:
                    return FolderKey(levels, mark)
    return None


def join_levels(parts: tuple[str, ...], key: FolderKey) -> str:
    """Put names of folders together."""
    return key.mark.join(parts[level] for level in key.levels)


def tables_of_folders(
    scene: Scene,
    found: FolderTables,
    columns: SampleColumns,
    made: str | None,
    key: FolderKey | None,
) -> LayoutTables:
    """Return all rows of the folders' tables. Raises TaskError where their ids repeat."""
    assert scene.sample is not None and scene.sample_path is not None
    frames = []
    for path, parts in found.paths.items():
        frame = scene.read_full(path).frame
        wanted = [name for name in (*columns.ids, *columns.predicted) if name != made]
        frame = frame.rename(columns={str(match_column(frame, name)): name for name in wanted})
        if made and key:
            frame.insert(0, made, join_levels(parts, key))
        frames.append(frame)
    train = pd.concat(frames, ignore_index=True)
    if train[columns.ids].duplicated().any():
        raise TaskError(
            f"{scene.root}: the tables {found.name} have several rows with the same "
            f"{' and '.join(columns.ids)}; every row needs its own"
        )
    test, said = make_rows_of_sample(scene, columns)
    only = columns.ids[0] if len(columns.ids) == 1 else None
    readings = [f"labels: {len(found.paths)} tables {found.name}, {len(train)} rows", said]
    if made and key:
        readings.append(f"{made!r} is put together of the names of folders by {key.mark!r}")
    return LayoutTables(
        train=Table(train, []),
        test=Table(test, []),
        labels=next(iter(found.paths)),
        rows=scene.sample_path,
        sample=scene.sample_path,
        id=only or free_name("_".join(columns.ids), *train),
        sample_id=only,
        id_parts=[] if only else columns.ids,
        mark="_" if only else choose_mark(train[columns.ids], test[columns.ids]),
        target=columns.predicted,
        readings=readings,
        label_sources=list(found.paths),
        group=None if only else columns.ids[0],
    )
