"""Columns of a task folder for the contestants: plain, and the same for all of them.

The contestants are scripts that run in environments without Gome: pandas, scikit-learn and what
they are named after is all that they need.
"""

from __future__ import annotations

import io
import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

PROBABILITIES = ("auc", "log_loss", "average_precision", "brier")
LABELS = (
    "accuracy",
    "f1",
    "f1_macro",
    "f1_micro",
    "f1_weighted",
    "balanced_accuracy",
    "qwk",
    "mcc",
)
TEXTS = ("edit_distance", "dice_masks")
N_CORES = int(os.environ.get("OMP_NUM_THREADS", "1"))
MIN_LETTERS = 12  # of a column's mean: shorter words with many repeats are categories


@dataclass
class Task:
    """A task folder: its tables, and columns by kind."""

    folder: Path
    metric: str
    target: list[str]
    train: pd.DataFrame
    test: pd.DataFrame
    sample: pd.DataFrame
    numeric: list[str] = field(default_factory=list)
    categorical: list[str] = field(default_factory=list)
    text: list[str] = field(default_factory=list)

    @property
    def is_classification(self) -> bool:
        """Whether the target is a class."""
        return self.metric in (*PROBABILITIES, *LABELS) or self.metric.startswith("map@")

    @property
    def is_text(self) -> bool:
        """Whether any text is an answer."""
        return self.metric in TEXTS

    @property
    def is_relative(self) -> bool:
        """Whether the metric compares ratios, so that models fit the logarithm."""
        return self.metric.startswith("rmsle") or self.metric in ("mape", "smape")


def read_task(folder: Path) -> Task:
    """Read a task folder; dates and files of the rows become numbers."""
    about = yaml.safe_load((folder / "task.yaml").read_text())
    target = about["target"] if isinstance(about["target"], list) else [about["target"]]
    train, test = pd.read_csv(folder / "train.csv"), pd.read_csv(folder / "test.csv")
    sample = pd.read_csv(folder / "sample_submission.csv", keep_default_na=False)
    task = Task(folder, about["metric"], target, train, test, sample)
    if task.is_text:
        for name in task.target:
            task.train[name] = task.train[name].fillna("").astype(str)
    for column in [str(name) for name in test if name != "id"]:
        _sort_column(task, column)
    _add_files(task)
    return task


def _sort_column(task: Task, name: str) -> None:
    """Put a column among the numbers, categories or texts; a date becomes numbers."""
    both = pd.concat([task.train[name], task.test[name]])
    if pd.api.types.is_numeric_dtype(both):
        task.numeric.append(name)
        return
    words = both.dropna().astype(str)
    if words.str.match(r"^\d{4}-\d{2}-\d{2}").mean() > 0.9:
        _add_date(task, name)
    elif words.str.len().mean() > MIN_LETTERS or words.nunique() > 0.5 * len(words):
        task.text.append(name)
        for table in (task.train, task.test):
            table[name] = table[name].fillna("").astype(str)
    else:
        task.categorical.append(name)
        for table in (task.train, task.test):
            table[name] = table[name].fillna("none").astype(str)


def _add_date(task: Task, name: str) -> None:
    for table in (task.train, task.test):
        when = pd.to_datetime(table[name])
        table[f"{name}_days"] = (when - pd.Timestamp("2000-01-01")).dt.total_seconds() / 86400
        for part in ("year", "month", "day", "dayofyear", "weekday", "hour"):
            table[f"{name}_{part}"] = getattr(when.dt, part).astype(float)
    parts = ("days", "year", "month", "day", "dayofyear", "weekday", "hour")
    task.numeric += [f"{name}_{part}" for part in parts]


