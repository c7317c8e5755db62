"""Labels in JSON files with the lists `images` and `annotations`, as COCO has them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from task.load.form import label_text, plain_name
from task.load.layouts.readers.tables import make_rows_of_sample
from task.load.layouts.remedy import need_reader
from task.load.layouts.scene import LayoutTables, SampleColumns, Scene, free_name, split_sample
from task.load.tables import Table, frame_of_json

IMAGE_IDS = ("id", "image_id", "file_name")
USUAL_LABELS = ("category_id", "category", "label", "class_id")
MAX_JSON_BYTES = 4 * 2**30


class Annotations(NamedTuple):
    """A JSON file of images, with annotations or without."""

    path: Path
    images: list[dict[str, Any]]
    notes: list[dict[str, Any]]


def read_annotations(scene: Scene) -> LayoutTables | None:
    """Read images with one label each; None where no JSON has both lists."""
    if scene.sample is None:
        return None
    columns = split_sample(scene.sample.frame, None)
    if len(columns.ids) != 1 or not columns.predicted:
        return None
    found = [item for path in list_json(scene) if (item := load_annotations(path))]
    labelled = [item for item in found if item.notes and item.images]
    if not labelled:
        return None
    return tables_of_images(scene, columns, labelled, [item for item in found if not item.notes])


def list_json(scene: Scene) -> list[Path]:
    """List the JSON files outside folders of per-row files."""
    return [
        path
        for path in scene.inventory.tables
        if path.suffix.lower() == ".json" and path.stat().st_size <= MAX_JSON_BYTES
    ]


def load_annotations(path: Path) -> Annotations | None:
    """Load a JSON file that describes images; None for any other."""
    try:
        value = json.loads(path.read_bytes())
    except (ValueError, OSError, RecursionError):
        return None
    if isinstance(value, list):
        value = {"images": value}
    if not isinstance(value, dict):
        return None
    images = list_records(value.get("images"))
    return Annotations(path, images, list_records(value.get("annotations"))) if images else None


def list_records(value: object) -> list[dict[str, Any]]:
    """Return a list of objects; empty for anything else."""
    is_list = isinstance(value, list) and all(isinstance(row, dict) for row in value)
    return list(value) if is_list and isinstance(value, list) else []


def tables_of_images(
    scene: Scene, columns: SampleColumns, labelled: list[Annotations], others: list[Annotations]
) -> LayoutTables | None:
    """Return a row per annotated image, and the rows of the sample with what is known of them."""
    assert scene.sample is not None and scene.sample_path is not None
    [key] = columns.ids
    asked = set(scene.sample.frame[key].map(label_text))
    frames, target = [], ""
    for item in labelled:
        label = choose_label(item, columns.predicted)
        target = free_name(label, key)
        frames.append(label_images(item, key, label, target))
    train = pd.concat(frames, ignore_index=True)
    if train[key].duplicated().any() or set(train[key]) & asked:
        train = train.drop(columns=key)  # numbers that say nothing; files have their own names
    test, said = make_rows_of_sample(scene, columns)
    readings = [
        f"labels: {target!r} in the annotations of "
        f"{', '.join(scene.name_path(item.path) for item in labelled)}: {len(train)} images",
        said,
    ]
    for item in others:
        known = describe_images(item, key, asked)
        if known is not None:
            shared = [name for name in known if name in train and name != key]
            known = known.set_index(key)[shared].loc[list(test[key].map(label_text))]
            test = pd.concat([test.reset_index(drop=True), known.reset_index(drop=True)], axis=1)
            readings.append(f"images of the rows to predict: {scene.name_path(item.path)}")
            break
    return LayoutTables(
        train=Table(train, []),
        test=Table(test, []),
        labels=labelled[0].path,
        rows=scene.sample_path,
        sample=scene.sample_path,
        id=key,
        sample_id=key,
        target=[target],
        readings=readings,
        label_sources=[item.path for item in labelled],
    )


def choose_label(item: Annotations, predicted: list[str]) -> str:
    """Choose the label among the keys of annotations. Raises TaskError where there is none."""
    keys = {plain_name(str(key)): str(key) for key in item.notes[0]}
    for name in (*predicted, *USUAL_LABELS):
        if plain_name(name) in keys:
            return keys[plain_name(name)]
    raise need_reader(
        f"{item.path}: its annotations have {', '.join(keys.values())} and no label such as "
        f"category_id"
    )


def label_images(item: Annotations, key: str, label: str, target: str) -> pd.DataFrame:
    """Return the images with the labels of their annotations as `target`. Raises TaskError."""
    labels: dict[str, dict[str, None]] = {}
    for note in item.notes:
        image = label_text(note.get("image_id", note.get("id")))
        labels.setdefault(image, {})[label_text(note.get(label))] = None
    if several := [image for image, found in labels.items() if len(found) > 1]:
        raise need_reader(
            f"{item.path}: {len(several)} images have annotations of several labels "
            f"(e.g. {several[0]!r}), so a row has no single one"
        )
    frame = plain_columns(frame_of_json(item.images))
    name = next((c for c in IMAGE_IDS if c in frame and is_key_of(frame[c], labels)), None)
    if name is None:
        raise need_reader(
            f"{item.path}: no key of its images names the image_id of its annotations"
        )
    frame = name_ids(frame, name, key)
    frame = frame[frame[key].isin(set(labels))].reset_index(drop=True)
    frame[target] = [next(iter(labels[text])) for text in frame[key]]
    return frame


def name_ids(frame: pd.DataFrame, name: str, key: str) -> pd.DataFrame:
    """Return images whose column `name` is the id `key`; another column of that name goes."""
    if name != key:
        frame = frame.drop(columns=key, errors="ignore").rename(columns={name: key})
    return frame.assign(**{key: frame[key].map(label_text)})


def is_key_of(values: pd.Series, labels: dict[str, dict[str, None]]) -> bool:
    """Whether a column names the annotated images."""
    return set(labels) <= set(values.map(label_text))


def plain_columns(frame: pd.DataFrame) -> pd.DataFrame:
    """Keep the columns whose cells are single values that differ between rows, or may be ids."""
    kept = [
        name
        for name in frame.columns
        if not frame[name].map(lambda cell: isinstance(cell, (list, dict))).any()
        and (name in IMAGE_IDS or frame[name].nunique() > 1)
    ]
    return frame[kept]


def describe_images(item: Annotations, key: str, asked: set[str]) -> pd.DataFrame | None:
    """Return the images of a file without annotations, if they are the rows to predict."""
    frame = plain_columns(frame_of_json(item.images))
    for name in IMAGE_IDS:
        if name in frame and asked <= (texts := set(frame[name].map(label_text))) and len(texts):
            return name_ids(frame, name, key)
    return None
