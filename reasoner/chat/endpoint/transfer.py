"""The HTTP client below LangChain's: it passes on only what our parser understood.

LangChain carries the messages and the tracing; of an answer it sees a plain one with the same
text, whatever the endpoint sent. Loaded with the first request, since `openai` is heavy.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from openai import DefaultAsyncHttpxClient

from reasoner.chat.endpoint.completion import (
    Completion,
    ReplyFormatError,
    ReplyProblemError,
    ReplyReader,
    check_encoding,
)
from reasoner.chat.endpoint.redirects import MAX_REDIRECTS, RedirectedError, next_request

if TYPE_CHECKING:
    import httpx2 as httpx
else:  # the library that the installed openai uses
    from langchain_openai._compat import httpx

MAX_ERROR_BYTES = 2**20  # read of the body of an error
BODY_HEADERS = ("content-encoding", "content-length", "content-type", "transfer-encoding")
receiving: ContextVar[Completion] = ContextVar("receiving")
"""The answer that the request of this task fills."""


class CheckedClient(DefaultAsyncHttpxClient):
    """Client whose responses are plain: the parser of `completion` has read them."""

    async def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        """Send a request; its answer fills the Completion of this task."""
        completion = receiving.get()
        try:
            response = await self._follow(request, options)
        except (RedirectedError, ReplyFormatError) as error:
            completion.problem = error
            raise
        if not response.is_success:
            content = await read_error(response)
            return plain_response(response, request, content=content)
        if is_streaming(request):
            events = ReplyEvents(response, completion)
            plain = plain_response(response, request, kind="text/event-stream", stream=events)
        else:
            async for _ in read_texts(response, completion):
                pass
            content = json.dumps(whole_reply(completion)).encode()
            plain = plain_response(response, request, content=content)
        if not options.get("stream"):
            await plain.aread()
        return plain

    async def _follow(self, request: httpx.Request, options: dict[str, Any]) -> httpx.Response:
        fixed = {**options, "stream": True, "follow_redirects": False}
        for _ in range(MAX_REDIRECTS):
            response = await super().send(request, **fixed)
            try:
                following = next_request(response)
                check_encoding(response.headers.get("content-encoding", ""))
            except (RedirectedError, ReplyFormatError):
                await response.aclose()
                raise
            if following is None:
                return response
            await response.aclose()
            request = following
        raise RedirectedError(f"it redirects more than {MAX_REDIRECTS} times")


class ReplyEvents(httpx.AsyncByteStream):
    """The answer as events of a stream, also where the endpoint sent it whole."""

    def __init__(self, response: httpx.Response, completion: Completion) -> None:
        self._response, self._completion = response, completion

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield an event for each text that arrives, and one with finish and usage."""
        async with aclosing(read_texts(self._response, self._completion)) as texts:
            async for text in texts:
                yield event_line({"choices": [plain_choice("delta", text, None)]})
        completion = self._completion
        rest = "" if completion.text else "".join(completion.arguments)
        last = plain_choice("delta", rest, completion.finish or "stop")
        yield event_line({"choices": [last]})
        if usage := plain_usage(completion):
            yield event_line({"choices": [], "usage": usage})
        yield b"data: [DONE]\n\n"

    async def aclose(self) -> None:
        """Close the endpoint's response."""
        await self._response.aclose()


async def read_texts(response: httpx.Response, completion: Completion) -> AsyncGenerator[str]:
    """Fill the completion; yield its text as it arrives. Raises what ReplyReader does."""
    reader = ReplyReader(completion)
    try:
        async for raw in response.aiter_bytes():
            if text := reader.read(raw):
                yield text
            if reader.is_over:
                break
        if text := reader.close():
            yield text
    except (ReplyFormatError, ReplyProblemError) as error:
        completion.problem = error
        raise
    finally:
        await response.aclose()


async def read_error(response: httpx.Response) -> bytes:
    """Return the body of an error, bounded."""
    content = bytearray()
    async for raw in response.aiter_bytes():
        content += raw
        if len(content) > MAX_ERROR_BYTES:
            break
    await response.aclose()
    return bytes(content[:MAX_ERROR_BYTES])


def plain_response(
    response: httpx.Response, request: httpx.Request, kind: str = "application/json", **body: Any
) -> httpx.Response:
    """Return a response with status and headers of the endpoint's, and another body."""
    kept = [pair for pair in response.headers.multi_items() if pair[0].lower() not in BODY_HEADERS]
    headers = [*kept, ("content-type", kind)]
    return httpx.Response(response.status_code, headers=headers, request=request, **body)


def is_streaming(request: httpx.Request) -> bool:
    """Whether a request asks for a stream."""
    asked = json.loads(request.content or b"{}")
    return isinstance(asked, dict) and asked.get("stream") is True


def whole_reply(completion: Completion) -> dict[str, Any]:
    """Return a plain completion with the same text."""
    text = completion.text or "".join(completion.arguments)
    choices = [plain_choice("message", text, completion.finish or "stop")]
    usage = plain_usage(completion)
    reply = {"id": "reply", "object": "chat.completion", "created": 0, "model": ""}
    return {**reply, "choices": choices, **({"usage": usage} if usage else {})}


def plain_choice(part: str, text: str, finish: str | None) -> dict[str, Any]:
    """Return a choice of a completion (`message`) or of an event (`delta`)."""
    message = {"role": "assistant", "content": text}
    return {"index": 0, part: message, "finish_reason": finish}


def plain_usage(completion: Completion) -> dict[str, Any]:
    """Return the usage; empty where the endpoint does not count."""
    if completion.n_input is None or completion.n_output is None:
        return {}
    return {
        "prompt_tokens": completion.n_input,
        "completion_tokens": completion.n_output,
        "total_tokens": completion.n_input + completion.n_output,
        "prompt_tokens_details": {"cached_tokens": min(completion.n_input, completion.n_cached)},
    }


def event_line(content: dict[str, Any]) -> bytes:
    """Return an event of a stream."""
    event = {"id": "reply", "object": "chat.completion.chunk", "created": 0, "model": ""}
    return b"data: " + json.dumps(event | content).encode() + b"\n\n"
