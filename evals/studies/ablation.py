"""One part of the method taken away at a time: the table of `python -m evals.studies.study ablation`, beside the paper's.

python -m evals.studies.ablation [--runs ~/.cache/gome/evals/ablation.jsonl] [--out docs/results]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from evals.harness.provenance import provenance
from evals.harness.statistics import Scores, difference, mean, table
from evals.studies.crossover import score
from evals.studies.medals import boards as medal_boards
from evals.studies.medals import medal

Rows = list[dict[str, Any]]
PAPER = {
    "full": ("35.1", "41.1 %"),
    "no diagnosis": ("25.8", "22.6 %"),
    "no memory": ("28.9", ""),
    "one trace": ("32.4", ""),
}
"""Any-medal rate with GPT-5 on MLE-bench, and share of iterations that improve (arXiv 2603.01692, as reported)."""

ORDER = (
    "full",
    "no diagnosis",
    "no memory",
    "no sharing",
    "one trace",
    "no audit",
    "no ensemble",
    "no second seed",
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--runs", type=Path, default=Path("~/.cache/gome/evals/ablation.jsonl").expanduser()
    )
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    options = parser.parse_args()
    rows = [json.loads(line) for line in options.runs.read_text().splitlines()]
    found = {
        name: table([row for row in rows if row["condition"] == name], score) for name in ORDER
    }
    found = {name: scores for name, scores in found.items() if scores}
    text = page(rows, found)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "ablation.md").write_text(text)
    figure(found, options.out / "ablation.png")
    print(text)


def page(rows: Rows, found: dict[str, Scores]) -> str:
    tasks, seeds = sorted({row["task"] for row in rows}), len({row["seed"] for row in rows})
    skills = sorted({row["q"] for row in rows})
    parts = [
        "# Ablation: one part taken away at a time\n",
        f"{len(rows)} runs: {len(tasks)} tasks ({', '.join(tasks)}), {seeds} seeds, skill {', '.join(f'{q:g}' for q in skills)}, the same number of executed "
        f"scripts a run (at most {max(row['attempts'] for row in rows)}). Private score: 0 the default script, 1 the reference; mean over tasks and seeds with "
        "its 95 % bootstrap interval, differences paired by task and seed. `no diagnosis`: the reasoner sees code and score, not the evidence. "
        "The memory holds what runs of other seeds learnt on the other tasks (evals/studies/taught.py); `no memory` takes away that and what the traces tell each other, `no sharing` the latter alone.\n",
        f"Any medal: MLE-bench's rank rule in a synthetic field of random searchers ({len(medal_boards())} tasks, evals/studies/medals.py).\n",
        "| | score | against full | any medal | against full | steps that improve | paper: any medal | paper: steps that improve |",
        "|---" * 8 + "|",
        *(line(name, rows, found) for name in found),
        "\n![Ablation](ablation.png)\n",
        provenance("python -m evals.studies.study ablation && python -m evals.studies.ablation"),
    ]
    return "\n".join(parts)


def line(name: str, rows: Rows, found: dict[str, Scores]) -> str:
    rates = [row["improvement_rate"] for row in rows if row["condition"] == name]
    won, full = medals(rows, name), medals(rows, "full")
    cells = [
        mean(found[name]).plain,
        "",
        f"{mean(won).mean:.0%}" if won else "",
        "",
        f"{sum(rates) / len(rates):.0%}",
    ]
    if name != "full":
        cells[1], cells[3] = (
            str(difference(found[name], found["full"])),
            str(difference(won, full)) if won else "",
        )
    return f"| {name} | {' | '.join(cells)} | {' | '.join(PAPER.get(name, ('', '')))} |"


def medals(rows: Rows, name: str) -> Scores:
    """task -> seed -> 1 for any medal, 0 for none."""
    boards = medal_boards()
    own = [row for row in rows if row["condition"] == name and row["task"] in boards]
    return table(own, lambda row: float(bool(medal(row["private"], boards[row["task"]]))))


def figure(found: dict[str, Scores], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    plot, axes = plt.subplots(figsize=(7, 0.5 * len(found) + 1.2), dpi=110)
    names = list(found)[::-1]
    intervals = [mean(found[name]) for name in names]
    errors = [[i.mean - i.low for i in intervals], [i.high - i.mean for i in intervals]]
    colours = ["#2563eb" if name == "full" else "#94a3b8" for name in names]
    axes.barh(
        names,
        [i.mean for i in intervals],
        xerr=errors,
        color=colours,
        error_kw={"elinewidth": 1, "ecolor": "#334155"},
    )
    axes.set_xlabel("private score (0 default script, 1 reference)")
    axes.spines[["top", "right"]].set_visible(False)
    plot.tight_layout()
    plot.savefig(path)


if __name__ == "__main__":
    main()
