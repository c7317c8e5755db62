"""Predictions that no honest model makes are refused before any score counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from trust_kit import binary_frames, ready, save, write_frames

from task.grade.grade import grade_execution
from task.types import Prepared


@pytest.fixture
def prepared(tmp_path: Path) -> Prepared:
    """A small task: below 200 rows the gates that fit models are not asked."""
    train, test = binary_frames(120, 40)
    train["later"] = train["label"] * 2.0 + np.linspace(0, 0.5, len(train))
    train["twice"] = test["twice"] = 0.5  # the same everywhere
    train["shown"], test["shown"] = train["label"] * 3.0, np.linspace(0, 3, len(test))
    train.loc[0, "shown"] = 1.5  # no copy of the labels
    return ready(write_frames(tmp_path / "task", train, test, metric="auc"), audit=False)


def judged(prepared: Prepared, folder: Path, values: Any) -> tuple[bool, list[str]]:
    shown, asked = (pd.read_csv(f"{prepared.public}/{name}.csv") for name in ("train", "test"))
    files = {
        "oof.csv": save(folder / "oof.csv", shown["id"], values(shown)),
        "submission.csv": save(folder / "sub.csv", asked["id"], asked["x"] - asked["y"]),
    }
    grade = grade_execution(prepared, files, {}, None)
    return grade["ok"], [problem["code"] for problem in grade["problems"]]


def test_a_copy_of_the_labels_is_refused(prepared: Prepared, tmp_path: Path) -> None:
    assert judged(prepared, tmp_path, lambda rows: rows["label"]) == (False, ["leak_copy"])


def test_a_copy_of_a_column_that_test_lacks_is_refused(prepared: Prepared, tmp_path: Path) -> None:
    assert judged(prepared, tmp_path, lambda rows: rows["later"]) == (False, ["leak_copy"])


def test_a_copy_of_a_column_that_test_has_is_a_model(prepared: Prepared, tmp_path: Path) -> None:
    assert judged(prepared, tmp_path, lambda rows: rows["shown"]) == (True, [])


def test_the_same_prediction_for_every_row_is_refused(prepared: Prepared, tmp_path: Path) -> None:
    assert judged(prepared, tmp_path, lambda rows: rows["twice"]) == (False, ["constant"])


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda rows: rows.iloc[:-3], "missing_rows"),
        (lambda rows: pd.concat([rows, rows.tail(1)]), "duplicate_ids"),
        (lambda rows: pd.concat([rows, rows.tail(1).assign(id="nobody")]), "unknown_ids"),
        (lambda rows: rows.assign(label=rows["label"].where(rows.index > 0)), "nan"),
        (lambda rows: rows.assign(label=np.where(rows.index > 0, rows["label"], np.inf)), "nan"),
        (lambda rows: rows.assign(label="high"), "not_numeric"),
        (lambda rows: rows.assign(more=1), "wrong_columns"),
    ],
)
def test_a_broken_file_is_refused_by_its_fault(
    prepared: Prepared, tmp_path: Path, change: Any, code: str
) -> None:
    shown = pd.read_csv(f"{prepared.public}/train.csv")
    table = pd.DataFrame({"id": shown["id"], "label": shown["x"] - shown["y"]})
    change(table).to_csv(tmp_path / "oof.csv", index=False)
    files = {"oof.csv": str(tmp_path / "oof.csv"), "submission.csv": str(tmp_path / "oof.csv")}
    grade = grade_execution(prepared, files, {}, None)
    assert not grade["ok"] and [problem["code"] for problem in grade["problems"]] == [code]


def test_a_file_out_of_proportion_is_not_read(prepared: Prepared, tmp_path: Path) -> None:
    (tmp_path / "oof.csv").write_bytes(b"id,label\n" + b"x" * 2**23)
    files = {"oof.csv": str(tmp_path / "oof.csv"), "submission.csv": str(tmp_path / "oof.csv")}
    assert [each["code"] for each in grade_execution(prepared, files, {}, None)["problems"]] == [
        "too_large"
    ]
