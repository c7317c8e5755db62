"""profile: the problem. Checks the task, fixes folds and audit rows, inspects data and machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from briefs.task_brief import set_up_run
from graph.state import Input, RunState, Trace
from report.formatting import name_metric
from run.budget import budget_plan
from run.folder import make_run_folder, new_run_folder, read_run_meta, write_run_meta
from run.registry import NodeRuntime, current_run, settings_from_context
from run.rounds import last_round, store_round
from run.run import Run
from run.services import count_slots
from run.setup import write_setup
from scoring.baseline import publish_baseline


async def profile(state: Input, runtime: NodeRuntime) -> dict[str, Any]:
    """Prepare a new run; a folder that already is a run continues from its last round."""
    settings = settings_from_context(runtime.context)
    folder = new_run_folder(settings, state.task)
    if state.run_dir:
        folder = Path(state.run_dir).expanduser().resolve()
    make_run_folder(folder, state.task, settings)
    run = current_run(str(folder), runtime)
    if known := last_round(folder):
        return known.state.evolve(run_dir=str(folder)).dump()
    if not (folder / "setup.json").exists():
        setup = await set_up_run(run)
        found = {"read": setup.what_was_read(), "environment": setup.environment()}
        write_run_meta(folder, {**read_run_meta(folder), **found})
        write_setup(folder, setup)
    _announce_start(run)
    await publish_baseline(run)
    traces = {str(index): Trace(trace=index) for index in range(run.settings.traces)}
    first = RunState(
        task=run.task_path,
        run_dir=str(folder),
        steps=run.settings.steps,
        merge_every=run.settings.merge_every,
        traces=traces,
        used=run.events.used,
    )
    store_round(folder, first, run.events)
    return first.dump()


def _announce_start(run: Run) -> None:
    """Emit the run's first events."""
    settings, setup, task = run.settings, run.setup, run.prepared.task
    run.events.emit(
        "run_started",
        key="run",
        run=run.id,
        task=task.name,
        metric=name_metric(task.metric),
        direction=task.direction,
        traces=settings.traces,
        slots=count_slots(settings),
        steps=settings.steps,
        time_s=settings.time_s,
        sandbox=setup.tier,
        reasoner=", ".join(settings.model) or "expert",
        memory=settings.memory,
        settings=settings.model_dump(),
        schema=1,
    )
    run.events.emit("budget", key="budget", **budget_plan(run))
    host = setup.model_dump(include={"tier", "enforced", "notice", "gpus", "cpus"})
    run.events.emit("sandbox", key="sandbox", **host)
    run.events.emit(
        "profile",
        key="profile",
        n_train=run.prepared.n_train,
        n_test=run.prepared.n_test,
        n_audit=run.prepared.n_audit,
        split=task.split.model_dump(),
        notes=setup.profile.get("notes", []),
    )
