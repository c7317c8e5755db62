"""Run a plan of many small runs in several processes; each finished run is a line of a file.

python -m evals.studies.study PLAN [--tasks crossover] [--seeds 10] [--first 0] [--budget 12]
                              [--jobs 2] [--out FILE] [--root ~/.cache/gome/evals]

Plans: crossover (skill x strategy), conditions (what makes a crossover appear), ablation
(diagnosis, memory, traces, audit, ensemble), dealing (executions by promise or in turns), reuse
(scripts that build on others), lines (line searches on and off). A cell is (task, strategy,
condition, q, seed). Every strategy has the same budget of executed scripts; drafts and failures
count. The same command continues an interrupted study.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, cast

from evals.harness import suites
from evals.harness.pages import CACHE, append_row, read_rows, study_parser
from evals.harness.play import RunAccount, Workbench, open_workbench, play_run
from evals.harness.rules import make_rules
from evals.harness.skill import DegradedExpert
from evals.studies.taught import TaughtMemory, taught_folder, teach_memory
from graph.settings import Settings

SKILLS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
ABLATION_SKILL = 0.6
TAUGHT = "@taught"  # as `memory`: the memory of evals/studies/taught.py
CONDITION_SKILLS, INERT_SHARES = (0.0, 0.5, 1.0), (0.0, 0.9)
STRATEGIES = ("gome", "adaptive", "tree", "mcts", "random")
PLAIN_SETTINGS = {
    "memory": "off",
    "patience": 1000,
    "time_s": 3600,
    "run_time_s": 120,
    "max_failures": 1000,
    "confirm": False,
    "ensemble": False,
    "reuse": False,
    "top_k": 1,
    "final_seeds": 1,
    "review": False,
    "deal": "turns",
}
"""Settings of the crossover: no extras for any strategy, so that a step is one executed script."""
Changes = tuple[tuple[str, Any], ...]
ABLATION_WHOLE: Changes = (
    ("memory", TAUGHT),
    ("confirm", True),
    ("ensemble", True),
    ("top_k", 3),
    ("final_seeds", 2),
    ("patience", 3),
)
ABLATION_WITHOUT: dict[str, Changes] = {
    "memory": (("memory", "off"), ("sharing", False)),
    "sharing": (("sharing", False),),
    "audit": (("audit", False),),
    "ensemble": (("ensemble", False),),
    "second seed": (("confirm", False),),
}
"""What every strategy of the crossover goes without, so that a step is one executed script."""


class StudyCell(NamedTuple):
    """One run of a plan."""

    task: str
    strategy: str
    condition: str
    q: float
    seed: int
    inert: float = 0.5  # share of wrong ideas that change nothing
    blind: bool = False  # the diagnosis sees code and score only
    rule: str = "measured"  # evals/harness/rules.py
    traces: int = 1
    changes: Changes = ()  # settings of the condition

    @property
    def key(self) -> str:
        """What the run is called in the results file."""
        return f"{self.task}-{self.strategy}-{self.condition}-{self.q}-{self.seed}"


class StudyRow(RunAccount):
    """A cell with its run's account, as one line of the results file."""

    key: str
    strategy: str
    condition: str
    q: float
    seed: int
    inert: float
    blind: bool
    rule: str
    traces: int
    changes: Changes
    wall: float


def plan_crossover(tasks: list[str], seeds: range) -> Iterator[StudyCell]:
    """Yield every strategy at every skill."""
    for seed, task, q, strategy in itertools.product(seeds, tasks, SKILLS, STRATEGIES):
        if strategy != "random" or q == SKILLS[0]:  # skill does not change drafts
            yield StudyCell(task, strategy, "plain", q, seed)


def plan_conditions(tasks: list[str], seeds: range) -> Iterator[StudyCell]:
    """Yield what may make a crossover appear.

    Who accepts, whether the tree judges validity, whether it sees the evidence, the inert share.
    """
    for seed, task, q, inert in itertools.product(seeds, tasks, CONDITION_SKILLS, INERT_SHARES):
        share = f"inert {inert}"
        gome = StudyCell(task, "gome", share, q, seed, inert=inert)
        tree = StudyCell(task, "tree", share, q, seed, inert=inert)
        yield gome
        yield gome._replace(condition=f"verdict, {share}", rule="verdict")
        yield tree
        yield tree._replace(condition=f"blind, {share}", blind=True)
        yield tree._replace(condition=f"valid, {share}", rule="valid tree")
        yield tree._replace(condition=f"score, {share}", rule="score", changes=(("audit", False),))


def plan_ablation(tasks: list[str], seeds: range) -> Iterator[StudyCell]:
    """Yield the whole method and each part removed: four traces, a mostly right reasoner."""
    for seed, task in itertools.product(seeds, tasks):
        full = StudyCell(
            task, "gome", "full", ABLATION_SKILL, seed, traces=4, changes=ABLATION_WHOLE
        )
        yield full
        yield full._replace(condition="no diagnosis", blind=True)
        yield full._replace(condition="one trace", traces=1)
        for name, changes in ABLATION_WITHOUT.items():
            yield full._replace(condition=f"no {name}", changes=(*ABLATION_WHOLE, *changes))


def plan_lines(tasks: list[str], seeds: range) -> Iterator[StudyCell]:
    """Yield a run with line searches and one without, by a reasoner that knows the moves."""
    for seed, task in itertools.product(seeds, tasks):
        for condition, variants in (("off", 0), ("on", 8)):
            yield StudyCell(task, "gome", condition, 1.0, seed, changes=(("variants", variants),))


