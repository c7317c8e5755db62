"""The evidence of a script as a brief gives it: with its relations to other attempts of the run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict

from graph.state import Json, Trace
from run.attempt import Attempt
from run.ledger import ScoredFile
from run.run import Run
from task.client import WorkerError
from task.types import TaskError

N_RELATED = 4  # attempts that a script is compared with, the best by score, and the last blend


class CloserLook(BaseModel):
    """Relations of one script by attempt, and its worst rows, as stored."""

    model_config = ConfigDict(frozen=True)
    relations: dict[str, dict[str, Any]] = {}
    worst: list[dict[str, Any]] = []


async def read_evidence(run: Run, trace: Trace, attempt: Attempt) -> Json:
    """Return the evidence of an attempt, with its worst rows and its relations to others.

    These two are stored in done/ and not as artifacts, since they quote rows.
    """
    evidence: Json = run.artifacts.get_json(str(attempt.evidence))
    if not attempt.oof:
        return evidence
    others = related_files(run, trace, attempt)
    paths = {each.attempt: str(run.artifacts.path(each.oof)) for each in others}

    async def look() -> CloserLook:
        own = str(run.artifacts.path(str(attempt.oof)))
        answer = await run.worker.look_closer(run.prepared, own, paths)
        return CloserLook.model_validate(answer)

    try:
        closer = await run.once("closer", [attempt.ref, *sorted(paths)], look, CloserLook)
    except (TaskError, WorkerError) as error:
        run.warn(f"{attempt.id} is not compared with others: {str(error).splitlines()[-1][:200]}")
        return evidence
    known = {each.attempt: each for each in others}
    found = {
        name: {**item, "what": describe_file(known[name]), "members": known[name].members}
        for name, item in closer.relations.items()
    }
    more = {"relations": found, "worst": closer.worst}
    return evidence | {key: value for key, value in more.items() if value}


def related_files(run: Run, trace: Trace, attempt: Attempt) -> list[ScoredFile]:
    """Return the last blend of a merge and the best other attempts, each file once."""
    scored = run.ledger.scored_files(trace.trace)
    blends = [each for each in scored if each.is_merge][-1:]
    rest = [each for each in scored if not each.is_merge]
    ranked = sorted(rest, key=lambda each: (-run.sign * each.score, each.attempt))
    return choose_distinct([*blends, *ranked], attempt)[: N_RELATED + len(blends)]


def choose_distinct(files: Sequence[ScoredFile], attempt: Attempt) -> list[ScoredFile]:
    """Leave out the attempt itself and files of the same bytes."""
    seen = {attempt.oof}
    chosen = []
    for each in files:
        if each.attempt != attempt.id and each.oof not in seen:
            seen.add(each.oof)
            chosen.append(each)
    return chosen


def describe_file(scored: ScoredFile) -> str:
    """Say what an attempt is: a blend by its members and weights, else its summary."""
    if not scored.weights:
        return scored.summary
    shares = ", ".join(f"{name} {weight:.2f}" for name, weight in scored.weights[:6])
    return f"blend of {shares}"
