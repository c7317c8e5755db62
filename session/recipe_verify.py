"""`gome recipes verify`: measure the recipes of a library on tasks, one file after the other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from graph.settings import Settings
from memory.recipes.evidence import (
    MOST_TASKS,
    Evidence,
    State,
    merge_evidence,
    read_evidence,
    with_evidence,
)
from memory.recipes.library import OFF, make_folder, read_recipe_text, write_recipe_file
from memory.recipes.spec import Recipe, RecipeError, parse_recipe
from report.formatting import format_plural
from session.recipe_trials import (
    Say,
    TrialBench,
    TrialTask,
    is_measurable,
    matching_tasks,
    measure_recipe,
    open_task,
    open_trials,
    task_word,
    tasks_to_try,
    unmet_here,
)

N_REASONS = 3
NOTHING = Evidence(measured="", by="", tasks=())


class Verified(NamedTuple):
    """The verdicts of recipes, and how many there was nothing to measure of."""

    states: list[State]
    n_failed: int


async def verify_library(
    recipes: Sequence[Recipe],
    folders: Sequence[Path],
    where: str,
    *,
    seeds: int,
    limit_s: float,
    say: Say,
    again: bool = False,
) -> Verified:
    """Measure recipes on task folders and write what comes out into their files in `where`.

    Without folders: on the bundled examples. A recipe of Gome's own gets a copy in `where`, which
    takes its place and keeps what Gome measured on other tasks. What this user's folder holds of a
    task is not measured once more, so the same command goes on after an end; `again`: it is. A
    recipe whose file cannot be written is told, and the next one has its turn.

    Raises TaskError, RecipeError, SandboxUnavailableError.
    """
    if where == OFF:
        raise RecipeError("recipes are off; name a folder with --recipes")
    target = make_folder(Path(where).expanduser())
    states, n_failed = list[State](), 0
    async with open_trials(Settings(), seeds=seeds, limit_s=limit_s, say=say) as bench:
        tasks = await _open_tasks(bench, folders)
        say(f"{format_plural(len(recipes), 'recipe')}, {format_plural(len(tasks), 'task')}")
        for number, recipe in enumerate(recipes, 1):
            new, why = _tasks_to_measure(recipe, tasks, seeds, again=again)
            say(f"[{number}/{len(recipes)}] {recipe.id}: {why or format_plural(len(new), 'task')}")
            if not new:
                continue
            try:
                state = await _verify_one(bench, recipe, new, target)
            except RecipeError as error:
                say(f"  {error}")
                state = None
            if state is None:
                n_failed += 1
            else:
                states.append(state)
                n_failed += state == "untested"
    return Verified(states, n_failed)


async def _open_tasks(bench: TrialBench, folders: Sequence[Path]) -> list[TrialTask]:
    """Open the folders, or the bundled examples; of the same data one."""
    if not folders:
        bench.say("preparing the bundled examples")
        return await open_examples(bench)
    tasks: dict[str, TrialTask] = {}
    for folder in folders:
        task = await open_task(bench, folder)
        first = tasks.setdefault(task.prepared.data_hash, task)
        if first is not task:
            bench.say(f"{folder}: has the data of {first.folder}, which count once")
    if len(tasks) > MOST_TASKS:
        raise RecipeError(f"a recipe holds what {MOST_TASKS} tasks say; name no more of them")
    if not any(is_measurable(task) for task in tasks.values()):
        raise RecipeError(
            "the plain script gives classes and values, no free texts; name a task that asks "
            "for those with --task"
        )
    return list(tasks.values())


async def open_examples(bench: TrialBench) -> list[TrialTask]:
    """Write and open the bundled examples."""
    tasks = []
    for name in await bench.worker.list_examples():
        folder = bench.place / "examples" / name
        await bench.worker.write_example(name, str(folder))
        tasks.append(await open_task(bench, folder))
    return tasks


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


async def _verify_one(
    bench: TrialBench, recipe: Recipe, tasks: Sequence[TrialTask], target: Path
) -> State | None:
    """Measure one recipe and write its file in `target`; None where no plain script ran.

    The file is written after every task, so that an end loses one of them at most.
    """
    mine = recipe.model_copy(update={"source": str(target)})
    text = read_recipe_text(recipe)
    evidence, is_measured = read_evidence(recipe), False
    # a file that could not take its numbers is refused before anything runs
    parse_recipe(with_evidence(text, mine, evidence or NOTHING), mine.name, mine.source)
    for task in tasks:
        new = await measure_recipe(bench, mine, [task], evidence)
        if new is not None:
            evidence, is_measured = merge_evidence(evidence, new), True
            write_recipe_file(mine, with_evidence(text, mine, evidence))
    if evidence is None or not is_measured:
        bench.say("  nothing to compare with: the plain script failed on these tasks")
        return None
    bench.say(f"  {evidence.describe()}")
    return evidence.verdict
