"""Everything that LangGraph Studio asks of a server, asked of the real one over HTTP; the drawn graph in the docs is the graph."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kit import events, write_task
from longrun_kit import run_twice

from cli.studio import STUDIO, server_config
from graph.build import graph
from graph.settings import Settings

ROOT = Path(__file__).parents[1]


def test_the_drawn_graph_in_the_docs_is_current() -> None:
    text = (ROOT / "docs" / "studio.md").read_text()
    assert graph.get_graph(xray=True).draw_mermaid().strip() in text, "run `python -m evals.draw` and commit docs/studio.md"


def test_the_repositorys_langgraph_json_is_what_gome_studio_writes() -> None:
    ours, written = json.loads((ROOT / "langgraph.json").read_text()), server_config([STUDIO])
    assert {key: ours[key] for key in ("graphs", "checkpointer", "http")} == {
        key: written[key] for key in ("graphs", "checkpointer", "http")
    }


def test_every_setting_reads_as_a_form() -> None:
    fields = Settings.model_json_schema()["properties"]
    assert [name for name, field in fields.items() if not field.get("description") or not field.get("title")] == []
    assert fields["policy"]["enum"] and fields["traces"]["minimum"] == 1 and fields["steps"]["default"] == 8


class Server:
    """`gome studio` in a process group of its own."""

    def __init__(self, place: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.place, self.url = place, f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self, *arguments: str) -> None:
        environment = os.environ | {"STUDIO_CHECKPOINTS": str(self.place / "checkpoints.sqlite"), "NO_COLOR": "1"}
        command = [sys.executable, "-m", "gome", "studio", *arguments, "--port", str(self.port), "--place", str(self.place)]
        with (self.place / "server.log").open("ab") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True)

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    pytest.importorskip("langgraph_api", reason="needs the extra `studio`")
    (tmp_path / "place").mkdir()
    running = Server(tmp_path / "place")
    yield running
    running.kill()


async def up(server: Server) -> Any:
    import httpx
    from langgraph_sdk import get_client

    client = get_client(url=server.url)
    end = time.monotonic() + 150
    while time.monotonic() < end:
        try:
            await client.assistants.search()
        except (httpx.HTTPError, OSError):
            await asyncio.sleep(0.5)
        else:
            return client
    raise AssertionError((server.place / "server.log").read_text()[-3000:])


@pytest.mark.slow
@pytest.mark.timeout(1500)
async def test_everything_that_studio_asks(server: Server, tmp_path: Path) -> None:
    client = await up(server)
    await forms_and_drawing(client, server)
    task, folder = str(write_task(tmp_path / "task")), tmp_path / "run"
    context = {"traces": 1, "steps": 3, "memory": "off", "time_s": 600, "steer": "each"}
    thread = (await client.threads.create())["thread_id"]
    given = {"task": task, "run_dir": str(folder)}
    parts = [part async for part in client.runs.stream(
        thread, "gome", input=given, context=context, stream_mode=["values", "updates", "custom"], stream_subgraphs=True, durability="sync",
    )]  # fmt: skip
    kinds = {part.event.split("|")[0] for part in parts}
    assert {"values", "updates", "custom"} <= kinds, [part for part in parts if part.event == "error"]
    assert any("trace:" in part.event for part in parts)
    state = await client.threads.get_state(thread, subgraphs=True)
    assert state["next"] == ["steer"] and state["values"]["round"] == 1
    (asked,) = state["tasks"][0]["interrupts"]
    assert asked["value"]["standings"]
    await answered(client, thread, {"hint": "the columns differ in scale"})
    assert json.loads((folder / "hints.jsonl").read_text())["text"] == "the columns differ in scale"
    history = await client.threads.get_history(thread, limit=50)
    assert len(history) >= 5
    await forked(client, thread)
    await cancelled_and_gone_on(client, server, thread, folder)
    await client.aclose()


async def forms_and_drawing(client: Any, server: Server) -> None:
    import httpx

    (assistant,) = await client.assistants.search(graph_id="gome")
    schemas = await client.assistants.get_schemas(assistant["assistant_id"])
    assert schemas["input_schema"]["properties"]["task"]["description"]
    assert schemas["context_schema"]["properties"]["policy"]["enum"]
    drawn = await client.assistants.get_graph(assistant["assistant_id"], xray=True)
    assert "trace:execute" in {node["id"] for node in drawn["nodes"]}
    preflight = {"Access-Control-Request-Method": "POST"}
    async with httpx.AsyncClient() as web:
        good = await web.options(f"{server.url}/threads", headers=preflight | {"Origin": STUDIO})
        bad = await web.options(f"{server.url}/threads", headers=preflight | {"Origin": "https://evil.example"})
    assert good.headers.get("access-control-allow-origin") == STUDIO
    assert bad.headers.get("access-control-allow-origin") not in ("*", "https://evil.example")


async def answered(client: Any, thread: str, answer: dict[str, Any]) -> None:
    await client.runs.wait(thread, "gome", command={"resume": answer}, context=None, durability="sync")


async def forked(client: Any, thread: str) -> None:
    """From an earlier round with an edited state: a new branch of the history."""
    history = await client.threads.get_history(thread, limit=100)
    early = next(each for each in history if each["values"].get("round") == 1 and each["next"] == ["steer"])
    config = await client.threads.update_state(thread, {"steps": 4}, as_node="merge", checkpoint=early["checkpoint"])
    assert config["checkpoint"]["checkpoint_id"] != early["checkpoint"]["checkpoint_id"]
    assert (await client.threads.get_state(thread))["values"]["steps"] == 4


async def cancelled_and_gone_on(client: Any, server: Server, thread: str, folder: Path) -> None:
    """A cancel, then a kill -9 of the server in the middle of a script: nothing is lost, nothing finished is run again."""
    for _ in range(2):  # the branch first finds what the first one had done, and asks again
        await answered(client, thread, {"stop": False})
    run = await client.runs.create(thread, "gome", command={"resume": {"hint": "", "stop": False}}, durability="sync")
    await asyncio.sleep(0.5)
    await client.runs.cancel(thread, run["run_id"], wait=True)
    await client.runs.create(thread, "gome", input=None, durability="sync")
    await asyncio.sleep(3)
    before = (await client.threads.get_state(thread))["values"]["round"]
    server.kill()
    server.start()
    client = await up(server)
    end = time.monotonic() + 300
    while time.monotonic() < end:
        state = await client.threads.get_state(thread)
        if not state["next"]:
            break
        if state["next"] == ["steer"] and state["tasks"] and state["tasks"][0]["interrupts"]:
            await answered(client, thread, {"stop": True})
        await asyncio.sleep(1)
    assert not state["next"] and state["values"]["round"] >= before and Path(state["values"]["submission"]).is_file()
    await client.aclose()
    assert run_twice(folder) == [] and events(folder, "finalized")
