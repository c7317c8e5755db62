"""Measure recipes: the plain script of a task with a recipe's code against the same without it.

Both run in the sandbox under the same folds and seeds, and the harness grades what they write. The
difference is paired row by row, out of fold; where a task's answers lie beside its folder, the
difference on them is told too. A recipe's file is text until its code runs in that sandbox.
"""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from briefs.task_brief import make_task_brief
from graph.settings import Settings
from memory.recipes.evidence import (
    Evidence,
    State,
    TaskGain,
    merge_evidence,
    read_evidence,
    with_evidence,
)
from memory.recipes.facts import ConditionFacts, read_condition_facts, unmet_condition
from memory.recipes.library import OFF, recipe_path, write_recipe_file
from memory.recipes.plain_script import STEP_NAMES, plain_script, redefined_steps
from memory.recipes.spec import Recipe, RecipeError
from memory.recipes.traits import SIGNS
from reasoner.protocol import Resources, TaskBrief
from report.formatting import clean_text, format_plural
from run.services import sandbox_for
from sandbox.inside.walk import make_fresh_folder
from sandbox.local.gpus import needs_gpu
from sandbox.protocol import Execution, Job, Limits, Sandbox
from task.client import TaskWorker
from task.types import Prepared

N_FOLDS = 3
N_REASONS = 3
FILES = ("oof.csv", "submission.csv")
Say = Callable[[str], None]


@dataclass(frozen=True)
class TrialTask:
    """A task folder, prepared and profiled once for all recipes."""

    folder: Path
    prepared: Prepared
    profile: dict[str, Any]
    brief: TaskBrief
    facts: ConditionFacts


@dataclass
class TrialBench:
    """What the measurements of one command share."""

    place: Path
    worker: TaskWorker
    sandbox: Sandbox
    resources: Resources
    seeds: int
    limit_s: float
    say: Say
    plain: dict[str, asyncio.Future[dict[str, str]]] = field(default_factory=dict)
    """Files of the plain script by task; empty where it failed."""
    n_scripts: int = 0
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))


@asynccontextmanager
async def open_trials(
    settings: Settings, *, seeds: int, limit_s: float, say: Say, inner: Sandbox | None = None
) -> AsyncIterator[TrialBench]:
    """Open a sandbox and a task worker for measurements, below a temporary folder.

    `inner`: the sandbox, in place of the settings' one.
    """
    with tempfile.TemporaryDirectory(prefix="gome-recipes-") as name:
        place = Path(name)
        sandbox = inner or sandbox_for(settings, place)
        worker = TaskWorker(isolation=settings.isolation)
        try:
            host = await sandbox.probe()
            resources = Resources(
                wall_s=limit_s,
                memory_bytes=Limits().memory_bytes,
                cpus=1,
                gpus=host.gpus,
                python=host.python,
                packages=host.packages,
            )
            yield TrialBench(place, worker, sandbox, resources, seeds, limit_s, say)
        finally:
            await worker.close()
            await sandbox.close()


async def open_task(bench: TrialBench, folder: Path) -> TrialTask:
    """Prepare and profile a task folder. Raises TaskError."""
    task = await bench.worker.load_task(str(folder), None)
    root = bench.place / "tasks" / f"{len(list(bench.place.glob('tasks/*')))}"
    root.mkdir(parents=True)
    public, private = str(root / "public"), str(root / "private")
    prepared = await bench.worker.prepare(
        task, public, private, seed=0, audit=False, n_folds=N_FOLDS
    )
    profile = await bench.worker.profile(prepared)
    return make_trial_task(bench, folder, prepared, profile)


def make_trial_task(
    bench: TrialBench, folder: Path, prepared: Prepared, profile: dict[str, Any]
) -> TrialTask:
    """Return a task that was prepared and profiled."""
    brief = make_task_brief(prepared, profile.get("prediction", ""))
    facts = read_condition_facts(brief, profile, bench.resources)
    return TrialTask(folder, prepared, profile, brief, facts)


def matching_tasks(recipe: Recipe, tasks: Sequence[TrialTask]) -> list[TrialTask]:
    """Return the tasks that meet a recipe's conditions; signs of a script are not asked for.

    Free answers are out: the plain script gives classes and values.
    """
    return [task for task in tasks if not unmet_here(recipe, task)]


def is_measurable(task: TrialTask) -> bool:
    """Whether the plain script can answer the task."""
    return task.facts.kind != "text"


def unmet_here(recipe: Recipe, task: TrialTask) -> str:
    """Return why a recipe is not measured on a task; empty where it is."""
    if not is_measurable(task):
        return "answers are free texts"
    if not redefined_steps(recipe.code):
        return f"its code redefines none of {', '.join(STEP_NAMES)}"
    data = tuple(word for word in recipe.when.data if word not in SIGNS)
    when = recipe.when.model_copy(update={"data": data})
    return unmet_condition(when, task.facts)


