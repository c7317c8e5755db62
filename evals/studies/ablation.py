"""Ablation: remove one part of the method at a time; the table beside the paper's.

python -m evals.studies.ablation [--runs ~/.cache/gome/evals/ablation.jsonl] [--out docs/results]

It reads the runs of `python -m evals.studies.study ablation`; one file may have several budgets.
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
from evals.studies.rules import budgets_of
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
    "no new rules",
)

ABOUT = """\
four traces, the loop of a user's run (executions dealt by promise, scripts that build on others, \
line searches, a finale), which is given a number of executed scripts. Private score: 0 the \
default script, 1 the reference; mean over tasks and seeds with its 95 % bootstrap interval, \
differences paired by task and seed. `no diagnosis`: the reasoner sees code and score, not the \
evidence. The memory contains what runs of other seeds and twelve scripts learnt on the other \
tasks (evals/studies/taught.py); `no memory` removes that and what the traces tell each other, \
`no sharing` the latter alone. `no new rules`: the former rules of the loop ([rules](rules.md) \
has them one by one). No task has the rows that an audit needs. Area: the private score of what \
led, averaged over the search; a script that an earlier run executed is replayed at once \
(evals/harness/recorded.py), which changes which trace is first, so areas of less than .05 apart \
say nothing.
"""


def main() -> None:
    options = page_parser(__doc__, "ablation.jsonl").parse_args()
    rows: list[StudyRow] = read_rows(options.runs)
    page = ablation_page(rows)
    page += rows_note("python -m evals.studies.ablation --runs", options.runs)
    write_study_page(options.out, "ablation.md", page)
    draw_ablation(rows, options.out / "ablation.png")


def rows_of_condition(rows: list[StudyRow], condition: str) -> list[StudyRow]:
    """Return the rows of one condition."""
    return [row for row in rows if row["condition"] == condition]


def rows_of_budget(rows: list[StudyRow], budget: int) -> list[StudyRow]:
    """Return the rows with one number of executed scripts."""
    return [row for row in rows if row["budget"] == budget]


def scores_of_conditions(rows: list[StudyRow]) -> dict[str, Scores]:
    """Return the normalised scores of every condition that has runs, in the page's order."""
    scores = {
        name: scores_by_task(rows_of_condition(rows, name), normalised_run_score) for name in ORDER
    }
    return {name: values for name, values in scores.items() if values}


def ablation_page(rows: list[StudyRow]) -> str:
    """Return docs/results/ablation.md."""
    tasks = sorted({row["task"] for row in rows})
    skills = ", ".join(f"{q:g}" for q in sorted({row["q"] for row in rows}))
    budgets = budgets_of(rows)
    return "\n".join(
        [
            "# Ablation: one part removed at a time\n",
            f"{len(rows)} runs: {len(tasks)} tasks ({', '.join(tasks)}), skill {skills}, {ABOUT}",
            "Any medal: MLE-bench's rank rule in a synthetic field of random searchers "
            f"({len(load_boards())} tasks, evals/studies/medals.py).",
            *(line for budget in budgets for line in budget_section(rows, budget)),
            "\n![Ablation](ablation.png)\n",
            provenance_note(" && ".join(study_commands(rows))),
        ]
    )


def study_commands(rows: list[StudyRow]) -> list[str]:
    """Return the commands that make such rows: each budget has a file of its own."""
    study = "python -m evals.studies.study ablation"
    runs = [
        f"{study} --seeds {len({row['seed'] for row in rows_of_budget(rows, budget)})} "
        f"--budget {budget} --out ablation-{budget}.jsonl"
        for budget in budgets_of(rows)
    ]
    page = "python -m evals.studies.ablation --runs ablation.jsonl"
    return [*runs, "cat ablation-*.jsonl > ablation.jsonl", page]


def budget_section(rows: list[StudyRow], budget: int) -> list[str]:
    """Return the table of one number of executed scripts."""
    own = rows_of_budget(rows, budget)
    scores = scores_of_conditions(own)
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
    return [
        f"\n## {budget} executed scripts\n",
        f"{len(own)} runs, {count_seeds(own)}.\n",
        *table_head(head),
        *(ablation_row(name, own, scores) for name in scores),
    ]


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


def draw_ablation(rows: list[StudyRow], path: Path) -> None:
    """Draw the difference of each condition to the whole method, one panel a budget."""
    budgets = budgets_of(rows)
    with draw_figure(path, (5 * len(budgets), 4), len(budgets)) as panels:
        for axes, budget in zip(panels, budgets, strict=True):
            scores = scores_of_conditions(rows_of_budget(rows, budget))
            names = [name for name in scores if name != "full"][::-1]
            gaps = [paired_difference(scores[name], scores["full"]) for name in names]
            below = [gap.mean - gap.low for gap in gaps]
            above = [gap.high - gap.mean for gap in gaps]
            axes.errorbar(
                [gap.mean for gap in gaps], names, xerr=[below, above], fmt="o", color="#2563eb"
            )
            axes.axvline(0, color="#94a3b8", linewidth=1)
            axes.set_xlabel("private score less that of the whole method")
            axes.set_title(f"{budget} executed scripts", fontsize=10)


if __name__ == "__main__":
    main()
