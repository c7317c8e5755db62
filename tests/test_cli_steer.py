"""Answers at the terminal, and the hint command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from cli.app import app
from cli.steer import ask_in_terminal, parse_answer
from evals.harness.made_up import synthetic_events
from run.steering import Answer, Budget, Choose, Proposal, Question

QUESTION = Question(
    round=3,
    why="trace 0 has gained nothing for 2 rounds",
    metric="auc",
    best={"attempt": "t0s1", "trace": 0, "score": 0.91, "se": 0.01},
    standings=[
        {
            "trace": 0,
            "step": 3,
            "score": 0.91,
            "best": "t0s1",
            "accepted": 1,
            "stagnant": 2,
            "pinned": False,
        }
    ],
    proposals=[
        Proposal(
            trace=0,
            hypothesis="h1",
            statement="use logs\x1b[2J",
            component="features",
            confidence=0.6,
        )
    ],
    used={"time_s": 60.0, "executions": 4},
    limits={"time_s": 3600.0},
)


@pytest.mark.parametrize(
    ("lines", "wanted"),
    [
        ([], Answer()),
        (["try 0 h1"], Answer(choose=[Choose(trace=0, hypothesis="h1")])),
        (
            ["try 0 h1: in my words"],
            Answer(choose=[Choose(trace=0, hypothesis="h1", statement="in my words")]),
        ),
        (["try 0: my own: idea"], Answer(choose=[Choose(trace=0, statement="my own: idea")])),
        (["hint one", "hint two"], Answer(hint="one two")),
        (["steps 12", "time 2h"], Answer(budget=Budget(steps=12, time_s=7200))),
        (["pin 0", "drop 0", "stop"], Answer(pin=[0], drop=[0], stop=True)),
    ],
)
def test_lines_become_an_answer(lines: list[str], wanted: Answer) -> None:
    said: list[str] = []
    given = iter([*lines, ""])
    assert ask_in_terminal(QUESTION, lambda _: next(given), said.append) == wanted
    assert "\x1b" not in said[0] and "use logs" in said[0]


@pytest.mark.parametrize(
    "line",
    ["foo", "try 7 h1", "try 0 h9", "try 0", "steps many", "steps 0", "time soon", "pin x", "hint"],
)
def test_an_unreadable_line_is_asked_again(line: str) -> None:
    said: list[str] = []
    given = iter([line, "hint kept", ""])
    answer = ask_in_terminal(QUESTION, lambda _: next(given), said.append)
    assert len(said) == 2 and answer == Answer(hint="kept")


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("try 0: log_target", Choose(trace=0, statement="log_target")),
        ("try 0 h1", Choose(trace=0, hypothesis="h1")),
        ("try 0: use a log target", None),
        ("try 0 h1: in my words", None),
        ("hint mind the skew", None),
    ],
)
def test_the_expert_is_told_moves_and_no_words(line: str, wanted: Choose | None) -> None:
    said: list[str] = []
    given = iter([line, ""])
    question = QUESTION.model_copy(update={"moves": {"log_target": "fit the logarithm"}})
    answer = ask_in_terminal(question, lambda _: next(given), said.append)
    assert "try a move of the expert" in said[0] and "your own idea" not in said[0]
    assert answer == Answer(choose=[wanted] if wanted else [])
    if wanted is None:
        assert said[1].strip().endswith("moves by name: log_target")


def test_a_hint_to_a_run_of_the_expert_is_refused(tmp_path: Path) -> None:
    synthetic_events(steps=2, folder=tmp_path / "one")
    log = tmp_path / "one" / "events.jsonl"
    started, *rest = log.read_text().splitlines()
    log.write_text("\n".join([json.dumps(json.loads(started) | {"reasoner": "expert"}), *rest]))
    (tmp_path / "one" / "run.json").write_text("{}")
    done = CliRunner().invoke(app, ["hint", "one", "mind the skew", "--runs-dir", str(tmp_path)])
    assert done.exit_code == 2 and "reads no words" in done.stderr
    assert not (tmp_path / "one" / "hints.jsonl").exists()


def test_control_c_leaves_the_question_open() -> None:
    def interrupt(_: str) -> str:
        raise KeyboardInterrupt

    assert ask_in_terminal(QUESTION, interrupt, lambda _: None) is None


def test_answers_by_api_are_checked() -> None:
    for wrong in (
        {"stopp": True},
        {"hint": "x" * 5000},
        {"budget": {"steps": 0}},
        {"choose": [{"trace": -1}]},
    ):
        with pytest.raises(ValidationError):
            Answer.model_validate(wrong)
    assert parse_answer([], QUESTION) == Answer()


def test_the_hint_command_prints_the_hint_as_the_run_reads_it(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "one"
    run.mkdir(parents=True)
    (run / "run.json").write_text("{}")
    done = CliRunner().invoke(
        app, ["hint", "one", "mind the skew", "--trace", "1", "--runs-dir", str(tmp_path / "runs")]
    )
    assert done.exit_code == 0 and "mind the skew" in done.stdout
    assert json.loads((run / "hints.jsonl").read_text())["trace"] == 1
    assert (
        CliRunner()
        .invoke(app, ["hint", "one", "  ", "--runs-dir", str(tmp_path / "runs")])
        .exit_code
        == 2
    )
