"""Where the endpoint is and how one gets in.  Credentials live here and in the environment, never in settings or on disk."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit, urlunsplit

from reasoner.protocol import ReasonerUnavailable

OPENAI = "https://api.openai.com/v1"
_credentials: dict[str, str] = {}  # shown URL -> URL with user:password, for this process only


@dataclass(frozen=True)
class Address:
    """`shown` may be printed and stored; `url` and `key` may not."""

    shown: str
    url: str = field(repr=False)
    key: str = field(repr=False)
    key_env: str = "OPENAI_API_KEY"

    @property
    def secrets(self) -> tuple[str, ...]:
        parts = urlsplit(self.url)
        return tuple(
            text for text in (self.key, parts.password, parts.username) if text and text != "none"
        )


def public_url(url: str | None) -> str | None:
    """The URL without user:password, which this process keeps in mind; what may be written to run.json."""
    if not url or "@" not in url:
        return url
    shown = urlunsplit(without_userinfo(urlsplit(url)))
    if shown != url:
        _credentials[shown] = url
    return shown


def without_userinfo(parts: SplitResult) -> SplitResult:
    return parts._replace(netloc=parts.netloc.rpartition("@")[2])


def address(base_url: str | None, key_env: str) -> Address:
    """The endpoint of the setting, else of the environment, else OpenAI's. Raises ReasonerUnavailable with the remedy."""
    given = [os.environ.get(name) or "" for name in ("OPENAI_BASE_URL", "OPENAI_API_BASE")]
    url = base_url or next((text for text in given if text), "") or OPENAI
    shown = public_url(url) or url
    parts = urlsplit(shown)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ReasonerUnavailable(
            f"the endpoint {shown!r} is not a web address; --base-url wants one such as http://localhost:8000/v1"
        )
    known = next((text for text in given if "@" in text and public_url(text) == shown), "")
    url = _credentials.get(shown) or known or url
    key = os.environ.get(key_env, "").strip()
    if not key and shown.rstrip("/") == OPENAI:
        raise ReasonerUnavailable(
            f"no API key: set {key_env} in the environment, or name another endpoint with --base-url (docs/models.md)"
        )
    return Address(shown=shown.rstrip("/"), url=url.rstrip("/"), key=key or "none", key_env=key_env)
