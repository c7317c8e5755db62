"""What a task of the suite is, how its rows are split, and how its folder is written."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from evals.suite.wheels import Wheels
from task.grade.metrics import get_metric
from task.load.form import label_text

SEED = 20261128
Rng = np.random.Generator


@dataclass(frozen=True)
class Split:
    """The rows of a task with their labels, and the files of the rows: path -> content."""

    train: pd.DataFrame
    test: pd.DataFrame
    files: dict[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class SuiteTask:
    """One real data set as a task.

    Attributes:
        name: of the task and of its folder.
        modality: what it is stratified by: table, group, series, text, image or sound.
        metric: a name of docs/task.md.
        target: columns to predict.
        text: the description that a user would write, without the metric's sentence.
        metric_text: the metric's sentence.
        make: makes the rows from the wheels; all chance comes from the generator.
        source: package and data set.
        licence: of the data where a file of the package states it, else of the package.
        rule: how train and test were split.
    """

    name: str
    modality: str
    metric: str
    target: tuple[str, ...]
    text: str
    metric_text: str
    make: Callable[[Wheels, Rng], Split]
    source: str
    licence: str
    rule: str = "random rows"

    @property
    def package(self) -> str:
        """The package that holds the data."""
        return self.source.split()[0]


def split_rows(frame: pd.DataFrame, rng: Rng, n_train: int, n_test: int) -> Split:
    """Split random rows."""
    rows = rng.permutation(len(frame))
    test = rows[n_train : n_train + n_test]
    return split_by_rows(frame, rows[:n_train], test)


def split_groups(frame: pd.DataFrame, group: Any, rng: Rng, n_train: int, n_test: int) -> Split:
    """Split whole groups, in random order, until there are enough rows."""
    groups = pd.Series(np.asarray(group)).reset_index(drop=True)
    order = rng.permutation(groups.unique())
    by_group = groups.groupby(groups).indices
    train: list[int] = []
    test: list[int] = []
    for name in order:
        part = train if len(train) < n_train else test
        if len(test) < n_test:
            part.extend(by_group[name])
    return split_by_rows(frame, np.sort(train), np.sort(test))


def split_later(frame: pd.DataFrame, is_test: Any) -> Split:
    """Split by a mask of the rows; both parts keep their order."""
    mask = np.asarray(is_test)
    return split_by_rows(frame, np.flatnonzero(~mask), np.flatnonzero(mask))


def split_by_rows(frame: pd.DataFrame, train: Any, test: Any) -> Split:
    """Number the rows in a column `id` and take two parts of them."""
    parts = [frame.iloc[np.asarray(rows)].reset_index(drop=True) for rows in (train, test)]
    numbers = np.arange(len(parts[0]) + len(parts[1]))
    for part, ids in zip(parts, (numbers[: len(parts[0])], numbers[len(parts[0]) :]), strict=True):
        part.insert(0, "id", [f"r{i:05d}" for i in ids])
    return Split(parts[0], parts[1])


def with_files(split: Split, contents: Callable[[Any], bytes], ending: str, column: str) -> Split:
    """Give every row a file ID.ending of what `contents` makes of a column, which is dropped."""
    files = {
        f"{part}/{row_id}.{ending}": contents(value)
        for part, frame in (("train", split.train), ("test", split.test))
        for row_id, value in zip(frame["id"], frame[column], strict=True)
    }
    return Split(split.train.drop(columns=column), split.test.drop(columns=column), files)


def write_suite_task(task: SuiteTask, wheels: Wheels, place: Path) -> None:
    """Write the task folder and, beside it, its private answers; nothing where it exists."""
    if (place / "task.yaml").exists():
        return
    split = task.make(wheels, np.random.default_rng([SEED, *task.name.encode()]))
    check_classes(task, split)
    private = place.with_name(place.name + "-private")
    building = place.with_name(place.name + ".part")  # a folder that is there is whole
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    private.mkdir(parents=True, exist_ok=True)
    private.chmod(0o700)
    targets = list(task.target)
    split.test[["id", *targets]].to_csv(private / "answers.csv", index=False)
    split.train.to_csv(building / "train.csv", index=False)
    split.test.drop(columns=targets).to_csv(building / "test.csv", index=False)
    sample_submission(task, split).to_csv(building / "sample_submission.csv", index=False)
    for path, content in split.files.items():
        (building / path).parent.mkdir(exist_ok=True)
        (building / path).write_bytes(content)
    (building / "description.md").write_text(
        f"# {task.name}\n\n{task.text}\n\n{task.metric_text}\n\nData: {task.source}.\n"
    )
    (building / "task.yaml").write_text(task_yaml(task))
    building.rename(place)


def check_classes(task: SuiteTask, split: Split) -> None:
    """Raise ValueError where an answer is a class that no training row has: no one can be right."""
    if get_metric(task.metric).needs not in ("probability", "label", "ranking"):
        return
    for name in task.target:
        unknown = set(split.test[name]) - set(split.train[name])
        if unknown:
            raise ValueError(f"{task.name}: no training row is {sorted(map(str, unknown))[0]!r}")


def task_yaml(task: SuiteTask) -> str:
    """Return what a user would tell: tables, id, target and metric; folds are not told."""
    target: Sequence[str] | str = task.target[0] if len(task.target) == 1 else list(task.target)
    keys = {
        "name": task.name,
        "metric": task.metric,
        "train": "train.csv",
        "test": "test.csv",
        "sample_submission": "sample_submission.csv",
        "id": "id",
        "target": target,
    }
    return yaml.safe_dump(keys, sort_keys=False)


def sample_submission(task: SuiteTask, split: Split) -> pd.DataFrame:
    """Return a submission that ignores everything but the labels' rates."""
    metric, frame = get_metric(task.metric), split.test[["id"]].copy()
    y = split.train[task.target[0]]
    if metric.needs == "probability" and y.nunique() > 2:
        for label in sorted(y.unique()):
            frame[label_text(label)] = round(float((y == label).mean()), 6)
    elif metric.needs == "probability":
        frame[task.target[0]] = round(float(y.mean()), 6)
    elif metric.needs == "value":
        for name in task.target:
            frame[name] = split.train[name].median()
    elif task.metric.startswith("map@"):
        most = y.value_counts().index[: int(task.metric.removeprefix("map@"))]
        frame[task.target[0]] = " ".join(map(str, most))
    else:
        frame[task.target[0]] = y.mode().iloc[0]
    return frame
