"""A fake of E2B with faults on demand: the control plane over HTTP.

The sandboxes (fake_envd.py) are behind the same port.

with FakeE2B(tmp_path / "e2b") as cloud: point E2B_API_URL and E2B_SANDBOX_URL at cloud.url.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
import urllib.parse
import uuid
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fake_envd import Machine
from fake_http import Answer, CutError, Request, Server

KEY = "e2b_0000000000000000000000000000000000000000"


@dataclass
class Rented:
    """A sandbox as the control plane knows it."""

    id: str
    machine: Machine
    template: str
    metadata: dict[str, str]
    internet: bool
    began: float = field(default_factory=time.time)
    ends: float = 0

    def json(self) -> dict[str, Any]:
        shown = {
            "templateID": self.template,
            "sandboxID": self.id,
            "clientID": "fake",
            "envdVersion": "0.6.9",
            "state": "running",
        }
        times = {"startedAt": stamp(self.began), "endAt": stamp(self.ends)}
        return (
            shown
            | times
            | {"cpuCount": 2, "memoryMB": 2048, "diskSizeMB": 10240, "metadata": self.metadata}
        )


@dataclass
class Fault:
    """For the next `times` calls of a route: a status, a cut connection, or a delay."""

    route: str
    times: int
    status: int = 0
    cut: bool = False
    delay_s: float = 0


class FakeE2B:
    """One account. `calls` counts requests per endpoint; `created` lists every sandbox."""

    def __init__(
        self,
        folder: Path,
        *,
        max_life_s: int = 86400,
        templates: tuple[str, ...] = ("code-interpreter-v1", "ml"),
    ) -> None:
        self.folder, self.max_life_s, self.templates = folder, max_life_s, templates
        self.programs = os.path.dirname(sys.executable)  # where python3 is found first
        self.rented: dict[str, Rented] = {}
        self.created: list[Rented] = []
        self.keys: dict[str, Rented] = {}
        self.calls: Counter[str] = Counter()
        self.faults: list[Fault] = []
        self.timeouts: list[int] = []
        self.server = Server(self.handle)

    def __enter__(self) -> FakeE2B:
        self.server.__enter__()
        self.clock = asyncio.run_coroutine_threadsafe(self._expire(), self.server.loop)
        return self

    def __exit__(self, *_: object) -> None:
        self.clock.cancel()
        for id in list(self.rented):
            self.lose(id)
        self.server.__exit__()

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def environment(self) -> dict[str, str]:
        return {"E2B_API_KEY": KEY, "E2B_API_URL": self.url, "E2B_SANDBOX_URL": self.url}

    # faults

    def fault(self, route: str, times: int = 1, **what: Any) -> None:
        """route: a part of "METHOD /path", e.g. "POST /files"."""
        self.faults.append(Fault(route, times, **what))

    def lose(self, id: str) -> None:
        """The sandbox dies, as when its host fails or its time is over."""
        self.server.call(self._kill(id))

    def cut_streams(self) -> int:
        async def cut() -> int:
            return sum(rented.machine.cut_streams() for rented in self.rented.values())

        return int(self.server.call(cut()))

    def alive(self) -> list[int]:
        """Processes that run in any sandbox now."""
        return [pid for rented in list(self.rented.values()) for pid in rented.machine.alive()]

    # the service

    async def handle(self, request: Request, answer: Answer) -> None:
        id = request.headers.get("e2b-sandbox-id")
        path = (
            request.path
            if id
            else "/".join(
                "{id}" if part in self.rented or len(part) == 20 else part
                for part in request.path.split("/")
            )
        )
        self.calls[f"{request.method} {path}"] += 1
        if await self._faulty(f"{request.method} {request.path}", answer, bool(id)):
            return
        if id is None:
            await self._control(request, answer)
        elif id in self.rented:
            await self.rented[id].machine.handle(request, answer)
        else:
            await answer.json(
                502, {"sandboxId": id, "message": "The sandbox was not found", "code": 502}
            )

    async def _faulty(self, route: str, answer: Answer, inside: bool) -> bool:
        fault = next(
            (fault for fault in self.faults if fault.times > 0 and fault.route in route), None
        )
        if fault is None:
            return False
        fault.times -= 1
        await asyncio.sleep(fault.delay_s)
        if fault.cut:
            raise CutError
        if fault.status:
            await answer.json(
                fault.status, {"code": fault.status, "message": f"injected {fault.status}"}
            )
        return bool(fault.status)

    async def _control(self, request: Request, answer: Answer) -> None:
        if request.headers.get("x-api-key") != KEY:
            await answer.json(401, {"code": 401, "message": "Invalid API key"})
            return
        parts = request.path.removeprefix("/v2").strip("/").split("/")
        if parts == ["sandboxes"]:
            await (self._create if request.method == "POST" else self._list)(request, answer)
        elif len(parts) < 2 or parts[1] not in self.rented:
            await answer.json(404, {"code": 404, "message": "sandbox not found"})
        elif request.method == "DELETE":
            await self._kill(parts[1])
            await answer.whole(204)
        elif parts[2:] == ["timeout"]:
            await self._timeout(self.rented[parts[1]], request.json()["timeout"], answer)
        else:
            await answer.json(200, self.rented[parts[1]].json())

    async def _create(self, request: Request, answer: Answer) -> None:
        given, key = request.json(), request.headers.get("idempotency-key", "")
        if given["templateID"] not in self.templates:
            await answer.json(
                404, {"code": 404, "message": f"template '{given['templateID']}' not found"}
            )
            return
        if not (rented := self.keys.get(key)):
            id = uuid.uuid4().hex[:20]
            rented = Rented(
                id,
                Machine(self.folder / id, self.programs),
                given["templateID"],
                given.get("metadata", {}),
                given.get("allow_internet_access", True),
            )
            rented.ends = rented.began + given.get("timeout", 15)
            self.rented[id] = rented
            self.created.append(rented)
            self.timeouts.append(given.get("timeout", 15))
            if key:
                self.keys[key] = rented
        await answer.json(201, rented.json() | {"envdAccessToken": "fake", "domain": None})

    async def _list(self, request: Request, answer: Answer) -> None:
        wanted = {
            urllib.parse.unquote(k): urllib.parse.unquote(v)
            for k, v in urllib.parse.parse_qsl(request.query.get("metadata", ""))
        }
        found = [
            rented.json()
            for rented in self.rented.values()
            if wanted.items() <= rented.metadata.items()
        ]
        await answer.json(200, found)

    async def _timeout(self, rented: Rented, seconds: int, answer: Answer) -> None:
        if time.time() + seconds > rented.began + self.max_life_s + 1:
            await answer.json(
                400,
                {
                    "code": 400,
                    "message": f"Timeout cannot be greater than {self.max_life_s} seconds",
                },
            )
            return
        rented.ends = time.time() + seconds
        self.timeouts.append(seconds)
        await answer.whole(204)

    async def _kill(self, id: str) -> None:
        if rented := self.rented.pop(id, None):
            await rented.machine.die()

    async def _expire(self) -> None:
        while True:
            await asyncio.sleep(0.1)
            for id in [id for id, rented in self.rented.items() if time.time() > rented.ends]:
                await self._kill(id)


def stamp(moment: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))
