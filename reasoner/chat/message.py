"""One turn of a chat conversation, as it is sent to an endpoint."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict


class Message(TypedDict):
    """`role` is system, user, assistant or tool.

    `tool_calls` are those of an assistant's turn in OpenAI's form; the turn `tool` answers the one
    that `tool_call_id` names.
    """

    role: str
    content: str
    tool_calls: NotRequired[list[dict[str, Any]]]
    tool_call_id: NotRequired[str]
