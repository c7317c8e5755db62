"""The rules of the loop one by one, against the former ones: page and figure.

python -m evals.studies.rules RESULTS … [--given TEXT] [--out docs/results]

It reads the runs of `python -m evals.studies.study rules`, one file or more. Score of a run: its
private score, 0 the default script, 1 the reference. Area: the private score of what led the run,
averaged over its executed scripts.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from evals.harness.pages import (
    draw_figure,
    read_rows,
    rows_note,
    table_head,
    table_row,
    write_study_page,
)
from evals.harness.provenance import provenance_note
from evals.harness.statistics import Scores, paired_difference, scores_by_task
from evals.studies.crossover import normalised_run_score
from evals.studies.curves import area_under_leads
from evals.studies.plans import RULES_SKILL
from evals.studies.study import StudyRow
from report.formatting import format_plural

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FORMER, ALL = "former", "all"
MEANING = {
    "finer loss": "probabilities where the metric wants labels, judged by a proper loss "
    "(`surrogate`); only two of the tasks have such a metric",
    "run's bar": "acceptance pays for every try of the run (`false_accepts`)",
    "steps that add up": "the run's bar, and likely ties are stepped on (`step_p`)",
    "lines": "line searches of up to 8 variants (`variants`)",
    "all valid blended": "the pool of blends holds every valid attempt (`blend_pool`)",
    "dealing": "several first drafts, executions dealt by promise (`deal`)",
    "reuse": "scripts build on what earlier ones predicted (`reuse`)",
    "ahead": "a trace takes a further step instead of waiting (`ahead`)",
    "dealing and blends": "dealing, and the pool of blends holds every valid attempt",
    "dealing, first stays": "dealing before the best of a trace's first drafts led it "
    "([decision](../decisions/0047-the-best-first-draft-leads.md))",
    "reuse, early": "the same, with an expert that stacks from its second step on; the others "
    "stack in the last third of the budget ([decision](../decisions/0040-what-the-rules-bring.md))",
    ALL: "all of these, the defaults of a run",
    "all, first stays": "all, before the best first draft led",
    "all, early": "all, with that expert",
    "all but lines": "all, without line searches",
}
ABOUT = f"""\
The expert at skill {RULES_SKILL:g} (a wrong idea takes the place of each hypothesis with \
probability {1 - RULES_SKILL:g}, evals/harness/skill.py), two traces that share what they measure, \
blends, second seeds in doubt, a finale of up to 3 finalists under two seeds. `former`: the loop \
with every rule below switched off by its setting; one thing cannot be switched off, a blend is \
handed over where it is better at all. Every other condition switches on one rule, or all. Each \
run has the same number of executed scripts, whatever they take. Scores are private: 0 for the \
default script and 1 for the reference of the task. Differences are paired by task and seed, with \
95 % intervals from a bootstrap over tasks, and seeds within them.
"""
CONTRASTS = (
    ("dealing", "dealing, first stays"),
    ("all", "all, first stays"),
    ("dealing and blends", "dealing"),
    ("dealing and blends", "all valid blended"),
)
"""Conditions beside another one than the former rules."""
COLOURS = ("#2563eb", "#d97706", "#059669")
Measure = Callable[[StudyRow], float]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=Path, nargs="+")
    parser.add_argument("--given", default="", help="options that the study was run with")
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    options = parser.parse_args()
    rows: list[StudyRow] = [row for path in options.results for row in read_rows(path)]
    page = rules_page(rows, options.given)
    page += rows_note("python -m evals.studies.rules", *options.results)
    write_study_page(options.out, "rules.md", page)
    draw_rules(rows, options.out / "rules.png")


def rules_page(rows: list[StudyRow], given: str) -> str:
    """Return docs/results/rules.md."""
    parts = [
        "# The rules of the loop, one by one\n",
        ABOUT,
        *meaning_lines(rows),
        amount_line(rows),
    ]
    parts.append("\n![Differences to the former rules](rules.png)")
    for budget in budgets_of(rows):
        own = [row for row in rows if row["budget"] == budget]
        parts += [*budget_lines(own, budget), *contrast_lines(own)]
        parts += [*gain_lines(own), *task_lines(own)]
    parts.append("\n" + provenance_note(f"python -m evals.studies.study rules {given}".strip()))
    return "\n".join(parts)


def amount_line(rows: list[StudyRow]) -> str:
    """Say how much was run."""
    amounts = []
    for budget in budgets_of(rows):
        own = [row for row in rows if row["budget"] == budget]
        by_task = {row["task"]: set[int]() for row in own}
        for row in own:
            by_task[row["task"]].add(row["seed"])
        sizes = Counter(len(seeds) for seeds in by_task.values())
        seeds = ", ".join(
            f"{n} under {format_plural(size, 'seed')}" for size, n in sorted(sizes.items())[::-1]
        )
        amounts.append(f"{budget} scripts: {len(own)} runs of {len(by_task)} tasks, {seeds}")
    return (
        f"\nRun: {'; '.join(amounts)}. Two traces at once do not repeat a run exactly (which one "
        "measures first depends on the machine), so every pair has luck of its own; all seeds of a "
        "task have the same training rows. A run ends before its budget where the expert has "
        "nothing left to try.\n"
    )


def budgets_of(rows: list[StudyRow]) -> list[int]:
    """Return the numbers of executed scripts that runs had."""
    return sorted({row["budget"] for row in rows})


def conditions_of(rows: list[StudyRow]) -> list[str]:
    """Return the conditions that have runs, in the order of the page, without the former rules."""
    known = {row["condition"] for row in rows}
    return [name for name in MEANING if name in known]


def meaning_lines(rows: list[StudyRow]) -> list[str]:
    """Say what each condition switches on."""
    return [f"- *{name}*: {MEANING[name]}." for name in conditions_of(rows)]


def pair_scores(
    rows: list[StudyRow], name: str, measure: Measure, base: str = FORMER
) -> tuple[Scores, Scores]:
    """Return the values of a condition and of `base` on the tasks and seeds that both have."""
    own, former = (
        {(row["task"], row["seed"]): row for row in rows if row["condition"] == one}
        for one in (name, base)
    )
    keys = own.keys() & former.keys()
    one, two = ([side[key] for key in sorted(keys)] for side in (own, former))
    return scores_by_task(one, measure), scores_by_task(two, measure)


def area_of(row: StudyRow) -> float:
    """Return a run's area by executed scripts, up to its budget."""
    return area_under_leads(row, "executions", float(row["budget"]))


