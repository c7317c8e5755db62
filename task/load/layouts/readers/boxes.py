"""Boxes in several rows per image: put together into one cell per image, as in the sample."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pandas as pd

from task.load.form import label_text, plain_name
from task.load.layouts.readers.tables import make_rows_of_sample
from task.load.layouts.scene import (
    LayoutTables,
    SampleColumns,
    Scene,
    match_column,
    says_test,
    split_sample,
)
from task.load.tables import Table
from task.types import TaskError

CORNERS = (
    ("x_min", "y_min", "x_max", "y_max"),
    ("xmin", "ymin", "xmax", "ymax"),
    ("x1", "y1", "x2", "y2"),
    ("left", "top", "right", "bottom"),
    ("x", "y", "width", "height"),
    ("x", "y", "w", "h"),
    ("left", "top", "width", "height"),
)
CLASSES = ("class_id", "category_id", "label_id", "class", "category", "label", "class_name")
WITH_CLASS = 6
"""Words of a box in the sample: class, confidence and four numbers; one less without a class."""


class BoxColumns(NamedTuple):
    """Columns of boxes."""

    id: str
    label: str | None
    corners: list[str]


def read_boxes(scene: Scene) -> LayoutTables | None:
    """Read a table with a row per box; None where there is none."""
    if scene.sample is None:
        return None
    columns = split_sample(scene.sample.frame, None)
    if len(columns.ids) != 1 or len(columns.predicted) != 1:
        return None
    [predicted] = columns.predicted
    n_words = count_words(scene.sample.frame[predicted])
    for path, head in scene.heads.items():
        found = None if says_test(path) else find_box_columns(head, columns.ids[0])
        if found is None or match_column(head, predicted):
            continue
        if n_words is None or n_words % (WITH_CLASS if found.label else WITH_CLASS - 1):
            continue
        return tables_of_boxes(scene, path, found, columns)
    return None


def count_words(values: pd.Series) -> int | None:
    """Return the words of the first filled cell."""
    filled = values.dropna()
    return len(str(filled.iloc[0]).split()) if len(filled) else None


def find_box_columns(head: pd.DataFrame, key: str) -> BoxColumns | None:
    """Find the columns of boxes by their names."""
    plain = {plain_name(str(name)): str(name) for name in head.columns}
    name = plain.get(plain_name(key))
    if name is None:
        return None
    label = next((plain[plain_name(word)] for word in CLASSES if plain_name(word) in plain), None)
    for corners in CORNERS:
        if all(plain_name(corner) in plain for corner in corners):
            return BoxColumns(name, label, [plain[plain_name(corner)] for corner in corners])
    return None


def tables_of_boxes(
    scene: Scene, path: Path, found: BoxColumns, columns: SampleColumns
) -> LayoutTables:
    """Return a row per image whose label is `class 1 x y x y …`, the truth as a submission."""
    assert scene.sample is not None and scene.sample_path is not None
    frame, [predicted] = scene.read_full(path).frame, columns.predicted
    filled = scene.sample.frame[predicted].dropna()
    empty = str(filled.iloc[0]) if len(filled) else ""
    cells: dict[str, dict[str, None]] = {}
    names = [found.id, *([found.label] if found.label else []), *found.corners]
    for row in frame[names].itertuples(index=False, name=None):
        boxes = cells.setdefault(label_text(row[0]), {})
        if text := write_box(row[1:], bool(found.label), empty):
            boxes[text] = None
    [key] = columns.ids
    train = pd.DataFrame(
        {key: list(cells), predicted: [" ".join(boxes) for boxes in cells.values()]}
    )
    if train[predicted].nunique() < 2:
        raise TaskError(f"{path} has the same boxes in every image; check the table")
    test, more = make_rows_of_sample(scene, columns)
    said = (
        f"labels: {len(frame)} rows of {scene.name_path(path)} put together into one cell per "
        f"{key!r} ({', '.join(names[1:])}), confidence 1"
    )
    return LayoutTables(
        train=Table(train, []),
        test=Table(test, []),
        labels=path,
        rows=scene.sample_path,
        sample=scene.sample_path,
        id=key,
        sample_id=key,
        target=[predicted],
        readings=[said, more],
        label_columns=names[1:],
        label_sources=[path],
    )


def write_box(cells: tuple[object, ...], has_class: bool, empty: str) -> str:
    """Write a box as in the sample; a row without a box as the sample writes an empty image."""
    label, corners = (label_text(cells[0]), cells[1:]) if has_class else ("", cells)
    if any(pd.isna(corner) for corner in corners):  # type: ignore[call-overload]
        words = empty.split()
        return empty if has_class and words and words[0] == label else ""
    numbers = " ".join(label_text(corner) for corner in corners)
    return f"{label} 1 {numbers}" if has_class else f"1 {numbers}"
