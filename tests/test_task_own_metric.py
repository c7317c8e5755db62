"""A metric file of the user's: two tables, a sandbox process, limits, and paired tests."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from trust_kit import ready, save

from sandbox.protocol import Limits
from task.grade import own_metric
from task.grade.grade import compare_files, grade_execution
from task.grade.metric import Metric
from task.grade.metrics import get_metric
from task.grade.own_metric import OwnMetricError
from task.grade.predictions import get_truth
from task.grade.rehearse import rehearse
from task.load.spec import load_task
from task.types import Prepared, TaskError

N = 80
GRADER = '''
"""A competition's own grader, as MLE-bench has them: it matches by id and reads other columns."""
import pandas as pd

class InvalidSubmissionError(Exception):
    pass

def grade(submission: pd.DataFrame, answers: pd.DataFrame) -> float:
    if (submission["sales"] < 0).any():
        raise InvalidSubmissionError("sales are never negative")
    merged = answers.merge(submission, on="id", suffixes=("_true", "_said"), validate="1:1")
    assert len(merged) == len(answers)
    error = (merged["sales_true"] - merged["sales_said"]).abs() * merged["weight"]
    return float(error.groupby(merged["store"]).sum().div(
        merged.groupby("store")["weight"].sum()).mean())

direction = "min"

def score(answers, submission):
    return grade(submission, answers)
