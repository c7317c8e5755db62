"""The list of an endpoint's models, for advice where an address or a name is wrong."""

from __future__ import annotations

import difflib
import json
import re
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from reasoner.chat.endpoint.address import NO_KEY, Address, public_url
from reasoner.chat.endpoint.client import ModelEndpoint
from reasoner.chat.endpoint.completion import ACCEPTED, check_encoding, dicts_in
from reasoner.chat.endpoint.faults import (
    EndpointError,
    RefusedRequestError,
    StrangeReplyError,
    UnknownPlaceError,
    mask_secrets,
)

LIST_S = 10.0
MAX_LIST_BYTES = 4 * 2**20
MAX_NAMED = 8  # models that a message names
MAX_NAME_CHARS = 80
UNKNOWN_TEXT = re.compile(
    r"(invalid|unknown|unsupported|no such) model"
    r"|model.{0,80}(not found|not exist|unknown|invalid|not available|not supported)",
    re.IGNORECASE,
)


def may_be_misnamed(error: EndpointError) -> bool:
    """Whether an error may come from a wrong address or name of a model."""
    if isinstance(error, UnknownPlaceError | StrangeReplyError):
        return True
    return isinstance(error, RefusedRequestError) and bool(UNKNOWN_TEXT.search(str(error)))


async def advise_on_error(error: EndpointError, endpoint: ModelEndpoint) -> str:
    """Return what to change where an address or a model is not known there; else nothing."""
    address, model = endpoint.address, endpoint.model
    if not may_be_misnamed(error):
        return ""
    names = await list_models(address, address.url)
    for url in places_with_v1(address.url) if names is None else ():
        if await list_models(address, url) is not None:
            public = public_url(url)
            return f"{public} answers: use --base-url {public}"
    if not names:
        return ""
    if model in names:
        return f"{address.public_url}/models lists {model}, but it takes no chat completions"
    return f"it has {describe_names(names, model)}"


def places_with_v1(url: str) -> list[str]:
    """Return where on its host an API may be, if not at this address."""
    parts = urlsplit(url)
    root = urlunsplit((parts.scheme, parts.netloc, "", "", ""))
    return [place for place in dict.fromkeys([f"{url}/v1", f"{root}/v1"]) if place != url]


def describe_names(names: list[str], model: str) -> str:
    """Return the names that a message shows, those like the wanted one first."""
    like = difflib.get_close_matches(model, names, n=MAX_NAMED, cutoff=0.4)
    shown = list(dict.fromkeys([*like, *sorted(names)]))[:MAX_NAMED]
    more = f" and {len(names) - len(shown)} more" if len(names) > len(shown) else ""
    return ", ".join(shown) + more


async def list_models(address: Address, url: str) -> list[str] | None:
    """Return the names at URL/models; None where there is no such list."""
    from langchain_openai._compat import httpx

    headers = dict(ACCEPTED)
    if address.key != NO_KEY and "@" not in url:
        headers["Authorization"] = f"Bearer {address.key}"
    content = bytearray()
    try:
        async with (
            httpx.AsyncClient(timeout=LIST_S, follow_redirects=False, headers=headers) as client,
            client.stream("GET", f"{url}/models") as response,
        ):
            check_encoding(response.headers.get("content-encoding", ""))
            if not response.is_success:
                return None
            async for raw in response.aiter_bytes():
                content += raw
                if len(content) > MAX_LIST_BYTES:
                    return None
        value = json.loads(content)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, RecursionError):
        return None
    return parse_names(value, address.secrets)


def parse_names(value: Any, secrets: tuple[str, ...]) -> list[str] | None:
    """Return the names in a list of models; None where the value is none."""
    rows = value.get("data", value.get("models")) if isinstance(value, dict) else value
    if not isinstance(rows, list):
        return None
    names = [row.get("id", row.get("name")) for row in dicts_in(rows)]
    texts = [mask_secrets(name[:MAX_NAME_CHARS], secrets) for name in names if type(name) is str]
    return list(dict.fromkeys(text for text in texts if text))
