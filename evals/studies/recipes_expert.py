"""The expert with recipes against the expert without: paired runs on a half of the suite.

    python -m evals.suite make --half tuning --tasks FOLDER
    python -m evals.studies.recipes_expert run --suite FOLDER [--half tuning] [--seconds 600]
    python -m evals.studies.recipes_expert page [--runs FILE]

Both arms have the same folds, seed and number of executed scripts. Recipes were measured on the
tuning half, so on a task of it the expert gets their evidence without that task. `run` appends a
line for every task and arm, skips those that are there, and begins no task after `--seconds`. The
final half asks for --release, as in evals.suite.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict

from evals.harness.forked import ForkedSandbox
from evals.harness.pages import (
    CACHE,
    append_row,
    page_parser,
    read_rows,
    rows_note,
    table_head,
    table_row,
    write_study_page,
)
from evals.harness.play import RunAccount, SharedWorker, Workbench, play_run
from evals.harness.provenance import provenance_note
from evals.harness.recorded import RecordedSandbox
from evals.harness.statistics import Interval, bootstrap_interval
from evals.studies.plans import PLAIN_SETTINGS
from evals.suite.__main__ import FINAL_TOLD
from evals.suite.catalogue import HALVES, tasks_of_half
from graph.settings import Settings
from memory.recipes.evidence import read_evidence, with_evidence
from memory.recipes.library import BOOK, read_folder, recipe_path
from reasoner.expert.engine import Expert
from task.grade.metrics import get_metric

ARMS = ("without", "with")
SCRIPT_S = 60
MIN_SCALE = 1e-9
COMMAND = "python -m evals.studies.recipes_expert"
ABOUT = """\
The embedded expert alone, one trace, {scripts} executed scripts a run, each of at most {limit} \
seconds of one CPU; no memory, no blends, no second seeds. Both arms have the same folds and seed; \
they differ in `recipes`: off, or the measured ones of the [book](../recipes-book.md). Recipes \
were measured on the tuning half, so on a task of it the expert has their evidence without that \
task. Private scores are scaled by task: 0 is the sample submission, 1 the best of both arms. What \
is handed over is fitted once more on all rows, so it can be ahead of all that led. Differences \
are paired by task, with 95 % intervals from a bootstrap over tasks.
"""


class ArmRow(TypedDict):
    """One run as a line of the results file."""

    task: str
    half: str
    arm: str
    direction: str
    baseline: float  # of the sample submission, on the private answers
    scripts: int
    private: float | None
    leads: list[tuple[int, float | None]]  # executed scripts, private score
    moves: list[str]


@dataclass
class SuiteBench(Workbench):
    """A workbench on the suite's tasks, which lie in a folder already."""

    suite: Path = field(default=Path("tasks/suite"))

    def task(self, name: str) -> Path:
        """Return the task's folder."""
        return self.suite / name


def write_recipes_without(task: str, folder: Path) -> Path:
    """Write the measured recipes without what was measured on a task; return the folder.

    They are sealed for this user, as the evidence is another than that of the book.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for recipe in read_folder(BOOK, own=True).recipes:
        evidence = read_evidence(recipe)
        if evidence is None or task not in evidence.tried:
            continue
        left = tuple(each for each in evidence.tasks if each.task != task)
        rest = evidence.model_copy(update={"tasks": left, "failed": ()})
        mine = recipe.model_copy(update={"source": str(folder)})
        text = with_evidence(recipe_path(recipe).read_text("utf-8"), mine, rest)
        (folder / recipe.name).write_text(text)
    return folder


async def run_arm(bench: SuiteBench, task: str, half: str, arm: str, scripts: int) -> ArmRow:
    """Run the expert once and return its row."""
    where = "off"
    if arm == "with":
        where = str(write_recipes_without(task, bench.root / "recipes-without" / task))
    values: dict[str, Any] = PLAIN_SETTINGS | {"variants": 0, "run_time_s": SCRIPT_S}
    values |= {"steps": scripts, "max_executions": scripts + 1, "traces": 1, "recipes": where}
    settings = Settings.model_validate(values)
    moves = MoveWatcher()
    account = await play_run(bench, task, settings, moves, f"{task}-{arm}")
    return as_row(account, half, arm, scripts, moves.taken, await find_baseline(bench, task))


class MoveWatcher(Expert):
    """The expert, with the moves that it took noted."""

    def __init__(self) -> None:
        super().__init__(seed=0)
        self.taken: list[str] = []

    async def diagnose(self, brief: Any) -> Any:
        """Note the move of the change."""
        diagnosis = await super().diagnose(brief)
        chosen = diagnosis.change.hypothesis if diagnosis.change else None
        self.taken.append(str(chosen.move) if chosen else "-")
        return diagnosis


async def find_baseline(bench: SuiteBench, task: str) -> tuple[float, str]:
    """Return the private score of the sample submission, and the metric's direction."""
    score = await bench.private_score(task, bench.task(task) / "sample_submission.csv")
    setup = await bench.template(task)
    return float(score or 0.0), get_metric(setup["prepared"]["task"]["metric"]).direction


