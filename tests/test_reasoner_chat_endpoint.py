"""Whatever an endpoint sends is an answer or one typed error, never a traceback."""

from __future__ import annotations

import json
import random
import ssl
import time
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from openai_server import Body, Say, Server, deltas, say

from reasoner.chat.answer.extract import extract_json
from reasoner.chat.endpoint.address import Address
from reasoner.chat.endpoint.cache import ChatRequest, ExchangeFolder
from reasoner.chat.endpoint.classify import innermost_reason
from reasoner.chat.endpoint.client import ModelEndpoint, Reply
from reasoner.chat.endpoint.completion import (
    Completion,
    ReplyFormatError,
    ReplyProblemError,
    ReplyReader,
)
from reasoner.chat.endpoint.faults import EndpointError, TransientError
from reasoner.chat.message import Message
from reasoner.settings import ModelSettings
from session.disk_errors import explain_disk_errors

ASKED: list[Message] = [{"role": "user", "content": "Why?"}]


class Desk:
    """Asks a server that sends these bytes as they are."""

    def __init__(self) -> None:
        self.answer: Say = say("ok")
        self.server = Server(lambda body, n: self.answer)

    async def ask(self, raw: str | Say, *, stream: bool) -> Reply:
        self.answer = raw if isinstance(raw, Say) else say("", raw=raw)
        address = Address(self.server.url, self.server.url, "none", "OPENAI_API_KEY")
        options = ModelSettings(stream=stream, answer_time_s=20)
        endpoint = ModelEndpoint(address, "m", options)
        try:
            return await endpoint.send(ASKED, {})
        finally:
            await endpoint.close()


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    desk = Desk()
    with desk.server:
        yield desk


def whole(message: Any = None, *, finish: Any = "stop", usage: Any = None, **more: Any) -> str:
    choice = {"index": 0, "message": message, "finish_reason": finish}
    value = {"id": "c", "choices": [choice], "usage": usage} | more
    return json.dumps(value)


def streamed(*events: Any) -> str:
    lines = [event if isinstance(event, str) else json.dumps(event) for event in events]
    return "".join(f"data: {line}\n\n" for line in [*lines, "[DONE]"])


def piece(**delta: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}


def called(arguments: Any) -> dict[str, Any]:
    return {"tool_calls": [{"index": 0, "function": {"name": "answer", "arguments": arguments}}]}


BRACKETS = "[" * 100_000
ANSWERS = {
    "a lone surrogate": (whole({"content": "half \ud83d"}), "half \ufffd"),
    "half an emoji in each piece": (
        streamed(piece(content="a \ud83d"), piece(content="\ude00 b")),
        "a \U0001f600 b",
    ),
    "parts of content": (whole({"content": [{"type": "text", "text": "ok"}, 3, None]}), "ok"),
    "content that is a number": (whole({"content": 5}), ""),
    "a null message": (whole(None), ""),
    "parsed arguments": (whole(called({"answer": 5})), '{"answer": 5}'),
    "arguments that are a list": (whole(called([1, 2])), ""),
    "calls of wrong types": (
        whole({"content": "ok", "tool_calls": [3, {"function": 7}, {}]}),
        "ok",
    ),
    "calls that are a text": (whole({"content": "ok", "tool_calls": "none"}), "ok"),
    "nested arguments": (whole(called(BRACKETS)), BRACKETS),
    "deltas of wrong types": (
        streamed({"choices": [{"delta": 7}]}, {"choices": ["x"]}, piece(content="ok")),
        "ok",
    ),
    "an index of wrong type": (
        streamed(piece(tool_calls=[{"index": "0", "function": {"arguments": "{}"}}])),
        "{}",
    ),
    "finish of wrong type": (whole({"content": "ok"}, finish=["stop"]), "ok"),
    "comments and carriage returns": (
        ": ping\r\n\r\nevent: x\r\ndata: " + json.dumps(piece(content="ok")) + "\r\n\r\n",
        "ok",
    ),
}
ERRORS = {
    "no choices": (json.dumps({"choices": []}), "it has no choices"),
    "choices that are null": (json.dumps({"choices": None}), "it has no choices"),
    "a list": ("[1]", "it is a list"),
    "nested brackets": (BRACKETS, "nests too deeply"),
    "nested brackets in an event": (streamed(BRACKETS), "nests too deeply"),
    "an event that is not JSON": (streamed("{"), "it is not JSON"),
    "a page": ("<html>no</html>", "neither JSON nor events"),
    "no event": (": ping\n\n", "neither JSON nor events"),
    "an error in place of an answer": (json.dumps({"error": {"message": "busy"}}), "m at .* busy"),
    "an error in a stream": (streamed(piece(content="a"), {"error": ["busy"]}), "an error without"),
}


