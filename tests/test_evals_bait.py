"""The study of bait: its tasks hold the shortcut in train alone, and guards are what it says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from evals.studies.bait import BAITED, HONEST, BaitPlan, BaitReasoner, render_page, write_bait_task


def test_private_rows_hold_no_shortcut(tmp_path: Path) -> None:
    write_bait_task(BaitPlan("entities", "gome", "all", 0), tmp_path / "e")
    train, test = (pd.read_csv(tmp_path / "e" / f"{part}.csv") for part in ("train", "test"))
    assert set(train["person"]).isdisjoint(test["person"])
    write_bait_task(BaitPlan("near_copies", "gome", "all", 0), tmp_path / "c")
    train, test = (pd.read_csv(tmp_path / "c" / f"{part}.csv") for part in ("train", "test"))
    numbers = [f"x{i}" for i in range(6)]
    far = np.linalg.norm(test[numbers].to_numpy()[:50, None] - train[numbers].to_numpy(), axis=2)
    near = np.linalg.norm(train[numbers].to_numpy()[:90, None] - train[numbers].to_numpy(), axis=2)
    assert far.min() > 0.1
    assert (np.sort(near, axis=1)[:, 1] < 0.05).mean() > 0.4


def test_groups_off_means_random_folds_of_the_users_own(tmp_path: Path) -> None:
    for without, told in (("all", False), ("groups", True), ("none", True), ("audit", False)):
        place = tmp_path / without
        write_bait_task(BaitPlan("entities", "tree", without, 1), place)
        assert ("folds.csv" in (place / "task.yaml").read_text()) is told
        assert "label" not in pd.read_csv(place / "test.csv")


def test_each_policy_is_offered_every_script_once() -> None:
    names = [name for name, _ in BaitReasoner(3).order]
    assert sorted(names) == sorted([*HONEST, *BAITED])
    assert names != [name for name, _ in BaitReasoner(4).order]


def test_the_page_counts_what_was_handed_over() -> None:
    row = {"kind": "entities", "policy": "gome", "without": "all", "seed": 0, "cv": 0.7}
    rows = [row | {"baited": baited, "beaten": True, "private": 0.5} for baited in (True, False)]
    assert "| gome | 1 of 2 (0.500) |" in render_page(rows)  # type: ignore[arg-type]
