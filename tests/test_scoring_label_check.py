"""Scores that are too good to be true, where no held-back rows can tell."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from kit import Player, events, quick
from trust_kit import class_task

from report.html import write_report
from run.attempt import Attempt, ExecutionRecord
from run.members import is_blendable
from run.registry import close_run, open_run
from run.run import Run
from scoring.acceptance import Judgement
from scoring.label_check import LabelCheck, check_labels, is_too_good
from session.session import start_run
from task.types import Grade

HEAD = '''"""{title}"""
import csv, random
random.seed(1)
train = list(csv.DictReader(open("input/train.csv")))
test = list(csv.DictReader(open("input/test.csv")))
fold = {{row["id"]: row["fold"] for row in csv.DictReader(open("input/folds.csv"))}}
def write(name, rows, predict):
    with open(name, "w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["id", "label"])
        out.writerows([row["id"], predict(row)] for row in rows)
def guess(row):
    return 1 / (1 + 2.718281828 ** -(float(row["x"]) - float(row["y"])))
'''
CHEAT = (
    HEAD.format(title="Labels and noise.")
    + """
def cheat(row):
    return min(1.0, max(0.0, float(row["label"]) * 0.8 + 0.1 + random.gauss(0, 0.03)))
write("oof.csv", [row for row in train if fold[row["id"]] != "-1"], cheat)
write("submission.csv", test, guess)
"""
)
HONEST = (
    HEAD.format(title="A formula.")
    + """
write("oof.csv", [row for row in train if fold[row["id"]] != "-1"], guess)
write("submission.csv", test, guess)
"""
)
SULKING = (
    HONEST
    + """
labels = "".join(row["label"] for row in train)
known = {known!r}
if known and labels != known:
    raise ValueError("these are not the labels that I know")
