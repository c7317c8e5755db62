"""Shared by the trust tests: tasks and prediction files made in memory, and noisy scripts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from kit import write_task

from briefs.task_brief import make_task_brief
from graph.settings import Settings
from run.folder import make_run_folder
from run.registry import open_run
from run.run import Run
from run.setup import Setup, write_setup
from task.data.prepare import prepare_task
from task.load.spec import load_task
from task.types import Prepared

ONE_COLUMN = '''"""The column {column} alone, as a score."""
import csv, os, random
random.seed({noise_seed} + int(os.environ.get("GOME_SEED", 0)))
rows = list(csv.DictReader(open("input/train.csv")))
known = {{row["id"] for row in csv.DictReader(open("input/folds.csv")) if row["fold"] != "-1"}}
def write(name, rows):
    with open(name, "w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["id", "label"])
        for row in rows:
            z = {sign} * float(row["{column}"]) + random.gauss(0, {noise})
            out.writerow([row["id"], 1 / (1 + 2.718281828 ** -z)])
write("oof.csv", [row for row in rows if row["id"] in known])
write("submission.csv", list(csv.DictReader(open("input/test.csv"))))
'''


def one_column(column: str, sign: int = 1, noise: float = 0.01, noise_seed: int = 0) -> str:
    return ONE_COLUMN.format(column=column, sign=sign, noise=noise, noise_seed=noise_seed)


def write_frames(
    folder: Path, train: pd.DataFrame, test: pd.DataFrame, metric: str, **spec: Any
) -> Path:
    """A task folder from two frames with `id` and, in train, `label`."""
    folder.mkdir(parents=True, exist_ok=True)
    train.to_csv(folder / "train.csv", index=False)
    test.drop(columns="label", errors="ignore").to_csv(folder / "test.csv", index=False)
    lines = {
        "name": folder.name,
        "metric": metric,
        "train": "train.csv",
        "test": "test.csv",
        "id": "id",
        "target": "label",
    } | spec
    (folder / "task.yaml").write_text("".join(f"{key}: {value}\n" for key, value in lines.items()))
    return folder


def ready(folder: Path, *, seed: int = 0, audit: bool = True) -> Prepared:
    """The task prepared beside its folder."""
    place = folder.with_name(folder.name + "-ready")
    return prepare_task(
        load_task(str(folder)),
        str(place / "public"),
        str(place / "private"),
        seed=seed,
        audit=audit,
    )


def binary_frames(n: int, n_test: int, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Two informative columns and noise; the label follows x - y."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(rng.normal(size=(n + n_test, 3)), columns=["x", "y", "z"])
    frame["label"] = (frame["x"] - frame["y"] + rng.normal(0, 1, len(frame)) > 0).astype(int)
    frame.insert(0, "id", [f"r{i}" for i in range(len(frame))])
    return frame.iloc[:n].reset_index(drop=True), frame.iloc[n:].reset_index(drop=True)


def save(path: Path, ids: Any, values: Any, column: str = "label") -> str:
    pd.DataFrame({"id": ids, column: values}).to_csv(path, index=False)
    return str(path)


def open_run_without_worker(tmp_path: Path, **changes: Any) -> Run:
    """Open a run whose setup needs no task worker."""
    folder = tmp_path / "run"
    make_run_folder(folder, "task", Settings.model_validate({"memory": "off"} | changes))
    task = ready(write_task(tmp_path / "task")).model_copy(update={"n_audit": 200})
    brief = make_task_brief(task, "probability")
    setup = Setup(prepared=task, profile={}, brief=brief, packages={}, cpus=1, tier="none")
    write_setup(folder, setup)
    return open_run(folder)


def class_task(folder: Path, n: int, *, noise: float) -> Path:
    """A task folder of two classes with five columns; without noise x - y alone decides."""
    rng = np.random.default_rng(3)
    frame = pd.DataFrame(rng.normal(size=(n + 60, 5)), columns=["x", "y", "u", "v", "w"])
    signal = frame["x"] - frame["y"] + noise * rng.normal(size=len(frame))
    frame["label"] = (signal > 0).astype(int)
    frame.insert(0, "id", [f"r{i}" for i in range(len(frame))])
    return write_frames(folder, frame.iloc[:n], frame.iloc[n:], "auc")
