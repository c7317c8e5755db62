"""Labels in lines of a text file that begin with an id and hold none, one or several labels."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pandas as pd

from task.load.encodings import to_utf8
from task.load.form import label_text
from task.load.layouts.links import link_files
from task.load.layouts.readers.tables import MARKS
from task.load.layouts.scene import LayoutTables, SampleColumns, Scene, free_name, split_sample
from task.load.tables import Table, load_content

MAX_TEXT_BYTES = 512 * 2**20
UNKNOWN = "?"
BASES = (100, 1000, 10, 10_000)
"""Factors by which ids of a row and a class may be put together as one number."""


class RaggedLabels(NamedTuple):
    """Labels by id; None where the file says that they are unknown."""

    path: Path
    labels: dict[str, list[str] | None]


class PairKey(NamedTuple):
    """How a sample's id is put together of a row's id and a class."""

    base: int  # 0: by the mark
    mark: str


def read_ragged(scene: Scene) -> LayoutTables | None:
    """Read lines `id,label,label…`; None where no text file has them."""
    if scene.sample is None or scene.sample_path is None:
        return None
    columns = split_sample(scene.sample.frame, None)
    if len(columns.ids) != 1 or len(columns.predicted) != 1:
        return None
    for path in scene.inventory.texts:
        found = parse_ragged(path)
        if found is None:
            continue
        if key := find_pair_key(scene, found, columns):
            return tables_of_pairs(scene, found, columns, key)
        if made := tables_of_lists(scene, found, columns):
            return made
    return None


def parse_ragged(path: Path) -> RaggedLabels | None:
    """Parse a text file of labels; None where its lines have no ids or one length."""
    if path.stat().st_size > MAX_TEXT_BYTES:
        return None
    try:
        text = bytes(to_utf8(load_content(path).data, None).data).decode()
    except (ValueError, OSError):
        return None
    labels: dict[str, list[str] | None] = {}
    for number, line in enumerate(text.splitlines()):
        cells = [cell.strip() for cell in line.split(",")]
        if not line.strip() or (number == 0 and not cells[0].isdigit() and "[" in line):
            continue
        if cells[0] in labels or not cells[0]:
            return None
        rest = [cell for cell in cells[1:] if cell]
        labels[cells[0]] = None if UNKNOWN in rest else rest
    known = [found for found in labels.values() if found is not None]
    lengths = {len(found) for found in known}
    has_unknown = len(known) < len(labels)
    if len(labels) < 2 or not known or not (len(lengths) > 1 or has_unknown):
        return None
    return RaggedLabels(path, labels)


def find_pair_key(scene: Scene, found: RaggedLabels, columns: SampleColumns) -> PairKey | None:
    """Find how the sample's ids are made of unlabelled rows and classes."""
    assert scene.sample is not None
    ids = list(scene.sample.frame[columns.ids[0]].map(label_text))
    hidden = {key for key, labels in found.labels.items() if labels is None}
    hidden = hidden or set(found.labels)
    classes = {label for labels in found.labels.values() for label in labels or []}
    for key in (*(PairKey(base, "") for base in BASES), *(PairKey(0, mark) for mark in MARKS)):
        pairs = [split_pair(text, key) for text in ids]
        if not all(pairs) or {pair[1] for pair in pairs if pair} < classes:
            continue
        rows = {pair[0] for pair in pairs if pair}
        if rows <= hidden and len(pairs) == len(set(pairs)):
            return key
    return None


def split_pair(text: str, key: PairKey) -> tuple[str, str] | None:
    """Take an id apart; None where it is not made so."""
    if key.base:
        if not text.isdigit():
            return None
        row, label = divmod(int(text), key.base)
        return str(row), str(label)
    head, mark, tail = text.rpartition(key.mark)
    return (head, tail) if mark else None


def join_pair(row: str, label: str, key: PairKey) -> str:
    """Put an id together."""
    return str(int(row) * key.base + int(label)) if key.base else f"{row}{key.mark}{label}"


