"""The options of commands are generated from the settings; every command obeys runs_dir."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from chat_kit import gome
from kit import write_task

from cli.options import option_help
from graph.settings import Settings
from settings.field import about_setting

QUICK: tuple[str, ...] = ("--traces", "1", "--steps", "1", "--time", "2m", "--memory", "off")
QUICK += ("--set", "top_k=1", "--set", "final_seeds=1", "--set", "confirm=false")


def words(text: str) -> str:
    return " ".join(text.replace("-\n", "-").split())


def test_help_shows_every_flag_with_the_description_and_default_of_its_field() -> None:
    shown = gome("run", "--help").output
    for name, field in Settings.model_fields.items():
        if about_setting(field).flag is None:
            continue
        assert words(option_help(name)) in words(shown), name
    order = [line.split()[0] for line in shown.splitlines() if line.startswith("  --")]
    assert order[:5] == ["--preset", "--traces", "--steps", "--time", "--seed"]
    assert "[default: 1h]" in words(shown) and "One of local, e2b, ray." in words(shown)
    for command in ("resume", "fork", "ls", "doctor"):
        assert words(option_help("runs_dir")) in words(gome(command, "--help").output)


def test_a_flag_is_read_as_its_field_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    refused = gome("run", "task", "--time", "soon")
    assert refused.exit_code == 2 and "--time soon: expected seconds" in refused.stderr
    refused = gome("run", "task", "--sandbox", "moon")
    assert refused.exit_code == 2 and "--sandbox: expected one of local, e2b, ray" in refused.stderr
    assert gome("run", "task", "--traces", "two").exit_code == 2


def test_every_command_obeys_the_folder_of_runs_in_gome_toml(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gome.toml").write_text('runs_dir = "elsewhere"\n')
    runs = tmp_path / "elsewhere"
    write_task(tmp_path / "task")
    done = gome("run", "task", *QUICK)
    assert done.exit_code == 0, (done.output, done.exception)
    (run,) = runs.iterdir()
    assert not (tmp_path / "runs").exists()

    meta = json.loads((run / "run.json").read_text())  # as the last release wrote it
    meta["settings"]["warm_start"] = False
    (run / "run.json").write_text(json.dumps(meta))

    assert run.name[:16] in words(gome("ls").output)
    for command in (["show"], ["report"], ["resume"], ["clean", "--dry-run"]):
        done = gome(*command)
        assert done.exit_code == 0, (command, done.output, done.exception)
    assert (run / "report.html").exists()
    hinted = gome("hint", run.name, "mind the skew")
    assert hinted.exit_code == 2 and f"{run.name} is run by the expert" in hinted.stderr
    assert gome("export", "--to", "run.zip").exit_code == 0
    imported = gome("import", "run.zip")
    assert imported.exit_code == 0 and (runs / f"{run.name}-2").exists(), imported.output
    forked = gome("fork", run.name, "--set", "accept_z=2")
    assert forked.exit_code == 0 and len(os.listdir(runs)) == 3, forked.output
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "Studio needs its server" in gome("studio", run.name).stderr  # the run was found
    monkeypatch.setenv("GOME_RUNS_DIR", "nowhere")
    for name in ("show", "report", "resume", "fork", "export", "clean"):
        done = gome(name)
        assert done.exit_code == 2 and "no runs below nowhere" in done.stderr, name
