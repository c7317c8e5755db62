"""Structured answers from a real HTTP server that misbehaves: repairs, costs, remembered forms."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from openai_server import Body, Say, Server, fail, say
from pydantic import BaseModel, Field

from reasoner.chat.answer.edits import AnswerError
from reasoner.chat.answer.structured import Asker, ModelQuestion, NoUsableAnswerError
from reasoner.chat.endpoint.address import Address
from reasoner.chat.endpoint.cache import NoExchanges
from reasoner.chat.endpoint.client import ModelEndpoint
from reasoner.chat.endpoint.faults import (
    EndpointDownError,
    PermanentError,
    RefusedRequestError,
    TransientError,
)
from reasoner.settings import ModelSettings

GOOD = {"name": "ridge", "depth": 3}


class Plan(BaseModel):
    name: str = Field(min_length=1)
    depth: int


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(params=[True, False], ids=["stream", "whole"])
def stream(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def script(*answers: Say) -> Callable[[Body, int], Say]:
    """The answers in order, the last for ever."""
    return lambda body, n: answers[min(n, len(answers) - 1)]


class Told(list[str]):
    def __call__(self, text: str) -> None:
        self.append(text)


async def ask(
    server: Server,
    *,
    told: Told | None = None,
    accept: Any = None,
    rescue: Any = None,
    **options: Any,
) -> Any:
    """One question to the server; checks that every token is accounted for."""
    given = {"model": ["m"], "backoff_s": 0.01, "retries": 3, "answer_time_s": 20} | options
    address = Address(server.url, server.url, "sk-secret-0123456789", "OPENAI_API_KEY")
    endpoint = ModelEndpoint(address, "m", ModelSettings.model_validate(given))
    question = ModelQuestion(
        [{"role": "system", "content": "You plan."}, {"role": "user", "content": "Plan a model."}],
        Plan,
        accept or (lambda plan: plan),
        rescue=rescue or (lambda text, given: given),
    )
    usage = None
    try:
        value, usage, _ = await Asker(
            endpoint, NoExchanges(), told if told is not None else Told()
        ).ask(question)
    except (NoUsableAnswerError, TransientError, PermanentError, RefusedRequestError) as error:
        usage = error.usage
        raise
    finally:
        await endpoint.close()
        assert usage is not None
        await counted(server, usage.input_tokens + usage.output_tokens)
    return value


async def counted(server: Server, n: int) -> None:
    """Wait for the server's count, which may follow a moment after the client has read."""
    deadline = time.monotonic() + 10
    while server.tokens != n and time.monotonic() < deadline:
        await asyncio.sleep(0.02)
    assert server.tokens == n


BAD = {
    "malformed JSON": say('{"name": "ridge", "depth": '),
    "missing fields": say({"name": "ridge"}),
    "wrong types": say({"name": "ridge", "depth": "deep"}),
    "empty": say(""),
    "refusal": say("no", refusal="I cannot help with that."),
    "cut at the length limit": say('{"name": "rid', finish="length"),
    "prose alone": say("I would choose ridge regression of depth three."),
    "a number": say("42"),
}


@pytest.mark.parametrize("bad", BAD)
async def test_a_bad_answer_is_sent_back_once_with_its_error(bad: str, stream: bool) -> None:
    with Server(script(BAD[bad], say(GOOD))) as server:
        assert (await ask(server, stream=stream)).depth == 3
    first, second = server.requests
    assert second["messages"][: len(first["messages"])] == first["messages"]
    assert (
        second["messages"][-1]["role"] == "user"
        and "cannot be used" in second["messages"][-1]["content"]
    )


async def test_repair_turn_quotes_the_exact_error() -> None:
    with Server(script(BAD["wrong types"], say(GOOD))) as server:
        await ask(server)
    told = server.requests[1]["messages"]
    assert (
        "depth" in told[-1]["content"]
        and "valid integer" in told[-1]["content"]
        and "deep" in told[-2]["content"]
    )


WELL_MEANT = {
    "fenced": f"```json\n{json.dumps(GOOD)}\n```",
    "prose around": f"Sure! Here is the plan:\n{json.dumps(GOOD)}\nGood luck {{really}}.",
    "thinking": f'<think>maybe {{"name": "x", "depth": 9}}?</think>\n{json.dumps(GOOD)}',
    "thinking begun by the server": f'is it {{"name": "x"}}? no.</think>{json.dumps(GOOD)}',
    "trailing comma": '{"name": "ridge", "depth": 3,}',
    "line breaks in strings": '{"name": "ridge", "depth": 3, "note": "a\nb"}',
    "list of one": json.dumps([GOOD]),
}


@pytest.mark.parametrize("shape", WELL_MEANT)
async def test_json_is_found_in_any_wrapping(shape: str) -> None:
    with Server(script(say(WELL_MEANT[shape]))) as server:
        assert (await ask(server)).model_dump() == GOOD
    assert len(server.requests) == 1


