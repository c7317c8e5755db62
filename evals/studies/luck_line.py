"""Luck of the best of several variants: false acceptances of null lines, and true gains.

python -m evals.studies.luck_line [--runs-simulated 1000] [--chains 100] [--out docs/results]

As `evals.studies.luck`, with k variants of every change of which the best is judged. The luck of
the variants of one change is alike by a share, and their seeds differ. Rules:

naive     the best of k is judged as if it were the only one
line      the loop: the bar of the best of k correlated nulls, and a step counts for its luck

Real nulls: chains of lines in which a real pipeline gets k other seeds, judged by the loop's code.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RegularGridInterpolator
from scipy.stats import norm

from evals.harness.pages import page_parser, table_head, table_row, write_study_page
from evals.harness.provenance import provenance_note
from evals.studies.luck import DEFAULTS, LENGTHS, NULL, SEED_SD, STREAMS, Stream, World
from evals.studies.null_lines import line_table
from run.luck import STEPS_COST, acceptance_bar, step_luck
from scoring.acceptance import REACH

Array = NDArray[Any]
SIZES = (1, 2, 3, 4, 5, 6, 7, 8)
GAIN_SIZES = (1, 2, 4, 8)
WORLDS = [World(0.0, True), World(0.5, True), World(1.0, True), World(0.5, False)]
ALIKE = (0.0, 0.5, 0.9)  # share of a change's luck that its variants have in common
SPREAD = 0.5  # of the variants' true effects around that of their change
LINKS = np.linspace(0.0, 1.0, 21)
COUNTED = (1, 2, 3, 4, 6, 8, 12, 18, 27, 40, 60, 101)  # comparisons for which bars are computed


class Line(NamedTuple):
    """How many variants a change has, and which share of their luck they have in common."""

    size: int
    alike: float
    rule: str = "line"


@dataclass
class Solutions:
    """One solution per run, or k variants: true score, luck of rows, luck under two seeds."""

    true: Array
    rows: Array
    seed: Array  # (2, ..., runs)
    changes: Array  # since the start
    luck: Array  # what they count towards the bar

    def take(self, other: Solutions, where: Array) -> None:
        """Become `other` in some runs."""
        for name, value in vars(other).items():
            setattr(self, name, np.where(where, value, getattr(self, name)))

    def pick(self, index: Array) -> Solutions:
        """Return one variant of every run."""
        runs = np.arange(len(index))
        return Solutions(
            self.true[index, runs],
            self.rows[index, runs],
            self.seed[:, index, runs],
            self.changes,
            self.luck,
        )


def differ(world: World, new: Solutions, old: Solutions, twice: Array | bool = False) -> Array:
    """Return d / SE as the harness would report it, over two seeds where `twice`."""
    sides = [np.where(twice, one.seed.mean(axis=0), one.seed[0]) for one in (new, old)]
    d = new.true + new.rows + sides[0] - old.true - old.rows - sides[1]
    spread = sum(np.var(one.seed, axis=0, ddof=1) / 2 for one in (new, old)) / 2
    by_rows = world.rows * np.maximum(new.changes - old.changes, 0)
    by_seed = 1 - world.rows
    return np.asarray(d / np.sqrt(by_rows + np.where(twice, by_seed / 2 + spread, by_seed)))


def make_line(
    world: World, stream: Stream, line: Line, best: Solutions, rng: np.random.Generator
) -> Solutions:
    """Return k changed copies of every run's best."""
    shape = (line.size, len(best.true))
    common, own = rng.normal(size=shape[1]), rng.normal(size=shape)
    luck = np.sqrt(line.alike) * common + np.sqrt(1 - line.alike) * own
    effect = stream.draw(rng, shape[1]) + (0 if stream == NULL else SPREAD * rng.normal(size=shape))
    seed = rng.normal(0, SEED_SD * np.sqrt((1 - world.rows) / 2), (2, *shape))
    true = np.broadcast_to(best.true + effect, shape)
    rows = best.rows + np.sqrt(world.rows) * luck
    return Solutions(true, rows, seed, best.changes + 1, best.luck)


def measured_link(world: World, line: Line, n_changes: Array) -> Array:
    """Return the correlation of two variants' differences as the rows show it."""
    shared = world.rows * (n_changes - 1 + line.alike) + (1 - world.rows) / 2
    return np.asarray(shared / (world.rows * n_changes + 1 - world.rows))


@lru_cache(maxsize=16)
def bar_grid(size: int) -> RegularGridInterpolator:
    """Return the bar by the logarithm of the comparison and by the correlation of the variants."""
    rate = DEFAULTS.false_accepts
    values = [
        [acceptance_bar(rate, 1, n, 1, [float(link)] * (size - 1)) for link in LINKS]
        for n in COUNTED
    ]
    return RegularGridInterpolator((np.log(COUNTED), LINKS), np.array(values))


def bars_of(line: Line, counted: Array, link: Array) -> Array:
    """Return every run's bar, without what its steps cost."""
    size = line.size if line.rule == "line" else 1
    return np.asarray(bar_grid(size)(np.column_stack([np.log(counted + 1), link])))


class Account(NamedTuple):
    """After every step the share of runs with an acceptance, and the mean true gain."""

    accepted: Array
    path: Array


