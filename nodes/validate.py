"""validate: checks on the loss. Format, leaks, the difference to the trace's best, the audit."""

from __future__ import annotations

from typing import Any

from briefs.review import can_review
from graph.state import TraceState, Work
from run.attempt import ExecutionRecord
from run.budget import may_repair
from run.flaws import removes_flaw
from run.registry import NodeRuntime, current_run
from run.run import Run
from scoring.acceptance import Acceptance, Judgement
from scoring.appeal import current_appeal, is_repairable
from scoring.doubts import find_doubts
from scoring.evaluation import Candidate
from scoring.remeasure import evaluate_step, lesson_of


async def validate(
    state: TraceState, runtime: NodeRuntime, *, acceptance: Acceptance | None = None
) -> dict[str, Any]:
    """Grade and judge the execution. `acceptance` replaces the default rule."""
    run, trace, work = current_run(state.run_dir, runtime), state.row, state.attempt_in_progress
    execution = run.artifacts.get_model(str(work.execution), ExecutionRecord)
    is_ensemble = work.kind == "ensemble"
    validity = removes_flaw(run, work)
    candidate = Candidate(
        attempt=work.script_name,
        script=str(work.script),
        execution=execution,
        seconds=execution.member_s or execution.wall_s,
        validity=validity,
        repeatable=not is_ensemble,
        appeal=current_appeal(work),
    )
    grade, judgement = await evaluate_step(run, trace, work, candidate, acceptance)
    work = work.evolve(
        grade=run.artifacts.put_json(grade.model_dump()),
        verdict=judgement.verdict,
        replaces=judgement.replaces and not is_ensemble,  # the merge makes it the run's best
        validity=validity and judgement.replaces,
        reasons=judgement.texts,
        codes=judgement.codes,
        run_best=judgement.run_best,
        hypothesis=lesson_of(run, work, judgement),
        failed={},
        review=False,
    )
    if _needs_repair(run, work, judgement):
        work = work.evolve(failed={"problems": judgement.texts})
    elif judgement.replaces:
        work = work.evolve(review=_needs_review(run, work))
    return {"work": work.dump()}


def _needs_repair(run: Run, work: Work, judgement: Judgement) -> bool:
    if judgement.verdict != "failed" and not is_repairable(run, judgement.codes):
        return False
    return may_repair(run, work)


def _needs_review(run: Run, work: Work) -> bool:
    """A repaired script is not reviewed twice; a finalist is reviewed in the end."""
    if work.kind == "ensemble" or work.reviewed or not can_review(run):
        return False
    return bool(find_doubts(run, work))
