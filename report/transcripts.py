"""Transcripts of a run's exchanges with models, read from its events and its store of texts.

Nothing in them is trusted: a run folder may come from elsewhere, and a model writes what it likes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from report.artifact_texts import ARTIFACT_NAME, parse_json, read_text
from report.calls import EVENT, view_call
from report.event_log import read_events
from report.formatting import as_mapping, bounded_list, clean_text
from report.model import CallView

CALLS = "calls"  # folder of the texts
MAX_TEXT_BYTES = 8 * 2**20  # of one text
MAX_PROMPT_CHARS = 8_000_000
MAX_TURNS, MAX_PARTS = 200, 4_000
LOST = "its texts are not in this run folder (a read-only export leaves them out)"
DAMAGED = "its texts in this run folder are damaged"


@dataclass(frozen=True)
class PromptPart:
    """A part of a message; `is_known`: an earlier exchange of the run had it too."""

    text: str
    is_known: bool


@dataclass(frozen=True)
class PromptTurn:
    """One message of a prompt."""

    role: str
    parts: tuple[PromptPart, ...]

    @property
    def text(self) -> str:
        """The whole message."""
        return "".join(part.text for part in self.parts)


@dataclass(frozen=True)
class CallTexts:
    """The texts of an exchange; `problem` says why there are none."""

    turns: tuple[PromptTurn, ...] = ()
    answer: str = ""
    thinking: str = ""
    problem: str = ""


def read_call_texts(run_dir: Path, call: CallView) -> CallTexts:
    """Return the texts of an exchange."""
    try:
        record = parse_json(read_call_text(run_dir, call.record))
        turns = tuple(read_turns(run_dir, record))
        answer, thinking = (
            read_call_text(run_dir, str(record[name])) if record.get(name) else ""
            for name in ("answer", "thinking")
        )
    except LostTextError as error:
        return CallTexts(problem=str(error))
    return CallTexts(turns, answer, thinking)


def read_turns(run_dir: Path, record: Mapping[str, Any]) -> Iterator[PromptTurn]:
    """Yield the messages of a prompt. Raises LostTextError."""
    n_chars = 0
    for turn in map(as_mapping, bounded_list(record.get("turns"), MAX_TURNS)):
        new, parts = bounded_list(turn.get("new"), MAX_PARTS), list[PromptPart]()
        for index, ref in enumerate(bounded_list(turn.get("parts"), MAX_PARTS)):
            text = read_call_text(run_dir, str(ref))
            parts.append(PromptPart(text, is_known=index < len(new) and new[index] is False))
            n_chars += len(text)
            if n_chars > MAX_PROMPT_CHARS:
                raise LostTextError(f"its prompt exceeds {MAX_PROMPT_CHARS:,} characters")
        yield PromptTurn(clean_text(turn.get("role"), 20), tuple(parts))


def read_call_text(run_dir: Path, ref: str) -> str:
    """Return the text of this hash. Raises LostTextError."""
    path = run_dir / CALLS / ref[:2] / ref
    if not ARTIFACT_NAME.fullmatch(ref) or not path.is_file():
        raise LostTextError(LOST)
    text = read_text(path, MAX_TEXT_BYTES)
    if hashlib.sha256(text.encode()).hexdigest() != ref:
        raise LostTextError(DAMAGED)
    return text


class LostTextError(Exception):
    """A text of a transcript is missing or damaged; the message says which of both."""


def load_calls(run_dir: Path) -> list[CallView]:
    """Return the exchanges of a run in their order; none where its transcripts were off."""
    events = (event for event in read_events(run_dir / "events.jsonl") if event.get("ev") == EVENT)
    return [view_call(event, number) for number, event in enumerate(events, 1)]
