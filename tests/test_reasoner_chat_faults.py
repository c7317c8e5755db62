"""Odd answers of endpoints: understood, or refused in one sentence that says what to do."""

from __future__ import annotations

import gzip
import json
import re
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from chat_kit import KEY, QUICK, at_home, gome, honest, one_line, verb_of
from kit import HONEST, events, write_task
from openai_server import Body, Say, Server, fail, say
from test_reasoner_chat_endpoint import Desk, called, piece, streamed, whole
from test_reasoner_chat_run import the_run, tokens
from test_reasoner_chat_structured import Told, ask, counted, script

from reasoner.chat.answer.convert import edit_script
from reasoner.chat.answer.edits import AnswerError
from reasoner.chat.answer.schemas import EditAnswer
from reasoner.chat.answer.scripts import extract_code, extract_edits
from reasoner.chat.endpoint.cache import ChatRequest, NoExchanges
from reasoner.chat.endpoint.faults import (
    EndpointError,
    PermanentError,
    PromptTooLongError,
    TransientError,
    UnknownPlaceError,
)
from reasoner.chat.endpoint.retry import ask_with_retries
from reasoner.chat.engine import Chat, build_chat
from reasoner.chat.message import Message
from reasoner.protocol import ReasonerDownError, ReasonerUnavailableError
from reasoner.settings import ModelSettings

GOOD = {"name": "ridge", "depth": 3}
TEXT = json.dumps(GOOD)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    desk = Desk()
    with desk.server:
        yield desk


def parts(*parts: Any) -> str:
    return whole({"role": "assistant", "content": list(parts)})


