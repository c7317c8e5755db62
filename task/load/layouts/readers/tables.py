"""Labels in a table beside a sample submission, with or without a test table."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from task.load.form import label_text, plain_name
from task.load.layouts.id_parts import add_id_parts
from task.load.layouts.inventory import plain_stem
from task.load.layouts.label_table import LabelTable, find_label_table
from task.load.layouts.scene import (
    TEST_WORD,
    TRAIN_WORD,
    LayoutTables,
    SampleColumns,
    Scene,
    free_name,
    is_number_column,
    match_column,
    name_texts,
    says_test,
    says_train,
    share_of,
    split_sample,
    text_set,
)
from task.load.tables import Table
from task.types import TaskError

MARKS = ("_", "/", "|", ":", "#")
MIN_NAMED = 0.5  # share of the rows to predict that a file or a table speaks of


class TestTable(NamedTuple):
    """A table of rows to predict, and its column with the sample's ids."""

    path: Path
    frame: pd.DataFrame
    id: str


class Parts(NamedTuple):
    """What a folder of tables is made of, before it is put into one form."""

    scene: Scene
    sample: pd.DataFrame
    columns: SampleColumns
    table: LabelTable
    train: pd.DataFrame
    test: TestTable | None

    @property
    def rows_path(self) -> Path:
        """Where the rows to predict come from."""
        assert self.scene.sample_path is not None
        return self.test.path if self.test else self.scene.sample_path

    def describe(self) -> list[str]:
        """Say where labels and rows to predict come from."""
        rows = f"the {len(self.sample)} ids of {self.scene.name_path(self.rows_path)}"
        where = (
            self.scene.name_path(self.test.path) if self.test else f"{rows}, as no table has them"
        )
        return [
            f"labels: {', '.join(self.table.target)} of {self.scene.name_path(self.table.path)} "
            f"({self.table.why})",
            f"rows to predict: {where}",
        ]


def read_label_tables(scene: Scene) -> LayoutTables | None:
    """Read a table of labels and the rows of a sample; None where no table holds the labels."""
    parts = find_parts_of_tables(scene)
    if parts is None:
        return None
    if parts.test is None and not has_one_label_per_id(parts):
        refuse_other_rows(parts.scene, parts.train, parts.table, parts.columns.ids)
        refuse_lost_features(parts)
    if len(parts.columns.ids) > 1:
        return read_joined(parts)
    if parts.table.id is not None and parts.train[parts.table.id].duplicated().any():
        return read_repeated(parts)
    return read_single(parts)


def make_rows_of_sample(scene: Scene, columns: SampleColumns) -> tuple[pd.DataFrame, str]:
    """Return the sample's ids as the rows to predict, and a sentence on them."""
    assert scene.sample is not None and scene.sample_path is not None
    rows = scene.sample.frame[columns.ids].copy()
    return rows, f"rows to predict: the {len(rows)} ids of {scene.name_path(scene.sample_path)}"


def find_parts_of_tables(scene: Scene) -> Parts | None:
    """Find label table, test table and the sample's columns."""
    if scene.sample is None:
        return None
    sample = scene.sample.frame
    test = find_test_table(scene, sample)
    columns = split_sample(sample, test.frame if test else None)
    if not columns.ids or not columns.predicted:
        return None
    table = find_label_table(scene, columns, test.frame if test else None)
    if table is None:
        return None
    return Parts(scene, sample, columns, table, scene.read_full(table.path).frame, test)


