"""A real HTTP server for OpenAI's chat completions: scripted answers, faults, counted tokens.

with Server(lambda body, n: say('{"answer": 5}')) as server:
    ... base_url=server.url ...
    server.requests, server.tokens
"""

from __future__ import annotations

import contextlib
import json
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

Body = dict[str, Any]


@dataclass(frozen=True)
class Say:
    """An answer, and the fault in its delivery."""

    text: str = ""
    finish: str = "stop"
    refusal: str = ""
    status: int = 200
    error: Body = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    raw: str | bytes = ""  # sent as it stands instead of a completion
    books: Body = field(default_factory=dict)  # usage that a raw answer states
    wait_s: float = 0  # before anything is sent
    drip_s: float = 0  # between pieces
    cut: bool = False  # the connection is closed in the middle
    usage: bool = True
    beside: Body = field(default_factory=dict)  # further fields of the message, such as reasoning
    cached: int = 0  # words that an earlier request began with; the server counts them


def say(text: Any = "", **more: Any) -> Say:
    return Say(text if isinstance(text, str) else json.dumps(text), **more)


def fail(status: int, message: str = "no", **more: Any) -> Say:
    headers = more.pop("headers", {})
    return Say(
        status=status,
        error={"message": message, "type": "error", "code": None, "param": None} | more,
        headers=headers,
    )


def counted(body: Body, answer: Say) -> Body:
    n_in = sum(words(str(message.get("content") or "")) for message in body["messages"])
    n_out = words(answer.text)
    return {
        "prompt_tokens": n_in,
        "completion_tokens": n_out,
        "total_tokens": n_in + n_out,
        "prompt_tokens_details": {"cached_tokens": answer.cached},
    }


def words_of(body: Body) -> list[str]:
    """Return the words of all messages in order: what the server counts as tokens."""
    texts = [str(message.get("content") or "") for message in body["messages"]]
    return [word for text in texts for word in text.split() or [""]]


def count_common(one: list[str], other: list[str]) -> int:
    """Return the words at the beginning that two requests share."""
    pairs = zip(one, other, strict=False)
    return next(
        (n for n, (word, same) in enumerate(pairs) if word != same), min(len(one), len(other))
    )


def words(text: str) -> int:
    return max(1, len(text.split()))


