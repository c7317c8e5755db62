"""Retry loop: backs off on transient errors, drops unsupported parameters, reports both."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from reasoner.chat.endpoint.cache import ChatRequest, Exchanges
from reasoner.chat.endpoint.client import ModelEndpoint, Reply
from reasoner.chat.endpoint.faults import (
    EndpointDownError,
    EndpointError,
    PermanentError,
    RefusedRequestError,
    StrangeReplyError,
    TransientError,
)

MAX_WAIT_S = 300.0  # a longer wait that an endpoint asks for pauses the run
MAX_BACKOFF_S = 60.0
MIN_TOLD_CHARS, MAX_CHARS_PER_TOKEN = 12_000, 10  # of a prompt that is compared with its tokens
REPORT_WAIT_S = 5.0  # shorter waits are not worth a message
FORM_PARAMETERS = ("response_format", "tools", "tool_choice")  # `structured` handles their refusal

Tell = Callable[[str], None]  # shows a message to the user


async def ask_with_retries(
    request: ChatRequest, exchanges: Exchanges, tell: Tell, *, patient: bool = True
) -> Reply:
    """Return the cached reply, or ask until there is one.

    Without `patient`, a place where no model answers is an error at once.

    Raises:
        PermanentError: retrying is pointless.
        TransientError: the retries of the settings are used up.
        RefusedRequestError: the endpoint refuses something other than an optional parameter.
    """
    if (recorded := exchanges.find(request)) is not None:
        return recorded
    endpoint = request.endpoint
    tries = 0
    while True:
        try:
            reply = await endpoint.send(request.messages, request.form)
        except RefusedRequestError as error:
            drop_parameter(endpoint, error, tell)
        except TransientError as error:
            if isinstance(error, EndpointDownError | StrangeReplyError) and not patient:
                raise
            tries += 1
            await wait_before_retry(endpoint, error, tries, tell)
        else:
            warn_of_short_context(request, reply, tell)
            exchanges.store(request, reply)
            return reply


def drop_parameter(endpoint: ModelEndpoint, error: RefusedRequestError, tell: Tell) -> None:
    """Leave the refused parameter out of later requests.

    Raises `error` if it names no parameter, one of the answer's form, or one already left out.
    """
    name = error.parameter
    if name is None or name in FORM_PARAMETERS or name in endpoint.dropped_parameters:
        raise error
    endpoint.dropped_parameters.add(name)
    tell(f"{endpoint.model} refuses `{name}`; it is left out from now on")


async def wait_before_retry(
    endpoint: ModelEndpoint, error: TransientError, tries: int, tell: Tell
) -> None:
    """Sleep as long as the endpoint asks, else with exponential backoff and 20 % jitter.

    Raises `error` when the retries are used up, PermanentError when the endpoint asks for longer
    than MAX_WAIT_S.
    """
    if tries > endpoint.options.retries:
        raise error
    backoff_s = min(MAX_BACKOFF_S, endpoint.options.backoff_s * 2 ** (tries - 1))
    jittered_s = backoff_s * random.uniform(0.8, 1.2)
    wait_s = jittered_s if error.wait_s is None else error.wait_s
    if wait_s > MAX_WAIT_S:
        raise PermanentError(f"{error}; it asks to wait {describe_wait(wait_s)}")
    if wait_s >= REPORT_WAIT_S or isinstance(error, EndpointDownError):
        tell(
            f"{error}; asking again in {wait_s:.0f} s (retry {tries} of {endpoint.options.retries})"
        )
    await asyncio.sleep(wait_s)


def describe_wait(wait_s: float) -> str:
    """Return a wait in seconds, hours or days."""
    if wait_s < 2 * 3600:
        return f"{wait_s:.0f} s"
    return f"{wait_s / 3600:.0f} hours" if wait_s < 48 * 3600 else f"{wait_s / 86400:,.0f} days"


def warn_of_short_context(request: ChatRequest, reply: Reply, tell: Tell) -> None:
    """Tell once that an endpoint read much less than it was sent: some cut prompts in silence."""
    endpoint = request.endpoint
    n_chars = sum(len(message["content"]) for message in request.messages)
    if endpoint.has_short_context or n_chars < MIN_TOLD_CHARS:
        return
    if 0 < reply.usage.input_tokens * MAX_CHARS_PER_TOKEN < n_chars:
        endpoint.has_short_context = True
        tell(
            f"{endpoint.model} says that it read {reply.usage.input_tokens:,} tokens of a prompt"
            f" of {n_chars:,} characters: its context may be too short, and the rest cut off"
        )


def must_pause_run(error: EndpointError) -> bool:
    """Whether other questions to this endpoint are pointless for now."""
    if isinstance(error, PermanentError | EndpointDownError):
        return True
    return isinstance(error, TransientError) and error.pauses_run
