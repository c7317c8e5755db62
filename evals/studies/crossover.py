"""Tables and figure of the crossover study, from the runs that `python -m evals.studies.study crossover` recorded.

python -m evals.studies.crossover [--runs ~/.cache/gome/evals/crossover.jsonl] [--out docs/results]

Score of a run: its private score, 0 the default script, 1 the reference, clipped to [-1, 1.3]; a run without a submission is -1.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from evals.harness import suites
from evals.harness.provenance import provenance
from evals.harness.statistics import Interval, Scores, difference, mean, table
from evals.studies import curves
from evals.studies.medals import boards as medal_boards
from evals.studies.medals import medal
from evals.studies.study import SKILLS, STRATEGIES

BEGIN, END = "<!-- headline: python -m evals.studies.crossover -->", "<!-- headline ends -->"
Rows = list[dict[str, Any]]
Cells = dict[tuple[str, float], Scores]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--runs", type=Path, default=Path("~/.cache/gome/evals/crossover.jsonl").expanduser()
    )
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    parser.add_argument(
        "--readme", type=Path, default=Path("README.md"), help="its headline is written anew"
    )
    options = parser.parse_args()
    rows = [json.loads(line) for line in options.runs.read_text().splitlines()]
    text = page(rows)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "crossover.md").write_text(text)
    figure(by_cell(rows), options.out / "crossover.png")
    curves.figure(rows, STRATEGIES, options.out / "steps.png")
    put_headline(options.readme, headline(rows))
    print(text)


def score(row: dict[str, Any]) -> float:
    return suites.normalised(row["private"], suites.references()[row["task"]])


def by_cell(rows: Rows, only: frozenset[str] | None = None) -> Cells:
    """(strategy, q) -> task -> seed -> normalised score; random drafts are the same at every skill."""
    grouped: dict[tuple[str, float], Rows] = defaultdict(list)
    for row in rows:
        if only is None or row["task"] in only:
            for q in SKILLS if row["strategy"] == "random" else (row["q"],):
                grouped[row["strategy"], q].append(row)
    return {key: table(found, score) for key, found in grouped.items()}


def page(rows: Rows) -> str:
    tasks = sorted({row["task"] for row in rows})
    seeds = {row["seed"] for row in rows}
    flawed = frozenset(suites.SUITES["flawed"])
    parts = [
        "# The crossover: does the gradient beat the tree, and from which skill on?\n",
        f"{len(rows)} runs: {len(tasks)} tasks ({', '.join(tasks)}), {len(seeds)} seeds, {max(row['attempts'] for row in rows)} executed scripts a run, "
        "one trace. The reasoner is the expert behind a dial of skill q (evals/harness/skill.py): every hypothesis is, with probability 1 - q, replaced "
        "by a wrong idea, half of which change nothing. All strategies use the same nodes, the same reasoner, acceptance by paired score.\n",
        "0 is the default script, 1 the reference (the law itself on generated tasks). Mean over tasks and seeds, 95 % bootstrap interval.\n",
        skill_table(by_cell(rows)),
        "\n## Differences\n",
        differences(by_cell(rows), "all tasks"),
        differences(by_cell(rows, frozenset(tasks) - flawed), "clean tasks"),
        differences(by_cell(rows, flawed), "flawed tasks (a leak, new groups, the future)"),
        "\n![Score against skill](crossover.png)\n",
        "\n## Score against steps\n\n![Best score so far against executed scripts](steps.png)\n",
        "The score that a search sees and works for, cross-validated: 0 the mean first draft of a task, 1 the best that any run of the task reached. "
        "Above, the private score; here the last point of the curves.\n",
        skill_table(curves.final(rows)),
        differences(curves.final(rows), "differences"),
        improvement(rows),
        spending(rows),
        curves.calibrated(rows, SKILLS, STRATEGIES),
        curves.costs(rows, STRATEGIES),
        medals(rows),
        "\n"
        + provenance(
            "python -m evals.studies.study crossover && python -m evals.studies.crossover"
        ),
    ]
    return "\n".join(parts)


def skill_table(cells: Cells, skills: tuple[float, ...] = SKILLS) -> str:
    lines = [
        "| strategy | " + " | ".join(f"q = {q:g}" for q in skills) + " |",
        "|---" * (len(skills) + 1) + "|",
    ]
    for strategy in STRATEGIES:
        shown = [mean(cells[strategy, q]).plain if (strategy, q) in cells else "" for q in skills]
        lines.append(f"| {strategy} | " + " | ".join(shown) + " |")
    return "\n".join(lines)


def differences(cells: Cells, name: str, skills: tuple[float, ...] = SKILLS) -> str:
    def row(label: str, one: str, two: str) -> str:
        shown = [
            str(difference(cells[one, q], cells[two, q]))
            if (one, q) in cells and (two, q) in cells
            else ""
            for q in skills
        ]
        return f"| {label} | " + " | ".join(shown) + " |"

    head = [
        f"\n**{name}**\n",
        "| | " + " | ".join(f"q = {q:g}" for q in skills) + " |",
        "|---" * (len(skills) + 1) + "|",
    ]
    pairs = [("gome", "tree"), ("gome", "mcts"), ("adaptive", "gome"), ("adaptive", "tree")]
    return "\n".join(head + [row(f"{one} - {two}", one, two) for one, two in pairs])


def improvement(rows: Rows) -> str:
    """Share of steps after a draft that were accepted."""
    lines = [
        "\n## Steps that improve\n",
        "| strategy | " + " | ".join(f"q = {q:g}" for q in SKILLS) + " |",
        "|---" * (len(SKILLS) + 1) + "|",
    ]
    for strategy in STRATEGIES[:-1]:
        rates = [
            [
                row["improvement_rate"]
                for row in rows
                if (row["strategy"], row["q"]) == (strategy, q)
            ]
            for q in SKILLS
        ]
        lines.append(
            f"| {strategy} | "
            + " | ".join(f"{sum(rate) / len(rate):.0%}" if rate else "" for rate in rates)
            + " |"
        )
    return "\n".join(lines)


def spending(rows: Rows, strategy: str = "adaptive") -> str:
    """Which kinds of step the strategy took, and how many of them were accepted."""
    lines = [
        f"\n## How `{strategy}` spends its steps\n",
        "Steps of a run, and the share of them that was accepted (the first draft of a run always is).\n",
        "| step | " + " | ".join(f"q = {q:g}" for q in SKILLS) + " |",
        "|---" * (len(SKILLS) + 1) + "|",
    ]
    runs = {
        q: [
            row["spent"]
            for row in rows
            if (row["strategy"], row["q"]) == (strategy, q) and "spent" in row
        ]
        for q in SKILLS
    }
    for kind in sorted({kind for found in runs.values() for spent in found for kind in spent}):
        cells = []
        for found in runs.values():
            made, won = (sum(spent.get(kind, [0, 0])[place] for spent in found) for place in (0, 1))
            cells.append(f"{made / len(found):.1f}, {won / made:.0%}" if made else "")
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    return "\n".join(lines) if any(runs.values()) else ""


def medals(rows: Rows) -> str:
    """Share of runs with any medal and with gold, against the frozen field of evals/studies/medals.py."""
    boards = medal_boards()
    lines = [
        "\n## Synthetic medals\n",
        f"Any medal / gold by MLE-bench's rank rule in a synthetic field of 100 random searchers per task ({len(boards)} tasks; evals/studies/medals.py). "
        "No person competed, and a single run's medal is within the error of its private score; only rates mean something.\n",
        "| strategy | " + " | ".join(f"q = {q:g}" for q in SKILLS) + " |",
        "|---" * (len(SKILLS) + 1) + "|",
    ]
    for strategy in STRATEGIES:
        cells = []
        for q in SKILLS:
            q = SKILLS[0] if strategy == "random" else q
            won = [
                medal(row["private"], boards[row["task"]])
                for row in rows
                if (row["strategy"], row["q"]) == (strategy, q) and row["task"] in boards
            ]
            cells.append(
                f"{sum(map(bool, won)) / len(won):.0%} / {won.count('gold') / len(won):.0%}"
                if won
                else ""
            )
        lines.append(f"| {strategy} | " + " | ".join(cells) + " |")
    return "\n".join(lines) if boards else ""


def headline(rows: Rows) -> str:
    """Two sentences for the README, from the same runs."""
    cells = by_cell(rows)
    tasks, seeds = len({row["task"] for row in rows}), len({row["seed"] for row in rows})

    def of(strategy: str, q: float) -> str:
        return mean(cells[strategy, q]).plain

    return (
        f"**Does the gradient beat the tree?** {len(rows):,} offline runs ({tasks} tasks, {seeds} seeds, the same nodes, reasoner and number of executed "
        f"scripts; 0 the default script, 1 the reference): with a reasoner that is always right `gome` reaches {of('gome', 1.0)}, `adaptive` "
        f"{of('adaptive', 1.0)}, `tree` {of('tree', 1.0)}, `mcts` {of('mcts', 1.0)}; with one that is always wrong {of('gome', 0.0)}, "
        f"{of('adaptive', 0.0)}, {of('tree', 0.0)} and {of('mcts', 0.0)}; drafts alone {of('random', 0.0)}.\n"
        "[The study](docs/results/crossover.md), and [what makes a crossover appear](docs/results/conditions.md).\n\n"
        "![Score against skill](docs/results/crossover.png)"
    )


def put_headline(readme: Path, text: str) -> None:
    """Between its two marks, where the file has them."""
    whole = readme.read_text()
    if BEGIN in whole and END in whole:
        before, after = whole.split(BEGIN)[0], whole.split(END)[1]
        readme.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


def figure(cells: Cells, path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    plot, axes = plt.subplots(figsize=(7, 4.2), dpi=110)
    for strategy in STRATEGIES:
        found: list[tuple[float, Interval]] = [
            (q, mean(cells[strategy, q])) for q in SKILLS if (strategy, q) in cells
        ]
        if not found:
            continue
        xs = [q for q, _ in found]
        axes.plot(
            xs,
            [interval.mean for _, interval in found],
            marker="o",
            label=strategy,
            color=curves.COLOURS[strategy],
        )
        axes.fill_between(
            xs,
            [i.low for _, i in found],
            [i.high for _, i in found],
            color=curves.COLOURS[strategy],
            alpha=0.12,
            linewidth=0,
        )
    axes.set_xlabel("skill of the reasoner, q")
    axes.set_ylabel("private score (0 default script, 1 reference)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    plot.tight_layout()
    plot.savefig(path)


if __name__ == "__main__":
    main()
