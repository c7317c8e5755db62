"""Where a run resumes: from its checkpoint, or from the last whole round if that is unusable."""

from __future__ import annotations

import sqlite3
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from langgraph.checkpoint.serde.event_hooks import register_serde_event_listener
from pydantic import ValidationError

from graph.build import Compiled
from graph.state import SCHEMA_VERSION, Json, RunState
from run.best import publish_best, read_best
from run.checkpoints.open import Saver, open_checkpoints
from run.events import is_prefix
from run.lock import RunError
from run.rounds import last_round
from run.run import Run
from scoring.baseline import publish_baseline
from session.disk_errors import is_corrupt
from session.ends import ended_state

Answered = TypeVar("Answered")
AHEAD_S = 120.0  # a checkpoint this far in the future was written before the clock went back


class CheckpointsDamagedError(Exception):
    """The checkpoints cannot be used; the message says why."""


class Standing(NamedTuple):
    """State restored from the checkpoint, and whether work remains."""

    state: RunState
    unfinished: bool


async def read_standing(
    run: Run, graph: Compiled, config: Any, *, just_restored: bool = False
) -> Standing | None:
    """Return the latest state in the checkpoints, checked.

    None: there is none, or it belongs to the folder that this one was copied from.
    `just_restored`: this process wrote it. Its id may be ahead of a clock that went back meanwhile,
    because ids only ever rise within a process; so do those of all that follow.

    Raises:
        RunError: the state was not written by Gome, or by a newer one.
        CheckpointsDamagedError: nothing can be read.
    """
    try:
        with _watch_blocked_types() as blocked:
            snapshot = await graph.aget_state(config, subgraphs=True)
    except (
        sqlite3.DatabaseError,
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
        RecursionError,
    ) as error:
        raise CheckpointsDamagedError(f"checkpoints.sqlite is damaged ({error})") from error
    if blocked:
        raise _foreign_state(run, f"it asks to build {blocked[0]}")
    if not snapshot.values:
        return None
    if not isinstance(snapshot.values, dict):
        raise CheckpointsDamagedError("checkpoints.sqlite holds no state")
    if "schema_version" not in snapshot.values and set(snapshot.next) <= {"__start__", "profile"}:
        return None  # the run ended before its first state
    state = check_state(run, snapshot.values)
    if not just_restored and _is_in_future(
        snapshot.config["configurable"].get("checkpoint_id", "")
    ):
        raise CheckpointsDamagedError("the clock went back since the last session")
    if state.run_dir != str(run.folder):
        return None
    return Standing(state, bool(snapshot.next))


def check_state(run: Run, values: Json) -> RunState:
    """Return the stored state, typed.

    Raises:
        RunError: the state is of another version, or not one that Gome wrote.
    """
    version = values.get("schema_version")
    if version != SCHEMA_VERSION:
        is_older = isinstance(version, int) and version < SCHEMA_VERSION
        age = "an older" if is_older else "a newer"
        raise RunError(
            f"{run.folder} was written by {age} Gome (its state has version {version!r}, this one "
            f"reads {SCHEMA_VERSION}); resume it with that one, or start a new run"
        )
    try:
        return RunState.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise _foreign_state(run, f"{where}: {first['msg']}") from None


def _foreign_state(run: Run, why: str) -> RunError:
    return RunError(
        f"{run.folder}/checkpoints.sqlite holds a state that Gome did not write ({why}); nothing "
        "of it was used. Delete the file to resume from the last merge (rounds.jsonl), or restore "
        "a copy"
    )


@contextmanager
def _watch_blocked_types() -> Iterator[list[str]]:
    """Collect the types that stored rows ask for; the serialiser builds none of them."""
    names: list[str] = []
    unregister = register_serde_event_listener(
        lambda event: names.append(f"{event['module']}.{event['name']}"[:100])
    )
    try:
        yield names
    finally:
        unregister()


def _is_in_future(checkpoint: str) -> bool:
    """Whether a checkpoint's id (a time-ordered UUID) is ahead of the clock.

    New checkpoints would sort before it.
    """
    try:
        ticks = uuid.UUID(checkpoint)
    except (ValueError, AttributeError, TypeError):
        return False
    time_high = ticks.time_hi_version & 0x0FFF
    stamp = (ticks.time_low << 28 | ticks.time_mid << 12 | time_high) / 1e7 - 12219292800
    return stamp > time.time() + AHEAD_S


def set_aside(path: Path) -> Path | None:
    """Move a damaged checkpoint file (and its journal) out of the way; return its new path."""
    if not path.exists():
        return None
    aside = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}")
    path.replace(aside)
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    return aside


async def use_checkpoints(
    run: Run, url: str, use: Callable[[Saver], Awaitable[Answered]]
) -> Answered:
    """Call `use` with the checkpoints; set an unusable file aside and call it again without."""
    try:
        async with open_checkpoints(run.folder, url) as saver:
            return await use(saver)
    except (CheckpointsDamagedError, sqlite3.DatabaseError) as error:
        is_damaged = isinstance(error, CheckpointsDamagedError) or is_corrupt(error)
        if url or not is_damaged:
            raise
        aside = set_aside(run.folder / "checkpoints.sqlite")
        run.warn(
            f"{error}; stored as {aside.name if aside else 'nothing'}, the run resumes from its "
            "last merge and repeats nothing finished"
        )
    async with open_checkpoints(run.folder, url) as saver:
        return await use(saver)


async def restore_last_round(run: Run, graph: Compiled, config: Any) -> bool:
    """Put the last whole round into the checkpoints; of a run that has ended, its end.

    False: there is none; the run starts over and finds its finished work in done/.
    """
    known = last_round(run.folder)
    if known is None:
        return False
    state = check_state(run, dict(known.raw_state)).evolve(run_dir=str(run.folder))
    node = "steer" if known.number else "profile"
    if ended := ended_state(run, state):
        state, node = ended, "finalize"
    await graph.aupdate_state(config, state.dump(), as_node=node)
    return True


def check_data(run: Run) -> None:
    """Refuse to continue a run without its tables or labels.

    Raises:
        RunError: one is missing.
    """
    prepared = run.prepared
    for path in map(Path, [prepared.private, *prepared.inputs.values()]):
        if not path.exists():
            raise RunError(f"{path} is missing, and the run needs it; restore a copy of it")


async def settle_run(run: Run, state: RunState) -> None:
    """Make up for lost events from the state, and complete best/.

    Raises:
        RunError: the run's data is gone.
    """
    check_data(run)
    run.events.raise_used(state.used)
    known = last_round(run.folder)
    if known and not is_prefix(run.events.path, known.events_bytes, known.events_sha256):
        run.warn(
            f"events.jsonl was changed or cut before round {known.number}: the report may lack "
            "steps; the budgets and the run itself are taken from the checkpoint"
        )
        for trace in state.sorted_traces():
            run.ledger.complete(run.chain(trace.head))
    best = read_best(run.folder / "best")
    if state.best and (best is None or best.baseline):
        await publish_best(run, state.best, force=True)
    elif best is None:
        await publish_baseline(run)
