"""What makes the crossover appear: tables from `python -m evals.studies.study conditions`.

python -m evals.studies.conditions [--runs ~/.cache/gome/evals/conditions.jsonl]
                                   [--out docs/results]
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Mapping
from typing import Any

from evals.harness import suites
from evals.harness.pages import page_parser, read_rows, skill_head, table_row, write_study_page
from evals.harness.provenance import provenance_note
from evals.harness.statistics import Scores, mean_interval, paired_difference, scores_by_task
from evals.studies.crossover import normalised_run_score
from evals.studies.plans import CONDITION_SKILLS, INERT_SHARES
from evals.studies.study import StudyRow

Variants = dict[tuple[str, float, float], Scores]  # (variant, inert share, q)

VARIANTS = {
    "gome": "the loop's own acceptance: paired score beyond noise, validity where the harness "
    "sees a flaw",
    "gome, verdict": "the reasoner's verdict accepts, right with probability .5 + .5 q",
    "tree": "improves the attempt with the highest score; submits the best by the loop's own "
    "acceptance",
    "tree, valid": "improves the best by the loop's own acceptance, so it judges validity too",
    "tree, blind": "as `tree`, and its diagnosis sees code and score only",
    "tree, score": "plain higher score everywhere: leak gates and flaws of the data are ignored",
}
PAIRS = [
    ("gome", "tree"),
    ("gome", "tree, valid"),
    ("gome", "tree, blind"),
    ("gome", "tree, score"),
    ("gome, verdict", "tree"),
    ("gome, verdict", "tree, score"),
]
ABOUT = """\
one trace, one reasoner of adjustable skill q (evals/harness/skill.py). Scores as in [the \
crossover](crossover.md): 0 the default script, 1 the reference. The variants differ in who \
accepts, whether the tree may judge validity, whether it sees the evidence, and the share of wrong \
ideas that change nothing.
"""


def main() -> None:
    options = page_parser(__doc__, "conditions.jsonl").parse_args()
    write_study_page(options.out, "conditions.md", conditions_page(read_rows(options.runs)))


def variant_name(row: Mapping[str, Any]) -> str:
    """Return the variant that a row or cell belongs to: the strategy and what differs."""
    how = row["condition"].split(", inert")[0]
    strategy = str(row["strategy"])
    return strategy if how.startswith("inert") else f"{strategy}, {how}"


def scores_by_variant(rows: list[StudyRow], only: Container[str] | None = None) -> Variants:
    """Return (variant, inert share, q) -> scores, of all tasks or of some."""
    groups: dict[tuple[str, float, float], list[StudyRow]] = defaultdict(list)
    for row in rows:
        if only is None or row["task"] in only:
            groups[variant_name(row), row["inert"], row["q"]].append(row)
    return {key: scores_by_task(group, normalised_run_score) for key, group in groups.items()}


def conditions_page(rows: list[StudyRow]) -> str:
    """Return docs/results/conditions.md."""
    tasks = sorted({row["task"] for row in rows})
    flawed = frozenset(suites.SUITES["flawed"]) & set(tasks)
    n_seeds = len({row["seed"] for row in rows})
    n_scripts = max(row["attempts"] for row in rows)
    groups = {
        "all tasks": frozenset(tasks),
        "clean tasks": frozenset(tasks) - flawed,
        f"flawed tasks ({', '.join(sorted(flawed))})": flawed,
    }
    parts = [
        "# What makes the crossover appear\n",
        f"{len(rows)} runs: {len(tasks)} tasks ({', '.join(tasks)}), {n_seeds} seeds, at most "
        f"{n_scripts} executed scripts a run, {ABOUT}",
        *(f"- **{name}**: {text}." for name, text in VARIANTS.items()),
    ]
    for inert in INERT_SHARES:
        parts.append(f"\n## Wrong ideas: {inert:.0%} change nothing, the others are random edits\n")
        parts.append(variant_scores(scores_by_variant(rows), inert))
        for name, only in groups.items():
            parts.append(variant_differences(scores_by_variant(rows, only), inert, name))
    command = "python -m evals.studies.study conditions && python -m evals.studies.conditions"
    return "\n".join([*parts, "\n" + provenance_note(command)])


def variant_scores(scores: Variants, inert: float) -> str:
    """Return the table of mean scores, one row per variant."""
    rows = skill_head("score", CONDITION_SKILLS)
    for name in VARIANTS:
        keys = [(name, inert, q) for q in CONDITION_SKILLS]
        cells = [mean_interval(scores[key]).unsigned if key in scores else "" for key in keys]
        rows.append(table_row([name, *cells]))
    return "\n".join(rows)


def variant_differences(scores: Variants, inert: float, title: str) -> str:
    """Return the table of paired differences between variants."""
    rows = [f"\n**{title}**\n", *skill_head("difference", CONDITION_SKILLS)]
    for one, two in PAIRS:
        cells = []
        for q in CONDITION_SKILLS:
            a, b = scores.get((one, inert, q)), scores.get((two, inert, q))
            cells.append(str(paired_difference(a, b)) if a and b else "")
        rows.append(table_row([f"{one} − {two}", *cells]))
    return "\n".join(rows)


if __name__ == "__main__":
    main()
