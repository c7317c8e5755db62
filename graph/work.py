"""The attempt being made: how it begins, how a reasoner's failure enters it, how usage adds up."""

from __future__ import annotations

from typing import Any

from graph.policy import Choice
from graph.run import Run
from graph.state import Trace, Work
from reasoner.protocol import ReasonerError, Usage


def begin(row: Trace, choice: Choice, parent: str | None) -> Work:
    """A new attempt of this trace; its id is its place, so that a node that runs again makes the same one."""
    return Work(
        attempt=f"t{row['trace']}s{row['step']}",
        kind="draft" if choice.mode == "draft" else "update",
        mode=choice.mode,
        why=choice.why,
        base=choice.base,
        parent=parent,
        hypothesis=None,
        repairs=0,
        usage=Usage().model_dump(),
        summary="",
    )


def unanswered(run: Run, row: Trace, work: Work, error: ReasonerError) -> Work:
    """The reasoner gave nothing usable: the step is recorded as failed and the run goes on."""
    usage = getattr(error, "usage", None)
    run.events.emit(
        "unanswered",
        key=f"{work['attempt']}r{work.get('repairs', 0)}",
        trace=row["trace"],
        step=row["step"],
        attempt=work["attempt"],
        message=str(error)[:500],
        usage=usage.model_dump() if usage else {},
    )
    return work | {"error": str(error)[:500], "usage": add_usage(work["usage"], usage.model_dump() if usage else {})}


def add_usage(one: dict[str, Any], two: dict[str, Any]) -> dict[str, Any]:
    return (Usage.model_validate(one) + Usage.model_validate(two)).model_dump()
