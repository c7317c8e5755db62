"""gome doctor reports what it finds, what is wrong and how to fix it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from attacks import make_foreign_python
from chat_kit import KEY, at_home, gome, honest
from kit import table, write_task
from openai_server import Server, fail

from cli.doctor import judge_packages
from sandbox.env.registry import Environment
from task.load.modality import guess_modality

pytestmark = pytest.mark.timeout(900)  # each is a process with pandas in it; a busy machine is slow


def test_a_healthy_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Server(honest) as server:
        at_home(tmp_path, monkeypatch, server.url)
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "gome.toml").write_text('runs_dir = "elsewhere"\n')
        result = gome("doctor", "--model", "m", "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.output)
    found = {finding["name"]: finding for finding in told["findings"]}
    assert told["ok"] and set(found) >= {
        "endpoint",
        "isolation",
        "packages",
        "gpus",
        "disk",
        "memory",
    }
    assert (
        "json_schema" in found["endpoint"]["text"] and "scikit-learn" in found["packages"]["text"]
    )
    assert found["not stopped"]["level"] == "note" and "\n" not in found["not stopped"]["text"]
    assert "none known for m" in found["prices"]["text"]
    assert str(tmp_path / "elsewhere") in found["disk"]["text"]
    assert KEY not in result.output and len(server.requests) == 1


def test_a_wrong_key_is_reported_with_its_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Server(lambda body, n: fail(401, "bad key")) as server:
        at_home(tmp_path, monkeypatch, server.url)
        result = gome("doctor", "--model", "m")
    assert result.exit_code == 2
    assert (
        "✗ endpoint" in result.output
        and "set OPENAI_API_KEY to a valid one" in result.output
        and "✓ packages" in result.output
    )


def test_environments_and_what_the_task_wants(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_home(tmp_path, monkeypatch)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    folder = tmp_path / ".gome/envs/eyes"
    folder.mkdir(parents=True)
    made = Environment(
        name="eyes",
        created="2026-11-28",
        version="3.11.2",
        presets=["vision"],
        wanted=["pydicom"],
        hardware="cpu",
    )
    (folder / "gome-env.json").write_text(made.model_dump_json())
    (folder / "gome-env.lock").write_text("numpy==2.4.6\ntorch==2.15.0\n")
    pictures = tmp_path / "task/train"
    pictures.mkdir(parents=True)
    for index in range(12):
        (pictures / f"{index}.jpg").touch()
    result = gome("doctor", "task", "--json")
    assert result.exit_code == 0, result.output
    found = {finding["name"]: finding for finding in json.loads(result.output)["findings"]}
    assert found["env"]["text"] == (
        "eyes: Python 3.11.2; vision; with pydicom; cpu; torch 2.15.0, no GPU here"
    )
    assert "vision (12 files (jpg)): scripts would want torch" in found["task"]["text"]
    assert found["task"]["remedy"] == "use the environment that you have: --python eyes"


def test_the_kind_of_data_is_seen(tmp_path: Path) -> None:
    task = write_task(tmp_path / "table")
    assert guess_modality(str(task)) == {"modality": "tabular", "why": "4 columns"}
    review = "a long review of what happened there and why, "
    rows = [[f"r{i}", review + str(i), i % 2] for i in range(40)]
    table(task / "train.csv", ["id", "x", "label"], rows)
    table(task / "test.csv", ["id", "x"], [[f"s{i}", review + str(i)] for i in range(9)])
    table(task / "sample_submission.csv", ["id", "label"], [[f"s{i}", 0.5] for i in range(9)])
    assert guess_modality(str(task))["modality"] == "text"
    (task / "clips").mkdir()
    for index in range(10):
        (task / f"clips/{index}.WAV").touch()
    assert guess_modality(str(task)) == {"modality": "audio", "why": "10 files (wav)"}


def test_a_python_without_the_packages_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_home(tmp_path, monkeypatch)
    python = make_foreign_python(tmp_path / "bare")
    result = gome("doctor", "--python", python, "--json")
    found = {finding["name"]: finding for finding in json.loads(result.output)["findings"]}
    assert result.exit_code == 2
    assert "cannot import numpy, pandas, scikit-learn" in found["packages"]["text"]
    assert f"pip install --python {python} numpy" in found["packages"]["remedy"]


def test_a_package_that_cannot_be_loaded_is_named_with_its_library() -> None:
    versions = {"numpy": "2", "pandas": "3", "sklearn": "1"}
    reason = "OSError: libgomp.so.1: cannot open shared object file"
    found = judge_packages(versions, {"lightgbm": reason})
    assert found.level == "bad" and "lightgbm is installed but cannot be loaded" in found.text
    assert found.remedy == "apt install libgomp1"
    assert judge_packages(versions, {"lightgbm": reason}, "/opt/other/bin/python").level == "note"
    assert judge_packages(versions, {}).level == "ok"
