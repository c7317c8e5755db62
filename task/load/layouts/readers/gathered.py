"""Several rows of test per prediction: train and test rows are put together by the sample's id."""

from __future__ import annotations

from itertools import permutations
from typing import NamedTuple

import pandas as pd

from task.load.form import label_text
from task.load.layouts.readers.tables import (
    MARKS,
    Parts,
    TestTable,
    find_differing,
    find_parts_of_tables,
    gather_rows,
    has_one_label_per_id,
    read_single,
)
from task.load.layouts.scene import (
    LayoutTables,
    Scene,
    is_number_column,
    says_test,
    says_train,
    text_set,
)

MAX_PARTS = 40  # columns that are tried as a part of the id


class RowsPerId(NamedTuple):
    """A table with several rows for every id of the sample, and its column of these ids."""

    test: TestTable
    parts: tuple[str, str] | None  # columns that the id is put together of; None: train has it
    mark: str


def read_gathered(scene: Scene) -> LayoutTables | None:
    """Read one row per prediction; None where test has one row each, or labels of an id differ."""
    parts = find_parts_of_tables(scene)
    if parts is None or parts.test is not None or len(parts.columns.ids) != 1:
        return None
    [key] = parts.columns.ids
    found = find_rows_per_id(parts, key)
    if found is None:
        return None
    train = parts.train
    if found.parts:
        one, two = (train[name].map(label_text) for name in found.parts)
        train = train.assign(**{key: one + found.mark + two})
    whole = parts._replace(train=train, table=parts.table._replace(id=key))
    if not has_one_label_per_id(whole):
        return None
    rows = found.test.frame
    differing = [*find_differing(train, key), *find_differing(rows, found.test.id)]
    spread = [
        name
        for name in dict.fromkeys(differing)
        if name in train and name in rows and is_number_column(pd.concat([train[name], rows[name]]))
    ]
    train, said = gather_rows(train, key, parts.table.path, spread)
    test, more = gather_rows(rows, found.test.id, found.test.path, spread)
    read = read_single(
        whole._replace(train=train, test=found.test._replace(frame=test, id=str(found.test.id)))
    )
    joined = [f"{key!r} is {found.mark.join(found.parts)} of the tables"] if found.parts else []
    return read._replace(readings=[*read.readings, *joined, said, more])


def find_rows_per_id(parts: Parts, key: str) -> RowsPerId | None:
    """Find a test table whose ids are the sample's, several rows each."""
    ids = text_set(parts.sample[key])
    for path, head in parts.scene.heads.items():
        if not says_test(path) or says_train(path) or path == parts.scene.sample_path:
            continue
        for name in map(str, head.columns):
            if not len(head) or not text_set(head[name]) <= ids:
                continue
            frame = parts.scene.read_full(path).frame
            if text_set(frame[name]) != ids or len(frame) == len(ids):
                continue
            test = TestTable(path, frame, name)
            if key in parts.train:
                return RowsPerId(test, None, "")
            return find_id_parts(test, parts.train)
    return None


def find_id_parts(test: TestTable, train: pd.DataFrame) -> RowsPerId | None:
    """Find two columns of both tables that the id is put together of."""
    ids = test.frame[test.id].map(label_text)
    names = [str(c) for c in test.frame if c != test.id and c in train][:MAX_PARTS]
    for mark in MARKS:
        if not ids.astype(object).str.contains(mark, regex=False).all():
            continue
        texts = {name: test.frame[name].map(label_text) for name in names}
        for one, two in permutations(names, 2):
            if (texts[one] + mark + texts[two] == ids).all():
                return RowsPerId(test, (one, two), mark)
    return None