def simulate(
    world: World, stream: Stream, line: Line, n_steps: int, n_runs: int, seed: int = 0
) -> Account:
    """Run `n_runs` searches of `n_steps` lines."""
    rng, zeros = np.random.default_rng(seed), np.zeros(n_runs)
    luck = rng.normal(0, SEED_SD * np.sqrt((1 - world.rows) / 2), (2, n_runs))
    best, anchor = (Solutions(zeros, zeros, luck, zeros, zeros) for _ in range(2))
    counted, ever, path = np.zeros(n_runs, int), np.zeros(n_runs, bool), np.empty(n_steps)
    accepted_by = np.empty(n_steps)
    for step in range(n_steps):
        variants = make_line(world, stream, line, best, rng)
        new = variants.pick(differ(world, variants, best).argmax(axis=0))
        accepted, stepped, looked = judge_line(world, line, new, best, anchor, counted)
        best.take(new, stepped)
        anchor.take(new, accepted)
        counted = np.where(accepted, 0, counted + looked)
        ever |= accepted
        accepted_by[step] = ever.mean()
        path[step] = best.true.mean()
    return Account(accepted_by, path)


def judge_line(
    world: World, line: Line, new: Solutions, best: Solutions, anchor: Solutions, counted: Array
) -> tuple[Array, Array, Array]:
    """Judge the winner as the loop does: accepted, stepped on, looked better."""
    link = measured_link(world, line, np.ones(len(counted)))
    size = line.size if line.rule == "line" else 1
    n_changes, luck = new.changes - anchor.changes, best.luck - anchor.luck + 1
    new.luck = best.luck + step_luck(DEFAULTS.step_p, size, float(link[0]))
    own = bars_of(line, counted, link)
    bar = bars_of(line, counted, measured_link(world, line, n_changes))
    bar = bar + STEPS_COST * np.maximum(luck / np.sqrt(n_changes) - 1, 0)
    claim, z = differ(world, new, anchor), differ(world, new, best)
    twice = ((np.abs(claim - bar) <= REACH) | (np.abs(z - own) <= REACH)) & world.seeded
    claim, z = differ(world, new, anchor, twice), differ(world, new, best, twice)
    accepted = ((claim > bar) & (z > 0)) | (z > own)
    return accepted, accepted | (norm.cdf(z) >= DEFAULTS.step_p), (claim > 0) | (z > 0)


def null_tables(n_runs: int) -> list[str]:
    """Return false acceptance anywhere in a run of null lines, by size and likeness."""
    lines = table_head(["variants, alike", *(world.name for world in WORLDS)])
    cases = [Line(size, alike) for size in SIZES for alike in (ALIKE if size > 1 else ALIKE[:1])]
    for line in [*cases, Line(8, 0.5, "naive")]:
        cells = []
        for world in WORLDS:
            found = simulate(world, NULL, line, LENGTHS[-1], n_runs).accepted
            cells.append(" / ".join(f"{found[n - 1]:.1%}" for n in LENGTHS))
        lines.append(table_row([f"{line.size}, {line.alike:.0%}{naive(line)}", *cells]))
    return lines


def naive(line: Line) -> str:
    """Return a mark for the rule without payment."""
    return "" if line.rule == "line" else ", not paid for"


def gain_table(n_runs: int) -> list[str]:
    """Return the true gain after each length by number of variants."""
    lines = table_head(["stream", *(f"{size}" for size in GAIN_SIZES), "8, not paid for"])
    world = World(0.5, seeded=True)
    for stream in STREAMS:
        shapes = [*(Line(size, 0.5) for size in GAIN_SIZES), Line(8, 0.5, "naive")]
        paths = [simulate(world, stream, line, LENGTHS[-1], n_runs).path for line in shapes]
        cells = [" / ".join(f"{path[n - 1]:.2f}" for n in LENGTHS) for path in paths]
        lines.append(table_row([stream.name, *cells]))
    return lines


ABOUT = """\
As on the page of [luck](luck.md), simulated runs of one trace, with k variants of every change, \
of which the best is judged. The luck of a change's variants is alike by a share. `not paid for`: \
the best of k is judged as if it were the only one. \
The rule: [trust](../trust.md#the-best-of-several).
"""
GAINS = f"""
## True gains

True gain of the best after 8 / 24 / 100 lines by the number of variants, in standard errors; half \
of the luck lies in the rows, half is alike. The variants' true effects spread by {SPREAD:g} \
around that of their change: what a choice of step size can gain.
"""


def main() -> None:
    parser = page_parser(__doc__, "luck_line.jsonl")
    parser.add_argument("--runs-simulated", type=int, default=1000)
    parser.add_argument("--chains", type=int, default=100, help="chains per real table")
    options = parser.parse_args()
    parts = [
        "# Luck of the best of several variants\n",
        ABOUT,
        "## Runs without any real improvement\n",
        f"Share of {options.runs_simulated:,} runs that accept anything, after 8 / 24 / 100 lines."
        "\n",
        *null_tables(options.runs_simulated),
        GAINS,
        *gain_table(options.runs_simulated),
        *(line_table(options.chains) if options.chains else []),
        "\n" + provenance_note("python -m evals.studies.luck_line"),
    ]
    write_study_page(options.out, "luck_line.md", "\n".join(parts))


if __name__ == "__main__":
    main()
