"""Map an exception of the client to an EndpointError: what the endpoint meant, in one sentence."""

from __future__ import annotations

import os
import re
import ssl
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from reasoner.chat.endpoint.completion import ReplyFormatError, ReplyProblemError
from reasoner.chat.endpoint.faults import (
    EndpointDownError,
    EndpointError,
    PermanentError,
    PromptTooLongError,
    RefusedRequestError,
    TransientError,
    mask_secrets,
)
from reasoner.chat.endpoint.redirects import RedirectedError

if TYPE_CHECKING:
    from openai import APIError, APIStatusError

    from reasoner.chat.endpoint.client import ModelEndpoint

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
TOO_LONG_TEXT = re.compile(
    r"context.{0,20}(length|window)|prompt is too long|too many (input )?tokens", re.IGNORECASE
)
QUOTA_TEXT = re.compile(r"insufficient_quota|billing|credit", re.IGNORECASE)


def client_exceptions() -> tuple[type[Exception], ...]:
    """Return what the client raises.

    Its own errors, its transport's, and ValueError and the like for a malformed reply.
    """
    import openai
    from langchain_openai._compat import httpx

    return (openai.OpenAIError, httpx.HTTPError, TimeoutError, ValueError, KeyError, TypeError)


def classify_error(error: Exception, endpoint: ModelEndpoint) -> EndpointError:
    """Return the EndpointError that this exception means."""
    import openai

    url = endpoint.address.public_url
    name = f"{endpoint.model} at {url}"
    if isinstance(error, RedirectedError):
        return PermanentError(f"{url}: {error}")
    if isinstance(error, openai.APITimeoutError | TimeoutError):
        limit_s = endpoint.options.answer_time_s
        return TransientError(
            f"{name}: no whole answer within {limit_s:g} s (setting answer_time_s)"
        )
    if isinstance(error, openai.APIStatusError):
        return classify_status(error, endpoint)
    if isinstance(error, openai.APIConnectionError):
        return EndpointDownError(
            f"{url} cannot be reached ({innermost_reason(error, endpoint.address.secrets)});"
            " is the server up and --base-url right?"
        )
    if isinstance(error, openai.APIError):
        return TransientError(f"{name}: {endpoint_message(error, endpoint)}")
    if isinstance(error, ReplyProblemError):
        return TransientError(f"{name}: {mask_secrets(str(error), endpoint.address.secrets)}")
    if isinstance(error, ValueError | KeyError | TypeError):
        text = mask_secrets(str(error), endpoint.address.secrets)
        return TransientError(
            f"{name}: its answer is no chat completion ({text});"
            " does --base-url end as it should, mostly in /v1?",
            pauses_run=True,
        )
    return TransientError(
        f"{name}: the answer broke off ({innermost_reason(error, endpoint.address.secrets)})"
    )


def classify_status(error: APIStatusError, endpoint: ModelEndpoint) -> EndpointError:
    """Classify by HTTP status."""
    status, text = error.status_code, endpoint_message(error, endpoint)
    name = f"{endpoint.model} at {endpoint.address.public_url}"
    if status == 429 and not _is_out_of_money(error, text):
        return TransientError(
            f"{name}: rate limit (429: {text})", retry_after_s(error), pauses_run=True
        )
    if status in (401, 402, 403, 404, 429):
        return PermanentError(_access_problem(status, text, endpoint))
    if status in (400, 413, 422):
        problem = f"{name} refuses the request ({status}: {text})"
        if TOO_LONG_TEXT.search(text):
            return PromptTooLongError(problem)
        return RefusedRequestError(problem, refused_parameter(error, text))
    if status >= 500 or status in (408, 409, 425):
        return TransientError(f"{name}: the server fails ({status}: {text})", retry_after_s(error))
    return PermanentError(f"{name}: unexpected answer ({status}: {text}); is --base-url right?")


def _is_out_of_money(error: APIStatusError, text: str) -> bool:
    return bool(QUOTA_TEXT.search(f"{getattr(error, 'code', '')} {text}"))


def _access_problem(status: int, text: str, endpoint: ModelEndpoint) -> str:
    """What is wrong with key, model or account, and the remedy."""
    url, detail = endpoint.address.public_url, f"({status}: {text})"
    if status == 401:
        return f"{url} refuses the API key {detail}; set {endpoint.address.key_env} to a valid one"
    if status == 403:
        return f"{url} forbids this {detail}; the key may lack rights for {endpoint.model}"
    if status == 404:
        return (
            f"{url} knows no model {endpoint.model} {detail};"
            " check --model, and that --base-url ends as it should"
        )
    return f"{url}: the account has no money left {detail}; add credit or use another key"


def refused_parameter(error: APIStatusError, text: str) -> str | None:
    """Return the parameter that the endpoint complains about, if it can be left out."""
    named = str(getattr(error, "param", None) or "").partition(".")[0]
    if named in DROPPABLE:
        return named
    return next((name for name in DROPPABLE if re.search(rf"\b{name}\b", text)), None)


def endpoint_message(error: APIError, endpoint: ModelEndpoint) -> str:
    """Return the endpoint's own message, masked, at most 240 characters."""
    body = getattr(error, "body", None)
    inner = body.get("error", body) if isinstance(body, dict) else body
    text = inner.get("message") or inner.get("detail") if isinstance(inner, dict) else inner
    text = str(text or getattr(error, "message", "") or type(error).__name__)
    return mask_secrets(text, endpoint.address.secrets)[:240]


def innermost_reason(error: BaseException, secrets: tuple[str, ...]) -> str:
    """Return the innermost cause: `Connection refused` rather than `Connection error`."""
    chain = list(_error_chain(error))
    for each in chain:
        if isinstance(each, ssl.SSLCertVerificationError):
            return (
                f"its certificate is not trusted: {each.verify_message}; "
                "SSL_CERT_FILE may name the authority that signed it"
            )
    ours = (ReplyFormatError, ReplyProblemError, RedirectedError)
    error = next((each for each in chain if isinstance(each, ours)), chain[-1])
    if (
        isinstance(error, OSError)
        and not isinstance(error, ssl.SSLError)
        and (error.errno or 0) > 0
    ):
        return os.strerror(error.errno or 0)
    return mask_secrets(str(error) or type(error).__name__, secrets)[:240]


def _error_chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what it came from, hidden or not."""
    at: BaseException | None = error
    while at is not None:
        yield at
        at = at.__cause__ or at.__context__


def retry_after_s(error: APIStatusError) -> float | None:
    """Return the seconds of the Retry-After header (a number or a date), or None."""
    headers = error.response.headers
    if text := headers.get("retry-after-ms"):
        return parse_seconds(text, 0.001)
    text = headers.get("retry-after")
    if not text:
        return None
    if (seconds := parse_seconds(text, 1.0)) is not None:
        return seconds
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def parse_seconds(text: str, unit_s: float) -> float | None:
    """Parse a number of units as seconds; None for what is not a sensible number."""
    try:
        value = float(text) * unit_s
    except ValueError:
        return None
    return value if 0 <= value < 1e9 else None
