"""First use: gome init on odd folders, gome clean, completion; all with the real worker process."""

from __future__ import annotations

import csv
import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from kit import table
from typer.testing import CliRunner, Result

from cli.app import app
from evals.harness.made_up import synthetic_events

NOISE = random.Random(3)


def gome(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


def rows(n: int, label: bool) -> list[list[Any]]:
    return [
        [
            i,
            round(NOISE.gauss(0, 1), 3),
            NOISE.choice("abc"),
            *([NOISE.choice(["yes", "no"])] if label else []),
        ]
        for i in range(n)
    ]


def spec(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((folder / "task.yaml").read_text())
    return found


def test_tables_of_any_name_are_distinguished_by_their_columns(tmp_path: Path) -> None:
    table(tmp_path / "customers_2024.csv", ["customer_id", "x", "c", "churned"], rows(60, True))
    table(tmp_path / "to_score.csv", ["customer_id", "x", "c"], rows(30, False))
    table(tmp_path / "form.csv", ["customer_id", "churned"], [[i, 0.5] for i in range(30)])
    done = gome("init", str(tmp_path))
    assert done.exit_code == 0, done.output
    found = spec(tmp_path)
    assert (found["train"], found["test"], found["sample_submission"]) == (
        "customers_2024.csv",
        "to_score.csv",
        "form.csv",
    )
    assert (found["id"], found["target"], found["metric"]) == ("customer_id", "churned", "auc")
    assert "it has churned beyond the columns of to_score.csv" in done.output


def test_one_table_is_split_only_when_asked_and_its_answers_leave_the_folder(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "one"
    folder.mkdir()
    table(
        folder / "data.csv",
        ["x", "c", "price"],
        [[NOISE.random(), NOISE.choice("ab"), NOISE.gauss(0, 1)] for _ in range(100)],
    )
    refused = gome("init", str(folder))
    assert refused.exit_code == 2 and "--hold-out 0.2" in refused.stderr
    done = gome("init", str(folder), "--hold-out", "0.3")
    assert done.exit_code == 0, done.output
    assert sorted(os.listdir(folder)) == ["task.yaml", "test.csv", "train.csv"]
    files = (folder / "test.csv", tmp_path / "one-private" / "answers.csv")
    test, answers = (list(csv.DictReader(path.read_text().splitlines())) for path in files)
    assert (
        [row["id"] for row in test] == [row["id"] for row in answers]
        and "price" not in test[0]
        and set(answers[0]) == {"id", "price"}
    )
    assert "price (the last column" in done.output


def test_a_semicolon_separated_table_is_read(tmp_path: Path) -> None:
    for name, label in (("train.csv", True), ("test.csv", False)):
        header = ["id", "x", "c", *(["bought"] if label else [])]
        (tmp_path / name).write_text(
            "\n".join(";".join(map(str, row)) for row in [header, *rows(60, label)])
        )
    assert gome("init", str(tmp_path)).exit_code == 0
    assert spec(tmp_path)["target"] == "bought"


def test_a_table_from_a_spreadsheet_has_numbers_with_commas_and_an_index_without_a_name(
    tmp_path: Path,
) -> None:
    for name, label in (("train.csv", True), ("test.csv", False)):
        lines = [";x;y;price" if label else ";x;y"]
        lines += [
            f"{i};{NOISE.random():.3f};{i};{NOISE.gauss(0, 9):.2f}".replace(".", ",")
            for i in range(60)
        ]
        (tmp_path / name).write_text(
            "\n".join(
                lines if label else [lines[0], *(line.rpartition(";")[0] for line in lines[1:])]
            )
        )
    done = gome("init", str(tmp_path))
    assert done.exit_code == 0, done.output
    assert (spec(tmp_path)["target"], spec(tmp_path)["kind"], spec(tmp_path)["id"]) == (
        "price",
        "regression",
        "Unnamed: 0",
    )


@pytest.mark.slow
def test_rows_without_ids_are_scored_in_their_order(tmp_path: Path) -> None:
    folder = tmp_path / "plain"
    folder.mkdir()
    table(
        folder / "train.csv",
        ["x (cm)", "c", "kind"],
        [[NOISE.random(), NOISE.choice("ab"), NOISE.choice(["no", "yes"])] for _ in range(60)],
    )
    table(
        folder / "test.csv",
        ["x (cm)", "c"],
        [[NOISE.random(), NOISE.choice("ab")] for _ in range(4)],
    )
    done = gome("init", str(folder))
    assert (
        done.exit_code == 0
        and "id: none (rows are numbered" in done.output
        and "id" not in spec(folder)
    )
    assert "metric: auc (the default for binary where description.md names none)" in done.output
    table(tmp_path / "answers.csv", ["kind"], [["yes"], ["no"], ["yes"], ["no"]])
    table(
        tmp_path / "mine.csv",
        ["row_id", "kind"],
        [[60 + i, p] for i, p in enumerate([0.9, 0.2, 0.7, 0.1])],
    )
    scored = gome("score", str(folder), str(tmp_path / "answers.csv"), str(tmp_path / "mine.csv"))
    said = scored.output.splitlines()
    assert scored.exit_code == 0 and said[0] == "auc, higher is better", scored.output
    assert said[1].startswith("1  ")
    table(tmp_path / "short.csv", ["kind"], [["yes"]])
    refused = gome("score", str(folder), str(tmp_path / "short.csv"), str(tmp_path / "mine.csv"))
    assert refused.exit_code == 2 and "one row for each of the 4 rows" in refused.stderr
    table(tmp_path / "other.csv", ["id", "y"], [[60, 1]])
    refused = gome("score", str(folder), str(tmp_path / "other.csv"), str(tmp_path / "mine.csv"))
    assert refused.exit_code == 2 and "no column 'kind'" in refused.stderr


def test_an_undetectable_target_must_be_named(tmp_path: Path) -> None:
    table(
        tmp_path / "train.csv",
        ["id", "x", "y1", "y2"],
        [[i, NOISE.random(), NOISE.random(), NOISE.random()] for i in range(60)],
    )
    table(tmp_path / "test.csv", ["id", "x"], [[i, NOISE.random()] for i in range(30)])
    refused = gome("init", str(tmp_path))
    assert (
        refused.exit_code == 2
        and "--target NAME" in refused.stderr
        and not (tmp_path / "task.yaml").exists()
    )
    assert gome("init", str(tmp_path), "--target", "y2").exit_code == 0
    assert spec(tmp_path)["target"] == "y2"


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ({}, "contains no table"),
        ({"a.csv": "x,y\n1,2\n", "b.csv": "z,w\n1,2\n"}, "none of its tables"),
    ],
)
def test_a_folder_without_a_task_is_one_sentence(
    tmp_path: Path, content: dict[str, str], word: str
) -> None:
    for name, text in content.items():
        (tmp_path / name).write_text(text)
    done = gome("init", str(tmp_path))
    assert (
        done.exit_code == 2 and word in done.stderr and len(done.stderr.strip().splitlines()) == 1
    )


def test_a_failed_init_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "task.yaml").write_text("name: mine\n")
    assert gome("init", str(tmp_path), "--force").exit_code == 2
    assert (tmp_path / "task.yaml").read_text() == "name: mine\n"


