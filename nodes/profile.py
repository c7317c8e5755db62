"""profile: the problem.  Reads and checks the task, fixes folds and audit rows, looks at data, packages and hardware."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

from langgraph.runtime import Runtime

from briefs.brief import exec_cpus
from graph.settings import Settings
from graph.state import SCHEMA_VERSION, Input, RunState, Used, new_trace
from reasoner.protocol import TaskBrief
from run.artifacts import write_atomic
from run.budget import plan
from run.rounds import keep_round, last_round
from run.run import Json, Run, make_folder, new_folder, open_run
from task.types import Prepared


async def profile(state: Input, runtime: Runtime[Settings]) -> dict[str, Any]:
    settings = settings_of(runtime.context)
    folder = (
        Path(state.run_dir).expanduser().resolve()
        if state.run_dir
        else new_folder(settings, state.task)
    )
    make_folder(folder, state.task, settings)
    run = open_run(folder)
    if known := last_round(folder):  # the folder is a run already: it goes on
        return {**known.state, "run_dir": str(folder)}
    if not (folder / "setup.json").exists():
        write_atomic(folder / "setup.json", json.dumps(await set_up(run)))
    announce(run)
    first = {
        "schema_version": SCHEMA_VERSION,
        "run_dir": str(folder),
        "task": run.task_path,
        "round": 0,
        "steps": run.settings.steps,
        "merge_every": run.settings.merge_every,
        "traces": {str(index): new_trace(index) for index in range(run.settings.traces)},
        "best": None,
        "used": Used(**run.events.used),
        "stop": "",
    }
    keep_round(folder, cast(RunState, first), run.events)
    return first


def settings_of(context: object) -> Settings:
    """The graph's context; where Gome is a node of someone else's graph, what that graph's context holds as `gome`."""
    if context is None or isinstance(context, Settings):
        return context or Settings()
    if isinstance(context, dict):
        return Settings.model_validate(context.get("gome", context))
    given = getattr(context, "gome", None)
    return given if isinstance(given, Settings) else Settings.model_validate(given or {})


async def set_up(run: Run) -> Json:
    """Everything that is found out once: the prepared task, its profile, what scripts can import and use."""
    settings = run.settings
    task = await run.worker.load_task(run.task_path)
    prepared = await run.worker.prepare(
        task,
        str(run.folder / "public"),
        str(run.folder / "private"),
        seed=settings.seed,
        audit=settings.audit,
        n_folds=settings.n_folds,
    )
    found = await run.worker.profile(prepared)
    host = await run.sandbox.probe()
    return {
        "root": str(run.folder),
        "prepared": prepared.model_dump(),
        "profile": found,
        "preview": await run.worker.preview(prepared),
        "brief": brief_of(prepared, found.get("prediction", "")).model_dump(),
        "packages": host.packages,
        "cpus": exec_cpus(run, host),
        "gpus": host.gpus,
        "tier": run.sandbox.tier,
        "enforced": host.enforced,
        "notice": host.notice,
    }


def brief_of(prepared: Prepared, prediction: str) -> TaskBrief:
    task = prepared.task
    return TaskBrief(
        name=task.name,
        description=task.description,
        kind=task.kind,
        metric=task.metric,
        direction=task.direction,
        id=prepared.id,
        target=task.target,
        columns=prepared.columns,
        prediction=prediction,
        split=task.split.model_dump(),
        inputs=sorted(prepared.inputs),
        n_train=prepared.n_train,
        n_test=prepared.n_test,
    )


def announce(run: Run) -> None:
    """The run's first events."""
    settings, prepared = run.settings, run.prepared
    run.events.emit(
        "run_started",
        key="run",
        run=run.id,
        task=prepared.task.name,
        metric=prepared.task.metric,
        direction=prepared.task.direction,
        traces=settings.traces,
        steps=settings.steps,
        time_s=settings.time_s,
        sandbox=run.setup["tier"],
        reasoner=", ".join(settings.model) or "expert",
        memory=settings.memory,
        settings=settings.model_dump(),
        schema=1,
    )
    run.events.emit("budget", key="budget", **plan(run))
    where = {key: run.setup.get(key) for key in ("tier", "enforced", "notice", "gpus", "cpus")}
    run.events.emit("sandbox", key="sandbox", **where)
    run.events.emit(
        "profile",
        key="profile",
        n_train=prepared.n_train,
        n_test=prepared.n_test,
        n_audit=prepared.n_audit,
        split=prepared.task.split.model_dump(),
        notes=run.setup["profile"].get("notes", []),
    )
