"""gome fork: a new run that begins where another stood after some step; what is not changed comes out the same."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import time
from pathlib import Path

from pydantic import ValidationError

from graph.settings import Settings
from graph.state import Json, RunState, Trace
from run.artifacts import write_atomic
from run.events import Events, parse_event
from run.folder import read_run_meta, reroot_paths, write_run_meta
from run.hints import HINTS_FILE as HINTS
from run.hints import hints_until
from run.lock import RunError
from run.rounds import ROUNDS_FILE, Round, parse_round, read_rounds, store_round
from run.steering import wake_trace

FIXED = ("audit", "n_folds")  # the data were prepared by them


def fork(folder: Path, at: int | None, changes: Json, *, fresh: bool = False) -> Path:
    """The folder of the new run, ready for `resume`. `at`: attempts that every trace has made by then; None: the latest round.

    With nothing changed it takes over the answers and executions that the original made later, so that it repeats it exactly;
    `fresh` thinks and runs again. Raises RunError.
    """
    meta = read_run_meta(folder)
    settings = changed(meta["settings"], changes)
    known = round_at(folder, at)
    name = f"{folder.name[:80]}-at{known.step}-{secrets.token_hex(2)}"
    new = folder.parent / name
    carry(folder, new, kept=not changes and not fresh)
    events = fork_events(folder, new, known, name, settings)
    origin = {"run": meta["run"], "at": known.step, "round": known.number, "changes": changes}
    events.emit("forked", key="fork", **origin)
    write_rounds(folder, new, known, _forked_state(known.state, new, settings), events)
    task = reroot_paths(meta["task"], {str(folder): str(new)})
    write_run_meta(
        new,
        meta
        | {
            "task": task,
            "run": name,
            "parent": origin,
            "created": now(),
            "settings": settings.model_dump(),
        },
    )
    return new


def changed(settings: Json, changes: Json) -> Settings:
    """The original's settings with the changes. Raises RunError for what cannot be changed any more."""
    for name in changes:
        if name in FIXED:
            raise RunError(
                f"--set {name}: folds and audit rows were fixed when the run began; start a new run for other ones"
            )
        if name not in Settings.model_fields:
            raise RunError(
                f"--set {name}: no such setting; there are {', '.join(sorted(Settings.model_fields))}"
            )
    try:
        return Settings.model_validate(settings | changes)
    except ValidationError as error:
        first = error.errors()[0]
        raise RunError(f"--set {'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def round_at(folder: Path, at: int | None) -> Round:
    rounds = {each.step: each for each in read_rounds(folder)}
    if not rounds:
        raise RunError(
            f"{folder} has no finished round to fork from (rounds.jsonl); let it run a while"
        )
    step = max(rounds) if at is None else at
    if step not in rounds:
        known = sorted(rounds)
        shown = ", ".join(map(str, known[:8])) + (f", … {known[-1]}" if len(known) > 8 else "")
        raise RunError(
            f"--at {step}: {folder.name} has no round that ended there; there are {shown}"
        )
    return rounds[step]


def carry(folder: Path, new: Path, *, kept: bool) -> None:
    """What never changes is shared by hard links where the disk allows it, else copied."""
    for name in ("artifacts", "public", "private", "task", *(["done"] if kept else [])):
        if (folder / name).is_dir():
            shutil.copytree(folder / name, new / name, copy_function=link, symlinks=True)
    if not kept and (folder / "done").is_dir():  # what the audit rows have told stays told
        shutil.copytree(folder / "done", new / "done", copy_function=link, ignore=but_audit)
    for name in ("work", "best", "artifacts"):
        (new / name).mkdir(parents=True, exist_ok=True)
    if (new / "private").exists():
        (new / "private").chmod(0o700)
    shutil.copy2(folder / "setup.json", new / "setup.json")


def but_audit(_: str, names: list[str]) -> list[str]:
    return [name for name in names if not name.startswith("audit-")]


def link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def fork_events(folder: Path, new: Path, known: Round, name: str, settings: Settings) -> Events:
    """The events until then, as those of the new run."""
    lines, t = [], 0.0
    with (folder / "events.jsonl").open("rb") as file:
        for line in file.read(known.events_bytes).splitlines(keepends=True):
            event = parse_event(line)
            if event is None:
                continue
            t = max(t, float(event.get("t") or 0))
            if event.get("ev") == "run_started":
                line = (
                    json.dumps(
                        event
                        | {"run": name, "settings": settings.model_dump(), "steps": settings.steps}
                    ).encode()
                    + b"\n"
                )
            lines.append(line)
    write_atomic(new / "events.jsonl", b"".join(lines))
    if hints := hints_until(folder, t):
        write_atomic(new / HINTS, "".join(hint + "\n" for hint in hints))
    return Events(new / "events.jsonl")


def _forked_state(state: RunState, new: Path, settings: Settings) -> RunState:
    """The state at its new place, with as many traces as are wanted now.

    More steps wake the traces that had used all of theirs.
    """
    traces = {key: each for key, each in state.traces.items() if each.trace < settings.traces}
    for index in range(settings.traces):
        traces.setdefault(str(index), Trace(trace=index))
    woken = {key: wake_trace(trace, state.steps, settings.steps) for key, trace in traces.items()}
    may_continue = settings.steps > state.steps and state.stop == "budget: steps"
    return state.evolve(
        run_dir=str(new),
        steps=settings.steps,
        merge_every=settings.merge_every,
        traces=woken,
        stop="" if may_continue else state.stop,
    )


def write_rounds(folder: Path, new: Path, known: Round, state: RunState, events: Events) -> None:
    """The earlier rounds as they are, so that the fork can be forked too, and the one that it begins with."""
    earlier = []
    for line in (folder / ROUNDS_FILE).read_bytes().splitlines(keepends=True):
        each = parse_round(line)
        if each == known:
            break
        if each:
            earlier.append(line)
    write_atomic(new / ROUNDS_FILE, b"".join(earlier))
    store_round(new, state, events)


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")
