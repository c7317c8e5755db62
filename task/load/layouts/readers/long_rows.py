"""One prediction per row and label column: the test is long, the training table wide."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from task.load.form import label_text
from task.load.ids import find_parts, is_unique_column, join_parts
from task.load.layouts.readers.tables import MARKS
from task.load.layouts.scene import (
    LayoutTables,
    Scene,
    free_name,
    says_test,
    split_sample,
    text_set,
)
from task.load.tables import Table

KIND_COLUMN = "prediction_type"


def read_long_rows(scene: Scene) -> LayoutTables | None:
    """Melt a wide training table to the long rows of the sample; None where there is none."""
    if scene.sample is None:
        return None
    columns = split_sample(scene.sample.frame, None)
    if len(columns.ids) != 1 or len(columns.predicted) != 1:
        return None
    for path, head in scene.heads.items():
        if says_test(path) or head.shape[1] < 3:
            continue
        for test_path in scene.heads:
            if says_test(test_path) and (made := melt_to_test(scene, path, test_path)):
                return made
        if made := melt_to_sample(scene, path):
            return made
    return None


def melt_to_test(scene: Scene, path: Path, test_path: Path) -> LayoutTables | None:
    """Melt to a test table with a column whose values are columns of the training table."""
    assert scene.sample is not None
    sample = scene.sample.frame
    columns = split_sample(sample, None)
    key, target = columns.ids[0], columns.predicted[0]
    train, test = scene.heads[path], scene.heads[test_path]
    absent = {str(name) for name in train.columns if name not in test}
    shared = [str(name) for name in test.columns if name in train]
    for name in map(str, test.columns):
        if name in (*train, target) or not text_set(test[name]) <= absent:
            continue
        rows = scene.read_full(test_path).frame
        kinds = list(dict.fromkeys(rows[name].map(label_text)))
        if not set(kinds) <= absent or len(kinds) < 2 or not shared or key not in rows:
            continue
        if text_set(rows[key]) != text_set(sample[key]):
            continue
        made = melt_labels(scene, path, kinds, name, target)
        if parts := find_parts(rows[key], rows.drop(columns=key)):
            made.insert(0, key, join_parts(made, list(parts[0]), parts[1]))
        return tables_of_rows(scene, path, test_path, made, rows, kinds)
    return None


def melt_to_sample(scene: Scene, path: Path) -> LayoutTables | None:
    """Melt to ids of the sample that end in the name of a column of the training table."""
    assert scene.sample is not None and scene.sample_path is not None
    sample = scene.sample.frame
    columns = split_sample(sample, None)
    key, target = columns.ids[0], columns.predicted[0]
    names = [str(name) for name in scene.heads[path].columns]
    ids = list(sample[key].map(label_text))
    for mark in MARKS:
        pieces = [text.rpartition(mark) for text in ids]
        kinds = list(dict.fromkeys(piece[2] for piece in pieces))
        if len(kinds) < 2 or not set(kinds) <= set(names):
            continue
        entity = find_entity(scene.read_full(path).frame, kinds)
        if entity is None:
            continue
        head, kind_name = (
            free_name(entity, key, target),
            free_name(KIND_COLUMN, *names, key, target),
        )
        test = pd.DataFrame(
            {
                key: sample[key],
                head: [piece[0] for piece in pieces],
                kind_name: [piece[2] for piece in pieces],
            }
        )
        made = melt_labels(scene, path, kinds, kind_name, target).rename(columns={entity: head})
        made.insert(0, key, join_parts(made, [head, kind_name], mark))
        return tables_of_rows(scene, path, scene.sample_path, made, test, kinds)
    return None


def find_entity(frame: pd.DataFrame, kinds: list[str]) -> str | None:
    """Return the first column, other than those of labels, that differs in every row."""
    names = [str(name) for name in frame.columns if name not in kinds]
    return next((name for name in names if is_unique_column(frame[name])), None)


def melt_labels(scene: Scene, path: Path, kinds: list[str], name: str, target: str) -> pd.DataFrame:
    """Return a row per training row and label column."""
    frame = scene.read_full(path).frame
    if target not in kinds and target in frame:  # a column of another meaning
        frame = frame.rename(columns={target: free_name(target, *frame)})
    others = [column for column in frame.columns if column not in kinds]
    return frame.melt(others, kinds, var_name=name, value_name=target)


def tables_of_rows(
    scene: Scene,
    path: Path,
    rows_path: Path,
    train: pd.DataFrame,
    test: pd.DataFrame,
    kinds: list[str],
) -> LayoutTables:
    """Return the tables of long rows."""
    assert scene.sample is not None
    columns = split_sample(scene.sample.frame, None)
    groups = [str(name) for name in train.columns if name in test and name not in columns.ids]
    said = (
        f"labels: {len(kinds)} columns of {scene.name_path(path)} ({', '.join(kinds[:8])}), "
        f"a row for each, as {scene.name_path(rows_path)} asks for a prediction per row and column"
    )
    return LayoutTables(
        train=Table(train, []),
        test=Table(test, []),
        labels=path,
        rows=rows_path,
        sample=scene.sample_path,
        id=columns.ids[0],
        sample_id=columns.ids[0],
        target=columns.predicted,
        readings=[said],
        group=groups[0] if groups else None,
    )