def budget_lines(rows: list[StudyRow], budget: int) -> list[str]:
    """Return the table of one number of executed scripts."""
    former = [row for row in rows if row["condition"] == FORMER]
    tasks, seeds = {row["task"] for row in former}, {row["seed"] for row in former}
    head = [
        "rule",
        "pairs",
        "final score",
        "− former",
        "better / worse",
        "area",
        "− former",
        "scripts, former → rule",
        "their seconds",
    ]
    lines = [
        f"\n## {budget} executed scripts\n",
        f"{len(tasks)} tasks, {len(seeds)} seed{'s' if len(seeds) > 1 else ''}.\n",
        *table_head(head),
    ]
    return [*lines, *(condition_row(rows, name) for name in conditions_of(rows))]


def contrast_lines(rows: list[StudyRow]) -> list[str]:
    """Return the table of the conditions that differ by one thing, on the pairs that both have."""
    known = {row["condition"] for row in rows}
    cells = []
    for name, base in CONTRASTS:
        if {name, base} <= known:
            own, other = pair_scores(rows, name, normalised_run_score, base)
            n_pairs = sum(len(seeds) for seeds in own.values())
            gap = paired_difference(own, other).precise
            cells.append([f"{name} − {base}", str(n_pairs), gap])
    if not cells:
        return []
    head = table_head(["two conditions", "pairs", "final score, difference"])
    return ["\nBeside each other:\n", *head, *(table_row(row) for row in cells)]


