"""Evaluation of an execution: grade, difference to the best, second seed, audit, label check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypedDict

from graph.state import Appeal, Best, Trace
from run.attempt import (
    ANCHOR,
    BEST,
    DUPLICATE,
    OOF,
    RUN,
    Attempt,
    ExecutionRecord,
    spent_cpu_s,
)
from run.best import current_best
from run.budget import improve_time_left_s, repeat_limit_s
from run.chain import count_code_lines
from run.comparator import (
    Comparison,
    compare_artifacts,
    compare_by_surrogate,
    measured_oofs,
)
from run.limits import script_memory_bytes
from run.luck import anchor_of, trace_bars
from run.models import seeded_key
from run.run import Run
from run.variants import (
    SEED_NAME,
    choose_variant,
    describe_missing_variant,
    seeded_event_key,
    seeded_parts,
    variant_environment,
)
from scoring.acceptance import (
    Acceptance,
    Judgement,
    Standing,
    TieBreak,
    is_doubtful,
    judge_attempt,
    judge_draft,
    place_in_run,
)
from scoring.appeal import announce_appeal
from scoring.audit import consult_audit
from scoring.chain import mount_uses, weigh_chain
from scoring.execution import ScriptRun, announce_execution, execute_script
from scoring.label_check import check_labels, check_other_variants
from scoring.line import (
    add_reasons,
    describe_left_out,
    grade_variants,
    line_evidence,
    links_of,
    raise_z,
    reference_of,
)
from task.client import WorkerTimeoutError
from task.types import Grade, Line, Paired, Problem

CHEAP_SHARE = 0.005  # of the time that improving still has: two scripts that run again at once
UNTOLD = {"files", "log", "limit_bytes", "ran", "same_as", "kept", "kept_bytes", "uses"}
"""Of an execution: what the worker is not told."""


class Candidate(NamedTuple):
    """What is evaluated."""

    attempt: str
    script: str  # artifact
    execution: ExecutionRecord
    seconds: float
    validity: bool = False
    repeatable: bool = True  # may run again under another seed
    variant: str = ""  # that speaks for the script, where it wrote several
    appeal: Appeal | None = None  # against the audit that refused it
    consults: bool = True  # an acceptance is put to the audit rows
    oofs: tuple[str, ...] = ()  # artifacts under every seed, where it was measured again
    beside_draft: bool = False  # a first draft, as is the best that it is compared with


async def evaluate_candidate(
    run: Run,
    candidate: Candidate,
    best: Best | None,
    acceptance: Acceptance | None = None,
    trace: Trace | None = None,
) -> tuple[Grade, Judgement]:
    """Grade an execution and judge it against the best.

    Args:
        run: the run.
        candidate: what is evaluated.
        best: the best of its trace; of the run for a merge's ensemble.
        acceptance: replaces the default rule, with the run's bar.
        trace: the trace whose bar it has to pass; None, or a run without one: `accept_z` alone.
    """
    anchor = anchor_of(trace) if trace else None
    whole, line = candidate.execution, None
    if candidate.repeatable:
        own = {BEST: best, ANCHOR: anchor}
        line = await grade_variants(run, whole, own, every_gate=candidate.validity)
    if line:
        execution = choose_variant(whole, line.best)
        candidate = candidate._replace(execution=execution, variant=line.best)
    leader = run_best_beside(run, best)
    references = {BEST: best, ANCHOR: anchor, RUN: leader}
    grade = await _grade_candidate(run, candidate, references, line)
    standing = None
    if acceptance is None:
        standing = _standing_of(run, trace, anchor, line, n_judges=1 + bool(grade.surrogate))
    grade, again = await _measure_again(run, candidate, best, anchor, grade, standing)
    z = run.settings.accept_z
    given: _Given = {
        "z": z if standing else raise_z(z, links_of(line, BEST)),
        "has_best": best is not None,
        "new": tie_break_of(run, candidate.script, candidate.execution, line.size if line else 1),
        "best": _best_tie_break(run, best) if best else None,
        "validity": candidate.validity,
        "again": again,
    }
    if acceptance:
        judgement = acceptance(grade, **given)
    else:
        judgement = judge_attempt(grade, **given, standing=standing)
        if candidate.beside_draft:
            judgement = judge_draft(judgement, grade, z=z, again=again)
    judgement = await _check_again(run, candidate, grade, judgement)
    if line and judgement.verdict != "failed":
        line = await check_other_variants(run, whole, grade, line)
        grade = grade.model_copy(update={"line": line})
    if leader:
        over_run = Comparison(metric=grade.paired.get(RUN), surrogate=grade.surrogate.get(RUN))
        judgement = place_in_run(judgement, over_run, leader.attempt, run.settings.accept_z)
    left_out = describe_left_out(line, whole, run.settings.variants)
    return grade, add_reasons(judgement, left_out if candidate.repeatable else [])


async def _grade_candidate(
    run: Run, candidate: Candidate, references: Mapping[str, Best | None], line: Line | None
) -> Grade:
    """The grade of the files that speak for the script, with its line."""
    grade = await grade_against_best(
        run,
        candidate.execution,
        references,
        every_gate=candidate.validity or references[BEST] is None,
        without=candidate.appeal.lacks if candidate.appeal else (),
    )
    if line is None:
        return grade
    evidence = {**grade.evidence, **line_evidence(line)}
    return grade.model_copy(update={"line": line, "evidence": evidence})


async def _check_again(
    run: Run, candidate: Candidate, grade: Grade, judgement: Judgement
) -> Judgement:
    """The judgement after what may still refuse it: known scripts, held-back rows, labels."""
    same_as = candidate.execution.same_as
    if same_as:
        is_copy = candidate.execution.ran == candidate.script
        how = ", letter for letter" if is_copy else " but for comments and layout"
        message = f"the same script as {same_as}{how}; it was not executed again"
        reasons = [Problem(code=DUPLICATE, message=message), *judgement.reasons]
        judgement = judgement._replace(reasons=reasons)
    if candidate.consults:
        judgement = await consult_audit(run, candidate.attempt, grade, judgement)
    if candidate.repeatable:
        judgement = await check_labels(
            run, candidate.attempt, candidate.script, candidate.execution, grade, judgement
        )
    if candidate.appeal:
        judgement = announce_appeal(run, candidate.attempt, candidate.appeal, grade, judgement)
    return judgement


def run_best_beside(run: Run, best: Best | None) -> Best | None:
    """Return the run's best where it is another than this one; None where traces share nothing."""
    leader = current_best(run) if run.settings.sharing else None
    if leader is None or (best is not None and leader.ref == best.ref):
        return None
    return leader


