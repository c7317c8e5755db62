"""Record each exchange for those who keep transcripts, with its secrets hidden."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from reasoner.chat.endpoint.cache import ChatRequest
from reasoner.chat.endpoint.client import Reply
from reasoner.chat.endpoint.faults import EndpointError, hide_secrets
from reasoner.protocol import Usage
from reasoner.transcript import ModelCall, SentMessage, is_kept, keep_call

MAX_KEPT_CHARS = 400_000  # of an answer, and of the thinking beside it


@dataclass
class ExchangeRecord:
    """An exchange in progress; whoever sends the request sets `reply`."""

    reply: Reply | None = None


@contextmanager
def recorded_exchange(request: ChatRequest, form: str) -> Iterator[ExchangeRecord]:
    """Keep the exchange of the block, where someone keeps them; failed ones too."""
    record, began, error = ExchangeRecord(), time.monotonic(), ""
    try:
        yield record
    except EndpointError as failure:
        error = str(failure)
        raise
    finally:
        if is_kept() and (error or record.reply):
            keep_call(make_call(request, form, record.reply, error, time.monotonic() - began))


def make_call(
    request: ChatRequest, form: str, reply: Reply | None, error: str, seconds: float
) -> ModelCall:
    """Return the exchange without secrets, its texts bounded."""
    secrets = request.endpoint.address.secrets
    turns = [
        SentMessage(message["role"], hide_secrets(message["content"], secrets))
        for message in request.messages
    ]
    answer = (reply.content or reply.refusal) if reply else ""
    return ModelCall(
        model=request.endpoint.model,
        form=form,
        turns=tuple(turns),
        answer=shorten(hide_secrets(answer, secrets)),
        thinking=shorten(hide_secrets(reply.thinking, secrets)) if reply else "",
        finish=reply.finish if reply else "",
        error=error,
        usage=reply.usage if reply else Usage(),
        seconds=seconds,
    )


def shorten(text: str) -> str:
    """Return head and tail of a text that is too long to keep."""
    if len(text) <= MAX_KEPT_CHARS:
        return text
    half = MAX_KEPT_CHARS // 2
    n_left_out = len(text) - 2 * half
    return f"{text[:half]}\n[{n_left_out:,} characters left out]\n{text[-half:]}"
