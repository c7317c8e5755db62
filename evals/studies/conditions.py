"""What makes the crossover appear: the tables of `python -m evals.studies.study conditions`.

python -m evals.studies.conditions [--runs ~/.cache/gome/evals/conditions.jsonl] [--out docs/results]
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from evals.harness import suites
from evals.harness.provenance import provenance
from evals.harness.statistics import Scores, difference, mean, table
from evals.studies.crossover import score
from evals.studies.study import CONDITION_SKILLS, INERT_SHARES

Rows = list[dict[str, Any]]
Variants = dict[tuple[str, float, float], Scores]  # (variant, inert share, q)

VARIANTS = {
    "gome": "the loop's own acceptance: paired score beyond noise, validity where the harness sees a flaw",
    "gome, verdict": "the reasoner's verdict accepts, right with probability .5 + .5 q",
    "tree": "improves the attempt with the highest score; hands over the best by the loop's own acceptance",
    "tree, valid": "improves the best by the loop's own acceptance, so it judges validity too",
    "tree, blind": "as `tree`, and its diagnosis sees code and score only",
    "tree, score": "plain higher score everywhere: leak gates and flaws of the data are not asked",
}
PAIRS = [("gome", "tree"), ("gome", "tree, valid"), ("gome", "tree, blind"), ("gome", "tree, score"), ("gome, verdict", "tree"), ("gome, verdict", "tree, score")]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--runs", type=Path, default=Path("~/.cache/gome/evals/conditions.jsonl").expanduser()
    )
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    options = parser.parse_args()
    text = page([json.loads(line) for line in options.runs.read_text().splitlines()])
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "conditions.md").write_text(text)
    print(text)


def variant(row: dict[str, Any]) -> str:
    how = row["condition"].split(", inert")[0]
    return row["strategy"] if how.startswith("inert") else f"{row['strategy']}, {how}"


def by_variant(rows: Rows, only: frozenset[str] | None = None) -> Variants:
    grouped: dict[tuple[str, float, float], Rows] = defaultdict(list)
    for row in rows:
        if only is None or row["task"] in only:
            grouped[variant(row), row["inert"], row["q"]].append(row)
    return {key: table(found, score) for key, found in grouped.items()}


def page(rows: Rows) -> str:
    tasks = sorted({row["task"] for row in rows})
    flawed = frozenset(suites.SUITES["flawed"]) & set(tasks)
    seeds = len({row["seed"] for row in rows})
    parts = [
        "# What makes the crossover appear\n",
        f"{len(rows)} runs: {len(tasks)} tasks ({', '.join(tasks)}), {seeds} seeds, at most {max(row['attempts'] for row in rows)} executed scripts a run, "
        "one trace, one reasoner behind one dial of skill q (evals/harness/skill.py). Scores as in [the crossover](crossover.md): 0 the default script, "
        "1 the reference. What differs is who accepts, whether the tree may judge validity, whether it sees the evidence, and the share of wrong ideas "
        "that change nothing.\n",
        *(f"- **{name}**: {text}." for name, text in VARIANTS.items()),
    ]
    for inert in INERT_SHARES:
        parts.append(f"\n## Wrong ideas: {inert:.0%} change nothing, the others are random edits\n")
        parts.append(scores(by_variant(rows), inert))
        groups = {
            "all tasks": None,
            "clean tasks": frozenset(tasks) - flawed,
            f"flawed tasks ({', '.join(sorted(flawed))})": flawed,
        }
        parts += [differences(by_variant(rows, only), inert, name) for name, only in groups.items()]
    parts.append(
        "\n"
        + provenance(
            "python -m evals.studies.study conditions && python -m evals.studies.conditions"
        )
    )
    return "\n".join(parts)


def lines(head: str) -> list[str]:
    return [
        f"| {head} | " + " | ".join(f"q = {q:g}" for q in CONDITION_SKILLS) + " |",
        "|---" * (len(CONDITION_SKILLS) + 1) + "|",
    ]


def scores(found: Variants, inert: float) -> str:
    rows = lines("score")
    for name in VARIANTS:
        cells = [
            mean(found[name, inert, q]).plain if (name, inert, q) in found else ""
            for q in CONDITION_SKILLS
        ]
        rows.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def differences(found: Variants, inert: float, title: str) -> str:
    rows = [f"\n**{title}**\n", *lines("difference")]
    for one, two in PAIRS:
        keys = [((one, inert, q), (two, inert, q)) for q in CONDITION_SKILLS]
        cells = [
            str(difference(found[a], found[b])) if a in found and b in found else ""
            for a, b in keys
        ]
        rows.append(f"| {one} − {two} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


if __name__ == "__main__":
    main()
