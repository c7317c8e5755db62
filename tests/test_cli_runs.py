"""Commands that name runs: by prefix, by task, the latest; as JSON; side by side."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.app import app
from evals.harness.made_up import synthetic_events
from report.compare_runs import ComparedRun, comparison_notes, setting_rows
from report.event_log import load_view

NAMES = ("20260101-100000-churn-aaaa", "20260102-100000-churn-bbbb", "20260103-100000-rent-cccc")


def gome(*words: str) -> Result:
    return CliRunner().invoke(app, list(words), env={"COLUMNS": "80"})


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for seed, name in enumerate(NAMES):
        synthetic_events(steps=2 + seed, folder=tmp_path / name)
        task = name.split("-")[2]
        (tmp_path / name / "run.json").write_text(json.dumps({"run": name, "task": f"/d/{task}"}))
    return tmp_path


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("20260101", NAMES[0]),
        (NAMES[1], NAMES[1]),
        ("churn", NAMES[1]),
        ("rent", NAMES[2]),
        ("chu", NAMES[1]),
        ("latest", NAMES[2]),
        ("", NAMES[2]),
    ],
)
def test_a_run_is_found_by_its_beginning_its_task_or_as_the_latest(
    given: str, found: str, runs: Path
) -> None:
    done = gome("show", given, "--json", "--runs-dir", str(runs))
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["run"] == found


def test_a_name_that_fits_several_runs_or_none_is_one_sentence(runs: Path) -> None:
    several = gome("show", "2026", "--runs-dir", str(runs))
    assert several.exit_code == 2
    assert "2026 begins the names of 3 runs" in several.stderr
    (runs / NAMES[2] / "run.json").write_text(json.dumps({"run": NAMES[2], "task": "/d/chunks"}))
    tasks = gome("resume", "chu", "--runs-dir", str(runs))
    assert tasks.exit_code == 2
    assert "chu begins the names of 2 tasks (chunks, churn)" in tasks.stderr
    none = gome("show", "boats", "--runs-dir", str(runs))
    assert none.exit_code == 2 and "no run named boats" in none.stderr


def test_ls_as_json_has_a_line_per_run_with_its_state_in_a_word(runs: Path) -> None:
    lines = [
        json.loads(line)
        for line in gome("ls", "--json", "--runs-dir", str(runs)).stdout.split("\n")
        if line
    ]
    assert [line["run"] for line in lines] == sorted(NAMES, reverse=True)
    assert {line["state"] for line in lines} == {"finished"}
    assert all(line["best"]["score"] > 0 and line["reason"] == "budget" for line in lines)


def test_ls_fits_a_narrow_terminal(runs: Path) -> None:
    done = gome("ls", "--runs-dir", str(runs))
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "finished" in done.stdout


def test_compare_shows_results_and_the_settings_that_differ(runs: Path) -> None:
    done = gome("compare", NAMES[0], NAMES[1], "--runs-dir", str(runs))
    assert done.exit_code == 0, done.output
    for label in ("state", "best", "curve", "accepted", "tokens"):
        assert f"\n{label} " in done.stdout
    lines = gome("compare", NAMES[0], NAMES[2], "--json", "--runs-dir", str(runs)).stdout
    assert [json.loads(line)["run"] for line in lines.splitlines()] == [NAMES[0], NAMES[2]]


def test_compare_says_what_keeps_scores_apart(runs: Path) -> None:
    view = load_view(runs / NAMES[0])
    views = [
        replace(view, settings={"traces": 2, "seed": 0, "runs_dir": "a"}),
        replace(view, settings={"traces": 4, "seed": 1, "runs_dir": "b"}, metric="rmse"),
    ]
    given = [ComparedRun(runs / NAMES[0], one, "budget") for one in views]
    assert setting_rows(given) == [("seed", ["0", "1"]), ("traces", ["2", "4"])]
    notes = comparison_notes(given)
    assert "the metrics differ" in notes[0] and "the folds differ" in notes[1]


def test_compare_needs_two_runs(runs: Path) -> None:
    one = gome("compare", NAMES[0], "--runs-dir", str(runs))
    same = gome("compare", "rent", "latest", "--runs-dir", str(runs))
    assert (one.exit_code, same.exit_code) == (2, 2)
    assert "one and the same run" in same.stderr


def test_the_version_is_shown() -> None:
    done = gome("--version")
    assert done.exit_code == 0 and done.stdout.startswith("gome ")
