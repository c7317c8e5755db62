"""`make eval`: ten minutes of the crossover study: three tasks, two seeds, three skills.

python -m evals.studies.smoke [--root runs/eval] [--jobs 2]

It prints a table and draws a figure. Too few runs for a verdict: the intervals say so. The whole
study: python -m evals.studies.study crossover, then python -m evals.studies.crossover.
"""

from __future__ import annotations

from pathlib import Path

from evals.harness.pages import read_rows, study_parser
from evals.studies import study
from evals.studies.crossover import differences_table, draw_crossover, scores_by_cell, skill_table
from evals.studies.plans import plan_crossover

TASKS = ["one_per_group", "ratio", "skewed_amount"]
SKILLS = (0.0, 0.4, 1.0)
BUDGET = 10


def main() -> None:
    parser = study_parser(__doc__)
    parser.add_argument("--root", type=Path, default=Path("runs/eval"))
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    options = parser.parse_args()
    options.budget, options.root = BUDGET, options.root.resolve()
    out = options.root / "smoke.jsonl"
    study.prepare_templates(TASKS, options.root)
    finished = study.finished_keys(out)
    cells = [
        cell
        for cell in plan_crossover(TASKS, range(2))
        if cell.q in SKILLS and cell.key not in finished
    ]
    print(f"{len(cells)} runs of {BUDGET} scripts on {len(TASKS)} tasks", flush=True)
    study.run_processes(cells, options, out)
    scores = scores_by_cell(read_rows(out))
    print("\nPrivate score, 0 the default script, 1 the reference; mean [95 % interval]\n")
    print(skill_table(scores, SKILLS))
    print(differences_table(scores, "differences", SKILLS))
    draw_crossover(scores, options.root / "smoke.png")
    print(f"\nfigure  {options.root / 'smoke.png'}")


if __name__ == "__main__":
    main()
