"""review: a model checks a script that would become the best for leaks. It never judges scores."""

from __future__ import annotations

import time
from typing import Any

from briefs.ask import announce_answer, ask_reasoner
from briefs.brief import common_fields
from briefs.excerpts import diff_artifacts
from graph.state import TraceState, Work
from reasoner.protocol import ReasonerError, Review, ReviewBrief
from run.registry import NodeRuntime, current_run
from run.run import Run


async def review(state: TraceState, runtime: NodeRuntime) -> dict[str, Any]:
    """Ask the reasoner to review the script."""
    run, trace, work = current_run(state.run_dir, runtime), state.row, state.attempt_in_progress
    name, script = work.script_name, str(work.script)

    async def ask() -> Review:
        parent = run.attempt(work.base).script if work.base else None
        brief = ReviewBrief(
            **common_fields(run, trace, work, state.siblings),
            script=run.artifacts.get(script),
            diff=diff_artifacts(run, parent, script),
        )
        return await run.reasoner.review(brief)

    began = time.monotonic()
    failure = {}
    try:
        answer = await ask_reasoner(run, "review", [name, script], ask, Review)
    except ReasonerError as error:  # without a review the measured verdict holds
        answer, failure = Review(usage=error.usage), {"error": str(error)[:300]}
    payload = {"attempt": work.attempt, **answer.model_dump(), **failure}
    announce_answer(run, "reviewed", name, trace, began, **payload)
    work = work.evolve(review=False, reviewed=True, usage=work.usage + answer.usage)
    if answer.leaks or not answer.aligned:
        findings = [f"review of the code: {reason}" for reason in answer.reasons]
        work = apply_findings(run, work, findings)
    return {"work": work.dump()}


def apply_findings(run: Run, work: Work, findings: list[str]) -> Work:
    """Send findings to repair; where audit rows can measure a leak, only note them."""
    if not findings:
        return work
    if run.prepared.n_audit or work.repairs >= run.settings.max_repairs:
        return work.evolve(reasons=[*work.reasons, *findings])
    return work.evolve(
        failed={"problems": findings},
        verdict="failed",
        replaces=False,
        reasons=findings,
        codes=["review"],
    )
