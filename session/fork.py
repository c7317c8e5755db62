"""gome fork: a new run that starts from a finished round of another, with other settings."""

from __future__ import annotations

import itertools
import json
import os
import secrets
import shutil
import time
from pathlib import Path

from pydantic import ValidationError

from graph.settings import Settings, fixed_in_fork, load_settings
from graph.state import Json, RunState, Trace
from run.artifacts import write_atomic
from run.events import Events, iterate_events, parse_event, read_lines, to_amount
from run.folder import check_regular_files, read_run_meta, reroot_paths, write_run_meta
from run.hints import HINTS_FILE as HINTS
from run.hints import hints_until
from run.lock import RunError
from run.ownership import is_own_run, own_run
from run.rounds import ROUNDS_FILE, Round, parse_round, read_rounds, store_round
from run.run import name_done
from run.setup import read_setup
from run.steering import wake_trace
from run.variants import seeded_event_key, seeded_parts
from settings.field import describe_rejection

FIXED_SETTINGS = fixed_in_fork()
MAX_SEED = 20  # that a setting allows


def fork_run(folder: Path, at: int | None, changes: Json, *, fresh: bool = False) -> Path:
    """Create the fork; return its folder, ready for `gome resume`.

    Args:
        folder: the original run.
        at: attempts that every trace had made by then; None: the latest round.
        changes: settings to change. Without any, the fork reuses the later answers and executions
            of the original, and so repeats it exactly.
        fresh: ask and execute again even if nothing is changed.

    Raises:
        RunError: there is no such round, or a setting cannot be changed.
    """
    meta = read_run_meta(folder)
    check_regular_files(folder)
    settings = change_run_settings(meta["settings"], changes)
    known = select_round(folder, at)
    read_setup(folder)  # a run that lacks it, or has none that can be read, is not forked
    name = f"{folder.name[:80]}-at{known.step}-{secrets.token_hex(2)}"
    new = folder.parent / name
    copy_run_files(folder, new, reuse=not changes and not fresh)
    events = fork_events(folder, new, known, name, settings)
    copy_seeds(folder, new)
    origin = {"run": meta["run"], "at": known.step, "round": known.number, "changes": changes}
    events.emit("forked", key="fork", **origin)
    write_rounds(folder, new, known, _forked_state(known.state, new, settings), events)
    task = reroot_paths(meta["task"], {str(folder): str(new)})
    created = {"run": name, "parent": origin, "created": format_now()}
    write_run_meta(new, {**meta, "task": task, **created, "settings": settings.model_dump()})
    if is_own_run(meta["run"], load_settings(meta["settings"])):
        own_run(name, settings)
    return new


def change_run_settings(settings: Json, changes: Json) -> Settings:
    """Return the original's settings with the changes.

    Raises:
        RunError: a setting is unknown, invalid, or fixed since the run began.
    """
    for name in changes:
        if name in FIXED_SETTINGS:
            raise RunError(
                f"--set {name}: folds and audit rows were fixed when the run began; "
                "start a new run for other ones"
            )
        if name not in Settings.model_fields:
            names = ", ".join(sorted(Settings.model_fields))
            raise RunError(f"--set {name}: no such setting; there are {names}")
    try:
        return load_settings(settings | changes)
    except ValidationError as error:
        name, expected = describe_rejection(error, Settings.model_fields)
        raise RunError(f"--set {name}: {expected}") from None


def select_round(folder: Path, at: int | None) -> Round:
    """Return the round after `at` attempts of every trace; None: the latest.

    Raises:
        RunError: there is no such round.
    """
    try:
        rounds = {each.step: each for each in read_rounds(folder)}
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise RunError(
            f"{folder}/rounds.jsonl holds a state that this Gome did not write ({where}: "
            f"{first['msg']}); fork it with the Gome that wrote it, or restore a copy"
        ) from None
    if not rounds:
        raise RunError(
            f"{folder} has no finished round to fork from (rounds.jsonl); let it run a while"
        )
    step = max(rounds) if at is None else at
    if step not in rounds:
        steps = sorted(rounds)
        more = f", … {steps[-1]}" if len(steps) > 8 else ""
        raise RunError(
            f"--at {step}: {folder.name} has no round that ended there; "
            f"there are {', '.join(map(str, steps[:8]))}{more}"
        )
    return rounds[step]


