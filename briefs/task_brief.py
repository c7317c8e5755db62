"""Facts gathered once about a task: prepared data, profile, packages and hardware."""

from __future__ import annotations

from briefs.brief import script_cpus
from graph.state import Json
from reasoner.protocol import PackagedReasoner, TaskBrief
from report.formatting import name_metric
from run.folder import read_run_meta, write_run_meta
from run.limits import share_memory
from run.run import Run
from run.setup import Setup, write_setup
from sandbox.parcels import describe_transfer
from sandbox.protocol import Host
from task.data.media.listing import count_bytes
from task.types import Prepared

PYTHON_FACTS = ("interpreter", "python", "packages", "installed", "modules")
MOST_OF_USABLE = 2  # usable memory is half of the machine's at least


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
        soft=settings.surrogate,
    )
    warn_of_transfer(run, prepared)
    rehearsal = await run.worker.rehearse(prepared)
    profile = await run.worker.profile(prepared)
    host = await run.sandbox.probe()
    for note in check_script_packages(run, host, sorted(prepared.inputs)):
        run.warn(note)
    return Setup(
        root=str(run.folder),
        prepared=prepared,
        profile=profile,
        preview=await run.worker.preview(prepared),
        rehearsal=dict(rehearsal),
        brief=make_task_brief(prepared, profile.get("prediction", "")),
        interpreter=host.interpreter,
        python=host.python,
        packages=host.packages,
        installed=host.installed,
        modules=host.modules,
        cpus=script_cpus(run, host),
        memory_bytes=share_memory(run, host),
        gpus=host.gpus,
        tier=run.sandbox.tier,
        enforced=host.enforced,
        notice=host.notice,
    )


def _facts_of_host(run: Run, before: Setup, host: Host) -> Json:
    """Return what of the setup is a fact of this machine; another one may have written the file.

    A limit stays as it was told, unless this machine is too small for it.
    """
    memory, here = before.memory_bytes, host.memory_bytes
    is_too_much = memory is not None and here is not None and memory > MOST_OF_USABLE * here
    return {
        **host.model_dump(include={*PYTHON_FACTS, "gpus", "enforced", "notice"}),
        "tier": run.sandbox.tier,
        "cpus": before.cpus if 0 < before.cpus <= host.cpus else script_cpus(run, host),
        "memory_bytes": share_memory(run, host) if is_too_much else memory,
    }


async def renew_environment(run: Run) -> None:
    """Notice that the scripts' Python has changed since the run began: briefs tell the new one.

    Raises:
        ReasonerUnavailableError: the reasoner's scripts cannot run by it.
    """
    if not (run.folder / "setup.json").is_file():
        return
    before, host = run.setup, await run.sandbox.probe()
    check_script_packages(run, host, sorted(before.prepared.inputs))
    setup = before.model_copy(update=_facts_of_host(run, before, host))
    if setup == before:
        return
    write_setup(run.folder, setup)
    run.setup = setup
    if not before.python or all(
        getattr(setup, name) == getattr(before, name) for name in PYTHON_FACTS
    ):
        return
    found = {"environment": setup.environment()}
    write_run_meta(run.folder, {**read_run_meta(run.folder), **found})
    named = {**before.packages, "Python": before.python}.items()
    gone = sorted(f"{key} {value}" for key, value in named - _named_versions(setup))
    run.warn(
        f"the scripts' Python is now {setup.interpreter}; it lacks {', '.join(gone)[:300]}, which "
        "the run began with"
        if gone
        else f"the scripts' Python is now {setup.interpreter}"
    )


def _named_versions(setup: Setup) -> set[tuple[str, str]]:
    return set({**setup.packages, "Python": setup.python}.items())


def check_script_packages(run: Run, host: Host, inputs: list[str]) -> list[str]:
    """Return the reasoner's notes on packages that the scripts' Python lacks.

    Raises:
        ReasonerUnavailableError: its scripts cannot run without them.
    """
    if not isinstance(run.reasoner, PackagedReasoner):
        return []
    python = host.interpreter or "the scripts' Python"
    return run.reasoner.check_packages(host.packages, inputs, python)


def warn_of_transfer(run: Run, prepared: Prepared) -> None:
    """Say what large inputs cost where scripts run on other machines."""
    kind = run.settings.sandbox
    if kind != "local" and (text := describe_transfer(kind, count_bytes(prepared.inputs.values()))):
        run.warn(text)


def _describe_soft(prepared: Prepared) -> Json:
    if prepared.soft is None or prepared.form is None:
        return {}
    second = prepared.form.labels[-1] if prepared.soft.layout == "positive" else ""
    return {**prepared.soft.model_dump(), "second": second}


def make_task_brief(prepared: Prepared, prediction: str) -> TaskBrief:
    """Return the task as briefs show it."""
    task, form = prepared.task, prepared.form
    return TaskBrief(
        name=task.name,
        description=task.description,
        kind=task.kind,
        metric=name_metric(task.metric),
        direction=task.direction,
        id=prepared.id,
        target=task.target,
        columns=prepared.columns,
        prediction=prediction,
        form=form.meaning() if form else {},
        labels=form.labels if form else [],
        positive=form.positive if form else "",
        bounds=list(form.bounds) if form and form.bounds else None,
        soft=_describe_soft(prepared),
        split=task.split.model_dump(),
        inputs=sorted(prepared.inputs),
        n_train=prepared.n_train,
        n_test=prepared.n_test,
    )
