"""Ensembles: honest weights, one definition of a blend for score and driver, a best/ that runs alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from kit import HONEST, Player, events, quick, write_task
from trust_kit import binary_frames, one_column, ready, save, write_frames

from reasoner.protocol import Solution, UpdateBrief
from session.session import start_run
from task.grade.blend import blend, driver
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
    found = blend(prepared, given, str(tmp_path))
    assert set(found["weights"]) == {"a", "b"} and sum(found["weights"].values()) == pytest.approx(
        1
    )


def test_the_weights_that_score_a_fold_are_chosen_without_it(tmp_path: Path) -> None:
    """Members that are pure noise: greedy weights chosen on all rows look better than chance, the nested score does not."""
    train, test = binary_frames(400, 50)
    train["label"] = np.random.default_rng(5).integers(0, 2, len(train))
    prepared = ready(write_frames(tmp_path / "task", train, test, metric="auc"))
    rng = np.random.default_rng(1)
    given = members(prepared, tmp_path, {f"n{i}": lambda f: rng.random(len(f)) for i in range(12)})
    found = blend(prepared, given, str(tmp_path))
    truth = train.set_index("id")["label"]

    def score(values: pd.Series) -> float:
        from sklearn.metrics import roc_auc_score

        return float(roc_auc_score(truth[values.index], values))

    ranks = {
        name: pd.read_csv(paths["oof"], index_col=0)["label"].rank()
        for name, paths in given.items()
    }
    greedy = score(sum(weight * ranks[name] for name, weight in found["weights"].items()))
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
    found = blend(prepared, given, str(tmp_path))
    alone = tmp_path / "best"
    for name, paths in given.items():
        folder = alone / "members" / name
        folder.mkdir(parents=True)
        copy = "import shutil\n" + "".join(
            f"shutil.copy({path!r}, {file + '.csv'!r})\n" for file, path in paths.items()
        )
        (folder / "solution.py").write_text(copy)
    (alone / "input").mkdir()
    (alone / "solution.py").write_text(driver(found["weights"], found["method"], found["classes"]))
    subprocess.run([sys.executable, "solution.py"], cwd=alone, check=True, timeout=120)
    mine, theirs = (
        pd.read_csv(path, index_col=0)["label"]
        for path in (alone / "submission.csv", found["submission"])
    )
    assert np.allclose(mine[theirs.index], theirs, rtol=1e-9)


def test_fewer_than_two_members_are_no_ensemble(tmp_path: Path) -> None:
    prepared = ready(write_frames(tmp_path / "task", *binary_frames(200, 20), metric="auc"))
    with pytest.raises(TaskError, match="two attempts"):
        blend(prepared, members(prepared, tmp_path, {"a": lambda f: f["x"]}), str(tmp_path))


class Halves(Player):
    """Trace 0 knows one column, trace 1 the other; then each proposes what it is told to."""

    async def draft(self, brief: Any) -> Solution:
        return Solution(script=self.scripts[brief.stage.trace], summary=f"half {brief.stage.trace}")


async def test_the_merge_blends_traces_and_best_holds_a_solution_that_runs_alone(
    tmp_path: Path,
) -> None:
    task = write_task(tmp_path / "task", n=300)
    player = Halves([one_column("x"), one_column("y", sign=-1)])
    outcome = await start_run(str(task), quick(tmp_path, traces=2, steps=1), reasoner=player)
    blended = [event for event in events(outcome.folder, "attempt") if event["kind"] == "ensemble"]
    assert [event["verdict"] for event in blended] == ["accepted"]
    assert set(blended[0]["members"]) == {"t0s0", "t1s0"} and outcome.score == blended[0]["score"]
    final = events(outcome.folder, "finalized")[0]
    assert final["ensemble"]["wins"] and "members/t0s0/solution.py" in final["sha256"]
    best = outcome.folder / "best"
    before = pd.read_csv(best / "submission.csv")
    subprocess.run([sys.executable, "solution.py"], cwd=best, check=True, timeout=120)
    after = pd.read_csv(best / "submission.csv").set_index("id")["label"]
    assert np.allclose(after[before["id"]], before["label"], atol=1e-6)


@pytest.mark.slow
async def test_ensemble_off_blends_nothing(tmp_path: Path) -> None:
    task = write_task(tmp_path / "task", n=300)
    player = Halves([one_column("x"), one_column("y", sign=-1)])
    outcome = await start_run(
        str(task), quick(tmp_path, traces=2, steps=1, ensemble=False), reasoner=player
    )
    assert not [event for event in events(outcome.folder, "attempt") if event["kind"] == "ensemble"]


class Proposer(Halves):
    """Its first update names attempts instead of writing a script."""

    def __init__(self, scripts: list[str], names: list[str]) -> None:
        super().__init__(scripts)
        self.names = names
        self.told: list[list[str]] = []

    async def update(self, brief: UpdateBrief) -> Solution:
        self.told.append([fact.attempt for fact in brief.members])
        return Solution(
            script="",
            summary="blend both halves",
            hypothesis=brief.diagnosis.hypotheses[0],
            ensemble=self.names,
        )


async def test_a_reasoner_proposes_an_ensemble_by_attempt_ids(tmp_path: Path) -> None:
    task = write_task(tmp_path / "task", n=300)
    player = Proposer([one_column("x"), one_column("y", sign=-1)], ["t0s0", "t1s0"])
    outcome = await start_run(str(task), quick(tmp_path, traces=2, steps=2), reasoner=player)
    proposed = [
        event
        for event in events(outcome.folder, "attempt")
        if event["step"] == 1 and event["trace"] >= 0
    ]
    assert player.told and set(player.told[0]) == {"t0s0", "t1s0"}
    assert {event["kind"] for event in proposed} == {"ensemble"} and {
        event["verdict"] for event in proposed
    } == {"accepted"}
    assert all(json.dumps(event["members"]) for event in proposed)


@pytest.mark.slow
async def test_an_ensemble_of_unknown_attempts_is_told_and_the_run_goes_on(tmp_path: Path) -> None:
    task = write_task(tmp_path / "task")
    player = Proposer([HONEST.format(noise=0.5), HONEST.format(noise=1)], ["t9s9", "t0s0"])
    outcome = await start_run(str(task), quick(tmp_path, steps=2), reasoner=player)
    failed = events(outcome.folder, "attempt")[1]
    assert (
        failed["verdict"] == "failed"
        and "t9s9" in failed["reasons"][0]
        and outcome.score is not None
    )
