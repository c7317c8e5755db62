"""How a reasoner is asked, and what happens when it gives no usable answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from pydantic_core import PydanticSerializationError

from graph.state import Trace, Work
from reasoner.chat.endpoint.completion import make_encodable
from reasoner.protocol import Brief, ReasonerError, ReasonerUnavailableError, Solution
from report.formatting import format_plural
from run.run import Run, Value

Ask = TypeVar("Ask", bound=Brief)


async def ask_reasoner(
    run: Run, verb: str, parts: list[str], ask: Callable[[], Awaitable[Value]], model: type[Value]
) -> Value:
    """Ask the reasoner and store the answer, whose texts can be encoded whoever gave it.

    Raises:
        ReasonerUnavailableError: it cannot work at all. Running scripts finish first.
    """

    async def ask_for_text() -> Value:
        return make_storable(await ask(), model)

    try:
        with run.keeping_calls(verb, parts[0]):
            return await run.once(verb, parts, ask_for_text, model)
    except ReasonerUnavailableError as error:
        if error.usage.calls:
            usage = error.usage.model_dump()
            run.events.emit("unanswered", message=str(error)[:500], usage=usage)
        await _finish_scripts(run, error)
        raise


def make_storable(answer: Value, model: type[Value]) -> Value:
    """Return an answer that can be written: half an emoji, which no file takes, is replaced."""
    try:
        answer.model_dump_json()
    except PydanticSerializationError:
        return model.model_validate(_encodable(answer.model_dump()))
    return answer


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return make_encodable(value)
    if isinstance(value, dict):
        return {_encodable(key): _encodable(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_encodable(each) for each in value]
    return value


async def ask_script(ask: Callable[[Ask], Awaitable[Solution]], brief: Ask) -> Solution:
    """Ask for a script; return it with the limit that its brief told."""
    solution = await ask(brief)
    return solution.model_copy(update={"limit_s": brief.resources.wall_s})


async def _finish_scripts(run: Run, error: ReasonerUnavailableError) -> None:
    """Wait for the scripts of other traces, which the error would cut off: they are paid for."""
    if n := run.board.n_scripts:
        run.warn(f"{error}; the run pauses at the end of {format_plural(n, 'running script')}")
    while run.board.n_scripts:
        await asyncio.sleep(0.2)


def announce_answer(
    run: Run, event: str, key: str, trace: Trace, began: float, **answer: Any
) -> None:
    """Emit the event of a reasoner's answer; `began`: time.monotonic() before it was asked."""
    seconds = round(time.monotonic() - began, 3)
    place = {"trace": trace.trace, "step": trace.step}
    run.events.emit(event, key=key, **place, **answer, seconds=seconds)


async def give_up_step(run: Run, trace: Trace, work: Work, error: ReasonerError) -> Work:
    """Return the step as failed, after a growing pause: the reasoner gave nothing usable.

    Raises:
        ReasonerUnavailableError: `max_unanswered` such steps in a row. The run pauses, and the next
            session repeats this step. Running scripts finish first.
    """
    run.events.emit(
        "unanswered",
        trace=trace.trace,
        step=trace.step,
        attempt=work.attempt,
        message=str(error)[:500],
        usage=error.usage.model_dump(),
    )
    n = run.events.unanswered
    if n >= run.settings.max_unanswered:
        unavailable = ReasonerUnavailableError(
            f"{n} steps in a row got no usable answer, the last one: {error}; "
            "another model or --fallback may help"
        )
        await _finish_scripts(run, unavailable)
        raise unavailable
    await asyncio.sleep(min(60.0, run.settings.backoff_s * 2 ** (n - 1)))
    return work.evolve(error=str(error)[:500], usage=work.usage + error.usage)
