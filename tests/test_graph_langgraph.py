"""What docs/langgraph.md says of LangGraph itself, on the installed version."""

from __future__ import annotations

import asyncio
import operator
from typing import Annotated, Any, TypedDict

import pytest
from langgraph.errors import NodeError, NodeTimeoutError
from langgraph.graph import END, START, StateGraph

from graph.build import build_graph


class Seen(TypedDict):
    seen: Annotated[list[str], operator.add]


async def fail(state: Seen) -> dict[str, Any]:
    raise ValueError("a fault")


async def follow(state: Seen) -> dict[str, Any]:
    return {"seen": ["followed"]}


async def handle(state: Seen, error: NodeError) -> dict[str, Any]:
    return {"seen": ["handled"]}


def test_every_node_says_what_it_does() -> None:
    drawn = build_graph().get_graph(xray=True).nodes
    nodes = {name: node for name, node in drawn.items() if not name.startswith("__")}
    inner = {name: node for name, node in nodes.items() if not name.endswith("__")}
    assert len(inner) >= 13
    for name, node in inner.items():
        assert node.metadata and len(node.metadata["description"]) > 20, name


async def test_after_an_error_handler_the_failed_nodes_edges_are_not_followed() -> None:
    graph = StateGraph(Seen)
    graph.add_node("fail", fail, error_handler=handle)
    graph.add_node("follow", follow)
    graph.add_edge(START, "fail")
    graph.add_edge("fail", "follow")
    graph.add_edge("follow", END)
    compiled = graph.compile()
    assert (await compiled.ainvoke({"seen": []}))["seen"] == ["handled"]
    assert "__error_handler__fail" in compiled.get_graph().nodes


async def test_a_time_out_is_raised_outside_the_node() -> None:
    kept: list[str] = []

    async def wait(state: Seen) -> dict[str, Any]:
        try:
            await asyncio.sleep(30)
        except Exception as error:  # noqa: BLE001  # what a node could catch
            kept.append(type(error).__name__)
        return {"seen": ["kept"]}

    graph = StateGraph(Seen)
    graph.add_node("wait", wait, timeout=0.05)
    graph.add_edge(START, "wait")
    with pytest.raises(NodeTimeoutError):
        await graph.compile().ainvoke({"seen": []})
    assert kept == []
