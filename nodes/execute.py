"""execute: the forward pass.  Runs the script in the sandbox and keeps its files; decides nothing."""

from __future__ import annotations

from typing import Any

from graph.briefs import script_limit_s
from graph.forward import forward
from graph.run import Json, open_run
from graph.state import TraceState


async def execute(state: TraceState) -> dict[str, Any]:
    run, row, work = open_run(state["run_dir"]), state["row"], state["work"]
    name = f"{work['attempt']}r{work['repairs']}"
    place: Json = {"attempt": work["attempt"], "trace": row["trace"], "step": row["step"]}

    async def go() -> Json:
        async with run.slots:
            limit_s = script_limit_s(run)
            run.events.emit("execution_started", **place, limit_s=round(limit_s, 1))
            return await forward(run, name, work["script"], run.prepared.inputs, limit_s)

    kept = await run.once("execute", [name, work["script"]], go)
    shown = {key: kept[key] for key in ("end", "exit_code", "cpu_s", "peak_bytes", "tier")} | {"usage": rent(kept)}
    run.events.emit("execution_finished", key=f"{name}:{work['script'][:12]}", **place, seconds=round(kept["wall_s"], 3), **shown)
    return {"work": work | {"execution": run.artifacts.put_json(kept)}}


def rent(kept: Json) -> Json:
    """What a rented sandbox cost, as usage; empty where nothing was rented."""
    return {"usd": kept["usd"]} if kept.get("usd") else {}
