"""update: the optimiser's step with momentum. Recalls successes, tries a hypothesis."""

from __future__ import annotations

import time
from typing import Any

from briefs.ask import announce_answer, ask_reasoner, give_up_step
from briefs.brief import common_fields, fact_from
from briefs.crossover import read_crossover
from briefs.excerpts import ask_update, excerpt_log, quotable_attempts, quote_changes
from briefs.recall import recall_hints
from graph.state import Trace, TraceState, Work
from reasoner.protocol import Diagnosis, Hint, ReasonerError, Solution, UpdateBrief
from run.attempt import Attempt
from run.registry import NodeRuntime, current_run
from run.run import Run
from scoring.ensemble import describe_unknown_members, nameable_members


class Update(Solution):
    """The reasoner's step, with the hints it received."""

    hints: list[Hint] = []


async def update(state: TraceState, runtime: NodeRuntime) -> dict[str, Any]:
    """Take a step from the script that was diagnosed."""
    run, trace, work = current_run(state.run_dir, runtime), state.row, state.attempt_in_progress
    start = run.attempt(str(work.base))
    diagnosis = _without_tried(run, trace, work)
    parts = [work.attempt, str(work.diagnosis), str(start.script), *trace.tried, *state.siblings]
    began = time.monotonic()

    async def ask() -> Update:
        return await _ask_step(run, state, start, diagnosis)

    try:
        step = await ask_reasoner(run, "update", parts, ask, Update)
    except ReasonerError as error:
        return {"work": (await give_up_step(run, trace, work, error)).dump()}
    hints = [hint.model_dump() for hint in step.hints]
    run.events.emit("recalled", key=work.attempt, trace=trace.trace, step=trace.step, hints=hints)
    answer = step.model_dump(include={"summary", "hypothesis", "usage"})
    answer |= {"attempt": work.attempt, "parent": work.parent}
    announce_answer(run, "updated", work.attempt, trace, began, **answer)
    work = work.evolve(
        script=run.artifacts.put(step.script),
        kind="ensemble" if step.ensemble else work.kind,
        ensemble=step.ensemble,
        summary=step.summary,
        limit_s=step.limit_s,
        hypothesis=step.hypothesis,
        usage=work.usage + step.usage,
    )
    return {"work": work.dump()}


def _without_tried(run: Run, trace: Trace, work: Work) -> Diagnosis:
    """Leave out the hypotheses already run (for a second step on one diagnosis)."""
    diagnosis = Diagnosis.model_validate(run.artifacts.get_json(str(work.diagnosis)))
    untried = [each for each in diagnosis.hypotheses if each.id not in trace.tried]
    return diagnosis.model_copy(update={"hypotheses": untried}) if untried else diagnosis


async def _ask_step(run: Run, state: TraceState, start: Attempt, diagnosis: Diagnosis) -> Update:
    trace, work = state.row, state.attempt_in_progress
    plan = read_crossover(run, trace) if work.mode == "crossover" else None
    hints = [] if plan else await recall_hints(run, trace, diagnosis)
    heads = [trace.head, *(state.siblings if run.settings.sharing else [])]
    common = common_fields(
        run, trace, work, state.siblings
    )  # read last: it holds what others run now
    run.board.start_hypothesis(trace.trace, diagnosis.hypotheses[0].statement)
    brief = UpdateBrief(
        **common,
        script=run.artifacts.get(str(start.script)),
        evidence=run.artifacts.get_json(str(start.evidence)),
        log=excerpt_log(run, start.log),
        diagnosis=diagnosis,
        hints=hints,
        quotes=quote_changes(run, heads, hints, common["path"]),
        may_ask=len(quotable_attempts(run, heads)) > 1,
        crossover=plan.crossover if plan else None,
        members=[fact_from(member) for member in nameable_members(run, state.pool)],
    )
    solution = await ask_update(run, brief, heads)
    if solution.hypothesis:
        run.board.start_hypothesis(trace.trace, solution.hypothesis.statement)
    unknown = solution.ensemble and describe_unknown_members(run, state.pool, solution.ensemble)
    if unknown:
        raise ReasonerError(
            f"the ensemble names {unknown}; it may blend at least two of the attempts in `members`"
        )
    return Update(**solution.model_dump(), hints=hints)
