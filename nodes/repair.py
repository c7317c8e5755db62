"""repair: a failed script gets a second chance, with the evidence of its failure."""

from __future__ import annotations

import time
from typing import Any

from briefs.ask import announce_answer, ask_reasoner, ask_script, give_up_step
from briefs.brief import common_fields
from briefs.excerpts import excerpt_log
from graph.state import Trace, TraceState, Work
from reasoner.protocol import ReasonerError, RepairBrief, Solution
from run.attempt import ExecutionRecord
from run.registry import NodeRuntime, current_run
from run.run import Run
from scoring.appeal import appealable_rows, file_appeal
from scoring.rehearsal import describe_rehearsal
from task.types import Grade


async def repair(state: TraceState, runtime: NodeRuntime) -> dict[str, Any]:
    """Ask the reasoner for a repaired script."""
    run, trace, work = current_run(state.run_dir, runtime), state.row, state.attempt_in_progress
    work = work.evolve(repairs=work.repairs + 1, failed={})
    name = work.script_name

    async def ask() -> Solution:
        brief = _repair_brief(run, trace, work, state.siblings)
        brief = brief.model_copy(update={"lacks": await appealable_rows(run, work)})
        return await ask_script(run.reasoner.repair, brief)

    began = time.monotonic()
    parts = [name, str(work.script), str(work.execution)]
    try:
        solution = await ask_reasoner(run, "repair", parts, ask, Solution)
    except ReasonerError as error:
        return {"work": (await give_up_step(run, trace, work, error)).dump()}
    answer = {
        **work.model_dump(include={"attempt", "parent"}),
        **solution.model_dump(include={"summary", "usage"}),
        "problems": work.reasons,
    }
    announce_answer(run, "repaired", name, trace, began, **answer)
    work = file_appeal(work, solution).evolve(
        script=run.artifacts.put(solution.script),
        **solution.model_dump(include={"summary", "cause", "fix", "limit_s"}),
        mended=[*work.mended, f"{solution.cause} -> {solution.fix}"],
        usage=work.usage + solution.usage,
    )
    return {"work": work.dump()}


def _repair_brief(run: Run, trace: Trace, work: Work, siblings: list[str]) -> RepairBrief:
    grade = run.artifacts.get_model(str(work.grade), Grade)
    execution = run.artifacts.get_model(str(work.execution), ExecutionRecord)
    return RepairBrief(
        **common_fields(run, trace, work, siblings),
        script=run.artifacts.get(str(work.script)),
        evidence=grade.evidence,
        problems=work.reasons,
        attempt=work.repairs,
        log=excerpt_log(run, execution.log),
        earlier=work.mended,
        rehearsal=describe_rehearsal(execution, work.expected_s),
        hypothesis=work.hypothesis,
    )
