"""A finer loss: judged by the metric alone, or by the surrogate with the metric as guard.

python -m evals.studies.surrogate [--metric accuracy] [--chains 100] [--out docs/results]

Chains of steps of one trace on 1,500 rows, judged by the loop's own code. A model knows some of the
columns that the label follows; a step adds a column and draws the model's noise again. Half of that
noise is another seed's. In a null chain the column is never one that the label follows. In the
others it is in two of five steps, so the best of the chain is truly better or worse: its metric is
taken on 20,000 further rows, with thresholds fitted on the chain's.

metric     the rule without a surrogate: the metric of the labels, the run's whole bar
surrogate  the default: the surrogate beyond half of the level and the metric not worse, or the
           metric beyond half of the level
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evals.harness.chains import record_step
from evals.harness.pages import (
    append_row,
    page_parser,
    read_rows,
    rows_note,
    table_head,
    table_row,
    write_study_page,
)
from evals.harness.provenance import provenance_note
from evals.studies.surrogate_runs import RESULTS, describe_runs
from graph.settings import Settings
from graph.state import Trace
from run.attempt import ANCHOR
from run.luck import anchor_of, trace_bars
from scoring.acceptance import Judgement, Standing, TieBreak, judge_attempt
from task.grade.compare import compare_predictions
from task.grade.metrics import get_metric
from task.grade.soft.decode import (
    DecodedTarget,
    apply_decoder,
    decode_across_folds,
    fit_decoder,
)
from task.grade.soft.loss import LOSSES, surrogate_losses
from task.grade.soft.rules import SOFT_RULES
from task.types import Grade, Paired, SoftForm, SoftLayout

Array = NDArray[Any]
N_ROWS, N_PRIVATE, N_TRUE, N_FALSE = 1500, 20_000, 14, 40
LENGTHS = (8, 24)
WEIGHT, SEED_NOISE = 0.22, 0.25  # of a column, and of a model's own noise, in logits
DEFAULTS, SIDE = Settings(), TieBreak(1.0, 100)
RULES = ("metric", "surrogate")


class Model(NamedTuple):
    """The columns that a model knows, and its seed."""

    true: frozenset[int]
    false: frozenset[int]
    seed: int


class Rows:
    """Rows with a label, and what a model says of them."""

    def __init__(self, metric: str, n: int, rng: np.random.Generator) -> None:
        self.true = rng.normal(size=(n, N_TRUE))
        self.false = rng.normal(size=(n, N_FALSE))
        self.base, self.rng_seed = rng.normal(size=n), int(rng.integers(1 << 30))
        self.is_ordered = SOFT_RULES[metric].writes == "values"
        logit = self.base + WEIGHT * self.true.sum(axis=1)
        if self.is_ordered:
            self.y = np.digitize(logit + rng.normal(size=n), [-1.5, 0, 1.0]).astype(float)
        else:
            rare = 1.5 if metric == "mcc" else 0.0
            self.y = (rng.random(n) < 1 / (1 + np.exp(rare - logit))).astype(float)

    def predict(self, model: Model) -> Array:
        """Return a column per class, or values."""
        noise = np.random.default_rng([self.rng_seed, model.seed]).normal(size=len(self.y))
        logit = self.base + WEIGHT * self.true[:, sorted(model.true)].sum(axis=1)
        logit += WEIGHT / 2 * self.false[:, sorted(model.false)].sum(axis=1) + SEED_NOISE * noise
        if self.is_ordered:
            return np.asarray(logit)
        second = 1 / (1 + np.exp(-logit))
        return np.column_stack([1 - second, second])


class Said(NamedTuple):
    """A model's labels and its losses by the surrogate."""

    labels: Array
    losses: Array


