"""Redirects: followed on the endpoint's own host only.

The HTTP library drops the key where another host is named, but not the prompt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx2 as httpx

MAX_REDIRECTS = 5
DEFAULT_PORTS = {"http": 80, "https": 443}


class RedirectedError(ValueError):
    """The endpoint names another place; the message says which, and what to do."""


def next_request(response: httpx.Response) -> httpx.Request | None:
    """Return the request that a redirect asks for; None: the response is no redirect.

    Raises:
        RedirectedError: it would leave the host, or change the kind of the request.
    """
    request = response.next_request
    if request is None:
        return None
    before = response.request
    place = f"{request.url.scheme}://{request.url.host}:{find_port(request.url)}"
    if not is_same_host(before.url, request.url):
        raise RedirectedError(
            f"it redirects to {place[:200]}, and nothing is sent to another host; "
            "name that address yourself if you trust it"
        )
    if request.method != before.method:
        raise RedirectedError(
            f"it redirects to {request.url.path[:200]!r} ({response.status_code}), which loses "
            "the request; name the address that answers"
        )
    return request


def is_same_host(before: httpx.URL, after: httpx.URL) -> bool:
    """Whether two addresses are one server, or its encrypted form."""
    if before.host != after.host:
        return False
    ports = find_port(before), find_port(after)
    if before.scheme == after.scheme:
        return ports[0] == ports[1]
    return (before.scheme, after.scheme) == ("http", "https") and ports == (80, 443)


def find_port(url: httpx.URL) -> int:
    """Return the port of an address, given or implied."""
    return url.port or DEFAULT_PORTS.get(url.scheme, 0)
