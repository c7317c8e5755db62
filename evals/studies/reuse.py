"""Scripts that build on others, on against off: tables from `python -m evals.studies.study reuse`.

python -m evals.studies.reuse [--runs ~/.cache/gome/evals/reuse.jsonl] [--out docs/results]
"""

from __future__ import annotations

from collections import defaultdict

from evals.harness.pages import page_parser, read_rows, table_row, write_study_page
from evals.harness.provenance import provenance_note
from evals.harness.statistics import Scores, mean_interval, paired_difference, scores_by_task
from evals.studies.crossover import normalised_run_score
from evals.studies.study import StudyRow

PAIRS = [("on", "off"), ("on, blends", "off, blends"), ("on", "off, blends")]
ABOUT = """\
The expert with its move for a second level (a linear model of the log-odds, or weights that sum to
one, over its own predictions and those of at most six attempts of all traces, fitted inside the
folds), two traces. Scores as in [the crossover](crossover.md): 0 the default script, 1 the
reference, on private answers. `blends`: the harness's own blends beside it.
"""


def main() -> None:
    options = page_parser(__doc__, "reuse.jsonl").parse_args()
    write_study_page(options.out, "reuse.md", reuse_page(read_rows(options.runs)))


def reuse_page(rows: list[StudyRow]) -> str:
    """Return docs/results/reuse.md."""
    groups: dict[str, list[StudyRow]] = defaultdict(list)
    for row in rows:
        groups[row["condition"]].append(row)
    scores = {name: scores_by_task(group, normalised_run_score) for name, group in groups.items()}
    tasks = sorted({row["task"] for row in rows})
    n_seeds = len({row["seed"] for row in rows})
    most = max(row["search"]["executions"] for row in rows)
    lines = [
        "# Scripts that build on each other",
        "",
        f"{len(rows)} runs: {len(tasks)} tasks, {n_seeds} seeds, at most {most} executed scripts. "
        f"{ABOUT}",
        *_score_rows(scores, tasks),
        "",
        table_row(["difference", "mean over tasks and seeds, 95 %"]),
        table_row(["---", "---"]),
    ]
    for one, two in PAIRS:
        difference = paired_difference(scores[one], scores[two])
        lines.append(table_row([f"{one} − {two}", str(difference)]))
    command = "python -m evals.studies.study reuse && python -m evals.studies.reuse"
    return "\n".join([*lines, "\n" + provenance_note(command)])


def _score_rows(scores: dict[str, Scores], tasks: list[str]) -> list[str]:
    """A table of the mean scores by task, and over all tasks."""
    names = list(scores)
    rows = [table_row(["task", *names]), table_row(["---"] * (1 + len(names)))]
    for task in tasks:
        values = [list(scores[name].get(task, {}).values()) for name in names]
        rows.append(
            table_row([task, *(f"{sum(each) / len(each):.2f}" if each else "" for each in values)])
        )
    means = [mean_interval(scores[name]).unsigned for name in names]
    return [*rows, table_row(["all", *means])]


if __name__ == "__main__":
    main()