'''


def write_sales(folder: Path, metric: str, **spec: Any) -> Path:
    """A folder with stores and weights that only train has, and a metric file."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"id": [f"r{i}" for i in range(N)], "x": rng.normal(size=N)})
    frame["store"] = [f"s{i % 4}" for i in range(N)]
    frame["weight"] = 1.0 + np.arange(N) % 3
    frame["sales"] = (10 + 3 * frame["x"] + rng.normal(size=N)).clip(0).round(3)
    frame.to_csv(folder / "train.csv", index=False)
    test = pd.DataFrame({"id": [f"t{i}" for i in range(9)], "x": 0.5, "store": "s1"})
    test.to_csv(folder / "test.csv", index=False)
    test[["id"]].assign(sales=1.0).to_csv(folder / "sample_submission.csv", index=False)
    (folder / "metric.py").write_text(metric)
    lines = {"metric": "metric.py", "target": "sales", **spec}
    (folder / "task.yaml").write_text("".join(f"{key}: {value}\n" for key, value in lines.items()))
    return folder


def write_files(prepared: Prepared, folder: Path, said: Any) -> dict[str, str]:
    """oof.csv and submission.csv with given out-of-fold predictions."""
    folder.mkdir(parents=True)
    names = {"oof.csv": [f"r{i}" for i in range(N)], "submission.csv": [f"t{i}" for i in range(9)]}
    values = {"oof.csv": said, "submission.csv": np.full(9, 10.0)}
    return {name: save(folder / name, ids, values[name], "sales") for name, ids in names.items()}


def true_sales(prepared: Prepared) -> Any:
    """The labels of the validated rows."""
    return get_truth(prepared).y


def test_a_graders_function_fits_by_two_lines(tmp_path: Path) -> None:
    prepared = ready(write_sales(tmp_path / "task", GRADER))
    found = rehearse(prepared)
    assert found["truth"] == 0.0 and found["shuffled"] > 1
    truth = get_truth(prepared)
    y = true_sales(prepared)
    said = y + np.arange(N) % 5
    frame = pd.read_csv(tmp_path / "task" / "train.csv")
    parts = []
    for _, rows in frame.assign(error=np.arange(N) % 5).groupby("store"):
        parts.append((rows["error"] * rows["weight"]).sum() / rows["weight"].sum())
    assert truth.metric.score(truth.scored, said) == pytest.approx(np.mean(parts))
    grade = grade_execution(prepared, write_files(prepared, tmp_path / "a", said), {}, None)
    assert grade["score"] is not None and grade["score"]["value"] == pytest.approx(np.mean(parts))
    assert len(grade["score"]["folds"]) == 5


def test_what_the_grader_refuses_is_told_to_the_script(tmp_path: Path) -> None:
    prepared = ready(write_sales(tmp_path / "task", GRADER))
    files = write_files(prepared, tmp_path / "a", -1.0 - np.arange(N))
    problem = grade_execution(prepared, files, {}, None)["problems"][0]
    assert problem["code"] == "metric"
    assert "InvalidSubmissionError: sales are never negative" in problem["message"]


def test_without_row_scores_attempts_are_compared_from_fold_to_fold(tmp_path: Path) -> None:
    prepared = ready(write_sales(tmp_path / "task", GRADER))
    y, rng = true_sales(prepared), np.random.default_rng(1)
    close = write_files(prepared, tmp_path / "a", np.abs(y + rng.normal(0, 0.1, N)))
    far = write_files(prepared, tmp_path / "b", np.abs(y + rng.normal(0, 3, N)))
    pair = compare_files(prepared, [close["oof.csv"]], [far["oof.csv"]])
    assert pair is not None and pair["method"] == "folds"
    assert pair["d"] > 1 and pair["se"] > 0 and pair["p_improved"] > 0.95


ROWS = """
direction, optimum = "max", 0.0
def row_scores(answers, submission):
    return -(answers["sales"] - submission["sales"]).abs()
def score(answers, submission):
    return row_scores(answers, submission).mean()
"""


def test_row_scores_give_paired_tests(tmp_path: Path) -> None:
    prepared = ready(write_sales(tmp_path / "task", ROWS))
    y = true_sales(prepared)
    good, bad = y + 1.0, y + 1.0 + np.arange(N) % 2
    files = [write_files(prepared, tmp_path / name, p) for name, p in (("a", good), ("b", bad))]
    pair = compare_files(prepared, [files[0]["oof.csv"]], [files[1]["oof.csv"]])
    assert pair is not None and pair["method"] == "rows"
    assert pair["d"] == pytest.approx(0.5)
    assert pair["se"] == pytest.approx(np.std(np.arange(N) % 2, ddof=1) / np.sqrt(N))


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("def score(answers, submission):\n    return 0.0", "say whether higher is better"),
        ("direction = 'max'\ndef grade(a, b):\n    return 0.0", "no function score"),
        ("direction = 'max'\ndef score(submission, answers):\n    return 0.0", "should be"),
        ("direction = 'max'\nimport nothing_of_this_name", "ModuleNotFoundError"),
        ("direction = 'up'\ndef score(y, p):\n    return 0.0", "say whether higher is better"),
        ("direction, needs = 'max', 'magic'\ndef score(y, p):\n    return 0.0", "needs"),
        ("direction = 'max'\ndef score(answers, submission):\n    return 1.0", "shuffled"),
        ("direction = 'max'\ndef score(answers, submission):\n    return None", "TypeError"),
        ("direction = 'max'\ndef score(answers, submission):\n    1 / 0", "ZeroDivisionError"),
    ],
)
def test_an_unusable_file_is_one_sentence(tmp_path: Path, code: str, words: str) -> None:
    with pytest.raises(TaskError, match=words):
        rehearse(ready(write_sales(tmp_path / "task", code)))


def load_code(folder: Path, code: str) -> Metric:
    """Load a metric of arrays from its text."""
    path = folder / "metric.py"
    path.write_text("import os, time, sys, socket\ndirection = 'max'\n" + code)
    return get_metric(str(path))


def test_a_metric_prints_where_nobody_reads(tmp_path: Path) -> None:
    code = "print('{\"id\": 1}')\ndef score(y, p):\n    print('x' * 10**6)\n    return 0.25"
    metric = load_code(tmp_path, code)
    assert metric.score(np.zeros(3), np.zeros(3)) == 0.25


HOSTILE = {
    "reads a file": "open({secret!r}).read()",
    "connects": "socket.create_connection(('127.0.0.1', 22), 1)",
    "writes a file": "open({secret!r}, 'w').write('mine')",
    "reads the environment": "os.environ['GOME_TEST_SECRET']",
    "ends": "os._exit(0)",
    "forges a reply": "[os.write(fd, b'{{\"id\": 99}}\\n') for fd in range(3, 9)"
    " if os.path.exists(f'/proc/self/fd/{{fd}}')]",
}


@pytest.mark.parametrize("what", list(HOSTILE))
def test_a_hostile_metric_reaches_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("kept")
    monkeypatch.setenv("GOME_TEST_SECRET", "kept")
    code = HOSTILE[what].format(secret=str(secret))
    metric = load_code(tmp_path, f"def score(y, p):\n    {code}\n    return 1.0")
    with pytest.raises(OwnMetricError):
        metric.score(np.zeros(3), np.zeros(3))
    assert secret.read_text() == "kept"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("time.sleep(60)", "longer than"),
        ("kept = [bytearray(64 * 2**20) for _ in range(40)]; time.sleep(30)", "memory|Memory"),
        ("[open(f'f{i}', 'w').write('x' * 10**6) for i in range(400)]; time.sleep(30)", "files"),
    ],
)
def test_limits_end_it_and_the_next_call_starts_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, words: str
) -> None:
    limits = Limits(wall_s=8, memory_bytes=2**30, disk_bytes=2**27, files=100, processes=64)
    monkeypatch.setattr(own_metric, "LIMITS", limits)
    metric = load_code(
        tmp_path, f"def score(y, p):\n    if y[0]:\n        {code}\n    return float(y.sum())"
    )
    with pytest.raises(OwnMetricError, match=words):
        metric.score(np.ones(3), np.ones(3))
    assert metric.score(np.array([0.0, 5.0]), np.zeros(2)) == 5.0


def test_it_ends_with_its_owner(tmp_path: Path) -> None:
    metric = load_code(tmp_path, "def score(y, p):\n    return float(os.getpid())")
    metric.score(np.zeros(1), np.zeros(1))
    own, _ = own_metric.open_metric(
        str(tmp_path / "metric.py"),
        hashlib.sha256((tmp_path / "metric.py").read_bytes()).hexdigest(),
    )
    service = own._service
    assert service is not None and service.is_alive
    folder = service.data.parent
    own.close()
    assert not folder.exists() and not service.is_alive
    deadline = time.monotonic() + 10
    while Path(f"/proc/{service._process.pid}").exists() and time.monotonic() < deadline:
        os.sched_yield()
    assert not Path(f"/proc/{service._process.pid}").exists()


def test_text_tasks_take_a_metric_over_tables(tmp_path: Path) -> None:
    code = (
        "direction = 'min'\n"
        "def score(answers, submission):\n"
        "    return (answers['answer'] != submission['said']).mean()\n"
    )
    folder = write_sales(tmp_path / "task", code)
    frame = pd.read_csv(folder / "train.csv").drop(columns="sales")
    frame["answer"] = [f"text {i} of many" for i in range(N)]
    frame.to_csv(folder / "train.csv", index=False)
    sample = pd.read_csv(folder / "sample_submission.csv").drop(columns="sales")
    sample.assign(said="nothing").to_csv(folder / "sample_submission.csv", index=False)
    (folder / "task.yaml").write_text("metric: metric.py\ntarget: answer\n")
    task = load_task(str(folder))
    assert task.kind == "text"
    assert rehearse(ready(folder))["truth"] == 0.0
