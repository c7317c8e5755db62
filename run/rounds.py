"""rounds.jsonl: the state after every merge, one hashed line per round.

State is ids and numbers, and attempts form a chain of hashes, so a line of some hundred bytes
describes the whole run at that time. Forks and imports start from it, and so does a resume when the
checkpoints are lost.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from graph.state import Json, RunState
from run.events import Events

ROUNDS_FILE = "rounds.jsonl"
TAIL_BYTES = 4 * 2**20


class Round(NamedTuple):
    """The run after `number` merges.

    `events_bytes` and `events_sha256`: size and hash of events.jsonl at that time.
    """

    number: int
    raw_state: Json
    events_bytes: int
    events_sha256: str

    @property
    def state(self) -> RunState:
        """The state, typed.

        Raises:
            ValidationError: it was edited by hand.
        """
        return RunState.model_validate(self.raw_state)

    @property
    def step(self) -> int:
        """Attempts that each trace had made, unless it ended before."""
        return max((trace.step for trace in self.state.traces.values()), default=0)


def store_round(folder: Path, state: RunState, events: Events) -> None:
    """Append the state. A node that runs again repeats the round; the later line counts."""
    size, digest = events.extent
    body = {
        "round": state.round,
        "state": state.dump(),
        "events_bytes": size,
        "events_sha256": digest,
    }
    append_line(folder / ROUNDS_FILE, seal_round(body))


def append_line(path: Path, line: str) -> None:
    """Append a line, also after a line that a kill cut short."""
    with path.open("ab+") as file:
        if file.seek(0, 2):
            file.seek(-1, 2)
            if file.read(1) != b"\n":
                file.write(b"\n")
        file.write(line.encode() + b"\n")


def seal_round(body: Json) -> str:
    """Return a round as a line that contains its own hash."""
    text = json.dumps(body, sort_keys=True)
    return json.dumps({"sha256": hashlib.sha256(text.encode()).hexdigest(), "body": text})


def parse_round(line: str | bytes) -> Round | None:
    """Return the round of a line, or None if the content does not match the hash."""
    try:
        outer = json.loads(line)
        if hashlib.sha256(outer["body"].encode()).hexdigest() != outer["sha256"]:
            return None
        body = json.loads(outer["body"])
        if not isinstance(body["state"], dict):
            return None
        return Round(
            number=int(body["round"]),
            raw_state=body["state"],
            events_bytes=int(body["events_bytes"]),
            events_sha256=str(body["events_sha256"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return None


def read_rounds(folder: Path) -> Iterator[Round]:
    """Yield the rounds in stored order; skip damaged lines."""
    path = folder / ROUNDS_FILE
    if not path.is_file():
        return
    with path.open("rb") as file:
        for line in file:
            if parsed := parse_round(line):
                yield parsed


def last_round(folder: Path) -> Round | None:
    """Return the latest round that is whole, or None."""
    path = folder / ROUNDS_FILE
    if not path.is_file():
        return None
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - TAIL_BYTES))
        for line in reversed(file.read().splitlines()):
            if parsed := parse_round(line):
                return parsed
    return None