class _Given(TypedDict):
    """What every rule is given."""

    z: float
    has_best: bool
    new: TieBreak
    best: TieBreak | None
    validity: bool
    again: Paired | None


def _standing_of(
    run: Run, trace: Trace | None, anchor: Best | None, line: Line | None, n_judges: int
) -> Standing | None:
    """The run's bar; judges by any of which an attempt may pass share the level."""
    settings = run.settings
    if trace is None or not settings.false_accepts:
        return None
    since = links_of(line, ANCHOR) if anchor else None
    level = settings.false_accepts / n_judges
    bars = trace_bars(trace, level, settings.traces, links_of(line, BEST), since)
    return Standing(*bars, settings.step_p, anchor.attempt if anchor else "")


async def _measure_again(
    run: Run,
    candidate: Candidate,
    best: Best | None,
    anchor: Best | None,
    grade: Grade,
    standing: Standing | None,
) -> tuple[Grade, Paired | None]:
    """The grade over two seeds where it is in doubt, and its difference to the best then.

    The score is the mean over the seeds then, and the difference holds the best's mean.
    """
    may_repeat = run.settings.confirm and candidate.repeatable
    may_repeat = may_repeat and (bool(candidate.oofs) or not candidate.execution.same_as)
    if best is None or not may_repeat:
        return grade, None
    is_near = is_doubtful(grade, standing, cheap=_is_cheap(run, candidate, best))
    if not candidate.oofs and not is_near:
        return grade, None
    over_seeds = {BEST: await _compare_over_seeds(run, candidate, best)}
    if anchor:
        over_seeds[ANCHOR] = await _compare_over_seeds(run, candidate, anchor)
    again = over_seeds[BEST].metric
    changes: dict[str, Any] = {
        "paired": grade.paired | _mark_repeated({n: one.metric for n, one in over_seeds.items()}),
        "surrogate": grade.surrogate
        | _mark_repeated({n: one.surrogate for n, one in over_seeds.items()}),
    }
    if again and again.new is not None and grade.score:
        changes["score"] = grade.score.model_copy(update={"value": again.new})
    return grade.model_copy(update=changes), again


