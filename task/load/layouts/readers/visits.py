"""Rows per visit: a sample's id is an entity and a time, of which test has the entity alone."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pandas as pd

from task.load.form import label_text, plain_name
from task.load.ids import join_parts
from task.load.layouts.readers.tables import MARKS
from task.load.layouts.scene import (
    LayoutTables,
    Scene,
    is_number_column,
    match_column,
    says_test,
    split_sample,
    text_set,
)
from task.load.tables import Table


class VisitKey(NamedTuple):
    """Columns of the training table that the sample's id is put together of."""

    entity: str
    time: str
    mark: str


def read_visits(scene: Scene) -> LayoutTables | None:
    """Read the visits that a sample asks for; None where its ids are put together otherwise."""
    if scene.sample is None or scene.sample_path is None:
        return None
    columns = split_sample(scene.sample.frame, None)
    if len(columns.ids) != 1:
        return None
    for path, head in scene.heads.items():
        target = [str(match_column(head, name)) for name in columns.predicted]
        target = [name for name in target if name in head]
        if says_test(path) or not target:
            continue
        if key := find_visit_key(scene, path, columns.ids[0], target):
            return tables_of_visits(scene, path, key, target)
    return None


def find_visit_key(scene: Scene, path: Path, name: str, target: list[str]) -> VisitKey | None:
    """Find entity and time among the columns of a training table."""
    assert scene.sample is not None
    ids, frame = scene.sample.frame[name].map(label_text), scene.read_full(path).frame
    if name in frame:
        return None
    rest = [str(c) for c in frame.columns if c not in target]
    for mark in MARKS:
        pieces = [text.rpartition(mark) for text in ids]
        if not all(piece[0] and piece[2].lstrip("-").isdigit() for piece in pieces):
            continue
        for entity in rest:
            for time in rest:
                is_named = plain_name(time).startswith(plain_name(name.split(mark)[-1]))
                if entity == time or not is_named or not is_number_column(frame[time]):
                    continue
                if plain_name(name).startswith(plain_name(entity)):
                    return VisitKey(entity, time, mark)
    return None


def tables_of_visits(scene: Scene, path: Path, key: VisitKey, target: list[str]) -> LayoutTables:
    """Return train with joined ids, and a row per visit asked for, with what test says of it."""
    assert scene.sample is not None and scene.sample_path is not None
    [name] = split_sample(scene.sample.frame, None).ids
    train, sample = scene.read_full(path).frame, scene.sample.frame
    train = train.drop_duplicates([key.entity, key.time]).reset_index(drop=True)
    train.insert(0, name, join_parts(train, [key.entity, key.time], key.mark))
    pieces = [text.rpartition(key.mark) for text in sample[name].map(label_text)]
    test = pd.DataFrame(
        {
            name: list(sample[name]),
            key.entity: [piece[0] for piece in pieces],
            key.time: [piece[2] for piece in pieces],
        }
    )
    said = [
        f"labels: {', '.join(target)} of {scene.name_path(path)}; {name!r} is "
        f"{key.entity}{key.mark}{key.time}",
        f"rows to predict: the {len(test)} visits of {scene.name_path(scene.sample_path)}",
    ]
    for test_path in scene.heads:
        side = scene.read_full(test_path).frame if says_test(test_path) else None
        if side is None or key.entity not in side or side[key.entity].duplicated().any():
            continue
        constant = constant_columns(train, side, key)
        if text_set(test[key.entity]) <= text_set(side[key.entity]):
            rows = side.set_index(side[key.entity].map(label_text))[constant]
            rows = rows.loc[list(test[key.entity])].reset_index(drop=True)
            test = pd.concat([test, rows], axis=1)
            said.append(
                f"{', '.join(constant) or 'nothing'} joined from {scene.name_path(test_path)}"
            )
    return LayoutTables(
        train=Table(train, []),
        test=Table(test, []),
        labels=path,
        rows=scene.sample_path,
        sample=scene.sample_path,
        id=name,
        sample_id=name,
        target=target,
        readings=said,
        group=key.entity,
    )


def constant_columns(train: pd.DataFrame, side: pd.DataFrame, key: VisitKey) -> list[str]:
    """List the columns of a test table that are the same in all visits of an entity."""
    shared = [c for c in side.columns if c in train and c not in (key.entity, key.time)]
    if not shared:
        return []
    counts = train.groupby(key.entity)[shared].nunique(dropna=False)
    return [str(name) for name in shared if (counts[name] <= 1).all()]
