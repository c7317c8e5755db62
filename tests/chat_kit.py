"""Shared by the tests of the chat reasoner: answers for each verb, runs by the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from kit import HONEST
from openai_server import Body, Say, say
from typer.testing import CliRunner, Result

from cli.app import app

KEY = "sk-test-5f0c1e7d9b2a4c68"

LOOK = "print(open('input/train.csv').read()[:200])\n"


def verb_of(body: Body) -> str:
    """Return the verb of a request, by the schema it asks for."""
    schema = json.dumps(schema_of(body))
    if '"hypotheses"' in schema:
        asked = "\n".join(str(turn["content"]) for turn in body["messages"])
        return "follow" if "# Request: make the change for one hypothesis" in asked else "diagnose"
    if '"edits"' in schema:
        return "repair" if '"cause"' in schema else "update"
    if '"aligned"' in schema:
        return "review"
    if '"question"' in schema:
        return "probe"
    return "draft" if '"script"' in schema else "check"


def schema_of(body: Body) -> Any:
    """Return the schema of a request: from its form, or spelled out in its messages."""
    if "tools" in body:
        return body["tools"][0]["function"]["parameters"]
    if (form := body.get("response_format") or {}).get("json_schema"):
        return form["json_schema"]["schema"]
    spelled = [
        message["content"] for message in body["messages"] if "JSON schema:\n" in message["content"]
    ]
    return json.loads(spelled[0].rpartition("JSON schema:\n")[2]) if spelled else {}


def honest(body: Body, n: int) -> Say:
    """Return a sound answer to any request; scripts get better with every answer."""
    verb = verb_of(body)
    script = HONEST.format(noise=round(3 / (1 + n), 4))
    hypothesis = {
        "challenge": "predictions are noisy",
        "statement": f"less noise, {n}",
        "component": "model",
        "confidence": 0.7,
    }
    answers: dict[str, Any] = {
        "check": {"answer": 5},
        "draft": {"summary": f"linear score, {n}", "script": script},
        "diagnose": {
            "observations": [],
            "causes": ["noise"],
            "hypotheses": [hypothesis],
            "summary": f"less noise, {n}",
            "script": script,
        },
        "follow": {"chosen": "h1", "summary": f"less noise, {n}", "script": script},
        "update": {
            "summary": f"less noise, {n}",
            "hypothesis": hypothesis,
            "edits": [],
            "script": script,
        },
        "repair": {
            "summary": "repaired",
            "cause": "a bug",
            "fix": "none",
            "edits": [],
            "script": script,
        },
        "review": {"aligned": True, "leaks": False, "reasons": []},
        "probe": {"question": "what train.csv begins with", "script": LOOK},
    }
    return say(answers[verb])


def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str = "", key: str = KEY) -> None:
    """Give the test its own user environment: key, endpoint, caches, current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name, value in {"OPENAI_API_KEY": key, "OPENAI_BASE_URL": url}.items():
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name, raising=False)


def gome(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


QUICK: tuple[str, ...] = ("--traces", "1", "--steps", "2", "--time", "600", "--memory", "off")
QUICK += tuple(
    word
    for one in (
        *("backoff_s=0.01", "retries=1", "top_k=1", "final_seeds=1", "confirm=false"),
        "probes=0",
    )
    for word in ("--set", one)
)


def one_line(result: Result) -> str:
    """Return the one line on stderr; the exit code must be 2."""
    assert result.exit_code == 2, (result.output, result.exception)
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, lines
    return str(lines[0])
