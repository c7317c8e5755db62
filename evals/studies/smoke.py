"""`make eval`: ten minutes of the crossover study, small: three tasks, two seeds, three skills; a table and a figure.

python -m evals.studies.smoke [--root runs/eval] [--jobs 2]

Too few runs for a verdict: the intervals say so. The whole study: python -m evals.studies.study crossover, then python -m evals.studies.crossover.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from evals.studies import study
from evals.studies.crossover import by_cell, differences, figure, skill_table

TASKS = ["one_per_group", "ratio", "skewed_amount"]
SKILLS = (0.0, 0.4, 1.0)
BUDGET = 10


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=Path, default=Path("runs/eval"))
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    options.budget, options.root = BUDGET, options.root.resolve()
    out = options.root / "smoke.jsonl"
    study.prepare(TASKS, options.root)
    cells = [
        cell
        for cell in study.crossover(TASKS, range(2))
        if cell.q in SKILLS and cell.key not in study.done(out)
    ]
    print(f"{len(cells)} runs of {BUDGET} scripts on {len(TASKS)} tasks", flush=True)
    study.follow(cells, options, out)
    found = by_cell([json.loads(line) for line in out.read_text().splitlines()])
    print(
        "\nPrivate score, 0 the default script, 1 the law that made the labels; mean [95 % interval]\n"
    )
    print(skill_table(found, SKILLS))
    print(differences(found, "differences", SKILLS))
    figure(found, options.root / "smoke.png")
    print(f"\nfigure  {options.root / 'smoke.png'}")


if __name__ == "__main__":
    main()