def as_row(
    account: RunAccount,
    half: str,
    arm: str,
    scripts: int,
    moves: list[str],
    baseline: tuple[float, str],
) -> ArmRow:
    """Return an account as a row."""
    leads = [(lead["executions"], lead["private"]) for lead in account["search"]["leads"]]
    return ArmRow(
        task=account["task"],
        half=half,
        arm=arm,
        direction=baseline[1],
        baseline=baseline[0],
        scripts=scripts,
        private=account["private"],
        leads=leads,
        moves=moves,
    )


async def run_half(options: argparse.Namespace) -> None:
    """Run both arms on the tasks of a half until time is up."""
    end = time.monotonic() + options.seconds
    done = {(row["task"], row["arm"]) for row in read_rows(options.runs)}
    root = CACHE / "recipes-expert"
    root.mkdir(parents=True, exist_ok=True)
    sandbox = RecordedSandbox(ForkedSandbox(), root / "recorded")
    bench = SuiteBench(root, SharedWorker(root / "grades"), sandbox, suite=options.suite)
    try:
        for task in tasks_of_half(options.half):
            if options.names and task.name not in options.names:
                continue
            for arm in ARMS:
                if (task.name, arm) in done:
                    continue
                if time.monotonic() > end:
                    print("time is up; call again to go on")
                    return
                row = await run_arm(bench, task.name, options.half, arm, options.scripts)
                append_row(options.runs, row)
                print(f"{task.name:14} {arm:8} {row['private']} {' '.join(row['moves'])}")
    finally:
        await bench.worker.shut_down()


# the page


def scaled(row: ArmRow, best: float, value: float | None) -> float:
    """Return a private score on a scale from the sample submission, 0, to the best seen, 1."""
    if value is None:
        return 0.0
    scale = best - row["baseline"]
    return (value - row["baseline"]) / scale if abs(scale) > MIN_SCALE else 0.0


def best_seen(pair: Sequence[ArmRow]) -> float:
    """Return the best private score of what led and what was handed over, in both arms."""
    found = [score for row in pair for score in (row["private"], *(s for _, s in row["leads"]))]
    known = [score for score in found if score is not None]
    choose = max if pair[0]["direction"] == "max" else min
    return choose(known, default=pair[0]["baseline"])


def final_score(row: ArmRow, best: float) -> float:
    """Return the scaled private score of what was handed over."""
    return scaled(row, best, row["private"])


def area(row: ArmRow, best: float) -> float:
    """Return the mean scaled private score of what led, over the executed scripts."""
    starts = [max(0, executed - 1) for executed, _ in row["leads"]]
    stops = [*starts[1:], row["scripts"]]
    spans = zip(row["leads"], starts, stops, strict=True)
    total = sum(scaled(row, best, lead[1]) * max(0, stop - start) for lead, start, stop in spans)
    return total / row["scripts"]


MEASURES: dict[str, Callable[[ArmRow, float], float]] = {
    "final private score": final_score,
    "area under best-so-far": area,
}


