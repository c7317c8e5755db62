"""Measure recipes: the plain script of a task with a recipe's code against the same without it.

Both run in the sandbox under the same folds and seeds, and the harness grades what they write. The
difference is paired row by row, out of fold; where a task's answers lie beside its folder, the
difference on them is told too. A recipe's file is text until its code runs in that sandbox.
"""

from __future__ import annotations

import asyncio
import filecmp
import re
import secrets
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from briefs.task_brief import make_task_brief
from graph.settings import Settings
from memory.recipes.evidence import HELPED_Z, Evidence, TaskGain
from memory.recipes.facts import ConditionFacts, read_condition_facts, unmet_condition
from memory.recipes.plain_script import STEP_NAMES, plain_script, redefined_steps
from memory.recipes.seeds import may_depend_on_seed
from memory.recipes.spec import Recipe
from memory.recipes.traits import SIGNS
from reasoner.protocol import Resources, TaskBrief
from report.formatting import clean_text
from run.services import sandbox_for
from sandbox.inside.walk import make_fresh_folder
from sandbox.local.gpus import needs_gpu
from sandbox.protocol import Execution, Job, Limits, Sandbox
from task.client import TaskWorker
from task.types import Prepared

N_FOLDS = 3
N_SHUFFLED = 2
"""Folds whose labels are shuffled before a recipe is said to read them."""
STOPS_EARLY_FROM = 10_000
"""Rows from which the plain model holds some back, drawn by the seed, to know when to stop."""
FILES = ("oof.csv", "submission.csv")
Say = Callable[[str], None]
Measured = TaskGain | Literal["failed", "unfit"]
"""`unfit`: the plain script fails on the task, so nothing can be compared."""


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
    folder = folder.resolve()
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


def task_word(task: TrialTask) -> str:
    """Return a task's name as evidence writes it; by its data where it has no plain letters."""
    name = re.sub(r"[^a-z0-9_.-]+", "-", task.prepared.task.name.lower()).strip("-._")[:50]
    return name or f"task-{task.prepared.data_hash[:6]}"


def task_name(evidence: Evidence | None, task: TrialTask) -> str:
    """Return the name of a task in a recipe's evidence: another one where other data have its name.

    Evidence without fingerprints tells data apart by their number of rows.
    """
    word = task_word(task)
    known = next((gain for gain in evidence.tasks if gain.task == word), None) if evidence else None
    if known is None:
        return word
    here = task.prepared.data_hash
    is_other = known.data != here if known.data else known.rows != task.prepared.n_train
    return f"{word}-{here[:6]}" if is_other else word


def n_seeds(recipe: Recipe, task: TrialTask, seeds: int) -> int:
    """Return under how many of these seeds a recipe is run.

    One of Gome's own in which nothing depends on them would repeat itself; of others two runs tell.
    """
    may_differ = may_depend_on_seed(recipe.code) or task.prepared.n_train > STOPS_EARLY_FROM
    return seeds if recipe.source or may_differ else 1


def tasks_to_try(
    recipe: Recipe, evidence: Evidence | None, tasks: Sequence[TrialTask], seeds: int
) -> list[TrialTask]:
    """Return the tasks on which a recipe was not measured, or under fewer seeds than asked for."""
    if evidence is None:
        return list(tasks)
    return [
        task
        for task in tasks
        if task_name(evidence, task) not in evidence.measured_under(n_seeds(recipe, task, seeds))
    ]


async def measure_recipe(
    bench: TrialBench, recipe: Recipe, tasks: Sequence[TrialTask], known: Evidence | None = None
) -> Evidence | None:
    """Return what a recipe brings on these tasks; None where it could be measured on none.

    `known`: its evidence so far, which has names of tasks.
    """
    names = [task_name(known, task) for task in tasks]
    work = (measure_on(bench, recipe, task, name) for task, name in zip(tasks, names, strict=True))
    found = await asyncio.gather(*work)
    measured = [(name, gain) for name, gain in zip(names, found, strict=True) if gain != "unfit"]
    if not measured:
        return None
    return Evidence(
        measured=datetime.now(UTC).date().isoformat(),
        by=_own_version(),
        tasks=tuple(gain for _, gain in measured if isinstance(gain, TaskGain)),
        failed=tuple(name for name, gain in measured if gain == "failed"),
    )


