"""A relay between a contestant in the sandbox and the model: it has the key, counts and records.

An HTTP server on a Unix socket that speaks chat completions. What comes in is hostile: bounded,
parsed, and sent on as plain messages by the product's own client.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer
from typing import Any

from evals.models.endpoint import ask
from evals.models.transcript import Transcript
from reasoner.chat.endpoint.client import ModelEndpoint, Reply
from reasoner.chat.endpoint.completion import dicts_in, text_of_parts
from reasoner.chat.endpoint.faults import (
    EndpointError,
    PermanentError,
    RefusedRequestError,
    TransientError,
)
from reasoner.chat.message import Message
from reasoner.protocol import Usage
from reasoner.transcript import keeping_calls

MAX_REQUEST_BYTES = 32 * 2**20
MAX_MESSAGES = 1_000
PASSED_ON = ("tools", "tool_choice", "response_format")
ROLES = ("system", "user", "assistant")
CLOSED = "the budget of this run is spent"
SOCKET_MODE = 0o777  # the folder above it admits its owner alone


@dataclass
class Relay:
    """Answers requests; `stopped` is set when no more will be answered, with the reason."""

    endpoint: ModelEndpoint
    transcript: Transcript
    max_tokens: int
    say: Callable[[str], None]
    stopped: asyncio.Event = field(default_factory=asyncio.Event)
    end: str = ""  # why it stopped, as the end of the cell
    failure: str = ""  # of the endpoint, in which case the cell is not finished
    n_waiting: int = 0  # requests that have no answer yet

    @property
    def usage(self) -> Usage:
        """What was spent."""
        return self.transcript.usage

    async def answer(self, body: Any) -> tuple[int, dict[str, Any]]:
        """Return status and body of the answer to a request."""
        if self.stopped.is_set():
            return error_body(403, CLOSED)
        if self.usage.input_tokens + self.usage.output_tokens >= self.max_tokens:
            self.end = "budget: tokens"
            self.stopped.set()
            return error_body(403, CLOSED)
        messages = read_messages(body)
        if not messages:
            return error_body(400, "no messages that can be read")
        parameters = {name: body[name] for name in PASSED_ON if body.get(name)}
        self.n_waiting += 1
        try:
            with keeping_calls(self.transcript.keep_call):
                reply = await ask(self.endpoint, messages, parameters, self.say, form="relayed")
        except RefusedRequestError as error:
            return error_body(400, str(error))
        except (PermanentError, TransientError) as error:
            self.failure = str(error)
            self.stopped.set()
            return error_body(403, "the model does not answer")
        except EndpointError as error:  # this answer is of no use; another may be
            reply = Reply(f"(unusable: {error})", "", "", "error", Usage())
        finally:
            self.n_waiting -= 1
        return 200, completion_body(reply, body)


def read_messages(body: Any) -> list[Message]:
    """Return the messages of a request as plain text turns; empty where it is no request."""
    rows = list(dicts_in(body.get("messages")))[:MAX_MESSAGES] if isinstance(body, dict) else []
    messages: list[Message] = []
    for row in rows:
        content = row.get("content")
        text = content if isinstance(content, str) else text_of_parts(content)
        if row.get("role") in ROLES and text:
            messages.append({"role": row["role"], "content": text})
    return messages


def completion_body(reply: Reply, body: dict[str, Any]) -> dict[str, Any]:
    """Return a chat completion with the reply: its first call of a tool, else its text."""
    message: dict[str, Any] = {"role": "assistant", "content": reply.text}
    functions = [row.get("function") for row in dicts_in(body.get("tools"))]
    names = [one.get("name") for one in functions if isinstance(one, dict)]
    if reply.called and names:
        function = {"name": str(names[0]), "arguments": reply.called[0]}
        message["tool_calls"] = [{"id": "call", "type": "function", "function": function}]
    usage = reply.usage
    return {
        "id": "relayed",
        "object": "chat.completion",
        "created": 0,
        "model": "relayed",
        "choices": [{"index": 0, "message": message, "finish_reason": reply.finish or "stop"}],
        "usage": {
            "prompt_tokens": usage.input_tokens,
            "completion_tokens": usage.output_tokens,
            "total_tokens": usage.input_tokens + usage.output_tokens,
        },
    }


def error_body(status: int, text: str) -> tuple[int, dict[str, Any]]:
    """Return an error as endpoints send it."""
    return status, {"error": {"message": text, "type": "relay", "code": None}}


class RelayServer(ThreadingMixIn, UnixStreamServer):
    """HTTP on a Unix socket; a thread for every connection."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, path: str, relay: Relay, loop: asyncio.AbstractEventLoop) -> None:
        self.relay, self.loop = relay, loop
        super().__init__(path, RelayHandler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a contestant that went away."""


class RelayHandler(BaseHTTPRequestHandler):
    """Reads a request, and answers from the event loop's thread."""

    protocol_version = "HTTP/1.1"
    server: RelayServer
    timeout = 3600

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""

    def do_GET(self) -> None:
        """There is nothing to look up."""
        self.send(*error_body(404, "only chat completions are here"))

    def do_POST(self) -> None:
        """Answer a chat completion."""
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit() or int(length) > MAX_REQUEST_BYTES:
            self.close_connection = True
            self.send(*error_body(413, "the request is too long, or has no length"))
            return
        raw = self.rfile.read(int(length))
        if self.path != "/v1/chat/completions":
            self.send(*error_body(404, "only chat completions are here"))
            return
        try:
            body = json.loads(raw)
        except (ValueError, RecursionError):
            self.send(*error_body(400, "the request is not JSON"))
            return
        work = asyncio.run_coroutine_threadsafe(self.server.relay.answer(body), self.server.loop)
        self.send(*work.result())

    def send(self, status: int, body: dict[str, Any]) -> None:
        """Send an answer."""
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)


@contextmanager
def serve_relay(path: Path, relay: Relay) -> Iterator[None]:
    """Serve on a Unix socket for the time of the block, within the running event loop."""
    path.unlink(missing_ok=True)
    server = RelayServer(str(path), relay, asyncio.get_running_loop())
    path.chmod(SOCKET_MODE)
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        path.unlink(missing_ok=True)
