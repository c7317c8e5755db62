"""Plots of a report: what is counted is right, and no row can be told from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import confusion_matrix, roc_auc_score
from trust_kit import binary_frames, ready, save, write_frames

from task.grade.plots import (
    MIN_ROWS,
    binary_panel,
    bound_groups,
    classes_panel,
    describe_predictions,
    regression_panel,
)
from task.grade.predictions import get_truth
from task.types import Prepared


def panels_of(tmp_path: Path, task: Prepared, predict: Any) -> list[Any]:
    """Panels of predictions made from the public training table."""
    train = pd.read_csv(f"{task.public}/train.csv")
    folds = pd.read_csv(f"{task.public}/folds.csv")
    train = train[train["id"].isin(folds.loc[folds["fold"] >= 0, "id"])]
    return list(describe_predictions(task, save(tmp_path / "oof.csv", train["id"], predict(train))))


def test_two_classes_have_roc_and_calibration(tmp_path: Path) -> None:
    train, test = binary_frames(3000, 100)
    task = ready(write_frames(tmp_path / "task", train, test, metric="auc"))
    assert task.n_audit, "some rows are held back"
    [panel] = panels_of(tmp_path, task, lambda f: 1 / (1 + np.exp(f["y"] - f["x"])))
    truth = get_truth(task)
    assert panel["kind"] == "binary" and panel["n"] == len(truth.y) < 3000
    assert panel["n_positive"] == truth.y.sum()
    assert panel["auc"] > 0.8 and 30 <= len(panel["groups"]) <= 40
    assert sum(n for n, _ in panel["groups"]) == panel["n"]
    assert [n for n, *_ in panel["calibration"]] == [-(-panel["n"] // 10)] * 9 + [
        panel["n"] - 9 * -(-panel["n"] // 10)
    ]
    means = [mean for _, mean, _ in panel["calibration"]]
    assert means == sorted(means)
    json.dumps(panel, allow_nan=False)


def test_the_area_under_the_grouped_curve_is_near_the_true_one() -> None:
    rng = np.random.default_rng(0)
    y = (rng.random(5000) < 0.2).astype(float)
    p = rng.normal(size=5000) + y
    panel = binary_panel("t", "yes", y, p)
    hits = np.cumsum([0, *(k for _, k in panel["groups"])]) / y.sum()
    misses = np.cumsum([0, *(n - k for n, k in panel["groups"])]) / (5000 - y.sum())
    area = float(np.sum(np.diff(misses) * (hits[1:] + hits[:-1]) / 2))
    assert area == pytest.approx(roc_auc_score(y, p), abs=0.005)
    assert panel["calibration"] == [], "a score beyond 0..1 is no probability"


@given(
    arrays(float, st.integers(1, 300), elements=st.floats(0, 1, allow_nan=False, width=16)),
    st.integers(1, 40),
)
def test_groups_keep_equal_values_together_and_are_never_small(values: Any, n: int) -> None:
    ordered = np.sort(values)
    bounds = bound_groups(ordered, n)
    assert [start for start, _ in bounds] == [0, *(end for _, end in bounds[:-1])]
    assert bounds[-1][1] == len(ordered)
    assert all(ordered[end - 1] != ordered[end] for _, end in bounds[:-1])
    assert len(bounds) == 1 or all(end - start >= MIN_ROWS for start, end in bounds)


def test_several_classes_have_a_confusion_matrix(tmp_path: Path) -> None:
    train, test = binary_frames(600, 100)
    for frame in (train, test):
        names = np.array(["low", "mid", "top"])
        frame["label"] = names[np.digitize(frame["x"], (-0.5, 0.5))]
    task = ready(write_frames(tmp_path / "task", train, test, metric="accuracy"))
    [panel] = panels_of(tmp_path, task, lambda f: np.where(f["x"] > 0, "top", "low"))
    truth = get_truth(task)
    assert panel["labels"] == ["low", "mid", "top"] and panel["n"] == len(truth.y)
    matrix = np.array(panel["matrix"])
    assert matrix.sum() == panel["n"] and not matrix[:, 1].any()
    assert matrix[0, 2] == matrix[2, 0] == 0 and matrix[1, 0] and matrix[1, 2]
    bars = {bar["label"]: bar for bar in panel["bars"]}
    assert bars["mid"]["recall"] == 0 and bars["low"]["recall"] == 1
    assert 0.4 < bars["top"]["precision"] < 0.8


def test_rare_classes_are_joined() -> None:
    rng = np.random.default_rng(1)
    labels = [f"c{i}" for i in range(50)]
    y = np.minimum(rng.geometric(0.1, 4000) - 1, 49).astype(float)
    guess = np.where(rng.random(4000) < 0.6, y, rng.integers(0, 50, 4000)).astype(float)
    codes = {label: float(index) for index, label in enumerate(labels)}
    panel = classes_panel("t", labels, y, guess, codes)
    assert len(panel["labels"]) == 12 and panel["labels"][-1] == "other"
    assert panel["n_joined"] == 39 and len(panel["bars"]) == 30
    assert np.array(panel["matrix"]).sum() == 4000
    kept = [labels.index(label) for label in panel["labels"][:-1]]
    whole = confusion_matrix(y, guess, labels=range(50))
    assert (np.array(panel["matrix"])[:-1, :-1] == whole[np.ix_(kept, kept)]).all()
    assert panel["accuracy"] == pytest.approx((y == guess).mean())


@pytest.mark.parametrize("metric", ["rmse", "mae"])
def test_values_have_a_map_and_residuals(tmp_path: Path, metric: str) -> None:
    train, test = binary_frames(800, 100)
    for frame in (train, test):
        frame["label"] = 100 * frame["x"] + 7
    task = ready(write_frames(tmp_path / "task", train, test, metric=metric))
    [panel] = panels_of(tmp_path, task, lambda f: 100 * f["x"] + 10 * f["y"])
    assert panel["kind"] == "regression" and panel["r2"] > 0.95
    counts = np.array(panel["counts"])
    assert counts.sum() == panel["n"] == sum(panel["residuals"])
    diagonal = sum(np.trace(counts, k) for k in (-2, -1, 0, 1, 2))
    assert diagonal > 0.8 * panel["n"] and panel["scale"] == "linear"
    assert len(panel["bands"]) == 10 and abs(panel["bands"][4][3] - 7) < 5


def test_skewed_values_have_a_log_scale() -> None:
    y = np.exp(np.random.default_rng(0).normal(8, 2, 2000))
    panel = regression_panel("price", y, y * 1.1)
    assert panel["scale"] == "log" and np.trace(np.array(panel["counts"])) > 1000


@given(
    arrays(float, st.integers(1, 80), elements=st.floats(-1e9, 1e9)),
    st.floats(-1e6, 1e6),
)
def test_any_values_can_be_described(y: Any, shift: float) -> None:
    panel = regression_panel("t", y, y + shift)
    assert sum(map(sum, panel["counts"])) == sum(panel["residuals"]) == len(y)
    assert panel["edges"] == sorted(panel["edges"])


def test_no_label_of_a_row_stands_in_a_panel() -> None:
    """Labels with many digits: none is in the JSON, not even the largest or the smallest."""
    rng = np.random.default_rng(3)
    y = np.round(rng.normal(50_000, 20_000, 400), 3)
    panel = regression_panel("t", y, y + rng.normal(0, 4_000, 400))
    written = json.dumps(panel)
    assert not [value for value in y if str(value) in written]


def test_rankings_and_broken_files_have_no_plots(tmp_path: Path) -> None:
    train, test = binary_frames(200, 50)
    task = ready(write_frames(tmp_path / "task", train, test, metric="auc"))
    (tmp_path / "oof.csv").write_text("id,label\nr0,nonsense\n")
    assert describe_predictions(task, str(tmp_path / "oof.csv")) == []
    assert describe_predictions(task, str(tmp_path / "absent.csv")) == []
