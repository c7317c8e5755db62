"""JSON out of what a model wrote: fences, prose around it, thinking aloud before it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

MAX_CHARS = 400_000
THINKING = re.compile(r"<(think|thinking|reasoning)>.*?(</\1>|\Z)", re.DOTALL | re.IGNORECASE)
FENCE = re.compile(r"```[ \t]*([\w+-]*)[ \t]*\n(.*?)(?:\n[ \t]*```|\Z)", re.DOTALL)
TRAILING = re.compile(r",(\s*[}\]])")


def spoken(text: str) -> str:
    """The answer without the model's thinking; a closing tag alone ends thinking that a server had begun."""
    text = text[:MAX_CHARS]
    said = THINKING.sub("", text)
    for tag in ("</think>", "</thinking>", "</reasoning>"):
        said = said.rpartition(tag)[2]
    return said.strip()


def json_of(text: str) -> dict[str, Any] | None:
    """The JSON object in the text: the whole of it, else the largest in a fence or among prose."""
    said = spoken(text)
    for candidate in (said, *(body for _, body in FENCE.findall(said))):
        if (found := parsed(candidate)) is not None:
            return found
    return max(objects(said), key=lambda found: len(str(found)), default=None)


def parsed(text: str) -> dict[str, Any] | None:
    for attempt in (text, TRAILING.sub(r"\1", text)):
        try:
            value = json.loads(attempt, strict=False)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        return value if isinstance(value, dict) else None
    return None


def objects(text: str) -> Iterator[dict[str, Any]]:
    """JSON objects that begin at some brace of the text; at most 50 places are tried."""
    decoder = json.JSONDecoder(strict=False)
    place, tries = text.find("{"), 0
    while place >= 0 and tries < 50:
        tries += 1
        try:
            value, end = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            end = place + 1
        else:
            if isinstance(value, dict):
                yield value
        place = text.find("{", max(end, place + 1))
