"""A refusal can be appealed: an honest script passes, a leak stays refused, power is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from media_kit import held_back_rows, write_image_task
from trust_kit import binary_frames, ready, save, write_frames

from task.data import prepare
from task.grade.appeal import list_lacks
from task.grade.grade import grade_execution
from task.types import GradeJson, Prepared


@pytest.fixture(autouse=True)
def audits_on_small_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hold rows back of small tables, and more of them than usual."""
    monkeypatch.setattr(prepare, "MIN_AUDITED_ROWS", 20)
    monkeypatch.setattr(prepare, "AUDIT_SHARE", 0.25)


class Faulty:
    """A task of which a share of the held-back rows lost a cell on its way, and scripts for it."""

    def __init__(self, place: Path, share: float) -> None:
        self.place = place
        train, test = binary_frames(1000, 100)
        self.prepared = ready(write_frames(place / "task", train, test, metric="auc"))
        self.label = train.set_index("id")["label"]
        self.train = pd.read_csv(f"{self.prepared.public}/train.csv", index_col="id")
        self.test = pd.read_csv(f"{self.prepared.public}/test.csv", index_col="id")
        held = list(held_back_rows(self.prepared)["id"])
        self.lost = held[: round(share * len(held))]
        self.test.loc[self.lost, "x"] = np.nan
        self.test.to_csv(f"{self.prepared.public}/test.csv")

    def grade(self, leak: float, without: list[str]) -> GradeJson:
        """The grade of a script that predicts rows without x blind; `leak` of a label in oof."""
        rng = np.random.default_rng(0)
        blind = pd.Series(rng.normal(size=len(self.test)), self.test.index)
        honest = (self.test["x"] - self.test["y"]).fillna(blind)
        oof = (1 - leak) * (self.train["x"] - self.train["y"]) + leak * 6 * self.train["label"]
        files = {
            "oof.csv": save(self.place / "oof.csv", self.train.index, oof),
            "submission.csv": save(self.place / "submission.csv", self.test.index, honest),
        }
        return grade_execution(self.prepared, files, {}, None, without=without)

    def lose(self, part: str, column: str, rows: Any) -> None:
        """Empty cells of a column of train.csv or test.csv."""
        path = f"{self.prepared.public}/{part}.csv"
        frame = pd.read_csv(path, index_col="id")
        frame.loc[rows, column] = np.nan
        frame.to_csv(path)


def test_an_honest_script_passes_on_appeal_and_a_leaking_one_does_not(tmp_path: Path) -> None:
    task = Faulty(tmp_path, 0.4)
    assert [lack["name"] for lack in list_lacks(task.prepared)] == ["cell:x"]
    honest, leaking = task.grade(0.0, []), task.grade(0.6, [])
    assert honest["audit_leak"] and leaking["audit_leak"] and honest["appeal"] is None
    after = task.grade(0.0, ["cell:x"])
    account = after["appeal"]
    assert after["ok"] and after["audit_leak"] is None and account is not None
    assert (account["refused"], account["of"] - account["left"]) == ("", len(task.lost))
    assert task.grade(0.6, ["cell:x"])["audit_leak"], "the leak shows on the rows that remain"
    unknown = task.grade(0.0, ["cell:nothing"])
    assert unknown["audit_leak"] and unknown["appeal"]
    assert "no held-back row lacks it" in unknown["appeal"]["refused"]


def test_validated_rows_are_never_left_out(tmp_path: Path) -> None:
    """A leak cannot hide in rows that lack a cell: they stay in the score and in its gates."""
    train, test = binary_frames(1000, 100)
    rng = np.random.default_rng(0)
    train["later"] = 2 * train["label"] + rng.normal(0, 0.3, len(train))
    test["later"] = 0.0
    train.loc[train.index[::4], "y"] = np.nan
    prepared = ready(write_frames(tmp_path / "task", train, test, metric="auc"))
    kept = pd.read_csv(f"{prepared.public}/train.csv")
    asked = pd.read_csv(f"{prepared.public}/test.csv")
    blur = np.where(kept["y"].isna(), 1.0, 0.1) * rng.normal(size=len(kept))
    files = {
        "oof.csv": save(tmp_path / "oof.csv", kept["id"], kept["later"] + blur),
        "submission.csv": save(tmp_path / "sub.csv", asked["id"], asked["later"]),
    }
    plain, after = (
        grade_execution(prepared, files, {}, None, without=names) for names in ([], ["cell:y"])
    )
    assert [each["code"] for each in plain["problems"]] == ["leak_column"]
    assert after["problems"] == plain["problems"] and after["score"] == plain["score"]
    assert after["appeal"] and "other rows lack it" in after["appeal"]["refused"]


