"""Transcripts: every call of a model is kept once, without secrets, and shown."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from chat_kit import KEY, QUICK, at_home, gome, honest, verb_of
from kit import write_task
from openai_server import Body, Say, Server, fail, say
from test_reasoner_chat_run import the_run, tokens

from reasoner.chat.endpoint.faults import hide_secrets
from reasoner.protocol import Usage
from reasoner.transcript import ModelCall, SentMessage, keep_call
from report.call_tables import call_json
from report.transcripts import load_calls, read_call_texts
from run.events import Events
from run.transcripts import keep_transcripts, split_prompt
from session.export_run import export_run
from session.import_run import import_run

THOUGHT = "first I look at the rates"


def section(name: str, n: int = 40) -> str:
    rng = random.Random(name)
    words = [" ".join(f"{rng.random():.6f}" for _ in range(9)) for _ in range(n)]
    return "\n".join([f"# {name}", *words, ""])


STATIC = "".join(section(name) for name in ("Task", "Data", "Environment"))


def keep_calls(folder: Path, *calls: ModelCall, name: str = "t1s4r2") -> None:
    folder.mkdir(exist_ok=True)
    with keep_transcripts(folder, Events(folder / "events.jsonl"), "update", name):
        for call in calls:
            keep_call(call)


def ask_once(prompt: str, answer: str = "{}") -> ModelCall:
    return ModelCall(
        "m", "json_schema", (SentMessage("user", prompt),), answer, usage=Usage(calls=1)
    )


def test_a_prefix_of_many_prompts_is_stored_once(tmp_path: Path) -> None:
    prompts = [STATIC + section(f"Request {n}", 8) for n in range(10)]
    keep_calls(tmp_path, *map(ask_once, prompts))
    stored = sum(path.stat().st_size for path in (tmp_path / "calls").rglob("*") if path.is_file())
    assert stored < len(STATIC) + 10 * 1_800  # the static part once, and what is new of each
    calls = load_calls(tmp_path)
    texts = [read_call_texts(tmp_path, each) for each in calls]
    assert [text.turns[0].text for text in texts] == prompts
    known = ["".join(p.text for p in text.turns[0].parts if p.is_known) for text in texts]
    assert known == ["", *[STATIC] * 9]
    assert {(each.attempt, each.trace, each.step, each.verb) for each in calls} == {
        ("t1s4", 1, 4, "update")
    }


def test_a_split_prompt_joins_to_itself() -> None:
    for text in (
        "",
        "# a",
        "no heading" * 9_000,
        STATIC,
        "\n".join(f"# {n}" for n in range(5_000)),
    ):
        assert "".join(split_prompt(text)) == text


def test_approach_and_why_are_listed(tmp_path: Path) -> None:
    given = {"approach": "trees", "why": "rows\nare few", "script": "x = 1"}
    keep_calls(tmp_path, ask_once("p", f"Here you are: {json.dumps(given)}"))
    (listed,) = load_calls(tmp_path)
    assert (listed.approach, listed.why) == ("trees", "rows are few")


SECRETS = [
    f"the key {KEY} was refused",
    "Authorization: Bearer abcdef.ghijk-lmnop",
    "headers={'authorization': 'Basic dXNlcjpwYXNzd29yZA=='}",
    'x-api-key: "9f8e7d6c5b4a"',
    "https://me:hunter2secret@example.org/v1",
    "use sk-proj-AbC123def456GHI789jkl and ghp_0123456789abcdefABCDEF0123456789abcd",
    "password hunter2secret",
]


@pytest.mark.parametrize("text", SECRETS)
def test_what_looks_like_a_secret_is_masked_within_text(text: str) -> None:
    hidden = hide_secrets(f"first line\n{text}\nlast line", (KEY, "hunter2secret"))
    assert "***" in hidden and hidden.startswith("first line\n") and hidden.endswith("\nlast line")
    for part in (KEY, "abcdef.ghijk", "dXNlcjpw", "9f8e7d6c", "hunter2", "AbC123", "0123456789ab"):
        assert part not in hidden


def test_code_is_no_secret() -> None:
    code = "key_columns = ['key-value']\nsk_learn_pipeline_of_columns = hf_hub\nbearer of news\n"
    assert hide_secrets(code, (KEY,)) == code


def test_a_damaged_or_hostile_record_is_named(tmp_path: Path) -> None:
    keep_calls(tmp_path, ask_once("a prompt"), ask_once("another"), ask_once("third"))
    first, second, third = load_calls(tmp_path)
    place = tmp_path / "calls"
    (place / first.record[:2] / first.record).write_text("{}")
    (place / second.record[:2] / second.record).unlink()
    assert "damaged" in read_call_texts(tmp_path, first).problem
    assert "not in this run folder" in read_call_texts(tmp_path, second).problem
    (place / third.record[:2] / third.record).unlink()
    secret = tmp_path / "secret"
    secret.write_text("outside")
    (place / third.record[:2] / third.record).symlink_to(secret)
    assert call_json(tmp_path, third)["problem"]
    lines = ['{"ev": "model_call", "record": "../../etc/passwd", "trace": [], "usd": "nan"}']
    lines += ['{"ev": "model_call", "record": ["x"], "verb": {"a": 1}, "error": "\\u001b[31mred"}']
    (tmp_path / "events.jsonl").write_text("\n".join(lines) + "\n")
    for listed in load_calls(tmp_path):
        assert "\x1b" not in json.dumps(call_json(tmp_path, listed), ensure_ascii=False)
        assert call_json(tmp_path, listed)["problem"]


def thinking(body: Body, n: int) -> Say:
    """An endpoint that thinks aloud beside its answers, quotes the key, and fails once."""
    if n == 2:
        return fail(500, f"cannot answer {KEY}")
    answer = honest(body, n)
    if verb_of(body) == "draft":
        given = json.loads(answer.text) | {"approach": f"linear, says {KEY}"}
        return say(given, beside={"reasoning_content": f"{THOUGHT} {KEY}"})
    return answer


def test_a_run_keeps_shows_exports_and_imports_its_calls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_task(tmp_path / "task")
    with Server(thinking) as server:
        at_home(tmp_path, monkeypatch, server.url)
        result = gome("run", "task", "--model", "m", *QUICK)
        assert result.exit_code == 0, result.output
        sent = [body["messages"] for body in server.requests]
        folder = the_run(tmp_path)
        assert tokens(folder) == server.tokens
        shown = json.loads(gome("show", "--calls", "--json").output)
        asked = [[(turn["role"], turn["content"]) for turn in each["prompt"]] for each in shown]
        answered = [each for number, each in enumerate(sent) if number != 2]  # that one was retried
        assert asked == [[(turn["role"], turn["content"]) for turn in each] for each in answered]
        assert [each["verb"] for each in shown[:2]] == ["check", "draft"]
        assert sum(each["input_tokens"] + each["output_tokens"] for each in shown) == server.tokens
        draft = shown[1]
        assert draft["attempt"] == "t0s0" and THOUGHT in draft["thinking"]
        assert json.loads(draft["answer"])["script"] and draft["approach"] == "linear, says ***"
        assert not any(KEY.encode() in path.read_bytes() for path in folder.rglob("calls/*/*"))
        assert "linear, says ***" in " ".join(gome("show", "--calls").output.split())
        assert THOUGHT in gome("show", "--call", "2").output
        assert f"has {len(shown)} calls" in gome("show", "--call", "99").stderr
        export_run(folder, tmp_path / "run.zip")
        export_run(folder, tmp_path / "look.zip", read_only=True)
        new, _ = import_run(tmp_path / "run.zip", tmp_path / "there")
        assert [call_json(new, each) for each in load_calls(new)] == shown
        looked, _ = import_run(tmp_path / "look.zip", tmp_path / "there")
        (problem,) = {call_json(looked, each)["problem"] for each in load_calls(looked)}
        assert "read-only export leaves them out" in problem and not (looked / "calls").exists()


def test_a_setting_turns_transcripts_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_task(tmp_path / "task")
    with Server(honest) as server:
        at_home(tmp_path, monkeypatch, server.url)
        more = ("--steps", "1", "--set", "transcripts=false")
        assert gome("run", "task", "--model", "m", *QUICK, *more).exit_code == 0
    folder = the_run(tmp_path)
    assert not (folder / "calls").exists() and load_calls(folder) == []
    assert "no transcripts" in gome("show", "--calls").stderr
