"""Transcripts: each exchange with a model, its parts stored by hash, listed in the events.

A prompt is cut at its headings, from its start on, so a part that many prompts begin with is stored
once. The store is a folder of its own, since prompts quote rows of the task, which a read-only
export leaves out.
"""

from __future__ import annotations

import re
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from graph.state import Json
from reasoner.chat.answer.extract import extract_json
from reasoner.transcript import ModelCall, SentMessage, keeping_calls
from report.calls import EVENT
from report.transcripts import CALLS
from run.artifacts import Artifacts, hash_text
from run.events import Events

PLACE = re.compile(r"t(-?\d{1,9})s(\d{1,9})")
MIN_PART_CHARS = 1_500  # of a prompt; shorter sections are stored together
HEADING = re.compile(r"^#{1,4} ", re.MULTILINE)
REASONS = ("approach", "why")  # of an answer
MAX_REASON_CHARS = 600


class StoredTurn(BaseModel):
    """A message of a prompt: its parts in the store, and which of them no earlier prompt had."""

    model_config = ConfigDict(frozen=True)
    role: str
    parts: list[str]
    new: list[bool]


class StoredCall(BaseModel):
    """An exchange in the store; texts are named by their hashes."""

    model_config = ConfigDict(frozen=True)
    verb: str
    attempt: str = ""
    model: str
    form: str
    turns: list[StoredTurn]
    answer: str = ""
    thinking: str = ""
    finish: str = ""
    error: str = ""


def open_call_store(folder: Path) -> Artifacts:
    """Return the store of a run's transcripts."""
    return Artifacts(folder / CALLS)


def make_call_store(folder: Path) -> Artifacts:
    """Return the store to write to."""
    (folder / CALLS).mkdir(exist_ok=True)
    return open_call_store(folder)


def keep_transcripts(
    folder: Path, events: Events, verb: str, name: str = "", *, wanted: bool = True
) -> AbstractContextManager[None]:
    """Keep every exchange of the block; `name`: of the attempt, or of its script."""
    if not wanted:
        return nullcontext()
    where = place_of(name)

    def keep(call: ModelCall) -> None:
        stored = store_call(make_call_store(folder), verb, where.get("attempt", ""), call)
        events.emit(EVENT, verb=verb, **where, **summarize_call(call), record=stored)

    return keeping_calls(keep)


def place_of(name: str) -> Json:
    """Return trace, step and attempt of a name of an attempt or its script; empty for another."""
    match = PLACE.match(name)
    return {"trace": int(match[1]), "step": int(match[2]), "attempt": match[0]} if match else {}


def store_call(store: Artifacts, verb: str, attempt: str, call: ModelCall) -> str:
    """Store an exchange; return the hash of its record."""
    turns = [store_turn(store, turn) for turn in call.turns]
    record = StoredCall(
        verb=verb,
        attempt=attempt,
        model=call.model,
        form=call.form,
        turns=turns,
        answer=store.put(call.answer) if call.answer else "",
        thinking=store.put(call.thinking) if call.thinking else "",
        finish=call.finish,
        error=call.error,
    )
    return store.put_json(record.model_dump())


def store_turn(store: Artifacts, turn: SentMessage) -> StoredTurn:
    """Store a message."""
    parts, new = list[str](), list[bool]()
    for text in split_prompt(turn.text):
        ref = hash_text(text)
        new.append(not store.path(ref).exists())
        parts.append(store.put(text))
    return StoredTurn(role=turn.role, parts=parts, new=new)


def split_prompt(text: str) -> list[str]:
    """Cut a text before headings, into parts that are long enough; joined they are the text."""
    starts = [0]
    for match in HEADING.finditer(text):
        if match.start() - starts[-1] >= MIN_PART_CHARS:
            starts.append(match.start())
    return [text[start:end] for start, end in zip(starts, [*starts[1:], None], strict=True)]


def summarize_call(call: ModelCall) -> Json:
    """Return what the event of an exchange says."""
    given = (extract_json(call.answer) or {}) if call.answer else {}
    reasons = {
        name: " ".join(given[name].split())[:MAX_REASON_CHARS]
        for name in REASONS
        if isinstance(given.get(name), str)
    }
    usage = call.usage
    return {
        "model": call.model,
        "form": call.form,
        "n_chars": sum(len(turn.text) for turn in call.turns),
        "input_tokens": usage.input_tokens,
        "cached_tokens": getattr(usage, "cached_tokens", 0),
        "output_tokens": usage.output_tokens,
        "usd": usage.usd,
        "seconds": round(call.seconds, 3),
        "finish": call.finish,
        **({"error": call.error} if call.error else {}),
        **reasons,
    }
