"""Settings by flag, environment and gome.toml: who wins, and one line on whatever is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from cli.config import configured_runs_dir, make_settings

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


def test_text_values_are_converted_to_the_type_of_the_setting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GOME_MODEL", "gpt-5, diagnose=o3")
    monkeypatch.setenv("GOME_EXTRA_BODY", '{"provider": {"require_parameters": true}}')
    chosen = make_settings({}, ["run_time_s=30m"], "task")
    assert chosen.model == ["gpt-5", "diagnose=o3"] and chosen.run_time_s == 1800
    assert chosen.extra_body == {"provider": {"require_parameters": True}}


def test_gome_toml_applies_to_a_task_in_the_same_folder(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "gome.toml").write_text(ENDPOINT)
    assert make_settings({}, [], ".").base_url == "http://localhost:8000/v1"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("stepz = 3\n", ("gome.toml", "`stepz`", "did you mean `steps`")),
        ('api_key = "sk-do-not-print-me"\n', ("gome.toml", "`api_key`", "OPENAI_API_KEY")),
        ("steps = 0\n", ("gome.toml: steps: expected a whole number from 1 to 100000", "'0'")),
        ('steps = "many"\n', ("gome.toml: steps: expected a whole number", "many")),
        ('preset = "best"\n', ("preset: expected one of gome, adaptive, tree, mcts, random",)),
        ("time_s = 0\n", ("time_s: expected a number above 0", "'0'")),
        ("retries = -1\n", ("retries: expected a whole number from 0 to 100",)),
        ("max_output_tokens = 1\n", ("expected a whole number of at least 256",)),
        ('network = "perhaps"\n', ("network: expected true or false",)),
        ("steps = \n", ("gome.toml", "not valid TOML")),
        ('key_env = "sk-do-not-print-me"\n', ("gome.toml: key_env",)),
    ],
)
def test_errors_in_a_file_name_the_file_and_the_remedy(
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


def test_a_misspelt_variable_is_reported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for other in ("GOME_HOME", "GOME_LEASES", "GOME_JOB"):  # of other uses
        monkeypatch.setenv(other, "x")
    assert make_settings({}, [], "task").model == []
    monkeypatch.setenv("GOME_MODLE", "gpt-5")
    line = refused(capsys)
    assert "GOME_MODLE" in line and "did you mean `model`" in line


@pytest.mark.parametrize("way", ["set", "file", "task"])
def test_a_retired_setting_is_unknown_to_users(
    way: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = {"file": here, "task": here / "task"}.get(way)
    if folder:
        (folder / "gome.toml").write_text("warm_start = true\n")
    with pytest.raises(typer.Exit):
        make_settings({}, [] if folder else ["warm_start=true"], "task")
    line = capsys.readouterr().err
    assert "warm_start" in line
    assert ("no setting is called" if folder else "no such setting") in line


def test_the_folder_of_runs_by_flag_environment_and_file(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert configured_runs_dir(None) == "runs"
    (here / "gome.toml").write_text('runs_dir = "of-the-file"\nstepz = 3\n')
    assert configured_runs_dir(None) == "of-the-file"  # a mistake elsewhere is no obstacle
    monkeypatch.setenv("GOME_RUNS_DIR", "of-the-environment")
    assert configured_runs_dir(None) == "of-the-environment"
    assert configured_runs_dir("of-the-flag") == "of-the-flag"


def test_durations_may_have_a_unit_wherever_the_setting_is_seconds() -> None:
    chosen = make_settings({"time_s": "30m"}, ["answer_time_s=90s", "backoff_s=0.5"], "task")
    assert (chosen.time_s, chosen.answer_time_s, chosen.backoff_s) == (1800, 90, 0.5)


# the scripts' Python


def test_python_has_a_section_a_variable_and_a_flag(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "gome.toml").write_text('steps = 7\n[scripts]\npython = "envs/ml"\nrun_cpus = 2\n')
    chosen = make_settings({}, [])
    assert (chosen.python, chosen.run_cpus, chosen.steps) == (str(here / "envs/ml"), 2, 7)
    monkeypatch.setenv("GOME_PYTHON", "tab")
    assert make_settings({}, []).python == "tab"
    assert make_settings({"python": "./other/bin/python"}, []).python == str(
        here / "other/bin/python"
    )
    assert make_settings({"python": "none"}, []).python is None


def test_links_on_the_way_to_python_stay(here: Path) -> None:
    (here / "link").symlink_to(here / "task")
    assert make_settings({"python": "link/bin/python"}, []).python == str(here / "link/bin/python")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[scripts]\npythn = "x"\n', "[scripts] has no setting `pythn`; it takes python"),
        ("scripts = 3\n", "`scripts` is a table: [scripts]"),
        ("[scripts]\npython = 3\n", "gome.toml: python: expected a text"),
    ],
)
def test_a_mistake_in_the_section_is_named(
    here: Path, text: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "gome.toml").write_text(text)
    assert words in refused(capsys)


def test_a_task_folder_names_no_python(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It would be a program of a stranger's choice, run outside the sandbox."""
    (here / "task/gome.toml").write_text('[scripts]\npython = "bin/python"\n')
    assert "`python` is not for a task folder to set" in refused(capsys)
