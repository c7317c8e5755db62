"""Find the table that holds the training labels, its id column and its target columns."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from task.load.form import class_labels, match_names, plain_name
from task.load.layouts.inventory import plain_stem
from task.load.layouts.scene import (
    MIN_MATCH,
    SampleColumns,
    Scene,
    is_number_column,
    match_column,
    says_test,
    says_train,
    share_of,
    text_set,
)
from task.load.targets import USUAL_TARGETS
from task.types import TaskError

LESSER = re.compile(r"(^|[^a-z])(old|extra|noisy|weak|pseudo|unlabel|example|leaky|sample)", re.I)
LABEL_WORD = re.compile(r"label|train|target|truth|annotation", re.I)
MAX_CLASS_SHARE = 0.5  # of the rows; more distinct texts are no classes


class LabelTable(NamedTuple):
    """A table with labels: its id column (None: it has none) and its targets."""

    path: Path
    id: str | None
    target: list[str]
    why: str


class Score(NamedTuple):
    """How well a table serves as the label table; larger is better, in this order."""

    has_predicted: bool
    has_id: bool
    name: int
    depth: int


def find_label_table(
    scene: Scene, columns: SampleColumns, test: pd.DataFrame | None
) -> LabelTable | None:
    """Find the label table of a sample. Raises TaskError where several serve equally well.

    `test`: the test table, if there is one.
    """
    if scene.keys.train:
        named = [path for path in scene.heads if scene.name_path(path) == scene.keys.train]
        return choose_columns(scene, named[0], columns, test) if named else None
    found = []
    counts = Counter(path.name for path in scene.heads)
    for path in scene.heads:
        is_one_of_many = path.parent != scene.root and counts[path.name] > 1
        if is_one_of_many or (says_test(path) and not says_train(path)):
            continue
        if table := choose_columns(scene, path, columns, test):
            found.append((rate_table(scene, table, columns), table))
    if not found:
        return None
    found.sort(key=lambda pair: pair[0], reverse=True)
    best = [table for score, table in found if score == found[0][0]]
    if len(best) == 1:
        return best[0]
    names = ", ".join(scene.name_path(table.path) for table in best[:4])
    raise TaskError(
        f"{scene.root}: {names} may all hold the labels; say which with `train:` in task.yaml"
    )


def rate_table(scene: Scene, table: LabelTable, columns: SampleColumns) -> Score:
    """Rate a table by its columns, then by its name and place."""
    head, stem = scene.heads[table.path], plain_stem(table.path.name)
    has_predicted = all(match_column(head, name) for name in columns.predicted)
    name = 2 * says_train(table.path) + bool(LABEL_WORD.search(stem))
    name -= 3 * bool(LESSER.search(stem))
    depth = len(table.path.relative_to(scene.root).parts)
    return Score(has_predicted, table.id is not None, name, -depth)


def choose_columns(
    scene: Scene, path: Path, columns: SampleColumns, test: pd.DataFrame | None
) -> LabelTable | None:
    """Choose id and targets of a table; None where it cannot hold the labels."""
    head = scene.heads[path]
    key = find_id_column(scene, path, columns)
    is_keyed = key is not None or all(match_column(head, name) for name in columns.ids)
    others = [name for name in list_plain_columns(head) if name != key]
    if scene.keys.target:
        is_there = set(scene.keys.target) <= set(others)
        return LabelTable(path, key, list(scene.keys.target), "as you said") if is_there else None
    is_pair = test is not None and set(map(str, test.columns)) - set(columns.ids) <= set(others)
    if is_of_test(scene, path, key, columns) or not (is_keyed or is_pair):
        return None
    exact = [match_column(head, name) for name in columns.predicted]
    if part := [str(name) for name in exact if name in others]:
        return LabelTable(path, key, part, "named as in the sample")
    if not (LABEL_WORD.search(plain_stem(path.name)) or names_files(scene, path, key)):
        return None
    absent = [name for name in others if test is None or match_column(test, name) is None]
    ids = {match_column(head, name) for name in columns.ids}
    absent = [name for name in absent if name not in ids | test_columns(scene)]
    if len(columns.predicted) > 1:
        return choose_class_column(scene, path, key, absent, columns.predicted)
    return choose_single(scene, path, key, absent, columns, has_test=test is not None)


def test_columns(scene: Scene) -> set[str | None]:
    """Return the columns with values of all tables of test rows, also of other rows than asked."""
    heads = [
        head
        for path, head in scene.heads.items()
        if says_test(path) and not says_train(path) and path != scene.sample_path
    ]
    return {str(name) for head in heads for name in head if head[name].notna().any()}


def list_plain_columns(head: pd.DataFrame) -> list[str]:
    """List the columns whose cells are single values."""
    return [
        str(name)
        for name in head.columns
        if not head[name].map(lambda cell: isinstance(cell, (list, dict))).any()
    ]


def is_of_test(scene: Scene, path: Path, key: str | None, columns: SampleColumns) -> bool:
    """Whether a table has rows that the sample asks for."""
    if key is None or scene.sample is None or len(columns.ids) != 1:
        return False
    asked = text_set(scene.sample.frame[columns.ids[0]])
    return bool(text_set(scene.read_full(path).frame[key]) & asked)


def names_files(scene: Scene, path: Path, key: str | None) -> bool:
    """Whether the ids of a table are names of training files."""
    if key is None:
        return False
    return share_of(scene.train_names, text_set(scene.heads[path][key])) >= MIN_MATCH


def choose_class_column(
    scene: Scene, path: Path, key: str | None, absent: list[str], predicted: list[str]
) -> LabelTable | None:
    """Choose the column whose classes, one or several in a cell, the sample has as columns."""
    frame = scene.read_full(path).frame
    for name in absent:
        values = frame[name]
        if values.nunique() <= len(predicted) and match_names(predicted, class_labels(values)):
            return LabelTable(path, key, [name], "its classes are the columns of the sample")
    for name in absent:
        words = split_labels(frame[name])
        if words and words <= set(predicted) and share_of(words, set(predicted)) >= 0.5:
            why = "its cells hold several of the labels that are the columns of the sample"
            return LabelTable(path, key, [name], why)
    return None


def split_labels(values: pd.Series) -> set[str]:
    """Return the distinct words of cells with several labels; empty for cells of numbers."""
    texts = values.dropna().astype(str).astype(object)
    if not len(texts):
        return set()
    if texts.str.contains(",").any():
        return {word.strip() for text in texts.unique() for word in text.split(",")}
    return {word for text in texts.unique() for word in text.split()}


def choose_single(
    scene: Scene,
    path: Path,
    key: str | None,
    absent: list[str],
    columns: SampleColumns,
    *,
    has_test: bool,
) -> LabelTable | None:
    """Choose the one label column of a sample whose prediction column has another name.

    Without a test table (`has_test`) the columns that are left over by their kind are as likely to
    be notes about the rows.
    """
    if not columns.predicted or not absent:
        return None
    [predicted, *_] = columns.predicted
    if len(absent) == 1:
        if not has_test and is_contradicted(scene, path, absent[0], predicted):
            return None
        return LabelTable(path, key, absent, f"the only other column; the sample's {predicted!r}")
    usual = [name for name in absent if name.casefold() in USUAL_TARGETS]
    if len(usual) == 1:
        return LabelTable(path, key, usual, f"by its name; the sample's {predicted!r}")
    if not has_test:
        return None
    assert scene.sample is not None
    frame, example = scene.read_full(path).frame, scene.sample.frame[predicted]
    is_text = not is_number_column(example)
    alike = [
        name
        for name in absent
        if frame[name].notna().any() and is_text != is_number_column(frame[name])
    ]
    if example.notna().any() and len(alike) == 1:
        kind = "text" if is_text else "numbers"
        why = f"the only one of {kind} that test lacks, as the sample's {predicted!r}"
        return LabelTable(path, key, alike, why)
    return None


def is_contradicted(scene: Scene, path: Path, name: str, predicted: str) -> bool:
    """Whether a column of classes in words has none of the words that the sample predicts."""
    assert scene.sample is not None
    said, values = text_set(scene.sample.frame[predicted]), scene.read_full(path).frame[name]
    if not said or is_number_column(scene.sample.frame[predicted]) or is_number_column(values):
        return False
    known = text_set(values)
    words = {word for text in known for word in text.split()}
    is_class = len(known) <= MAX_CLASS_SHARE * len(values)
    return is_class and not said & known and not {w for t in said for w in t.split()} & words


def find_id_column(scene: Scene, path: Path, columns: SampleColumns) -> str | None:
    """Find the id column of a table: by the sample's name, or whose values name files."""
    head = scene.heads[path]
    if scene.keys.id and match_column(head, scene.keys.id):
        return match_column(head, scene.keys.id)
    if len(columns.ids) != 1:
        return None
    if name := match_column(head, columns.ids[0]):
        return name
    for column in map(str, head.columns):
        texts = text_set(head[column])
        if len(texts) < 2 or plain_name(column) in map(plain_name, columns.predicted):
            continue
        if share_of(scene.train_names, texts) >= MIN_MATCH:
            return column
    return None
