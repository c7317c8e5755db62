"""The gradient is asked for: memory first, then the evidence of the script that is diagnosed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import TypeAdapter, ValidationError

from briefs.brief import common_fields, fact_from, scenario_weight
from briefs.excerpts import diff_artifacts, excerpt_log, quotable_attempts, quote_changes
from briefs.ledger import path_to_best
from briefs.recall import recall_ahead
from briefs.recipes import measured_moves, step_recipes
from briefs.relations import read_evidence
from graph.state import Json, Trace, TraceState
from reasoner.protocol import DiagnoseBrief, Diagnosis, Hint, Turn
from reasoner.settings import makes_change
from run.artifacts import REF, read_regular, write_atomic
from run.attempt import Attempt
from run.run import Run

TURNS: TypeAdapter[list[Turn]] = TypeAdapter(list[Turn])


class Gradient(Diagnosis):
    """A diagnosis with what the memory recalled for it, as it is stored."""

    hints: list[Hint] = []


class Offered(NamedTuple):
    """Attempts that an answer may name: to blend, to build on, to measure again."""

    members: Sequence[Attempt] = ()
    sources: Sequence[Attempt] = ()
    repeatable: Mapping[str, int] = {}  # may be measured again -> seeds that they ran under


async def ask_gradient(run: Run, state: TraceState, start: Attempt, offered: Offered) -> Gradient:
    """Ask for the diagnosis of `start`, with the change of the reasoner's own choice.

    `offered`: attempts that it may name.
    """
    trace = state.row
    wants_change = makes_change(run.settings)
    script = await script_fields(run, trace, start)
    common = common_fields(run, trace, state.attempt_in_progress, state.siblings)
    hints = []
    if wants_change:  # what the brief tells of this run anyway is not recalled once more
        told = {name for claim in common["ledger"].claims for name in claim.attempts}
        recalled = await recall_ahead(run, trace, start)
        hints = [hint for hint in recalled if hint.attempt not in told]
    step = step_fields(run, state, hints, offered) if wants_change else {}
    step["move_records"] = await measured_moves(run, script["evidence"], common)
    step["recipes"] = await step_recipes(run, trace, start, script["evidence"], common, hints)
    diagnosis = await run.reasoner.diagnose(
        DiagnoseBrief(
            **common,
            **step,
            **script,
            **_latest_fields(run, trace, start),
            wants_change=wants_change,
            scenario=scenario_weight(trace),
        )
    )
    if diagnosis.change is not None:
        change = diagnosis.change.model_copy(update={"limit_s": common["resources"].wall_s})
        diagnosis = diagnosis.model_copy(update={"change": change})
    return Gradient(**dict(diagnosis), hints=hints)


def store_gradient(run: Run, gradient: Gradient) -> str:
    """Store a diagnosis as an artifact; return its hash.

    Its turns quote rows of the data, so they stay out of the artifacts, which an export may hold.
    """
    turns = json.dumps([turn.model_dump() for turn in gradient.turns])
    thread = hashlib.sha256(turns.encode()).hexdigest() if gradient.turns else ""
    if thread:
        path = _thread_path(run, thread)
        path.parent.mkdir(exist_ok=True)
        write_atomic(path, turns)
    stored = gradient.model_copy(update={"turns": [], "thread": thread})
    return run.artifacts.put_json(stored.model_dump())


def load_gradient(run: Run, ref: str) -> Diagnosis:
    """Return a stored diagnosis; without its turns where the run does not have them any more."""
    diagnosis = run.artifacts.get_model(ref, Diagnosis)
    if not REF.fullmatch(diagnosis.thread):
        return diagnosis
    try:
        turns = TURNS.validate_json(read_regular(_thread_path(run, diagnosis.thread)))
    except (OSError, ValidationError):
        return diagnosis
    return diagnosis.model_copy(update={"turns": turns})


def _thread_path(run: Run, thread: str) -> Path:
    return run.folder / "done" / f"turns-{thread[:24]}.json"


async def script_fields(run: Run, trace: Trace, start: Attempt) -> Json:
    """Return script, evidence and log of the attempt that a step starts from."""
    return {
        "script": run.artifacts.get(str(start.script)),
        "evidence": await read_evidence(run, trace, start),
        "log": excerpt_log(run, start.log),
    }


def step_fields(
    run: Run,
    state: TraceState,
    hints: Sequence[Hint],
    offered: Offered,
) -> dict[str, Any]:
    """Return the fields of a brief from which a change can be made."""
    heads = list_heads(run, state)
    return {
        "hints": list(hints),
        "quotes": quote_changes(run, heads, hints, path_to_best(run, state.row)),
        "may_ask": len(quotable_attempts(run, heads)) > 1,
        "members": [fact_from(member) for member in offered.members],
        "sources": [fact_from(source) for source in offered.sources],
        "repeatable": dict(offered.repeatable),
        "measured": measured_scripts(run, heads),
    }


def list_heads(run: Run, state: TraceState) -> list[str | None]:
    """Return the heads of the trace and of those that share with it."""
    return [state.row.head, *(state.siblings if run.settings.sharing else [])]


def measured_scripts(run: Run, heads: Sequence[str | None]) -> dict[str, str]:
    """Return the hash of every script that was measured -> its attempt."""
    entries = [entry for head in heads for entry in run.history.chain(head)]
    return {entry.script: entry.id for entry in entries if entry.script and entry.has_oof}


def _latest_fields(run: Run, trace: Trace, start: Attempt) -> dict[str, Any]:
    """What the latest attempt changed and showed, where it is not the one that is diagnosed."""
    latest = run.attempt(trace.head) if trace.head else None
    if latest is None or latest.id == start.id or not latest.evidence:
        return {}
    return {
        "last": run.artifacts.get_json(latest.evidence),
        "last_diff": diff_artifacts(run, start.script, latest.script),
    }
