"""Labels in names: the folder of a training file, or a part of its own name."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import PurePosixPath
from typing import NamedTuple

import pandas as pd

from task.load.form import label_text, match_names
from task.load.layouts.links import link_files
from task.load.layouts.remedy import need_reader
from task.load.layouts.scene import (
    LayoutTables,
    RoleFile,
    SampleColumns,
    Scene,
    is_number_column,
    split_sample,
)
from task.load.tables import Table

FILE_COLUMN = "file"
LABEL_COLUMN = "label"
MAX_CLASSES_IN_NAMES = 100
MIN_FILES = 2.0
"""Files per class, in the mean, below which names are taken for ids."""


class NamedFiles(NamedTuple):
    """Training files with the labels that their names say, and which part of a name says it."""

    labels: dict[RoleFile, str]
    how: str


def read_names(scene: Scene) -> LayoutTables | None:
    """Read labels from folders or file names; None where the sample's ids name no test files."""
    if scene.sample is None or not scene.test_files:
        return None
    columns = split_sample(scene.sample.frame, None)
    if len(columns.ids) != 1 or not columns.predicted:
        return None
    ids = list(scene.sample.frame[columns.ids[0]].map(label_text))
    linked = link_files(ids, scene.test_files)
    if not linked:
        return None
    train = list_labelled_files(scene, linked)
    of_test = {part for file in scene.test_files for part in file.parts}
    found = label_by_folder(train, columns, of_test) or label_by_name(train)
    if found is None or not fits_sample(found, columns):
        return None
    check_single(scene, found, columns)
    return tables_of_files(scene, found, columns, linked)


def list_labelled_files(scene: Scene, linked: dict[str, RoleFile]) -> list[RoleFile]:
    """List the training files that have the endings of the test files."""
    endings = {PurePosixPath(file.name).suffix.lower() for file in linked.values()}
    return [
        file for file in scene.train_files if PurePosixPath(file.name).suffix.lower() in endings
    ]


def fits_sample(found: NamedFiles, columns: SampleColumns) -> bool:
    """Whether the labels are the classes that a sample with a column per class names."""
    if len(columns.predicted) == 1:
        return True
    return match_names(columns.predicted, sorted(set(found.labels.values()))) is not None


def check_single(scene: Scene, found: NamedFiles, columns: SampleColumns) -> None:
    """Refuse several classes by words where the sample asks for one number. Raises TaskError."""
    classes = sorted(set(found.labels.values()))
    if len(columns.predicted) > 1 or len(classes) < 3 or scene.sample is None:
        return
    values = scene.sample.frame[columns.predicted[0]]
    if is_number_column(values) and not all(map(is_number, classes)):
        raise need_reader(
            f"{scene.sample_path} asks for one number ({columns.predicted[0]}) and the training "
            f"files are of {len(classes)} classes by {found.how.partition(' (')[0]} "
            f"({', '.join(classes[:5])}), so nothing says which number is which"
        )


def is_number(text: str) -> bool:
    """Whether a text reads as a number."""
    try:
        return float(text) == float(text)
    except ValueError:
        return False


def label_by_folder(
    files: list[RoleFile], columns: SampleColumns, of_test: set[str]
) -> NamedFiles | None:
    """Label files by the folder that differs between them; None where it says nothing.

    `of_test`: folders of test files; they hold parts of a sample (images, masks), and no class.
    """
    if not files:
        return None
    depth = min(len(file.parts) for file in files)
    differing = [level for level in range(depth) if len({file.parts[level] for file in files}) > 1]
    for level in reversed(differing):
        labels = {file: file.parts[level] for file in files}
        classes = Counter(labels.values())
        is_part = bool(of_test & set(classes))
        if is_part or len(files) / len(classes) < MIN_FILES or are_buckets(labels):
            continue
        is_named = match_names(columns.predicted, list(classes)) is not None
        if level == differing[-1] or (len(columns.predicted) > 1 and is_named):
            return NamedFiles(labels, f"the name of its folder ({describe_labels(classes)})")
    return None


def are_buckets(labels: dict[RoleFile, str]) -> bool:
    """Whether folders only repeat how their files' names begin."""
    return all(file.stem.startswith(label) for file, label in labels.items())


def describe_labels(classes: Counter[str]) -> str:
    """Show classes with their counts."""
    shown = ", ".join(f"{label} {n}" for label, n in classes.most_common(6))
    return f"{len(classes)} classes: {shown}" + (", …" if len(classes) > 6 else "")


def label_by_name(files: list[RoleFile]) -> NamedFiles | None:
    """Label files by their names: up to the first dot, or after the last underscore."""
    for pattern, how in (
        (r"^(?P<label>[^.]+)\.(?P<rest>.+)$", "its name up to the first dot"),
        (r"^(?P<rest>.+)_(?P<label>[^_]+)$", "its name after the last underscore"),
        (r"^(?P<label>[A-Za-z ]+)[_-](?P<rest>\d+)$", "its name before the number"),
    ):
        found = {file: re.match(pattern, file.stem) for file in files}
        if not found or not all(found.values()):
            continue
        labels = {file: match["label"] for file, match in found.items() if match}
        rests = {match["rest"] for match in found.values() if match}
        classes = Counter(labels.values())
        is_class = 2 <= len(classes) <= MAX_CLASSES_IN_NAMES and min(classes.values()) >= 2
        if is_class and len(rests) > len(classes):
            return NamedFiles(labels, f"{how} ({describe_labels(classes)})")
    return None


def tables_of_files(
    scene: Scene, found: NamedFiles, columns: SampleColumns, linked: dict[str, RoleFile]
) -> LayoutTables:
    """Return the tables of labelled files; training rows get ids that do not tell the label."""
    assert scene.sample is not None and scene.sample_path is not None
    [key] = columns.ids
    path = FILE_COLUMN if FILE_COLUMN not in (key, *columns.predicted) else FILE_COLUMN + "_path"
    target = columns.predicted[0] if len(columns.predicted) == 1 else LABEL_COLUMN
    train = pd.DataFrame(
        {
            path: [file.path for file in found.labels],
            target: list(found.labels.values()),
        },
        dtype="str",
    )
    ids = scene.sample.frame[key]
    files = [linked.get(text) for text in ids.map(label_text)]
    test = pd.DataFrame({key: ids})
    test[path] = pd.Series([file.path if file else None for file in files], dtype="str")
    first = next(iter(found.labels)).source
    source = next(item.path for item in scene.inventory.sources if item.name == first)
    return LayoutTables(
        train=Table(train, []),
        test=Table(test, []),
        labels=source,
        rows=scene.sample_path,
        sample=scene.sample_path,
        id=key,
        sample_id=key,
        target=[target],
        readings=[
            f"labels: a training file's label is {found.how}",
            f"rows to predict: the {len(test)} ids of {scene.sample_path.name}; "
            f"{len(linked)} of them name files",
        ],
    )