def tables_of_pairs(
    scene: Scene, found: RaggedLabels, columns: SampleColumns, key: PairKey
) -> LayoutTables:
    """Return a row per labelled row and class, with 1 where the row has the class."""
    assert scene.sample is not None and scene.sample_path is not None
    [name], [target] = columns.ids, columns.predicted
    ids = scene.sample.frame[name]
    pairs = [pair for text in ids.map(label_text) if (pair := split_pair(text, key))]
    classes = list(dict.fromkeys(label for _, label in pairs))
    asked = {row for row, _ in pairs}
    rows = {row: labels for row, labels in found.labels.items() if labels is not None}
    rows = {row: labels for row, labels in rows.items() if row not in asked}
    record, kind = free_name("row", name, target), free_name("label", name, target)
    train = pd.DataFrame(
        [
            {
                name: join_pair(row, label, key),
                record: row,
                kind: label,
                target: int(label in labels),
            }
            for row, labels in rows.items()
            for label in classes
        ]
    )
    test = pd.DataFrame(
        {name: list(ids), record: [row for row, _ in pairs], kind: [label for _, label in pairs]}
    )
    how = f"{record} x {key.base} + {kind}" if key.base else f"{record}{key.mark}{kind}"
    said = [
        f"labels: lines of {scene.name_path(found.path)}, a row for each of {len(rows)} ids and "
        f"{len(classes)} labels; the sample's {name!r} is {how}",
        f"rows to predict: the {len(test)} ids of {scene.name_path(scene.sample_path)}",
    ]
    train, test, more = add_files(scene, train, test, record)
    return LayoutTables(
        train=Table(train, []),
        test=Table(test, []),
        labels=found.path,
        rows=scene.sample_path,
        sample=scene.sample_path,
        id=name,
        sample_id=name,
        target=[target],
        readings=[*said, *more],
        label_sources=[found.path],
        group=record,
    )


def tables_of_lists(
    scene: Scene, found: RaggedLabels, columns: SampleColumns
) -> LayoutTables | None:
    """Return a row per line, its labels in one cell, where the sample asks for unlabelled ids."""
    assert scene.sample is not None and scene.sample_path is not None
    [name], [target] = columns.ids, columns.predicted
    ids = scene.sample.frame[name]
    hidden = {key for key, labels in found.labels.items() if labels is None}
    if not set(ids.map(label_text)) <= hidden:
        return None
    rows = {row: labels for row, labels in found.labels.items() if labels is not None}
    train = pd.DataFrame({name: list(rows), target: [" ".join(cells) for cells in rows.values()]})
    return LayoutTables(
        train=Table(train, []),
        test=Table(pd.DataFrame({name: list(ids)}), []),
        labels=found.path,
        rows=scene.sample_path,
        sample=scene.sample_path,
        id=name,
        sample_id=name,
        target=[target],
        readings=[f"labels: lines of {scene.name_path(found.path)}, {len(rows)} with labels"],
        label_sources=[found.path],
    )


def add_files(
    scene: Scene, train: pd.DataFrame, test: pd.DataFrame, record: str
) -> tuple[pd.DataFrame, pd.DataFrame, list[str]]:
    """Add the file of every row from a text file that names one for each id."""
    wanted = [*train[record], *test[record]]
    for path in scene.inventory.texts:
        names = parse_pairs(path)
        if not set(wanted) <= set(names):
            continue
        linked = link_files(set(names.values()), scene.files)
        if not linked:
            continue
        files = {key: linked[text].path for key, text in names.items() if text in linked}
        said = f"files of the rows: by {scene.name_path(path)}"
        column = free_name("file", *train)
        return (
            train.assign(**{column: train[record].map(files)}),
            test.assign(**{column: test[record].map(files)}),
            [said],
        )
    return train, test, []


def parse_pairs(path: Path) -> dict[str, str]:
    """Parse a text file of two columns; empty for any other."""
    if path.stat().st_size > MAX_TEXT_BYTES:
        return {}
    lines = path.read_text(errors="replace").splitlines()
    cells = [line.split(",") for line in lines if line.strip()]
    if not cells or any(len(row) != 2 for row in cells):
        return {}
    return {row[0].strip(): row[1].strip() for row in cells}
