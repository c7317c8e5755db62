"""A step that measures instead of changing: a script once more, under a further seed.

The trace's best, or an attempt that may have been unlucky, is judged by its mean over the seeds
from then on. A step that measures the best can only correct its score.
"""

from __future__ import annotations

from graph.state import Trace, Work
from policies.protocol import Choice
from policies.rivals import Rivalry, measure_rivals
from reasoner.protocol import Hypothesis
from run.attempt import OOF, REMEASURED, Attempt, ExecutionRecord
from run.budget import is_dealt, used_share
from run.comparator import MAX_SEEDS, compare_artifacts, measured_oofs
from run.history import HistoryEntry
from run.run import Run
from scoring.acceptance import Acceptance, Judgement, one_reason
from scoring.evaluation import (
    Candidate,
    evaluate_candidate,
    run_with_seed,
    seeded_attempt,
    takes_seed,
)
from task.types import Grade

N_LATEST = 40  # attempts that tell the noise of a comparison
N_REPEATABLE = 6  # attempts that may be measured again


def list_repeatable(run: Run, trace: Trace) -> list[HistoryEntry]:
    """Return the attempts of a trace that may be measured again: its best, then by score.

    Those whose script reads the seed, and that were not measured `MAX_SEEDS` times.
    """
    if trace.best is None or not run.settings.confirm:
        return []
    own = {entry.ref: entry for entry in run.history.chain(trace.head) if entry.members}
    own.setdefault(trace.best.ref, run.history.entry(trace.best.ref))
    ranked = sorted(own.values(), key=lambda one: -run.sign * (one.score or 0.0))
    ranked.sort(key=lambda one: one.ref != trace.best.ref if trace.best else True)
    known: dict[str, HistoryEntry] = {}
    for entry in ranked[: 4 * N_REPEATABLE]:
        if _is_repeatable(run, entry):
            known.setdefault(entry.script, entry)
    return list(known.values())[:N_REPEATABLE]


def find_repeatable(run: Run, trace: Trace, name: str) -> str | None:
    """Return the record of an attempt with this id that may be measured again; None: none may."""
    return next((one.ref for one in list_repeatable(run, trace) if one.id == name), None)


def begin_repeat(run: Run, trace: Trace, work: Work, name: str) -> Work:
    """Return the work as a measurement of this attempt; as it is where none is named."""
    ref = find_repeatable(run, trace, name) if name else None
    return work if ref is None else repeat_attempt(run, work, ref)


def repeat_attempt(run: Run, work: Work, ref: str) -> Work:
    """Return the work as a measurement of the attempt with this record."""
    attempt = run.attempt(ref)
    return work.evolve(
        kind="remeasure",
        remeasure=ref,
        base=ref,
        parent=attempt.id,
        script=attempt.script,
        seed=count_seeds(run, attempt),
        summary=f"{attempt.id} under another seed",
        hypothesis=None,
        diagnosis=None,
    )


def _is_repeatable(run: Run, entry: HistoryEntry) -> bool:
    if entry.is_blend or not takes_seed(run, entry.script):
        return False
    return count_seeds(run, run.attempt(entry.ref)) < MAX_SEEDS


def count_seeds(run: Run, attempt: Attempt) -> int:
    """Return under how many seeds an attempt's script was measured."""
    return len(measured_oofs(run, attempt))


async def measure_again(run: Run, work: Work) -> Work:
    """Run the script of the named attempt under its next seed; the work has its files then.

    Where no file came of it, the work has an execution that failed.
    """
    attempt = run.attempt(str(work.remeasure))
    seed = work.seed  # chosen before, so that a node that runs again takes no other
    again = await run_with_seed(run, seeded_attempt(attempt), seed)
    stored = attempt.execution
    oof = again.files.get(OOF) if again else None
    is_readable = oof is not None and await compare_artifacts(run, [oof], [oof]) is not None
    if not is_readable or stored is None:
        log = run.artifacts.put(f"{attempt.id} gave nothing under seed {seed}, or no room was left")
        stored = run.artifacts.put_json(ExecutionRecord(exit_code=1, log=log).dump())
    return work.evolve(execution=stored)


def pick_rival(run: Run, trace: Trace) -> Choice | None:
    """Return what the policies of a run with `remeasure` measure again; None: nothing."""
    if not run.settings.remeasure or trace.best is None:
        return None
    known = list_repeatable(run, trace)
    entries = run.history.chain(trace.head, limit=N_LATEST)
    scores = {entry.ref: run.sign * (entry.score or 0.0) for entry in known}
    return measure_rivals(
        Rivalry(
            best=trace.best.ref,
            repeatable={entry.ref: count_seeds(run, run.attempt(entry.ref)) for entry in known},
            scores=scores | {trace.best.ref: run.sign * trace.best.score},
            noise=[entry.gain_se for entry in entries if entry.gain_se],
            used=used_share(run, trace.step),
        )
    )


async def evaluate_step(
    run: Run, trace: Trace, work: Work, candidate: Candidate, acceptance: Acceptance | None
) -> tuple[Grade, Judgement]:
    """Judge the step of a trace: a change, a blend, or an attempt that was measured again."""
    whose = None if work.kind == "ensemble" else trace
    if work.remeasure is None:
        candidate = candidate._replace(beside_draft=_is_beside_draft(run, trace, work))
        return await evaluate_candidate(run, candidate, trace.best, acceptance, whose)
    attempt = run.attempt(work.remeasure)
    is_best = trace.best is not None and trace.best.ref == attempt.ref
    if is_best or not candidate.execution.ok:
        return await correct_best(run, work)
    candidate = candidate._replace(oofs=tuple(measured_oofs(run, attempt)))
    return await evaluate_candidate(run, candidate, trace.best, acceptance, trace)


def _is_beside_draft(run: Run, trace: Trace, work: Work) -> bool:
    """Whether this is one of several first drafts, of which another one is the trace's best."""
    if work.mode != "draft" or trace.best is None or not is_dealt(run):
        return False
    return run.attempt(trace.best.ref).mode == "draft"  # its kind is `repair` where it crashed


def lesson_of(run: Run, work: Work, judgement: Judgement) -> Hypothesis | None:
    """Return the hypothesis that a step has measured: that of an attempt which passes late."""
    if work.remeasure is None:
        return work.hypothesis
    return run.attempt(work.remeasure).hypothesis if judgement.verdict == "accepted" else None


async def correct_best(run: Run, work: Work) -> tuple[Grade, Judgement]:
    """The grade of a trace's best with its mean over the seeds; nothing is accepted by it."""
    attempt = run.attempt(str(work.remeasure))
    record = run.artifacts.get_model(str(work.execution), ExecutionRecord)
    if not record.ok:
        text = run.artifacts.get(str(record.log))
        return Grade(ok=False), one_reason("failed", False, "not_measured", text)
    oofs = measured_oofs(run, attempt)
    mean = await compare_artifacts(run, oofs, oofs)
    known = run.artifacts.get_model(str(attempt.grade), Grade)
    grade = known.model_copy(update={"paired": {}, "surrogate": {}})
    if mean is None or mean.new is None or grade.score is None:
        return grade, one_reason("tie", False, "not_comparable", "its seeds cannot be compared")
    before = "" if attempt.score is None else f", {attempt.score:.6g} under the first"
    message = f"{attempt.id} scores {mean.new:.6g} over {len(oofs)} seeds{before}"
    score = grade.score.model_copy(update={"value": mean.new})
    return grade.model_copy(update={"score": score}), one_reason("tie", False, REMEASURED, message)
