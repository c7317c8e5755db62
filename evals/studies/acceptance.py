"""Acceptance under noise: how often an empty change is accepted, and how often a real one.

python -m evals.studies.acceptance [--sets 6] [--fits 16] [--z 1.15]

Noise: the same pipeline under another seed, on the same data and folds. Real changes: a column of
known worth is added; the effect of a cell is its mean difference over data sets in units of its
mean standard error, and acceptance at 2 standard errors is read from a probit line through all
cells. Rules, on the same comparisons:

higher        accepted when the score is higher
threshold     accepted beyond z standard errors, measured once
confirmed     false_accepts=0: as before, but a difference in doubt is measured again under a second
              seed of both sides
chain         that rule over the eight steps of a run of noise, each against the best so far

What the default does over a whole run: evals.studies.luck.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from lightgbm import LGBMClassifier, LGBMRegressor
from numpy.typing import NDArray
from scipy import optimize, stats
from sklearn.kernel_approximation import RBFSampler
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline

from evals.harness.pages import study_parser
from scoring.acceptance import TieBreak, is_doubtful, judge_attempt
from task.grade.compare import compare_predictions
from task.grade.metric import Metric
from task.grade.metrics import get_metric
from task.types import Grade, Paired, PairedJson

Array = NDArray[Any]
N_ROWS, N_FOLDS, N_STEPS = 600, 5, 8
WORTH = (0.2, 0.3, 0.45)  # coefficients of the added column


class NoiseSetting(NamedTuple):
    """A metric and a pipeline whose seed matters."""

    metric: str
    classes: int  # 0: regression
    model: str

    @property
    def name(self) -> str:
        """How tables call it."""
        return f"{self.metric}/{self.model}"


SETTINGS = [
    NoiseSetting("auc", 2, "lgbm"),
    NoiseSetting("auc", 2, "sinks"),
    NoiseSetting("log_loss", 3, "lgbm"),
    NoiseSetting("log_loss", 3, "sinks"),
    NoiseSetting("rmse", 0, "lgbm"),
    NoiseSetting("rmse", 0, "sinks"),
    NoiseSetting("accuracy", 3, "lgbm"),
    NoiseSetting("mae", 0, "sinks"),
]


@dataclass
class Data:
    """A data set with its folds; X: (n, 6), y and fold: (n,)."""

    X: Array
    y: Array
    fold: Array


def make_data(setting: NoiseSetting, rng: np.random.Generator, worth: float = 0.0) -> Data:
    """Draw a data set; `worth` is the coefficient of the last column."""
    X = rng.normal(size=(N_ROWS, 6))  # noqa: N806  the name of a design matrix
    signal = X[:, 0] + 0.7 * X[:, 1] * X[:, 2] + 0.5 * np.abs(X[:, 3]) + worth * X[:, 5]
    y = signal + rng.normal(0, 1.2, N_ROWS)
    if setting.classes:
        cuts = np.quantile(y, np.arange(1, setting.classes) / setting.classes)
        y = np.digitize(y, cuts).astype(float)
    return Data(X, y, rng.integers(0, N_FOLDS, N_ROWS))


def predict_out_of_fold(setting: NoiseSetting, data: Data, seed: int, *, columns: int) -> Array:
    """Return the pipeline's out-of-fold predictions from the first `columns` columns."""
    X, parts = data.X[:, :columns], []  # noqa: N806  as above
    order = np.concatenate([np.flatnonzero(data.fold == k) for k in range(N_FOLDS)])
    for k in range(N_FOLDS):
        model = build_learner(setting, seed).fit(X[data.fold != k], data.y[data.fold != k])
        parts.append(predict_for_metric(setting, model, X[data.fold == k]))
    joined = np.concatenate(parts)
    out = np.empty_like(joined)
    out[order] = joined
    return out


def build_learner(setting: NoiseSetting, seed: int) -> Any:
    """Return the setting's unfitted pipeline under a seed."""
    if setting.model == "lgbm":
        kind = LGBMClassifier if setting.classes else LGBMRegressor
        return kind(
            n_estimators=40,
            num_leaves=7,
            colsample_bytree=0.7,
            subsample=0.8,
            subsample_freq=1,
            n_jobs=1,
            verbose=-1,
            random_state=seed,
        )
    sinks = RBFSampler(gamma=0.05, n_components=80, random_state=seed)
    linear = LogisticRegression(C=10, max_iter=200) if setting.classes else Ridge(0.1)
    return make_pipeline(sinks, linear)