def _add_files(task: Task) -> None:
    """Add the numbers of every row's picture, sound or table."""
    found = sorted((task.folder / "train").glob("*")) if (task.folder / "train").is_dir() else []
    if not found or task.is_text:
        return
    ending = found[0].suffix
    read = {".png": read_picture, ".wav": read_sound, ".csv": read_series}[ending]
    blocks = [
        np.array([read(task.folder / part / f"{row}{ending}") for row in table["id"]])
        for part, table in (("train", task.train), ("test", task.test))
    ]
    names = [f"file{i:04d}" for i in range(blocks[0].shape[1])]
    tables = [
        pd.concat([table, pd.DataFrame(block, columns=names)], axis=1)
        for table, block in zip((task.train, task.test), blocks, strict=True)
    ]
    task.train, task.test = tables
    task.numeric += names


def read_picture(path: Path) -> Any:
    """Return the grey values of a picture of 28 x 28 pixels."""
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image.convert("L").resize((28, 28)), dtype=float).ravel() / 255


def read_sound(path: Path) -> Any:
    """Return mean and spread of the bands of a sound's spectrogram, its length and loudness."""
    from scipy.io import wavfile
    from scipy.signal import spectrogram

    rate, wave = wavfile.read(io.BytesIO(path.read_bytes()))
    wave = np.pad(wave.astype(float), (0, max(0, 256 - len(wave))))
    _, _, power = spectrogram(wave / max(np.abs(wave).max(), 1e-9), rate, nperseg=256)
    bands = np.log(np.array([part.mean(axis=0) for part in np.array_split(power, 32)]) + 1e-10)
    return np.concatenate(
        [bands.mean(1), bands.std(1), [len(wave) / rate, np.sqrt((wave**2).mean())]]
    )


def read_series(path: Path) -> Any:
    """Return mean, spread, ends and steps of every column of a series."""
    values = pd.read_csv(path).to_numpy(float)
    steps = np.abs(np.diff(values, axis=0)).mean(axis=0)
    parts = [values.mean(0), values.std(0), values.min(0), values.max(0), values[0], values[-1]]
    return np.concatenate([*parts, steps, [len(values)]])


def write_submission(task: Task, answer: Any, classes: Any, path: Path) -> None:
    """Write predictions in the form of the sample: probabilities, labels, values or texts."""
    made = task.sample[["id"]].copy()
    assert list(made["id"]) == list(task.test["id"])
    columns = list(task.sample.columns[1:])
    if task.metric in PROBABILITIES and len(columns) > 1:
        by_name = {str(name): place for place, name in enumerate(classes)}
        for column in columns:
            made[column] = answer[:, by_name[column]]
    elif task.metric in PROBABILITIES:
        made[columns[0]] = answer[:, 1]
    elif task.metric.startswith("map@"):
        best = (-answer).argsort(axis=1)[:, : int(task.metric.removeprefix("map@"))]
        made[columns[0]] = [" ".join(str(classes[i]) for i in row) for row in best]
    elif task.is_classification:
        made[columns[0]] = np.asarray(classes)[answer.argmax(axis=1)]
    else:
        made[columns] = np.asarray(answer).reshape(len(made), len(columns))
    made.to_csv(path, index=False)


def answer_texts(task: Task) -> Any:
    """Answer every row with the answer of the training row that is most alike.

    Words are compared by groups of letters, pictures pixel by pixel.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.neighbors import NearestNeighbors

    if task.text or task.categorical:
        name = (task.text or task.categorical)[0]
        vectors = TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 4))
        known, new = vectors.fit_transform(task.train[name]), vectors.transform(task.test[name])
    else:
        known, new = (
            np.array([read_picture(task.folder / part / f"{row}.png") for row in table["id"]])
            for part, table in (("train", task.train), ("test", task.test))
        )
    nearest = NearestNeighbors(n_neighbors=1).fit(known).kneighbors(new, return_distance=False)
    return task.train[task.target[0]].to_numpy()[nearest[:, 0]]


def read_arguments() -> tuple[Task, Path, float]:
    """Return task, path of the submission, and when to stop: CPU seconds of this process."""
    return read_task(Path(sys.argv[1])), Path(sys.argv[2]), float(sys.argv[3])


def left_s(until: float) -> float:
    """Return how many CPU seconds are left; imports and reading have been counted."""
    return until - time.process_time()
