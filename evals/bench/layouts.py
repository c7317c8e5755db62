"""Measure how long tables and large folders are read: time and peak memory of each.

python -m evals.bench.layouts [--rows 20000000] [--files 200000] [--folder DIR]

A table of ROWS rows and seven columns is written, loaded and prepared in a process of its own; a
folder of FILES files is listed, and its labels are read from a table. What was written is removed.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from task.data.prepare import prepare_task
from task.load.layouts.inventory import list_folder
from task.load.spec import load_task

BLOCK_ROWS = 1_000_000
N_TEST = 10_000
FILES_PER_FOLDER = 1000


def make_rides(n: int, first: int, rng: np.random.Generator) -> pd.DataFrame:
    """Return rows of rides by taxi."""
    frame = pd.DataFrame({"key": np.arange(first, first + n)})
    for name in ("pickup_longitude", "pickup_latitude", "dropoff_longitude", "dropoff_latitude"):
        frame[name] = (40 + rng.normal(0, 0.05, n)).round(6)
    frame["passenger_count"] = rng.integers(1, 6, n)
    frame["fare_amount"] = rng.gamma(3, 4, n).round(2)
    return frame


def write_long_task(folder: Path, n_rows: int) -> None:
    """Write a task with a long training table, a block at a time."""
    rng = np.random.default_rng(0)
    for first in range(0, n_rows, BLOCK_ROWS):
        block = make_rides(min(BLOCK_ROWS, n_rows - first), first, rng)
        block.to_csv(folder / "train.csv", mode="a", index=False, header=first == 0)
    test = make_rides(N_TEST, n_rows, rng)
    test.drop(columns="fare_amount").to_csv(folder / "test.csv", index=False)
    test[["key"]].assign(fare_amount=11.35).to_csv(folder / "sample_submission.csv", index=False)


def write_many_files(folder: Path, n_files: int) -> None:
    """Write a task with one small file a row, a tenth of them to predict."""
    rng = np.random.default_rng(0)
    keys = [f"{index:08d}" for index in range(n_files)]
    n_train = n_files - n_files // 10
    for index, key in enumerate(keys):
        part = folder / ("train" if index < n_train else "test") / str(index // FILES_PER_FOLDER)
        if index % FILES_PER_FOLDER == 0 or index == n_train:
            part.mkdir(parents=True, exist_ok=True)
        (part / f"{key}.png").touch()
    labels = pd.DataFrame({"id": keys[:n_train], "label": rng.integers(0, 2, n_train)})
    labels.to_csv(folder / "train_labels.csv", index=False)
    sample = pd.DataFrame({"id": keys[n_train:], "label": 0.5})
    sample.to_csv(folder / "sample_submission.csv", index=False)
    (folder / "description.md").write_text("Scored by the area under the ROC curve.\n")


def measure_preparation(folder: Path) -> None:
    """Load and prepare a task; print times and the peak memory of this process."""
    began = time.perf_counter()
    task = load_task(str(folder))
    loaded = time.perf_counter()
    with tempfile.TemporaryDirectory(dir=folder.parent) as out:
        prepared = prepare_task(task, f"{out}/public", f"{out}/private", seed=0, audit=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"  loaded in {loaded - began:.0f} s, prepared in {time.perf_counter() - loaded:.0f} s: "
        f"{prepared.n_train:,} training rows, {prepared.n_audit:,} held back; "
        f"peak memory {peak:.2f} GiB",
        flush=True,
    )


def measure_apart(folder: Path) -> None:
    """Measure a preparation in a process of its own. Raises CalledProcessError."""
    command = [sys.executable, "-m", "evals.bench.layouts", "--measure", str(folder)]
    subprocess.run(command, check=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--files", type=int, default=200_000)
    parser.add_argument("--folder", type=Path, help="where to write; empty: the temporary folder")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        measure_preparation(given.measure)
        return
    with tempfile.TemporaryDirectory(prefix="gome-layouts-", dir=given.folder) as scratch:
        if given.rows:
            folder = Path(scratch) / "long"
            folder.mkdir()
            write_long_task(folder, given.rows)
            size = (folder / "train.csv").stat().st_size / 2**30
            print(f"{given.rows:,} rows, {size:.2f} GiB of csv", flush=True)
            measure_apart(folder)
        if given.files:
            folder = Path(scratch) / "many"
            folder.mkdir()
            write_many_files(folder, given.files)
            began = time.perf_counter()
            n_files = sum(len(source.files) for source in list_folder(folder).sources)
            print(f"{n_files:,} files listed in {time.perf_counter() - began:.1f} s", flush=True)
            measure_apart(folder)


if __name__ == "__main__":
    main()