def plan_dealing(tasks: list[str], seeds: range) -> Iterator[StudyCell]:
    """Yield executions dealt by promise and in turns, over two traces."""
    for seed, task, policy in itertools.product(seeds, tasks, ("gome", "adaptive")):
        for deal in ("turns", "promise"):
            changes = (("deal", deal), ("patience", 3))
            yield StudyCell(task, policy, deal, ABLATION_SKILL, seed, traces=2, changes=changes)


def plan_reuse(tasks: list[str], seeds: range) -> Iterator[StudyCell]:
    """Yield two traces whose scripts may build on each other or not, beside blends or without."""
    for seed, task in itertools.product(seeds, tasks):
        for blends, reuse in itertools.product((False, True), (False, True)):
            name = f"{'on' if reuse else 'off'}{', blends' if blends else ''}"
            changes = (("ensemble", blends), ("reuse", reuse), ("patience", 3))
            yield StudyCell(task, "gome", name, SKILLS[-1], seed, traces=2, changes=changes)


PLANS = {
    "crossover": plan_crossover,
    "conditions": plan_conditions,
    "ablation": plan_ablation,
    "dealing": plan_dealing,
    "reuse": plan_reuse,
    "lines": plan_lines,
}


@lru_cache(maxsize=2)
def open_taught(root: Path, q: float) -> TaughtMemory:
    """Open the memory once per process; it ends with the process."""
    return TaughtMemory(root, q)


async def run_cell(bench: Workbench, cell: StudyCell, budget: int) -> StudyRow:
    """Run one cell with at most `budget` executed scripts before the final refit."""
    name = cell.key.replace(" ", "_")
    values: dict[str, Any] = PLAIN_SETTINGS | dict(cell.changes)
    memory = None
    if values["memory"] == TAUGHT:
        memory = open_taught(bench.root, cell.q).memory(name)
        values |= {"memory": str(taught_folder(bench.root, cell.q)), "evaluation": True}
    # repairs are executions too; the last execution is the final refit
    values |= {"steps": budget, "max_executions": budget + 1}
    values |= {"policy": cell.strategy, "seed": cell.seed, "traces": cell.traces}
    settings = Settings.model_validate(values)
    reasoner = DegradedExpert(cell.q, cell.seed, inert=cell.inert, blind=cell.blind)
    rules = make_rules(cell.rule, cell.q, cell.seed)
    began = time.monotonic()
    account = await play_run(bench, cell.task, settings, reasoner, name, rules=rules, memory=memory)
    wall = round(time.monotonic() - began, 2)
    row: Any = {**cell._asdict(), **account, "key": cell.key, "wall": wall}
    return cast(StudyRow, row)


async def run_cells(cells: list[StudyCell], root: Path, out: Path, budget: int) -> None:
    """Run cells one after the other and append their rows to `out`."""
    bench = open_workbench(root)
    try:
        for cell in cells:
            append_row(out, await run_cell(bench, cell, budget))
    finally:
        await bench.worker.shut_down()


def run_share(cells: list[StudyCell], root: Path, out: Path, budget: int) -> None:
    """Run one process's share of the cells."""
    asyncio.run(run_cells(cells, root, out, budget))


def finished_keys(out: Path) -> set[str]:
    """Return the keys of the runs in a results file."""
    return {row["key"] for row in read_rows(out)}


def prepare_templates(
    tasks: Sequence[str], root: Path, taught_q: float | None = None, steps: int = 0
) -> None:
    """Prepare the tasks before processes share them; teach a memory at skill `taught_q`."""

    async def prepare() -> None:
        bench = open_workbench(root)
        for name in tasks:
            await bench.template(name)
        if taught_q is not None:
            await teach_memory(bench, root, taught_q, tasks, steps)
        await bench.worker.shut_down()

    asyncio.run(prepare())


def main() -> None:
    options = parse_study_options()
    out = options.out or options.root / f"{options.plan}.jsonl"
    tasks = suites.task_names(options.tasks)
    taught_q = ABLATION_SKILL if options.plan == "ablation" else None
    prepare_templates(tasks, options.root, taught_q, options.budget)
    finished = finished_keys(out)
    plan = PLANS[options.plan](tasks, range(options.first, options.first + options.seeds))
    cells = [cell for cell in plan if cell.key not in finished]
    print(f"{len(cells)} runs to do, {len(finished)} done; results in {out}", flush=True)
    run_processes(cells, options, out)


def parse_study_options() -> argparse.Namespace:
    """Parse the command line."""
    parser = study_parser(__doc__)
    parser.add_argument("plan", choices=PLANS)
    parser.add_argument("--tasks", default="crossover", help="suites and tasks, comma separated")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument(
        "--first", type=int, default=0, help="first seed; tune on seeds from 100 on"
    )
    parser.add_argument("--budget", type=int, default=12, help="executed scripts of a run")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--out", type=Path, help="results file, PLAN.jsonl below --root by default")
    parser.add_argument("--root", type=Path, default=CACHE)
    return parser.parse_args()


def run_processes(cells: list[StudyCell], options: argparse.Namespace, out: Path) -> None:
    """Run the cells in `options.jobs` processes and print progress every half minute."""
    context = multiprocessing.get_context("spawn")
    shares = [cells[index :: options.jobs] for index in range(options.jobs)]
    processes = [
        context.Process(target=run_share, args=(share, options.root, out, options.budget))
        for share in shares
        if share
    ]
    n_before = len(finished_keys(out))
    for process in processes:
        process.start()
    while any(process.is_alive() for process in processes):
        time.sleep(1 if len(cells) < 20 else 30)
        print(f"  {len(finished_keys(out)) - n_before} of {len(cells)}", flush=True)
    if any(process.exitcode for process in processes):
        raise SystemExit(
            "a process of the study failed (its error is above); "
            "run the same command again to continue"
        )


if __name__ == "__main__":
    main()
