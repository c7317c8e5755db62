"""Coroutines for synchronous code."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def run_sync(work: Callable[P, Coroutine[Any, Any, T]], name: str) -> Callable[P, T]:
    """Return `work` for synchronous code, also inside a notebook's running loop."""

    @functools.wraps(work)
    def call_sync(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run(work(*args, **kwargs))
        with ThreadPoolExecutor(max_workers=1) as pool:
            return pool.submit(asyncio.run, work(*args, **kwargs)).result()

    call_sync.__name__ = call_sync.__qualname__ = name
    return call_sync
