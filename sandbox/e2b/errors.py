"""What E2B's SDK and its transport may raise, told apart: nothing can start (unavailable), or what ran is lost."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from sandbox.protocol import SandboxLost, SandboxUnavailable

T = TypeVar("T")
KEY_REMEDY = "set E2B_API_KEY (https://e2b.dev/dashboard?tab=keys) or use --sandbox local"
PAUSES_S = (0.5, 1, 2, 4, 8, 15, 30)


@contextmanager
def mapped(what: str, *, starting: bool = False) -> Iterator[None]:
    """Vendor and transport errors become ours. Their classes share no base, and the SDK raises bare `Exception` in places."""
    try:
        yield
    except (SandboxLost, SandboxUnavailable):
        raise
    except Exception as error:
        raise translate(error, what, starting) from error


def translate(error: Exception, what: str, starting: bool) -> SandboxLost | SandboxUnavailable:
    from e2b import CommandExitException
    from e2b import exceptions as vendor

    text = f"{what}: {one_line(error)}"
    if isinstance(error, vendor.AuthenticationException):
        return SandboxUnavailable(f"E2B refused the key ({text}); {KEY_REMEDY}")
    if isinstance(error, CommandExitException):
        return SandboxUnavailable(
            f"{what}: it needs python3 ({one_line(RuntimeError(error.stderr or error.stdout))})"
        )
    if isinstance(error, vendor.NotEnoughSpaceException):
        return SandboxUnavailable(
            f"the sandbox's disk is full ({text}); choose a larger template with --set e2b_template=NAME"
        )
    wrong = (vendor.NotFoundException, vendor.InvalidArgumentException, vendor.TemplateException)
    if starting and (
        isinstance(error, wrong) or getattr(error, "status_code", None) in (400, 403, 404)
    ):
        return SandboxUnavailable(
            f"{text}; check --set e2b_template=NAME and --set e2b_life_s=SECONDS against your plan"
        )
    return SandboxUnavailable(f"E2B is not reachable ({text})") if starting else SandboxLost(text)


def one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def busy(error: BaseException) -> bool:
    """E2B asks to come back later."""
    from e2b import exceptions as vendor

    return isinstance(error, (vendor.RateLimitException, vendor.ServiceBusyException))


def gone(error: BaseException) -> bool:
    """The sandbox does not exist any more."""
    from e2b import exceptions as vendor

    return isinstance(error, (vendor.SandboxNotRunningException, vendor.SandboxNotFoundException))


def passing(error: BaseException) -> bool:
    """A dropped connection, a gateway's 5xx, a rate limit: the same call may well work a moment later."""
    import httpx
    from connectrpc.errors import ConnectError
    from e2b import exceptions as vendor

    if busy(error):
        return True
    unreachable = isinstance(error, vendor.TimeoutException) and not gone(error)
    failed = (
        isinstance(error, vendor.SandboxException) and re.match(r"5\d\d: ", str(error)) is not None
    )
    return unreachable or failed or isinstance(error, (httpx.TransportError, ConnectError, OSError))


async def again(call: Callable[[], Awaitable[T]], *, tries: int = 4) -> T:
    """For calls that may be repeated: up to `tries` times while the trouble is of the passing kind."""
    for pause in PAUSES_S[: tries - 1]:
        try:
            return await call()
        except Exception as error:
            if not passing(error):
                raise
        await asyncio.sleep(pause * random.uniform(0.5, 1))
    return await call()