@pytest.mark.parametrize("stream", [True, False])
async def test_odd_answers_are_understood_streamed_and_whole(desk: Desk, stream: bool) -> None:
    for what, (raw, text) in ANSWERS.items():
        reply = await desk.ask(raw, stream=stream)
        assert reply.content == text, what
        assert reply.content.encode() is not None, what
        assert reply.usage.calls == 1, what


@pytest.mark.parametrize("stream", [True, False])
async def test_useless_answers_are_one_typed_error(desk: Desk, stream: bool) -> None:
    for raw, words in ERRORS.values():
        with pytest.raises(TransientError, match=words) as caught:
            await desk.ask(raw, stream=stream)
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 700


NUMBERS = [[], "many", float("nan"), float("inf"), -5, 1e30, True, None, {"n": 1}, 10**400, [[[]]]]


@pytest.mark.parametrize("number", NUMBERS)
async def test_counts_that_none_can_be_are_estimated(desk: Desk, number: Any) -> None:
    usage = {
        "prompt_tokens": number,
        "completion_tokens": number,
        "prompt_tokens_details": {"cached_tokens": number},
        "cost": number,
    }
    for given in (usage, number):
        reply = await desk.ask(whole({"content": "x" * 40}, usage=given), stream=False)
        assert (reply.usage.input_tokens, reply.usage.output_tokens) == (1, 10)
        assert reply.usage.usd is None


@pytest.mark.parametrize("stream", [True, False])
async def test_a_stated_cost_counts_and_every_call_of_a_tool_is_read(
    desk: Desk, stream: bool
) -> None:
    calls = [{"index": n, "function": {"name": "f", "arguments": f"{{{n}"}} for n in range(2)]
    usage = {"prompt_tokens": 5, "completion_tokens": 2, "cost": 0.25}
    message, books = {"tool_calls": calls}, {"choices": [], "usage": usage}
    raw = streamed(piece(**message), books) if stream else whole(message, usage=usage)
    reply = await desk.ask(raw, stream=stream)
    assert (reply.usage.usd, reply.called, reply.arguments) == (0.25, ("{0", "{1"), "{0")


async def test_an_error_with_an_odd_body_is_typed(desk: Desk) -> None:
    headers = {"Retry-After": "Mon, 99 Foo 99999 99:99:99 GMT"}
    for error in ({"message": {"a": [1]}, "code": ["x"], "param": 7}, ["x"], "\ud83d", 5, None):
        for status in (400, 401, 418, 429, 500):
            with pytest.raises(EndpointError):
                await desk.ask(Say(status=status, error=error, headers=headers), stream=True)  # type: ignore[arg-type]


def test_a_certificate_that_is_not_trusted_is_named() -> None:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = "self-signed certificate"
    outer = OSError("connection error")
    outer.__cause__ = error
    said = innermost_reason(outer, ())
    assert "not trusted: self-signed certificate" in said and "permitted" not in said
    with pytest.raises(ssl.SSLError), explain_disk_errors(Path("run")):
        raise error


def test_a_nested_answer_is_no_json_object() -> None:
    deep = '{"a":' * 300 + "1" + "}" * 300
    assert extract_json(deep) is None and extract_json(f"It is {deep}.") is None
    assert extract_json('{"a": {"b": [1]}}') == {"a": {"b": [1]}}