"""
)


def verdicts(folder: Path) -> list[tuple[str, list[str]]]:
    return [(event["verdict"], event["codes"]) for event in events(folder, "attempt")]


@pytest.mark.parametrize("n", [120, 1500])
async def test_labels_and_noise_are_refused_below_the_size_of_the_audit(
    tmp_path: Path, n: int
) -> None:
    task = class_task(tmp_path / "task", n, noise=1.5)
    player = Player([CHEAT])
    outcome = await start_run(str(task), quick(tmp_path, steps=1, max_repairs=0), reasoner=player)
    assert verdicts(outcome.folder) == [("rejected", ["leak_labels"])]
    assert outcome.score is None
    check = events(outcome.folder, "labels_checked")[0]
    assert check["result"] == "follows" and len(check["shuffles"]) == 2
    assert all(each["p"] <= 0.01 and each["followed"] > 0.8 for each in check["shuffles"])
    assert len(events(outcome.folder, "execution_finished")) == 1  # the harness's own, not counted
    message = events(outcome.folder, "attempt")[0]["reasons"][0]
    assert "follow the labels of the very rows that they predict" in message
    assert not list((outcome.folder / "work").iterdir())


@pytest.mark.parametrize("n", [120, 300])
async def test_a_true_score_of_one_is_checked_and_stays(tmp_path: Path, n: int) -> None:
    task = class_task(tmp_path / "task", n, noise=0.0)
    outcome = await start_run(str(task), quick(tmp_path, steps=1), reasoner=Player([HONEST]))
    assert verdicts(outcome.folder) == [("accepted", ["first_valid"])]
    assert outcome.score == 1.0
    (check,) = events(outcome.folder, "labels_checked")
    assert check["result"] == "honest" and len(check["shuffles"]) == 1
    page = write_report(outcome.folder).read_text()
    assert "with the labels of fold" in page and "do not follow them" in page


async def test_what_was_cleared_is_the_yardstick_of_later_attempts(tmp_path: Path) -> None:
    task = class_task(tmp_path / "task", 300, noise=0.0)
    scripts = [HONEST, HONEST + "\n# again", HONEST + "\n# and again"]
    outcome = await start_run(str(task), quick(tmp_path, steps=3), reasoner=Player(scripts))
    assert len(events(outcome.folder, "attempt")) == 3
    assert len(events(outcome.folder, "labels_checked")) == 1


async def test_an_ordinary_score_costs_no_second_execution(tmp_path: Path) -> None:
    task = class_task(tmp_path / "task", 600, noise=1.5)
    outcome = await start_run(str(task), quick(tmp_path, steps=1), reasoner=Player([HONEST]))
    assert verdicts(outcome.folder) == [("accepted", ["first_valid"])]
    assert events(outcome.folder, "labels_checked") == []


async def test_held_back_rows_make_the_check_needless(tmp_path: Path) -> None:
    task = class_task(tmp_path / "task", 2400, noise=0.0)
    outcome = await start_run(str(task), quick(tmp_path, steps=1), reasoner=Player([HONEST]))
    assert outcome.score is not None and events(outcome.folder, "labels_checked") == []


@pytest.mark.slow
async def test_a_script_that_fails_on_other_labels_is_refused_and_may_be_repaired(
    tmp_path: Path,
) -> None:
    task = class_task(tmp_path / "task", 120, noise=0.0)
    labels = "".join(line.rpartition(",")[2] for line in read_lines(task / "train.csv"))
    sulking = SULKING.replace("{known!r}", repr(labels))
    outcome = await start_run(
        str(task), quick(tmp_path, steps=1, max_repairs=0), reasoner=Player([sulking])
    )
    assert verdicts(outcome.folder) == [("rejected", ["unchecked"])]
    reason = events(outcome.folder, "attempt")[0]["reasons"][0]
    assert "these are not the labels that I know" in reason
    repaired = await start_run(
        str(task), quick(tmp_path, steps=1, max_repairs=1), reasoner=Player([sulking])
    )
    assert events(repaired.folder, "repaired")[0]["problems"] == [reason]


def read_lines(path: Path) -> list[str]:
    return path.read_text().splitlines()[1:]


async def test_a_refused_script_is_blended_with_none(tmp_path: Path) -> None:
    task = class_task(tmp_path / "task", 300, noise=1.5)
    outcome = await start_run(
        str(task), quick(tmp_path, steps=2, max_repairs=0), reasoner=Player([HONEST, CHEAT])
    )
    assert [codes for _, codes in verdicts(outcome.folder)] == [["first_valid"], ["leak_labels"]]
    run = open_run(outcome.folder)
    try:
        assert [is_blendable(attempt) for attempt in recorded_attempts(run)] == [True, False]
    finally:
        await close_run(run.folder)


async def test_a_check_that_was_killed_repeats_no_execution(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = class_task(tmp_path / "task", 120, noise=1.5)
    settings = quick(tmp_path, steps=1, max_repairs=0)
    outcome = await start_run(str(task), settings, reasoner=Player([CHEAT]))
    (answer,) = (outcome.folder / "done").glob("labels-*.json")
    before = LabelCheck.model_validate_json(answer.read_bytes())
    answer.unlink()  # killed between the second execution and its answer

    async def refuse(*_: object) -> None:
        raise AssertionError("a finished execution was repeated")

    monkeypatch.setattr("scoring.label_check.execute_script", refuse)
    run = open_run(outcome.folder)
    try:
        (attempt,) = recorded_attempts(run)
        execution = ExecutionRecord.model_validate(run.artifacts.get_json(str(attempt.execution)))
        grade = Grade.model_validate(run.artifacts.get_json(str(attempt.grade)))
        accepted = Judgement("accepted", True, [])
        script = str(attempt.script)
        judgement = await check_labels(run, f"{attempt.id}r0", script, execution, grade, accepted)
    finally:
        await close_run(run.folder)
    assert judgement.codes == ["leak_labels"]
    assert LabelCheck.model_validate_json(answer.read_bytes()) == before


def recorded_attempts(run: Run) -> list[Attempt]:
    """Every attempt among the artifacts of a run of one trace, the first one first."""
    found = []
    for path in run.artifacts.root.rglob("*"):
        if path.is_file() and is_attempt(path):
            found.append(run.attempt(path.name))
    return sorted(found, key=lambda attempt: attempt.step)


def is_attempt(path: Path) -> bool:
    try:
        content: Any = json.loads(path.read_bytes())
    except ValueError:
        return False
    return isinstance(content, dict) and "verdict" in content and "prev" in content


def test_far_better_than_the_bar_in_any_column_is_too_good() -> None:
    assert is_too_good([0.95], [0.8]) and is_too_good([0.5, 0.9], [0.5, 0.5])
    assert not is_too_good([0.85], [0.8])
    assert not is_too_good([0.999], [0.985])  # too little to gain by a cheat
    assert not is_too_good([1.0], [1.0])
