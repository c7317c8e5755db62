"""Ctrl-C and SIGTERM: a session ends at the next step, resumable."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from langgraph.runtime import RunControl

DRAIN_S = 2.0  # after a first interrupt: nodes may finish; then the running scripts are ended


@contextmanager
def interruptible(going: asyncio.Future[Any], control: RunControl) -> Iterator[None]:
    """Ctrl-C or SIGTERM: nothing new begins; after a moment the running scripts are ended. A second one ends them at once."""
    loop = asyncio.get_running_loop()

    def ask(name: str) -> None:
        if control.drain_requested:
            going.cancel()
            return
        control.request_drain(name)
        loop.call_later(DRAIN_S, going.cancel)

    signals = (signal.SIGINT, signal.SIGTERM)
    installed = []
    for number in signals:
        with suppress(
            ValueError, RuntimeError
        ):  # not in the main thread: the caller's own handling stands
            loop.add_signal_handler(number, ask, number.name)
            installed.append(number)
    try:
        yield
    finally:
        for number in installed:
            loop.remove_signal_handler(number)
