"""Luck over a whole run: false acceptances of null runs, and what true gains become of.

python -m evals.studies.luck [--runs-simulated 1000] [--chains 4] [--out docs/results]

Simulated runs of one trace. A change moves the true score by its effect and by luck, in units of
the standard error of one comparison. Luck of the *rows* stays in every later step, luck of the
*seed* is new with every fit; d / SE of a null change has a standard deviation of 1.25 where all is
seed and 1 where all is rows (measured: docs/results/acceptance.md). Rules:

higher    whatever scores higher replaces the best
fixed     the rule before: beyond 1.15 standard errors, a doubtful difference measured twice
bar       the run's bar alone (run.luck): a tie changes nothing
loop      the default: the run's bar, and a likely better tie is the next step's start
cheap     as `loop` for cheap scripts: a second seed also before a tie is stepped on
return    as `loop`, but back to the last confirmed best after 8 steps without confirmation

Real nulls: chains of steps in which a real pipeline gets another seed or another column of noise,
judged by the loop's own code.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from evals.harness.pages import page_parser, table_head, table_row, write_study_page
from evals.harness.provenance import provenance_note
from evals.studies.null_chains import chain_table
from graph.settings import Settings
from run.luck import acceptance_bar
from scoring.acceptance import DOUBT, REACH

Array = NDArray[Any]
LENGTHS = (8, 24, 100)
SEED_SD = 1.25  # of d / SE between two seeds of one pipeline
FIXED_Z = 1.15
RETURN_AFTER = 8
GOAL = 3.0  # standard errors of true gain, for the steps until they are reached
MAX_CHANGES = 150
DEFAULTS = Settings()


class World(NamedTuple):
    """Share of a null change's luck that lies in the rows, and whether scripts take a seed."""

    rows: float
    seeded: bool

    @property
    def name(self) -> str:
        """How tables call it."""
        seeded = "seeds" if self.seeded else "no seeds"
        return f"{self.rows:.0%} rows, {seeded}"


N_DRAFTS = (2, 6)
WORLDS = [World(0, True), World(0.5, True), World(1, True), World(0, False), World(0.5, False)]


class Stream(NamedTuple):
    """A share of the changes gains `gain` standard errors, the others lose `loss`."""

    share: float
    gain: float
    loss: float

    @property
    def name(self) -> str:
        """How tables call it."""
        return f"{self.share:.0%} gain {self.gain:g}, others lose {self.loss:g}"

    def draw(self, rng: np.random.Generator, n: int) -> Array:
        """Return the effects of n changes."""
        return np.where(rng.random(n) < self.share, self.gain, -self.loss)


NULL = Stream(0.0, 0.0, 0.0)
STREAMS = [
    Stream(0.4, 0.3, 0.3),
    Stream(0.4, 0.5, 0.3),
    Stream(0.4, 0.8, 0.3),
    Stream(0.3, 0.5, 1.0),
    Stream(0.5, 0.5, 0.0),
    Stream(0.2, 2.0, 1.0),
]


@lru_cache(maxsize=8)
def bar_table(n: int) -> Array:
    """Return the run's bar by comparisons counted and changes since the anchor, both from 1."""
    rate = DEFAULTS.false_accepts
    return np.array(
        [[acceptance_bar(rate, 1, k, m) for m in range(1, MAX_CHANGES)] for k in range(1, n + 2)]
    )


@dataclass
class Models:
    """One solution per simulated run: true score, luck of rows, luck under two seeds, changes."""

    true: Array
    rows: Array
    seed: Array  # (2, runs)
    changes: Array = field(default_factory=lambda: np.zeros(0, int))

    def take(self, other: Models, where: Array) -> None:
        """Become `other` in some runs."""
        self.true = np.where(where, other.true, self.true)
        self.rows = np.where(where, other.rows, self.rows)
        self.seed = np.where(where, other.seed, self.seed)
        self.changes = np.where(where, other.changes, self.changes)


class Account(NamedTuple):
    """What a rule did in the simulated runs; `path`: mean true gain after every step."""

    false_anywhere: float
    gain: float
    path: Array
    accepted: float
    executions: float


def compare(world: World, new: Models, old: Models, twice: Array) -> Array:
    """Return d / SE of every run as the harness would report it, over two seeds where `twice`."""
    sides = [np.where(twice, one.seed.mean(axis=0), one.seed[0]) for one in (new, old)]
    d = new.true + new.rows + sides[0] - old.true - old.rows - sides[1]
    spread = sum(np.var(one.seed, axis=0, ddof=1) / 2 for one in (new, old)) / 2
    by_rows = world.rows * np.abs(new.changes - old.changes)
    by_seed = 1 - world.rows
    return np.asarray(d / np.sqrt(by_rows + np.where(twice, by_seed / 2 + spread, by_seed)))