def _mark_repeated(known: dict[str, Paired | None]) -> dict[str, Paired]:
    return {
        name: paired.model_copy(update={"repeated": True})
        for name, paired in known.items()
        if paired
    }


def _is_cheap(run: Run, candidate: Candidate, best: Best) -> bool:
    """Whether a second seed of both scripts costs next to nothing of what is left."""
    seconds = candidate.seconds + run.attempt(best.ref).seconds
    return run.settings.max_executions is None and seconds <= CHEAP_SHARE * improve_time_left_s(run)


def _best_tie_break(run: Run, best: Best) -> TieBreak:
    attempt = run.attempt(best.ref)
    execution = ExecutionRecord(wall_s=attempt.seconds, uses=attempt.uses, members=attempt.members)
    if attempt.execution:
        execution = run.artifacts.get_model(attempt.execution, ExecutionRecord)
    return tie_break_of(run, best.script, execution, attempt.n_variants)


def tie_break_of(
    run: Run, script: str, execution: ExecutionRecord, n_variants: int = 1
) -> TieBreak:
    """Return cost and lines of everything that runs: what it builds on, a blend's members.

    Of a script with variants, the cost is that of one.
    """
    members = execution.members.values()
    scripts = [script, *(member.script for member in members)]
    lines = sum(count_code_lines(run.artifacts.get(one)) for one in scripts)
    seconds, cpu_s, uses = execution.wall_s, spent_cpu_s(execution), dict(execution.uses)
    seconds, cpu_s = seconds / n_variants, None if cpu_s is None else cpu_s / n_variants
    if members:
        seconds, cpu_s = execution.member_s or 0.0, execution.member_cpu_s
        for one in (run.attempt(member.ref) for member in members if member.ref):
            uses |= {name: ref for name, ref in one.uses.items() if name not in execution.members}
    below = weigh_chain(run, uses)
    is_known = cpu_s is not None and below.cpu_s is not None
    total = (cpu_s or 0.0) + (below.cpu_s or 0.0) if is_known else None
    return TieBreak(seconds + below.seconds, lines + below.lines, total)


async def grade_against_best(
    run: Run,
    execution: ExecutionRecord,
    references: Mapping[str, Best | None],
    *,
    every_gate: bool = False,
    without: Sequence[str] = (),
) -> Grade:
    """Grade the files with the harness's own code, paired with each reference on the same rows.

    `without`: what the held-back rows lack that an appeal leaves out of the audit.
    """
    account = execution.model_dump(exclude=UNTOLD)
    account["output"] = run.artifacts.get(str(execution.log))
    account["limit_mb"] = (execution.limit_bytes or script_memory_bytes(run)) / 2**20
    try:
        grade = await run.worker.grade(
            run.prepared,
            {name: str(run.artifacts.path(ref)) for name, ref in execution.files.items()},
            {name: reference_of(run, one) for name, one in references.items() if one},
            account,
            seed=run.settings.seed,
            every_gate=every_gate,
            without=list(without),
        )
    except WorkerTimeoutError as error:
        problem = Problem(code="grading_timeout", message=f"the files cannot be graded: {error}")
        return Grade(ok=False, problems=[problem], evidence={"problems": [problem.model_dump()]})
    return Grade.model_validate(grade)


