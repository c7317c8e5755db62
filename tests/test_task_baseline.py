"""The baseline of a task: a valid submission for every kind, and a script that repeats it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest
from trust_kit import binary_frames, ready, write_frames

from task.grade.baseline import make_baseline
from task.grade.predictions import get_truth, read_predictions
from task.types import BaselineMethod, TaskError

RNG = np.random.default_rng(1)
N, N_TEST = 240, 60
X = pd.DataFrame(RNG.normal(size=(N + N_TEST, 2)), columns=["x", "y"])
WORDS = ["low", "mid", "None"]
KINDS: dict[str, Any] = {
    "auc": (X.x > 0).astype(int),
    "accuracy": [WORDS[int(v)] for v in np.clip(np.floor(X.x + 1.5), 0, 2)],
    "log_loss": [WORDS[int(v)] for v in np.clip(np.floor(X.x + 1.5), 0, 2)],
    "qwk": np.clip(np.floor(X.x + 1.5), 0, 3).astype(int),
    "map@2": [WORDS[int(v)] for v in np.clip(np.floor(X.y + 1.5), 0, 2)],
    "rmse": X.x * 3 + RNG.normal(size=N + N_TEST),
    "rmsle": np.exp(X.x),
}


def write_kind(folder: Path, metric: str) -> Path:
    frame = X.assign(label=KINDS[metric], town=[f"town {i % 7}" for i in range(N + N_TEST)])
    frame.insert(0, "id", [f"{i:05}" for i in range(N + N_TEST)])
    return write_frames(folder, frame.iloc[:N], frame.iloc[N:], metric)


@pytest.mark.parametrize("metric", list(KINDS))
def test_every_kind_has_a_valid_baseline(tmp_path: Path, metric: str) -> None:
    prepared = ready(write_kind(tmp_path / "task", metric))
    truth = get_truth(prepared)
    prior, made = (
        make_baseline(prepared, str(tmp_path / method), method, limit_s=60, without=[])
        for method in get_args(BaselineMethod)
    )
    for method in get_args(BaselineMethod):
        path = str(tmp_path / method / "submission.csv")
        assert len(read_predictions(truth, path, "submission.csv", truth.test_ids)) == N_TEST
    assert made["score"] is not None and prior["score"] is not None
    sign = 1 if truth.metric.direction == "max" else -1
    assert sign * made["score"] > sign * prior["score"], (made, prior)


@pytest.mark.parametrize("method", ["prior", "plain model"])
def test_its_script_writes_the_same_submission(tmp_path: Path, method: BaselineMethod) -> None:
    prepared = ready(write_kind(tmp_path / "task", "log_loss"))
    made = tmp_path / "out"
    make_baseline(prepared, str(made), method, limit_s=60, without=[])
    place = tmp_path / "alone"
    place.mkdir()
    (place / "input").symlink_to(prepared.public)
    (place / "solution.py").write_text((made / "solution.py").read_text())
    command = [sys.executable, "-I", "solution.py"]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    one, two = (pd.read_csv(folder / "submission.csv") for folder in (made, place))
    pd.testing.assert_frame_equal(one, two)


def test_it_leaves_out_what_is_suspected_of_telling_the_target(tmp_path: Path) -> None:
    train, test = binary_frames(N, N_TEST)
    train, test = train.assign(told=train["label"]), test.assign(told=test["label"])
    prepared = ready(write_frames(tmp_path / "task", train, test, "auc"))
    with_it = make_baseline(prepared, str(tmp_path / "a"), "plain model", limit_s=60, without=[])
    without = make_baseline(
        prepared, str(tmp_path / "b"), "plain model", limit_s=60, without=["told"]
    )
    assert with_it["score"] == 1.0
    assert without["score"] is not None and without["score"] < 0.95


def test_without_time_there_is_no_plain_model(tmp_path: Path) -> None:
    prepared = ready(write_kind(tmp_path / "task", "auc"))
    with pytest.raises(TaskError, match="no more time"):
        make_baseline(prepared, str(tmp_path / "out"), "plain model", limit_s=0, without=[])


def test_rows_in_time_are_predicted_from_earlier_ones(tmp_path: Path) -> None:
    train, test = binary_frames(N, N_TEST)
    train["day"], test["day"] = range(N), range(N, N + N_TEST)
    prepared = ready(write_frames(tmp_path / "task", train, test, "auc", split="time:day"))
    made = make_baseline(prepared, str(tmp_path / "out"), "plain model", limit_s=60, without=[])
    assert made["score"] is not None and 0.6 < made["score"] < 0.95
