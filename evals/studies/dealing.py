"""How many first drafts and how many lines pay, at which budget: simulated runs.

python -m evals.studies.dealing [--runs-simulated 300] [--out docs/results]

A run has two or four traces and a budget of attempts. A first draft has a true score and headroom
that are drawn; a step gains a part of the headroom that is left in 40 % of cases, and otherwise
loses up to two standard errors. Scores are measured with the error of one comparison (1), and a
step is kept where it is likely better (p >= .7). All values are in standard errors.

turns    one line per trace, a move to the best after three steps without progress
N lines  after the loop's first drafts the N best lines go on to the end
deal     the default: the loop's own functions choose drafts, lines and moves
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from evals.harness.pages import page_parser, table_head, table_row, write_study_page
from evals.harness.provenance import provenance_note
from policies.dealing import Standing, choose_start, count_lines
from run.budget import count_first_drafts

BUDGETS = (6, 10, 20, 30, 50, 100, 200)
TRACES = (2, 4)
DRAFT_COUNTS = (1, 2, 3, 4, 6, 8, 12)
P_HELPS, LOSS, KEEP_Z = 0.4, 2.0, 0.52
PATIENCE = 3


@dataclass(frozen=True)
class World:
    """How first drafts differ, how much can be gained from one, and how fast."""

    name: str
    start_sd: float
    shape: float  # of the gamma distribution of the headroom
    scale: float
    part: float  # of the headroom that a helpful step gains, at most 1.4 times this


WORLDS = (
    World("even starts", 1.5, 2, 4, 0.25),
    World("uneven starts", 5, 2, 4, 0.25),
    World("uneven ceilings", 2, 0.7, 12, 0.25),
    World("slow gains", 3, 2, 6, 0.08),
)


@dataclass(frozen=True)
class Place:
    """A solution: its line, true and measured score, and what can still be gained."""

    line: int
    true: float
    left: float
    score: float


def draft_place(world: World, line: int, rng: random.Random) -> Place:
    """Draw a first draft."""
    true = rng.gauss(0, world.start_sd)
    left = rng.gammavariate(world.shape, world.scale)
    return Place(line, true, left, true + rng.gauss(0, 0.7))


def step_from(place: Place, world: World, rng: random.Random) -> Place:
    """Draw a step; the place itself where it is not likely better."""
    helps = rng.random() < P_HELPS
    gain = place.left * world.part * 1.4 * rng.random() if helps else -LOSS * rng.random()
    measured = gain + rng.gauss(0, 1)
    if measured < KEEP_Z:
        return place
    return Place(place.line, place.true + gain, max(0.0, place.left - gain), place.score + measured)


def spread_drafts(drafts: Sequence[Place], n_traces: int) -> list[Place]:
    """Give the drafts to the traces in turn; each keeps its best, or begins at the best of all."""
    best = max(drafts, key=lambda place: place.score)
    own = [drafts[trace::n_traces] for trace in range(n_traces)]
    return [max(each, key=lambda place: place.score) if each else best for each in own]


Lines = Callable[[float], int]


def play_run(
    world: World, budget: int, n_traces: int, n_drafts: int, lines: Lines | None, seed: int
) -> float:
    """Play a run; return the true score of what has the best measured one.

    `lines`: how many lines go on at a used share of the budget; None: turns.
    """
    rng = random.Random(f"{world.name}/{budget}/{n_traces}/{seed}")
    n_drafts = min(n_drafts, budget)
    traces = spread_drafts([draft_place(world, i, rng) for i in range(n_drafts)], n_traces)
    vain, n_made = [0] * n_traces, n_drafts
    while n_made < budget:
        for trace in range(n_traces):
            start = _choose_place(trace, traces, vain, n_made / budget, lines)
            if start is not None and traces[start] is not traces[trace]:
                traces[trace], vain[trace] = traces[start], 0
        before = list(traces)
        for trace in range(min(n_traces, budget - n_made)):
            traces[trace] = step_from(before[trace], world, rng)
            vain[trace] = 0 if traces[trace] is not before[trace] else vain[trace] + 1
            n_made += 1
    return max(traces, key=lambda place: place.score).true


def _choose_place(
    trace: int, traces: Sequence[Place], vain: Sequence[int], used: float, lines: Lines | None
) -> int | None:
    standings = [Standing(i, str(place.line), place.score) for i, place in enumerate(traces)]
    if lines is not None:
        return choose_start(trace, standings, lines(used), noise=1.0)
    best = max(standings, key=lambda standing: standing.score)
    return best.trace if vain[trace] >= PATIENCE else None


def mean_score(
    budget: int, n_traces: int, n_drafts: int, lines: Lines | None, n_runs: int, world: World
) -> float:
    """Mean true score over runs."""
    played = (play_run(world, budget, n_traces, n_drafts, lines, seed) for seed in range(n_runs))
    return statistics.mean(played)


def deal_lines(budget: int, n_traces: int) -> Lines:
    """Return the loop's own rule."""
    return lambda used: count_lines(budget, n_traces, used)


