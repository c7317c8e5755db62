"""Features in one table and labels in another: X_train, y_train and X_test."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from task.load.form import ROW_NUMBERS
from task.load.ids import id_texts, is_unique_column, usual_id
from task.load.layouts.inventory import plain_stem
from task.load.layouts.scene import LayoutTables, Scene
from task.load.tables import Table, read_alike
from task.types import TaskError

WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
FEATURE_WORDS = {"x", "features", "inputs", "values"}
LABEL_WORDS = {"y", "labels", "label", "target", "targets", "outputs"}
TRAIN_WORDS, TEST_WORDS = {"train", "training"}, {"test", "testing"}


def read_features_and_labels(scene: Scene) -> LayoutTables | None:
    """Join a table of training features with its table of labels; None where there is no such pair.

    They are joined by a column that names the rows of both, else row by row. Raises TaskError where
    neither is possible.
    """
    if scene.keys.train or scene.keys.test:
        return None
    tables = [path for path in scene.inventory.tables if path != scene.sample_path]
    features = find_table(tables, FEATURE_WORDS, TRAIN_WORDS)
    labels = find_table(tables, LABEL_WORDS, TRAIN_WORDS)
    asked = find_table(tables, FEATURE_WORDS, TEST_WORDS)
    if features is None or labels is None or asked is None:
        return None
    train, test = read_alike(features, asked)
    given = scene.read_full(labels)
    key = find_shared_id(train.frame, given.frame)
    if scene.sample is not None and key is not None:
        return None  # a table of labels beside the sample's ids is read as such
    if scene.sample is not None and len(scene.sample.frame) != len(test.frame):
        return None
    check_labels(given, labels)
    return tables_of_pair(scene, (features, labels, asked), (train, given, test), key)


def tables_of_pair(
    scene: Scene,
    paths: tuple[Path, Path, Path],
    tables: tuple[Table, Table, Table],
    key: str | None,
) -> LayoutTables:
    """Return the joined tables: of training features, of their labels, of the rows to predict."""
    (features, labels, asked), (train, given, test) = paths, tables
    names = scene.name_path(features), scene.name_path(labels)
    joined, how = join_labels(train.frame, given.frame, key, names)
    target = [str(name) for name in given.frame if name not in train.frame]
    target = [name for name in target if name != ROW_NUMBERS]
    if scene.keys.target:
        target = [name for name in scene.keys.target if name in target] or target
    unused = [n for n in given.frame if n not in train.frame and n not in target]
    joined = joined.drop(columns=unused)
    answers = find_table(scene.inventory.tables, LABEL_WORDS, TEST_WORDS)
    readings = [f"labels: {', '.join(target)} of {labels.name}, {how} {features.name}"]
    readings += [f"rows to predict: {asked.name}"]
    if answers:
        readings.append(f"{answers.name} holds the labels of {asked.name}: scripts do not see it")
    id_column = scene.keys.id or usual_id(joined, test.frame)
    sample_id = None if scene.sample is None else str(scene.sample.frame.columns[0])
    return LayoutTables(
        train=Table(joined, [*train.repairs, *given.repairs]),
        test=test,
        labels=features,
        rows=asked,
        sample=scene.sample_path,
        id=id_column,
        target=target,
        readings=readings,
        sample_id=sample_id,
        label_sources=[labels, *([answers] if answers else [])],
    )


def find_table(tables: list[Path], what: set[str], role: set[str]) -> Path | None:
    """Return the one table whose name has a word of both kinds."""
    found = []
    for path in tables:
        words = {word.casefold() for word in WORD.findall(plain_stem(path.name))}
        if words & what and words & role:
            found.append(path)
    return found[0] if len(found) == 1 else None


def find_shared_id(train: pd.DataFrame, labels: pd.DataFrame) -> str | None:
    """Return the column that names the same rows in both tables; None for none."""
    for name in map(str, labels.columns):
        if name not in train or not is_unique_column(labels[name]):
            continue
        if is_unique_column(train[name]) and set(id_texts(train[name])) == set(
            id_texts(labels[name])
        ):
            return name
    return None


def check_labels(given: Table, path: Path) -> None:
    """Refuse a table of labels without a header. Raises TaskError."""
    first = str(given.frame.columns[0])
    if not given.has_header or re.fullmatch(r"[-+]?\d+(\.\d+)?", first):
        raise TaskError(
            f"{path} has no line with the name of its column: its first line ({first}) is a label; "
            "put `target` before it"
        )


def join_labels(
    train: pd.DataFrame, labels: pd.DataFrame, key: str | None, names: tuple[str, str]
) -> tuple[pd.DataFrame, str]:
    """Return the features with their labels, and how they were joined. Raises TaskError."""
    features_name, labels_name = names
    fresh = [str(name) for name in labels if name not in train]
    if not [name for name in fresh if name != ROW_NUMBERS]:
        raise TaskError(
            f"{labels_name} has no column that {features_name} lacks, so it has no labels; correct "
            "it, or set `train:` in task.yaml"
        )
    if key is not None:
        order = pd.Series(range(len(labels)), index=list(id_texts(labels[key])))
        rows = labels.iloc[order.loc[list(id_texts(train[key]))].to_numpy()]
        how = f"joined by {key!r} with"
    elif shared := [str(n) for n in labels if n in train and is_unique_column(labels[n])]:
        raise TaskError(
            f"{labels_name} and {features_name} both have {shared[0]!r}, and not the same values "
            "there, each once; make them the same, so that every row has its label"
        )
    elif len(labels) != len(train):
        raise TaskError(
            f"{features_name} has {len(train)} rows and {labels_name} has {len(labels)}, and no "
            "column names the rows of both; add one, such as id, to both, or the missing rows"
        )
    else:
        rows, how = labels, f"joined row by row ({len(train)} rows in both) with"
    added = {name: rows[name].to_numpy() for name in fresh}
    return train.assign(**added), how
