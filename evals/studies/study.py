"""Run a plan of many small runs in several processes; each finished run is a line of a file.

python -m evals.studies.study PLAN [--tasks crossover] [--seeds 10] [--first 0] [--budget 12]
                              [--conditions former,all] [--skills 0,0.6] [--jobs 2] [--out FILE]
                              [--root ~/.cache/gome/evals]

Plans: crossover (skill x strategy), conditions (what makes a crossover appear), ablation
(diagnosis, memory, traces, ensemble), dealing (executions by promise or in turns), reuse
(scripts that build on others), lines (line searches on and off), rules (the former rules of the
loop, each new one alone, all of them). A cell is (task, strategy, condition, q, seed). Every
strategy has the same budget of executed scripts; drafts and failures count. The same command
continues an interrupted study; another budget needs another file.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import time
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from evals.harness import suites
from evals.harness.pages import CACHE, append_row, read_rows, study_parser
from evals.harness.play import RunAccount, Workbench, open_workbench, play_run
from evals.harness.rules import make_rules
from evals.harness.skill import DegradedExpert
from evals.studies.plans import (
    ABLATION_SKILL,
    PLAIN_SETTINGS,
    PLANS,
    TAUGHT,
    TAUGHT_SCRIPTS,
    Changes,
    StudyCell,
)
from evals.studies.taught import TaughtMemory, taught_folder, teach_memory
from graph.settings import Settings


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
    budget: int
    wall: float


@lru_cache(maxsize=2)
def open_taught(root: Path, q: float) -> TaughtMemory:
    """Open the memory once per process; it ends with the process."""
    return TaughtMemory(root, q)


async def run_cell(bench: Workbench, cell: StudyCell, budget: int) -> StudyRow:
    """Run one cell with at most `budget` executed scripts before the finale."""
    name = cell.key.replace(" ", "_")
    values: dict[str, Any] = PLAIN_SETTINGS | dict(cell.changes)
    memory = None
    if values["memory"] == TAUGHT:
        memory = open_taught(bench.root, cell.q).memory(name)
        values |= {"memory": str(taught_folder(bench.root, cell.q)), "evaluation": True}
    # repairs are executions too; the finale has its own
    n_final = values.pop("finale", 1)
    values |= {"steps": budget, "max_executions": budget + n_final}
    values["finalize_share"] = min(0.5, (n_final + 0.01) / (budget + n_final))
    values |= {"policy": cell.strategy, "seed": cell.seed, "traces": cell.traces}
    settings = Settings.model_validate(values)
    reasoner = DegradedExpert(cell.q, cell.seed, inert=cell.inert, blind=cell.blind)
    rules = make_rules(cell.rule, cell.q, cell.seed)
    began = time.monotonic()
    account = await play_run(bench, cell.task, settings, reasoner, name, rules=rules, memory=memory)
    wall = round(time.monotonic() - began, 2)
    row: Any = {**cell._asdict(), **account, "key": cell.key, "budget": budget, "wall": wall}
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


def prepare_templates(tasks: Sequence[str], root: Path, taught_q: float | None = None) -> None:
    """Prepare the tasks before processes share them; teach a memory at skill `taught_q`."""

    async def prepare() -> None:
        bench = open_workbench(root)
        for name in tasks:
            await bench.template(name)
        if taught_q is not None:
            await teach_memory(bench, root, taught_q, tasks, TAUGHT_SCRIPTS)
        await bench.worker.shut_down()

    asyncio.run(prepare())


def main() -> None:
    options = parse_study_options()
    out = options.out or options.root / f"{options.plan}.jsonl"
    tasks = suites.task_names(options.tasks)
    taught_q = ABLATION_SKILL if options.plan == "ablation" else None
    prepare_templates(tasks, options.root, taught_q)
    finished = finished_keys(out)
    plan = PLANS[options.plan](tasks, range(options.first, options.first + options.seeds))
    conditions = options.conditions.split(",") if options.conditions else None
    skills = [float(q) for q in options.skills.split(",")] if options.skills else None
    cells = [
        cell
        for cell in plan
        if cell.key not in finished
        and (conditions is None or cell.condition in conditions)
        and (skills is None or cell.q in skills)
    ]
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
    parser.add_argument("--conditions", default="", help="comma separated; all if empty")
    parser.add_argument("--skills", default="", help="comma separated; all if empty")
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