async def test_forms_are_tried_in_turn_and_the_one_that_works_is_remembered(stream: bool) -> None:
    def reply(body: Body, n: int) -> Say:
        form = (body.get("response_format") or {}).get("type")
        if form == "json_schema":
            return fail(
                400, "response_format json_schema is not supported", param="response_format"
            )
        return fail(400, "tools are not supported by this model") if "tools" in body else say(GOOD)

    with Server(reply) as server:
        assert (await ask(server, stream=stream)).depth == 3
        forms = [
            (body.get("response_format") or {}).get("type")
            or ("tools" if "tools" in body else "text")
            for body in server.requests
        ]
        assert forms == ["json_schema", "tools", "json_object"]
        assert "JSON schema" in server.requests[-1]["messages"][-1]["content"]
        await ask_again(server, stream)
        assert len(server.requests) == 4


async def ask_again(server: Server, stream: bool) -> None:
    before = server.tokens
    server.input_tokens = server.output_tokens = 0
    await ask(server, stream=stream)
    server.input_tokens += before


async def test_a_function_call_is_used_where_schemas_are_ignored(stream: bool) -> None:
    with Server(lambda body, n: say(GOOD) if "tools" in body else say("Ridge it is.")) as server:
        assert (await ask(server, stream=stream)).name == "ridge"
    assert len(server.requests) == 3  # as asked, its repair turn, the function call


async def test_a_model_without_json_ends_in_one_error_that_counts_its_tokens() -> None:
    with (
        Server(script(say("Ridge, of depth three."))) as server,
        pytest.raises(NoUsableAnswerError, match="no usable answer in 5 calls"),
    ):
        await ask(server)
    assert len(server.requests) == 5


async def test_code_without_a_fence_is_rescued() -> None:
    from reasoner.chat.answer.scripts import extract_code

    code = "import csv\nprint(csv.__name__)"
    with Server(script(say(code))) as server:
        rescued = await ask(
            server, rescue=lambda text, given: given or {"name": extract_code(text), "depth": 1}
        )
    assert rescued.name.strip() == code


async def test_a_misfit_is_sent_back_in_words() -> None:
    def accept(plan: Plan) -> Plan:
        if plan.depth > 5:
            raise AnswerError("The search text occurs nowhere in the script.")
        return plan

    with Server(script(say(GOOD | {"depth": 9}), say(GOOD))) as server:
        assert (await ask(server, accept=accept)).depth == 3
    assert "occurs nowhere" in server.requests[1]["messages"][-1]["content"]
    with (
        Server(script(say(GOOD | {"depth": 9}))) as server,
        pytest.raises(NoUsableAnswerError, match="occurs nowhere"),
    ):
        await ask(server, accept=accept)
    assert len(server.requests) == 3


# the endpoint's faults


async def test_refused_parameter_is_left_out(stream: bool) -> None:
    def reply(body: Body, n: int) -> Say:
        for name in ("temperature", "reasoning_effort"):
            if name in body:
                return fail(
                    400,
                    f"Unsupported parameter: '{name}' is not supported with this model.",
                    param=name,
                    code="unsupported_parameter",
                )
        return say(GOOD)

    told = Told()
    with Server(reply) as server:
        await ask(server, told=told, stream=stream, temperature=0.5, reasoning_effort="low")
    assert [
        sorted(set(body) & {"temperature", "reasoning_effort"}) for body in server.requests
    ] == [
        ["reasoning_effort", "temperature"],
        ["reasoning_effort"],
        [],
    ]
    assert told == [
        f"m refuses `{name}`; it is left out from now on"
        for name in ("temperature", "reasoning_effort")
    ]


async def test_unset_parameters_are_not_sent() -> None:
    with Server(script(say(GOOD))) as server:
        await ask(server, stream=False)
    assert set(server.requests[0]) == {"model", "messages", "response_format", "stream"}


async def test_a_refused_stream_is_requested_whole() -> None:
    def reply(body: Body, n: int) -> Say:
        return (
            fail(400, "Your organization must be verified to stream this model.", param="stream")
            if body.get("stream")
            else say(GOOD)
        )

    with Server(reply) as server:
        assert (await ask(server, stream=True)).depth == 3


async def test_unreported_usage_is_estimated() -> None:
    with Server(script(say(GOOD, usage=False))) as server:
        endpoint = ModelEndpoint(
            Address(server.url, server.url, "k", "OPENAI_API_KEY"),
            "m",
            ModelSettings(model=["m"], backoff_s=0.01),
        )
        question = ModelQuestion([{"role": "user", "content": "x" * 400}], Plan, lambda plan: plan)
        usage = (await Asker(endpoint, NoExchanges(), Told()).ask(question))[1]
        await endpoint.close()
    assert usage.input_tokens == 100 and usage.output_tokens > 5


