"""Runs over a real HTTP endpoint by the command line: errors are clear, and nothing is lost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from chat_kit import KEY, QUICK, at_home, gome, honest, one_line, verb_of
from kit import events, write_task
from openai_server import Body, Say, Server, fail, say

from report.formatting import format_usd

pytestmark = pytest.mark.timeout(900)  # each is a process with pandas in it; a busy machine is slow


def the_run(tmp_path: Path) -> Path:
    (folder,) = [path.parent for path in (tmp_path / "runs").glob("*/run.json")]
    return folder


def tokens(folder: Path) -> int:
    """All tokens in the run's events."""
    lines = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    counted = [line["usage"] for line in lines if line.get("usage") and line["ev"] != "attempt"]
    return sum(int(usage["input_tokens"] + usage["output_tokens"]) for usage in counted)


def test_a_missing_key_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_home(tmp_path, monkeypatch, key="")
    write_task(tmp_path / "task")
    line = one_line(gome("run", "task", "--model", "gpt-5", *QUICK))
    assert "OPENAI_API_KEY" in line and "--base-url" in line
    assert not (tmp_path / "runs").exists() or not list((tmp_path / "runs").iterdir())


def test_a_wrong_key_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_task(tmp_path / "task")
    with Server(honest, key="sk-the-right-one") as server:
        at_home(tmp_path, monkeypatch, server.url)
        line = one_line(gome("run", "task", "--model", "m", *QUICK))
    assert "refuses the API key" in line and KEY not in line
    assert not list((tmp_path / "runs").iterdir())


def test_an_endpoint_that_is_down_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_task(tmp_path / "task")
    with Server(honest) as server:
        url = server.url
    at_home(tmp_path, monkeypatch, url)
    line = one_line(gome("run", "task", "--model", "m", *QUICK))
    assert "cannot be reached" in line and url in line
    assert "gome resume" in line and not events(the_run(tmp_path), "execution_started")


def test_an_unknown_model_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_task(tmp_path / "task")
    with Server(lambda body, n: fail(404, "no such model")) as server:
        at_home(tmp_path, monkeypatch, server.url)
        assert "knows no model m" in one_line(gome("run", "task", "--model", "m", *QUICK))


class Failing:
    """Honest for `after` answers, then faulty until it is fixed."""

    def __init__(self, after: int, fault: Say) -> None:
        self.after, self.fault = after, fault

    def __call__(self, body: Body, n: int) -> Say:
        return honest(body, n) if n < self.after else self.fault


FAULTS = {
    "key withdrawn": (fail(401, "revoked"), "refuses the API key"),
    "rate limit for good": (fail(429, "slow down", headers={"Retry-After": "0"}), "rate limit"),
    "money spent": (fail(429, "quota", code="insufficient_quota"), "no money left"),
}


