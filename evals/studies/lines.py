"""Line searches on and off: the page of `python -m evals.studies.study lines`.

python -m evals.studies.lines RESULTS [--out docs/results]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np

from evals.harness import suites
from evals.harness.pages import read_rows, table_head, table_row, write_study_page
from evals.harness.provenance import provenance_note
from evals.harness.statistics import Interval, Scores, paired_difference, scores_by_task
from evals.studies.curves import Unit, measure_areas, searched_rows
from evals.studies.study import StudyRow

ABOUT = """\
The expert with line searches (`on`, up to 8 variants of a change with a size: capacity, learning \
rate times rounds, weight of a second model, capacity of a new family) and without (`off`): the \
same task, seed and number of executed scripts, paired. Scores are private ones, 0 for the default \
script and 1 for the reference of the task. The area is that under the private score of what led \
the run. No ensemble, no second seeds, one trace; a script may take 60 of its 120 seconds for a \
line, so time is not what is scarce. A reasoner of skill 1 is always right and has no luck: its \
runs differ by task alone, and those of skill .8 hardly differ by seed.

Lines stay on ([decision 0040](../decisions/0040-what-the-rules-bring.md)): what is scarce in a \
run is executed scripts (`steps`), and where it is time, a line takes no more than a step's share.
"""
ENOUGH = 30  # pairs
FEW = ", too few to tell whether lines help the expert; an interval of so few means little"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("--given", default="", help="options that the study was run with")
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    options = parser.parse_args()
    rows = pair_rows(searched_rows(read_rows(options.results)))
    parts = ["# Line searches of the expert\n", ABOUT]
    for q in sorted({row["q"] for row in rows}):
        own = [row for row in rows if row["q"] == q]
        parts += [f"\n## Skill {q:g}\n", *difference_lines(own), *task_lines(own)]
    parts.append("\n" + provenance_note(f"python -m evals.studies.study lines {options.given}"))
    write_study_page(options.out, "lines.md", "\n".join(parts))


def pair_rows(rows: list[StudyRow]) -> list[StudyRow]:
    """Return the rows whose partner is there, too."""
    known = {(*pair_of(row), row["condition"]) for row in rows}
    return [row for row in rows if all((*pair_of(row), name) in known for name in ("on", "off"))]


def pair_of(row: StudyRow) -> tuple[str, int, float]:
    """Return what the two runs of a pair share."""
    return row["task"], row["seed"], row["q"]


def difference_lines(rows: list[StudyRow]) -> list[str]:
    """Return the paired differences with their intervals."""
    n_pairs, n_tasks = len(rows) // 2, len({row["task"] for row in rows})
    lines = [
        f"{n_pairs} pairs over {n_tasks} tasks{FEW if n_pairs < ENOUGH else ''}. "
        "Mean difference on − off with its 95 % interval (bootstrap over tasks and seeds):\n",
        *table_head(["", "off", "on", "on − off"]),
    ]
    areas: dict[str, Unit] = {
        "area by executed scripts": "executions",
        "area by script seconds": "seconds",
    }
    measures: dict[str, Callable[[StudyRow], float]] = {"final private score": final_score}
    measures |= {name: measure_areas(rows, unit) for name, unit in areas.items()}
    for name, measure in measures.items():
        off, on = (scores_of(rows, condition, measure) for condition in ("off", "on"))
        difference: Interval = paired_difference(on, off)
        lines.append(table_row([name, f"{mean(off):.3f}", f"{mean(on):.3f}", difference.precise]))
    seconds = [mean(scores_of(rows, one, lambda row: row["seconds"])) for one in ("off", "on")]
    lines.append(table_row(["script seconds of a run", *(f"{one:.0f}" for one in seconds), ""]))
    return lines


def scores_of(rows: list[StudyRow], condition: str, measure: Callable[[StudyRow], float]) -> Scores:
    """Return task -> seed -> value of one condition."""
    return scores_by_task([row for row in rows if row["condition"] == condition], measure)


def final_score(row: StudyRow) -> float:
    """Return the private score of what was handed over, 0 default script, 1 reference."""
    return suites.normalise_score(row["private"], suites.load_references()[row["task"]])


def mean(scores: Scores) -> float:
    """Return the mean over tasks of the mean over seeds."""
    return float(np.mean([np.mean(list(by_seed.values())) for by_seed in scores.values()]))


def task_lines(rows: list[StudyRow]) -> list[str]:
    """Return the mean final score and accepted steps by task."""
    lines = ["\nBy task:\n", *table_head(["task", "pairs", "off", "on", "accepted off / on"])]
    for task in sorted({row["task"] for row in rows}):
        own = [row for row in rows if row["task"] == task]
        sides = [[row for row in own if row["condition"] == one] for one in ("off", "on")]
        cells = [f"{np.mean([final_score(row) for row in side]):.3f}" for side in sides]
        accepted = " / ".join(f"{np.mean([row['accepted'] for row in side]):.1f}" for side in sides)
        lines.append(table_row([task, str(len(sides[0])), *cells, accepted]))
    return lines


if __name__ == "__main__":
    main()
