"""steer: a person's word between two rounds, where one is wanted; then the round is kept as a place to come back to."""

from __future__ import annotations

from typing import Any, cast

from langgraph.types import interrupt

from graph.state import RunState
from run.rounds import keep_round
from run.run import open_run
from run.steering import Answer, answered, question


async def steer(state: RunState) -> dict[str, Any]:
    run = open_run(state["run_dir"])
    update: dict[str, Any] = {}
    asked = question(run, state)
    if (
        asked is not None
    ):  # nothing costly comes before this line: the node runs again from its top with the answer
        answer = interrupt(asked.model_dump(), response_schema=Answer)
        update = answered(run, state, answer)
    keep_round(run.folder, cast(RunState, {**state, **update}), run.events)
    return update
