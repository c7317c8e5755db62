"""Runs a plan of many small runs, several processes at a time; every finished cell is a line of the results file, so it can go on.

python -m evals.studies.study PLAN [--tasks crossover] [--seeds 10] [--first 0] [--budget 12] [--jobs 2] [--out FILE] [--root ~/.cache/gome/evals]

Plans: crossover (skill x strategy), conditions (what makes a crossover appear), ablation (diagnosis, memory, traces, audit, ensemble).
A cell is (task, strategy, condition, q, seed). Every strategy has the same budget of executed scripts; drafts and failures count.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from evals.harness import suites
from evals.harness.play import Bench, open_bench, play
from evals.harness.rules import rules_of
from evals.harness.skill import Degraded
from evals.studies.taught import Taught, place, teach
from graph.settings import Settings

SKILLS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
ABLATION_SKILL = 0.6
TAUGHT = "@taught"  # as `memory`: what runs of other seeds learnt on the other tasks (evals/studies/taught.py)
CONDITION_SKILLS, INERT_SHARES = (0.0, 0.5, 1.0), (0.0, 0.9)
STRATEGIES = ("gome", "adaptive", "tree", "mcts", "random")
QUIET = {
    "memory": "off", "patience": 1000, "time_s": 3600, "run_time_s": 120, "max_failures": 1000,
    "confirm": False, "ensemble": False, "top_k": 1, "final_seeds": 1, "review": False,
}  # fmt: skip
"""What every strategy of the crossover goes without, so that a step is one executed script."""


class Cell(NamedTuple):
    """One run of a plan. `inert`: share of wrong ideas that change nothing; `changes`: settings of a condition."""

    task: str
    strategy: str
    condition: str
    q: float
    seed: int
    inert: float = 0.5
    blind: bool = False
    rule: str = "measured"  # evals/harness/rules.py
    traces: int = 1
    changes: tuple[tuple[str, Any], ...] = ()

    @property
    def key(self) -> str:
        return f"{self.task}-{self.strategy}-{self.condition}-{self.q}-{self.seed}"


def crossover(tasks: list[str], seeds: range) -> Iterator[Cell]:
    for seed, task, q, strategy in itertools.product(seeds, tasks, SKILLS, STRATEGIES):
        if strategy != "random" or q == SKILLS[0]:  # drafts alone: the dial does not touch it
            yield Cell(task, strategy, "plain", q, seed)


def conditions(tasks: list[str], seeds: range) -> Iterator[Cell]:
    """What makes a crossover appear: who accepts, whether the tree judges validity, the inert share, evidence hidden from the tree."""
    for seed, task, q in itertools.product(seeds, tasks, CONDITION_SKILLS):
        for inert in INERT_SHARES:
            yield Cell(task, "gome", f"inert {inert}", q, seed, inert=inert)
            yield Cell(
                task, "gome", f"verdict, inert {inert}", q, seed, inert=inert, rule="verdict"
            )
            yield Cell(task, "tree", f"inert {inert}", q, seed, inert=inert)
            yield Cell(task, "tree", f"blind, inert {inert}", q, seed, inert=inert, blind=True)
            yield Cell(
                task, "tree", f"valid, inert {inert}", q, seed, inert=inert, rule="valid tree"
            )
            yield Cell(
                task,
                "tree",
                f"score, inert {inert}",
                q,
                seed,
                inert=inert,
                rule="score",
                changes=(("audit", False),),
            )


def ablation(tasks: list[str], seeds: range) -> Iterator[Cell]:
    """One part of the method taken away at a time, four traces, a reasoner that is right more often than not."""
    whole = (
        ("memory", TAUGHT),
        ("confirm", True),
        ("ensemble", True),
        ("top_k", 3),
        ("final_seeds", 2),
        ("patience", 3),
    )
    without: dict[str, tuple[tuple[str, Any], ...]] = {
        "memory": (("memory", "off"), ("sharing", False)),
        "sharing": (("sharing", False),),
        "audit": (("audit", False),),
        "ensemble": (("ensemble", False),),
        "second seed": (("confirm", False),),
    }
    for seed, task in itertools.product(seeds, tasks):
        full = Cell(task, "gome", "full", ABLATION_SKILL, seed, traces=4, changes=whole)
        yield full
        yield full._replace(condition="no diagnosis", blind=True)
        yield full._replace(condition="one trace", traces=1)
        for name, changes in without.items():
            yield full._replace(condition=f"no {name}", changes=(*whole, *changes))


PLANS = {"crossover": crossover, "conditions": conditions, "ablation": ablation}


@lru_cache(maxsize=2)
def taught_of(root: Path, q: float) -> Taught:
    """Opened once a process, and ends with it."""
    return Taught(root, q)


async def run_cell(bench: Bench, cell: Cell, budget: int) -> dict[str, Any]:
    given = QUIET | dict(cell.changes)
    taught = None
    if given["memory"] == TAUGHT:
        taught = taught_of(bench.root, cell.q)
        given |= {"memory": str(place(bench.root, cell.q)), "evaluation": True}
    spend = {
        "steps": budget,
        "max_executions": budget + 1,
    }  # repairs are executions too; the last one is the final refit
    settings = Settings.model_validate(
        given | spend | {"policy": cell.strategy, "seed": cell.seed, "traces": cell.traces}
    )
    reasoner = Degraded(cell.q, cell.seed, inert=cell.inert, blind=cell.blind)
    began = time.monotonic()
    rules = rules_of(cell.rule, cell.q, cell.seed)
    name = cell.key.replace(" ", "_")
    account = await play(
        bench,
        cell.task,
        settings,
        reasoner,
        name,
        rules=rules,
        memory=taught and taught.memory(name),
    )
    return {
        **cell._asdict(),
        **account,
        "key": cell.key,
        "wall": round(time.monotonic() - began, 2),
    }


async def work(cells: list[Cell], root: Path, out: Path, budget: int) -> None:
    bench = open_bench(root)
    try:
        for cell in cells:
            line = json.dumps(await run_cell(bench, cell, budget))
            with out.open("a") as file:
                file.write(line + "\n")
    finally:
        await bench.worker.end()


def labour(cells: list[Cell], root: Path, out: Path, budget: int) -> None:
    asyncio.run(work(cells, root, out, budget))


def done(out: Path) -> set[str]:
    return (
        {json.loads(line)["key"] for line in out.read_text().splitlines()}
        if out.exists()
        else set()
    )


def prepare(tasks: Sequence[str], root: Path, taught: float | None = None, steps: int = 0) -> None:
    """Templates first, so that no two processes make the same one; a memory that is taught at a skill, where the plan has one."""

    async def make() -> None:
        bench = open_bench(root)
        for name in tasks:
            await bench.template(name)
        if taught is not None:
            await teach(bench, root, taught, tasks, steps)
        await bench.worker.end()

    asyncio.run(make())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("plan", choices=PLANS)
    parser.add_argument("--tasks", default="crossover")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument(
        "--first",
        type=int,
        default=0,
        help="the first seed: what is tuned is tuned on seeds from 100 on",
    )
    parser.add_argument("--budget", type=int, default=12, help="executed scripts of a run")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--root", type=Path, default=Path("~/.cache/gome/evals").expanduser())
    options = parser.parse_args()
    out = options.out or options.root / f"{options.plan}.jsonl"
    tasks = suites.names(options.tasks)
    prepare(
        tasks, options.root, ABLATION_SKILL if options.plan == "ablation" else None, options.budget
    )
    already = done(out)
    cells = [
        cell
        for cell in PLANS[options.plan](tasks, range(options.first, options.first + options.seeds))
        if cell.key not in already
    ]
    print(f"{len(cells)} runs to do, {len(already)} done; results in {out}", flush=True)
    follow(cells, options, out)


def follow(cells: list[Cell], options: argparse.Namespace, out: Path) -> None:
    """Starts the processes and says every half minute how far they are."""
    context = multiprocessing.get_context("spawn")
    shares = [cells[index :: options.jobs] for index in range(options.jobs)]
    workers = [
        context.Process(target=labour, args=(share, options.root, out, options.budget))
        for share in shares
        if share
    ]
    before = len(done(out))
    for worker in workers:
        worker.start()
    while any(worker.is_alive() for worker in workers):
        time.sleep(1 if len(cells) < 20 else 30)
        print(f"  {len(done(out)) - before} of {len(cells)}", flush=True)
    if any(worker.exitcode for worker in workers):
        raise SystemExit(
            "a process of the study failed; its error stands above, and the same command goes on from here"
        )


if __name__ == "__main__":
    main()
