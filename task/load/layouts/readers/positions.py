"""Rows per position: cells of a record that are lists, one label a position."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from task.load.form import label_text
from task.load.layouts.readers.tables import MARKS
from task.load.layouts.scene import LayoutTables, Scene, free_name, says_test, split_sample
from task.load.tables import Table

POSITION = "position"


class PositionKey(NamedTuple):
    """How a sample's id is put together: which column names the record, and the mark."""

    column: str
    mark: str


def read_positions(scene: Scene) -> LayoutTables | None:
    """Read a row per record and position; None where no table has lists of labels."""
    if scene.sample is None or scene.sample_path is None:
        return None
    columns = split_sample(scene.sample.frame, None)
    if len(columns.ids) != 1 or not columns.predicted:
        return None
    for path, head in scene.heads.items():
        if says_test(path) or not has_lists(head, columns.predicted):
            continue
        for test_path, rows in scene.heads.items():
            if says_test(test_path) and (key := find_position_key(scene, rows, columns.ids[0])):
                return tables_of_positions(scene, path, test_path, key)
    return None


def has_lists(head: pd.DataFrame, names: list[str]) -> bool:
    """Whether the columns exist and their cells are lists."""
    return len(head) > 0 and all(
        name in head and isinstance(head[name].iloc[0], list) for name in names
    )


def find_position_key(scene: Scene, rows: pd.DataFrame, key: str) -> PositionKey | None:
    """Find the column of test records whose values begin the sample's ids."""
    assert scene.sample is not None
    ids = scene.sample.frame[key].map(label_text)
    for mark in MARKS:
        pieces = [text.rpartition(mark) for text in ids]
        if not all(piece[2].isdigit() for piece in pieces):
            continue
        heads = {piece[0] for piece in pieces}
        for name in map(str, rows.columns):
            if set(rows[name].map(label_text)) <= heads:
                return PositionKey(name, mark)
    return None


def tables_of_positions(
    scene: Scene, path: Path, test_path: Path, key: PositionKey
) -> LayoutTables:
    """Return rows per position of train, and those of test that the sample asks for."""
    assert scene.sample is not None and scene.sample_path is not None
    columns = split_sample(scene.sample.frame, None)
    sample, [name] = scene.sample.frame, columns.ids
    pieces = [text.rpartition(key.mark) for text in sample[name].map(label_text)]
    start = min(int(piece[2]) for piece in pieces)
    train_records, test_records = scene.read_full(path).frame, scene.read_full(test_path).frame
    if key.column == name:  # the sample calls its own ids so
        key = key._replace(column=free_name("record", *train_records, *test_records))
        train_records = train_records.rename(columns={name: key.column})
        test_records = test_records.rename(columns={name: key.column})
    shared = [c for c in test_records.columns if c in train_records]
    kept = train_records[[*shared, *columns.predicted]]
    sequences = {str(c) for c in kept if c != key.column and is_sequence_column(list(kept[c]))}
    lengths = [len(cells) for cells in kept[columns.predicted[0]]]
    labelled = [(row, start + step) for row, n in enumerate(lengths) for step in range(n)]
    train = pick_positions(kept, labelled, start, sequences, name)
    train.insert(0, name, train[key.column].map(label_text) + key.mark + train.iloc[:, -1].map(str))
    by_id = {label_text(text): i for i, text in enumerate(test_records[key.column])}
    places = [(by_id[piece[0]], int(piece[2])) for piece in pieces]
    test = pick_positions(test_records[shared], places, start, sequences, name, *columns.predicted)
    test.insert(0, name, list(sample[name]))
    said = [
        f"labels: lists in {', '.join(columns.predicted)} of {scene.name_path(path)}, a row per "
        f"position (from {start}); {name!r} is {key.column}{key.mark}{POSITION}",
        f"rows to predict: the {len(test)} positions of {scene.name_path(scene.sample_path)} with "
        f"the records of {scene.name_path(test_path)}",
    ]
    return LayoutTables(
        train=Table(train, []),
        test=Table(test[[c for c in test if c in train]], []),
        labels=path,
        rows=test_path,
        sample=scene.sample_path,
        id=name,
        sample_id=name,
        target=columns.predicted,
        readings=said,
        label_sources=[path],
        group=key.column,
    )


def pick_positions(
    records: pd.DataFrame,
    places: list[tuple[int, int]],
    start: int,
    sequences: set[str],
    *taken: str,
) -> pd.DataFrame:
    """Return a row per place (record, position): the element of lists and of texts so long."""
    columns: dict[str, Any] = {}
    for name in map(str, records.columns):
        cells = list(records[name])
        if name in sequences:
            columns[name] = [element_of(cells[row], position - start) for row, position in places]
        else:
            columns[name] = [cells[row] for row, _ in places]
    columns[free_name(POSITION, *columns, *taken)] = [position for _, position in places]
    return pd.DataFrame(columns)


def is_sequence_column(cells: list[Any]) -> bool:
    """Whether cells are lists, or texts without blanks that are long enough to be sequences."""
    if all(isinstance(cell, list) for cell in cells):
        return True
    texts = [cell for cell in cells if isinstance(cell, str)]
    letters = set("".join(texts[:200]))
    return (
        len(texts) == len(cells)
        and len(letters) <= 20 < min(map(len, texts))
        and (" " not in letters)
    )


def element_of(cell: Any, index: int) -> Any:
    """Return one element of a sequence; None beyond its end."""
    return cell[index] if index < len(cell) else None
