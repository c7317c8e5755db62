"""hints.jsonl: what a person says to a running run.  Append-only; the next briefs quote it as that person's words."""

from __future__ import annotations

import json
import time
from pathlib import Path

from run.events import read_events, to_amount
from run.rounds import append_line

HINTS_FILE = "hints.jsonl"
MAX_CHARS = 1000
N_QUOTED = 8  # the latest that a brief quotes


class HintError(ValueError):
    """A hint that cannot be taken; the message says why."""


def add_hint(folder: Path, text: str, *, trace: int | None = None, key: str = "") -> str:
    """Keeps the hint for the briefs from now on, for one trace or for all. Returns it as kept. A key that is there already changes nothing."""
    said = to_plain_line(text)
    if not said:
        raise HintError("the hint is empty; say what to try or to avoid in a sentence")
    if len(said) > MAX_CHARS:
        raise HintError(f"the hint has {len(said)} characters; {MAX_CHARS} are read, so shorten it")
    if not (key and any(hint.get("key") == key for hint in read_events(folder / HINTS_FILE))):
        append_line(
            folder / HINTS_FILE,
            json.dumps(
                {"t": round(time.time(), 3), "ev": "hint", "text": said, "trace": trace, "key": key}
            ),
        )
    return said


def hints_for(folder: Path, trace: int) -> list[str]:
    """The person's latest words that concern this trace, oldest first."""
    found = [
        to_plain_line(str(hint.get("text", "")))[:MAX_CHARS]
        for hint in read_events(folder / HINTS_FILE)
        if hint.get("trace") in (None, trace)
    ]
    return [text for text in found if text][-N_QUOTED:]


def hints_until(folder: Path, t: float) -> list[str]:
    """The lines that were said before a moment, for a fork."""
    return [
        json.dumps(hint)
        for hint in read_events(folder / HINTS_FILE)
        if to_amount(hint.get("t")) <= t
    ]


def to_plain_line(text: str) -> str:
    """One line without control characters."""
    return " ".join(
        "".join(char if char.isprintable() else " " for char in text[: 4 * MAX_CHARS]).split()
    )
