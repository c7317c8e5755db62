"""Leak gates: order of time and numbered ids are no leak; an id that sorts the labels is one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from trust_kit import ready, save, write_frames

from task.grade.grade import grade_execution

N = 1500


def judge(folder: Path, train: pd.DataFrame, test: pd.DataFrame, oof: Any) -> list[str]:
    """Codes of the problems of predictions for the training rows."""
    prepared = ready(folder)
    place = dict(zip(train["id"].astype(str), oof, strict=True))
    rows = pd.read_csv(f"{prepared.public}/folds.csv")["id"]
    sample = pd.read_csv(f"{prepared.public}/sample_submission.csv")
    files = {
        "oof.csv": save(folder / "oof.csv", rows, rows.astype(str).map(place)),
        "submission.csv": save(
            folder / "submission.csv", sample["id"], np.linspace(0.2, 0.8, len(sample))
        ),
    }
    grade = grade_execution(prepared, files, {}, None, every_gate=True)
    return [problem["code"] for problem in grade["problems"]]


def sorted_by_class(rng: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows numbered in the order of their class; test goes on."""
    label = np.sort(rng.integers(0, 2, N))
    train = pd.DataFrame({"id": range(N), "noise": rng.normal(size=N), "label": label})
    return train, pd.DataFrame({"id": range(N, N + 300), "noise": rng.normal(size=300)})


def test_an_id_that_sorts_the_labels_is_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    train, test = sorted_by_class(rng)
    folder = write_frames(tmp_path / "task", train, test, metric="auc")
    oof = np.clip(train["label"] + rng.normal(size=N) * 0.05, -1, 2) / 3 + 0.3
    assert judge(folder, train, test, oof) == ["leak_id"]


def test_predictions_from_pictures_of_rows_sorted_by_class_are_no_leak(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    train, test = sorted_by_class(rng)
    folder = write_frames(tmp_path / "task", train, test, metric="auc")
    (folder / "pictures").mkdir()
    (folder / "pictures" / "1.png").write_bytes(b"a picture")
    oof = 1 / (1 + np.exp(-(4 * train["label"] - 2 + rng.normal(size=N))))
    assert judge(folder, train, test, oof) == []


def test_the_hour_in_an_id_of_digits_is_no_leak(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    times = pd.date_range("2023-01-01", periods=N + 300, freq="h")
    ids = times.strftime("%Y%m%d%H").astype(int)
    value = 50 + 40 * np.sin(times.hour / 24 * 6.28) + rng.normal(size=N + 300) * 5
    frame = pd.DataFrame({"id": ids, "noise": rng.normal(size=N + 300), "label": value})
    frame = frame.sample(frac=1, random_state=0).reset_index(drop=True)
    train, test = frame[:N], frame[N:].drop(columns="label")
    folder = write_frames(tmp_path / "task", train, test, metric="rmse", split="random")
    hour = train["id"] % 100
    oof = 50 + 40 * np.sin(hour / 24 * 6.28) + rng.normal(size=N)
    assert judge(folder, train, test, oof) == []


def test_a_trend_along_numbered_rows_is_no_leak(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    order = np.arange(N + 300)
    trend = order / N * 4
    frame = pd.DataFrame({"id": order, "noise": rng.normal(size=N + 300)})
    frame["label"] = trend + rng.normal(size=N + 300)
    kept = np.sort(rng.permutation(N + 300)[:N])
    train = frame.iloc[kept].reset_index(drop=True)
    test = frame.drop(index=kept.tolist()).drop(columns="label").reset_index(drop=True)
    folder = write_frames(tmp_path / "task", train, test, metric="rmse", split="random")
    assert judge(folder, train, test, trend[kept] + rng.normal(size=N) * 0.1) == []