class Chain:
    """One trace of steps on rows of its own."""

    def __init__(self, metric: str, number: int, *, with_surrogate: bool) -> None:
        self.rng = np.random.default_rng([77, number])
        self.metric, self.with_surrogate = get_metric(metric), with_surrogate
        self.rows = Rows(metric, N_ROWS, self.rng)
        self.private = Rows(metric, N_PRIVATE, self.rng)
        rule = SOFT_RULES[metric]
        layout: SoftLayout = "values" if self.rows.is_ordered else "positive"
        self.form = SoftForm(layout=layout, decoder=rule.decoder, loss=rule.loss, columns=[])
        self.target = DecodedTarget(metric, rule.decoder, (np.unique(self.rows.y),))
        self.folds = np.arange(N_ROWS) % 5
        self.models: dict[str, Model] = {}
        self.said: dict[str, Said] = {}
        self.trace, self.n_accepted = Trace(trace=0), 0
        self._record("s0", Model(frozenset(range(4)), frozenset(), 0), "accepted", replaces=True)

    def take_step(self, number: int, share: float) -> None:
        """Try a change; with probability `share` it is a true one."""
        assert self.trace.best is not None
        known = self.models[self.trace.best.attempt]
        left = sorted(set(range(N_TRUE)) - known.true)
        if left and self.rng.random() < share:
            new = Model(known.true | {int(self.rng.choice(left))}, known.false, number)
        else:
            column = int(self.rng.integers(N_FALSE))
            others = known.false ^ {column} if share else known.false | {column}
            new = Model(known.true, others, number)
        name = f"s{number}"
        self.models[name], self.said[name] = new, self._say(new)
        judgement, looked_better = self._judge(name)
        self.n_accepted += judgement.verdict == "accepted"
        self._record(
            name,
            new,
            judgement.verdict,
            replaces=judgement.replaces,
            looked_better=looked_better,
        )

    def private_score(self) -> float:
        """Return the metric of the trace's best on rows that judge nothing."""
        assert self.trace.best is not None
        model = self.models[self.trace.best.attempt]
        decoder = fit_decoder(self.target, self.rows.y, self.rows.predict(model))
        said = apply_decoder(self.target, decoder, self.private.predict(model))
        return float(self.metric.score(self.private.y, said))

    def _say(self, model: Model) -> Said:
        p = self.rows.predict(model)
        labels = decode_across_folds(self.target, self.rows.y, p, self.folds)
        losses = surrogate_losses(self.form, self.rows.y, p, self.folds)
        return Said(labels, losses)

    def _judge(self, name: str) -> tuple[Judgement, bool]:
        anchor = anchor_of(self.trace)
        references = {"best": self.trace.best, ANCHOR: anchor}
        known = {key: one.attempt for key, one in references.items() if one}
        paired = {key: self._compare(name, other) for key, other in known.items()}
        surrogate = {}
        if self.with_surrogate:
            surrogate = {key: self._compare_losses(name, other) for key, other in known.items()}
        level = DEFAULTS.false_accepts / (2 if surrogate else 1)
        bars = trace_bars(self.trace, level, 1)
        standing = Standing(*bars, DEFAULTS.step_p, anchor.attempt if anchor else "")
        judgement = judge_attempt(
            Grade(ok=True, paired=paired, surrogate=surrogate),
            z=DEFAULTS.accept_z,
            has_best=True,
            new=SIDE,
            best=SIDE,
            standing=standing,
        )
        return judgement, any(one.d > 0 for one in [*paired.values(), *surrogate.values()])

    def _compare(self, new: str, old: str) -> Paired:
        one, two = [self.said[new].labels], [self.said[old].labels]
        found = compare_predictions(self.metric, self.rows.y, one, two, None, 0)
        return Paired.model_validate(found)

    def _compare_losses(self, new: str, old: str) -> Paired:
        one, two = [self.said[new].losses], [self.said[old].losses]
        found = compare_predictions(LOSSES, self.rows.y, one, two, None, 0)
        return Paired.model_validate(found)

    def _record(self, name: str, model: Model, verdict: Any, **facts: Any) -> None:
        self.models[name] = model
        if name not in self.said:
            self.said[name] = self._say(model)
        self.trace = record_step(self.trace, name, len(self.models), verdict, **facts)


