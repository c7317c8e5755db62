"""A row per pixel: pictures to predict, and clean ones as labels of the training pictures."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from task.load.form import label_text
from task.load.layouts.scene import (
    LayoutTables,
    RoleFile,
    SampleColumns,
    Scene,
    free_name,
    split_sample,
)
from task.load.tables import Table
from task.types import TaskError

PIXEL_ID = re.compile(r"^(?P<image>.+)_(?P<row>\d+)_(?P<column>\d+)$")
CLEAN_WORD = re.compile(r"clean|target|truth|gt|label|mask", re.IGNORECASE)
PICTURES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".gif"}
MAX_TRAIN_PIXELS = 40_000_000
Pixels = NDArray[np.float64]


class PixelIds(NamedTuple):
    """The sample's ids, taken apart."""

    image: list[str]
    row: list[int]
    column: list[int]


class PicturePairs(NamedTuple):
    """Training pictures and their clean counterparts, by the stem of their names."""

    dirty: dict[str, RoleFile]
    clean: dict[str, RoleFile]


def read_pixels(scene: Scene) -> LayoutTables | None:
    """Read pictures as rows of pixels; None where the sample's ids are no pixels of pictures."""
    if scene.sample is None or scene.sample_path is None:
        return None
    columns = split_sample(scene.sample.frame, None)
    if len(columns.ids) != 1 or len(columns.predicted) != 1:
        return None
    ids = parse_pixel_ids(scene.sample.frame[columns.ids[0]].map(label_text))
    if ids is None:
        return None
    tests = {file.stem: file for file in scene.test_files if is_picture(file)}
    pairs = find_pairs(scene)
    if pairs is None or not set(ids.image) <= set(tests):
        return None
    return tables_of_pixels(scene, columns, ids, pairs, tests)


def is_picture(file: RoleFile) -> bool:
    """Whether a file's name is that of a picture."""
    return PurePosixPath(file.name).suffix.lower() in PICTURES


def parse_pixel_ids(ids: pd.Series[Any]) -> PixelIds | None:
    """Take ids `image_row_column` apart; None where one is not such."""
    if len(ids) and not PIXEL_ID.match(str(ids.iloc[0])):
        return None
    found = ids.astype("str").str.extract(PIXEL_ID.pattern)
    if found.isna().any(axis=None):
        return None
    return PixelIds(
        list(found["image"]), list(found["row"].astype(int)), list(found["column"].astype(int))
    )


def find_pairs(scene: Scene) -> PicturePairs | None:
    """Find training pictures that have a clean counterpart of the same name."""
    pictures = [file for file in scene.train_files if is_picture(file)]
    clean = {f.stem: f for f in pictures if any(map(CLEAN_WORD.search, f.parts))}
    dirty = {f.stem: f for f in pictures if not any(map(CLEAN_WORD.search, f.parts))}
    shared = sorted(set(clean) & set(dirty))
    if not shared:
        return None
    return PicturePairs({k: dirty[k] for k in shared}, {k: clean[k] for k in shared})


def open_picture(scene: Scene, file: RoleFile) -> Pixels:
    """Return the brightness of a picture, 0 to 1. Raises TaskError where it cannot be read."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(read_bytes(scene, file))) as picture:
            return np.asarray(picture.convert("L"), dtype=float) / 255
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise TaskError(f"{scene.root / file.path} is no picture that can be read ({error})") from (
            error
        )


def read_bytes(scene: Scene, file: RoleFile) -> bytes:
    """Return the bytes of a file in a folder or a zip. Raises OSError."""
    source = next(item for item in scene.inventory.sources if item.name == file.source)
    if source.path.is_dir():
        return (source.path / file.name).read_bytes()
    with zipfile.ZipFile(source.path) as archive:
        return archive.read(file.name)


def tables_of_pixels(
    scene: Scene,
    columns: SampleColumns,
    ids: PixelIds,
    pairs: PicturePairs,
    tests: dict[str, RoleFile],
) -> LayoutTables:
    """Return a row per pixel with its brightness, and for training rows that of the clean one."""
    assert scene.sample is not None and scene.sample_path is not None
    [key], [target] = columns.ids, columns.predicted
    names = name_columns(key, target)
    start = min(min(ids.row), min(ids.column))
    frames, n_pixels = [], 0
    for stem, file in pairs.dirty.items():
        dirty, clean = open_picture(scene, file), open_picture(scene, pairs.clean[stem])
        if dirty.shape != clean.shape:
            raise TaskError(f"{scene.root / file.path} and its clean picture differ in size")
        frames.append(
            pixel_rows(stem, dirty, start, [key, *names]).assign(**{target: clean.ravel()})
        )
        n_pixels += dirty.size
        if n_pixels > MAX_TRAIN_PIXELS:
            break
    train = pd.concat(frames, ignore_index=True)
    cells = pd.DataFrame({"image": ids.image, "row": ids.row, "column": ids.column})
    cells["pixel"] = look_up_pixels(scene, cells, tests, start)
    test = cells.set_axis(names, axis=1)
    test.insert(0, key, list(scene.sample.frame[key]))
    said = [
        f"labels: the pixels of {len(frames)} clean pictures, brightness 0 to 1; {key!r} is "
        f"image_row_column, counted from {start}",
        f"rows to predict: the {len(test)} pixels of {scene.name_path(scene.sample_path)}",
    ]
    holders = {file.source for file in pairs.clean.values()}
    sources = [source.path for source in scene.inventory.sources if source.name in holders]
    return LayoutTables(
        train=Table(train, []),
        test=Table(test, []),
        labels=sources[0],
        rows=scene.sample_path,
        sample=scene.sample_path,
        id=key,
        sample_id=key,
        target=[target],
        readings=said,
        label_sources=sources,
        group=names[0],
    )


def name_columns(*taken: str) -> list[str]:
    """Return the names of the columns picture, row, column and brightness that are free."""
    return [free_name(name, *taken) for name in ("image", "row", "column", "pixel")]


def pixel_rows(stem: str, pixels: Pixels, start: int, names: list[str]) -> pd.DataFrame:
    """Return a row per pixel of one picture: its id, picture, row, column and brightness."""
    grid = np.indices(pixels.shape).reshape(2, -1) + start
    rows, columns = grid[0], grid[1]
    ids = [f"{stem}_{row}_{column}" for row, column in zip(rows, columns, strict=True)]
    values = (ids, stem, rows, columns, pixels.ravel())
    return pd.DataFrame(dict(zip(names, values, strict=True)))


def look_up_pixels(
    scene: Scene, test: pd.DataFrame, tests: dict[str, RoleFile], start: int
) -> pd.Series[Any]:
    """Return the brightness of the pixels to predict. Raises TaskError for one outside."""
    result = pd.Series(np.nan, index=test.index)
    for stem, rows in test.groupby("image", sort=False):
        pixels = open_picture(scene, tests[str(stem)])
        places = rows[["row", "column"]].to_numpy() - start
        if (places >= pixels.shape).any():
            raise TaskError(
                f"{scene.sample_path} asks for pixels outside {tests[str(stem)].path}, "
                f"{pixels.shape[0]} x {pixels.shape[1]}; restore the picture"
            )
        result[rows.index] = pixels[places[:, 0], places[:, 1]]
    return result