async def verify_library(
    recipes: Sequence[Recipe],
    folders: Sequence[Path],
    where: str,
    *,
    seeds: int,
    limit_s: float,
    say: Say,
    again: bool = False,
) -> list[State]:
    """Measure recipes on task folders and write what comes out into their files in `where`.

    Without folders: on the bundled examples. A recipe of Gome's own gets a copy in `where`, which
    takes its place and keeps what Gome measured on other tasks. What this user's folder holds of a
    task is not measured once more, so the same command goes on after an end; `again`: it is.

    Returns the verdicts of the recipes that were measured. Raises TaskError, RecipeError,
    SandboxUnavailableError.
    """
    if where == OFF:
        raise RecipeError("recipes are off; name a folder with --recipes")
    target, states = Path(where).expanduser(), list[State]()
    async with open_trials(Settings(), seeds=seeds, limit_s=limit_s, say=say) as bench:
        tasks = [await open_task(bench, folder) for folder in folders]
        if not folders:
            say("preparing the bundled examples")
            tasks = await open_examples(bench)
        if not any(is_measurable(task) for task in tasks):
            raise RecipeError(
                "the plain script gives classes and values, no free texts; name a task that asks "
                "for those with --task"
            )
        say(f"{format_plural(len(recipes), 'recipe')}, {format_plural(len(tasks), 'task')}")
        for number, recipe in enumerate(recipes, 1):
            new, why = _tasks_to_measure(recipe, tasks, seeds, again=again)
            say(f"[{number}/{len(recipes)}] {recipe.id}: {why or format_plural(len(new), 'task')}")
            if new and (state := await _verify_one(bench, recipe, new, target)):
                states.append(state)
    return states


def _tasks_to_measure(
    recipe: Recipe, tasks: Sequence[TrialTask], seeds: int, *, again: bool
) -> tuple[list[TrialTask], str]:
    """Return the tasks that the user's folder lacks, or has under fewer seeds; none: why."""
    matching = matching_tasks(recipe, tasks)
    if not matching:
        reasons = [f"{task_word(task)}: {unmet_here(recipe, task)}" for task in tasks[:N_REASONS]]
        return [], f"no task at hand meets its conditions ({'; '.join(reasons)})"
    evidence = read_evidence(recipe) if recipe.source and not again else None
    new = tasks_to_try(recipe, evidence, matching, seeds)
    return new, "" if new else "measured on these tasks already; --again does it anew"


def tasks_to_try(
    recipe: Recipe, evidence: Evidence | None, tasks: Sequence[TrialTask], seeds: int
) -> list[TrialTask]:
    """Return the tasks on which a recipe was not run, or under fewer seeds than asked for."""
    known = evidence.tried_under(n_seeds(recipe, seeds)) if evidence else frozenset[str]()
    return [task for task in tasks if task_word(task) not in known]


async def _verify_one(
    bench: TrialBench, recipe: Recipe, tasks: Sequence[TrialTask], target: Path
) -> State | None:
    """Measure one recipe and write its file in `target`; None where no plain script ran."""
    evidence = await measure_recipe(bench, recipe, tasks)
    if evidence is None:
        bench.say("  nothing to compare with: the plain script failed on these tasks")
        return None
    evidence = merge_evidence(read_evidence(recipe), evidence)
    mine = recipe.model_copy(update={"source": str(target)})
    text = with_evidence(recipe_path(recipe).read_text("utf-8"), mine, evidence)
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RecipeError(f"{target}: cannot be made ({error.strerror})") from None
    write_recipe_file(mine, text)
    bench.say(f"  {evidence.describe()}")
    return evidence.verdict


async def open_examples(bench: TrialBench) -> list[TrialTask]:
    """Write and open the bundled examples."""
    tasks = []
    for name in await bench.worker.list_examples():
        folder = bench.place / "examples" / name
        await bench.worker.write_example(name, str(folder))
        tasks.append(await open_task(bench, folder))
    return tasks


async def measure_recipe(
    bench: TrialBench, recipe: Recipe, tasks: Sequence[TrialTask]
) -> Evidence | None:
    """Return what a recipe brings on these tasks; None where it could be measured on none."""
    found = await asyncio.gather(*(_measure_on(bench, recipe, task) for task in tasks))
    measured = [(task, gain) for task, gain in zip(tasks, found, strict=True) if gain != "unfit"]
    if not measured:
        return None
    return Evidence(
        measured=datetime.now(UTC).date().isoformat(),
        by=_own_version(),
        tasks=tuple(gain for _, gain in measured if isinstance(gain, TaskGain)),
        failed=tuple(task_word(task) for task, gain in measured if gain is None),
    )


