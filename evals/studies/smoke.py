"""`make eval`: ten minutes. Gome among simple contestants on five real data sets, then a crossover.

python -m evals.studies.smoke [--root runs/eval] [--jobs 2] [--only suite|crossover]

The first table has private scores of five tasks of the suite's tuning half: Gome with its expert
against a linear model and LightGBM. The second has one seed of the crossover study, three tasks at
three skills, with a figure. Too few for a verdict: the intervals say so. The whole studies:
python -m evals.suite run, and python -m evals.studies.study crossover.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from evals.harness.pages import CACHE, read_rows, study_parser
from evals.studies import study
from evals.studies.crossover import differences_table, draw_crossover, scores_by_cell, skill_table
from evals.studies.plans import plan_crossover
from evals.suite.catalogue import TASKS
from evals.suite.contest import Budget
from evals.suite.page import render_contest
from evals.suite.plan import ContestPlan, run_tasks
from evals.suite.wheels import WheelError

REAL = ("passengers", "mortgages", "vowels", "first_names", "abalone")
CONTESTANTS = ("gome", "linear", "boosting")
REAL_CPU_S = 40.0  # for every contestant on every task
CROSSED = ["one_per_group", "ratio", "skewed_amount"]
SKILLS = (0.0, 0.4, 1.0)
BUDGET = 10


def main() -> None:
    parser = study_parser(__doc__)
    parser.add_argument("--root", type=Path, default=Path("runs/eval"))
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--only", choices=("suite", "crossover"), help="one of the two parts")
    options = parser.parse_args()
    options.budget, options.root = BUDGET, options.root.resolve()
    options.root.mkdir(parents=True, exist_ok=True)
    if options.only != "crossover":
        show_contest(options)
    if options.only != "suite":
        show_crossover(options)


def show_contest(options: argparse.Namespace) -> None:
    """Run the contest on a few real data sets; without their wheels, say so and go on."""
    results = options.root / "suite.jsonl"
    plan = ContestPlan(
        names=CONTESTANTS,
        folder=options.root / "suite",
        results=results,
        wheels=CACHE / "suite" / "wheels",
        budget=Budget(REAL_CPU_S, steps=50, seed=0),
        jobs=options.jobs,
    )
    print(f"{len(REAL)} real data sets, {REAL_CPU_S:g} CPU seconds each", flush=True)
    try:
        asyncio.run(run_tasks([TASKS[name] for name in REAL], plan))
    except WheelError as error:
        print(f"no contest on real data: {error}", file=sys.stderr)
        return
    print(f"\n{render_contest(read_rows(results), CONTESTANTS)}", flush=True)


def show_crossover(options: argparse.Namespace) -> None:
    """Run one seed of the crossover study; print its tables and draw its figure."""
    out = options.root / "smoke.jsonl"
    study.prepare_templates(CROSSED, options.root)
    finished = study.finished_keys(out)
    cells = [
        cell
        for cell in plan_crossover(CROSSED, range(1))
        if cell.q in SKILLS and cell.key not in finished
    ]
    print(f"{len(cells)} runs of {BUDGET} scripts on {len(CROSSED)} tasks", flush=True)
    study.run_processes(cells, options, out)
    scores = scores_by_cell(read_rows(out))
    print("\nPrivate score, 0 the default script, 1 the reference; mean [95 % interval]\n")
    print(skill_table(scores, SKILLS))
    print(differences_table(scores, "differences", SKILLS))
    draw_crossover(scores, options.root / "smoke.png")
    print(f"\nfigure  {options.root / 'smoke.png'}")


if __name__ == "__main__":
    main()
