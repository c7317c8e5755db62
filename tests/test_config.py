"""Settings by flag, environment and gome.toml: who wins, and one line on whatever is wrong.  No secret is read from a file."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from cli.config import make_settings

ENDPOINT = 'base_url = "http://localhost:8000/v1"\n'


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "task").mkdir()
    return tmp_path


def refused(capsys: pytest.CaptureFixture[str], **given: object) -> str:
    with pytest.raises(typer.Exit) as caught:
        make_settings(dict(given), [], "task")
    assert caught.value.exit_code == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    return line


def test_flag_beats_environment_beats_task_file_beats_file_here(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "gome.toml").write_text(
        'model = ["gpt-5", "diagnose=o3"]\nsteps = 5\ntraces = 5\nseed = 5\ntime_s = "2h"\n'
        + ENDPOINT
    )
    (here / "task" / "gome.toml").write_text("steps = 4\ntraces = 4\nseed = 4\n")
    monkeypatch.setenv("GOME_STEPS", "3")
    monkeypatch.setenv("GOME_TRACES", "3")
    chosen = make_settings({"steps": 2}, ["temperature=0.5"], "task")
    assert (chosen.steps, chosen.traces, chosen.seed, chosen.time_s) == (2, 3, 4, 7200)
    assert (
        chosen.model == ["gpt-5", "diagnose=o3"]
        and chosen.base_url == "http://localhost:8000/v1"
        and chosen.temperature == 0.5
    )


def test_text_is_read_as_what_it_stands_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOME_MODEL", "gpt-5, diagnose=o3")
    monkeypatch.setenv("GOME_EXTRA_BODY", '{"provider": {"require_parameters": true}}')
    chosen = make_settings({}, ["run_time_s=30m"], "task")
    assert chosen.model == ["gpt-5", "diagnose=o3"] and chosen.run_time_s == 1800
    assert chosen.extra_body == {"provider": {"require_parameters": True}}


def test_a_file_here_serves_a_task_here(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "gome.toml").write_text(ENDPOINT)
    assert make_settings({}, [], ".").base_url == "http://localhost:8000/v1"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("stepz = 3\n", ("gome.toml", "`stepz`", "did you mean `steps`")),
        ('api_key = "sk-do-not-print-me"\n', ("gome.toml", "`api_key`", "OPENAI_API_KEY")),
        ("steps = 0\n", ("gome.toml: steps", "greater than")),
        ('steps = "many"\n', ("gome.toml: steps", "many")),
        ("steps = \n", ("gome.toml", "not valid TOML")),
        ('key_env = "sk-do-not-print-me"\n', ("gome.toml: key_env",)),
    ],
)
def test_what_is_wrong_with_a_file(
    text: str, words: tuple[str, ...], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "gome.toml").write_text(text)
    line = refused(capsys)
    assert all(word in line for word in words), line
    assert "do-not-print" not in line


@pytest.mark.parametrize(
    "text",
    [
        ENDPOINT,
        'isolation = "none"\n',
        'key_env = "HOME"\n',
        'cache = "/"\n',
        'model = ["gpt-5-pro"]\n',
    ],
)
def test_a_task_folder_cannot_move_key_isolation_or_places(
    text: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "task" / "gome.toml").write_text(text)
    line = refused(capsys)
    assert (
        "task/gome.toml" in line
        and "not for a task folder to set" in line
        and "./gome.toml" in line
    )


def test_a_misspelt_variable_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for other in ("GOME_HOME", "GOME_LEASES", "GOME_JOB"):  # of other uses
        monkeypatch.setenv(other, "x")
    assert make_settings({}, [], "task").model == []
    monkeypatch.setenv("GOME_MODLE", "gpt-5")
    line = refused(capsys)
    assert "GOME_MODLE" in line and "did you mean `model`" in line


def test_what_a_task_may_set_are_settings() -> None:
    from cli.config import OF_A_TASK
    from graph.settings import Settings

    assert set(Settings.model_fields) >= OF_A_TASK