def test_only_what_held_back_rows_alone_lack_can_be_named_and_enough_must_remain(
    tmp_path: Path,
) -> None:
    most = Faulty(tmp_path / "most", 0.7).grade(0.0, ["cell:x"])
    assert most["audit_leak"] and most["appeal"]
    assert "held-back rows would remain, too few" in most["appeal"]["refused"]
    future = Faulty(tmp_path / "future", 0.4)  # a cell that the test lacks too is what a test is
    held = set(held_back_rows(future.prepared)["id"])
    future.lose("test", "x", [key for key in future.test.index if key not in held][::3])
    refused = future.grade(0.0, ["cell:x"])
    assert list_lacks(future.prepared) == [] and refused["audit_leak"] and refused["appeal"]
    assert "other rows lack it" in refused["appeal"]["refused"]
    usual = Faulty(tmp_path / "usual", 0.4)
    usual.lose("train", "x", usual.train.index[::20])
    assert list_lacks(usual.prepared) == []
    assert usual.grade(0.0, ["cell:x"])["audit_leak"]


@pytest.mark.parametrize(
    ("share", "leak", "expected"), [(0.4, 0.0, "none"), (0.4, 1.0, "leak"), (0.9, 0.0, "silent")]
)
def test_held_back_rows_without_their_files_are_the_harness_fault_and_it_says_so(
    tmp_path: Path, share: float, leak: float, expected: str
) -> None:
    truth = write_image_task(tmp_path / "task", 700, 60).set_index("id")["label"] == "stork"
    prepared = ready(tmp_path / "task")
    held = held_back_rows(prepared).set_index("id")["label"] == "stork"
    lost = list(held.index[: round(share * len(held))])
    for key in lost:
        Path(prepared.inputs["test"], f"{key}.png").unlink()
    grade = grade_execution(prepared, picture_scores(prepared, truth, held, lost, leak), {}, None)
    said = f"{len(lost)} of {len(held)} held-back rows have no file in input/"
    if expected == "silent":
        assert grade["audit"] is None and grade["audit_leak"] is None
        assert grade["blind"] == f"{said}, so no held-back row judges this"
    else:
        assert grade["blind"] == f"{said}; the others judge" and grade["audit"]
        assert grade["audit"]["n"] == len(held) - len(lost)
        assert bool(grade["audit_leak"]) == (expected == "leak")


def picture_scores(
    prepared: Prepared, truth: Any, held: Any, lost: list[str], leak: float
) -> dict[str, str]:
    """Files of a script that reads the pictures, 85 % right, and predicts blind without one."""
    rng = np.random.default_rng(0)

    def score(labels: Any, right: float) -> Any:
        wrong = rng.random(len(labels)) > right
        return (labels.to_numpy() ^ wrong) * 0.6 + 0.2 + rng.normal(0, 0.05, len(labels))

    oof = pd.read_csv(f"{prepared.public}/folds.csv")["id"]
    test = pd.read_csv(f"{prepared.public}/test.csv")["id"]
    known = test.map(held).fillna(False).astype(bool)
    values = pd.Series(score(known, 0.85), test)
    values[lost] = 0.5 + rng.normal(0, 0.001, len(lost))
    place = Path(prepared.public).parent
    return {
        "oof.csv": save(place / "oof.csv", oof, score(oof.map(truth), 1.0 if leak else 0.85)),
        "submission.csv": save(place / "submission.csv", test, values.to_numpy()),
    }
