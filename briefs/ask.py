"""The attempt being made: how it begins, how a reasoner is asked and its failure taken, how usage adds up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from graph.state import Trace, Work
from policies.protocol import Choice
from reasoner.protocol import ReasonerError, ReasonerUnavailable, Usage
from run.run import Json, Run


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


async def thought(
    run: Run, verb: str, parts: list[str], think: Callable[[], Awaitable[Json]]
) -> Json:
    """An answer of the reasoner, kept like all costly work. Where it cannot work at all, running scripts may still end: they are paid for."""
    try:
        return await run.once(verb, parts, think)
    except ReasonerUnavailable as error:
        if error.usage.calls:
            run.events.emit("unanswered", message=str(error)[:500], usage=error.usage.model_dump())
        if run.busy["execute"]:
            run.events.emit(
                "warning",
                message=f"{error}; the run pauses once {run.busy['execute']} running script(s) have ended",
            )
        while run.busy["execute"]:
            await asyncio.sleep(0.2)
        raise


async def unanswered(run: Run, row: Trace, work: Work, error: ReasonerError) -> Work:
    """The reasoner gave nothing usable: the step is recorded as failed and the run goes on after a pause that grows.

    After `max_unanswered` such in a row the run itself pauses (ReasonerUnavailable), and this step is made again by the next session.
    """
    place: Json = {"trace": row["trace"], "step": row["step"], "attempt": work["attempt"]}
    run.events.emit("unanswered", **place, message=str(error)[:500], usage=error.usage.model_dump())
    n = run.events.unanswered
    if n >= run.settings.max_unanswered:
        raise ReasonerUnavailable(
            f"{n} steps in a row got no usable answer, the last one: {error}; another model or --fallback may help"
        )
    await asyncio.sleep(min(60.0, run.settings.backoff_s * 2 ** (n - 1)))
    return work | {
        "error": str(error)[:500],
        "usage": add_usage(work["usage"], error.usage.model_dump()),
    }


def add_usage(one: dict[str, Any], two: dict[str, Any]) -> dict[str, Any]:
    return (Usage.model_validate(one) + Usage.model_validate(two)).model_dump()
