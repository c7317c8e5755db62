"""Records of measured hypotheses: their identity, their bounds, the text that is indexed.

A record may come from a model's words, another run, another host or an imported file: it is
hostile until `validate_record` or `parse_record` has bounded it.
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
"""Longest free text (challenge, hypothesis, context)."""
DIFF_CHARS = 6_000
"""Longest diff."""
NAME_CHARS = 200
"""Longest short field (names, references)."""
LINE_BYTES = 64_000
"""Longest serialized record that is read."""
MAX_COUNT = 10**9

COMPONENTS = ("data", "features", "model", "ensemble", "workflow")
_TEXTS = ("challenge", "hypothesis", "context")
_NAMES = (
    "component",
    "task_hash",
    "task",
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
    """A record that cannot be stored; the message names the field."""


def bounded_text(text: str, limit: int) -> str:
    """Return `text` as at most `limit` characters of NFC.

    Control, format and surrogate characters are removed (line breaks stay), runs of blanks
    collapsed.
    """
    text = text[: 4 * limit]
    if not text.replace("\n", "").isprintable():
        text = "".join(_replace_hidden(char) for char in text)
    return _SPACE.sub(" ", unicodedata.normalize("NFC", text)).strip()[:limit].rstrip()


def bounded_code(text: str, limit: int) -> str:
    """Return program text bounded as by `bounded_text`, with its indentation.

    A longer text is cut at the end of a line, with a mark.
    """
    visible = "".join(_replace_hidden(char) for char in text[: 4 * limit].expandtabs(4))
    normal = unicodedata.normalize("NFC", visible)
    if len(normal) <= limit:
        return normal.rstrip()
    return normal[: normal.rfind("\n", 0, limit) + 1] + "… cut here"


def bounded_line(text: str) -> str:
    """Return `text` as one line of at most NAME_CHARS characters."""
    return bounded_text(text.replace("\n", " "), NAME_CHARS)


def _replace_hidden(char: str) -> str:
    if char == "\n" or char.isprintable():
        return char
    # format characters (bidi overrides, zero-width) can hide text from a reader: drop them
    return "" if unicodedata.category(char) in ("Cf", "Cs") else " "


def record_id(record: Record) -> str:
    """Return a content hash of what was tried, where, and with what result.

    A repeat after a crash has the same id. The gain counts to 6 significant digits; `created` and
    the free-text context do not count.
    """
    identity = {name: getattr(record, name) for name in _IDENTITY}
    identity["gain"] = f"{record.gain:.6g}"
    text = json.dumps(identity, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def validate_record(record: Record) -> Record:
    """Return a bounded copy with its id, which is always computed. Raises RecordError."""
    if record.kind == "recipe":
        raise RecordError("kind is recipe; recipes are files (`gome recipes add`), not records")
    _check_numbers(record)
    texts = {name: bounded_text(getattr(record, name), TEXT_CHARS) for name in _TEXTS}
    names = {name: bounded_line(getattr(record, name)) for name in _NAMES}
    if not texts["hypothesis"]:
        raise RecordError("hypothesis is empty")
    if names["component"] not in COMPONENTS:
        raise RecordError(f"component {names['component']!r} is not one of {', '.join(COMPONENTS)}")
    move = bounded_line(record.move) or None if record.move else None
    created = _utc_time(names.pop("created"))
    bounded = record.model_copy(
        update={
            **texts,
            **names,
            "diff": bounded_code(record.diff, DIFF_CHARS),
            "move": move,
            "created": created,
            "id": "",
        }
    )
    return bounded.model_copy(update={"id": record_id(bounded)})


def _utc_time(text: str) -> str:
    """An ISO time in UTC to the second (ages are compared as text); now if `text` is no time."""
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


def parse_record(line: str | bytes) -> Record:
    """Parse and validate one line of JSON; the id is computed. Raises RecordError."""
    if len(line) > LINE_BYTES:
        raise RecordError(f"longer than {LINE_BYTES} bytes")
    try:
        return validate_record(Record.model_validate_json(line))
    except RecordError:
        raise
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "record"
        raise RecordError(bounded_line(f"{field}: {first['msg']}")) from None
    except (ValueError, RecursionError) as error:
        raise RecordError(f"not readable: {type(error).__name__}") from None


def dump_record(record: Record) -> str:
    """Return the record as one line of JSON, the id first."""
    return record.model_dump_json()


def indexed_text(record: Record) -> str:
    """Return the text to embed: challenge, hypothesis and context.

    Lexical embeddings miss bare statements, so all three go in (docs/memory.md).
    """
    return "\n".join(part for part in (record.challenge, record.hypothesis, record.context) if part)
