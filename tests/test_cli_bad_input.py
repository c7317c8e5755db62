"""Bad input: one clear line that names the file and the remedy, exit code 2, nothing spent."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from kit import write_task
from typer.testing import CliRunner

from cli.app import app
from task.load.examples import write_example
from task.types import TaskError

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))


def edit(name: str, change: Callable[[list[str]], list[str]]) -> Callable[[Path], None]:
    def spoil(task: Path) -> None:
        lines = (task / name).read_text().splitlines()
        (task / name).write_text("\n".join(change(lines)) + "\n")

    return spoil


def one_class(lines: list[str]) -> list[str]:
    return [lines[0], *(line.rsplit(",", 1)[0] + ",1" for line in lines[1:])]


def rare_class(lines: list[str]) -> list[str]:
    return [
        lines[0],
        *(
            line.rsplit(",", 1)[0] + (",1" if index < 1 else ",0")
            for index, line in enumerate(lines[1:])
        ),
    ]


CASES: dict[str, tuple[Callable[[Path], object], tuple[str, ...]]] = {
    "no train file": (
        lambda task: (task / "train.csv").unlink(),
        ("train.csv", "does not exist", "put the training table"),
    ),
    "target missing": (
        edit("task.yaml", lambda lines: [*lines[:-1], "target: lable"]),
        ("train.csv", "'lable'", "set `target:`"),
    ),
    "duplicate ids": (
        edit("train.csv", lambda lines: [*lines, lines[1]]),
        ("train.csv", "repeats 1 id in column", "own id"),
    ),
    "sample does not match": (
        edit("sample_submission.csv", lambda lines: lines[:-3]),
        ("sample_submission.csv", "test.csv", "exactly the test ids"),
    ),
    "unknown metric": (
        edit(
            "task.yaml",
            lambda lines: [
                "metric: rocauk" if line.startswith("metric") else line for line in lines
            ],
        ),
        ("task.yaml", "unknown metric", "did you mean"),
    ),
    "a csv that is a png": (
        lambda task: (task / "train.csv").write_bytes(PNG),
        ("train.csv", "PNG", "replace it"),
    ),
    "empty train": (
        edit("train.csv", lambda lines: lines[:1]),
        ("train.csv", "no rows", "put the labelled"),
    ),
    "one class": (edit("train.csv", one_class), ("train.csv", "one class", "target")),
    "one row of a class": (
        edit("train.csv", rare_class),
        ("train.csv", "has one row", "add rows"),
    ),
    "unknown key": (
        edit("task.yaml", lambda lines: [*lines, "metrics: auc"]),
        ("task.yaml", "'metrics'", "did you mean 'metric'"),
    ),
    "not yaml": (
        lambda task: (task / "task.yaml").write_text("metric: [auc"),
        ("task.yaml", "not valid YAML", "gome init"),
    ),
    "outside the folder": (
        edit(
            "task.yaml",
            lambda lines: [
                "train: ../../etc/passwd" if line.startswith("train") else line for line in lines
            ],
        ),
        ("task.yaml", "outside", "move the file"),
    ),
}


def refuse(task: Path, tmp_path: Path, *more: str) -> str:
    result = CliRunner().invoke(
        app, ["run", str(task), "--runs-dir", str(tmp_path / "runs"), "--memory", "off", *more]
    )
    assert result.exit_code == 2, result.output
    assert not list((tmp_path / "runs").glob("*/run.json"))
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, lines
    return lines[0]


@pytest.mark.parametrize("case", CASES)
def test_bad_task(case: str, tmp_path: Path) -> None:
    task = write_task(tmp_path / "task")
    spoil, words = CASES[case]
    spoil(task)
    line = refuse(task, tmp_path)
    assert all(word in line for word in words), line


def test_no_such_folder(tmp_path: Path) -> None:
    assert "is not a folder" in refuse(tmp_path / "nowhere", tmp_path)


@pytest.mark.skipif(
    not os.path.isdir("/proc/self"), reason="needs a folder that nobody can write to"
)
def test_unwritable_run_folder(tmp_path: Path) -> None:
    task = write_task(tmp_path / "task")
    result = CliRunner().invoke(
        app, ["run", str(task), "--runs-dir", "/proc/self/runs", "--memory", "off"]
    )
    assert result.exit_code == 2
    assert "cannot be written" in result.stderr and "--runs-dir" in result.stderr


def test_unknown_run_to_resume(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["resume", "nothing", "--runs-dir", str(tmp_path)])
    assert result.exit_code == 2 and "gome ls" in result.stderr


def test_unknown_setting(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["run", str(tmp_path), "--set", "stepz=3"])
    assert result.exit_code == 2 and "steps" in result.stderr


def test_an_argument_is_refused_in_the_words_of_its_setting() -> None:
    """An unset variable leaves an empty argument, which is not the current folder."""
    for command in ("run", "init"):
        refused = CliRunner().invoke(app, [command, ""])
        assert refused.exit_code == 2 and "give the folder of a task" in refused.output
    refused = CliRunner().invoke(app, ["run", "x", "--traces", "1e9"])
    assert refused.exit_code == 2
    assert refused.output == "gome: --traces: expected a whole number from 1 to 64 (got '1e9')\n"


def test_a_mistyped_folder_is_answered_with_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "my-task").mkdir()
    refused = CliRunner().invoke(app, ["init", str(tmp_path / "my-tsak")])
    assert refused.exit_code == 2 and "did you mean `my-task`?" in refused.output


def test_a_place_for_results_is_checked_before_any_work(tmp_path: Path) -> None:
    """Also that an example is not written over a task of the user's own."""
    run = tmp_path / "runs" / "20260101-120000-t-abcd"
    run.mkdir(parents=True)
    (run / "run.json").write_text("{}")
    (tmp_path / "rows.csv").write_text("id,x\n1,2\n")
    away, runs = str(tmp_path / "away" / "file"), ["--runs-dir", str(tmp_path / "runs")]
    for words in (
        ["predict", str(tmp_path / "rows.csv"), "-o", away, *runs],
        ["export", "--to", away, *runs],
    ):
        refused = CliRunner().invoke(app, words)
        assert refused.exit_code == 2 and "there is no folder" in refused.output, words
    for place in ("mine", "mine-private"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "answers.csv").write_text("id,y\n1,2\n")
        with pytest.raises(TaskError, match="holds files of another task"):
            write_example("diabetes", str(tmp_path / "mine"))
        (tmp_path / "mine" / "answers.csv").unlink(missing_ok=True)
    assert (tmp_path / "mine-private" / "answers.csv").read_text() == "id,y\n1,2\n"
    write_example("diabetes", str(tmp_path / "again"))
    write_example("diabetes", str(tmp_path / "again"))
