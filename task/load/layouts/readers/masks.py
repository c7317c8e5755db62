"""Masks as pictures or arrays, one for each training row: written as run lengths."""

from __future__ import annotations

import io
import re
from pathlib import PurePosixPath
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from task.load.form import label_text
from task.load.layouts.links import link_files
from task.load.layouts.readers.pixels import PICTURES, read_bytes
from task.load.layouts.readers.tables import make_rows_of_sample
from task.load.layouts.remedy import need_reader
from task.load.layouts.scene import (
    LayoutTables,
    RoleFile,
    SampleColumns,
    Scene,
    split_sample,
)
from task.load.tables import Table
from task.types import TaskError

MASK_WORD = re.compile(r"mask|segment|label|truth|(^|[^a-z])(gt|seg|ink)([^a-z]|$)", re.IGNORECASE)
MASK_ENDING = re.compile(r"[_-]?(mask|masks|label|labels|seg|segmentation|gt)$", re.IGNORECASE)
ENDINGS = {*PICTURES, ".npy"}
LOSSY = {".jpg", ".jpeg"}
RUNS = re.compile(r"\s*(\d+\s+\d+(\s+\d+\s+\d+)*|-1?)?\s*")
DOWN = re.compile(
    r"top[ -]to[ -]bottom\W{1,3}(and )?then (from )?left[ -]to[ -]right|column[ -]major"
    r"|2 is (the )?pixel \(2, ?1\)|down (the )?columns?\b",
    re.IGNORECASE,
)
ALONG = re.compile(
    r"left[ -]to[ -]right\W{1,3}(and )?then (from )?top[ -]to[ -]bottom|row[ -]major"
    r"|2 is (the )?pixel \(1, ?2\)|along (the )?rows?\b",
    re.IGNORECASE,
)
FROM_ZERO = re.compile(
    r"(zero|0)[ -](indexed|based)|(start|count|number)\w* (at|from) (0|zero)\b", re.IGNORECASE
)
Cells = NDArray[Any]
Order = Literal["C", "F"]


def read_masks(scene: Scene) -> LayoutTables | None:
    """Read a mask per training row; None where the sample asks for no masks or none are found.

    Raises TaskError where masks are found and nothing says how their cells are counted.
    """
    if scene.sample is None or scene.sample_path is None or not scene.test_files:
        return None
    columns = choose_mask_column(scene.sample.frame)
    if columns is None:
        return None
    ids = list(scene.sample.frame[columns.ids[0]].map(label_text))
    masks = find_masks(scene, ids)
    if len(masks) < 2:
        return None
    return tables_of_masks(scene, columns, masks)


def choose_mask_column(sample: pd.DataFrame) -> SampleColumns | None:
    """Return the columns of a sample of which one holds masks; None where none or several do.

    Others that are predicted nowhere, such as the size of a picture, are carried over.
    """
    columns = split_sample(sample, None)
    masks = [
        name
        for name in columns.predicted
        if all(map(RUNS.fullmatch, sample[name].dropna().astype(str)))
    ]
    if len(columns.ids) != 1 or len(masks) != 1:
        return None
    others = [name for name in columns.predicted if name not in masks]
    return columns._replace(predicted=masks, carried=[*columns.carried, *others])


def find_masks(scene: Scene, ids: list[str]) -> dict[str, RoleFile]:
    """Return training id -> its mask: a file in the row's folder, or one of the row's name."""
    of_test = set(scene.test_files)
    labelled = [file for file in scene.files if file not in of_test]
    masks = [file for file in labelled if is_mask(file)]
    folders = {file.parts[-1] for file in scene.test_files}
    if set(ids) <= folders:
        return find_masks_in_folders(scene, ids, labelled)
    if not link_files(ids, scene.test_files):
        return {}
    rows = {file.stem for file in labelled if not is_mask(file)}
    named = {MASK_ENDING.sub("", file.stem): file for file in masks}
    if len(named) < len(masks):
        return {}  # several masks of a row
    has_ending = bool(PurePosixPath(ids[0]).suffix)
    names = {file.stem: PurePosixPath(file.name).name for file in labelled if not is_mask(file)}
    return {
        names[stem] if has_ending else stem: file
        for stem, file in sorted(named.items())
        if stem in rows
    }


def is_mask(file: RoleFile) -> bool:
    """Whether a file is a picture or an array that its name or folders call a mask."""
    is_readable = PurePosixPath(file.name).suffix.lower() in ENDINGS
    return is_readable and any(map(MASK_WORD.search, (file.stem, *file.parts)))


