"""The Studio server is killed at forty moments: its runs end as undisturbed ones do."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from pathlib import Path
from typing import Any

import pytest
from kit import events, quick, write_task
from longrun_kit import essence, orphans, run_twice
from openai_server import Server as Endpoint
from studio_kit import Server, by_place, up

from session.session import start_run

KILLS, PAUSE = 40, 1.0
PLAN: dict[str, Any] = {"traces": 3, "steps": 6, "time_s": 7200, "run_time_s": 120, "memory": "off"}
ACTIVE = ("pending", "running")


class Life:
    """One run under the server, resumed after each kill by the server or, failing that, by hand."""

    def __init__(self, task: Path, folder: Path, context: dict[str, Any]) -> None:
        self.thread, self.folder, self.context = str(uuid.uuid4()), folder, context
        self.given = {"task": str(task), "run_dir": str(folder)}

    async def goes_on(self, client: Any) -> bool:
        """False once the run has ended."""
        if any(run["status"] in ACTIVE for run in await client.runs.list(self.thread)):
            return True
        state = await client.threads.get_state(self.thread)
        if state["values"].get("submission") and not state["next"]:
            return False
        given = None if state["values"] else self.given
        await client.runs.create(
            self.thread, "gome", input=given, context=self.context, durability="sync"
        )
        return True

    def finished(self) -> int:
        return len(events(self.folder, "execution_finished"))

    async def lives(self, client: Any, n: int, seconds: float) -> bool:
        """Whether it still went on when `n` more scripts had ended and some seconds had passed."""
        await client.threads.create(thread_id=self.thread, graph_id="gome", if_exists="do_nothing")
        until, end = self.finished() + n, 0.0
        while goes := await self.goes_on(client):
            if not end and self.finished() >= until:
                end = time.monotonic() + seconds
            if end and time.monotonic() >= end:
                break
            await asyncio.sleep(0.1)
        return goes


async def killed_often(server: Server, life: Life, moments: random.Random, most: int) -> int:
    """Return how often the server was killed during the run; at most `most` times."""
    for n in range(most):
        began = time.monotonic()
        client = await up(server)
        print(
            f"server up after {time.monotonic() - began:.1f} s; {life.finished()} scripts ended",
            flush=True,
        )
        goes = await life.lives(client, moments.choice((0, 0, 1, 1, 2)), moments.uniform(0, 2.5))
        await client.aclose()
        if not goes:
            return n
        assert server.kill_server(), server.said()
        server.start()
    client = await up(server)
    assert not await life.lives(client, 1000, 0), "the run did not end"
    await client.aclose()
    return most


@pytest.mark.slow
@pytest.mark.timeout(7200)
async def test_forty_kills_of_the_server_change_no_result(tmp_path: Path) -> None:
    pytest.importorskip("langgraph_api", reason="needs the extra `studio`")
    task, moments, hits = write_task(tmp_path / "task"), random.Random(7), 0
    lives: list[Life] = []
    with Endpoint(by_place(PAUSE)) as endpoint, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_API_KEY", "none")
        context = PLAN | {"model": ["scripted"], "base_url": endpoint.url}
        whole = await start_run(str(task), quick(tmp_path, **context), folder=tmp_path / "whole")
        server = Server(tmp_path / "place")
        try:
            while hits < KILLS:
                lives.append(Life(task, tmp_path / f"run{len(lives)}", context))
                hits += await killed_often(server, lives[-1], moments, KILLS - hits)
                print(f"{hits} kills over {len(lives)} runs", flush=True)
        finally:
            server.kill()
    for life in lives:
        assert essence(life.folder) == essence(whole.folder)
        assert run_twice(life.folder) == []
    await asyncio.sleep(3)
    assert orphans(tmp_path) == []
