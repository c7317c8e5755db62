"""rounds.jsonl: the state after every merge, one checked line a round.

State is ids and numbers, and attempts form a chain of hashes, so that a line of some hundred bytes is the whole run as it stood then: a run
is forked from it, imported on another machine, and goes on from it when its checkpoints are lost.
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

    `events_bytes` and `events_sha256` say how far events.jsonl reached, and whether that part was changed since.
    """

    number: int
    raw_state: Json
    events_bytes: int
    events_sha256: str

    @property
    def state(self) -> RunState:
        """The state, typed. Raises ValidationError for one that was changed by hand."""
        return RunState.model_validate(self.raw_state)

    @property
    def step(self) -> int:
        """Attempts that every trace has made by then, unless it ended before."""
        return max((trace.step for trace in self.state.traces.values()), default=0)


def store_round(folder: Path, state: RunState, events: Events) -> None:
    """Appends the state; a node that runs again after a kill appends the same round again, and the later line counts."""
    size, digest = events.mark
    body = {
        "round": state.round,
        "state": state.dump(),
        "events_bytes": size,
        "events_sha256": digest,
    }
    append_line(folder / ROUNDS_FILE, seal_round(body))


def append_line(path: Path, line: str) -> None:
    """One whole line at the end, also after a line that a kill cut short."""
    with path.open("ab+") as file:
        if file.seek(0, 2):
            file.seek(-1, 2)
            if file.read(1) != b"\n":
                file.write(b"\n")
        file.write(line.encode() + b"\n")


def seal_round(body: Json) -> str:
    text = json.dumps(body, sort_keys=True)
    return json.dumps({"sha256": hashlib.sha256(text.encode()).hexdigest(), "body": text})


def parse_round(line: str | bytes) -> Round | None:
    """The round of a line, or None where its content is not what its hash says."""
    try:
        outer = json.loads(line)
        if hashlib.sha256(outer["body"].encode()).hexdigest() != outer["sha256"]:
            return None
        body = json.loads(outer["body"])
        return Round(
            int(body["round"]), body["state"], int(body["events_bytes"]), str(body["events_sha256"])
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def read_rounds(folder: Path) -> Iterator[Round]:
    """The rounds in the order they were kept; damaged lines are passed over."""
    path = folder / ROUNDS_FILE
    if not path.exists():
        return
    with path.open("rb") as file:
        for line in file:
            if found := parse_round(line):
                yield found


def last_round(folder: Path) -> Round | None:
    """The latest round that is whole."""
    path = folder / ROUNDS_FILE
    if not path.exists():
        return None
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - TAIL_BYTES))
        for line in reversed(file.read().splitlines()):
            if found := parse_round(line):
                return found
    return None