ODD_ANSWERS = {  # what is sent -> the answer, the reasoning
    "a list of parts": (parts({"type": "text", "text": "a"}, {"text": "b"}), "ab", ""),
    "a list of texts": (parts("a", "b"), "ab", ""),
    "one part alone": (whole({"content": {"type": "text", "text": "a"}}), "a", ""),
    "output_text parts": (parts({"type": "output_text", "text": "a"}), "a", ""),
    "a part that thinks": (
        parts({"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "a"}),
        "a",
        "hm",
    ),
    "a part that thinks in parts": (
        parts({"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"text": "a"}),
        "a",
        "hm",
    ),
    "a hidden part": (parts({"type": "redacted_thinking", "data": "x"}, {"text": "a"}), "a", ""),
    "reasoning_content": (whole({"content": "a", "reasoning_content": "hm"}), "a", "hm"),
    "reasoning": (whole({"content": "a", "reasoning": "hm"}), "a", "hm"),
    "both, the same": (
        whole({"content": "a", "reasoning": "hm", "reasoning_details": [{"text": "hm"}]}),
        "a",
        "hm",
    ),
    "reasoning_details": (
        whole(
            {"content": "a", "reasoning_details": [{"type": "reasoning.summary", "summary": "h"}]}
        ),
        "a",
        "h",
    ),
    "reasoning of a wrong type": (whole({"content": "a", "reasoning": {"x": 1}}), "a", ""),
    "null content with reasoning": (whole({"content": None, "reasoning_content": "hm"}), "", "hm"),
    "streamed reasoning": (
        streamed(piece(reasoning_content="h"), piece(reasoning_content="m"), piece(content="a")),
        "a",
        "hm",
    ),
    "a call in the older form": (
        whole({"content": None, "function_call": {"name": "f", "arguments": "{}"}}),
        "{}",
        "",
    ),
    "two calls, the first counts": (
        whole(
            {
                "content": None,
                "tool_calls": [
                    {"function": {"name": "answer", "arguments": "{}"}},
                    {"function": {"name": "answer", "arguments": "[]"}},
                ],
            }
        ),
        "{}",
        "",
    ),
    "a call without an index in pieces": (
        streamed(piece(**called("{")), piece(**called("}"))),
        "{}",
        "",
    ),
    "whole answers as events": (streamed(json.loads(whole({"content": "a"}))), "a", ""),
    "a stream without [DONE]": ("data: " + json.dumps(piece(content="a")) + "\n\n", "a", ""),
    "text after [DONE]": (streamed(piece(content="a")) + "data: {broken\n\n", "a", ""),
    "data without a blank": (streamed(piece(content="a")).replace("data: ", "data:"), "a", ""),
    "an event in two data lines": (
        'data: {"choices":\ndata: [{"delta": {"content": "a"}}]}\n\n',
        "a",
        "",
    ),
    "a first event without choices": (
        streamed({"choices": [], "prompt_filter_results": []}, piece(content="a")),
        "a",
        "",
    ),
    "NaN among the numbers": (whole({"content": "a"}, logprobs=float("nan")), "a", ""),
    "a byte order mark": ("\ufeff" + whole({"content": "a"}), "a", ""),
    "blank lines first": ("\n\n \n" + whole({"content": "a"}), "a", ""),
    "a list around it": (f"[{whole({'content': 'a'})}]", "a", ""),
    "an empty error": (whole({"content": "a"}, error=None), "a", ""),
    "choices with a null": (
        json.dumps({"choices": [None, {"message": {"content": "a"}}]}),
        "a",
        "",
    ),
    "nested deeply beside": (whole({"content": "a", "x": [[[[[[[[1]]]]]]]]}), "a", ""),
}


@pytest.mark.parametrize("stream", [True, False])
async def test_odd_answers_are_understood(desk: Desk, stream: bool) -> None:
    for what, (raw, text, thinking) in ODD_ANSWERS.items():
        reply = await desk.ask(raw, stream=stream)
        assert (reply.content, reply.thinking) == (text, thinking), what


def error(**fields: Any) -> str:
    return json.dumps({"error": fields})


USELESS: dict[str, tuple[Say, type[EndpointError], str]] = {
    "null choices": (say(raw='{"choices": null}'), TransientError, "has no choices"),
    "an error with 200": (say(raw=error(message="busy")), TransientError, "busy"),
    "a wrong key with 200": (
        say(raw=error(message="no auth", code=401)),
        PermanentError,
        "refuses the API key",
    ),
    "no money with 200": (say(raw=error(message="pay", code=402)), PermanentError, "no money"),
    "a rate limit with 200": (say(raw=error(message="slow", code="429")), TransientError, "rate"),
    "an error in a choice": (
        say(raw='{"choices": [{"error": {"message": "upstream", "code": 502}}]}'),
        TransientError,
        "upstream",
    ),
    "an error in a list": (
        say(raw=f"[{error(message='billing', code=429)}]"),
        PermanentError,
        "billing",
    ),
    "a message alone": (say(raw='{"message": "not today"}'), TransientError, "not today"),
    "a detail alone": (say(raw='{"detail": "not today"}'), TransientError, "not today"),
    "413": (fail(413, "too large"), PromptTooLongError, "413"),
    "529": (fail(529, "Overloaded"), TransientError, "overloaded"),
    "404": (fail(404, "no such model"), UnknownPlaceError, "knows no model"),
    "418": (fail(418, "teapot"), PermanentError, "unexpected answer"),
    "nested deeply": (say(raw='{"choices": ' + "[" * 99_999), TransientError, "nests too deeply"),
    "compressed twice": (
        say(raw=gzip.compress(gzip.compress(b"{}")), headers={"Content-Encoding": "gzip, gzip"}),
        TransientError,
        "compressed as 'gzip, gzip'",
    ),
    "compressed in another way": (
        say(raw=b"x", headers={"Content-Encoding": "zstd"}),
        TransientError,
        "compressed as 'zstd'",
    ),
    "falsely compressed": (
        say(raw=b"{}", headers={"Content-Encoding": "gzip"}),
        TransientError,
        "broke off|cannot be reached|no chat completion",
    ),
    "a bomb": (
        say(raw=zlib.compress(b" " * 34_000_000), headers={"Content-Encoding": "deflate"}),
        EndpointError,
        "more than 32 MiB",
    ),
    "50 MB": (say(raw=b'{"choices": "' + b"x" * 50_000_000), EndpointError, "more than 32 MiB"),
    "50 MB of events": (
        say(raw=f"data: {json.dumps(piece(content='x' * 100_000))}\n\n".encode() * 490),
        EndpointError,
        "more than 32 MiB",
    ),
}


@pytest.mark.parametrize("what", USELESS)
async def test_useless_answers_are_one_sentence_of_the_right_kind(desk: Desk, what: str) -> None:
    answer, kind, words = USELESS[what]
    for stream in (True, False):
        with pytest.raises(EndpointError, match=words) as caught:
            await desk.ask(answer, stream=stream)
        assert isinstance(caught.value, kind)
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 700


async def test_an_endless_answer_is_asked_for_once() -> None:
    giant = say(raw=b'{"choices": "' + b"x" * 50_000_000)
    with Server(lambda body, n: giant) as server:
        chat = chat_at(server)
        with pytest.raises(ReasonerUnavailableError, match="more than 32 MiB"):
            await chat.check()
        await chat.close()
        assert len(server.requests) == 1


def date_in(seconds: float, *, zone: bool = True) -> str:
    text = format_datetime(datetime.fromtimestamp(time.time() + seconds, UTC), usegmt=True)
    return text if zone else text.rpartition(" ")[0]


WAITS: dict[str, tuple[Callable[[], str], float]] = {
    "seconds": (lambda: "200", 200),
    "a date": (lambda: date_in(200), 200),
    "a date without a zone": (lambda: date_in(200, zone=False), 200),
    "a date that is over": (lambda: "Mon, 02 Jan 2006 15:04:05 GMT", 0),
}


@pytest.mark.parametrize("header", WAITS)
async def test_retry_after_as_seconds_or_date(header: str, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    make, expected = WAITS[header]
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "Pacific/Auckland")
        time.tzset()
        patched.setattr("reasoner.chat.endpoint.retry.asyncio.sleep", sleep)
        with Server(
            lambda body, n: say(TEXT) if n else fail(429, "x", headers={"Retry-After": make()})
        ) as server:
            await ask(server)
    time.tzset()
    assert max(waited, default=0.0) == pytest.approx(expected, abs=60)


@pytest.mark.parametrize(
    ("text", "words"), [("3600", "3600 s"), ("Fri, 31 Dec 2199 00:00:00 GMT", r"[\d,]+ days")]
)
async def test_an_absurd_retry_after_pauses_and_says_how_long(text: str, words: str) -> None:
    with (
        Server(lambda body, n: fail(529, "Overloaded", headers={"Retry-After": text})) as server,
        pytest.raises(PermanentError, match=f"overloaded .* it asks to wait {words}"),
    ):
        await ask(server)


@pytest.mark.parametrize("text", ["soon", "-5", "nan", "inf", "1e300", "9" * 400, "[]"])
async def test_a_senseless_retry_after_is_ignored(text: str) -> None:
    busy = fail(503, "busy", headers={"Retry-After": text})
    with Server(script(busy, say(TEXT))) as server:
        assert (await ask(server)).depth == 3


REFUSALS = {
    "max_tokens": "Unsupported parameter: 'max_tokens' is not supported with this model. "
    "Use 'max_completion_tokens' instead.",
    "temperature": "Unsupported value: 'temperature' does not support 0.3 with this model.",
    "reasoning_effort": "Unrecognized request argument supplied: reasoning_effort",
}


@pytest.mark.parametrize("named", [True, False])
async def test_parameters_of_reasoning_models(named: bool) -> None:
    """A model that thinks refuses what others take; each refusal costs one request."""

    def reply(body: Body, n: int) -> Say:
        for name, text in REFUSALS.items():
            if name in body:
                return fail(400, text, param=name if named else None)
        return say(TEXT)

    told = Told()
    with Server(reply) as server:
        options = {"temperature": 0.3, "reasoning_effort": "low", "max_output_tokens": 500}
        assert (await ask(server, told=told, **options)).depth == 3
        assert server.requests[-1]["max_completion_tokens"] == 500
        assert not REFUSALS.keys() & server.requests[-1].keys()
        assert len(server.requests) == 4 and len(told) == 3


async def test_a_limit_used_up_by_thinking_is_named() -> None:
    empty = say("", finish="length", beside={"reasoning_content": "hm " * 99})
    with Server(script(empty, say(TEXT))) as server:
        assert (await ask(server)).depth == 3
        assert "max_output_tokens" in server.requests[1]["messages"][-1]["content"]


async def test_an_answer_that_a_server_took_for_thinking_is_used() -> None:
    with Server(lambda body, n: say("", beside={"reasoning_content": TEXT})) as server:
        assert (await ask(server)).depth == 3
        assert len(server.requests) == 1


async def test_a_prompt_that_is_cut_off_in_silence_is_told_once() -> None:
    told = Told()
    usage = {"prompt_tokens": 300, "completion_tokens": 5}
    raw = whole({"content": TEXT}, usage=usage)
    with Server(lambda body, n: say(raw=raw, books=usage)) as server:
        chat = chat_at(server, told=told)
        question: list[Message] = [{"role": "user", "content": "word " * 4_000}]
        asker = chat.askers["m"]
        for _ in range(2):
            request = ChatRequest(asker.endpoint, question, {}, "")
            await ask_with_retries(request, NoExchanges(), told)
        await chat.close()
        await counted(server, 610)
    (line,) = [each for each in told if "tokens of a prompt" in each]
    assert "300 tokens of a prompt of 20,000 characters" in line


# the address


def chat_at(server: Server, url: str = "", told: Told | None = None, **options: Any) -> Chat:
    given = {"model": ["m"], "base_url": url or server.url, "backoff_s": 0.01} | options
    return build_chat(ModelSettings.model_validate(given), told if told is not None else Told())


@pytest.mark.parametrize("fault", ["404", "400", "page"])
async def test_a_wrong_name_lists_what_the_endpoint_has(fault: str) -> None:
    answer = {
        "404": fail(404, "The model `m` does not exist."),
        "400": fail(400, "Invalid model name passed in model=m"),
        "page": say(raw="<html>hello</html>"),
    }[fault]
    with Server(lambda body, n: answer) as server:
        server.models = ["qwen3:32b", "m-large", "gemma", *(f"other-{n}" for n in range(90))]
        chat = chat_at(server)
        with pytest.raises(ReasonerUnavailableError) as caught:
            await chat.check()
        await chat.close()
    text = str(caught.value)
    assert "it has m-large, gemma, other-0" in text.replace("it has m, ", "it has ") or (
        "m-large" in text and "and 85 more" in text
    )
    assert "\n" not in text


async def test_an_address_without_v1_is_told_the_right_one() -> None:
    with Server(honest) as server:
        server.models = ["m"]
        wrong = server.url.removesuffix("/v1")
        chat = chat_at(server, wrong)
        with pytest.raises(ReasonerUnavailableError, match=f"use --base-url {server.url}"):
            await chat.check()
        await chat.close()
        right = chat_at(server)
        assert (await right.check()).calls == 1  # the remedy works
        await right.close()


async def test_an_endpoint_that_is_down_fails_the_preflight_at_once() -> None:
    with Server(honest) as server:
        url = server.url
    told = Told()
    chat = chat_at(server, url, told, retries=6, backoff_s=60)
    began = time.monotonic()
    with pytest.raises(ReasonerDownError, match="Connection refused"):
        await chat.check()
    await chat.close()
    assert time.monotonic() - began < 30 and told == []


async def test_later_each_retry_is_told() -> None:
    with Server(honest) as server:
        url = server.url
    told = Told()
    chat = chat_at(server, url, told, retries=2, backoff_s=0.01)
    request = ChatRequest(chat.askers["m"].endpoint, [{"role": "user", "content": "x"}], {}, "")
    with pytest.raises(TransientError):
        await ask_with_retries(request, NoExchanges(), told)
    await chat.close()
    assert [line.rpartition("(")[2] for line in told] == ["retry 1 of 2)", "retry 2 of 2)"]


# scripts and edits

OUTER = '''import csv
DOC = """
```json
{"a": 1}
```
and

~~~
more
~~~
"""
open("oof.csv", "w"), open("submission.csv", "w")
'''


def test_a_script_with_fences_in_it_is_found_whole() -> None:
    answer = f"Here it is:\n```python\n{OUTER}```\nand a shell line:\n```\nls\n```\nDone"
    assert extract_code(answer) == OUTER
    assert extract_code(answer.replace("\n", "\r\n")) == OUTER


def test_separators_inside_a_script_stay() -> None:
    odd = "import re\nPATTERN = '[\u2028\x0c\x1c\x85]'\nNAME = 'oof.csv submission.csv'\n"
    assert extract_code(f"```python\n{odd}```") == odd
    (edit,) = extract_edits("<<<<<<< SEARCH\na = '\u2028'\n=======\nb = '\x0c'\n>>>>>>> REPLACE")
    assert (edit.search, edit.replace) == ("a = '\u2028'", "b = '\x0c'")


BASE = "a = 1\nopen('oof.csv', 'w')\nopen('submission.csv', 'w')\n"


def test_edits_with_windows_line_ends_change_a_script() -> None:
    blocks = "<<<<<<< SEARCH\r\na = 1\r\n=======\r\na = 2\r\n>>>>>>> REPLACE\r\n"
    (edit,) = extract_edits(blocks)
    for old in (BASE, BASE.replace("\n", "\r\n")):
        answer = EditAnswer(search=edit.search + "\r\n", replace=edit.replace + "\r\n")
        assert edit_script(old, [answer], "") == BASE.replace("a = 1", "a = 2")


def test_a_no_break_space_that_a_script_means_stays() -> None:
    script = BASE + "TEXT = 'a b'.replace('\u00a0', ' ')\n"
    new = edit_script(script, [EditAnswer(search="a = 1", replace="a = 3")], "")
    assert new == script.replace("a = 1", "a = 3")


def test_comments_alone_are_no_change() -> None:
    for new in (f"# another way\n{BASE}", f'"""Better."""\n{BASE}'):
        with pytest.raises(AnswerError, match="but for comments or layout"):
            edit_script(BASE, [], new)


@pytest.mark.parametrize(
    "change",
    [
        str,
        lambda text: text.replace("\n", "\r\n"),
        lambda text: f"```python\n{text}```",
        lambda text: text.replace("\n", "  \n\n") + "\n\n",
    ],
)
def test_the_present_script_again_is_no_change(change: Callable[[str], str]) -> None:
    with pytest.raises(AnswerError, match="letter for letter"):
        edit_script(BASE, [], change(BASE))


# whole runs


def odd(body: Body, text: str, *, n: int) -> Say:
    """Return the n-th odd way to deliver an answer, or an odd refusal of it."""
    usage = {"prompt_tokens": 100, "completion_tokens": 50}
    fenced = json.loads(text)
    script = f'DOC = """\n```json\n{{}}\n```\n"""\n{fenced.pop("script", "")}'
    ways: list[Callable[[], Say]] = [
        lambda: say(raw=whole({"content": [{"type": "text", "text": text}]}, usage=usage)),
        lambda: say(text, beside={"reasoning_content": "hm, let me see"}),
        lambda: say(raw='{"choices": null}'),
        lambda: say(raw=error(message="upstream busy")),
        lambda: fail(413, "Request Entity Too Large"),
        lambda: fail(529, "Overloaded", headers={"Retry-After": "0"}),
        lambda: fail(429, "slow", headers={"Retry-After": date_in(1)}),
        lambda: say(text[:-1] + ', "sure": NaN, "more": Infinity}'),
        lambda: say('{"script": ' + "[" * 50_000),
        lambda: say(
            f"{json.dumps(fenced)}\r\n```python\r\n{script}```\r\nEnd".replace("\n", "\r\n")
        ),
    ]
    answer = ways[n % len(ways)]()
    is_counted = isinstance(answer.raw, str) and '"usage"' in answer.raw
    return replace(answer, books=usage) if is_counted else answer


REPEATED = "letter for letter, and its measurement is known"
ASKED_AGAIN = (2, 3, 4, 5, 6, 8)  # of the ways: there is no answer in them


@pytest.mark.timeout(900)
def test_a_run_through_ten_odd_answers_and_a_repeated_script(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every question is first answered oddly, and one step repeats the first script."""
    write_task(tmp_path / "task")
    first = HONEST.format(noise=3)
    n_odd = n_changes = 0
    is_odd = is_repeated = False

    def reply(body: Body, n: int) -> Say:
        nonlocal n_odd, n_changes, is_odd, is_repeated
        text = honest(body, n).text
        given = json.loads(text)
        if verb_of(body) == "draft":
            text = json.dumps(given | {"script": first})
        n_changes += verb_of(body) == "update"
        if n_changes == 4 and not is_repeated:
            is_repeated = True
            return say(given | {"script": first})
        is_odd = verb_of(body) != "check" and not (is_odd and (n_odd - 1) % 10 in ASKED_AGAIN)
        if is_odd:
            n_odd += 1
            return odd(body, text, n=n_odd - 1)
        return say(text)

    with Server(reply) as server:
        at_home(tmp_path, monkeypatch, server.url)
        more: tuple[str, ...] = ("--steps", "7", "--set", "retries=4")
        more += ("--set", "max_unanswered=9", "--set", "calls=two")
        result = gome("run", "task", "--model", "m", *QUICK, *more)
        assert result.exit_code == 0, result.output
        folder = the_run(tmp_path)
        assert n_odd >= 10, [verb_of(body) for body in server.requests]
        assert tokens(folder) == server.tokens
    attempts = events(folder, "attempt")
    assert [each["id"] for each in attempts] == [f"t0s{n}" for n in range(7)]
    verdicts = [each["verdict"] for each in attempts]
    assert verdicts[0] == "accepted" and verdicts.count("failed") <= 1, verdicts
    asked = [str(body["messages"][-1]["content"]) for body in server.requests]
    assert is_repeated
    assert any("t0s0" in text and REPEATED in text for text in asked)
    scripts = [each["script"] for each in attempts]
    assert len(set(scripts)) == len(scripts) == len(events(folder, "execution_started"))
    assert (folder / "best" / "submission.csv").exists()


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            fail(429, "slow", headers={"Retry-After": "Fri, 31 Dec 2199 00:00:00 GMT"}),
            r"asks to wait [\d,]+ days",
        ),
        (
            fail(307, headers={"Location": "http://127.0.0.2:9/v1/chat"}),
            "nothing is sent to another",
        ),
    ],
)
def test_a_run_pauses_where_waiting_or_following_is_no_use(
    answer: Say, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_task(tmp_path / "task")

    def reply(body: Body, n: int) -> Say:
        return answer if verb_of(body) == "diagnose" else honest(body, n)

    with Server(reply) as server:
        at_home(tmp_path, monkeypatch, server.url)
        line = one_line(gome("run", "task", "--model", "m", *QUICK))
    folder = the_run(tmp_path)
    assert re.search(words, line) and "gome resume" in line and KEY not in line
    assert (folder / "best" / "submission.csv").exists()
