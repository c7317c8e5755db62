"""Extract JSON from what a model wrote: fences, prose around it, thinking aloud before it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

MAX_CHARS = 400_000
MAX_BRACES = 50
MAX_DEPTH = 50
THINKING = re.compile(r"<(think|thinking|reasoning)>.*?(</\1>|\Z)", re.DOTALL | re.IGNORECASE)
FENCE = re.compile(r"```[ \t]*([\w+-]*)[ \t]*\n(.*?)(?:\n[ \t]*```|\Z)", re.DOTALL)
TRAILING_COMMA = re.compile(r",(\s*[}\]])")


def strip_thinking(text: str) -> str:
    """Return the answer without the model's thinking.

    A closing tag alone ends thinking whose opening tag the server has already consumed.
    """
    text = THINKING.sub("", text[:MAX_CHARS])
    for tag in ("</think>", "</thinking>", "</reasoning>"):
        text = text.rpartition(tag)[2]
    return text.strip()


def extract_json(text: str) -> dict[str, Any] | None:
    """Return the JSON object in the text: all of it, else a fence's, else the largest in prose."""
    answer = strip_thinking(text)
    for candidate in (answer, *(body for _, body in FENCE.findall(answer))):
        if (value := parse_json_object(candidate)) is not None:
            return value
    return max(iterate_json_objects(answer), key=lambda value: len(str(value)), default=None)


def parse_json_object(text: str) -> dict[str, Any] | None:
    """Parse one object, also with trailing commas or as the only item of a list."""
    for candidate in (text, TRAILING_COMMA.sub(r"\1", text)):
        try:
            value = json.loads(candidate, strict=False)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        return value if isinstance(value, dict) and is_shallow(value) else None
    return None


def is_shallow(value: Any) -> bool:
    """Whether a JSON value nests so little that code which follows its nesting is safe."""
    level = [value]
    for _ in range(MAX_DEPTH):
        nested = [each.values() if isinstance(each, dict) else each for each in level]
        level = [item for each in nested for item in each if isinstance(item, dict | list)]
        if not level:
            return True
    return False


def iterate_json_objects(text: str) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects among other text; tries at most MAX_BRACES opening braces."""
    decoder = json.JSONDecoder(strict=False)
    place, tries = text.find("{"), 0
    while place >= 0 and tries < MAX_BRACES:
        tries += 1
        try:
            value, end = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            end = place + 1
        else:
            if isinstance(value, dict) and is_shallow(value):
                yield value
        place = text.find("{", max(end, place + 1))