def copy_run_files(folder: Path, new: Path, *, reuse: bool) -> None:
    """Copy what never changes, by hard links where the disk allows it.

    `reuse`: with finished answers and executions; without, only with what the audit rows revealed,
    which cannot be undone.
    """
    kept = ("artifacts", "calls", "made", "public", "private", "media", "task")
    for name in (*kept, *(["done"] if reuse else [])):
        if (folder / name).is_dir():
            shutil.copytree(folder / name, new / name, copy_function=link_or_copy, symlinks=True)
    if not reuse and (folder / "done").is_dir():
        shutil.copytree(
            folder / "done", new / "done", copy_function=link_or_copy, ignore=ignore_all_but_audit
        )
    for name in ("work", "best", "artifacts"):
        (new / name).mkdir(parents=True, exist_ok=True)
    if (new / "private").exists():
        (new / "private").chmod(0o700)
    shutil.copy2(folder / "setup.json", new / "setup.json")


def ignore_all_but_audit(_: str, names: list[str]) -> list[str]:
    """Return the names to leave out, for shutil.copytree."""
    return [name for name in names if not name.startswith("audit-")]


def copy_seeds(folder: Path, new: Path) -> None:
    """Copy what the fork's attempts predicted under further seeds before it began.

    Comparisons use the mean over all seeds that were run, which the events of the fork name.
    """
    known = list(iterate_events(new / "events.jsonl"))
    ended = {str(event.get("key")) for event in known if event.get("ev") == "execution_finished"}
    attempts = [event for event in known if event.get("ev") == "attempt"]
    (new / "done").mkdir(exist_ok=True)
    for event, seed in itertools.product(attempts, range(1, MAX_SEED + 1)):
        parts = seeded_parts(str(event.get("script")), seed, str(event.get("variant", "")))
        source, target = (each / "done" / name_done("seeded", parts) for each in (folder, new))
        if seeded_event_key(parts) in ended and source.is_file() and not target.exists():
            link_or_copy(str(source), str(target))


def link_or_copy(source: str, target: str) -> None:
    """Hard-link a file, or copy it where that is not possible."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def fork_events(folder: Path, new: Path, known: Round, name: str, settings: Settings) -> Events:
    """Write the events up to this round, and the hints up to its time, as those of the new run."""
    lines, t = [], 0.0
    changes = {"run": name, "settings": settings.model_dump(), "steps": settings.steps}
    left = known.events_bytes
    for line in read_lines(folder / "events.jsonl"):
        if left <= 0:
            break
        event, left = parse_event(line[:left]), left - len(line)
        if event is None:
            continue
        t = max(t, to_amount(event.get("t")))
        if event.get("ev") == "run_started":
            line = json.dumps(event | changes).encode() + b"\n"
        lines.append(line)
    write_atomic(new / "events.jsonl", b"".join(lines))
    if hints := hints_until(folder, t):
        write_atomic(new / HINTS, "".join(hint + "\n" for hint in hints))
    return Events(new / "events.jsonl")


def _forked_state(state: RunState, new: Path, settings: Settings) -> RunState:
    """The state for the new folder, with the new number of traces.

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
    """Write the earlier rounds, so that the fork can be forked too, and the one it starts from."""
    earlier = []
    for line in (folder / ROUNDS_FILE).read_bytes().splitlines(keepends=True):
        each = parse_round(line)
        if each == known:
            break
        if each:
            earlier.append(line)
    write_atomic(new / ROUNDS_FILE, b"".join(earlier))
    store_round(new, state, events)


def format_now() -> str:
    """Return the local time as run.json stores it."""
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")
