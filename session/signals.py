"""Ctrl-C, SIGTERM and SIGHUP: a session ends at the next step and can be resumed."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from langgraph.runtime import RunControl

DRAIN_S = 2.0  # time for nodes to finish after a first interrupt; then scripts are ended


@contextmanager
def handle_signals(task: asyncio.Future[Any], control: RunControl) -> Iterator[None]:
    """On Ctrl-C, SIGTERM or SIGHUP start nothing new, and cancel `task` after `DRAIN_S`.

    A second signal cancels it at once. One that the caller ignores stays ignored (nohup).
    """
    loop = asyncio.get_running_loop()

    def on_signal(name: str) -> None:
        if control.drain_requested:
            task.cancel()
            return
        control.request_drain(name)
        loop.call_later(DRAIN_S, task.cancel)

    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    installed = []
    for number in signals:
        if signal.getsignal(number) is signal.SIG_IGN:
            continue
        # outside the main thread the caller's own handling stays
        with suppress(ValueError, RuntimeError):
            loop.add_signal_handler(number, on_signal, number.name)
            installed.append(number)
    try:
        yield
    finally:
        for number in installed:
            loop.remove_signal_handler(number)
