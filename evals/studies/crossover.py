"""Tables and figures of the crossover study.

python -m evals.studies.crossover [--runs ~/.cache/gome/evals/crossover.jsonl] [--out docs/results]

It reads the runs of `python -m evals.studies.study crossover`. Score of a run: its private score, 0
the default script, 1 the reference, clipped to [-1, 1.3]; -1 without a submission.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container
from pathlib import Path

from evals.harness import suites
from evals.harness.pages import (
    draw_figure,
    page_parser,
    read_rows,
    rows_note,
    skill_head,
    table_row,
    write_study_page,
)
from evals.harness.provenance import provenance_note
from evals.harness.statistics import Scores, mean_interval, paired_difference, scores_by_task
from evals.studies import curves
from evals.studies.medals import award_medal, load_boards
from evals.studies.plans import STRATEGIES
from evals.studies.study import StudyRow

BEGIN, END = "<!-- headline: python -m evals.studies.crossover -->", "<!-- headline ends -->"
Cells = dict[tuple[str, float], Scores]  # (strategy, q)
GOME_PAIRS = [("gome", "tree"), ("gome", "mcts"), ("adaptive", "gome"), ("adaptive", "tree")]
ABOUT = """\
one trace. `gome` and `adaptive` deal executions: of several first drafts they go on with the best \
([dealing](dealing.md)). Line searches are on for every strategy, so a script may be several \
settings of one change. The reasoner is the expert at an adjustable skill q \
(evals/harness/skill.py): with probability 1 - q a hypothesis is replaced by a wrong idea, and \
half of those change nothing. All strategies use the same nodes, the same reasoner, acceptance by \
paired score.
"""
CURVES = """\
The score that a search sees and works for, cross-validated, of what led the run: 0 the mean first \
draft of a task, 1 the best that any run of the task reached. Above, the private score; here the \
last point of the curves.
"""
AREA = """
## Area under best so far

