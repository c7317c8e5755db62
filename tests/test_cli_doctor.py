"""gome doctor reports what it finds, what is wrong and how to fix it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from chat_kit import KEY, at_home, gome, honest
from openai_server import Server, fail

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