def run_chains(metric: str, n_chains: int) -> dict[str, Any]:
    """Return false acceptances of null chains, and the private gain of the others, by rule."""
    row: dict[str, Any] = {"name": metric, "chains": n_chains}
    for rule in RULES:
        falses, gains = [], []
        for number in range(n_chains):
            chain = Chain(metric, number, with_surrogate=rule == "surrogate")
            first = LENGTHS[-1] + 1
            for step in range(1, LENGTHS[-1] + 1):
                chain.take_step(step, 0.0)
                if chain.n_accepted:
                    first = step
                    break
            falses.append(first)
            chain = Chain(metric, number, with_surrogate=rule == "surrogate")
            start, path = chain.private_score(), []
            for step in range(1, LENGTHS[-1] + 1):
                chain.take_step(step, 0.4)
                if step in LENGTHS:
                    path.append(chain.private_score() - start)
            gains.append(path)
        row[rule] = {"first": falses, "gains": gains}
        print(metric, rule, np.mean(np.array(falses) <= 24), np.mean(gains, axis=0), flush=True)
    return row


def describe_metric(row: dict[str, Any]) -> str:
    """Return a row of the table: false acceptances, gains, and the paired difference."""
    cells = [row["name"]]
    for rule in RULES:
        first = np.array(row[rule]["first"])
        cells.append(" / ".join(f"{(first <= n).mean():.1%}" for n in LENGTHS))
    for rule in RULES:
        cells.append(" / ".join(f"{gain:+.4f}" for gain in np.mean(row[rule]["gains"], axis=0)))
    differences = np.array(row["surrogate"]["gains"]) - np.array(row["metric"]["gains"])
    means = differences.mean(axis=0)
    errors = differences.std(axis=0, ddof=1) / np.sqrt(len(differences))
    pairs = zip(means, errors, strict=True)
    cells.append(" / ".join(f"{mean:+.4f} ± {1.96 * error:.4f}" for mean, error in pairs))
    return table_row([*cells, str(row["chains"])])


ABOUT = """\
Chains of 8 / 24 steps on 1,500 rows, judged by the loop's own code, by the metric of the labels \
or by the surrogate with the metric as guard ([trust](../trust.md#a-finer-loss)). *False*: share \
of chains of null changes in which anything is accepted. *Gain*: of the best's metric on 20,000 \
other rows, where two of five changes help; the difference is paired by chain, with a 95 % interval.
"""


RUNS = """\
Private metric at the end, and its mean over the executions (the area), without the finer loss and \
with it; differences are paired by seed, with a 95 % interval.
"""


def main() -> None:
    parser = page_parser(__doc__, "surrogate.jsonl")
    parser.add_argument("--metric", choices=["accuracy", "mcc", "qwk"], help="run this one")
    parser.add_argument("--chains", type=int, default=100)
    options = parser.parse_args()
    if options.metric:
        options.runs.parent.mkdir(parents=True, exist_ok=True)
        append_row(options.runs, run_chains(options.metric, options.chains))
    head = ["metric", "false, metric", "false, surrogate", "gain, metric", "gain, surrogate"]
    lines = ["# A finer loss than the metric\n", ABOUT, "## Simulated chains\n"]
    lines += table_head([*head, "difference", "chains"])
    lines += [describe_metric(row) for row in read_rows(options.runs)]
    if runs := read_rows(options.runs.with_name(RESULTS)):
        lines += ["\n## Whole runs of the expert\n", RUNS, *describe_runs(runs)]
    lines.append("\n" + provenance_note("python -m evals.studies.surrogate --metric NAME"))
    page = "\n".join(lines) + rows_note("python -m evals.studies.surrogate --runs", options.runs)
    write_study_page(options.out, "surrogate.md", page)


if __name__ == "__main__":
    main()