The private score of what led, averaged over the search: who gets to the same end sooner has more. \
0 before the first valid attempt; a run that ended early keeps its last score.
"""


def main() -> None:
    parser = page_parser(__doc__, "crossover.jsonl")
    parser.add_argument(
        "--headline",
        type=Path,
        default=Path("docs/results.md"),
        help="page whose headline is replaced",
    )
    options = parser.parse_args()
    rows: list[StudyRow] = read_rows(options.runs)
    page = crossover_page(rows) + rows_note(
        "python -m evals.studies.crossover --runs", options.runs
    )
    write_study_page(options.out, "crossover.md", page)
    draw_crossover(scores_by_cell(rows), options.out / "crossover.png")
    curves.draw_curves(rows, STRATEGIES, options.out / "steps.png")
    replace_headline(options.headline, headline_text(rows))


def normalised_run_score(row: StudyRow) -> float:
    """Return the run's private score on the scale of its task's two references."""
    return suites.normalise_score(row["private"], suites.load_references()[row["task"]])


def scores_by_cell(rows: list[StudyRow], only: Container[str] | None = None) -> Cells:
    """Return (strategy, q) -> normalised scores, of all tasks or of some.

    Random drafts are the same at every skill.
    """
    groups: dict[tuple[str, float], list[StudyRow]] = defaultdict(list)
    skills = curves.skills_of(rows)
    for row in rows:
        if only is None or row["task"] in only:
            for q in skills if row["strategy"] == "random" else (row["q"],):
                groups[row["strategy"], q].append(row)
    return {key: scores_by_task(group, normalised_run_score) for key, group in groups.items()}


def crossover_page(rows: list[StudyRow]) -> str:
    """Return docs/results/crossover.md."""
    tasks = sorted({row["task"] for row in rows})
    n_scripts = max(row.get("budget", row["attempts"]) for row in rows)
    flawed = frozenset(suites.SUITES["flawed"])
    clean = frozenset(tasks) - flawed
    final = curves.final_scores(rows)
    study = f"python -m evals.studies.study crossover --seeds {len({row['seed'] for row in rows})}"
    parts = [
        "# The crossover: does the gradient beat the tree, and from which skill on?\n",
        f"{len(rows)} runs: {len(tasks)} tasks ({', '.join(tasks)}), {count_seeds(rows)}, "
        f"{n_scripts} executed scripts a run, {ABOUT}",
        "0 is the default script, 1 the reference (the law itself on generated tasks). Mean over "
        "tasks and seeds, 95 % bootstrap interval.\n",
        skill_table(scores_by_cell(rows)),
        "\n## Differences\n",
        differences_table(scores_by_cell(rows), "all tasks"),
        differences_table(scores_by_cell(rows, clean), "clean tasks"),
        differences_table(
            scores_by_cell(rows, flawed), "flawed tasks (a leak, new groups, the future)"
        ),
        "\n![Private score less that of the tree, against skill](crossover.png)\n",
        "\n## Score against steps\n\n![Best score so far against executed scripts](steps.png)\n",
        CURVES,
        skill_table(final),
        differences_table(final, "differences"),
        area_section(rows),
        improvement_section(rows),
        spending_section(rows),
        curves.calibration_section(rows, curves.skills_of(rows), STRATEGIES),
        curves.cost_section(rows, STRATEGIES),
        medals_section(rows),
        "\n" + provenance_note(f"{study} && python -m evals.studies.crossover"),
    ]
    return "\n".join(parts)


def count_seeds(rows: list[StudyRow]) -> str:
    """Return `1 seed` or `10 seeds`."""
    n_seeds = len({row["seed"] for row in rows})
    return f"{n_seeds} seed{'s' if n_seeds > 1 else ''}"


def skills_in(cells: Cells) -> tuple[float, ...]:
    """Return the skills that have a cell."""
    return tuple(sorted({q for _, q in cells}))


def skill_table(cells: Cells, skills: tuple[float, ...] = ()) -> str:
    """Return the mean score of every strategy at every skill."""
    skills = skills or skills_in(cells)
    lines = skill_head("strategy", skills)
    for strategy in STRATEGIES:
        keys = [(strategy, q) for q in skills]
        texts = [mean_interval(cells[key]).unsigned if key in cells else "" for key in keys]
        lines.append(table_row([strategy, *texts]))
    return "\n".join(lines)


def differences_table(cells: Cells, name: str, skills: tuple[float, ...] = ()) -> str:
    """Return the paired differences between strategies at every skill; empty without any."""
    skills = skills or skills_in(cells)
    if not skills:
        return ""
    lines = [f"\n**{name}**\n", *skill_head("", skills)]
    for one, two in GOME_PAIRS:
        texts = []
        for q in skills:
            a, b = cells.get((one, q)), cells.get((two, q))
            texts.append(str(paired_difference(a, b)) if a and b else "")
        lines.append(table_row([f"{one} - {two}", *texts]))
    return "\n".join(lines)


def area_section(rows: list[StudyRow]) -> str:
    """Return the area under best-so-far; empty where no row has its search."""
    parts = []
    for unit, name in curves.UNITS.items():
        if cells := curves.area_cells(rows, unit):
            parts += [f"\n**over {name}**\n", skill_table(cells)]
            parts.append(differences_table(cells, f"differences over {name}"))
    return "\n".join([AREA, *parts]) if parts else ""


def improvement_section(rows: list[StudyRow]) -> str:
    """Return the share of steps after a draft that were accepted."""
    skills = curves.skills_of(rows)
    lines = ["\n## Steps that improve\n", *skill_head("strategy", skills)]
    for strategy in STRATEGIES[:-1]:
        cells = []
        for q in skills:
            rates = [row["improvement_rate"] for row in rows_of_strategy(rows, strategy, q)]
            cells.append(f"{sum(rates) / len(rates):.0%}" if rates else "")
        lines.append(table_row([strategy, *cells]))
    return "\n".join(lines)


def rows_of_strategy(rows: list[StudyRow], strategy: str, q: float) -> list[StudyRow]:
    """Return the rows of one strategy at one skill."""
    return [row for row in rows if (row["strategy"], row["q"]) == (strategy, q)]


def spending_section(rows: list[StudyRow], strategy: str = "adaptive") -> str:
    """Return which kinds of step the strategy took, and how many of them were accepted."""
    skills = curves.skills_of(rows)
    lines = [
        f"\n## How `{strategy}` spends its steps\n",
        "Steps of a run, and the share of them that was accepted (the first draft of a run always "
        "is).\n",
        *skill_head("step", skills),
    ]
    runs = {
        q: [row["spent"] for row in rows_of_strategy(rows, strategy, q) if "spent" in row]
        for q in skills
    }
    kinds = {kind for accounts in runs.values() for spent in accounts for kind in spent}
    for kind in sorted(kinds):
        cells = [spending_cell(accounts, kind) for accounts in runs.values()]
        lines.append(table_row([kind, *cells]))
    return "\n".join(lines) if any(runs.values()) else ""


def spending_cell(accounts: list[dict[str, list[int]]], kind: str) -> str:
    """Return steps of one kind per run, and the share that was accepted."""
    counts = [account.get(kind, [0, 0]) for account in accounts]
    n_steps, n_accepted = sum(count[0] for count in counts), sum(count[1] for count in counts)
    return f"{n_steps / len(accounts):.1f}, {n_accepted / n_steps:.0%}" if n_steps else ""


def medals_section(rows: list[StudyRow]) -> str:
    """Return the share of runs with any medal and with gold, in the field of medals.py."""
    boards, skills = load_boards(), curves.skills_of(rows)
    lines = [
        "\n## Synthetic medals\n",
        "Any medal / gold by MLE-bench's rank rule in a synthetic field of 100 random searchers "
        f"per task ({len(boards)} tasks; evals/studies/medals.py). No person competed, and a "
        "single run's medal is within the error of its private score; only rates mean something.\n",
        *skill_head("strategy", skills),
    ]
    for strategy in STRATEGIES:
        cells = []
        for q in skills:
            own = rows_of_strategy(rows, strategy, skills[0] if strategy == "random" else q)
            medals = [
                award_medal(row["private"], boards[row["task"]])
                for row in own
                if row["task"] in boards
            ]
            cells.append(medal_cell(medals))
        lines.append(table_row([strategy, *cells]))
    return "\n".join(lines) if boards else ""


def medal_cell(medals: list[str]) -> str:
    """Return the shares of any medal and of gold."""
    if not medals:
        return ""
    return f"{sum(map(bool, medals)) / len(medals):.0%} / {medals.count('gold') / len(medals):.0%}"


def headline_text(rows: list[StudyRow]) -> str:
    """Return the headline of docs/results.md from the same runs."""
    cells = scores_by_cell(rows)
    n_tasks = len({row["task"] for row in rows})

    def score(strategy: str, q: float) -> str:
        return mean_interval(cells[strategy, q]).unsigned

    return (
        f"**Does the gradient beat the tree?** {len(rows):,} offline runs ({n_tasks} tasks, "
        f"{count_seeds(rows)}, the same nodes, reasoner and number of executed scripts; 0 the "
        "default script, 1 the reference): with a reasoner that is always right `gome` reaches "
        f"{score('gome', 1.0)}, `adaptive` {score('adaptive', 1.0)}, `tree` {score('tree', 1.0)}, "
        f"`mcts` {score('mcts', 1.0)}; with one that is always wrong {score('gome', 0.0)}, "
        f"{score('adaptive', 0.0)}, {score('tree', 0.0)} and {score('mcts', 0.0)}; drafts alone "
        f"{score('random', 0.0)}.\n"
        "[The study](results/crossover.md), and [what makes a crossover "
        "appear](results/conditions.md).\n\n"
        "![Private score less that of the tree, against skill](results/crossover.png)"
    )


def replace_headline(page: Path, text: str) -> None:
    """Replace the text between the headline's two markers, where the file has them."""
    whole = page.read_text()
    if BEGIN in whole and END in whole:
        before, after = whole.split(BEGIN)[0], whole.split(END)[1]
        page.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


def draw_crossover(cells: Cells, path: Path) -> None:
    """Draw each strategy's paired difference to the tree against skill, with intervals."""
    with draw_figure(path, (7, 4.2)) as (axes,):
        axes.axhline(0, color="#94a3b8", linewidth=1)
        for place, strategy in enumerate(one for one in STRATEGIES if one != "tree"):
            skills = [q for q in skills_in(cells) if {(strategy, q), ("tree", q)} <= cells.keys()]
            if not skills:
                continue
            gaps = [paired_difference(cells[strategy, q], cells["tree", q]) for q in skills]
            below = [gap.mean - gap.low for gap in gaps]
            above = [gap.high - gap.mean for gap in gaps]
            axes.errorbar(
                [q + 0.015 * (place - 1.5) for q in skills],  # side by side
                [gap.mean for gap in gaps],
                yerr=[below, above],
                fmt="o-",
                linewidth=1,
                label=strategy,
                color=curves.COLOURS[strategy],
            )
        axes.set_xlabel("skill of the reasoner, q")
        axes.set_ylabel("private score less the tree's")
        axes.legend(frameon=False, ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1))


if __name__ == "__main__":
    main()
