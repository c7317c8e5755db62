"""Asking until there is a reply: waits out what passes, leaves out what is refused, and says so."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

from reasoner.chat.endpoint.cache import Exchanges
from reasoner.chat.endpoint.client import Endpoint, Message, Reply
from reasoner.chat.endpoint.faults import Closed, Down, Fault, Passing, Refused

MAX_WAIT_S = 300.0  # a longer wait that an endpoint asks for pauses the run
STEP_MAX_S = 60.0
TOLD_S = 5.0  # shorter waits are not worth a line
FORM = (
    "response_format",
    "tools",
    "tool_choice",
)  # refused ones are the business of the form of the answer, not ours

Tell = Callable[[str], None]


async def converse(
    endpoint: Endpoint,
    messages: list[Message],
    extra: dict[str, Any],
    salt: str,
    kept: Exchanges,
    tell: Tell,
) -> Reply:
    """A reply, from the cache where it is kept. Raises Closed, Down, Passing (patience is at an end) or Refused."""
    if (known := kept.find(endpoint, messages, extra, salt)) is not None:
        return known
    tries = 0
    while True:
        try:
            reply = await endpoint.send(messages, extra)
        except Refused as fault:
            leave_out(endpoint, fault, tell)
        except Passing as fault:
            tries += 1
            await pause(endpoint, fault, tries, tell)
        else:
            kept.keep(endpoint, messages, extra, salt, reply)
            return reply


def leave_out(endpoint: Endpoint, fault: Refused, tell: Tell) -> None:
    """Goes on without the refused parameter; raises the fault where it is not one of ours or was left out already."""
    name = fault.parameter
    if name is None or name in FORM or name in endpoint.left_out:
        raise fault
    endpoint.left_out.add(name)
    tell(f"{endpoint.model} refuses `{name}`; it is left out from now on")


async def pause(endpoint: Endpoint, fault: Passing, tries: int, tell: Tell) -> None:
    """Waits as the endpoint asks, else longer each time; raises the fault once patience is at an end."""
    if tries > endpoint.options.retries:
        raise fault
    own = min(STEP_MAX_S, endpoint.options.backoff_s * 2 ** (tries - 1)) * random.uniform(0.8, 1.2)
    wait = own if fault.wait_s is None else fault.wait_s
    if wait > MAX_WAIT_S:
        raise Closed(f"{fault}; it asks to wait {wait:.0f} s")
    if wait >= TOLD_S:
        tell(f"{fault}; asking again in {wait:.0f} s")
    await asyncio.sleep(wait)


def ends_the_run(fault: Fault) -> bool:
    """Whether asking other questions of this endpoint is pointless for now."""
    return isinstance(fault, Closed | Down) or (isinstance(fault, Passing) and fault.closed_after)