def predict_for_metric(setting: NoiseSetting, model: Any, rows: Array) -> Array:
    """Return labels, values or probabilities, as the metric needs them."""
    if not setting.classes or get_metric(setting.metric).needs == "label":
        return np.asarray(model.predict(rows))
    p = model.predict_proba(rows)
    return np.asarray(p[:, 1] if setting.classes == 2 else p)


Rule = Callable[[Metric, Array, list[Array], list[Array], float], bool]
"""(metric, y, new, old, z) -> whether the new predictions replace the old.

Each side has the predictions of a first and a second seed.
"""


def accept_if_higher(
    metric: Metric, y: Array, new: list[Array], old: list[Array], z: float
) -> bool:
    """Accept the higher score."""
    gain = metric.score(y, new[0]) - metric.score(y, old[0])
    return gain > 0 if metric.direction == "max" else gain < 0


def accept_beyond_threshold(
    metric: Metric, y: Array, new: list[Array], old: list[Array], z: float
) -> bool:
    """Accept beyond z standard errors of one measurement."""
    return is_accepted(compare_predictions(metric, y, new[:1], old[:1], None, 0), z)


def accept_if_confirmed(
    metric: Metric, y: Array, new: list[Array], old: list[Array], z: float
) -> bool:
    """Accept as the loop does: a difference in doubt is measured again under a second seed."""
    first = compare_predictions(metric, y, new[:1], old[:1], None, 0)
    again = (
        compare_predictions(metric, y, new, old, None, 0) if is_doubtful(as_grade(first)) else None
    )
    return is_accepted(first, z, again)


def as_grade(comparison: PairedJson) -> Grade:
    """Return a grade without problems that contains the comparison."""
    return Grade(ok=True, paired={"best": Paired.model_validate(comparison)})


def is_accepted(first: PairedJson, z: float, again: PairedJson | None = None) -> bool:
    """Return the verdict of the loop's own rule."""
    side = TieBreak(1.0, 100)
    repeated = Paired.model_validate(again) if again else None
    judgement = judge_attempt(
        as_grade(first), z=z, has_best=True, new=side, best=side, again=repeated
    )
    return judgement.verdict == "accepted"


RULES: dict[str, Rule] = {
    "higher": accept_if_higher,
    "threshold": accept_beyond_threshold,
    "confirmed": accept_if_confirmed,
}


def measure_noise(
    setting: NoiseSetting, n_sets: int, n_fits: int, z: float
) -> dict[str, list[float]]:
    """Return per data set the share of noise changes that each rule accepts.

    `ratio` is the standard deviation of d / SE, `doubted` the share of differences in doubt.
    """
    metric = get_metric(setting.metric)
    shares: dict[str, list[float]] = {name: [] for name in (*RULES, "chain", "ratio", "doubted")}
    for number in range(n_sets):
        rng = np.random.default_rng(number)
        data = make_data(setting, rng)
        y = data.y
        fits = [predict_out_of_fold(setting, data, seed, columns=5) for seed in range(n_fits)]
        quads = [rng.choice(n_fits, 4, replace=False) for _ in range(3 * n_fits)]
        for name, rule in RULES.items():
            verdicts = [
                rule(metric, y, [fits[a], fits[b]], [fits[c], fits[d]], z) for a, b, c, d in quads
            ]
            shares[name].append(float(np.mean(verdicts)))
        firsts = [
            compare_predictions(metric, y, [fits[a]], [fits[c]], None, 0) for a, _, c, _ in quads
        ]
        shares["ratio"].append(float(np.std([first["d"] / first["se"] for first in firsts])))
        shares["doubted"].append(float(np.mean([is_doubtful(as_grade(first)) for first in firsts])))
        chains = [chain_acceptance(metric, y, fits, rng, z) for _ in range(4)]
        shares["chain"].append(float(np.mean(chains)))
    return shares


def chain_acceptance(
    metric: Metric, y: Array, fits: list[Array], rng: np.random.Generator, z: float
) -> float:
    """Return the share of accepted steps in one run of noise."""
    order = rng.permutation(len(fits))
    best, n_accepted, n_steps = order[:2], 0, 0
    for start in range(2, len(order) - 1, 2):
        new = order[start : start + 2]
        n_steps += 1
        if accept_if_confirmed(metric, y, [fits[i] for i in new], [fits[i] for i in best], z):
            n_accepted, best = n_accepted + 1, new
        if n_steps == N_STEPS:
            break
    return n_accepted / n_steps


class RealCell(NamedTuple):
    """One worth of the added column: its effect in standard errors, acceptance by rule."""

    effect: float
    shares: dict[str, float]