def make_change(world: World, stream: Stream, best: Models, rng: np.random.Generator) -> Models:
    """Return a changed copy of every run's best."""
    n = len(best.true)
    return Models(
        best.true + stream.draw(rng, n),
        best.rows + rng.normal(0, np.sqrt(world.rows), n),
        draw_seeds(world, rng, n),
        best.changes + 1,
    )


def draw_seeds(world: World, rng: np.random.Generator, n: int) -> Array:
    """Return the luck of n fits under two seeds each."""
    return rng.normal(0, SEED_SD * np.sqrt((1 - world.rows) / 2), (2, n))


Rule = Callable[["Trial"], tuple[Array, Array]]  # -> accepted, stepped on


@dataclass
class Trial:
    """A step of all simulated runs."""

    world: World
    new: Models
    best: Models
    anchor: Models
    counted: Array
    executions: float = 0.0

    def z(self, old: Models, twice: Array | None = None) -> Array:
        """Return d / SE against `old`."""
        never = np.zeros(len(self.counted), bool)
        return compare(self.world, self.new, old, never if twice is None else twice)

    def repeat(self, where: Array) -> Array:
        """Measure both sides again where scripts take a seed; return where."""
        where = where & self.world.seeded
        self.executions += 2 * float(where.mean())
        return where


def judge_higher(trial: Trial) -> tuple[Array, Array]:
    """Accept the higher score."""
    better = trial.z(trial.best) > 0
    return better, better


def judge_fixed(trial: Trial) -> tuple[Array, Array]:
    """Accept beyond a fixed bar; a difference in doubt is measured again."""
    z = trial.z(trial.best)
    twice = trial.repeat((z > DOUBT[0]) & (z <= DOUBT[1]))
    better = trial.z(trial.best, twice) > FIXED_Z
    return better, better


def judge_bar(trial: Trial) -> tuple[Array, Array]:
    """Accept beyond the run's bar alone."""
    accepted, _ = judge_loop(trial)
    return accepted, accepted


def judge_cheap(trial: Trial) -> tuple[Array, Array]:
    """Judge as the loop, with a second seed before every step as well."""
    return judge_loop(trial, before_steps=True)


def judge_loop(trial: Trial, *, before_steps: bool = False) -> tuple[Array, Array]:
    """Accept beyond the run's bar over the anchor; step on what is likely better than the best."""
    table = bar_table(len(trial.counted) and int(trial.counted.max()) + 1)
    changes = np.minimum(trial.new.changes - trial.anchor.changes, MAX_CHANGES - 1)
    bar, own = table[trial.counted, changes - 1], table[trial.counted, 0]
    claim, z = trial.z(trial.anchor), trial.z(trial.best)
    doubtful = (np.abs(claim - bar) <= REACH) | (np.abs(z - own) <= REACH)
    if before_steps:
        doubtful |= (claim < bar) & (z < own) & (norm.cdf(z) >= DEFAULTS.step_p)
    twice = trial.repeat(doubtful)
    claim, z = trial.z(trial.anchor, twice), trial.z(trial.best, twice)
    trial.counted = trial.counted + ((claim > 0) | (z > 0))
    accepted = ((claim > bar) & (z > 0)) | (z > own)
    return accepted, accepted | (norm.cdf(z) >= DEFAULTS.step_p)


RULES: dict[str, Rule] = {
    "higher": judge_higher,
    "fixed": judge_fixed,
    "bar": judge_bar,
    "loop": judge_loop,
    "cheap": judge_cheap,
    "return": judge_loop,
}