def condition_row(rows: list[StudyRow], name: str) -> str:
    """Return one condition's row: scores and areas against the former rules."""
    own, former = pair_scores(rows, name, normalised_run_score)
    gaps = [own[task][seed] - former[task][seed] for task in own for seed in own[task]]
    areas = pair_scores(rows, name, area_of)
    seconds = pair_scores(rows, name, lambda row: row["search"]["seconds"])
    scripts = pair_scores(rows, name, lambda row: row["search"]["executions"])
    cells = [
        name,
        str(len(gaps)),
        f"{mean(own):.3f}",
        paired_difference(own, former).precise,
        f"{sum(gap > 0.005 for gap in gaps)} / {sum(gap < -0.005 for gap in gaps)}",
        f"{mean(areas[0]):.3f}",
        paired_difference(*areas).precise,
        f"{mean(scripts[1]):.0f} → {mean(scripts[0]):.0f}",
        f"{mean(seconds[1]):.0f} → {mean(seconds[0]):.0f}",
    ]
    return table_row(cells)


def mean(scores: Scores) -> float:
    """Return the mean over tasks of the mean over seeds."""
    return float(np.mean([np.mean(list(by_seed.values())) for by_seed in scores.values()]))


def gain_lines(rows: list[StudyRow]) -> list[str]:
    """Return the mean differences of the final score, a task a line and a rule a column."""
    names = conditions_of(rows)
    if len(names) < 2:
        return []
    lines = ["\nFinal score, rule − former, by task:\n", *table_head(["task", *names])]
    pairs = {name: pair_scores(rows, name, normalised_run_score) for name in names}
    for task in sorted({row["task"] for row in rows}):
        cells = [task]
        for own, former in pairs.values():
            gaps = [own[task][seed] - former[task][seed] for seed in own.get(task, {})]
            cells.append(f"{np.mean(gaps):+.3f}" if gaps else "")
        lines.append(table_row(cells))
    return lines


def task_lines(rows: list[StudyRow]) -> list[str]:
    """Return all rules against the former ones by task."""
    own, former = pair_scores(rows, ALL, normalised_run_score)
    areas, former_areas = pair_scores(rows, ALL, area_of)
    if not own:
        return []
    lines = [
        "\nAll rules by task, mean over seeds:\n",
        *table_head(["task", "seeds", "final, former", "all", "area, former", "all"]),
    ]
    for task in sorted(own):
        sides = (former[task], own[task], former_areas[task], areas[task])
        values = [f"{np.mean(list(side.values())):.3f}" for side in sides]
        lines.append(table_row([task, str(len(own[task])), *values]))
    return lines


def draw_rules(rows: list[StudyRow], path: Path) -> None:
    """Draw the differences to the former rules with their intervals around a zero line."""
    names = conditions_of(rows)[::-1]
    measures: dict[str, Measure] = {
        "final private score": normalised_run_score,
        "area by executed scripts": area_of,
    }
    budgets = budgets_of(rows)
    with draw_figure(path, (10, 0.5 * len(names) + 1.4), len(measures)) as panels:
        for axes, (title, measure) in zip(panels, measures.items(), strict=True):
            axes.axvline(0, color="#334155", linewidth=1)
            for place, budget in enumerate(budgets):
                own = [row for row in rows if row["budget"] == budget]
                draw_budget(axes, own, names, measure, place, len(budgets))
            axes.set_yticks(range(len(names)), names)
            axes.set_xlabel(f"{title}, rule − former")
        panels[-1].legend(frameon=False, loc="best")


def draw_budget(
    axes: Axes, rows: list[StudyRow], names: list[str], measure: Measure, place: int, n_places: int
) -> None:
    """Draw one budget's differences, in its place of those that a rule's line has."""
    label: str | None = f"{rows[0]['budget']} scripts"
    for height, name in enumerate(names):
        own, former = pair_scores(rows, name, measure)
        if not own:
            continue
        gap = paired_difference(own, former)
        axes.errorbar(
            gap.mean,
            height - 0.25 * (place - (n_places - 1) / 2),
            xerr=[[gap.mean - gap.low], [gap.high - gap.mean]],
            fmt="o",
            markersize=4,
            color=COLOURS[place % len(COLOURS)],
            label=label,
        )
        label = None


if __name__ == "__main__":
    main()
