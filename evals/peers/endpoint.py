"""A scripted OpenAI-compatible endpoint: the n-th request for code gets the n-th script.

It serves Gome and AIDE alike. A request waits LATENCY_S, so that an agent's own time can be told
from the model's. Standard library only; loopback only.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

LATENCY_S = 0.05
HYPOTHESIS = {
    "challenge": "the model may be too plain",
    "statement": "use the next model of the list",
    "component": "model",
    "plan": "replace the model",
    "expected": "better",
    "size": "small",
    "confidence": 0.5,
    "cost": "low",
    "refuted_by": "no gain beyond noise",
    "cites": [],
}
UPDATE = {
    "action": "choose",
    "chosen": "H1",
    "why": "next",
    "hypothesis": HYPOTHESIS,
    "take_from": [],
    "ensemble": [],
    "edits": [],
}
REPAIR = {"cause": "a bug", "fix": "the next model", "edits": []}
USAGE = {"prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 20}


class ScriptedEndpoint:
    """Context manager that serves on a port; `script_of(agent, n)` gives the n-th script.

    Port 0: a free one.
    """

    def __init__(self, script_of: Callable[[str, int], str], port: int = 0) -> None:
        self.script_of, self.port = script_of, port
        self.n_scripts = 0
        self.times: list[tuple[float, float]] = []  # (arrival, answer) of every request
        self.turn = threading.Lock()

    def __enter__(self) -> Self:
        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), make_handler(self))
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.server.shutdown()
        self.server.server_close()

    def answer(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return the assistant's message: Gome asks with a schema, AIDE with a tool or plainly."""
        schema = (body.get("response_format") or {}).get("json_schema", {}).get("schema", {})
        if schema:
            fields = self.answer_schema(str(schema.get("title", "")), schema)
            return {"role": "assistant", "content": json.dumps(fields)}
        if body.get("tools"):
            return tool_call_message(body["tools"][0]["function"]["name"], review_answer(body))
        text = f"The next model of the list.\n\n```python\n{self.next_script('aide')}\n```"
        return {"role": "assistant", "content": text}

    def answer_schema(self, title: str, schema: dict[str, Any]) -> dict[str, Any]:
        """Return an answer in the schema of one of Gome's verbs."""
        summary = "the next model"
        if title.startswith("Draft"):
            return {"approach": summary, "summary": summary, "script": self.next_script("gome")}
        if title.startswith("Diagnose"):
            return {"observations": [], "causes": ["too plain"], "hypotheses": [HYPOTHESIS]}
        if title.startswith("Step"):
            change = {"script": self.next_script("gome"), "summary": summary}
            empty: dict[str, Any] = {"take_from": [], "ensemble": [], "edits": []}
            found = {"observations": [], "causes": ["too plain"], "hypotheses": [HYPOTHESIS]}
            return found | {"chosen": "h1"} | empty | change
        if title.startswith("Update"):
            script = self.next_script("gome")
            return UPDATE | {"script": script, "summary": summary}
        if title.startswith("Repair"):
            script = self.next_script("gome")
            return REPAIR | {"script": script, "summary": summary}
        if title.startswith("Review"):
            return {"reasons": [], "aligned": True, "leaks": False}
        plain = {"boolean": True, "integer": 1, "number": 1.0, "array": []}
        return {
            name: plain.get(kind.get("type", ""), "ok")
            for name, kind in schema.get("properties", {}).items()
        }

    def next_script(self, agent: str) -> str:
        """Return the next script in the agent's contract."""
        with self.turn:
            number, self.n_scripts = self.n_scripts, self.n_scripts + 1
        return self.script_of(agent, number)


def review_answer(body: dict[str, Any]) -> dict[str, Any]:
    """Return what a reviewer of a log would say: the printed score, or a bug."""
    text = json.dumps(body["messages"])
    scores = re.findall(r"SCORE: ([-\d.eE]+)", text)
    return {
        "is_bug": not scores,
        "summary": "ran" if scores else "failed",
        "metric": float(scores[-1]) if scores else None,
        "lower_is_better": "lower is better" in text,
    }


def tool_call_message(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return an assistant's message that calls the tool."""
    call = {
        "id": "call",
        "type": "function",
        "function": {"name": name, "arguments": json.dumps(arguments)},
    }
    return {"role": "assistant", "content": None, "tool_calls": [call]}


def make_handler(endpoint: ScriptedEndpoint) -> type[BaseHTTPRequestHandler]:
    """Return the request handler of the endpoint."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            """Log nothing."""

        def do_GET(self) -> None:
            models = {"object": "list", "data": [{"id": "scripted", "object": "model"}]}
            self.send(json.dumps(models).encode(), "application/json")

        def do_POST(self) -> None:
            arrived = time.monotonic()
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            time.sleep(LATENCY_S)
            message = endpoint.answer(body)
            if body.get("stream"):
                self.send(stream_bytes(body["model"], message), "text/event-stream")
            else:
                self.send(completion_bytes(body["model"], message), "application/json")
            endpoint.times.append((arrived, time.monotonic()))

        def send(self, raw: bytes, kind: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

    return Handler


def completion_bytes(model: str, message: dict[str, Any]) -> bytes:
    """Return the message as one chat completion."""
    reason = "tool_calls" if message.get("tool_calls") else "stop"
    choice = {"index": 0, "message": message, "finish_reason": reason}
    head = {"id": "c", "object": "chat.completion", "created": 1, "model": model}
    return json.dumps(head | {"choices": [choice], "usage": USAGE}).encode()


def stream_bytes(model: str, message: dict[str, Any]) -> bytes:
    """Return the message as server-sent events: the whole message, its end, its usage."""
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": model}
    parts: list[dict[str, Any]] = [
        {"choices": [{"index": 0, "delta": message, "finish_reason": None}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        {"choices": [], "usage": USAGE},
    ]
    events = [b"data: " + json.dumps(head | part).encode() + b"\n\n" for part in parts]
    return b"".join([*events, b"data: [DONE]\n\n"])
