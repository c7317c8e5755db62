"""Rows of several tables under each other: an ending of the id says which table a row is of."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pandas as pd

from task.load.form import label_text, plain_name
from task.load.layouts.readers.tables import make_rows_of_sample
from task.load.layouts.remedy import need_reader
from task.load.layouts.scene import (
    LayoutTables,
    Scene,
    free_name,
    is_number_column,
    match_column,
    says_test,
    split_sample,
    text_set,
)
from task.load.tables import Table

MARK = "_"
KIND, GROUP = "kind", "group"
MAX_KINDS = 10


class StackedTable(NamedTuple):
    """A table of labels whose ids all have one ending."""

    path: Path
    key: str
    ending: str


def read_stacked(scene: Scene) -> LayoutTables | None:
    """Read label tables by the endings of the sample's ids; None where ids have one kind.

    Raises TaskError where a table of them has no column that is written as in the sample.
    """
    if scene.sample is None:
        return None
    columns = split_sample(scene.sample.frame, None)
    if len(columns.ids) != 1 or len(columns.predicted) != 1:
        return None
    ids = scene.sample.frame[columns.ids[0]].map(label_text)
    endings = {text.rpartition(MARK)[2] for text in ids}
    if not 2 <= len(endings) <= MAX_KINDS:
        return None
    found = find_stacked(scene, columns.ids[0], endings)
    if sorted(table.ending for table in found) != sorted(endings):
        return None
    return stack_tables(scene, columns.ids[0], columns.predicted[0], found)


def find_stacked(scene: Scene, key: str, endings: set[str]) -> list[StackedTable]:
    """List the tables with the sample's id whose ids end alike."""
    found = []
    for path, head in scene.heads.items():
        name = match_column(head, key)
        if name is None or says_test(path) or len(head.columns) < 2:
            continue
        ends = {text.rpartition(MARK)[2] for text in text_set(head[name])}
        if len(ends) == 1 and ends <= endings:
            found.append(StackedTable(path, name, ends.pop()))
    return found


def stack_tables(scene: Scene, key: str, target: str, found: list[StackedTable]) -> LayoutTables:
    """Return the rows of all tables with the cells that a submission has for them."""
    assert scene.sample is not None and scene.sample_path is not None
    sample = scene.sample.frame
    kinds = sample[key].map(label_text).str.rpartition(MARK)[2]
    whole = {
        text.removesuffix(MARK + table.ending): text
        for table in found
        for text in scene.read_full(table.path).frame[table.key].map(label_text)
    }
    kind, group = free_name(KIND, key, target), free_name(GROUP, key, target)
    frames, said = [], []
    for table in found:
        frame = scene.read_full(table.path).frame
        asked = sample[target][kinds == table.ending].dropna().astype(str)
        cells, how = write_cells(scene, table, frame, target, asked)
        ids = frame[table.key].map(label_text)
        made = pd.DataFrame({key: ids, kind: table.ending, target: cells})
        frames.append(made.assign(**{group: find_groups(frame, table, ids, whole)}))
        said.append(f"labels of {table.ending!r} rows: {how} of {scene.name_path(table.path)}")
    test, more = make_rows_of_sample(scene, split_sample(sample, None))
    train = pd.concat(frames, ignore_index=True)
    return LayoutTables(
        train=Table(train, []),
        test=Table(test.assign(**{kind: list(kinds)}), []),
        labels=found[0].path,
        rows=scene.sample_path,
        sample=scene.sample_path,
        id=key,
        sample_id=key,
        target=[target],
        readings=[*said, more],
        label_sources=[table.path for table in found],
        group=group,
    )


def write_cells(
    scene: Scene, table: StackedTable, frame: pd.DataFrame, target: str, asked: pd.Series
) -> tuple[list[str], str]:
    """Return a table's labels as the sample writes them, and how. Raises TaskError."""
    example = str(asked.iloc[0]) if len(asked) else ""
    rest = [str(name) for name in frame.columns if name != table.key]
    for name in rest:
        texts = frame[name].dropna().astype(str)
        if plain_name(name) == plain_name(target) or (len(texts) and is_alike(texts, example)):
            return list(frame[name].fillna("").astype(str)), f"column {name!r}"
    hot = [name for name in rest if is_number_column(frame[name])]
    words = {name: name.split()[0].casefold() for name in hot}
    [word, *more] = example.split() or [""]
    is_named = word.casefold() in words.values() and len(set(words.values())) == len(hot)
    if hot and is_named and bool((frame[hot].astype(float).sum(axis=1) == 1).all()):
        which = frame[hot].astype(float).to_numpy().argmax(axis=1)
        said = {name: " ".join([words[name], *more]) for name in hot}
        shown = ", ".join(f"{name!r} is {said[name]!r}" for name in hot[:4])
        return [said[hot[place]] for place in which], f"the column that is 1 ({shown})"
    raise need_reader(
        f"{table.path} has no column that is written as {example!r} in "
        f"{scene.name_path(scene.sample_path or table.path)}"
    )


def is_alike(texts: pd.Series, example: str) -> bool:
    """Whether cells are written as the sample's: it is one of them, or they have its words."""
    n_words = len(example.split())
    if n_words < 2:
        return example != "" and bool((texts == example).any())
    words = [text.split() for text in texts]
    return all(len(cell) % n_words == 0 and cell[:1] and cell[0].isalpha() for cell in words)


def find_groups(
    frame: pd.DataFrame, table: StackedTable, ids: pd.Series, whole: dict[str, str]
) -> list[str]:
    """Return what rows belong to: a column with ids of another table, or their own."""
    own = ids.str.removesuffix(MARK + table.ending)
    for name in map(str, frame.columns):
        values = frame[name].map(label_text)
        if name != table.key and set(values) <= set(whole) and values.nunique() > 1:
            return list(values)
    return list(own)