def refuse_other_rows(scene: Scene, train: pd.DataFrame, table: LabelTable, ids: list[str]) -> None:
    """Refuse a test table with features of the training table whose rows are not the sample's.

    Raises TaskError: to predict the sample's ids alone would leave its features out unseen.
    """
    features = {str(name) for name in train} - {*table.target, *ids}
    for path, head in scene.heads.items():
        shared = sorted(features & set(map(str, head.columns)))
        if path in (table.path, scene.sample_path) or not says_test(path) or not shared:
            continue
        if says_train(path) or len(shared) * 2 < len(features) or has_training_twin(scene, path):
            continue
        raise TaskError(
            f"{path} has the features of the rows to predict ({', '.join(shared[:4])}), but its "
            f"rows are not those of {scene.name_path(scene.sample_path or path)}: write one row "
            "there for every row of the sample, with the same ids"
        )


def has_training_twin(scene: Scene, path: Path) -> bool:
    """Whether a table of training data has the same name but for its role, and the same columns.

    Both are side tables then (tracks, boxes, recordings) of which many rows speak of one label.
    """
    name, columns = plain_name(TEST_WORD.sub("", plain_stem(path.name))), set(scene.heads[path])
    return any(
        says_train(other)
        and plain_name(TRAIN_WORD.sub("", plain_stem(other.name))) == name
        and set(head) == columns
        for other, head in scene.heads.items()
    )


def refuse_lost_features(parts: Parts) -> None:
    """Refuse features of the training table that no table and no file gives for the other rows.

    Raises TaskError: nothing but the ids would be left to predict from.
    """
    scene, ids = parts.scene, parts.columns.ids
    features = [str(name) for name in parts.train if name not in {*parts.table.target, *ids}]
    if parts.table.id in features:
        features.remove(str(parts.table.id))
    asked = text_set(parts.sample[ids[0]])
    has_files = share_of(name_texts(scene.files), asked) >= MIN_NAMED
    if not features or has_files or len(ids) > 1 or find_side_tables(scene, asked, parts.table):
        return
    more = f" and {len(features) - 4} more" if len(features) > 4 else ""
    raise TaskError(
        f"{scene.root} has no table with {', '.join(features[:4])}{more} for the rows of "
        f"{scene.name_path(parts.rows_path)}: put them there as test.csv, with the same ids; or "
        f"take these columns out of {scene.name_path(parts.table.path)}, to predict from the ids "
        "alone"
    )


def find_side_tables(scene: Scene, ids: set[str], table: LabelTable) -> bool:
    """Whether another table is of the rows to predict, by its name or by their ids."""
    for path, head in scene.heads.items():
        if path == table.path or head.shape[1] < 2:
            continue
        if says_test(path):
            return True
        frame = scene.read_full(path).frame
        if any(share_of(text_set(frame[name]), ids) >= MIN_NAMED for name in map(str, frame)):
            return True
    return False


def find_test_table(scene: Scene, sample: pd.DataFrame) -> TestTable | None:
    """Find the table of the rows to predict: named so, with as many rows and the same ids."""
    paths = [path for path in scene.heads if says_test(path) and not says_train(path)]
    if scene.keys.test:
        paths = [path for path in scene.heads if scene.name_path(path) == scene.keys.test]
    for path in paths:
        for name in map(str, sample.columns):
            ids = text_set(sample[name])
            if len(ids) < 2 and len(sample) > 1:
                continue
            head = scene.heads[path]
            for column in map(str, head.columns):
                if not len(head) or not text_set(head[column]) <= ids:
                    continue
                frame = scene.read_full(path).frame
                if len(frame) == len(sample) and text_set(frame[column]) == ids:
                    return TestTable(path, frame, column)
    return None


def read_single(parts: Parts) -> LayoutTables:
    """Read rows with one id column that differs in every row."""
    [key] = parts.columns.ids
    train, said = rename_id(parts.train, parts.table.id, key, parts.table.path)
    if parts.test:
        test, more = rename_id(parts.test.frame, parts.test.id, key, parts.test.path)
    else:
        test, more = parts.sample[[key]].copy(), []
    train, test, joined = join_side_tables(parts, train, test, key)
    names: list[str] = []
    if parts.test is None:
        test, names, told = add_id_parts(train, test, key)
        more = [*more, told] if told else more
    return LayoutTables(
        train=Table(train, parts.scene.read_full(parts.table.path).repairs),
        test=Table(test, []),
        labels=parts.table.path,
        rows=parts.rows_path,
        sample=parts.scene.sample_path,
        id=key,
        sample_id=key,
        target=parts.table.target,
        readings=[*parts.describe(), *said, *more, *joined],
        group=names[0] if names and is_new_in_test(train[names[0]], test[names[0]]) else None,
    )


