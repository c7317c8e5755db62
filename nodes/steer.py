"""steer: a person may answer between two rounds; then the round is stored for resumes and forks."""

from __future__ import annotations

from typing import Any

from langgraph.types import interrupt

from graph.state import RunState
from run.registry import NodeRuntime, current_run
from run.rounds import store_round
from run.steering import Answer, apply_answer, make_question


async def steer(state: RunState, runtime: NodeRuntime) -> dict[str, Any]:
    """Ask a person where the settings say so, and apply the answer."""
    run = current_run(state.run_dir, runtime)
    update: dict[str, Any] = {}
    question = make_question(run, state)
    if question is not None:  # after an answer the node runs again from its top
        answer = interrupt(question.model_dump(), response_schema=Answer)
        update = apply_answer(run, state, Answer.model_validate(answer))
    after = RunState.model_validate({**state.dump(), **update})
    store_round(run.folder, after, run.events)
    return update