class Server:
    """Answers POST /v1/chat/completions by `reply(body, n)`, n the number of the request from 0."""

    def __init__(self, reply: Callable[[Body, int], Say], key: str = "") -> None:
        self.reply, self.key = reply, key
        self.requests: list[Body] = []
        self.headers: list[dict[str, str]] = []
        self.input_tokens = self.output_tokens = self.cached_tokens = 0
        self._prompts: list[list[str]] = []
        self.models: list[str] | None = None  # at /v1/models; None: no such page
        self.gets: list[str] = []
        self._turn = threading.Lock()
        self._stop = threading.Event()

    @property
    def tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    def __enter__(self) -> Self:
        outer: Server = self

        class Handler(_Handler):
            server_ = outer

        self._http = _QuietServer(("127.0.0.1", 0), Handler)
        self.port = self._http.server_port
        self.url = f"http://127.0.0.1:{self.port}/v1"
        threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._http.shutdown()
        self._http.server_close()

    def take(self, body: Body, headers: dict[str, str]) -> Say:
        prompt = words_of(body)
        with self._turn:
            number = len(self.requests)
            cached = max((count_common(prompt, other) for other in self._prompts), default=0)
            self._prompts.append(prompt)
            self.requests.append(body)
            self.headers.append(headers)
        if self.key and headers.get("Authorization") != f"Bearer {self.key}":
            return fail(
                401,
                f"Incorrect API key provided: {headers.get('Authorization', '')[7:]}.",
                code="invalid_api_key",
            )
        return replace(self.reply(body, number), cached=cached)

    def book(self, usage: Body) -> None:
        """An exchange that was delivered whole enters the server's own books."""
        with self._turn:
            self.input_tokens += usage["prompt_tokens"]
            self.output_tokens += usage["completion_tokens"]
            self.cached_tokens += usage["prompt_tokens_details"]["cached_tokens"]


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Print nothing of a client that went away: the test reads stderr as the user's."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_: Server

    def log_message(self, *args: object) -> None:
        return None

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.server_.models is not None and not self.path.startswith("/v1/"):
            self.send(404, '{"detail": "Not Found"}')
            return
        headers = {name.title(): value for name, value in self.headers.items()}
        answer = self.server_.take(body, headers)
        with contextlib.suppress(OSError):  # the client may have given up
            self.deliver(body, answer)

    def deliver(self, body: Body, answer: Say) -> None:
        self.pause(answer.wait_s)
        if answer.status != 200:
            self.send(answer.status, json.dumps({"error": answer.error}), headers=answer.headers)
        elif answer.raw:
            self.send(200, answer.raw, kind="text/html", headers=answer.headers)
            if answer.books:
                self.server_.book(answer.books)
        elif body.get("stream"):
            self.stream(body, answer)
        else:
            self.whole(body, answer)

    def do_GET(self) -> None:
        self.server_.gets.append(self.path)
        if self.server_.models is None or self.path != "/v1/models":
            return self.send(404, "{}")
        rows = [{"id": name, "object": "model"} for name in self.server_.models]
        return self.send(200, json.dumps({"object": "list", "data": rows}))

    def pause(self, seconds: float) -> None:
        if seconds:
            self.server_._stop.wait(seconds)

    def send(
        self,
        status: int,
        text: str | bytes,
        kind: str = "application/json",
        headers: dict[str, str] | None = None,
    ) -> None:
        raw = text.encode() if isinstance(text, str) else text
        self.send_response(status)
        for name, value in {
            "Content-Type": kind,
            "Content-Length": str(len(raw)),
            **(headers or {}),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(raw)

    def whole(self, body: Body, answer: Say) -> None:
        usage = counted(body, answer)
        message = {"role": "assistant", **parts(body, answer)}
        choice = {"index": 0, "message": message, "finish_reason": answer.finish}
        value = {
            "id": "c",
            "object": "chat.completion",
            "created": 1,
            "model": body["model"],
            "choices": [choice],
        } | ({"usage": usage} if answer.usage else {})
        if answer.cut or answer.drip_s:
            return self.broken(json.dumps(value), answer)
        self.send(200, json.dumps(value))
        return self.server_.book(usage) if answer.usage else None

    def broken(self, text: str, answer: Say) -> None:
        """The whole length is promised; half of it comes, or all of it very slowly."""
        raw = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        for piece in range(0, len(raw) // (2 if answer.cut else 1), 20):
            self.wfile.write(raw[piece : piece + 20])
            self.wfile.flush()
            self.pause(answer.drip_s)
        self.close_connection = True

    def stream(self, body: Body, answer: Say) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        pieces = deltas(body, answer)
        for piece in pieces[: len(pieces) // 2] if answer.cut else pieces:
            self.event(body, {"choices": [{"index": 0, "delta": piece, "finish_reason": None}]})
            self.pause(answer.drip_s)
        if answer.cut:
            self.close_connection = True
            return
        self.event(body, {"choices": [{"index": 0, "delta": {}, "finish_reason": answer.finish}]})
        if answer.usage and (body.get("stream_options") or {}).get("include_usage"):
            self.event(body, {"choices": [], "usage": counted(body, answer)})
            self.server_.book(counted(body, answer))
        self.chunk(b"data: [DONE]\n\n")
        self.wfile.write(b"0\r\n\r\n")

    def event(self, body: Body, value: Body) -> None:
        base = {
            "id": "c",
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": body["model"],
        }
        self.chunk(b"data: " + json.dumps(base | value).encode() + b"\n\n")

    def chunk(self, raw: bytes) -> None:
        self.wfile.write(f"{len(raw):x}\r\n".encode() + raw + b"\r\n")
        self.wfile.flush()


def parts(body: Body, answer: Say) -> Body:
    """The message: text, refusal, or the call of the tool that was asked for."""
    if answer.refusal:
        return {"content": None, "refusal": answer.refusal}
    if body.get("tool_choice"):
        call = {
            "id": "t",
            "type": "function",
            "function": {"name": "answer", "arguments": answer.text},
        }
        return {"content": None, "tool_calls": [call], **answer.beside}
    return {"content": answer.text, **answer.beside}


def deltas(body: Body, answer: Say) -> list[Body]:
    """The message in pieces of 40 characters."""
    message = parts(body, answer)
    pieces = [answer.text[place : place + 40] for place in range(0, len(answer.text), 40)] or [""]
    if calls := message.get("tool_calls"):
        head = calls[0] | {"index": 0, "function": {"name": "answer", "arguments": ""}}
        return [
            {"role": "assistant", "tool_calls": [head], **answer.beside},
            *({"tool_calls": [{"index": 0, "function": {"arguments": p}}]} for p in pieces),
        ]
    if answer.refusal:
        return [{"role": "assistant", "refusal": answer.refusal}]
    first = {"role": "assistant", "content": "", **answer.beside}
    return [first, *({"content": piece} for piece in pieces)]