def is_new_in_test(train: pd.Series, test: pd.Series) -> bool:
    """Whether values repeat in train and test has others: folds then have to be so too."""
    return bool(train.duplicated().any()) and not text_set(train) & text_set(test)


def rename_id(
    frame: pd.DataFrame, name: str | None, key: str, path: Path
) -> tuple[pd.DataFrame, list[str]]:
    """Return a table whose id column has the sample's name, and a sentence where it had not."""
    if name is None or name == key:
        return frame, []
    return (
        frame.drop(columns=key, errors="ignore").rename(columns={name: key}),
        [f"the sample's {key!r} is the column {name!r} of {path.name}: same ids"],
    )


def join_side_tables(
    parts: Parts, train: pd.DataFrame, test: pd.DataFrame, key: str
) -> tuple[pd.DataFrame, pd.DataFrame, list[str]]:
    """Join the tables that have one row for every id of train and test."""
    said: list[str] = []
    if parts.test or key not in train:
        return train, test, said
    wanted = text_set(train[key]) | text_set(test[key])
    for path, head in parts.scene.heads.items():
        name = match_column(head, key)
        if path == parts.table.path or name is None or head.shape[1] < 2:
            continue
        side = parts.scene.read_full(path).frame
        ids = side[name].map(label_text)
        if not ids.is_unique or not wanted <= set(ids):
            continue
        fresh = [c for c in side.columns if c != name and c not in train]
        side = side[fresh].set_index(pd.Index(ids))
        train = attach(train, side, key)
        test = attach(test, side, key)
        said.append(f"{parts.scene.name_path(path)} joined by {name!r}: a row for every id")
    return train, test, said


def attach(frame: pd.DataFrame, side: pd.DataFrame, key: str) -> pd.DataFrame:
    """Add the columns of a side table to rows by their ids."""
    rows = side.loc[list(frame[key].map(label_text))].reset_index(drop=True)
    return pd.concat([frame.reset_index(drop=True), rows], axis=1)


def read_joined(parts: Parts) -> LayoutTables | None:
    """Read rows that several columns of the sample name together."""
    names, (train, test) = parts.columns.ids, (parts.train, parts.sample[parts.columns.ids])
    found = {name: match_column(train, name) for name in names}
    if not all(found.values()):
        return None
    train = train.rename(columns={str(old): name for name, old in found.items()})
    if parts.test:
        test = parts.test.frame
    if train[names].isna().any(axis=None) or train[names].duplicated().any():
        return read_by_place(parts, None)
    said = f"ids: {' and '.join(names)} of the sample together"
    return LayoutTables(
        train=Table(train, []),
        test=Table(test, []),
        labels=parts.table.path,
        rows=parts.rows_path,
        sample=parts.scene.sample_path,
        id=free_name("_".join(names), *train),
        id_parts=names,
        mark=choose_mark(train[names], test[names]),
        target=parts.table.target,
        readings=[*parts.describe(), said],
    )


def choose_mark(*frames: pd.DataFrame) -> str:
    """Return a mark that occurs in no part of an id, so that joined ids stay different."""
    for mark in MARKS:
        texts = (frame[name].map(label_text) for frame in frames for name in frame)
        if not any(text.astype(object).str.contains(mark, regex=False).any() for text in texts):
            return mark
    return MARKS[0]


