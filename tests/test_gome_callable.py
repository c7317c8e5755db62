"""The graph in other programs: streamed, embedded, with callbacks, in a running event loop."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest
from chat_kit import at_home, honest
from kit import events, write_task
from langchain_core.callbacks import AsyncCallbackHandler
from langgraph.checkpoint.memory import InMemorySaver
from openai_server import Server
from pydantic import ValidationError

import gome
from graph.settings import Settings
from policies.protocol import Choice
from run.registry import close_run
from scoring.acceptance import Judgement, one_reason
from task.types import Grade

ROOT = Path(__file__).parents[1]
QUICK: dict[str, Any] = {"traces": 1, "steps": 1, "time_s": 120, "memory": "off", "model": ["m"]}


class Watching(AsyncCallbackHandler):
    """Records the calls that a LangSmith tracer receives."""

    def __init__(self) -> None:
        self.models: list[list[str] | None] = []
        self.nodes: list[str] = []

    async def on_chat_model_start(
        self, serialized: Any, messages: Any, *, tags: list[str] | None = None, **more: Any
    ) -> None:
        self.models.append(tags)

    async def on_chain_start(
        self, serialized: Any, inputs: Any, *, name: str = "", **more: Any
    ) -> None:
        self.nodes.append(name)


def accept_as_mine(grade: Grade, **given: Any) -> Judgement:
    return one_reason("accepted", True, "mine", "a rule of one's own")


async def test_a_policy_that_is_no_function_is_the_setting_of_that_name(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="'gome', 'adaptive'"):
        await gome.asolve(str(tmp_path), policy="best")


def test_solve_in_a_running_loop_with_callbacks_and_tags(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import asyncio

    watching = Watching()

    async def notebook(task: str) -> Any:
        return gome.solve(
            task,
            config={"callbacks": [watching], "tags": ["mine"]},
            policy=lambda view, rng: Choice("draft", None, "chosen in a notebook"),
            acceptance=accept_as_mine,
            runs_dir=str(tmp_path / "runs"),
            **QUICK,
        )

    with Server(honest) as server:
        at_home(tmp_path, monkeypatch, server.url)
        outcome = asyncio.run(notebook(str(write_task(tmp_path / "task"))))
    assert outcome.submission is not None and outcome.reason == "budget: steps"
    (attempt,) = events(outcome.folder, "attempt")
    assert (attempt["why"], attempt["codes"]) == ("chosen in a notebook", ["mine"])
    assert watching.models and all(tags and "mine" in tags for tags in watching.models)
    assert {
        "profile",
        "draft",
        "execute",
        "validate",
        "record",
        "merge",
        "steer",
        "finalize",
    } <= set(watching.nodes)


async def test_the_graph_streams_events_with_their_subgraphs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = write_task(tmp_path / "task")
    given = {"task": str(task), "run_dir": str(tmp_path / "run")}
    seen: dict[str, list[Any]] = {"custom": [], "updates": []}
    with Server(honest) as server:
        at_home(tmp_path, monkeypatch, server.url)
        graph = gome.build_graph()
        parts = graph.astream(
            given,
            context=Settings(**QUICK),
            stream_mode=["custom", "updates"],
            version="v2",
            subgraphs=True,
        )
        async for part in parts:
            seen[part["type"]].append(part)
    await close_run(tmp_path / "run")
    kinds = [part["data"]["ev"] for part in seen["custom"]]
    assert (
        kinds[0] == "run_started"
        and kinds[-1] == "run_ended"
        and "attempt" in kinds
        and "merged" in kinds
    )
    inner = [part for part in seen["updates"] if part["ns"] and part["ns"][0].startswith("trace:")]
    assert [name for part in inner for name in part["data"]][:4] == [
        "select",
        "draft",
        "execute",
        "validate",
    ]


async def test_gome_is_a_node_of_another_graph_and_its_question_reaches_the_caller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from langgraph.types import Command

    spec = importlib.util.spec_from_file_location(
        "subgraph_example", ROOT / "examples" / "subgraph.py"
    )
    assert spec and spec.loader
    example = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, example)
    spec.loader.exec_module(example)
    monkeypatch.chdir(tmp_path)
    settings = Settings.model_validate(
        QUICK | {"steps": 2, "steer": "each", "runs_dir": str(tmp_path / "runs")}
    )
    config: Any = {"configurable": {"thread_id": "1"}}
    with Server(honest) as server:
        at_home(tmp_path, monkeypatch, server.url)
        desk, office = example.build(InMemorySaver()), example.Office(gome=settings)
        waiting = await desk.ainvoke(
            {"task": str(write_task(tmp_path / "task"))}, config, context=office
        )
        (asked,) = waiting["__interrupt__"]
        assert asked.value["round"] == 1 and "hint" in asked.response_schema["properties"]
        done = await desk.ainvoke(Command(resume={"stop": True}), config, context=office)
    (folder,) = (tmp_path / "runs").iterdir()
    await close_run(folder)
    assert done["letter"].startswith("We scored") and Path(done["submission"]).is_file()
