"""Errors of E2B's SDK and its transport: classify, translate and retry them.

They become `SandboxUnavailableError` (nothing can start) or `SandboxLostError` (what ran is lost).
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from sandbox.protocol import SandboxLostError, SandboxUnavailableError, error_line

T = TypeVar("T")
KEY_REMEDY = "set E2B_API_KEY (https://e2b.dev/dashboard?tab=keys) or use --sandbox local"
PAUSES_S = (0.5, 1, 2, 4, 8, 15, 30)


@contextmanager
def translated_errors(what: str, *, starting: bool = False) -> Iterator[None]:
    """Translate every error raised in the block; `what` begins its message.

    Args:
        what: what did not work, e.g. "the sandbox could not be killed".
        starting: whether a sandbox is being started; then the error is one of availability.
    """
    try:
        yield
    except (SandboxLostError, SandboxUnavailableError):
        raise
    except Exception as error:  # vendor classes share no base, and some are bare `Exception`
        raise translate_error(error, what, starting) from error


def translate_error(
    error: Exception, what: str, starting: bool
) -> SandboxLostError | SandboxUnavailableError:
    """Return our error for one of the vendor's or the transport's."""
    from e2b import CommandExitException
    from e2b import exceptions as vendor

    text = f"{what}: {error_line(error)}"
    if isinstance(error, vendor.AuthenticationException):
        return SandboxUnavailableError(f"E2B refused the key ({text}); {KEY_REMEDY}")
    if isinstance(error, CommandExitException):
        output = error_line(RuntimeError(error.stderr or error.stdout))
        return SandboxUnavailableError(f"{what}: it needs python3 ({output})")
    if isinstance(error, vendor.NotEnoughSpaceException):
        return SandboxUnavailableError(
            f"the sandbox's disk is full ({text}); "
            "choose a larger template with --set e2b_template=NAME"
        )
    if not starting:
        return SandboxLostError(text)
    wrong = (vendor.NotFoundException, vendor.InvalidArgumentException, vendor.TemplateException)
    if isinstance(error, wrong) or getattr(error, "status_code", None) in (400, 403, 404):
        return SandboxUnavailableError(
            f"{text}; check --set e2b_template=NAME and --set e2b_life_s=SECONDS against your plan"
        )
    return SandboxUnavailableError(f"E2B is not reachable ({text})")


def is_rate_limited(error: BaseException) -> bool:
    """Whether E2B asks to retry later."""
    from e2b import exceptions as vendor

    return isinstance(error, (vendor.RateLimitException, vendor.ServiceBusyException))


def is_gone(error: BaseException) -> bool:
    """Whether the sandbox no longer exists."""
    from e2b import exceptions as vendor

    return isinstance(error, (vendor.SandboxNotRunningException, vendor.SandboxNotFoundException))


def is_transient(error: BaseException) -> bool:
    """Whether the same call may work a moment later.

    So it is after a dropped connection, a gateway's 5xx, a rate limit.
    """
    import httpx
    from connectrpc.errors import ConnectError
    from e2b import exceptions as vendor

    if is_rate_limited(error):
        return True
    unreachable = isinstance(error, vendor.TimeoutException) and not is_gone(error)
    failed = (
        isinstance(error, vendor.SandboxException) and re.match(r"5\d\d: ", str(error)) is not None
    )
    return unreachable or failed or isinstance(error, (httpx.TransportError, ConnectError, OSError))


async def retry_transient(call: Callable[[], Awaitable[T]], *, tries: int = 4) -> T:
    """Await a repeatable call, up to `tries` times while its error is transient."""
    for pause in PAUSES_S[: tries - 1]:
        try:
            return await call()
        except Exception as error:
            if not is_transient(error):
                raise
        await asyncio.sleep(pause * random.uniform(0.5, 1))
    return await call()
