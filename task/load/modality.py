"""What kind of data a task folder holds: tables, texts, pictures or sounds."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Literal, TypedDict

import pandas as pd

from task.load.spec import load_task
from task.load.tables import read_table
from task.types import TaskError

Modality = Literal["tabular", "text", "vision", "audio"]
EXTENSIONS: dict[Modality, tuple[str, ...]] = {
    "vision": ("jpg", "jpeg", "png", "bmp", "webp", "tif", "tiff", "gif", "dcm", "dicom"),
    "audio": ("wav", "mp3", "flac", "ogg", "m4a", "aiff", "aif"),
}
MAX_LOOKED_AT = 20_000  # files of the folder
MIN_FILES = 10  # of a kind; fewer are pictures of a description
N_ROWS, MIN_WORDS = 300, 6.0  # a column of texts has so many words in a cell


class ModalityJson(TypedDict):
    """The kind of data, and in a phrase what shows it."""

    modality: Modality
    why: str


def guess_modality(folder: str) -> ModalityJson:
    """Return what kind of data the folder holds, from file names and the training table."""
    counts = count_extensions(Path(folder).expanduser())
    for modality, extensions in EXTENSIONS.items():
        if (n := sum(counts[extension] for extension in extensions)) >= MIN_FILES:
            named = ", ".join(extension for extension in extensions if counts[extension])
            return {"modality": modality, "why": f"{n:,} files ({named})"}
    try:
        task = load_task(folder)
        frame = read_table(Path(task.train), n_rows=N_ROWS).frame
    except TaskError as error:
        return {"modality": "tabular", "why": f"nothing else is seen ({error})"[:200]}
    for name in frame:
        if name not in task.target and (words := mean_words(frame[name])) >= MIN_WORDS:
            return {"modality": "text", "why": f"texts in {name!r}, {words:.0f} words on average"}
    return {"modality": "tabular", "why": f"{len(frame.columns)} columns"}


def count_extensions(folder: Path) -> Counter[str]:
    """Count files by the end of their names, in a bounded walk."""
    counts: Counter[str] = Counter()
    for _, _, names in os.walk(folder):
        counts.update(name.rpartition(".")[2].lower() for name in names)
        if counts.total() > MAX_LOOKED_AT:
            break
    return counts


def mean_words(values: pd.Series[str]) -> float:
    """Return the mean number of words in the cells that have any; 0 for numbers."""
    if pd.api.types.is_numeric_dtype(values):
        return 0.0
    present = values.dropna().astype(object)
    return float(present.map(lambda text: len(str(text).split())).mean()) if len(present) else 0.0
