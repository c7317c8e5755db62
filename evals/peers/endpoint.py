"""An OpenAI-compatible endpoint that answers by script, for Gome and for AIDE alike: the n-th request for code gets the n-th script.

A request waits LATENCY_S, so that an agent's own time can be told from the model's. Standard library only; loopback only.
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
    "challenge": "the model may be too plain", "statement": "use the next model of the list", "component": "model", "plan": "replace the model",
    "expected": "better", "size": "small", "confidence": 0.5, "cost": "low", "refuted_by": "no gain beyond noise", "cites": [],
}  # fmt: skip


class Endpoint:
    """with Endpoint(script_of) as endpoint: … endpoint.url; `script_of(agent, n)` gives the n-th script."""

    def __init__(self, script_of: Callable[[str, int], str]) -> None:
        self.script_of = script_of
        self.n_scripts = 0
        self.times: list[tuple[float, float]] = []  # (arrival, answer) of every request
        self.turn = threading.Lock()

    def __enter__(self) -> Self:
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler(self))
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

    def message(self, body: dict[str, Any]) -> dict[str, Any]:
        form = (body.get("response_format") or {}).get("json_schema", {}).get("schema", {})
        if form:
            return {
                "role": "assistant",
                "content": json.dumps(self.structured(str(form.get("title", "")), form)),
            }
        if body.get("tools"):
            return called(body["tools"][0]["function"]["name"], reviewed(body))
        return {
            "role": "assistant",
            "content": f"The next model of the list.\n\n```python\n{self.next_script('aide')}\n```",
        }

    def structured(self, title: str, schema: dict[str, Any]) -> dict[str, Any]:
        """An answer in Gome's forms."""
        if title.startswith("Draft"):
            return {
                "approach": "the next model",
                "summary": "the next model",
                "script": self.next_script("gome"),
            }
        if title.startswith("Diagnose"):
            return {"observations": [], "causes": ["too plain"], "hypotheses": [HYPOTHESIS]}
        if title.startswith("Update"):
            script = self.next_script("gome")
            base = {
                "action": "choose",
                "chosen": "H1",
                "why": "next",
                "hypothesis": HYPOTHESIS,
                "take_from": [],
                "ensemble": [],
                "edits": [],
            }
            return base | {"script": script, "summary": "the next model"}
        if title.startswith("Repair"):
            return {
                "cause": "a bug",
                "fix": "the next model",
                "edits": [],
                "script": self.next_script("gome"),
                "summary": "the next model",
            }
        if title.startswith("Review"):
            return {"reasons": [], "aligned": True, "leaks": False}
        plain = {"boolean": True, "integer": 1, "number": 1.0, "array": []}
        return {
            name: plain.get(kind.get("type", ""), "ok")
            for name, kind in schema.get("properties", {}).items()
        }

    def next_script(self, agent: str) -> str:
        with self.turn:
            number, self.n_scripts = self.n_scripts, self.n_scripts + 1
        return self.script_of(agent, number)


def reviewed(body: dict[str, Any]) -> dict[str, Any]:
    """What a reviewer of a log would say: the printed score, or a bug."""
    text = json.dumps(body["messages"])
    found = re.findall(r"SCORE: ([-\d.eE]+)", text)
    lower = "lower is better" in text
    return {
        "is_bug": not found,
        "summary": "ran" if found else "failed",
        "metric": float(found[-1]) if found else None,
        "lower_is_better": lower,
    }


def called(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    call = {
        "id": "call",
        "type": "function",
        "function": {"name": name, "arguments": json.dumps(arguments)},
    }
    return {"role": "assistant", "content": None, "tool_calls": [call]}


def handler(endpoint: Endpoint) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            """Silent."""

        def do_GET(self) -> None:
            self.reply({"object": "list", "data": [{"id": "scripted", "object": "model"}]})

        def do_POST(self) -> None:
            arrived = time.monotonic()
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            time.sleep(LATENCY_S)
            message = endpoint.message(body)
            choice = {
                "index": 0,
                "message": message,
                "finish_reason": "tool_calls" if message.get("tool_calls") else "stop",
            }
            usage = {"prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 20}
            if body.get("stream"):
                self.stream(
                    {
                        "id": "c",
                        "object": "chat.completion.chunk",
                        "created": 1,
                        "model": body["model"],
                    },
                    message,
                    usage,
                )
                endpoint.times.append((arrived, time.monotonic()))
                return
            self.reply(
                {
                    "id": "c",
                    "object": "chat.completion",
                    "created": 1,
                    "model": body["model"],
                    "choices": [choice],
                    "usage": usage,
                }
            )
            endpoint.times.append((arrived, time.monotonic()))

        def stream(
            self, head: dict[str, Any], message: dict[str, Any], usage: dict[str, int]
        ) -> None:
            """The whole message as one event, then its end and its cost."""
            ends = [{"index": 0, "delta": {}, "finish_reason": "stop"}]
            parts = [
                head | {"choices": [{"index": 0, "delta": message, "finish_reason": None}]},
                head | {"choices": ends},
            ]
            parts.append(head | {"choices": [], "usage": usage})
            events = [b"data: " + json.dumps(part).encode() + b"\n\n" for part in parts]
            self.send(b"".join([*events, b"data: [DONE]\n\n"]), "text/event-stream")

        def reply(self, value: dict[str, Any]) -> None:
            self.send(json.dumps(value).encode(), "application/json")

        def send(self, raw: bytes, kind: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

    return Handler
