"""What can go wrong at an endpoint, typed by what to do about it.

Fault
├── Refused      the request as such was refused (400): `parameter` names what to leave out, if it can be told
├── Passing      may work a little later (429, 5xx, timeouts, a cut stream); `wait_s` when the endpoint said how long
├── Down         nobody answers there: worth some patience, then the run pauses
└── Closed       no use in asking again: key, model or money (401, 403, 404, quota)
"""

from __future__ import annotations

import re

from reasoner.protocol import Usage


class Fault(Exception):
    """The text is one sentence, free of secrets. `usage` is what was spent on the question before it."""

    usage: Usage = Usage()


class Refused(Fault):
    def __init__(self, text: str, parameter: str | None = None) -> None:
        super().__init__(text)
        self.parameter = parameter


class TooLong(Refused):
    """The prompt is longer than the model reads; a shorter one may do."""


class Passing(Fault):
    def __init__(self, text: str, wait_s: float | None = None, closed_after: bool = False) -> None:
        super().__init__(text)
        self.wait_s = wait_s
        self.closed_after = (
            closed_after  # when it does not pass: the run pauses rather than the step fails
        )


class Down(Passing):
    def __init__(self, text: str) -> None:
        super().__init__(text, closed_after=True)


class Closed(Fault):
    """Told to the user as it stands."""


KEYLIKE = re.compile(r"\b(sk|pk|key|gsk|hf|xai)[-_][\w*.…-]{6,}")
USERINFO = re.compile(r"(\w+://)[^/\s@]+@")


def masked(text: str, secrets: tuple[str, ...] = ()) -> str:
    """The text without secrets, on one line, bounded: what an endpoint says may quote the key."""
    for secret in secrets:
        if len(secret) >= 4:
            text = text.replace(secret, "***")
    text = USERINFO.sub(r"\1***@", KEYLIKE.sub("***", text))
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:400]