def measure_real_changes(setting: NoiseSetting, n_sets: int, z: float) -> list[RealCell]:
    """Add a column of each worth to `n_sets` data sets and apply every rule."""
    metric, cells = get_metric(setting.metric), []
    for worth in WORTH:
        ds, ses = [], []
        verdicts: dict[str, list[bool]] = {name: [] for name in RULES}
        for number in range(n_sets):
            data = make_data(setting, np.random.default_rng(500 + number), worth)
            old = [predict_out_of_fold(setting, data, 1 + seed, columns=5) for seed in range(2)]
            new = [predict_out_of_fold(setting, data, 3 + seed, columns=6) for seed in range(2)]
            first = compare_predictions(metric, data.y, new[:1], old[:1], None, 0)
            ds.append(first["d"])
            ses.append(first["se"])
            for name, rule in RULES.items():
                verdicts[name].append(rule(metric, data.y, new, old, z))
        shares = {name: float(np.mean(values)) for name, values in verdicts.items()}
        cells.append(RealCell(float(np.mean(ds) / np.mean(ses)), shares))
    return cells


def acceptance_at_two_se(cells: list[RealCell], name: str, n: int) -> float:
    """Return acceptance at an effect of 2 standard errors by a probit line through the cells."""
    effect = np.array([cell.effect for cell in cells])
    share = np.array([cell.shares[name] for cell in cells])

    def loss(line: Array) -> float:
        p = np.clip(stats.norm.cdf(line[0] + line[1] * effect), 1e-6, 1 - 1e-6)
        return float(-(n * (share * np.log(p) + (1 - share) * np.log(1 - p))).sum())

    line = optimize.minimize(loss, np.array([-1.0, 1.0]), method="Nelder-Mead").x
    return float(stats.norm.cdf(line[0] + 2 * line[1]))


def format_interval(values: list[float]) -> str:
    """Return the mean with a 95 % bootstrap interval over data sets."""
    rng, array = np.random.default_rng(0), np.asarray(values)
    means = rng.choice(array, (2000, len(array))).mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return f"{array.mean():6.1%} [{low:.1%}, {high:.1%}]"


def main() -> None:
    parser = study_parser(__doc__)
    parser.add_argument(
        "--sets",
        type=int,
        default=6,
        help="data sets per setting for noise; twice as many for real changes",
    )
    parser.add_argument("--fits", type=int, default=16, help="seeds of the pipeline per data set")
    parser.add_argument("--z", type=float, default=1.15)
    options = parser.parse_args()
    n_real = 2 * options.sets
    shares = print_noise(options.sets, options.fits, options.z)
    cells = print_real_changes(n_real, options.z)
    print(f"\nz = {options.z}: share of noise accepted, and of real changes of 2 standard errors")
    for name in RULES:
        at_two = acceptance_at_two_se(cells, name, n_real)
        print(f"{name:12} noise {format_interval(shares[name])}   real at 2 SE {at_two:6.1%}")
    interval = format_interval(shares["chain"])
    print(f"{'chain':12} noise {interval}   ({N_STEPS} steps, each against the best so far)")


def print_noise(n_sets: int, n_fits: int, z: float) -> dict[str, list[float]]:
    """Print a row per setting; return the shares over the data sets of all settings."""
    columns = (*RULES, "chain")
    head = "".join(f"{name:>11}" for name in columns)
    print(f"{'setting':18} {'sd(d/SE)':>9} {'in doubt':>9} {head}", flush=True)
    total: dict[str, list[float]] = {}
    for setting in SETTINGS:
        shares = measure_noise(setting, n_sets, n_fits, z)
        for name, values in shares.items():
            total.setdefault(name, []).extend(values)
        ratio, doubted = np.mean(shares["ratio"]), np.mean(shares["doubted"])
        row = "".join(f"{np.mean(shares[name]):11.1%}" for name in columns)
        print(f"{setting.name:18} {ratio:9.2f} {doubted:9.1%} {row}", flush=True)
    return total


def print_real_changes(n_sets: int, z: float) -> list[RealCell]:
    """Print a row per setting and worth; return the cells."""
    head = "".join(f"{name:>11}" for name in RULES)
    print(f"\nreal changes{'effect/SE':>17}  {head}", flush=True)
    cells = []
    for setting in SETTINGS[::2] + SETTINGS[-1:]:
        for cell in measure_real_changes(setting, n_sets, z):
            cells.append(cell)
            row = "".join(f"{cell.shares[name]:11.1%}" for name in RULES)
            print(f"{setting.name:18} {cell.effect:10.2f}  {row}", flush=True)
    return cells


if __name__ == "__main__":
    main()
