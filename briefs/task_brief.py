"""Facts gathered once about a task: prepared data, profile, packages and hardware."""

from __future__ import annotations

from briefs.brief import script_cpus
from reasoner.protocol import TaskBrief
from run.run import Run
from run.setup import Setup
from sandbox.parcels import describe_transfer
from task.data.media.listing import count_bytes
from task.types import Prepared


async def set_up_run(run: Run) -> Setup:
    """Prepare and profile the run's task, and look at the sandbox."""
    settings = run.settings
    task = await run.worker.load_task(run.task_path, settings.config)
    prepared = await run.worker.prepare(
        task,
        str(run.folder / "public"),
        str(run.folder / "private"),
        seed=settings.seed,
        audit=settings.audit,
        n_folds=settings.n_folds,
    )
    warn_of_transfer(run, prepared)
    rehearsal = await run.worker.rehearse(prepared)
    profile = await run.worker.profile(prepared)
    host = await run.sandbox.probe()
    return Setup(
        root=str(run.folder),
        prepared=prepared,
        profile=profile,
        preview=await run.worker.preview(prepared),
        rehearsal=dict(rehearsal),
        brief=make_task_brief(prepared, profile.get("prediction", "")),
        packages=host.packages,
        cpus=script_cpus(run, host),
        gpus=host.gpus,
        tier=run.sandbox.tier,
        enforced=host.enforced,
        notice=host.notice,
    )


def warn_of_transfer(run: Run, prepared: Prepared) -> None:
    """Say what large inputs cost where scripts run on other machines."""
    kind = run.settings.sandbox
    if kind != "local" and (text := describe_transfer(kind, count_bytes(prepared.inputs.values()))):
        run.warn(text)


def make_task_brief(prepared: Prepared, prediction: str) -> TaskBrief:
    """Return the task as briefs show it."""
    task, form = prepared.task, prepared.form
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
        form=form.meaning() if form else {},
        labels=form.labels if form else [],
        positive=form.positive if form else "",
        bounds=list(form.bounds) if form and form.bounds else None,
        split=task.split.model_dump(),
        inputs=sorted(prepared.inputs),
        n_train=prepared.n_train,
        n_test=prepared.n_test,
    )