def _own_version() -> str:
    try:
        return f"gome {version('gome')}"
    except PackageNotFoundError:
        return "gome from a checkout"


async def measure_on(bench: TrialBench, recipe: Recipe, task: TrialTask, name: str) -> Measured:
    """Return the gain on one task over all seeds; `name`: of the task."""
    old = await _plain_files(bench, task)
    if not old:
        return "unfit"
    script = plain_script(task.brief, task.profile, recipe)
    seeds = n_seeds(recipe, task, bench.seeds)
    new = await _run_seeds(bench, task, script, seeds, recipe.id)
    if not new:
        return "failed"
    oof = [files["oof.csv"] for files in new]
    paired = await bench.worker.compare_files(task.prepared, oof, [old["oof.csv"]])
    if paired is None:
        return "failed"
    gain = TaskGain(
        task=name,
        metric=task.brief.metric[:60],
        rows=task.prepared.n_train,
        seeds=seeds,
        gain=_rounded(paired["d"]),
        se=_rounded(paired["se"]),
        private=await _private_gain(bench, task, new, old),
        data=task.prepared.data_hash,
    )
    is_checked = recipe.source and gain.z >= HELPED_Z
    if is_checked and (doubt := await _doubt_labels(bench, task, script, oof[0])):
        bench.say(f"  {recipe.id} on {name}: {doubt}")
        return "failed"
    same = (
        " (its predictions are those of the plain script)" if not gain.gain and not gain.se else ""
    )
    bench.say(f"  {recipe.id} on {name}: {gain.gain:+.4g} ± {gain.se:.2g} {gain.metric}{same}")
    return gain


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


async def _run_seeds(
    bench: TrialBench, task: TrialTask, script: str, seeds: int, what: str
) -> list[dict[str, str]]:
    """Return a script's files under each seed, once where they do not differ; none: it failed."""
    runs: list[dict[str, str]] = []
    for seed in range(seeds):
        files = await run_script(bench, task, script, seed, what)
        if not files:
            return []
        if seed == 1 and _are_equal(runs[0], files):
            return runs
        runs.append(files)
    return runs


def _are_equal(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    return all(filecmp.cmp(one[name], other[name], shallow=False) for name in FILES)


async def _doubt_labels(bench: TrialBench, task: TrialTask, script: str, oof: str) -> str:
    """Return why a gain is not believed: predictions follow labels that only the harness shuffled.

    Empty: they do not. What cannot be compared is not believed either, as in a run.
    """
    for place in range(N_SHUFFLED):
        draw = secrets.token_hex(16)
        folder = bench.place / "shuffled" / f"{bench.n_scripts}"
        folder.mkdir(parents=True)
        table = await bench.worker.write_shuffled_labels(task.prepared, place, draw, str(folder))
        inputs = task.prepared.inputs | {Path(table["path"]).name: table["path"]}
        execution = await _execute(bench, script, 0, inputs)
        if "oof.csv" not in execution.files:
            return "with the labels of one fold shuffled it wrote no predictions; let it run on any"
        found = await bench.worker.measure_following(
            task.prepared, oof, execution.files["oof.csv"], table["fold"], draw
        )
        if found["problem"]:
            return f"with the labels of one fold shuffled: {found['problem']['message']}"
        if not found["follows"]:
            return ""
    return (
        "its predictions follow the labels that they predict, though these were shuffled: "
        "something in it reads them"
    )


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
    execution = await _execute(bench, script, seed, task.prepared.inputs)
    files = {name: execution.files[name] for name in FILES if name in execution.files}
    grade = await bench.worker.grade(task.prepared, files, {}, _execution_facts(execution))
    if grade["ok"]:
        return files
    reason = grade["problems"][0]["message"] if grade["problems"] else "it was refused"
    if execution.end == "timeout":
        reason = f"it took longer than {bench.limit_s:g} s; a larger --limit gives it more"
    bench.say(f"  {what} on {task_word(task)}: {clean_text(reason, 300)}")
    return {}


async def _execute(bench: TrialBench, script: str, seed: int, inputs: dict[str, str]) -> Execution:
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
        inputs=inputs,
        limits=limits,
        env={"GOME_SEED": str(seed)},
        collect=list(FILES),
    )
    async with bench.slots:
        return await bench.sandbox.run(job)


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
