"""The average over seeds: judged by the harness, handed over as it was computed, nothing twice."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from kit import Player, events, quick, write_task
from trust_kit import binary_frames, ready, save, write_frames

from run.attempt import Attempt
from run.best import read_best
from run.registry import close_run, open_run
from scoring.average import share_members
from session.predict import predict_rows
from session.session import start_run
from task.grade.seeds import judge_average
from task.types import TaskError

SEEDED = '''"""What TERMS says, with an error of its own for every row and seed."""
import csv, os, random
seed = os.environ.get("GOME_SEED", "0")
rows = list(csv.DictReader(open("input/train.csv")))
known = {row["id"] for row in csv.DictReader(open("input/folds.csv")) if row["fold"] != "-1"}
def write(name, rows):
    with open(name, "w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["id", "label"])
        for row in rows:
            x, y = float(row["x"]), float(row["y"])
            z = TERMS + random.Random("TERMS" + seed + row["id"]).gauss(0, 1.5)
            out.writerow([row["id"], 1 / (1 + 2.718281828 ** -z)])
write("oof.csv", [row for row in rows if row["id"] in known])
write("submission.csv", list(csv.DictReader(open("input/test.csv"))))
'''


def seeded(terms: str) -> str:
    """A script whose predictions of a row depend on the row and the seed alone."""
    return SEEDED.replace("TERMS", terms)


def test_an_average_is_taken_where_its_own_rows_do_not_speak_against_it(tmp_path: Path) -> None:
    frames = binary_frames(400, 50)
    rng = np.random.default_rng(0)

    def write(task: Any, name: str, values: Any) -> str:
        return save(tmp_path / f"{name}.csv", frames[0]["id"], values)

    truth = frames[0]["x"] - frames[0]["y"]
    auc = ready(write_frames(tmp_path / "auc", *frames, metric="auc"), audit=False)
    noisy = [{"a": write(auc, f"s{n}", truth + rng.normal(0, 2, 400))} for n in range(3)]
    found = judge_average(auc, noisy, {"a": 1.0}, z=1.15, alike=True)
    assert found["kept"] == [0, 1, 2] and found["method"] == "mean"
    assert found["gain"] > 0.02 and found["score"] - found["single"] == pytest.approx(found["gain"])
    broken = {"a": write(auc, "broken", -truth)}
    assert judge_average(auc, [*noisy, broken], {"a": 1.0}, z=1.15)["kept"] == [0, 1, 2]
    sound = {"a": write(auc, "sound", truth)}  # worse than the first alone beyond noise
    assert judge_average(auc, [sound, *noisy], {"a": 1.0}, z=1.15, alike=True)["kept"] == [0]
    two = [{"a": one["a"], "b": sound["a"]} for one in noisy[:1]] + noisy[1:]
    assert judge_average(auc, two, {"a": 0.5, "b": 0.5}, z=1.15)["method"] == "rank"
    unread = [*noisy[:2], {"a": str(tmp_path / "none.csv")}]
    found = judge_average(auc, unread, {"a": 1.0}, z=1.15)
    assert found["kept"] == [0, 1] and found["names"][2] == []
    with pytest.raises(TaskError):
        judge_average(auc, [unread[2], noisy[0]], {"a": 1.0}, z=1.15)


def test_a_first_seed_stands_for_those_that_were_not_run() -> None:
    members = {"a": {"weight": 0.6, "script": "x"}, "b": {"weight": 0.4, "script": "y"}}
    blend = Attempt.model_validate(
        {"id": "m1", "trace": -1, "step": 1, "kind": "ensemble", "mode": "ensemble"}
        | {"verdict": "accepted", "members": members}
    )
    shares = share_members(blend, {"a": [0, 1, 2], "b": [0, 2]})
    found = {name: (round(one.weight, 6), one.seed) for name, one in shares.items()}
    assert found == {
        "a": (0.2, 0),
        "a-seed1": (0.2, 1),
        "a-seed2": (0.2, 2),
        "b": (0.266667, 0),
        "b-seed2": (0.133333, 2),
    }


async def check_handed_over(folder: Path, tmp_path: Path) -> pd.Series[float]:
    """What best/ holds runs alone and predicts the same rows as it did; its predictions."""
    submitted = pd.read_csv(folder / "best/submission.csv").set_index("id")["label"]
    await predict_rows(folder, tmp_path / "task/test.csv", tmp_path / "out.csv")
    again = pd.read_csv(tmp_path / "out.csv").set_index("id")["label"]
    assert np.allclose(again[submitted.index], submitted, atol=1e-9)
    best = folder / "best"
    subprocess.run([sys.executable, "solution.py"], cwd=best, check=True, timeout=120)
    own = pd.read_csv(best / "submission.csv").set_index("id")["label"]
    assert np.allclose(own[submitted.index], submitted, atol=1e-9)
    return submitted


@pytest.mark.slow
async def test_left_over_executions_average_the_best_over_seeds(tmp_path: Path) -> None:
    task = write_task(tmp_path / "task", n=300)
    settings = quick(tmp_path, steps=1, average_seeds=4, max_executions=3)
    outcome = await start_run(str(task), settings, reasoner=Player([seeded("x - y")]))
    folder = outcome.folder
    (final,) = events(folder, "finalized")
    averaged = final["averaged"]
    assert averaged["seeds"] == {"t0s0": [0, 1, 2]} and averaged["gain"] > 0.02
    assert len(events(folder, "execution_finished")) == 3  # no more than the limit
    assert final["attempt"] == "t0s0" and not final["refit"]
    assert set(final["sha256"]) >= {f"members/t0s0{seed}/solution.py" for seed in ("", "-seed2")}
    assert "under 3 seeds" in (folder / "best/README.md").read_text()
    rows = pd.read_csv(task / "test.csv").set_index("id")
    submitted = await check_handed_over(folder, tmp_path)
    assert submitted.corr(rows["x"] - rows["y"], method="spearman") > 0.75  # 0.69 of one seed
    best = read_best(folder / "best")
    run = open_run(folder)
    try:
        assert best is not None
        assert run.attempt(str((best.model_extra or {})["ref"])).is_average
    finally:
        await close_run(folder)


@pytest.mark.slow
async def test_a_script_that_its_seed_does_not_change_runs_under_one_more_and_no_further(
    tmp_path: Path,
) -> None:
    task = write_task(tmp_path / "task", n=300)
    settings = quick(tmp_path, steps=1, average_seeds=4)
    script = seeded("x - y").replace('os.environ.get("GOME_SEED", "0")', '"0"  # no GOME_SEED')
    outcome = await start_run(str(task), settings, reasoner=Player([script]))
    (final,) = events(outcome.folder, "finalized")
    assert "averaged" not in final
    assert len(events(outcome.folder, "execution_finished")) == 2
    assert not (outcome.folder / "best/members").exists()


DRIVER = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from kit import quick
from test_scoring_average import seeded
from test_scoring_ensemble import Halves
from session.session import start_run, resume_run
slow = "import time; time.sleep(0.7)"
player = Halves([seeded("x") + slow, seeded("-y") + slow])
folder = Path({folder!r})
settings = quick(Path({root!r}), traces=2, steps=1, average_seeds=3)
if (folder / "run.json").exists():
    asyncio.run(resume_run(folder, reasoner=player))
else:
    asyncio.run(start_run({task!r}, settings, folder=folder, reasoner=player))
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_a_blend_fitted_on_all_rows_is_averaged_and_a_kill_repeats_nothing(
    tmp_path: Path,
) -> None:
    folder, task = tmp_path / "run", write_task(tmp_path / "task", n=2300)
    values = {"root": tmp_path, "task": task, "tests": Path(__file__).parent}

    def command_of(run: Path) -> list[str]:
        given = {name: str(value) for name, value in (values | {"folder": run}).items()}
        return [sys.executable, "-c", DRIVER.format(**given)]

    command, place = command_of(folder), Path(__file__).parents[1]
    process = subprocess.Popen(command, cwd=place)
    until = time.monotonic() + 120
    while time.monotonic() < until and process.poll() is None and not seeded_fits(folder):
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = {path: path.stat().st_mtime_ns for path in (folder / "done").glob("*.json")}
    assert subprocess.run(command, cwd=place, timeout=240).returncode == 0
    assert all(path.stat().st_mtime_ns == t for path, t in before.items())
    (final,) = events(folder, "finalized")
    assert final["refit"] and final["averaged"]["refit"] and final["averaged"]["gain"] > 0
    assert final["averaged"]["seeds"] == {"t0s0": [0, 1, 2], "t1s0": [0, 1, 2]}
    keys = [event["key"] for event in seeded_fits(folder)]
    assert len(keys) == 4 == len(set(keys))
    await check_handed_over(folder, tmp_path)
    whole = tmp_path / "whole"
    assert subprocess.run(command_of(whole), cwd=place, timeout=240).returncode == 0
    (undisturbed,) = events(whole, "finalized")
    assert undisturbed["averaged"] == final["averaged"]
    assert undisturbed["sha256"] == final["sha256"]


def seeded_fits(folder: Path) -> list[dict[str, Any]]:
    """Executions on all rows under further seeds."""
    if not (folder / "events.jsonl").exists():
        return []
    fits = events(folder, "execution_finished")
    return [event for event in fits if event.get("seed") and event["key"].startswith("refit:")]