async def test_a_stored_exchange_of_wrong_types_is_asked_again(tmp_path: Any) -> None:
    address = Address("http://localhost:1/v1", "http://localhost:1/v1", "none", "OPENAI_API_KEY")
    endpoint = ModelEndpoint(address, "m", ModelSettings())
    request, folder = ChatRequest(endpoint, ASKED, {}, ""), ExchangeFolder(tmp_path)
    replies: tuple[Any, ...] = (
        [],
        {"text": 5},
        None,
        {"text": "a", "arguments": "", "refusal": "", "finish": 1},
    )
    for reply in replies:
        (tmp_path / request.file_name()).write_text(json.dumps({"reply": reply}))
        assert folder.find(request) is None
    (tmp_path / request.file_name()).write_text(BRACKETS)
    assert folder.find(request) is None


def test_a_flood_of_small_events_is_read_in_time() -> None:
    raw = streamed(*[piece(content="x")] * 50_000).encode()
    began, reader = time.monotonic(), ReplyReader(Completion())
    for place in range(0, len(raw), 65_536):
        reader.read(raw[place : place + 65_536])
    reader.close()
    assert len(reader.completion.text) == 50_000 and time.monotonic() - began < 10


# mutations

MUTATIONS = 3_000
VALUES: tuple[Any, ...] = (
    None,
    True,
    -5,
    1e30,
    float("nan"),
    "",
    "x\ud83d",
    [],
    {},
    [[]],
    [None],
    {"a": {}},
    10**30,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every part of a JSON value."""
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    return [path, *(place for key, each in items for place in places(each, (*path, key)))]


def mutated(value: Any, rng: random.Random) -> Any:
    """The value with a few parts replaced or removed."""
    value = json.loads(json.dumps(value))
    for _ in range(rng.randint(1, 3)):
        *above, key = rng.choice([place for place in places(value) if place] or [("",)])
        parent = value
        for step in above:
            parent = parent[step]
        if not isinstance(parent, dict | list) or key == "":
            return deepcopy(rng.choice(VALUES))
        if rng.random() < 0.2:
            del parent[key]
        else:
            parent[key] = deepcopy(rng.choice(VALUES))
    return value


def spoiled(raw: bytes, rng: random.Random) -> bytes:
    """The bytes with some changed, cut out or repeated."""
    data = bytearray(raw)
    for _ in range(rng.randint(0, 3)):
        place = rng.randrange(len(data) or 1)
        what = rng.randrange(3)
        if what == 0:
            data[place : place + 1] = bytes([rng.randrange(256)])
        elif what == 1:
            del data[place : place + rng.randint(1, 40)]
        else:
            data[place:place] = data[place : place + rng.randint(1, 40)]
    return bytes(data)


def test_mutated_answers_are_read_or_refused() -> None:
    rng = random.Random(5)
    body: Body = {"tool_choice": {}, "messages": []}
    events: list[Any] = [
        {"choices": [{"index": 0, "delta": d}]} for d in deltas(body, say('{"a": 1}' * 20))
    ]
    events.append({"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 7}})
    plain = json.loads(whole({"content": "ok", **called("{}")}, usage=events[-1]["usage"]))
    n_read = 0
    for _ in range(MUTATIONS):
        changed = [mutated(event, rng) if rng.random() < 0.3 else event for event in events]
        raw = rng.choice([json.dumps(mutated(plain, rng)), streamed(*map(json.dumps, changed))])
        reader = ReplyReader(Completion())
        try:
            reader.read(spoiled(raw.encode(), rng))
            reader.close()
        except (ReplyFormatError, ReplyProblemError):
            continue
        n_read += 1
        completion = reader.completion
        assert (
            completion.text + completion.refusal + "".join(completion.arguments)
        ).encode() is not None
        counts = (completion.n_input, completion.n_output, completion.n_cached)
        assert all(count is None or 0 <= count <= 10**9 for count in counts)
    assert MUTATIONS / 5 < n_read < MUTATIONS