def rule_table(n_traces: int, n_runs: int) -> list[str]:
    """Compare rules at every budget, the mean over all worlds, and the default in each world."""
    counts = [n for n in (1, 2, 4) if n <= n_traces]
    rows: dict[str, Callable[[int], tuple[int, Lines | None]]] = {
        "turns": lambda budget: (n_traces, None)
    }
    for n in counts:
        name = f"{n} line{'s' if n > 1 else ''}"
        rows[name] = lambda budget, n=n: (  # type: ignore[misc]  # bound now
            count_first_drafts(budget, n_traces),
            lambda used: n,
        )
    rows["**deal**"] = lambda budget: (
        count_first_drafts(budget, n_traces),
        deal_lines(budget, n_traces),
    )
    table = table_head(["rule", *(str(budget) for budget in BUDGETS)])
    for name, rule in rows.items():
        cells = []
        for budget in BUDGETS:
            n_drafts, lines = rule(budget)
            scores = [
                mean_score(budget, n_traces, n_drafts, lines, n_runs, world) for world in WORLDS
            ]
            cells.append(f"{statistics.mean(scores):.2f}")
        table.append(table_row([name, *cells]))
    return table


def world_table(n_traces: int, n_runs: int) -> list[str]:
    """Show the default against turns in every world: the difference."""
    table = table_head(["drafts and headroom", *(str(budget) for budget in BUDGETS)])
    for world in WORLDS:
        cells = []
        for budget in BUDGETS:
            n_drafts = count_first_drafts(budget, n_traces)
            lines = deal_lines(budget, n_traces)
            pairs = [
                play_run(world, budget, n_traces, n_drafts, lines, seed)
                - play_run(world, budget, n_traces, n_traces, None, seed)
                for seed in range(n_runs)
            ]
            error = statistics.stdev(pairs) / n_runs**0.5
            cells.append(f"{statistics.mean(pairs):+.2f} ± {error:.2f}")
        table.append(table_row([world.name, *cells]))
    return table


def draft_table(n_traces: int, n_runs: int) -> list[str]:
    """Compare numbers of first drafts, each with the loop's rule for lines."""
    table = table_head(["first drafts", *(str(budget) for budget in BUDGETS)])
    for n_drafts in DRAFT_COUNTS:
        cells = []
        for budget in BUDGETS:
            lines = deal_lines(budget, n_traces)
            scores = [
                mean_score(budget, n_traces, n_drafts, lines, n_runs, world) for world in WORLDS
            ]
            marked = "**" if n_drafts == count_first_drafts(budget, n_traces) else ""
            shown = f"{marked}{statistics.mean(scores):.2f}{marked}"
            cells.append(shown if n_drafts < budget else "")
        table.append(table_row([str(n_drafts), *cells]))
    return table


ABOUT = """\
Simulated runs, in standard errors of one comparison: the true score of what a run hands over. A \
first draft has a score and headroom; a step gains a part of the headroom that is left in 40 % of \
cases, and loses otherwise; what is likely better (p ≥ .7) is stepped on. `turns`: one line per \
trace, and a move to the best after three vain steps (`deal=turns`). `N lines`: after the first \
drafts the N best lines go on to the end. `deal`: the default, by the loop's own functions \
([design](../design.md#where-executions-go)). What this says of real tasks depends on how much \
their first drafts differ; the worlds differ in that.
"""


def main() -> None:
    parser = page_parser(__doc__, "dealing.jsonl")
    parser.add_argument("--runs-simulated", type=int, default=300)
    options = parser.parse_args()
    n_runs = options.runs_simulated
    parts = ["# Dealing: where executions go\n", ABOUT]
    for n_traces in TRACES:
        parts += [f"## {n_traces} traces\n", "Mean of all worlds, by attempts of the run.\n"]
        parts += rule_table(n_traces, n_runs)
        parts += ["\nDealt less turns, paired, with standard errors.\n"]
        parts += world_table(n_traces, n_runs)
        parts += ["\nNumbers of first drafts, mean of all worlds; the default is bold.\n"]
        parts += [*draft_table(n_traces, n_runs), ""]
    parts.append(provenance_note("python -m evals.studies.dealing"))
    write_study_page(options.out, "dealing.md", "\n".join(parts))


if __name__ == "__main__":
    main()