def pairs_of(rows: Sequence[ArmRow], half: str) -> dict[str, tuple[ArmRow, ArmRow]]:
    """Return task -> (without, with) of a half, where both are there."""
    known = {(row["task"], row["arm"]): row for row in rows if row["half"] == half}
    names = sorted({task for task, _ in known})
    return {
        name: (known[name, ARMS[0]], known[name, ARMS[1]])
        for name in names
        if all((name, arm) in known for arm in ARMS)
    }


def difference(
    pairs: dict[str, tuple[ArmRow, ArmRow]], measure: Callable[[ArmRow, float], float]
) -> Interval:
    """Return with - without over tasks."""
    import numpy as np

    values = {}
    for name, pair in pairs.items():
        best = best_seen(pair)
        values[name] = np.array([measure(pair[1], best) - measure(pair[0], best)])
    return bootstrap_interval(values)


def half_lines(rows: Sequence[ArmRow], half: str) -> list[str]:
    """Return the tables of one half."""
    pairs = pairs_of(rows, half)
    n_apart = sum(pair[0]["moves"] != pair[1]["moves"] for pair in pairs.values())
    n_tasks = len(tasks_of_half(half))
    lines = [
        f"\n## {half.capitalize()} half\n",
        f"{len(pairs)} of {n_tasks} tasks; on {n_apart} the arms took other steps.\n",
        *table_head(["", "without", "with", "with − without [95 %]", "better / worse"]),
    ]
    for title, measure in MEASURES.items():
        values = [[measure(row, best_seen(pair)) for row in pair] for pair in pairs.values()]
        cells = [f"{sum(side) / len(pairs):.3f}" for side in zip(*values, strict=True)]
        signs = [sum(b > a for a, b in values), sum(b < a for a, b in values)]
        interval = difference(pairs, measure).precise
        lines.append(table_row([title, *cells, interval, f"{signs[0]} / {signs[1]}"]))
    lines += ["", *table_head(["task", "without", "with", "area without", "area with"])]
    for name, pair in pairs.items():
        best = best_seen(pair)
        cells = [f"{row['private']:.5g}" if row["private"] is not None else "none" for row in pair]
        lines.append(table_row([name, *cells, *(f"{area(row, best):.3f}" for row in pair)]))
    return [*lines, *step_lines(pairs)]


def step_lines(pairs: dict[str, tuple[ArmRow, ArmRow]]) -> list[str]:
    """Return the steps of the tasks on which the arms took other ones."""
    apart = {name: pair for name, pair in pairs.items() if pair[0]["moves"] != pair[1]["moves"]}
    if not apart:
        return []
    told = [
        table_row([name, *(", ".join(f"`{move}`" for move in row["moves"]) for row in pair)])
        for name, pair in apart.items()
    ]
    return ["", *table_head(["task", "steps without", "steps with"]), *told]


def expert_page(rows: Sequence[ArmRow]) -> str:
    """Return docs/results/recipes-expert.md; all runs must have as many scripts."""
    (scripts,) = {row["scripts"] for row in rows}
    about = ABOUT.format(scripts=scripts, limit=SCRIPT_S)
    parts = ["# The expert with recipes and without\n", about]
    parts += [line for half in HALVES if pairs_of(rows, half) for line in half_lines(rows, half)]
    note = provenance_note(f"{COMMAND} run --half HALF --scripts {scripts}")
    return "\n".join([*parts, "\n" + note])


def main() -> int:
    parser = page_parser(__doc__, "recipes-expert.jsonl")
    parser.add_argument("what", choices=("run", "page"))
    parser.add_argument("names", nargs="*", metavar="TASK")
    parser.add_argument("--suite", type=Path, default=Path("tasks/suite"))
    parser.add_argument("--half", choices=HALVES, default="tuning")
    parser.add_argument("--scripts", type=int, default=10, help="executed in a run")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--release", action="store_true", help="needed for the final half")
    options = parser.parse_intermixed_args()
    if options.what == "page":
        page = expert_page(read_rows(options.runs))
        page += rows_note(f"{COMMAND} page --runs", options.runs)
        write_study_page(options.out, "recipes-expert.md", page)
    elif options.half == "final" and not options.release:
        print(f"{FINAL_TOLD}; say --release to run it")
        return 2
    else:
        asyncio.run(run_half(options))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
