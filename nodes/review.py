"""review: a model reads a script whose gates are in doubt. It never judges scores."""

from __future__ import annotations

from typing import Any

from briefs.review import ask_review, list_findings
from graph.state import TraceState, Work
from run.registry import NodeRuntime, current_run
from run.run import Run
from scoring.doubts import find_doubts


async def review(state: TraceState, runtime: NodeRuntime) -> dict[str, Any]:
    """Ask the reasoner to review the script."""
    run, trace, work = current_run(state.run_dir, runtime), state.row, state.attempt_in_progress
    doubts = find_doubts(run, work)
    answer = await ask_review(
        run, trace, work, name=work.script_name, doubts=doubts, siblings=state.siblings
    )
    work = work.evolve(review=False, reviewed=True, usage=work.usage + answer.usage)
    return {"work": apply_findings(run, work, list_findings(answer)).dump()}


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
