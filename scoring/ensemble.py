"""Ensembles: predictions of recorded attempts, blended by the harness without retraining.

The pool holds the attempts of all traces whose predictions may be blended. It is an artifact, named
in the state, so a resumed or forked run sees exactly the attempts of its time.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from pathlib import Path

from pydantic import RootModel

from graph.state import Best, StateModel, Trace, Verdict, Work
from run.attempt import OOF, SUBMISSION, Attempt, ExecutionRecord, Member, best_from, is_refused
from run.run import Run
from scoring.acceptance import Acceptance
from scoring.evaluation import Candidate, evaluate_candidate
from scoring.records import announce_attempt, assemble_attempt
from task.types import Blend, TaskError

N_POOL = 60  # attempts in the pool, the best by score
N_NAMEABLE = 12  # of them a reasoner may name


class PoolEntry(StateModel):
    """An attempt that may be blended."""

    id: str
    ref: str
    trace: int
    score: float
    verdict: Verdict
    kind: str
    kept: bool  # it became its trace's best


class Pool(RootModel[list[PoolEntry]]):
    """The pool as it is stored."""


def read_pool(run: Run, pool: str | None) -> list[PoolEntry]:
    """Return the entries of a pool, best first."""
    return run.artifacts.get_model(pool, Pool).root if pool else []


def extend_pool(run: Run, pool: str | None, fresh: Sequence[Sequence[Attempt]]) -> str:
    """Return the pool with each trace's fresh attempts added.

    When a trace removes a flaw of the data, its earlier attempts are no longer honest and leave.
    """
    entries = read_pool(run, pool)
    for attempts in fresh:
        for attempt in attempts:
            if attempt.validity:
                entries = [entry for entry in entries if entry.trace != attempt.trace]
            if is_blendable(attempt):
                entries.append(_pool_entry(attempt))
    unique = {entry.id: entry for entry in entries}.values()
    ranked = sorted(unique, key=lambda entry: (-run.sign * entry.score, entry.id))
    return run.artifacts.put_json([entry.dump() for entry in ranked[:N_POOL]])


def _pool_entry(attempt: Attempt) -> PoolEntry:
    return PoolEntry.model_validate(
        {**attempt.dump(), "ref": attempt.ref, "kept": attempt.replaces}
    )


def is_blendable(attempt: Attempt) -> bool:
    """Whether an attempt's predictions are valid and honest."""
    if attempt.verdict == "failed" or attempt.problems or attempt.score is None:
        return False
    if is_refused(attempt.codes):
        return False
    return bool(attempt.oof and attempt.submission)


def accepted_ids(run: Run, pool: str | None) -> list[str]:
    """Return the ids of the pool's attempts that became their trace's best."""
    return sorted(entry.id for entry in read_pool(run, pool) if entry.kept)


def _single_entries(run: Run, pool: str | None) -> list[PoolEntry]:
    """Return what an ensemble may blend, best first: every entry that is no ensemble itself."""
    return [entry for entry in read_pool(run, pool) if entry.kind != "ensemble"]


def pool_members(run: Run, pool: str | None, ids: Sequence[str] | None = None) -> list[Attempt]:
    """Return the attempts of `ids`, or every solution that became its trace's best."""
    single = _single_entries(run, pool)
    if ids is None:
        members = [entry for entry in single if entry.kept]
    else:
        members = [entry for entry in single if entry.id in ids]
    return [run.attempt(entry.ref) for entry in members]


def nameable_members(run: Run, pool: str | None) -> list[Attempt]:
    """Return the attempts of all traces that a reasoner's ensemble may name, best first."""
    if not run.settings.ensemble:
        return []
    return [run.attempt(entry.ref) for entry in _single_entries(run, pool)[:N_NAMEABLE]]


def describe_unknown_members(run: Run, pool: str | None, ids: Sequence[str]) -> str:
    """Say what is wrong with an ensemble's members; empty: nothing."""
    known = {member.id for member in pool_members(run, pool, ids)}
    if len(known) > 1 and known == set(ids):
        return ""
    return f"{', '.join(ids)[:200]}, of which {len(known)} can be blended"


async def blend_members(run: Run, name: str, members: Sequence[Attempt]) -> ExecutionRecord:
    """Blend the members; return the ensemble's execution: files, weights, and its driver script."""

    async def blend() -> ExecutionRecord:
        folder = run.folder / "work" / f"{name}-blend"
        folder.mkdir(parents=True, exist_ok=True)
        try:
            return await _blend_into(run, folder, members)
        except TaskError as error:
            return ExecutionRecord(exit_code=1, log=run.artifacts.put(f"TaskError: {error}"))
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, True)

    parts = [name, *(member.ref for member in members)]
    return await run.once("blend", parts, blend, ExecutionRecord)


async def _blend_into(run: Run, folder: Path, members: Sequence[Attempt]) -> ExecutionRecord:
    known = {member.id: member for member in members}
    paths = {
        name: {
            "oof": str(run.artifacts.path(str(member.oof))),
            "submission": str(run.artifacts.path(str(member.submission))),
        }
        for name, member in known.items()
    }
    answer = await run.worker.blend(run.prepared, paths, str(folder))
    driver = await run.worker.blend_driver(answer)
    blend = Blend.model_validate(answer)
    shares = "\n".join(f"{weight:.3f}  {name}" for name, weight in blend.weights.items())
    return ExecutionRecord(
        exit_code=0,
        wall_s=blend.seconds,
        files={
            OOF: run.artifacts.put_file(Path(blend.oof)),
            SUBMISSION: run.artifacts.put_file(Path(blend.submission)),
        },
        log=run.artifacts.put(f"{blend.method} of\n{shares}\n"),
        members={
            name: Member(weight=weight, script=str(known[name].script))
            for name, weight in blend.weights.items()
        },
        member_s=sum(known[name].seconds for name in blend.weights),
        script=run.artifacts.put(driver),
    )


async def challenge_best(
    run: Run, number: int, pool: str, single: Best, acceptance: Acceptance | None = None
) -> Best | None:
    """Return the pool's ensemble if it beats the best single solution beyond noise, else None."""
    members = pool_members(run, pool)
    if not run.settings.ensemble or len({member.script for member in members}) < 2:
        return None
    name = f"m{number}"
    execution = await blend_members(run, name, members)
    if not execution.ok or len(execution.members) < 2:
        return None
    candidate = Candidate(
        attempt=name,
        script=str(execution.script),
        execution=execution,
        seconds=execution.member_s or 0.0,
        repeatable=False,
    )
    grade, judgement = await evaluate_candidate(run, candidate, single, acceptance)
    work = Work(
        attempt=name,
        kind="ensemble",
        mode="ensemble",
        why="accepted solutions of all traces",
        parent=single.attempt,
        summary=_describe_blend(execution),
        script=execution.script,
        execution=run.artifacts.put_json(execution.dump()),
        grade=run.artifacts.put_json(grade.model_dump()),
        verdict=judgement.verdict,
        replaces=judgement.verdict == "accepted",
        reasons=judgement.texts,
        codes=judgement.codes,
    )
    attempt = assemble_attempt(run, Trace(trace=-1, step=number), work)
    announce_attempt(run, attempt)
    return best_from(attempt) if work.replaces else None


def _describe_blend(execution: ExecutionRecord) -> str:
    shares = sorted(execution.members.items(), key=lambda item: -item[1].weight)
    return "blend of " + ", ".join(f"{name} {member.weight:.2f}" for name, member in shares[:6])
