"""hints.jsonl: a person's hints to a run in progress. Append-only; later briefs quote them."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import NamedTuple

from run.events import iterate_events, to_amount
from run.rounds import append_line

HINTS_FILE = "hints.jsonl"
MAX_CHARS = 1000
N_QUOTED = 8  # latest hints that a brief quotes
N_LISTED = 40  # latest hints that become claims of the ledger


class HintError(ValueError):
    """A hint that is empty or too long; the message names the remedy."""


def add_hint(folder: Path, text: str, *, trace: int | None = None, key: str = "") -> str:
    """Store a hint for later briefs; return it as stored.

    Args:
        folder: the run folder.
        text: the person's words.
        trace: the trace that it concerns; None: all.
        key: a hint with a known key is not stored again.

    Raises:
        HintError: the hint is empty or too long.
    """
    hint = to_plain_line(text)
    if not hint:
        raise HintError("the hint is empty; say what to try or to avoid in a sentence")
    if len(hint) > MAX_CHARS:
        raise HintError(f"the hint has {len(hint)} characters; {MAX_CHARS} are read, so shorten it")
    path = folder / HINTS_FILE
    is_known = key and any(line.get("key") == key for line in iterate_events(path))
    if not is_known:
        t = round(time.time(), 3)
        line = {"t": t, "ev": "hint", "text": hint, "trace": trace, "key": key}
        append_line(path, json.dumps(line))
    return hint


def hints_for(folder: Path, trace: int) -> list[str]:
    """Return the latest hints that concern this trace, oldest first."""
    hints = [
        to_plain_line(str(hint.get("text", "")))[:MAX_CHARS]
        for hint in iterate_events(folder / HINTS_FILE)
        if hint.get("trace") in (None, trace)
    ]
    return [hint for hint in hints if hint][-N_QUOTED:]


class StoredHint(NamedTuple):
    """A hint as stored; `key` names it, `trace` is None for all traces."""

    key: str
    trace: int | None
    text: str


def list_hints(folder: Path) -> list[StoredHint]:
    """Return the latest hints, oldest first."""
    hints = []
    for line in iterate_events(folder / HINTS_FILE):
        text = to_plain_line(str(line.get("text", "")))[:MAX_CHARS]
        trace = line.get("trace")
        if text and (trace is None or isinstance(trace, int)):
            digest = hashlib.sha256(f"{trace} {text}".encode()).hexdigest()[:16]
            hints.append(StoredHint(digest, trace, text))
    return hints[-N_LISTED:]


def hints_until(folder: Path, t: float) -> list[str]:
    """Return the stored lines up to a time (Unix seconds), for a fork."""
    return [
        json.dumps(hint)
        for hint in iterate_events(folder / HINTS_FILE)
        if to_amount(hint.get("t")) <= t
    ]


def to_plain_line(text: str) -> str:
    """Return the text as one line without control characters."""
    printable = (char if char.isprintable() else " " for char in text[: 4 * MAX_CHARS])
    return " ".join("".join(printable).split())
