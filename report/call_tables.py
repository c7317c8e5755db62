"""The exchanges of a run with models in the terminal and as JSON; importing this imports Rich."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from report.call_records import call_notes, call_title
from report.formatting import clean_text, format_count, format_duration
from report.model import CallView
from report.transcripts import MAX_PROMPT_CHARS, read_call_texts

MAX_NOTE_CHARS = 160
COLUMNS = ("call", "verb", "attempt", "model", "input", "cached", "output", "time", "answer")
RIGHT = ("call", "input", "cached", "output", "time")


def calls_table(calls: Iterable[CallView]) -> Table:
    """Table of the exchanges, one a line."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bright_black", pad_edge=False)
    for name in COLUMNS:
        justify: Any = "right" if name in RIGHT else "left"
        table.add_column(name, justify=justify, no_wrap=name != "answer", overflow="fold")
    for call in calls:
        note = next((f"{name}: {text}" for name, text in call_notes(call) if text), call.finish)
        cells = (
            str(call.number),
            call.verb,
            call.attempt,
            call.model,
            format_count(call.input_tokens),
            format_count(call.cached_tokens) if call.cached_tokens else "",
            format_count(call.output_tokens),
            format_duration(call.seconds),
            clean_text(note, MAX_NOTE_CHARS),
        )
        table.add_row(*(Text(cell, "red" if call.error else "") for cell in cells))
    return table


def call_page(run_dir: Path, call: CallView) -> RenderableType:
    """One exchange with all its texts."""
    return Group(*_page_parts(run_dir, call))


def _page_parts(run_dir: Path, call: CallView) -> Iterator[RenderableType]:
    texts = read_call_texts(run_dir, call)
    yield Text(" ".join(filter(None, (call_title(call), call.attempt))), "bold")
    yield from (Text(f"{name}: {text}") for name, text in call_notes(call) if text)
    if texts.problem:
        yield Text(f"The texts cannot be shown: {texts.problem}.", "yellow")
    for turn in texts.turns:
        yield from _titled(f"Prompt, {turn.role}", turn.text)
    yield from _titled("Reasoning", texts.thinking)
    yield from _titled("Answer", texts.answer)


def _titled(title: str, text: str) -> Iterator[Text]:
    if text:
        yield Text(f"\n── {title}", "bright_black")
        yield Text(clean_text(text, MAX_PROMPT_CHARS, lines=True))


def call_json(run_dir: Path, call: CallView) -> dict[str, Any]:
    """One exchange with all its texts, for JSON."""
    texts = read_call_texts(run_dir, call)
    prompt = [{"role": turn.role, "content": turn.text} for turn in texts.turns]
    whole = {"prompt": prompt, "answer": texts.answer, "thinking": texts.thinking}
    return asdict(call) | whole | ({"problem": texts.problem} if texts.problem else {})
