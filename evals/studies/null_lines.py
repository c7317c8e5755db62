"""Chains of real null lines, judged by the loop's own code; part of evals.studies.luck_line.

On real tables, a step is a line of k fits that differ in their seed alone, so every acceptance is
false. Fits come from a store of `N_SEEDS` seeds per table; whether a second seed is measured is the
loop's decision, too.
"""

from __future__ import annotations

from functools import lru_cache
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor
from sklearn.model_selection import KFold, cross_val_predict

from evals.harness.chains import record_step, share_accepting
from evals.harness.pages import table_head, table_row
from graph.settings import Settings
from graph.state import Trace
from run.attempt import ANCHOR
from run.luck import Links, anchor_of, step_luck, trace_bars
from scoring.acceptance import Judgement, Standing, TieBreak, is_doubtful, judge_attempt
from task.grade.compare import compare_predictions
from task.grade.line import correlate_differences, spanning_links
from task.grade.metrics import get_metric
from task.types import Grade, Paired

Array = NDArray[Any]
N_SEEDS, N_TREES = 60, 20
LENGTHS = (8, 24)
SIZES = (1, 2, 4, 8)
SIDE = TieBreak(1.0, 100)
DEFAULTS = Settings()


class Table(NamedTuple):
    """A real table, its metric, and how it is loaded."""

    name: str
    metric: str
    load: Any


TABLES = (
    Table("breast cancer", "log_loss", load_breast_cancer),
    Table("diabetes", "rmse", load_diabetes),
    Table("wine", "accuracy", load_wine),
)


@lru_cache(maxsize=8)
def store_fits(table: Table) -> tuple[Array, list[Array]]:
    """Return the truth and the out-of-fold predictions under every seed."""
    rows, y = table.load(return_X_y=True)
    folds = KFold(5, shuffle=True, random_state=0)
    wants_p = table.metric in ("log_loss", "auc")
    kind = ExtraTreesRegressor if table.metric == "rmse" else ExtraTreesClassifier
    found = []
    for seed in range(N_SEEDS):
        model = kind(N_TREES, min_samples_leaf=3, random_state=seed)
        method = "predict_proba" if wants_p else "predict"
        p = cross_val_predict(model, rows, y, cv=folds, method=method)
        found.append(p[:, 1] if wants_p else np.asarray(p, dtype=float))
    return np.asarray(y, dtype=float), found


class NullLines:
    """One trace of null lines on a table. `paid`: the bar knows of the choice."""

    def __init__(self, table: Table, size: int, number: int, *, paid: bool) -> None:
        self.size, self.paid = size, paid
        self.metric = get_metric(table.metric)
        self.y, self.fits = store_fits(table)
        self.rng = np.random.default_rng(100 * number + size)
        self.seeds: dict[str, tuple[int, int]] = {}
        self.trace = Trace(trace=0)
        self.n_accepted = 0
        self._record("t0s0", self._draw(1)[0], "accepted", replaces=True)

    def _draw(self, n: int) -> list[tuple[int, int]]:
        """Draw fits, each with the one of its second seed."""
        drawn = self.rng.choice(len(self.fits), 2 * n, replace=False)
        return [(int(drawn[2 * i]), int(drawn[2 * i + 1])) for i in range(n)]

    def take_step(self, number: int) -> None:
        """Try one line; its best variant is judged."""
        line = self._draw(self.size)
        sign = 1 if self.metric.direction == "max" else -1
        scores = [sign * self.metric.score(self.y, self.fits[seeds[0]]) for seeds in line]
        new = line[int(np.argmax(scores))]
        links, alike = self._measure(line, "best")
        luck = step_luck(DEFAULTS.step_p, self.size if self.paid else 1, alike)
        judgement, grade = self._judge(line, new, links)
        self.n_accepted += judgement.verdict == "accepted"
        looked_better = any(paired.d > 0 for paired in grade.paired.values())
        facts = {"replaces": judgement.replaces, "looked_better": looked_better, "luck": luck}
        self._record(f"t0s{number}", new, judgement.verdict, **facts)

    def _measure(self, line: list[tuple[int, int]], name: str) -> tuple[Links, float]:
        """Return how the luck of the variants hangs together against the best or the anchor."""
        reference = self.trace.best if name == "best" else anchor_of(self.trace)
        if not self.paid or self.size < 2 or reference is None:
            return [], 0.0
        truth: Any = SimpleNamespace(metric=self.metric, scored=self.y, clusters=None)
        old = self.fits[self.seeds[reference.attempt][0]]
        matrix = correlate_differences(truth, [self.fits[one[0]] for one in line], old, 0)
        alike = matrix[np.triu_indices(self.size, 1)].mean()
        return spanning_links(matrix), max(0.0, float(alike))

    def _judge(
        self, line: list[tuple[int, int]], new: tuple[int, int], links: Links
    ) -> tuple[Judgement, Grade]:
        anchor = anchor_of(self.trace)
        since = self._measure(line, ANCHOR)[0] if anchor else None
        bars = trace_bars(self.trace, DEFAULTS.false_accepts, 1, links, since)
        standing = Standing(*bars, DEFAULTS.step_p, anchor.attempt if anchor else "")
        grade, again = self._compare(new, 1), None
        if is_doubtful(grade, standing):
            grade = self._compare(new, 2)
            again = grade.paired["best"]
        judgement = judge_attempt(
            grade,
            z=DEFAULTS.accept_z,
            has_best=True,
            new=SIDE,
            best=SIDE,
            again=again,
            standing=standing,
        )
        return judgement, grade

    def _compare(self, new: tuple[int, int], n_seeds: int) -> Grade:
        references = {"best": self.trace.best, ANCHOR: anchor_of(self.trace)}
        paired = {}
        for name, one in references.items():
            if one:
                sides = [
                    [self.fits[seed] for seed in seeds[:n_seeds]]
                    for seeds in (new, self.seeds[one.attempt])
                ]
                found = compare_predictions(self.metric, self.y, sides[0], sides[1], None, 0)
                paired[name] = Paired.model_validate(found)
        return Grade(ok=True, paired=paired)

    def _record(self, name: str, seeds: tuple[int, int], verdict: Any, **facts: Any) -> None:
        self.seeds[name] = seeds
        self.trace = record_step(self.trace, name, len(self.seeds), verdict, **facts)


def false_acceptances(table: Table, size: int, n_chains: int, *, paid: bool = True) -> list[float]:
    """Return the share of chains with an acceptance within each length."""
    return share_accepting(
        lambda number: NullLines(table, size, number, paid=paid), n_chains, LENGTHS
    )


def line_table(n_chains: int) -> list[str]:
    """Return the section on real nulls: a row per table, by number of variants."""
    lines = [
        "\n## Real null lines\n",
        f"Share of {n_chains} chains per table (extra trees, 5 folds) that accept anything within "
        "8 / 24 lines. The variants of a line differ in their seed alone; judged by the loop's own "
        "code.\n",
        *table_head(["table", *(str(size) for size in SIZES), "8, not paid for"]),
    ]
    for table in TABLES:
        found = [false_acceptances(table, size, n_chains) for size in SIZES]
        found.append(false_acceptances(table, SIZES[-1], n_chains, paid=False))
        cells = [" / ".join(f"{share:.0%}" for share in shares) for shares in found]
        lines.append(table_row([f"{table.name}, {table.metric}", *cells]))
        print(lines[-1], flush=True)
    return lines
