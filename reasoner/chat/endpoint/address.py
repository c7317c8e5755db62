"""Endpoint URL and credentials.

Credentials stay in this process and its environment; they never enter settings or files.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from reasoner.protocol import ReasonerUnavailableError

OPENAI_URL = "https://api.openai.com/v1"
NO_KEY = "none"  # sent to endpoints that want no key; the client refuses an empty one
_credentials: dict[str, str] = {}  # public URL -> URL with user:password


@dataclass(frozen=True)
class Address:
    """An endpoint. `public_url` may be printed and stored; `url` and `key` may not."""

    public_url: str
    url: str = field(repr=False)
    key: str = field(repr=False)
    key_env: str

    @property
    def secrets(self) -> tuple[str, ...]:
        """The texts to mask in messages: key, password and user name."""
        parts = urlsplit(self.url)
        texts = [self.key, parts.password, parts.username]
        texts += [unquote(text) for text in texts if text]
        return tuple(dict.fromkeys(text for text in texts if text and text != NO_KEY))


def public_url(url: str | None) -> str | None:
    """Return the URL without user:password, which may be written to run.json.

    The credentials are remembered for this process, see `resolve_address`.
    """
    if not url or "@" not in url:
        return url
    public = urlunsplit(_without_userinfo(urlsplit(url)))
    if public != url:
        _credentials[public] = url
    return public


def _without_userinfo(parts: SplitResult) -> SplitResult:
    return parts._replace(netloc=parts.netloc.rpartition("@")[2])


def resolve_address(base_url: str | None, key_env: str) -> Address:
    """Return the endpoint of the setting, else of the environment, else OpenAI's.

    Raises:
        ReasonerUnavailableError: the URL is malformed, or OpenAI's endpoint has no key.
    """
    from_env = [os.environ.get(name) or "" for name in ("OPENAI_BASE_URL", "OPENAI_API_BASE")]
    url = base_url or next((text for text in from_env if text), "") or OPENAI_URL
    public = public_url(url) or url
    parts = urlsplit(public)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ReasonerUnavailableError(
            f"the endpoint {public!r} is not a web address;"
            " --base-url wants one such as http://localhost:8000/v1"
        )
    same = (text for text in from_env if "@" in text and public_url(text) == public)
    url = _credentials.get(public) or next(same, "") or url
    key = os.environ.get(key_env, "").strip()
    if not key and public.rstrip("/") == OPENAI_URL:
        raise ReasonerUnavailableError(
            f"no API key: set {key_env} in the environment,"
            " or name another endpoint with --base-url (docs/models.md)"
        )
    return Address(public.rstrip("/"), url.rstrip("/"), key or NO_KEY, key_env)
