"""What a server with a prefix cache would serve from it: exact common prefixes of requests."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from reasoner.chat.message import Message
from reasoner.chat.prompt.text import n_tokens


class Counted(NamedTuple):
    """Tokens of one request, and of its longest prefix that an earlier request began with."""

    prompt: int
    cached: int

    @property
    def new(self) -> int:
        """Tokens that no earlier request began with."""
        return self.prompt - self.cached


def flatten_messages(messages: Sequence[Message]) -> str:
    """Return the messages as one text, as a chat template lays them out."""
    return "".join(f"<{turn['role']}>\n{turn['content']}\n" for turn in messages)


class PrefixCounter:
    """Counts every request against all earlier ones, to the character.

    The texts are kept in sorted order: the longest common prefix is with a neighbour.
    """

    def __init__(self) -> None:
        self._texts: list[str] = []

    def add(self, messages: Sequence[Message]) -> Counted:
        """Count a request, and remember it for the next ones."""
        text = flatten_messages(messages)
        place = bisect_right(self._texts, text)
        neighbours = self._texts[max(0, place - 1) : place + 1]
        n_common = max((count_common(text, other) for other in neighbours), default=0)
        self._texts.insert(place, text)
        return Counted(n_tokens(text), n_tokens(text[:n_common]))


def count_common(text: str, other: str) -> int:
    """Return the number of characters at the beginning that two texts share."""
    low, high = 0, min(len(text), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if text[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
