"""execute: the forward pass. Runs the script in the sandbox and stores its files."""

from __future__ import annotations

from typing import Any

from briefs.gradient import list_heads
from graph.state import TraceState
from run.attempt import ExecutionRecord
from run.limits import enforced_limit_s
from run.registry import NodeRuntime, current_run
from scoring.appeal import current_appeal
from scoring.chain import mount_uses
from scoring.ensemble import blend_members, named_members
from scoring.execution import (
    Place,
    ScriptRun,
    announce_execution,
    execute_script,
    find_known_execution,
)
from scoring.rehearsal import rehearse_script
from scoring.remeasure import measure_again
from scoring.sources import find_uses


async def execute(state: TraceState, runtime: NodeRuntime) -> dict[str, Any]:
    """Execute the script; an ensemble blends its members' predictions instead.

    A step that measures again runs the script of an earlier attempt under another seed.
    """
    run, trace, work = current_run(state.run_dir, runtime), state.row, state.attempt_in_progress
    name = work.script_name
    if current_appeal(work):  # the same script and files are judged again
        return {"work": work.dump()}
    if work.remeasure:
        return {"work": (await measure_again(run, work)).dump()}
    if work.ensemble:
        members = await named_members(run, list_heads(run, state), work.ensemble)
        execution = await blend_members(run, name, members)
        script = execution.script or run.artifacts.put("")
        stored = run.artifacts.put_json(execution.dump())
        return {"work": work.evolve(script=script, execution=stored).dump()}
    script = str(work.script)
    uses = await find_uses(run, list_heads(run, state), script)
    if known := find_known_execution(run, trace, work, state.siblings, uses):
        return {"work": work.evolve(execution=run.artifacts.put_json(known.dump())).dump()}
    if not uses and (rehearsal := await rehearse_script(run, trace, work)):
        work = work.evolve(expected_s=rehearsal.expected_s)
        if rehearsal.needs_repair:
            stored = run.artifacts.put_json(rehearsal.execution.dump())
            return {"work": work.evolve(execution=stored).dump()}
    place: Place = {"attempt": work.attempt, "trace": trace.trace, "step": trace.step}

    async def run_script() -> ExecutionRecord:
        async with run.slots:
            limit_s = enforced_limit_s(run, trace, work)
            run.events.emit("execution_started", **place, limit_s=round(limit_s, 1))
            inputs = mount_uses(run, run.prepared.inputs, uses)
            task = ScriptRun(name, script, inputs, limit_s, place, uses=uses, keeps=True)
            return await execute_script(run, task._replace(model=script))

    execution = await run.once("execute", [name, script], run_script, ExecutionRecord)
    announce_execution(run, f"{name}:{script[:12]}", execution, **place)
    return {"work": work.evolve(execution=run.artifacts.put_json(execution.dump())).dump()}
