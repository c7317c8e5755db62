"""Blending of predictions: honest weights, and one blend for score and driver."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from trust_kit import binary_frames, ready, save, write_frames

from task.grade.blend import blend_attempts, blend_driver
from task.types import TaskError


def members(prepared: Any, folder: Path, columns: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Files of members whose predictions are `columns` of the public tables."""
    found = {}
    for name, make in columns.items():
        place = folder / "members" / name
        place.mkdir(parents=True)
        train, test = (pd.read_csv(f"{prepared.public}/{which}.csv") for which in ("train", "test"))
        found[name] = {
            "oof": save(place / "oof.csv", train["id"], make(train)),
            "submission": save(place / "submission.csv", test["id"], make(test)),
        }
    return found


def squash(values: Any) -> Any:
    return 1 / (1 + np.exp(-values))


def test_two_halves_of_the_truth_are_blended_and_noise_gets_no_weight(tmp_path: Path) -> None:
    prepared = ready(write_frames(tmp_path / "task", *binary_frames(600, 100), metric="log_loss"))
    given = members(
        prepared,
        tmp_path,
        {
            "a": lambda f: squash(f["x"]),
            "b": lambda f: squash(-f["y"]),
            "c": lambda f: squash(4 * f["z"]),
        },
    )
    found = blend_attempts(prepared, given, str(tmp_path))
    assert set(found["weights"]) == {"a", "b"} and sum(found["weights"].values()) == pytest.approx(
        1
    )


def test_the_weights_that_score_a_fold_are_chosen_without_it(tmp_path: Path) -> None:
    """Members that are pure noise: weights chosen on all rows beat chance, nested ones do not."""
    train, test = binary_frames(400, 50)
    train["label"] = np.random.default_rng(5).integers(0, 2, len(train))
    prepared = ready(write_frames(tmp_path / "task", train, test, metric="auc"))
    rng = np.random.default_rng(1)
    given = members(prepared, tmp_path, {f"n{i}": lambda f: rng.random(len(f)) for i in range(12)})
    found = blend_attempts(prepared, given, str(tmp_path))
    truth = train.set_index("id")["label"]

    def score(values: pd.Series) -> float:
        from sklearn.metrics import roc_auc_score

        return float(roc_auc_score(truth[values.index], values))

    ranks = {
        name: pd.read_csv(paths["oof"], index_col=0)["label"].rank()
        for name, paths in given.items()
    }
    weights = pd.Series(found["weights"])
    greedy = score(pd.DataFrame(ranks)[list(weights.index)] @ weights)
    nested = score(pd.read_csv(found["oof"], index_col=0)["label"])
    assert greedy > 0.55 and nested < greedy - 0.03


@pytest.mark.parametrize("metric", ["auc", "log_loss", "accuracy", "qwk"])
def test_the_driver_runs_alone_and_gives_the_blend_that_was_scored(
    tmp_path: Path, metric: str
) -> None:
    train, test = binary_frames(300, 60)
    labels = metric in ("accuracy", "qwk")
    if labels:
        train["label"] = np.digitize(train["x"] - train["y"], [-1, 0, 1])
    prepared = ready(
        write_frames(
            tmp_path / "task", train, test, metric=metric, kind="multiclass" if labels else "binary"
        )
    )

    def shape(values: Any) -> Any:
        return np.digitize(values, [-0.7, 0, 0.7]) if labels else squash(values)

    given = members(
        prepared,
        tmp_path,
        {
            "t0s0": lambda f: shape(f["x"]),
            "t1s2": lambda f: shape(-f["y"]),
            "t1s3": lambda f: shape(f["x"] - f["y"] / 3),
        },
    )
    found = blend_attempts(prepared, given, str(tmp_path))
    alone = tmp_path / "best"
    for name, paths in given.items():
        folder = alone / "members" / name
        folder.mkdir(parents=True)
        copy = "import shutil\n" + "".join(
            f"shutil.copy({path!r}, {file + '.csv'!r})\n" for file, path in paths.items()
        )
        (folder / "solution.py").write_text(copy)
    (alone / "input").mkdir()
    (alone / "solution.py").write_text(blend_driver(found))
    subprocess.run([sys.executable, "solution.py"], cwd=alone, check=True, timeout=120)
    mine, theirs = (
        pd.read_csv(path, index_col=0)["label"]
        for path in (alone / "submission.csv", found["submission"])
    )
    assert np.allclose(mine[theirs.index], theirs, rtol=1e-9)


def test_fewer_than_two_members_are_refused(tmp_path: Path) -> None:
    prepared = ready(write_frames(tmp_path / "task", *binary_frames(200, 20), metric="auc"))
    only = members(prepared, tmp_path, {"a": lambda f: f["x"]})
    with pytest.raises(TaskError, match="two attempts"):
        blend_attempts(prepared, only, str(tmp_path))
