"""Chains of real null changes, judged by the loop's own code; part of evals.studies.luck.

A step gives a pipeline of evals.studies.acceptance another seed, or with probability one half also
another column of noise, which stays in every later step. Neither changes the expected score for the
better, so every acceptance is false.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evals.harness.chains import record_step, share_accepting
from evals.harness.pages import table_head, table_row
from evals.studies.acceptance import (
    N_ROWS,
    SETTINGS,
    Data,
    NoiseSetting,
    make_data,
    predict_out_of_fold,
)
from graph.settings import Settings
from graph.state import Best, Trace
from run.attempt import ANCHOR
from run.luck import anchor_of, trace_bars
from scoring.acceptance import Judgement, Standing, TieBreak, is_doubtful, judge_attempt
from task.grade.compare import compare_predictions
from task.grade.metric import Metric
from task.grade.metrics import get_metric
from task.types import Grade, Paired

Array = NDArray[Any]
N_HONEST, N_NOISE = 5, 12  # columns with signal, and columns of noise to choose from
LENGTHS = (8, 24)
SIDE = TieBreak(1.0, 100)
DEFAULTS = Settings()


class Pipeline(NamedTuple):
    """A fit's columns and seed; predictions under that seed and the next."""

    columns: tuple[int, ...]
    seed: int


class NullChain:
    """One trace of null steps on one data set; `fixed`: the rule before, a fixed bar."""

    def __init__(self, setting: NoiseSetting, number: int, *, fixed: bool) -> None:
        self.setting, self.fixed = setting, fixed
        self.rng = np.random.default_rng(9000 + number)
        data = make_data(setting, self.rng)
        noise = self.rng.normal(size=(N_ROWS, N_NOISE))
        wide = np.concatenate([data.X[:, :N_HONEST], noise], axis=1)
        self.data = Data(wide, data.y, data.fold)
        self.metric: Metric = get_metric(setting.metric)
        self.fits: dict[tuple[Pipeline, int], Array] = {}
        self.pipelines: dict[str, Pipeline] = {}
        self.trace = Trace(trace=0)
        self.n_accepted = 0
        self._record("t0s0", Pipeline(tuple(range(N_HONEST)), 0), "accepted", replaces=True)

    def predictions(self, pipeline: Pipeline, n_seeds: int) -> list[Array]:
        """Return the pipeline's out-of-fold predictions under one or two seeds."""
        found = []
        for extra in range(n_seeds):
            key = (pipeline, extra)
            if key not in self.fits:
                own = Data(self.data.X[:, list(pipeline.columns)], self.data.y, self.data.fold)
                n = len(pipeline.columns)
                seed = 2 * pipeline.seed + extra
                self.fits[key] = predict_out_of_fold(self.setting, own, seed, columns=n)
            found.append(self.fits[key])
        return found

    def take_step(self, number: int) -> None:
        """Try one null change."""
        assert self.trace.best is not None
        best = self.pipelines[self.trace.best.attempt]
        columns = best.columns
        if self.rng.random() < 0.5:
            column = N_HONEST + int(self.rng.integers(N_NOISE))
            columns = tuple(sorted(set(columns) ^ {column}))
        new = Pipeline(columns, number)
        judgement, grade = self._judge(new)
        self.n_accepted += judgement.verdict == "accepted"
        looked_better = any(paired.d > 0 for paired in grade.paired.values())
        self._record(
            f"t0s{number}",
            new,
            judgement.verdict,
            replaces=judgement.replaces,
            looked_better=looked_better,
        )

    def _judge(self, new: Pipeline) -> tuple[Judgement, Grade]:
        anchor = anchor_of(self.trace)
        standing = None
        if not self.fixed:
            bars = trace_bars(self.trace, DEFAULTS.false_accepts, 1)
            standing = Standing(*bars, DEFAULTS.step_p, anchor.attempt if anchor else "")
        grade, again = self._compare(new, anchor, 1), None
        if is_doubtful(grade, standing):
            grade = self._compare(new, anchor, 2)
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

    def _compare(self, new: Pipeline, anchor: Best | None, n_seeds: int) -> Grade:
        references = {"best": self.trace.best, ANCHOR: anchor}
        paired = {
            name: self._compare_two(new, self.pipelines[one.attempt], n_seeds)
            for name, one in references.items()
            if one
        }
        return Grade(ok=True, paired=paired)

    def _compare_two(self, new: Pipeline, old: Pipeline, n_seeds: int) -> Paired:
        sides = [self.predictions(one, n_seeds) for one in (new, old)]
        found = compare_predictions(self.metric, self.data.y, sides[0], sides[1], None, 0)
        return Paired.model_validate(found)

    def _record(self, name: str, pipeline: Pipeline, verdict: Any, **facts: Any) -> None:
        self.pipelines[name] = pipeline
        self.trace = record_step(self.trace, name, len(self.pipelines), verdict, **facts)


def false_acceptances(setting: NoiseSetting, n_chains: int, *, fixed: bool) -> list[float]:
    """Return the share of chains with an acceptance within each length."""
    return share_accepting(
        lambda number: NullChain(setting, number, fixed=fixed), n_chains, LENGTHS
    )


def chain_table(n_chains: int) -> list[str]:
    """Return the section on real nulls: a row per pipeline, and all of them together."""
    lines = [
        "\n## Real null changes\n",
        f"Share of {n_chains} chains per pipeline (600 rows, 5 folds) that accept anything within "
        "8 / 24 steps. A step is another seed, in half of the steps with a column of noise added "
        "or taken away; judged by the loop's own code.\n",
        *table_head(["pipeline", "fixed", "loop"]),
    ]
    total: dict[bool, list[list[float]]] = {True: [], False: []}
    for setting in SETTINGS:
        for fixed, rows in total.items():
            rows.append(false_acceptances(setting, n_chains, fixed=fixed))
        cells = [" / ".join(f"{share:.0%}" for share in total[fixed][-1]) for fixed in total]
        lines.append(table_row([setting.name, *cells]))
        print(lines[-1], flush=True)
    means = [np.mean(total[fixed], axis=0) for fixed in total]
    cells = [" / ".join(f"{share:.1%}" for share in mean) for mean in means]
    return [*lines, table_row(["all", *cells])]
