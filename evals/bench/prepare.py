"""Seconds and peak memory of reading, preparing and profiling a long and a wide table.

python -m evals.bench.prepare [--rows 500000] [--columns 5000] [--rehearse]

Each table is made up from a fixed seed, four fifths of its rows are the training table, and every
measurement runs in a process of its own, whose peak memory includes the libraries.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from task.data.prepare import prepare_task
from task.data.profile import profile_data
from task.grade.rehearse import rehearse
from task.load.spec import load_task

LONG_COLUMNS, WIDE_ROWS = 30, 1000
N_WORDS, N_DATES = 6, 2  # of the columns of the long table


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=500_000, help="of the long table")
    parser.add_argument("--columns", type=int, default=5000, help="of the wide table")
    parser.add_argument("--rehearse", action="store_true", help="rehearse the metric, too")
    parser.add_argument("--measure", metavar="FOLDER", help="measure one task in this process")
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure_task(Path(options.measure), options.rehearse)))
        return
    for name, frame in (
        ("long", make_long_table(options.rows)),
        ("wide", make_wide_table(options.columns)),
    ):
        with tempfile.TemporaryDirectory(prefix="gome-bench-") as place:
            folder = Path(place) / name
            write_tables(frame, folder)
            command = [sys.executable, "-m", "evals.bench.prepare", "--measure", str(folder)]
            command += ["--rehearse"] * options.rehearse
            done = subprocess.run(command, capture_output=True, text=True, check=True)
        found = json.loads(done.stdout)
        stages = ", ".join(f"{stage} {wall:.1f} s" for stage, wall in found["seconds"].items())
        print(
            f"{name}: {len(frame)} rows, {len(frame.columns)} columns: "
            f"{sum(found['seconds'].values()):.1f} s ({stages}), {found['cpu_s']:.1f} s of "
            f"processors, peak {found['peak_mib']:.0f} MiB",
            flush=True,
        )


def make_long_table(n_rows: int) -> pd.DataFrame:
    """Return id, numbers, words, dates and a 0/1 target: 30 columns."""
    rng = np.random.default_rng(0)
    n_numbers = LONG_COLUMNS - N_WORDS - N_DATES - 2
    columns: dict[str, object] = {"id": np.arange(n_rows)}
    columns |= {f"x{i}": rng.normal(size=n_rows).round(4) for i in range(n_numbers)}
    for i in range(N_WORDS):
        words = np.array([f"word {j}" for j in range(5 * 4**i)])
        columns[f"w{i}"] = words[rng.integers(0, len(words), n_rows)]
    days = pd.date_range("2015-01-01", periods=3000, freq="D").strftime("%Y-%m-%d").to_numpy()
    columns |= {f"d{i}": days[rng.integers(0, len(days), n_rows)] for i in range(N_DATES)}
    frame = pd.DataFrame(columns)
    return frame.assign(target=(frame["x0"] + rng.normal(size=n_rows) > 0).astype(int))


def make_wide_table(n_columns: int) -> pd.DataFrame:
    """Return id, numbers and a numeric target: 1,000 rows."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(WIDE_ROWS, n_columns - 2)).round(4)
    frame = pd.DataFrame(values, columns=[f"g{i}" for i in range(n_columns - 2)])
    frame.insert(0, "id", np.arange(WIDE_ROWS))
    return pd.concat([frame, frame["g0"].rename("target") * 3], axis=1)


def write_tables(frame: pd.DataFrame, folder: Path) -> None:
    """Write train.csv and test.csv."""
    folder.mkdir()
    n_train = len(frame) * 4 // 5
    frame[:n_train].to_csv(folder / "train.csv", index=False)
    frame[n_train:].drop(columns="target").to_csv(folder / "test.csv", index=False)


def measure_task(folder: Path, is_rehearsed: bool) -> dict[str, object]:
    """Return seconds of every stage, of the processors, and peak memory in MiB."""
    seconds = {}
    processors = time.process_time()
    began = time.perf_counter()
    task = load_task(str(folder))
    seconds["load"] = time.perf_counter() - began
    began = time.perf_counter()
    prepared = prepare_task(
        task, str(folder / "public"), str(folder / "private"), seed=0, audit=True
    )
    seconds["prepare"] = time.perf_counter() - began
    began = time.perf_counter()
    profile_data(prepared)
    seconds["profile"] = time.perf_counter() - began
    if is_rehearsed:
        began = time.perf_counter()
        rehearse(prepared)
        seconds["rehearse"] = time.perf_counter() - began
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    cpu_s = time.process_time() - processors
    return {"seconds": seconds, "cpu_s": cpu_s, "peak_mib": peak_kib / 1024}


if __name__ == "__main__":
    main()