@pytest.mark.parametrize(
    "fault",
    ["key withdrawn", *(pytest.param(name, marks=pytest.mark.slow) for name in list(FAULTS)[1:])],
)
def test_a_run_in_progress_pauses_and_resumes(
    fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_task(tmp_path / "task")
    answer, words = FAULTS[fault]
    failing = Failing(2, answer)  # check, draft; then the step fails
    with Server(failing) as server:
        at_home(tmp_path, monkeypatch, server.url)
        line = one_line(gome("run", "task", "--model", "m", *QUICK))
        folder = the_run(tmp_path)
        assert words in line and f"gome resume {folder.name}" in line
        assert (folder / "best" / "submission.csv").exists()
        assert [event["reason"] for event in events(folder, "run_ended")] == ["paused"]
        failing.after = 10**9
        before = len(server.requests)
        result = gome("resume")
        assert result.exit_code == 0, result.output
        assert [verb_of(body) for body in server.requests[before:]] == [
            "check",
            "diagnose",
            "review",
        ]  # nothing was asked twice
        assert tokens(folder) == server.tokens
    assert [event["id"] for event in events(folder, "attempt")] == ["t0s0", "t0s1"]


@pytest.mark.slow
def test_ten_bad_answers_do_not_end_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every step is nonsense: steps fail, the run pauses, and a better endpoint completes it."""
    write_task(tmp_path / "task")
    bad = [0]

    def reply(body: Body, n: int) -> Say:
        if verb_of(body) in ("check", "draft") or bad[0] >= 24:
            return honest(body, n)
        bad[0] += 1
        return say("I am not sure what you mean.")

    with Server(reply) as server:
        at_home(tmp_path, monkeypatch, server.url)
        more = ("--steps", "6", "--set", "max_unanswered=3")
        line = one_line(gome("run", "task", "--model", "m", *QUICK, *more))
        folder = the_run(tmp_path)
        assert "3 steps in a row got no usable answer" in line and "gome resume" in line
        assert [event["verdict"] for event in events(folder, "attempt")] == [
            "accepted",
            "failed",
            "failed",
        ]
        assert bad[0] >= 10
        result = gome("resume")
        while result.exit_code == 2:
            result = gome("resume")
        assert result.exit_code == 0, result.output
        assert tokens(folder) == server.tokens
    verdicts = [event["verdict"] for event in events(folder, "attempt")]
    assert len(verdicts) == 6 and "accepted" in verdicts[3:]


@pytest.mark.slow
def test_a_fallback_takes_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_task(tmp_path / "task")

    def reply(body: Body, n: int) -> Say:
        return fail(500, "broken") if body["model"] == "m" and n > 2 else honest(body, n)

    with Server(reply) as server:
        at_home(tmp_path, monkeypatch, server.url)
        result = gome("run", "task", "--model", "m", "--fallback", "spare", *QUICK)
        assert result.exit_code == 0, result.output
        assert {body["model"] for body in server.requests} == {"m", "spare"}
        assert tokens(the_run(tmp_path)) == server.tokens


@pytest.mark.slow
def test_verbs_have_models_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_task(tmp_path / "task")
    with Server(honest) as server:
        at_home(tmp_path, monkeypatch, server.url)
        assert (
            gome("run", "task", "--model", "m", "--model", "diagnose=thinker", *QUICK).exit_code
            == 0
        )
    assert {(verb_of(body), body["model"]) for body in server.requests} >= {
        ("draft", "m"),
        ("diagnose", "thinker"),
        ("update", "m"),
    }


SPY = "import os\nprint('SEEN', dict(os.environ), open('/proc/self/environ').read())\n"


def test_the_key_is_stored_and_printed_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither key nor endpoint password is in the run folder, the output or the sandbox."""
    write_task(tmp_path / "task")

    def reply(body: Body, n: int) -> Say:
        answer = honest(body, n)
        if verb_of(body) == "diagnose":
            return fail(400, f"bad request from {KEY} and user:hunter2secret")
        if verb_of(body) != "draft":
            return answer
        given = json.loads(answer.text)
        return say(given | {"script": SPY + given["script"]})

    with Server(reply) as server:
        at_home(tmp_path, monkeypatch)
        url = server.url.replace("http://", "http://user:hunter2secret@")
        result = gome("run", "task", "--model", "m", "--base-url", url, *QUICK)
        assert result.exit_code == 0, result.output
        assert server.headers[0]["Authorization"].startswith("Basic ")
    folder = the_run(tmp_path)
    assert json.loads((folder / "run.json").read_text())["settings"]["base_url"] == server.url
    found = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    assert any(b"SEEN" in content for content in found)
    for secret in (KEY, "hunter2secret"):
        assert not any(secret.encode() in content for content in found)
        assert secret not in result.output + result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("cap", [("--max-tokens", "9000"), ("--max-usd", "0.01")])
def test_caps_hold_over_a_resume(
    cap: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_task(tmp_path / "task")
    (tmp_path / "prices.yaml").write_text("m: {input: 1, output: 2}\n")
    failing = Failing(3, fail(401, "revoked"))
    with Server(failing) as server:
        at_home(tmp_path, monkeypatch, server.url)
        more = ("--steps", "500", "--set", "merge_every=500", "--set", "prices=prices.yaml")
        one_line(gome("run", "task", "--model", "m", *QUICK, *more, *cap))
        failing.after = 10**9
        assert gome("resume").exit_code == 0
        folder = the_run(tmp_path)
        (end,) = [event for event in events(folder, "run_ended") if event["reason"] != "paused"]
        used = events(folder, "merged")[-1]["used"]
        assert end["message"] in ("token limit reached", "money limit reached")
        assert used["tokens"] == tokens(folder) == server.tokens
        assert used["usd"] == pytest.approx((server.input_tokens + 2 * server.output_tokens) / 1e6)
    shown = gome("show").output
    assert all(word in shown for word in ("check", "draft", "diagnose", "trace 0", "total"))
    assert format_usd(used["usd"]) in shown
