"""The event log: each event once, torn lines skipped, spending restored."""

from __future__ import annotations

import json
from pathlib import Path

from run.events import Events, iterate_events


def test_an_event_with_a_key_is_written_once_even_by_a_later_process(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    first = Events(path)
    first.emit("attempt", key="t0s0", score=1.0)
    first.emit("attempt", key="t0s0", score=1.0)
    Events(path).emit("attempt", key="t0s0", score=1.0)
    assert [event["ev"] for event in iterate_events(path)] == ["attempt"]


def test_a_line_cut_by_a_kill_is_skipped_and_the_next_is_read(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text(json.dumps({"ev": "a", "elapsed": 5.0}) + '\n{"ev": "b", "elap')
    events = Events(path)
    assert events.elapsed >= 5.0
    events.emit("c")
    assert [event["ev"] for event in iterate_events(path)] == ["a", "c"]


def test_spending_survives_a_resume(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    events = Events(path)
    events.emit("updated", key="x", usage={"input_tokens": 100, "output_tokens": 20, "usd": 0.5})
    events.emit("execution_finished", key="x")
    used = Events(path).used
    assert (used.tokens, used.usd, used.executions) == (120, 0.5, 1)