def run_folder(runs: Path, name: str, *, ended: bool) -> Path:
    folder = runs / name
    synthetic_events(traces=1, steps=1, folder=folder, ended=ended)
    (folder / "run.json").write_text(json.dumps({}))
    for place in ("work", "best", "public"):
        (folder / place).mkdir()
        (folder / place / "file").write_bytes(b"x" * 200_000)
    return folder


def test_clean_removes_ended_runs_and_nothing_else(tmp_path: Path) -> None:
    over, open_ = (
        run_folder(tmp_path, "over", ended=True),
        run_folder(tmp_path, "open", ended=False),
    )
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "mine").write_text("mine")
    (over / "work" / "link").symlink_to(outside)
    would = gome("clean", "--runs-dir", str(tmp_path), "--dry-run")
    assert (
        would.exit_code == 0
        and "would free 0.2 MB in all" in would.output
        and (over / "work" / "file").exists()
    )
    done = gome("clean", "--runs-dir", str(tmp_path))
    assert "freed 0.2 MB in all" in done.output and "gome resume open" in done.output
    assert (
        os.listdir(over / "work") == []
        and (over / "best" / "file").exists()
        and (over / "public" / "file").exists()
    )
    assert (open_ / "work" / "file").exists() and (outside / "mine").exists()


@pytest.mark.parametrize("reason", ["interrupted", "paused", "waiting"])
def test_clean_keeps_what_a_resume_needs(tmp_path: Path, reason: str) -> None:
    folder = run_folder(tmp_path, "one", ended=False)
    with (folder / "events.jsonl").open("a") as file:
        ended = {"t": 9e9, "ev": "run_ended", "reason": reason, "message": "", "best": None}
        file.write(json.dumps(ended) + "\n")
    done = gome("clean", "--runs-dir", str(tmp_path))
    assert "kept: it can be resumed (gome resume one)" in done.output
    assert (folder / "work" / "file").exists()
    assert "gome resume one" in gome("show", str(folder)).output


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_completes_commands_and_options(shell: str) -> None:
    named = {
        **os.environ,
        "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1",
    }  # whatever shell the tests were started from
    script = subprocess.run(
        [Path(sys.executable).with_name("gome"), "--show-completion", shell],
        capture_output=True,
        text=True,
        env=named,
        timeout=120,
        check=False,
    )
    assert script.returncode == 0 and "_GOME_COMPLETE" in script.stdout
    env = {
        **os.environ,
        "_GOME_COMPLETE": "complete_bash",
        "COMP_WORDS": "gome re",
        "COMP_CWORD": "1",
    }
    found = subprocess.run(
        [Path(sys.executable).with_name("gome")],
        capture_output=True,
        text=True,
        env=env,
        timeout=120,
        check=False,
    )
    assert {"report", "resume"} <= set(found.stdout.split())


def test_a_terminal_without_utf_8_gets_question_marks(tmp_path: Path) -> None:
    run_folder(tmp_path / "runs", "one", ended=True)
    done = subprocess.run(
        [sys.executable, "-m", "gome", "show", "one"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"higher is better ? 1 trace" in done.stdout
