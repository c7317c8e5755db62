"""Everything that LangGraph Studio asks of a server, asked of the real one over HTTP."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kit import events, write_task
from longrun_kit import run_twice
from memory_kit import a_record
from openai_server import Server as Endpoint
from studio_kit import ROOT, Server, by_place, up

from cli.studio import STUDIO_URL, server_config
from graph.settings import Settings
from memory.records import validate_record
from run.checkpoints.open import thread_id
from settings.search import PRESETS


def test_the_repositorys_langgraph_json_is_what_gome_studio_writes() -> None:
    ours, written = json.loads((ROOT / "langgraph.json").read_text()), server_config([STUDIO_URL])
    assert {**ours, "env": None} == {**written, "env": None}


def test_every_setting_has_a_form_field() -> None:
    fields = Settings.model_json_schema()["properties"]
    assert [
        name
        for name, field in fields.items()
        if not field.get("description") or not field.get("title")
    ] == []
    assert (
        fields["policy"]["enum"]
        and fields["traces"]["minimum"] == 1
        and fields["steps"]["default"] == 8
    )


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    pytest.importorskip("langgraph_api", reason="needs the extra `studio`")
    running = Server(tmp_path / "place")
    yield running
    running.kill()


@pytest.mark.slow
@pytest.mark.timeout(1500)
async def test_requests_of_studio_are_answered(server: Server, tmp_path: Path) -> None:
    client = await up(server)
    await forms_and_drawing(client, server)
    await store_and_wrong_paths(client)
    task, folder = str(write_task(tmp_path / "task")), tmp_path / "run"
    context = {"traces": 1, "steps": 3, "memory": "off", "time_s": 600, "steer": "each"}
    thread = (await client.threads.create())["thread_id"]
    given = {"task": task, "run_dir": str(folder)}
    stream = client.runs.stream(
        thread,
        "gome",
        input=given,
        context=context,
        stream_mode=["values", "updates", "custom"],
        stream_subgraphs=True,
        durability="sync",
    )
    parts = [part async for part in stream]
    kinds = {part.event.split("|")[0] for part in parts}
    assert {"values", "updates", "custom"} <= kinds, [
        part for part in parts if part.event == "error"
    ]
    assert any("trace:" in part.event for part in parts)
    state = await client.threads.get_state(thread, subgraphs=True)
    assert state["next"] == ["steer"] and state["values"]["round"] == 1
    (asked,) = state["tasks"][0]["interrupts"]
    assert asked["value"]["standings"]
    await answered(client, thread, {"hint": "the columns differ in scale"})
    warned = [event["message"] for event in events(folder, "warning")]
    assert any("the hint is left out: the expert reads no words" in text for text in warned)
    history = await client.threads.get_history(thread, limit=50)
    assert len(history) >= 5
    await forked(client, thread)
    await cancelled_and_gone_on(client, server, thread, folder)
    await client.aclose()


async def forms_and_drawing(client: Any, server: Server) -> None:
    import httpx

    wanted = {f"Gome, preset {preset}" for preset in PRESETS}
    offered: dict[str, Any] = {}
    while not wanted < set(offered):  # they are created once the server answers
        await asyncio.sleep(0.2)
        offered = {each["name"]: each for each in await client.assistants.search(graph_id="gome")}
    assert offered["Gome, preset tree"]["context"] == {"preset": "tree"}
    assert await client.assistants.search(graph_id="trace")
    assistant = offered["Gome, preset gome"]
    schemas = await client.assistants.get_schemas(assistant["assistant_id"])
    assert schemas["input_schema"]["properties"]["task"]["description"]
    assert schemas["context_schema"]["properties"]["policy"]["enum"]
    drawn = await client.assistants.get_graph(assistant["assistant_id"], xray=True)
    assert "trace:execute" in {node["id"] for node in drawn["nodes"]}
    preflight = {"Access-Control-Request-Method": "POST"}
    async with httpx.AsyncClient() as web:
        good = await web.options(
            f"{server.url}/threads", headers=preflight | {"Origin": STUDIO_URL}
        )
        bad = await web.options(
            f"{server.url}/threads", headers=preflight | {"Origin": "https://evil.example"}
        )
    assert good.headers.get("access-control-allow-origin") == STUDIO_URL
    assert bad.headers.get("access-control-allow-origin") not in ("*", "https://evil.example")


async def store_and_wrong_paths(client: Any) -> None:
    """Store items are the success memory's; a wrong path's sentence arrives as it is."""
    value = validate_record(a_record(0)).model_dump()
    await client.store.put_item(["success", value["task_hash"]], value["id"], value)
    found = await client.store.search_items(["success"], query="skewed residuals")
    assert [item["key"] for item in found["items"]] == [value["id"]]
    assert await client.store.list_namespaces() == {"namespaces": [["success", "t1"]]}
    await client.store.delete_item(["success", value["task_hash"]], value["id"])
    thread = (await client.threads.create())["thread_id"]
    done = await client.runs.wait(
        thread, "gome", input={"task": "/nowhere/at/all"}, raise_error=False
    )
    assert done["__error__"]["error"] == "TaskError"
    assert done["__error__"]["message"].startswith("/nowhere/at/all is not a folder")


async def answered(client: Any, thread: str, answer: dict[str, Any]) -> None:
    await client.runs.wait(
        thread, "gome", command={"resume": answer}, context=None, durability="sync"
    )


async def forked(client: Any, thread: str) -> None:
    """From an earlier round with an edited state: a new branch of the history."""
    history = await client.threads.get_history(thread, limit=100)
    early = next(
        each for each in history if each["values"].get("round") == 1 and each["next"] == ["steer"]
    )
    config = await client.threads.update_state(
        thread, {"steps": 4}, as_node="merge", checkpoint=early["checkpoint"]
    )
    assert config["checkpoint"]["checkpoint_id"] != early["checkpoint"]["checkpoint_id"]
    assert (await client.threads.get_state(thread))["values"]["steps"] == 4


async def cancelled_and_gone_on(client: Any, server: Server, thread: str, folder: Path) -> None:
    """Cancel, then kill the server during a script: nothing is lost or repeated."""
    for _ in range(2):  # the branch first finds what the first one had done, and asks again
        await answered(client, thread, {"stop": False})
    run = await client.runs.create(
        thread, "gome", command={"resume": {"hint": "", "stop": False}}, durability="sync"
    )
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
    assert (
        not state["next"]
        and state["values"]["round"] >= before
        and Path(state["values"]["submission"]).is_file()
    )
    await client.aclose()
    assert run_twice(folder) == [] and events(folder, "finalized")


def from_the_command_line(tmp_path: Path, url: str) -> str:
    """Make a run of two rounds by `gome run` and `gome resume` that waits for a person."""
    environment = os.environ | {
        "OPENAI_API_KEY": "none",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "PYTHONPATH": str(ROOT),
    }
    runs = ["--runs-dir", "runs"]
    begin = [
        "run",
        "task",
        "--model",
        "scripted",
        "--base-url",
        url,
        "--traces",
        "1",
        "--steps",
        "6",
        "--memory",
        "off",
        "--steer",
        "each",
    ]
    for words in ([*begin, *runs], ["resume", *runs, "--answer", "{}"]):
        command = [sys.executable, "-m", "gome", *words]
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=400,
        )
        assert done.returncode == 3, done.stderr
    (folder,) = (tmp_path / "runs").iterdir()
    return folder.name


async def told_next(client: Any, thread: str, words: str, checkpoint: Any = None) -> dict[str, Any]:
    """Write `told` into the state of trace 0 and return the record of the next step."""
    state = (
        await client.threads.get_state(thread, checkpoint=checkpoint)
        if checkpoint
        else await client.threads.get_state(thread)
    )
    row = state["values"]["traces"]["0"] | {"told": words}
    await client.threads.update_state(
        thread, {"traces": {"0": row}}, as_node="merge", checkpoint=checkpoint
    )
    await client.runs.wait(thread, "gome", input=None, durability="sync")
    assert (await client.threads.get_state(thread))["tasks"][0]["interrupts"], (
        "the person is asked before it goes on"
    )
    await answered(client, thread, {"stop": False})
    values = (await client.threads.get_state(thread))["values"]
    head = values["traces"]["0"]["head"]
    record: dict[str, Any] = json.loads(
        (Path(values["run_dir"]) / "artifacts" / head[:2] / head).read_text()
    )
    return record


@pytest.mark.slow
@pytest.mark.timeout(1800)
async def test_a_run_of_the_command_line_is_viewed_edited_forked_and_resumed(
    tmp_path: Path,
) -> None:
    pytest.importorskip("langgraph_api", reason="needs the extra `studio`")
    write_task(tmp_path / "task")
    with Endpoint(by_place(0)) as endpoint:
        name = from_the_command_line(tmp_path, endpoint.url)
        server = Server(tmp_path / "place", name, tmp_path / "runs")
        try:
            client = await up(server)
            await looked_at_and_gone_on_with(client, server, name)
            await client.aclose()
        finally:
            server.kill()
    assert run_twice(tmp_path / "runs" / name) == []


async def looked_at_and_gone_on_with(client: Any, server: Server, name: str) -> None:
    thread = thread_id(name)
    while thread not in server.log.read_text():  # the terminal names it once the thread is there
        await asyncio.sleep(0.2)
    assert (await client.threads.get(thread))["metadata"]["run"] == name
    state, history = (
        await client.threads.get_state(thread),
        await client.threads.get_history(thread, limit=100),
    )
    assert (
        state["next"] == ["steer"]
        and state["values"]["round"] == 2
        and state["tasks"][0]["interrupts"][0]["value"]["proposals"]
    )
    assert [each["values"]["round"] for each in history if each["next"] == ["steer"]][-1] == 1
    edited = await told_next(client, thread, "h2: less noise, in the person's words")
    assert (edited["id"], edited["hypothesis"]["id"], edited["hypothesis"]["statement"]) == (
        "t0s2",
        "h2",
        "less noise, in the person's words",
    )
    early = next(each for each in reversed(history) if each["next"] == ["steer"])
    branch = await told_next(client, thread, "an idea of one's own", early["checkpoint"])
    assert (branch["id"], branch["prev"], branch["hypothesis"]["statement"]) == (
        "t0s1", early["values"]["traces"]["0"]["head"], "an idea of one's own",
    )  # fmt: skip
    await answered(client, thread, {"stop": True})
    state = await client.threads.get_state(thread)
    assert not state["next"] and Path(state["values"]["submission"]).is_file()