def simulate(
    rule: str,
    world: World,
    stream: Stream,
    n_steps: int,
    n_runs: int,
    seed: int = 0,
    n_drafts: int = 1,
) -> Account:
    """Run `n_runs` searches of `n_steps` steps under a rule.

    The first `n_drafts` - 1 steps are further first drafts, of which the best leads: the one with
    the better score becomes the last confirmed best, within noise too.
    """
    rng, zeros = np.random.default_rng(seed), np.zeros(n_runs)
    first = Models(zeros, zeros, draw_seeds(world, rng, n_runs), np.zeros(n_runs, int))
    best, anchor = (Models(*vars(first).values()) for _ in range(2))
    counted, vain = np.zeros(n_runs, int), np.zeros(n_runs, int)
    ever, n_accepted, executions = np.zeros(n_runs, bool), 0.0, 0.0
    path = np.empty(n_steps)
    for step in range(n_steps):
        trial = Trial(world, make_change(world, stream, best, rng), best, anchor, counted)
        accepted, stepped = RULES[rule](trial)
        confirmed = accepted
        if step < n_drafts - 1:
            confirmed = stepped = accepted | (trial.z(best) > 0)
        best.take(trial.new, stepped)
        anchor.take(trial.new, confirmed)
        counted = np.where(accepted, 0, trial.counted)
        if rule == "return":
            vain = np.where(accepted | (best.changes == anchor.changes), 0, vain + 1)
            best.take(anchor, vain >= RETURN_AFTER)
        ever |= accepted
        n_accepted += float(accepted.mean())
        executions += 1 + trial.executions
        path[step] = best.true.mean()
    return Account(float(ever.mean()), float(path[-1]), path, n_accepted, executions)


def null_table(n_runs: int) -> list[str]:
    """Return false acceptance anywhere in a run of nulls, by rule, world and length."""
    lines = table_head(["rule", *(f"{world.name}" for world in WORLDS)])
    plain = [(rule, 1) for rule in ("higher", "fixed", "loop", "cheap")]
    for rule, n_drafts in [*plain, *(("loop", n) for n in N_DRAFTS)]:
        cells = []
        for world in WORLDS:
            runs = [simulate(rule, world, NULL, n, n_runs, n_drafts=n_drafts) for n in LENGTHS]
            cells.append(" / ".join(f"{run.false_anywhere:.1%}" for run in runs))
        name = rule if n_drafts == 1 else f"{rule}, best of {n_drafts} drafts"
        lines.append(table_row([name, *cells]))
    return lines


def gain_table(n_runs: int, rows: float) -> list[str]:
    """Return true gains after each length, and steps to the goal, by stream and rule."""
    world = World(rows, seeded=True)
    lines = table_head(["stream", *RULES])
    for stream in STREAMS:
        cells = []
        for rule in RULES:
            account = simulate(rule, world, stream, LENGTHS[-1], n_runs)
            gains = " / ".join(f"{account.path[n - 1]:.2f}" for n in LENGTHS)
            cells.append(f"{gains} ({steps_to_goal(account.path)})")
        lines.append(table_row([stream.name, *cells]))
    return lines


def steps_to_goal(path: Array) -> str:
    """Return the step at which the mean true gain passes GOAL."""
    reached = np.flatnonzero(path >= GOAL)
    return str(int(reached[0]) + 1) if len(reached) else f">{len(path)}"


ABOUT = """\
Simulated runs of one trace, in units of the standard error of one comparison. A change's luck \
lies in the rows, where it stays, or in the seed, which is drawn again with every fit. `higher`: \
the higher score wins. `fixed`: the rule before, 1.15 standard errors with a second seed in doubt. \
`loop`: the run's bar and steps on likely ties ([trust](../trust.md)); `cheap`: the same for \
scripts whose second seed costs nothing. `best of n drafts`: the first steps are further first \
drafts, of which the best leads within noise too.
"""
GAINS = """
## True gains

True gain of the best after 8 / 24 / 100 steps; in brackets the step at which its mean passes 3 \
standard errors. `bar`: the run's bar without steps on ties. `return`: back to the last confirmed \
best after 8 steps without confirmation.
"""


def main() -> None:
    parser = page_parser(__doc__, "luck.jsonl")
    parser.add_argument("--runs-simulated", type=int, default=1000)
    parser.add_argument("--chains", type=int, default=4, help="chains per real pipeline")
    options = parser.parse_args()
    n_runs = options.runs_simulated
    parts = [
        "# Luck over a whole run\n",
        ABOUT,
        "## Runs without any real improvement\n",
        f"Share of {n_runs:,} runs that accept anything, after 8 / 24 / 100 steps.\n",
        *null_table(n_runs),
        GAINS,
    ]
    for rows in (0.0, 0.5, 1.0):
        parts += [f"\n**Luck: {rows:.0%} in the rows**\n", *gain_table(n_runs, rows)]
    parts += chain_table(options.chains)
    parts.append("\n" + provenance_note("python -m evals.studies.luck"))
    write_study_page(options.out, "luck.md", "\n".join(parts))


if __name__ == "__main__":
    main()
