"""From an exception of the client to a Fault: what the endpoint meant, in one sentence."""

from __future__ import annotations

import os
import re
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from reasoner.chat.endpoint.faults import Closed, Down, Fault, Passing, Refused, TooLong, masked

if TYPE_CHECKING:
    from reasoner.chat.endpoint.client import Endpoint

DROPPABLE = (
    "temperature",
    "reasoning_effort",
    "max_completion_tokens",
    "max_tokens",
    "parallel_tool_calls",
    "response_format",
    "tool_choice",
    "tools",
    "stream_options",
    "stream",
)
LONG = re.compile(
    r"context.{0,20}(length|window)|prompt is too long|too many (input )?tokens", re.IGNORECASE
)
QUOTA = re.compile(r"insufficient_quota|billing|credit", re.IGNORECASE)


def failures() -> tuple[type[Exception], ...]:
    """What the client raises: its own errors, its transport's, and ValueError and the like for a reply of a strange form."""
    import openai
    from langchain_openai._compat import httpx

    return (openai.OpenAIError, httpx.HTTPError, TimeoutError, ValueError, KeyError, TypeError)


def classify(error: Exception, endpoint: Endpoint) -> Fault:
    """The Fault that this error means."""
    import openai

    name = f"{endpoint.model} at {endpoint.address.shown}"
    if isinstance(error, openai.APITimeoutError | TimeoutError):
        return Passing(
            f"{name}: no whole answer within {endpoint.options.answer_time_s:g} s (setting answer_time_s)"
        )
    if isinstance(error, openai.APIStatusError):
        return of_status(error, endpoint, name)
    if isinstance(error, openai.APIConnectionError):
        return Down(
            f"{endpoint.address.shown} cannot be reached ({reason(error, endpoint)}); is the server up and --base-url right?"
        )
    if isinstance(error, openai.APIError):
        return Passing(f"{name}: {said(error, endpoint)}")
    if isinstance(error, ValueError | KeyError | TypeError):
        text = masked(str(error), endpoint.address.secrets)
        return Passing(
            f"{name}: its answer is no chat completion ({text}); does --base-url end as it should, mostly in /v1?",
            closed_after=True,
        )
    return Passing(f"{name}: the answer broke off ({reason(error, endpoint)})")


def of_status(error: Any, endpoint: Endpoint, name: str) -> Fault:
    """By status code. The words are the user's: what is wrong, and what to do."""
    status, text = error.status_code, said(error, endpoint)
    where = endpoint.address
    if status == 401:
        return Closed(
            f"{where.shown} refuses the API key (401: {text}); set {where.key_env} to a valid one"
        )
    if status == 403:
        return Closed(
            f"{where.shown} forbids this (403: {text}); the key may lack rights for {endpoint.model}"
        )
    if status == 404:
        return Closed(
            f"{where.shown} knows no model {endpoint.model} (404: {text}); check --model, and that --base-url ends as it should"
        )
    if status == 402 or (status == 429 and QUOTA.search(f"{getattr(error, 'code', '')} {text}")):
        return Closed(
            f"{where.shown}: the account has no money left ({status}: {text}); add credit or use another key"
        )
    if status in (400, 413, 422):
        told = f"{name} refuses the request ({status}: {text})"
        return TooLong(told) if LONG.search(text) else Refused(told, parameter(error, text))
    if status == 429:
        return Passing(f"{name}: rate limit (429: {text})", wait_s(error), closed_after=True)
    if status >= 500 or status in (408, 409, 425):
        return Passing(f"{name}: the server fails ({status}: {text})", wait_s(error))
    return Closed(f"{name}: unexpected answer ({status}: {text}); is --base-url right?")


def parameter(error: Any, text: str) -> str | None:
    """The parameter that the endpoint complains of, if it is one that can be left out."""
    named = str(getattr(error, "param", None) or "").partition(".")[0]
    if named in DROPPABLE:
        return named
    return next((name for name in DROPPABLE if re.search(rf"\b{name}\b", text)), None)


def said(error: Any, endpoint: Endpoint) -> str:
    """The endpoint's own words."""
    body = getattr(error, "body", None)
    inner = body.get("error", body) if isinstance(body, dict) else body
    text = inner.get("message") or inner.get("detail") if isinstance(inner, dict) else inner
    return masked(
        str(text or getattr(error, "message", "") or type(error).__name__), endpoint.address.secrets
    )[:240]


def reason(error: BaseException, endpoint: Endpoint) -> str:
    """The innermost cause: `Connection refused` rather than `Connection error`."""
    while error.__cause__ is not None or error.__context__ is not None:
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    if isinstance(error, OSError) and (error.errno or 0) > 0:
        return os.strerror(error.errno or 0)
    return masked(str(error) or type(error).__name__, endpoint.address.secrets)[:160]


def wait_s(error: Any) -> float | None:
    """Retry-After, in seconds or as a date."""
    headers = error.response.headers
    if text := headers.get("retry-after-ms"):
        return number(text, 0.001)
    text = headers.get("retry-after")
    if not text:
        return None
    if (found := number(text, 1.0)) is not None:
        return found
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None


def number(text: str, unit: float) -> float | None:
    try:
        value = float(text) * unit
    except ValueError:
        return None
    return value if 0 <= value < 1e9 else None