class OverSeeds(NamedTuple):
    """Differences of the means over seeds; None: not measured."""

    metric: Paired | None
    surrogate: Paired | None


async def _compare_over_seeds(run: Run, candidate: Candidate, best: Best) -> OverSeeds:
    """The difference with both scripts run under one more seed; nothing where neither could be.

    Of a candidate that was measured again, and of the best, every seed counts that was run.
    """
    incumbent = run.attempt(best.ref)
    new, uses = list(candidate.oofs), candidate.execution.uses
    if not new:
        oof, seconds = candidate.execution.files[OOF], candidate.seconds
        seeded = Seeded(candidate.attempt, candidate.script, seconds, uses, candidate.variant)
        new = await _oofs_over_seeds(run, seeded, oof)
    await _oofs_over_seeds(run, seeded_attempt(incumbent), str(incumbent.oof))
    old = measured_oofs(run, incumbent)
    if len(new) + len(old) < 3:
        return OverSeeds(None, None)
    paired = await compare_artifacts(run, new, old)
    surrogate = await compare_by_surrogate(run, new, old)
    run.events.emit(
        "confirmed",
        key=f"{candidate.attempt}:{best.attempt}",
        attempt=candidate.attempt,
        against=best.attempt,
        paired=paired.model_dump() if paired else None,
        surrogate=surrogate.model_dump() if surrogate else None,
    )
    return OverSeeds(paired, surrogate)


class Seeded(NamedTuple):
    """A script that runs once more under another seed, on what it was given before."""

    attempt: str
    script: str  # artifact
    seconds: float
    uses: Mapping[str, str]
    variant: str = ""  # that it computes alone


def seeded_attempt(attempt: Attempt) -> Seeded:
    """Return the script of an attempt, to run it under another seed."""
    return Seeded(attempt.id, str(attempt.script), attempt.seconds, attempt.uses, attempt.variant)


async def _oofs_over_seeds(run: Run, seeded: Seeded, oof: str) -> list[str]:
    """The out-of-fold artifacts of a script: the given one and that of seed 1."""
    if not takes_seed(run, seeded.script):
        return [oof]
    again = await run_with_seed(run, seeded, 1)
    return [oof, again.files[OOF]] if again and OOF in again.files else [oof]


def takes_seed(run: Run, script: str) -> bool:
    """Whether a script reads the seed."""
    return SEED_NAME in run.artifacts.get(script)


class NoRoomError(Exception):
    """The budget has no room for one more execution."""


async def run_with_seed(run: Run, seeded: Seeded, seed: int) -> ExecutionRecord | None:
    """Run a script once more under another seed, stored under script, variant and seed.

    None where the budget has no room for it, or the script failed.
    """
    attempt, script = seeded.attempt, seeded.script
    task = ScriptRun(
        f"{attempt}-seed{seed}",
        script,
        mount_uses(run, run.prepared.inputs, seeded.uses),
        0.0,
        {"what": f"{attempt} under seed {seed}"},
        {SEED_NAME: str(seed), **variant_environment(seeded.variant)},
        model=seeded_key(script, seed) if run.board.in_finale else "",
    )

    async def execute() -> ExecutionRecord:
        async with run.slots:
            return await execute_script(run, task._replace(limit_s=room_for(run, seeded.seconds)))

    parts = seeded_parts(script, seed, seeded.variant)
    try:
        execution = await run.once("seeded", parts, execute, ExecutionRecord)
    except NoRoomError:
        return None
    announce_execution(run, seeded_event_key(parts), execution, seed=seed)
    execution = choose_variant(execution, seeded.variant)
    if execution.ok and OOF not in execution.files and seeded.variant:
        run.warn(describe_missing_variant(attempt, seeded.variant, f"under seed {seed}"))
    return execution if execution.ok else None


def room_for(run: Run, seconds: float) -> float:
    """Return the limit of one more execution of a script that took so long.

    Raises:
        NoRoomError: the budget has no room for it.
    """
    limit_s = repeat_limit_s(run, seconds)
    if limit_s is None:
        raise NoRoomError
    return limit_s
