"""Records of measured hypotheses: their identity, their bounds, the text that is indexed.

A record may come from a model's words, another run, another host or an imported file: it is hostile until `clean` or
`parse` has bounded it.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import unicodedata
from datetime import UTC, datetime

from pydantic import ValidationError

from memory.protocol import Record

TEXT_CHARS = 2_000
"""Kept of each free text (challenge, hypothesis, context)."""
DIFF_CHARS = 6_000
"""Kept of the change itself."""
NAME_CHARS = 200
"""Kept of each short field (names, references)."""
LINE_BYTES = 64_000
"""Longest serialised record that is read."""
MAX_COUNT = 10**9

COMPONENTS = ("data", "features", "model", "ensemble", "workflow")
_TEXTS = ("challenge", "hypothesis", "context")
_NAMES = (
    "component",
    "task_hash",
    "task_kind",
    "metric",
    "script_ref",
    "diff_ref",
    "run",
    "reasoner",
    "created",
)
_IDENTITY = (
    "kind",
    "hypothesis",
    "component",
    "move",
    "task_hash",
    "metric",
    "script_ref",
    "run",
    "trace",
    "step",
)
_SPACE = re.compile(r"[ \t]+")


class RecordError(ValueError):
    """A record that cannot be kept; the message names the field."""


def plain(text: str, limit: int) -> str:
    """`text` as bounded data: NFC, no control, format or surrogate characters (line breaks stay), no runs of blanks."""
    text = text[: 4 * limit]
    if not text.replace("\n", "").isprintable():
        text = "".join(_visible(c) for c in text)
    return _SPACE.sub(" ", unicodedata.normalize("NFC", text)).strip()[:limit].rstrip()


def code(text: str, limit: int) -> str:
    """Program text as bounded data: as `plain`, with its indentation; cut at a line's end, and said so."""
    kept = unicodedata.normalize(
        "NFC", "".join(_visible(c) for c in text[: 4 * limit].expandtabs(4))
    )
    if len(kept) <= limit:
        return kept.rstrip()
    return kept[: kept.rfind("\n", 0, limit) + 1] + "… cut here"


def word(text: str) -> str:
    """`text` as one bounded line."""
    return plain(text.replace("\n", " "), NAME_CHARS)


def _visible(char: str) -> str:
    if char == "\n" or char.isprintable():
        return char
    # format characters (bidi overrides, zero-width) can hide text from a reader; they leave nothing behind
    return "" if unicodedata.category(char) in ("Cf", "Cs") else " "


def record_id(record: Record) -> str:
    """Content hash of what was tried, where and with what result: a repeat after a crash has the same id.

    The gain counts to 6 significant digits, `created` and free-text context do not count.
    """
    identity = {name: getattr(record, name) for name in _IDENTITY}
    identity["gain"] = f"{record.gain:.6g}"
    text = json.dumps(identity, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def clean(record: Record) -> Record:
    """A bounded copy with its id (always computed here). Raises RecordError."""
    _check_numbers(record)
    texts = {name: plain(getattr(record, name), TEXT_CHARS) for name in _TEXTS}
    names = {name: word(getattr(record, name)) for name in _NAMES}
    if not texts["hypothesis"]:
        raise RecordError("hypothesis is empty")
    if names["component"] not in COMPONENTS:
        raise RecordError(f"component {names['component']!r} is none of {', '.join(COMPONENTS)}")
    move = word(record.move) or None if record.move else None
    created = _utc(names.pop("created"))
    bounded = record.model_copy(
        update={
            **texts,
            **names,
            "diff": code(record.diff, DIFF_CHARS),
            "move": move,
            "created": created,
            "id": "",
        }
    )
    return bounded.model_copy(update={"id": record_id(bounded)})


def _utc(text: str) -> str:
    """An ISO time in UTC to the second (ages are compared as text); now for what is no time."""
    try:
        moment = datetime.fromisoformat(text)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        moment = datetime.now(UTC)
    return moment.isoformat(timespec="seconds")


def _check_numbers(record: Record) -> None:
    for name, value in (("gain", record.gain), ("gain_se", record.gain_se)):
        if not math.isfinite(value):
            raise RecordError(f"{name} is not a finite number")
    if record.gain_se < 0:
        raise RecordError("gain_se is negative")
    if record.left is not None and not (math.isfinite(record.left) and record.left >= 0):
        raise RecordError("left is not a share")
    for name, count in (("trace", record.trace), ("step", record.step)):
        if not 0 <= count <= MAX_COUNT:
            raise RecordError(f"{name} is out of bounds")


def parse(line: str | bytes) -> Record:
    """A record from one line of JSON, bounded and re-identified. Raises RecordError."""
    if len(line) > LINE_BYTES:
        raise RecordError(f"longer than {LINE_BYTES} bytes")
    try:
        return clean(Record.model_validate_json(line))
    except RecordError:
        raise
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "record"
        raise RecordError(word(f"{field}: {first['msg']}")) from None
    except (ValueError, RecursionError) as error:
        raise RecordError(f"not readable: {type(error).__name__}") from None


def dump(record: Record) -> str:
    """One line of JSON, the id first."""
    return record.model_dump_json()


def indexed_text(record: Record) -> str:
    """What is embedded. Challenge, hypothesis and context together: bare statements are what lexical embeddings miss."""
    return "\n".join(part for part in (record.challenge, record.hypothesis, record.context) if part)
