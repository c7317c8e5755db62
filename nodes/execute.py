"""execute: the forward pass.  Runs the script in the sandbox and keeps its files; decides nothing."""

from __future__ import annotations

from typing import Any

from graph.state import TraceState, Work
from run.budget import script_limit_s
from run.run import Json, Run, open_run
from scoring.ensemble import blend, members_of
from scoring.execution import Place, forward, tell


async def execute(state: TraceState) -> dict[str, Any]:
    run, row, work = open_run(state["run_dir"]), state["row"], state["work"]
    if hypothesis := work.get("hypothesis"):
        run.flying[row["trace"]] = hypothesis[
            "statement"
        ]  # again, for what was chosen before a kill
    name = f"{work['attempt']}r{work['repairs']}"
    if work.get("ensemble"):
        return {"work": work | await blended(run, name, state)}
    place: Place = {"attempt": work["attempt"], "trace": row["trace"], "step": row["step"]}

    async def go() -> Json:
        async with run.slots:
            limit_s = script_limit_s(run, work)
            run.events.emit("execution_started", **place, limit_s=round(limit_s, 1))
            return await forward(run, name, work["script"], run.prepared.inputs, limit_s, place)

    kept = await run.once("execute", [name, work["script"]], go)
    tell(run, f"{name}:{work['script'][:12]}", kept, **place)
    return {"work": work | {"execution": run.artifacts.put_json(kept)}}


async def blended(run: Run, name: str, state: TraceState) -> Work:
    """An ensemble needs no script to run: the harness blends what its members left."""
    kept = await blend(run, name, members_of(run, state.get("pool"), state["work"]["ensemble"]))
    script = kept.get("script") or run.artifacts.put("")
    return Work(script=script, execution=run.artifacts.put_json(kept))
