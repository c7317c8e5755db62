"""An exchange with a model as the page of its attempt shows it: bounded, cleaned.

The typed dicts are JSON that `report/web/calls.js` reads.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypedDict

from report.formatting import clean_text, format_count, format_duration, format_usd
from report.model import CallView
from report.transcripts import PromptTurn, read_call_texts

MAX_PROMPT_CHARS, MAX_ANSWER_CHARS, MAX_THINKING_CHARS = 60_000, 40_000, 20_000
MAX_HEAD_CHARS = 60  # of a part that an earlier prompt had


class PartRecord(TypedDict):
    """A part of a message; of one that an earlier prompt had, only its first line and length."""

    known: int  # characters; 0: the text is here
    text: str


class TurnRecord(TypedDict):
    """A message of a prompt."""

    role: str
    parts: list[PartRecord]


class CallRecord(TypedDict):
    """One exchange."""

    title: str
    notes: list[str]
    turns: list[TurnRecord]
    answer: str
    thinking: str


def call_record(run_dir: Path, call: CallView, scale: float) -> CallRecord:
    """Return an exchange; `scale` below 1 shortens its texts."""
    texts = read_call_texts(run_dir, call)
    notes = [f"{name}: {text}" for name, text in call_notes(call) if text]
    if texts.problem:
        notes.append(f"The texts cannot be shown: {texts.problem}.")
    return {
        "title": call_title(call),
        "notes": notes,
        "turns": turn_records(texts.turns, int(MAX_PROMPT_CHARS * scale)),
        "answer": clean_text(texts.answer, int(MAX_ANSWER_CHARS * scale), lines=True),
        "thinking": clean_text(texts.thinking, int(MAX_THINKING_CHARS * scale), lines=True),
    }


def call_title(call: CallView) -> str:
    """Return verb, model, tokens, money and seconds of an exchange."""
    cached = f" ({format_count(call.cached_tokens)} cached)" if call.cached_tokens else ""
    tokens = f"{format_count(call.input_tokens)}{cached} in, {format_count(call.output_tokens)} out"
    money = "" if call.usd is None else format_usd(call.usd)
    parts = [
        f"{call.number}. {call.verb}",
        call.model,
        tokens,
        format_duration(call.seconds),
        money,
    ]
    return " · ".join(part for part in parts if part)


def call_notes(call: CallView) -> list[tuple[str, str]]:
    """Return what else its event says."""
    is_odd = call.finish not in ("", "stop", "tool_calls")
    return [
        ("approach", call.approach),
        ("why", call.why),
        ("finish", call.finish if is_odd else ""),
        ("no answer", call.error),
    ]


def turn_records(turns: tuple[PromptTurn, ...], limit: int) -> list[TurnRecord]:
    """Return the messages; the new text of all together has at most `limit` characters."""
    records: list[TurnRecord] = []
    for turn in turns:
        parts: list[PartRecord] = []
        for part in turn.parts:
            if part.is_known:
                head = clean_text(part.text, MAX_HEAD_CHARS)
                parts.append({"known": len(part.text), "text": head})
                continue
            text = clean_text(part.text, max(limit, 0), lines=True)
            limit -= len(text)
            parts.append({"known": 0, "text": text})
        records.append({"role": turn.role, "parts": parts})
    return records
