"""Shared by the tests of Studio: the real server, and an endpoint that answers by question."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
from chat_kit import verb_of
from longrun_kit import scripts
from openai_server import Body, Say, say

ROOT = Path(__file__).parents[1]
START_S = 240.0


class Server:
    """`gome studio` in its own process group."""

    def __init__(self, place: Path, run: str = "", runs_dir: Path | None = None) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        place.mkdir(parents=True, exist_ok=True)
        self.place, self.url = place, f"http://127.0.0.1:{self.port}"
        self.arguments = [run, "--runs-dir", str(runs_dir)] if run else []
        self.log = place / "server.log"
        self.start()

    def start(self) -> None:
        environment = os.environ | {
            "STUDIO_CHECKPOINTS": str(self.place / "checkpoints.sqlite"),
            "NO_COLOR": "1",
            "OPENAI_API_KEY": "none",
            "GOME_MEMORY": str(self.place / "memory"),
        }
        words = [
            sys.executable,
            "-m",
            "gome",
            "studio",
            *self.arguments,
            "--port",
            str(self.port),
            "--place",
            str(self.place),
        ]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                words, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
            )

    def kill(self) -> None:
        """kill -9 of everything in the group, `gome studio` included."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def kill_server(self) -> bool:
        """Kill `langgraph dev` alone, as the kernel would; its children must end by themselves."""
        found = [
            child
            for child in psutil.Process(self.process.pid).children()
            if "langgraph_cli" in child.cmdline()
        ]
        for child in found:
            child.kill()
        if not found:
            self.kill()
        self.process.wait(60)
        return bool(found)

    def said(self) -> str:
        return self.log.read_text()[-3000:]


async def up(server: Server) -> Any:
    """A client of the server, once it answers."""
    import httpx
    from langgraph_sdk import get_client

    client = get_client(url=server.url)
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        try:
            await client.assistants.search()
        except (httpx.HTTPError, OSError):
            await asyncio.sleep(0.2)
        else:
            return client
    raise AssertionError(server.said())


def by_place(pause: float) -> Any:
    """Answer by trace and step alone, so that a repeated question gets the same answer."""
    known = scripts(pause)

    def reply(body: Body, n: int) -> Say:
        verb = verb_of(body)
        place = re.search(
            r"Trace (\d+) of \d+, step (\d+)",
            "\n".join(str(message["content"]) for message in body["messages"]),
        )
        trace, step = (int(place[1]), int(place[2])) if place else (0, 0)
        script = known[(step + trace) % len(known)] + f"# trace {trace}, step {step}\n"
        hypothesis = {
            "challenge": "noise",
            "statement": f"script {step} of trace {trace}",
            "component": "model",
            "confidence": 0.5,
        }
        other = hypothesis | {"statement": f"something else than script {step} of trace {trace}"}
        answers: dict[str, Any] = {
            "check": {"answer": 5},
            "draft": {"summary": f"draft of trace {trace}", "script": script},
            "diagnose": {
                "observations": [],
                "causes": ["noise"],
                "hypotheses": [hypothesis, other],
                "summary": f"script {step}",
                "script": script,
            },
            "follow": {"summary": f"script {step}", "script": script},
            "update": {"summary": f"script {step}", "edits": [], "script": script},
            "repair": {
                "summary": "repaired",
                "cause": "a bug",
                "fix": "none",
                "edits": [],
                "script": script,
            },
            "probe": {"question": "", "script": ""},  # nothing to ask
            "review": {"aligned": True, "leaks": False, "reasons": []},
        }
        assert place or verb in ("check", "probe", "review"), verb
        return say(answers[verb])

    return reply
