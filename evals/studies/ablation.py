"""Ablation: remove one part of the method at a time; the table beside the paper's.

python -m evals.studies.ablation [--runs ~/.cache/gome/evals/ablation.jsonl] [--out docs/results]

It reads the runs of `python -m evals.studies.study ablation`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from evals.harness.pages import (
    draw_figure,
    page_parser,
    read_rows,
    rows_note,
    table_head,
    table_row,
    write_study_page,
)
from evals.harness.provenance import provenance_note
from evals.harness.statistics import Scores, mean_interval, paired_difference, scores_by_task
from evals.studies.crossover import count_seeds, normalised_run_score
from evals.studies.curves import UNITS, Unit, measure_areas, searched_rows
from evals.studies.medals import award_medal, load_boards
from evals.studies.study import StudyRow

PAPER = {
    "full": ("35.1", "41.1 %"),
    "no diagnosis": ("25.8", "22.6 %"),
    "no memory": ("28.9", ""),
    "one trace": ("32.4", ""),
}
"""Any-medal rate with GPT-5 on MLE-bench, share of iterations that improve (arXiv 2603.01692)."""

ORDER = (
    "full",
    "no diagnosis",
    "no memory",
    "no sharing",
    "one trace",
    "no ensemble",
    "no second seed",
)

ABOUT = """\
Private score: 0 the default script, 1 the reference; mean over tasks and seeds with its 95 % \
bootstrap interval, differences paired by task and seed. `no diagnosis`: the reasoner sees code \
and score, not the evidence. The memory contains what runs of other seeds learnt on the other \
tasks (evals/studies/taught.py); `no memory` removes that and what the traces tell each other, \
`no sharing` the latter alone. Executions are taken in turns and scripts do not build on each \
other here ([rules](rules.md) has both); no task has the rows that an audit needs. Area: the \
private score of what led, averaged over the search.
"""


def main() -> None:
    options = page_parser(__doc__, "ablation.jsonl").parse_args()
    rows: list[StudyRow] = read_rows(options.runs)
    by_condition = {
        name: scores_by_task(rows_of_condition(rows, name), normalised_run_score) for name in ORDER
    }
    scores = {name: values for name, values in by_condition.items() if values}
    page = ablation_page(rows, scores)
    page += rows_note("python -m evals.studies.ablation --runs", options.runs)
    write_study_page(options.out, "ablation.md", page)
    draw_ablation(scores, options.out / "ablation.png")


def rows_of_condition(rows: list[StudyRow], condition: str) -> list[StudyRow]:
    """Return the rows of one condition."""
    return [row for row in rows if row["condition"] == condition]


def ablation_page(rows: list[StudyRow], scores: Mapping[str, Scores]) -> str:
    """Return docs/results/ablation.md."""
    tasks = sorted({row["task"] for row in rows})
    skills = ", ".join(f"{q:g}" for q in sorted({row["q"] for row in rows}))
    n_scripts = max(row.get("budget", row["attempts"]) for row in rows)
    head = [
        "",
        "score",
        "against full",
        "area, executions",
        "against full",
        "area, seconds",
        "against full",
        "any medal",
        "against full",
        "steps that improve",
        "paper: any medal",
        "paper: steps that improve",
    ]
    return "\n".join(
        [
            "# Ablation: one part removed at a time\n",
            f"{len(rows)} runs: {len(tasks)} tasks ({', '.join(tasks)}), {count_seeds(rows)}, "
            f"skill {skills}, the same number of executed scripts a run ({n_scripts}). {ABOUT}",
            "Any medal: MLE-bench's rank rule in a synthetic field of random searchers "
            f"({len(load_boards())} tasks, evals/studies/medals.py).\n",
            *table_head(head),
            *(ablation_row(name, rows, scores) for name in scores),
            "\n![Ablation](ablation.png)\n",
            provenance_note(
                "python -m evals.studies.study ablation && python -m evals.studies.ablation"
            ),
        ]
    )


def ablation_row(name: str, rows: list[StudyRow], scores: Mapping[str, Scores]) -> str:
    """Return one condition's row of the table."""
    rates = [row["improvement_rate"] for row in rows_of_condition(rows, name)]
    medals = any_medal_rates(rows, name)
    score_gap = medal_gap = ""
    if name != "full":
        score_gap = str(paired_difference(scores[name], scores["full"]))
        if medals:
            medal_gap = str(paired_difference(medals, any_medal_rates(rows, "full")))
    cells = [
        name,
        mean_interval(scores[name]).unsigned,
        score_gap,
        *(cell for unit in UNITS for cell in area_cells_of(name, rows, unit)),
        f"{mean_interval(medals).mean:.0%}" if medals else "",
        medal_gap,
        f"{sum(rates) / len(rates):.0%}",
        *PAPER.get(name, ("", "")),
    ]
    return table_row(cells)


def area_cells_of(name: str, rows: list[StudyRow], unit: Unit) -> list[str]:
    """Return the area under best-so-far of a condition, and its difference to the whole method."""
    known = searched_rows(rows)
    measure = measure_areas(known, unit)
    own, full = (scores_by_task(rows_of_condition(known, one), measure) for one in (name, "full"))
    if not own:
        return ["", ""]
    gap = str(paired_difference(own, full)) if name != "full" and full else ""
    return [mean_interval(own).unsigned, gap]


def any_medal_rates(rows: list[StudyRow], name: str) -> Scores:
    """Return task -> seed -> 1 for any medal, 0 for none."""
    boards = load_boards()
    own = [row for row in rows_of_condition(rows, name) if row["task"] in boards]
    return scores_by_task(
        own, lambda row: float(bool(award_medal(row["private"], boards[row["task"]])))
    )


def draw_ablation(scores: Mapping[str, Scores], path: Path) -> None:
    """Draw one bar per condition."""
    names = list(scores)[::-1]
    intervals = [mean_interval(scores[name]) for name in names]
    below = [interval.mean - interval.low for interval in intervals]
    above = [interval.high - interval.mean for interval in intervals]
    with draw_figure(path, (7, 0.5 * len(scores) + 1.2)) as (axes,):
        axes.barh(
            names,
            [interval.mean for interval in intervals],
            xerr=[below, above],
            color=["#2563eb" if name == "full" else "#94a3b8" for name in names],
            error_kw={"elinewidth": 1, "ecolor": "#334155"},
        )
        axes.set_xlabel("private score (0 default script, 1 reference)")


if __name__ == "__main__":
    main()