def read_repeated(parts: Parts) -> LayoutTables | None:
    """Read a label table in which ids repeat: one row per id where its rows agree on the label."""
    assert parts.table.id is not None
    [key] = parts.columns.ids
    if not has_one_label_per_id(parts) or parts.sample[key].duplicated().any():
        return read_by_place(parts, parts.table.id)
    train, said = gather_rows(parts.train, parts.table.id, parts.table.path)
    return read_single(parts._replace(train=train))._replace(readings=[*parts.describe(), said])


def has_one_label_per_id(parts: Parts) -> bool:
    """Whether ids repeat in the label table, and the rows of an id agree on the label."""
    if parts.table.id is None or not parts.train[parts.table.id].duplicated().any():
        return False
    targets = parts.train.groupby(parts.table.id, sort=False)[parts.table.target]
    return bool((targets.nunique(dropna=False) <= 1).all(axis=None))


def gather_rows(
    frame: pd.DataFrame, key: str, path: Path, spread: Collection[str] = ()
) -> tuple[pd.DataFrame, str]:
    """Return one row per id; cells that differ within an id are put together.

    Numbers become their mean, those of the columns `spread` mean, smallest, largest and how many
    rows there are; words are joined by blanks.
    """
    groups = frame.groupby(key, sort=False)
    result = groups.first()
    differing = find_differing(frame, key)
    numbers = [name for name in differing if name in spread or is_number_column(frame[name])]
    words = [name for name in differing if name not in numbers]
    for name in words:
        result[name] = groups[name].agg(lambda cells: " ".join(map(label_text, cells.dropna())))
    for name in dict.fromkeys([*numbers, *spread]):
        values = pd.to_numeric(frame[name], errors="coerce").groupby(frame[key], sort=False)
        result[name] = values.mean()
        if name in spread:
            result = result.rename(columns={name: f"{name}_mean"})
            result[f"{name}_min"], result[f"{name}_max"] = values.min(), values.max()
    if spread:
        result[free_name("n_rows", *result)] = groups.size()
    said = f"{path.name}: {len(frame)} rows of {len(result)} ids put together, one row per {key!r}"
    if numbers or spread:
        what = "mean, min and max" if spread else "the mean"
        said += f"; {what} of {', '.join([*dict.fromkeys([*spread, *numbers])][:4])}"
    if words:
        said += f"; cells of {', '.join(words[:4])} joined by blanks"
    return result.reset_index(), said


def find_differing(frame: pd.DataFrame, key: str) -> list[str]:
    """List the columns of which an id has several values."""
    counts = frame.groupby(key, sort=False).nunique(dropna=False)
    return [str(name) for name in counts if (counts[name] > 1).any()]


def read_by_place(parts: Parts, group: str | None) -> LayoutTables | None:
    """Read rows without ids of their own: the rows to predict are those of the sample in order.

    `group`: column whose values repeat. Raises TaskError where the order is not the sample's.
    """
    test = parts.sample[parts.columns.ids].copy()
    if parts.test:
        test = parts.test.frame
        [*names] = [name for name in parts.columns.ids if name in test]
        for name in names:
            if list(test[name].map(label_text)) != list(parts.sample[name].map(label_text)):
                raise TaskError(
                    f"{parts.test.path} and the sample have several rows per {name!r} in another "
                    "order, so nothing says which row is which; sort both alike"
                )
    if group is not None and group != parts.columns.ids[0] and group in parts.train:
        test = test.rename(columns={parts.columns.ids[0]: group})
    said = "rows have no id of their own and are numbered; those of the sample stay in its order"
    return LayoutTables(
        train=Table(parts.train, []),
        test=Table(test, []),
        labels=parts.table.path,
        rows=parts.rows_path,
        sample=parts.scene.sample_path,
        id=None,
        sample_id=parts.columns.ids[0],
        target=parts.table.target,
        readings=[*parts.describe(), said],
        group=group,
        id_name=parts.columns.ids[0] if group else "",
    )
