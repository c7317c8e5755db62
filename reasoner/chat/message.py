"""One turn of a chat conversation, as it is sent to an endpoint."""

from __future__ import annotations

from typing import TypedDict


class Message(TypedDict):
    """`role` is system, user or assistant."""

    role: str
    content: str
