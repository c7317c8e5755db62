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

from run.chain import find_named
from sandbox.protocol import Execution
from scoring.execution import describe_mounts
from scoring.kept import Kept, choose_kept
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


@pytest.mark.parametrize(
    ("n", "code"),
    [(400, "leak_labels"), pytest.param(2400, "leak_audit", marks=pytest.mark.slow)],
)
async def test_labels_that_a_first_level_hides_are_found_where_a_second_level_uses_them(
    tmp_path: Path, n: int, code: str
) -> None:
    task = class_task(tmp_path / "task", n, noise=1.5)  # an audit needs 2,000 rows
    settings = quick(tmp_path, steps=2, max_repairs=0, ensemble=False)
    outcome = await start_run(str(task), settings, reasoner=Player([HIDING, DIGGING]))
    hiding, digging = (recorded(outcome.folder, name) for name in ("t0s0", "t0s1"))
    assert hiding["verdict"] == "accepted" and digging["uses"]
    assert digging["verdict"] == "rejected" and digging["codes"] == [code]
    checks = events(outcome.folder, "labels_checked")
    own = [event for event in checks if event["attempt"] == "t0s1"]
    assert [len(event["shuffles"]) for event in own] == ([2] if n == 400 else [])


BLURRED = '''"""Labels under a noise that whoever knows the seed takes away again."""
import csv, random
noise = random.Random(5)
train = list(csv.DictReader(open("input/train.csv")))
fold = {row["id"]: row["fold"] for row in csv.DictReader(open("input/folds.csv"))}
with open("oof.csv", "w", newline="") as file:
    out = csv.writer(file)
    out.writerow(["id", "label"])
    for row in train:
        if fold[row["id"]] != "-1":
            out.writerow([row["id"], 0.45 + 0.1 * int(row["label"]) + noise.gauss(0, 0.1)])
with open("submission.csv", "w", newline="") as file:
    out = csv.writer(file)
    out.writerow(["id", "label"])
    for row in csv.DictReader(open("input/test.csv")):
        out.writerow([row["id"], 0.4 + noise.gauss(0, 0.1)])
'''
CLEARED = '''"""Takes the noise away again."""
import csv, random
noise = random.Random(5)
for name in ("oof.csv", "submission.csv"):
    rows = list(csv.DictReader(open("input/attempts/t0s0/" + name)))
    with open(name, "w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["id", "label"])
        for row in rows:
            p = float(row["label"]) - noise.gauss(0, 0.1)
            out.writerow([row["id"], p])
'''


@pytest.mark.slow
async def test_a_first_level_that_is_found_out_is_given_to_nobody(tmp_path: Path) -> None:
    task = class_task(tmp_path / "task", 400, noise=1.5)
    settings = quick(tmp_path, steps=3, max_repairs=0, ensemble=False)
    honest = HONEST.format(noise=3.0)
    player = Player([BLURRED, CLEARED, CLEARED + "# again\n", honest])
    settings = settings.model_copy(update={"steps": 4})
    outcome = await start_run(str(task), settings, reasoner=player)
    first, second, third = (recorded(outcome.folder, f"t0s{step}") for step in range(3))
    (warned,) = [e for e in events(outcome.folder, "warning") if "shuffled labels" in str(e)]
    assert "t0s0 follows shuffled labels" in str(warned)
    (final,) = events(outcome.folder, "finalized")
    assert final["attempt"] == "t0s3", "the honest one is left"
    assert first["verdict"] == "accepted", "it is too weak to be asked"
    assert second["codes"] == ["leak_labels"]
    assert "those of t0s0, which it builds on, follow them too" in second["reasons"][0]
    assert third["uses"] == {} and third["verdict"] == "failed"
    log = (outcome.folder / "artifacts" / third["log"][:2] / third["log"]).read_text()
    assert "there is no valid attempt t0s0 to build on" in log


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


@pytest.mark.slow
async def test_a_chain_that_breaks_on_all_rows_leaves_what_was_before(
    tmp_path: Path,
) -> None:
    task = class_task(tmp_path / "task", 2400, noise=1.5)
    brittle = HONEST.format(noise=2) + "\nassert len(train) < 2400\n"
    settings = quick(tmp_path, false_accepts=0, accept_z=0.0, confirm=False, ensemble=False)
    player = Player([brittle, KEEPING, STACK])
    outcome = await start_run(str(task), settings, reasoner=player)
    best = json.loads((outcome.folder / "best" / "best.json").read_text())
    assert best["attempt"] == "t0s2" and not best["refit"]
    told = [event["message"] for event in events(outcome.folder, "warning")]
    assert any("t0s0, which t0s2 builds on, ended with exit code 1" in text for text in told), told
    assert len(labels(outcome.folder / "best" / "submission.csv")) == 60


def test_only_ids_that_stand_in_the_script_are_named() -> None:
    known = ["t0s1", "t1s0", "t2s3"]
    assert find_named('IDS = ["t0s1"]\nread(f"input/attempts/{IDS[0]}/oof.csv")', known) == ["t0s1"]
    assert find_named('read("input/attempts/t1s0/oof.csv")', known) == ["t1s0"]
    assert find_named('"""input/attempts/t1s0"""\n# attempts t0s1\nread("a")', known) == []
    assert find_named('bins = ["t0s1"]', known) == []  # it reads no attempts
    assert find_named('read(f"input/attempts/t{0}s{1}/oof.csv")', known) == []
    assert find_named('print "input/attempts/t2s3/keep/a"', known) == ["t2s3"]  # Python 2
    told = describe_mounts('read("input/attempts/t1s0/oof.csv", "t9s9")', {"t1s0": "ref"})
    assert "only t1s0" in told[0] and "t9s9" in told[0]
    assert "holds nothing" in describe_mounts('read(f"input/attempts/t{0}s0/oof.csv")', {})[0]
    assert describe_mounts('read("input/attempts/t1s0/oof.csv")', {"t1s0": "ref"}) == []


def test_what_is_kept_is_bounded_and_refused_with_a_reason(tmp_path: Path) -> None:
    def choose(files: dict[str, int], *, spent: int = 0, **refused: str) -> Kept:
        paths = {}
        for number, (name, size) in enumerate(files.items()):
            paths[f"keep/{name}"] = str(tmp_path / str(number))
            with (tmp_path / str(number)).open("wb") as file:
                file.truncate(size)  # sparse: it counts as what it would be
        collected = {"end": "exit", "exit_code": 0, "wall_s": 0, "output": "", "tier": "x"}
        execution = Execution.model_validate(
            collected | {"files": paths, "refused": {"keep/": refused["why"]} if refused else {}}
        )
        return choose_kept(execution, most=1000, spent=spent)

    assert choose({"a.npy": 400, "deep/b.csv": 500}).n_bytes == 900
    for odd in ("a b", ".hidden", "ü.txt", "a\nb", "x/.y"):
        assert choose({odd: 1}).files == {} and "plain name" in choose({odd: 1}).notes[0]
    assert "MiB" in choose({"a": 1001}).notes[0] or "allowed" in choose({"a": 1001}).notes[0]
    assert "51 files" in choose({f"f{number}": 1 for number in range(51)}).notes[0]
    assert "spent" in choose({"a": 100}, spent=15_950).notes[0]
    assert "a link" in choose({}, why="keep/x is a link").notes[0]
    assert choose({}) == Kept()
