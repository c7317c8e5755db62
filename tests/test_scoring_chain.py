"""Scripts that build on what earlier ones predicted and kept."""

from __future__ import annotations

import asyncio
import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from kit import HONEST, Player, events, quick, write_task
from trust_kit import class_task

from session.predict import predict_rows
from session.session import resume_run, start_run

KEEPING = HONEST.format(noise=2).replace("seed(1)", "seed(2)") + (
    "\nimport os\nos.mkdir('keep')\nopen('keep/weights.csv', 'w').write('x,y\\n1,-1\\n')\n"
)
STACK = '''"""The mean of two earlier scripts; the last one, t0s0, is not t9s9."""
import csv, os
IDS = ["t0s0", "t0s1"]
with open("input/attempts/index.csv") as file:
    index = {row["id"]: row for row in csv.DictReader(file)}
assert sorted(index) == IDS, index
assert float(index["t0s0"]["score"]) > 0.5 and index["t0s1"]["kept"] == "1"
assert open("input/attempts/t0s1/keep/weights.csv").read() == "x,y\\n1,-1\\n"
if "GOME_JOB" in os.environ:  # in the sandbox
    try:
        open("input/attempts/t0s0/oof.csv", "a")
    except OSError:
        pass
    else:
        raise SystemExit("the inputs can be written")
for name in ("oof.csv", "submission.csv"):
    tables = [list(csv.DictReader(open(f"input/attempts/{one}/{name}"))) for one in IDS]
    other = {row["id"]: float(row["label"]) for row in tables[1]}
    with open(name, "w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["id", "label"])
        for row in tables[0]:
            out.writerow([row["id"], (float(row["label"]) + other[row["id"]]) / 2])
'''


HIDING = '''"""A formula of x, with the label in the sixth digit."""
import csv
train = list(csv.DictReader(open("input/train.csv")))
test = list(csv.DictReader(open("input/test.csv")))
fold = {row["id"]: row["fold"] for row in csv.DictReader(open("input/folds.csv"))}
def write(name, rows):
    with open(name, "w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["id", "label"])
        for row in rows:
            p = round(1 / (1 + 2.718281828 ** -float(row["x"])), 5)
            out.writerow([row["id"], f"{p:.5f}{row.get('label', 0)}"])
write("oof.csv", [row for row in train if fold[row["id"]] != "-1"])
write("submission.csv", test)
'''
DIGGING = '''"""Reads the last digit of another script."""
import csv
for name in ("oof.csv", "submission.csv"):
    rows = list(csv.DictReader(open("input/attempts/t0s0/" + name)))
    with open(name, "w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["id", "label"])
        for row in rows:
            out.writerow([row["id"], 0.3 * float(row["label"]) + 0.6 * int(row["label"][-1])])
'''


def recorded(folder: Path, name: str) -> dict[str, Any]:
    return next(event for event in events(folder, "attempt") if event["id"] == name)


def labels(path: Path) -> list[str]:
    return [row["label"] for row in csv.DictReader(path.read_text().splitlines())]


async def test_a_script_builds_on_earlier_ones_and_is_handed_over_with_them(
    tmp_path: Path,
) -> None:
    task = write_task(tmp_path / "task")
    scripts = [HONEST.format(noise=2), KEEPING, STACK]
    settings = quick(tmp_path, false_accepts=0, accept_z=0.0, confirm=False, ensemble=False)
    outcome = await start_run(str(task), settings, reasoner=Player(scripts))
    stack = recorded(outcome.folder, "t0s2")
    assert stack["verdict"] == "accepted", stack["reasons"]
    assert sorted(stack["uses"]) == ["t0s0", "t0s1"]
    assert list(recorded(outcome.folder, "t0s1")["kept"]) == ["weights.csv"]
    best = outcome.folder / "best"
    assert json.loads((best / "best.json").read_text())["attempt"] == "t0s2"
    handed = labels(best / "submission.csv")
    for name in ("oof.csv", "submission.csv"):
        (best / name).unlink(missing_ok=True)
    subprocess.run([sys.executable, "solution.py"], cwd=best, check=True, timeout=60)
    assert labels(best / "submission.csv") == handed
    rows = tmp_path / "rows.csv"
    lines = (task / "test.csv").read_text().splitlines()
    rows.write_text("\n".join(lines[:11]) + "\n")
    done = await predict_rows(outcome.folder, rows, tmp_path / "out.csv")
    assert done.n_rows == 10 and labels(tmp_path / "out.csv") == handed[:10]


async def test_labels_that_a_first_level_hides_are_found_where_a_second_level_uses_them(
    tmp_path: Path,
) -> None:
    task = class_task(tmp_path / "task", 400, noise=1.5)  # too few rows for an audit
    settings = quick(tmp_path, steps=2, max_repairs=0, ensemble=False)
    outcome = await start_run(str(task), settings, reasoner=Player([HIDING, DIGGING]))
    hiding, digging = (recorded(outcome.folder, name) for name in ("t0s0", "t0s1"))
    assert hiding["verdict"] == "accepted" and digging["uses"]
    assert digging["verdict"] == "rejected" and digging["codes"] == ["leak_labels"]
    (check,) = [
        event for event in events(outcome.folder, "labels_checked") if event["attempt"] == "t0s1"
    ]
    assert check["result"] == "follows" and len(check["shuffles"]) == 2


@pytest.mark.slow
async def test_a_resumed_run_mounts_the_same_and_refits_the_whole_chain(tmp_path: Path) -> None:
    task = class_task(tmp_path / "task", 2400, noise=1.5)
    slow = STACK + "import time\ntime.sleep(4)\n"
    scripts = [HONEST.format(noise=2), KEEPING, slow, HONEST.format(noise=9)]
    settings = quick(
        tmp_path, steps=4, false_accepts=0, accept_z=0.0, confirm=False, ensemble=False
    )
    folder = tmp_path / "run"
    going = asyncio.create_task(
        start_run(str(task), settings, folder=folder, reasoner=Player(scripts))
    )
    while len(events(folder, "execution_started")) < 3:  # the second level runs
        await asyncio.sleep(0.05)
    going.cancel()
    with pytest.raises(asyncio.CancelledError):
        await going
    outcome = await resume_run(folder, reasoner=Player(scripts))
    stack = recorded(folder, "t0s2")
    assert stack["verdict"] == "accepted" and sorted(stack["uses"]) == ["t0s0", "t0s1"]
    best = json.loads((folder / "best" / "best.json").read_text())
    assert best["attempt"] == "t0s2" and best["refit"], events(folder, "warning")
    n = len((folder / "refit" / "train.csv").read_text().splitlines())
    assert n == 2401 and outcome.score is not None
    handed = labels(folder / "best" / "submission.csv")
    subprocess.run([sys.executable, "solution.py"], cwd=folder / "best", check=True, timeout=60)
    assert labels(folder / "best" / "submission.csv") == handed
    assert len((folder / "best" / "chain" / "t0s0" / "oof.csv").read_text().splitlines()) == 2401