def task_word(task: TrialTask) -> str:
    """Return a task's name as evidence writes it."""
    return (
        re.sub(r"[^a-z0-9_.-]+", "-", task.prepared.task.name.lower()).strip("-._")[:60] or "task"
    )


def is_seeded(code: str) -> bool:
    """Whether a fragment uses the seed beyond the plain model, which has no seed variance."""
    return "seed" in re.sub(r"tables, seed\)|boosting\(seed", "", code).lower()


def _own_version() -> str:
    try:
        return f"gome {version('gome')}"
    except PackageNotFoundError:
        return "gome from a checkout"


def n_seeds(recipe: Recipe, seeds: int) -> int:
    """Return under how many of these seeds a recipe is run: one where nothing depends on them."""
    return seeds if is_seeded(recipe.code) else 1


async def _measure_on(
    bench: TrialBench, recipe: Recipe, task: TrialTask
) -> TaskGain | Literal["unfit"] | None:
    """Return the gain on one task over all seeds; None where the recipe's script fails.

    "unfit": the plain script fails there, so nothing can be compared.
    """
    old = await _plain_files(bench, task)
    if not old:
        return "unfit"
    script = plain_script(task.brief, task.profile, recipe)
    new = []
    for seed in range(n_seeds(recipe, bench.seeds)):
        files = await run_script(bench, task, script, seed, recipe.id)
        if not files:
            return None
        new.append(files)
    oof = [files["oof.csv"] for files in new]
    paired = await bench.worker.compare_files(task.prepared, oof, [old["oof.csv"]])
    if paired is None:
        return None
    gain = TaskGain(
        task=task_word(task),
        metric=task.brief.metric[:60],
        rows=task.prepared.n_train,
        seeds=len(new),
        gain=_rounded(paired["d"]),
        se=_rounded(paired["se"]),
        private=await _private_gain(bench, task, new, old),
    )
    same = (
        " (its predictions are those of the plain script)" if not gain.gain and not gain.se else ""
    )
    bench.say(f"  {recipe.id} on {gain.task}: {gain.gain:+.4g} ± {gain.se:.2g} {gain.metric}{same}")
    return gain


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


async def _plain_files(bench: TrialBench, task: TrialTask) -> dict[str, str]:
    """Return what the plain script writes, run once; nothing where it fails."""
    key = str(task.folder)
    if key not in bench.plain:
        script = plain_script(task.brief, task.profile)
        work = run_script(bench, task, script, 0, "the plain script")
        bench.plain[key] = asyncio.ensure_future(work)
    return await bench.plain[key]


async def run_script(
    bench: TrialBench, task: TrialTask, script: str, seed: int, what: str
) -> dict[str, str]:
    """Run and grade a script; return its files, none where it failed or was refused."""
    bench.n_scripts += 1
    workspace, _ = make_fresh_folder(bench.place / "jobs" / f"recipe-{bench.n_scripts}")
    limits = Limits(
        wall_s=bench.limit_s,
        cpus=bench.resources.cpus,
        gpus=1 if bench.resources.gpus and needs_gpu(script) else 0,
    )
    job = Job(
        id=workspace.name,
        script=script,
        workspace=workspace,
        inputs=task.prepared.inputs,
        limits=limits,
        env={"GOME_SEED": str(seed)},
        collect=list(FILES),
    )
    async with bench.slots:
        execution = await bench.sandbox.run(job)
    files = {name: execution.files[name] for name in FILES if name in execution.files}
    grade = await bench.worker.grade(task.prepared, files, {}, _execution_facts(execution))
    if grade["ok"]:
        return files
    reason = grade["problems"][0]["message"] if grade["problems"] else "it was refused"
    bench.say(f"  {what} on {task.prepared.task.name}: {clean_text(reason, 300)}")
    return {}


def _execution_facts(execution: Execution) -> dict[str, Any]:
    names = {"end", "exit_code", "signal", "output", "wall_s", "cpu_s", "peak_bytes"}
    return execution.model_dump(include=names)


async def _private_gain(
    bench: TrialBench, task: TrialTask, new: list[dict[str, str]], old: dict[str, str]
) -> float | None:
    """Return the mean gain on answers that lie beside the task folder; None without them."""
    answers = task.folder.with_name(task.folder.name + "-private") / "answers.csv"
    if not answers.is_file():
        return None
    sign = 1 if task.brief.direction == "max" else -1
    scores = [
        await bench.worker.score_private(str(task.folder), str(answers), files["submission.csv"])
        for files in (*new, old)
    ]
    *ours, plain = scores
    return _rounded(sign * (sum(ours) / len(ours) - plain))
