"""Where a run goes on: from its checkpoint, or from the last whole round where the checkpoint is gone, damaged, or of another place."""

from __future__ import annotations

import sqlite3
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, cast

from langgraph.checkpoint.serde.event_hooks import register_serde_event_listener
from pydantic import TypeAdapter, ValidationError

from graph.state import SCHEMA_VERSION, RunState
from run.best import publish, published
from run.events import is_prefix
from run.rounds import Round, last_round
from run.run import Json, Run, RunError

AHEAD_S = 120.0  # a checkpoint this far in the future was written before the clock went back


class Damaged(Exception):
    """The checkpoints cannot be used; the message says why."""


class Stand(NamedTuple):
    """What the checkpoints say: the state, and whether nodes are left to run."""

    state: RunState
    unfinished: bool


async def standing(run: Run, graph: Any, config: Any) -> Stand | None:
    """The latest state in the checkpoints, checked; None: there is none, or it is of the folder that this one was copied from.

    Raises RunError for a state that Gome did not write or that a newer Gome wrote, Damaged where nothing can be read.
    """
    try:
        with blocked_types() as blocked:
            snapshot = await graph.aget_state(config, subgraphs=True)
    except (sqlite3.DatabaseError, ValueError, TypeError, KeyError) as error:
        raise Damaged(f"checkpoints.sqlite is damaged ({error})") from error
    if blocked:
        raise foreign(run, f"it asks to build {blocked[0]}")
    if not snapshot.values:
        return None
    state = checked(run, snapshot.values)
    if in_future(snapshot.config["configurable"].get("checkpoint_id", "")):
        raise Damaged("the clock went back since the last session")
    return Stand(state, bool(snapshot.next)) if state["run_dir"] == str(run.folder) else None


def checked(run: Run, values: Json) -> RunState:
    """The stored state, typed. A row that was changed by hand is refused here, before any of it is used."""
    version = values.get("schema_version")
    if version != SCHEMA_VERSION:
        age = "an older" if isinstance(version, int) and version < SCHEMA_VERSION else "a newer"
        raise RunError(
            f"{run.folder} was written by {age} Gome (its state has version {version!r}, this one reads {SCHEMA_VERSION}); "
            "resume it with that one, or start a new run"
        )
    try:
        return TypeAdapter(RunState).validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise foreign(run, f"{where}: {first['msg']}") from None


def foreign(run: Run, why: str) -> RunError:
    return RunError(
        f"{run.folder}/checkpoints.sqlite holds a state that Gome did not write ({why}); nothing of it was used. "
        "Delete the file to go on from the last merge (rounds.jsonl), or restore a copy"
    )


@contextmanager
def blocked_types() -> Iterator[list[str]]:
    """The classes and functions that stored rows ask for meanwhile; the serialiser builds none of them, and we want to know."""
    found: list[str] = []
    forget = register_serde_event_listener(
        lambda event: found.append(f"{event['module']}.{event['name']}"[:100])
    )
    try:
        yield found
    finally:
        forget()


def in_future(checkpoint: str) -> bool:
    """Whether a checkpoint's id (a time-ordered UUID) lies ahead of the clock: new ones would sort before it and be lost."""
    try:
        ticks = uuid.UUID(checkpoint)
    except ValueError:
        return False
    stamp = (
        ticks.time_low << 28 | ticks.time_mid << 12 | ticks.time_hi_version & 0x0FFF
    ) / 1e7 - 12219292800
    return stamp > time.time() + AHEAD_S


def set_aside(path: Path) -> Path | None:
    """Moves a damaged checkpoint file (and its journal) out of the way; gives its new name."""
    if not path.exists():
        return None
    kept = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}")
    path.replace(kept)
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    return kept


async def from_last_round(run: Run, graph: Any, config: Any) -> bool:
    """Puts the last whole round into the checkpoints; False: there is none, the run begins anew (what it finished is found in done/)."""
    known = last_round(run.folder)
    if known is None:
        return False
    await place(run, graph, config, known)
    return True


async def place(run: Run, graph: Any, config: Any, known: Round) -> None:
    state = cast(Json, checked(run, dict(known.state))) | {
        "run_dir": str(run.folder),
        "schema_version": SCHEMA_VERSION,
    }
    await graph.aupdate_state(config, state, as_node="steer" if known.number else "profile")


async def settle(run: Run, state: RunState) -> None:
    """Events lost are made up for from the state, and best/ is complete again."""
    run.events.spent(state["used"])
    known = last_round(run.folder)
    if known and not is_prefix(run.events.path, known.events_bytes, known.events_sha256):
        warn(
            run,
            f"events.jsonl was changed or cut before round {known.number}: the report may lack steps; the budgets and the run itself "
            "are taken from the checkpoint",
        )
    best = state.get("best")
    if best and not published(run.folder / "best"):
        await publish(run, best, force=True)


def warn(run: Run, message: str) -> None:
    run.events.emit("warning", message=message)
