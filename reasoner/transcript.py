"""What was asked of a model and what came back, one exchange at a time, for those who keep it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from reasoner.protocol import Usage


@dataclass(frozen=True)
class SentMessage:
    """One message of a prompt."""

    role: str
    text: str


@dataclass(frozen=True)
class ModelCall:
    """One exchange with a model, without secrets.

    `thinking` is the reasoning text that the endpoint gives beside the answer; `error` says why
    there is no answer; `form` is how the answer was asked for.
    """

    model: str
    form: str
    turns: tuple[SentMessage, ...]
    answer: str = ""
    thinking: str = ""
    finish: str = ""
    error: str = ""
    usage: Usage = Usage()
    seconds: float = 0.0


KeepCall = Callable[[ModelCall], None]
_keeper: ContextVar[KeepCall | None] = ContextVar("keeper", default=None)


@contextmanager
def keeping_calls(keep: KeepCall) -> Iterator[None]:
    """Pass every exchange of the block to `keep`."""
    token = _keeper.set(keep)
    try:
        yield
    finally:
        _keeper.reset(token)


def is_kept() -> bool:
    """Whether someone keeps the exchanges of this task."""
    return _keeper.get() is not None


def keep_call(call: ModelCall) -> None:
    """Pass an exchange to whoever keeps it."""
    if (keep := _keeper.get()) is not None:
        keep(call)
