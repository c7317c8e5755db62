"""Map an exception of the client to an EndpointError: what the endpoint meant, in one sentence."""

from __future__ import annotations

import os
import re
import ssl
import time
from collections.abc import Iterator
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, NamedTuple

from reasoner.chat.endpoint.completion import (
    ReplyFormatError,
    ReplyProblemError,
    ReplyTooLongError,
)
from reasoner.chat.endpoint.faults import (
    EndpointDownError,
    EndpointError,
    PermanentError,
    PromptTooLongError,
    RefusedRequestError,
    StrangeReplyError,
    TransientError,
    UnknownPlaceError,
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
        return classify_status(read_failure(error, endpoint), endpoint)
    if isinstance(error, openai.APIConnectionError):
        return EndpointDownError(
            f"{url} cannot be reached ({innermost_reason(error, endpoint.address.secrets)});"
            " is the server up and --base-url right?"
        )
    if isinstance(error, openai.APIError):
        return TransientError(f"{name}: {endpoint_message(error, endpoint)}")
    if isinstance(error, ReplyProblemError):
        text = mask_secrets(str(error), endpoint.address.secrets)
        if error.status:
            return classify_status(Failure(error.status, text), endpoint)
        return TransientError(f"{name}: {text}")
    if isinstance(error, ReplyTooLongError):
        return EndpointError(f"{name} sends {error}, which no answer needs; nothing of it is used")
    if isinstance(error, ValueError | KeyError | TypeError):
        text = mask_secrets(str(error), endpoint.address.secrets)
        return StrangeReplyError(
            f"{name}: its answer is no chat completion ({text});"
            " does --base-url end as it should, mostly in /v1?"
        )
    return TransientError(
        f"{name}: the answer broke off ({innermost_reason(error, endpoint.address.secrets)})"
    )


class Failure(NamedTuple):
    """An error that an endpoint answers with, by HTTP status or in the body of a 200."""

    status: int
    text: str
    code: str = ""
    parameter: str = ""  # that it names
    wait_s: float | None = None


def read_failure(error: APIStatusError, endpoint: ModelEndpoint) -> Failure:
    """Return what the client's error says."""
    return Failure(
        status=error.status_code,
        text=endpoint_message(error, endpoint),
        code=str(getattr(error, "code", None) or ""),
        parameter=str(getattr(error, "param", None) or ""),
        wait_s=retry_after_s(error),
    )


def classify_status(failure: Failure, endpoint: ModelEndpoint) -> EndpointError:
    """Classify by HTTP status."""
    status, text = failure.status, failure.text
    name = f"{endpoint.model} at {endpoint.address.public_url}"
    if status == 429 and not _is_out_of_money(failure):
        return TransientError(f"{name}: rate limit (429: {text})", failure.wait_s, pauses_run=True)
    if status in (401, 402, 403, 404, 429):
        problem = _access_problem(status, text, endpoint)
        return UnknownPlaceError(problem) if status == 404 else PermanentError(problem)
    if status in (400, 413, 422):
        problem = f"{name} refuses the request ({status}: {text})"
        if status == 413 or TOO_LONG_TEXT.search(text):
            return PromptTooLongError(problem)
        return RefusedRequestError(problem, refused_parameter(failure, endpoint))
    if status in (503, 529):
        return TransientError(
            f"{name}: the server is overloaded ({status}: {text})", failure.wait_s, pauses_run=True
        )
    if status >= 500 or status in (408, 409, 425):
        return TransientError(f"{name}: the server fails ({status}: {text})", failure.wait_s)
    return PermanentError(f"{name}: unexpected answer ({status}: {text}); is --base-url right?")


def _is_out_of_money(failure: Failure) -> bool:
    return bool(QUOTA_TEXT.search(f"{failure.code} {failure.text}"))


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


def refused_parameter(failure: Failure, endpoint: ModelEndpoint) -> str | None:
    """Return the parameter that the endpoint complains about, if it can be left out.

    A message may also name a parameter to use instead: of those that are sent, the first counts.
    """
    named = failure.parameter.partition(".")[0]
    if named in DROPPABLE:
        return named
    spared = {"max_tokens", "max_completion_tokens"} - set(endpoint.parameters())
    places = {
        name: match.start()
        for name in DROPPABLE
        if name not in spared and (match := re.search(rf"\b{name}\b", failure.text))
    }
    return min(places, key=lambda name: places[name], default=None)


def endpoint_message(error: APIError, endpoint: ModelEndpoint) -> str:
    """Return the endpoint's own message, masked, at most 240 characters."""
    body = getattr(error, "body", None)
    if isinstance(body, list) and len(body) == 1:  # some wrap the error in a list
        body = body[0]
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
        at = parsedate_to_datetime(text)
        at = at if at.tzinfo else at.replace(tzinfo=UTC)  # dates of HTTP are GMT
        return max(0.0, at.timestamp() - time.time())
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def parse_seconds(text: str, unit_s: float) -> float | None:
    """Parse a number of units as seconds; None for what is not a sensible number."""
    try:
        value = float(text) * unit_s
    except ValueError:
        return None
    return value if 0 <= value < 1e9 else None