PASSING: dict[str, Say] = {
    "429": fail(429, "slow down", headers={"Retry-After": "0"}),
    "500": fail(500, "oops"),
    "503": fail(503, "overloaded"),
    "cut": say(GOOD | {"name": "ridge" * 100}, cut=True),
    "html": say("", raw="<html>Bad gateway</html>"),
}


@pytest.mark.parametrize("fault", PASSING)
async def test_transient_errors_are_retried(fault: str, stream: bool) -> None:
    with Server(script(PASSING[fault], PASSING[fault], say(GOOD))) as server:
        assert (await ask(server, stream=stream)).depth == 3
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    "slow",
    [say(GOOD, wait_s=30), say(GOOD | {"name": "n" * 4000}, drip_s=0.1)],
    ids=["hung", "slow drip"],
)
async def test_hung_and_dripping_answers_time_out(slow: Say, stream: bool) -> None:
    with Server(script(slow, say(GOOD))) as server:
        assert (await ask(server, stream=stream, answer_time_s=1.5)).depth == 3
    assert len(server.requests) == 2
    with (
        Server(script(slow)) as server,
        pytest.raises(TransientError, match="no whole answer within 0.5 s"),
    ):
        await ask(server, stream=stream, answer_time_s=0.5, retries=1)


async def test_retry_after_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.extend([seconds] if seconds else [])

    monkeypatch.setattr("reasoner.chat.endpoint.retry.asyncio.sleep", sleep)
    told = Told()
    with Server(script(fail(429, "slow down", headers={"Retry-After": "17"}), say(GOOD))) as server:
        await ask(server, told=told)
    assert waited == [17.0] and "asking again in 17 s" in told[0]
    with (
        Server(script(fail(429, "slow down", headers={"Retry-After": "4000"}))) as server,
        pytest.raises(PermanentError, match="wait 4000 s"),
    ):
        await ask(server)


CLOSED = {
    "401": (
        fail(401, "Incorrect API key provided: sk-secret-0123456789.", code="invalid_api_key"),
        "refuses the API key",
    ),
    "403": (fail(403, "not yours"), "may lack rights"),
    "404": (fail(404, "The model `m` does not exist"), "knows no model m"),
    "quota": (
        fail(429, "You exceeded your current quota", code="insufficient_quota"),
        "no money left",
    ),
    "402": (fail(402, "Insufficient credits"), "no money left"),
}


@pytest.mark.parametrize("fault", CLOSED)
async def test_a_permanent_error_ends_at_once_in_one_line_without_the_key(
    fault: str, stream: bool
) -> None:
    answer, words = CLOSED[fault]
    with Server(script(answer)) as server, pytest.raises(PermanentError, match=words) as caught:
        await ask(server, stream=stream)
    assert len(server.requests) == 1
    assert "\n" not in str(caught.value) and "secret" not in str(caught.value)


async def test_an_unreachable_endpoint_is_named(unused_url: str) -> None:
    endpoint = ModelEndpoint(
        Address(unused_url, unused_url, "k", "OPENAI_API_KEY"),
        "m",
        ModelSettings(model=["m"], backoff_s=0.01, retries=2),
    )
    with pytest.raises(EndpointDownError, match="cannot be reached .*refused.*--base-url"):
        await Asker(endpoint, NoExchanges(), Told()).ask(
            ModelQuestion([{"role": "user", "content": "x"}], Plan, lambda plan: plan)
        )
    await endpoint.close()


@pytest.fixture
def unused_url() -> Iterator[str]:
    import socket

    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{place.getsockname()[1]}/v1"


async def test_a_prompt_that_is_too_long_is_reported() -> None:
    long = fail(
        400, "This model's maximum context length is 8192 tokens.", code="context_length_exceeded"
    )
    with (
        Server(script(long)) as server,
        pytest.raises(RefusedRequestError, match="maximum context length"),
    ):
        await ask(server)
    assert len(server.requests) == 1


async def test_a_model_with_a_short_context_is_asked_again_with_a_shorter_prompt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from reasoner.chat.engine import build_chat
    from reasoner.protocol import DiagnoseBrief
    from tools.prompt_record import load_recording

    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-0123456789")
    brief = DiagnoseBrief.model_validate(
        load_recording()["briefs"]["t0s5 diagnose"]
        | {"log": "fold done\n" * 9_000, "preview": "file\n" * 9_000}
    )
    long = fail(
        400, "This model's maximum context length is 4096 tokens.", code="context_length_exceeded"
    )
    told, sizes = Told(), list[int]()

    def reply(body: Body, n: int) -> Say:
        sizes.append(len(body["messages"][-1]["content"]))
        return long if n == 0 else say({"observations": [{"text": "seen", "cites": ["E1"]}]})

    with Server(reply) as server:
        chat = build_chat(ModelSettings(model=["m"], base_url=server.url), told)
        found = await chat.diagnose(brief)
        await chat.close()
    assert found.observations[0].cites == ["cv.mean"] and "shorter prompt" in told[0]
    assert len(sizes) == 2 and sizes[1] < 0.85 * sizes[0]
