"""What can go wrong at an endpoint, typed by what to do about it.

EndpointError
├── RefusedRequestError     the request was refused (400); `parameter`: what to leave out, if known
│   └── PromptTooLongError  the prompt exceeds the context window; ask again with a shorter one
├── TransientError          may work later (429, 5xx, timeouts, a cut stream)
│   ├── StrangeReplyError   what answers there is no chat completion
│   └── EndpointDownError   nothing answers there: retry for a while, then pause the run
└── PermanentError          retrying is pointless: key, model or money (401, 403, 404, quota)
    └── UnknownPlaceError   the address or the model does not exist there (404)

An EndpointError of none of these kinds makes the answer useless; another question may do better.
"""

from __future__ import annotations

import re

from reasoner.protocol import Usage

KEY_TEXT = re.compile(r"\b(sk|pk|key|gsk|hf|xai)[-_][\w*.…-]{6,}")
USERINFO_TEXT = re.compile(r"(\w{1,20}://)[^/\s@]+@")
# in long texts, where names such as key_columns must stay
LONG_KEY_TEXT = re.compile(
    r"\b(?:sk|pk|rk|gsk|hf|xai|ghp|gho|github_pat|glpat|xox[abprs]|AIza|AKIA)[-_]?"
    r"(?=[\w-]*\d)[\w-]{16,}"
)
HEADER_TEXT = re.compile(
    r"\b(authorization|x-api-key|api-key)(\W{1,4})(?:(?:bearer|basic)\s+)?[^\s\"',;]{4,}",
    re.IGNORECASE,
)
BEARER_TEXT = re.compile(r"\b(bearer)\s+[\w.~+/=-]{8,}", re.IGNORECASE)
MIN_SECRET_CHARS = 6  # a shorter password would mask ordinary words


class EndpointError(Exception):
    """A failed request. The text is one sentence without secrets.

    `usage` is what the question cost before it failed.
    """

    usage: Usage = Usage()


class RefusedRequestError(EndpointError):
    """The endpoint refused the request; `parameter` names the one that it complains about."""

    def __init__(self, text: str, parameter: str | None = None) -> None:
        super().__init__(text)
        self.parameter = parameter


class PromptTooLongError(RefusedRequestError):
    """The prompt exceeds the model's context window."""


class TransientError(EndpointError):
    """A failure that may pass.

    `wait_s` is the pause that the endpoint asks for, in seconds. With `pauses_run`, exhausted
    retries pause the run; otherwise they only fail the step.
    """

    def __init__(self, text: str, wait_s: float | None = None, pauses_run: bool = False) -> None:
        super().__init__(text)
        self.wait_s = wait_s
        self.pauses_run = pauses_run


class EndpointDownError(TransientError):
    """The endpoint cannot be reached."""

    def __init__(self, text: str) -> None:
        super().__init__(text, pauses_run=True)


class StrangeReplyError(TransientError):
    """What answers at the address is no chat completion."""

    def __init__(self, text: str) -> None:
        super().__init__(text, pauses_run=True)


class PermanentError(EndpointError):
    """A failure that a retry cannot fix. The text is shown to the user."""


class UnknownPlaceError(PermanentError):
    """The address or the model does not exist there."""


def mask_secrets(text: str, secrets: tuple[str, ...] = ()) -> str:
    """Return the text on one line, without secrets, at most 400 characters.

    Endpoints quote the key in their messages; `secrets` and whatever looks like a key are masked.
    """
    for secret in secrets:
        if len(secret) >= 4:
            text = text.replace(secret, "***")
    text = USERINFO_TEXT.sub(r"\1***@", KEY_TEXT.sub("***", text))
    printable = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(printable.split())[:400]


def hide_secrets(text: str, secrets: tuple[str, ...] = ()) -> str:
    """Return a text of any length with its line ends, with secrets and what looks like one masked.

    For transcripts: names that only begin like a key (`key_columns`) stay.
    """
    for secret in secrets:
        if len(secret) >= MIN_SECRET_CHARS:
            text = text.replace(secret, "***")
    text = HEADER_TEXT.sub(r"\1\2***", BEARER_TEXT.sub(r"\1 ***", text))
    return USERINFO_TEXT.sub(r"\1***@", LONG_KEY_TEXT.sub("***", text))
