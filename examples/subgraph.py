"""Use Gome as one node of your own graph: `python examples/subgraph.py TASK`.

The script prints the run's attempts and the letter that the outer graph writes about the result.
The outer state shares the keys `task` (input) and `best`, `submission` (output) with Gome's state.
Gome reads its settings from the field `gome` of the outer graph's context.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass, field
from typing import Any

from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict

import gome
from graph.settings import Settings


class Desk(TypedDict, total=False):
    """The outer graph's state."""

    task: str
    best: dict[str, Any] | None
    submission: str
    letter: str


@dataclass
class Office:
    """The outer graph's context."""

    signature: str = "the desk"
    gome: Settings = field(default_factory=lambda: Settings(traces=1, steps=2, time_s=120))


def write_letter(state: Desk) -> Desk:
    best = state.get("best")
    if best is None:
        return {"letter": "Nothing worked."}
    return {"letter": f"We scored {best['score']:.4f}; the submission is {state['submission']}."}


def build(checkpointer: Any = None) -> Any:
    graph = StateGraph(Desk, context_schema=Office)
    graph.add_node("solve", gome.build_graph())
    graph.add_node("letter", write_letter)
    graph.add_edge(START, "solve")
    graph.add_edge("solve", "letter")
    graph.add_edge("letter", END)
    return graph.compile(checkpointer=checkpointer)


async def main(task: str) -> None:
    async for part in build().astream(
        {"task": task},
        context=Office(),
        stream_mode=["custom", "values"],
        version="v2",
        subgraphs=True,
    ):
        if part["type"] == "custom" and part["data"]["ev"] == "attempt":
            print(
                f"attempt {part['data']['id']}: {part['data']['verdict']} {part['data']['score']}"
            )
        if part["type"] == "values" and not part["ns"] and "letter" in part["data"]:
            print(part["data"]["letter"])


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