def find_masks_in_folders(
    scene: Scene, ids: list[str], labelled: list[RoleFile]
) -> dict[str, RoleFile]:
    """Return folder -> the mask in it: the file that training folders alone have.

    Of several the one that most folders have, of two values.
    """
    of_test = {PurePosixPath(file.name).name for file in scene.test_files}
    by_name: dict[str, dict[str, RoleFile]] = {}
    for file in labelled:
        name = PurePosixPath(file.name).name
        is_readable = PurePosixPath(name).suffix.lower() in ENDINGS
        if is_readable and name not in of_test and MASK_WORD.search(file.stem):
            by_name.setdefault(name, {})[file.parts[-1]] = file
    ordered = sorted(by_name.items(), key=lambda item: (-len(item[1]), item[0]))
    for _, found in ordered:
        if open_mask(scene, next(iter(found.values()))) is not None:
            return found
    return {}


def open_mask(scene: Scene, file: RoleFile) -> Cells | None:
    """Return which cells of a mask are set; None where it is no flat map of two values.

    Raises TaskError where it cannot be read.
    """
    from PIL import Image

    suffix = PurePosixPath(file.name).suffix.lower()
    try:
        content = io.BytesIO(read_bytes(scene, file))
        if suffix == ".npy":
            cells = np.load(content, allow_pickle=False)
        else:
            with Image.open(content) as picture:
                is_coloured = picture.mode not in ("1", "L", "I", "I;16", "F", "P")
                cells = np.asarray(picture.convert("L") if is_coloured else picture)
    except (OSError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise TaskError(f"{scene.root / file.path} cannot be read as a mask ({error})") from error
    cells = np.squeeze(cells)
    if cells.ndim != 2 or cells.dtype.kind not in "buif":
        return None
    if suffix not in LOSSY and len(np.unique(cells)) > 2:
        return None
    low, high = float(cells.min()), float(cells.max())
    return np.asarray(cells > (high / 2 if low >= 0 else 0))


def read_order(description: str) -> Order | None:
    """Return how a description counts cells: F down the columns, C along the rows."""
    is_down, is_along = bool(DOWN.search(description)), bool(ALONG.search(description))
    if is_down == is_along:
        return None
    return "F" if is_down else "C"


def write_runs(cells: Cells, order: Order, start: int, empty: str) -> str:
    """Write a mask as run lengths, `start length …`; an empty one as the sample writes it."""
    flat = np.concatenate([[0], cells.ravel(order=order).astype(np.int8), [0]])
    edges = np.flatnonzero(np.diff(flat))
    if not len(edges):
        return empty
    starts, ends = edges[::2], edges[1::2]
    return " ".join(f"{a + start} {b - a}" for a, b in zip(starts, ends, strict=True))


def tables_of_masks(
    scene: Scene, columns: SampleColumns, masks: dict[str, RoleFile]
) -> LayoutTables:
    """Return a row per mask, its label the run lengths. Raises TaskError."""
    assert scene.sample is not None and scene.sample_path is not None
    [key], [target] = columns.ids, columns.predicted
    page, example = scene.root / "description.md", next(iter(masks.values()))
    description = page.read_text(errors="replace") if page.is_file() else ""
    order = read_order(description)
    if order is None:
        raise need_reader(
            f"{scene.root}: {len(masks)} masks such as {example.path} are the labels, and nothing "
            "says in which order the cells of a run are counted",
            otherwise="write into description.md 'pixels are numbered from top to bottom, then "
            "left to right' or 'from left to right, then top to bottom'",
        )
    start = 0 if FROM_ZERO.search(description) else 1
    said = scene.sample.frame[target].dropna().astype(str).str.strip()
    empty = next((text for text in said if text in ("-", "-1")), "")
    texts = {}
    for row, file in masks.items():
        cells = open_mask(scene, file)
        if cells is None:
            raise need_reader(f"{scene.root / file.path} is no mask of two values")
        texts[row] = write_runs(cells, order, start, empty)
    test, more = make_rows_of_sample(scene, columns)
    how = "down the columns" if order == "F" else "along the rows"
    n_empty = sum(text == empty for text in texts.values())
    folder = next(
        source.path for source in scene.inventory.sources if source.name == example.source
    )
    return LayoutTables(
        train=Table(
            pd.DataFrame({key: list(texts), target: list(texts.values())}, dtype="str"), []
        ),
        test=Table(test, []),
        labels=folder,
        rows=scene.sample_path,
        sample=scene.sample_path,
        id=key,
        sample_id=key,
        target=[target],
        readings=[
            f"labels: {len(texts)} masks such as {example.path}, written as run lengths counted "
            f"from {start} {how}, as description.md says; {n_empty} are empty"
            + (f" and written {empty!r} as in the sample" if empty else ""),
            more,
        ],
    )
