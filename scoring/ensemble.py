"""Ensembles: predictions of recorded attempts, blended by the harness without retraining."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from graph.state import Best, Trace, Work
from run.attempt import OOF, SUBMISSION, Attempt, ExecutionRecord, Member, best_from
from run.comparator import find_leader, leads
from run.members import PoolMember
from run.pool import list_members, pass_gates
from run.run import Run
from scoring.acceptance import Acceptance, judge_blend
from scoring.chain import sum_cpu_s
from scoring.evaluation import Candidate, evaluate_candidate
from scoring.records import announce_attempt, assemble_attempt
from task.types import Blend, TaskError

N_NAMEABLE = 12  # members of the pool that a reasoner may name


async def nameable_members(run: Run, heads: Sequence[str | None]) -> list[Attempt]:
    """Return the attempts that a reasoner's ensemble may name, best first.

    Each once, by what speaks for it; a variant can be named where its id is known.
    """
    if not run.settings.ensemble:
        return []
    known = [one for one in list_members(run, heads) if one.id == one.attempt]
    members = await pass_gates(run, known[:N_NAMEABLE])
    return [run.attempt(member.ref) for member in members]


async def named_members(
    run: Run, heads: Sequence[str | None], ids: Sequence[str]
) -> list[PoolMember]:
    """Return the members of the pool with these ids."""
    return await pass_gates(run, [one for one in list_members(run, heads) if one.id in ids])


async def describe_unknown(run: Run, heads: Sequence[str | None], ids: Sequence[str]) -> str:
    """Say what is wrong with an ensemble's members; empty: nothing."""
    known = {member.id for member in await named_members(run, heads, ids)}
    if len(known) > 1 and known == set(ids):
        return ""
    return f"{', '.join(ids)[:200]}, of which {len(known)} can be blended"


async def blend_members(run: Run, name: str, members: Sequence[PoolMember]) -> ExecutionRecord:
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

    parts = [member.oof for member in members]
    return await run.once("blend", parts, blend, ExecutionRecord)


async def _blend_into(run: Run, folder: Path, members: Sequence[PoolMember]) -> ExecutionRecord:
    known = {member.id: member for member in members}
    paths = {
        name: {
            "oof": str(run.artifacts.path(member.oof)),
            "submission": str(run.artifacts.path(member.submission)),
        }
        for name, member in known.items()
    }
    answer = await run.worker.blend(run.prepared, paths, str(folder))
    variants = {
        name: "" if run.attempt(member.ref).uses else member.variant  # a chain's driver knows it
        for name, member in known.items()
    }
    driver = await run.worker.blend_driver(answer, variants)
    blend = Blend.model_validate(answer)
    shares = "\n".join(f"{weight:.3f}  {name}" for name, weight in blend.weights.items())
    return ExecutionRecord(
        exit_code=0,
        wall_s=blend.seconds,
        files={
            OOF: run.artifacts.put_file(Path(blend.oof)),
            SUBMISSION: run.artifacts.put_file(Path(blend.submission)),
        },
        log=run.artifacts.put(f"{blend.method} of\n{shares}\nweights: {blend.candidate}\n"),
        members={
            name: Member(
                weight=weight,
                script=known[name].script,
                ref=known[name].ref,
                variant=known[name].variant,
                score=blend.members[name].score,
                alike=blend.members[name].alike,
            )
            for name, weight in blend.weights.items()
        },
        member_s=sum(known[name].seconds for name in blend.weights),
        member_cpu_s=sum_cpu_s(run, [run.attempt(known[name].ref) for name in blend.weights]),
        script=run.artifacts.put(driver),
    )


async def blend_pool(
    run: Run,
    name: str,
    members: Sequence[PoolMember],
    single: Best,
    acceptance: Acceptance | None = None,
) -> Attempt | None:
    """Blend the members and judge the blend against the best single solution; None: no blend.

    It `replaces` that where it is ahead. The audit is asked in the finale, not at every merge.
    """
    if len(members) < 2:
        return None
    execution = await blend_members(run, name, members)
    if not execution.ok or len(execution.members) < 2:
        return None
    candidate = Candidate(
        attempt=name,
        script=str(execution.script),
        execution=execution,
        seconds=execution.member_s or 0.0,
        repeatable=False,
        consults=False,
    )
    rule = acceptance or judge_blend
    grade, judgement = await evaluate_candidate(run, candidate, single, rule)
    work = Work(
        attempt=name,
        kind="ensemble",
        mode="ensemble",
        why="solutions of all traces",
        parent=single.attempt,
        summary=describe_blend(execution.members),
        script=execution.script,
        execution=run.artifacts.put_json(execution.dump()),
        grade=run.artifacts.put_json(grade.model_dump()),
        verdict=judgement.verdict,
        replaces=judgement.replaces,
        reasons=judgement.texts,
        codes=judgement.codes,
        run_best=judgement.run_best,
    )
    attempt = assemble_attempt(run, Trace(trace=-1, step=int(name[1:].partition("d")[0])), work)
    announce_attempt(run, attempt)
    return attempt


def describe_blend(members: Mapping[str, Member]) -> str:
    """Name the heaviest members with their weights."""
    shares = sorted(members.items(), key=lambda item: -item[1].weight)
    return "blend of " + ", ".join(f"{name} {member.weight:.2f}" for name, member in shares[:6])


async def leading_blend(run: Run, blends: Sequence[Best], single: Best | None) -> Best | None:
    """Return the best of these blends that is ahead of the best single solution, or None."""
    leader = await find_leader(run, [single, *blends]) if single else None
    return None if leader is single else leader


def may_lead(run: Run, blend: Best, heads: Sequence[str | None]) -> bool:
    """Whether a blend was judged ahead, and all its members still are members of the pool."""
    attempt = run.attempt(blend.ref)
    is_ahead = attempt.replaces or attempt.verdict == "accepted"
    return is_ahead and holds_members(run, blend, heads)


def holds_members(run: Run, blend: Best, heads: Sequence[str | None]) -> bool:
    """Whether all members of a blend still are members of the pool."""
    known = {member.id for member in list_members(run, heads)}
    return set(run.attempt(blend.ref).members) <= known


async def best_member(run: Run, blend: Attempt) -> Best | None:
    """Return the member of a blend that is the best alone."""
    known = [run.attempt(member.ref) for member in blend.members.values() if member.ref]
    scored = [best_from(attempt) for attempt in known if attempt.score is not None]
    ranked = sorted(scored, key=lambda one: -run.sign * one.score)  # equal ones by score
    return await find_leader(run, ranked)


async def go_on_from_blend(run: Run, trace: Trace, blend: Attempt) -> Trace:
    """Return a trace whose blend was accepted: a blend cannot be edited, its best member can."""
    member, best = await best_member(run, blend), trace.best
    if member is None or best is None or not await leads(run, member, best):
        return trace
    return trace.evolve(best=member, anchor=None, stepped=0, diagnosis=None, tried=[])
