"""Acceptance under noise: how often a change that is nothing is accepted, and how often one that is real.

python -m evals.studies.acceptance [--sets 6] [--fits 16] [--z 1.15]

Noise: the same pipeline under another seed, on data and folds that stay. Real changes: a column is added whose true worth is set; the effect of
a cell is its mean difference over data sets in units of its mean standard error, and acceptance at 2 standard errors is read from a probit
line through all cells. Rules, on the same comparisons:

higher        accepted when the score is higher
threshold     accepted beyond z standard errors, measured once
confirmed     the default: as before, but a difference in doubt is measured again under a second seed of both sides
chain         the default over the eight steps of a run of noise, each against the best so far
"""

from __future__ import annotations

import argparse
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

from scoring.acceptance import Side, doubtful, judge
from task.grade.compare import paired
from task.grade.metrics import Metric, get_metric

Array = NDArray[Any]
N_ROWS, N_FOLDS, N_STEPS = 600, 5, 8
WORTH = (0.2, 0.3, 0.45)  # coefficients of the added column


class Setting(NamedTuple):
    metric: str
    classes: int  # 0: regression
    model: str

    @property
    def name(self) -> str:
        return f"{self.metric}/{self.model}"


SETTINGS = [
    Setting("auc", 2, "lgbm"),
    Setting("auc", 2, "sinks"),
    Setting("log_loss", 3, "lgbm"),
    Setting("log_loss", 3, "sinks"),
    Setting("rmse", 0, "lgbm"),
    Setting("rmse", 0, "sinks"),
    Setting("accuracy", 3, "lgbm"),
    Setting("mae", 0, "sinks"),
]


@dataclass
class Data:
    X: Array
    y: Array
    fold: Array


def data(setting: Setting, rng: np.random.Generator, worth: float = 0.0) -> Data:
    X = rng.normal(size=(N_ROWS, 6))
    signal = (
        X[:, 0]
        + 0.7 * X[:, 1] * X[:, 2]
        + 0.5 * np.abs(X[:, 3])
        + worth * X[:, 5]
        + rng.normal(0, 1.2, N_ROWS)
    )
    y = (
        signal
        if not setting.classes
        else np.digitize(
            signal, np.quantile(signal, np.arange(1, setting.classes) / setting.classes)
        ).astype(float)
    )
    return Data(X, y, rng.integers(0, N_FOLDS, N_ROWS))


def out_of_fold(setting: Setting, given: Data, seed: int, *, columns: int) -> Array:
    """The pipeline's out-of-fold predictions from the first `columns` columns."""
    X, parts = given.X[:, :columns], []
    order = np.concatenate([np.flatnonzero(given.fold == k) for k in range(N_FOLDS)])
    for k in range(N_FOLDS):
        model = learner(setting, seed).fit(X[given.fold != k], given.y[given.fold != k])
        parts.append(said(setting, model, X[given.fold == k]))
    joined = np.concatenate(parts)
    out = np.empty_like(joined)
    out[order] = joined
    return out


def learner(setting: Setting, seed: int) -> Any:
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
    return make_pipeline(
        sinks, LogisticRegression(C=10, max_iter=200) if setting.classes else Ridge(0.1)
    )


def said(setting: Setting, model: Any, X: Array) -> Array:
    if not setting.classes or get_metric(setting.metric).needs == "label":
        return np.asarray(model.predict(X))
    p = model.predict_proba(X)
    return np.asarray(p[:, 1] if setting.classes == 2 else p)


# rules: do these predictions replace those? Each side has a first and a second seed.

Rule = Callable[[Metric, Array, list[Array], list[Array], float], bool]


def higher(metric: Metric, y: Array, new: list[Array], old: list[Array], z: float) -> bool:
    one, two = metric.score(y, new[0]), metric.score(y, old[0])
    return one > two if metric.direction == "max" else one < two


def threshold(metric: Metric, y: Array, new: list[Array], old: list[Array], z: float) -> bool:
    return verdict(paired(metric, y, new[:1], old[:1], None, 0), z)


def confirmed(metric: Metric, y: Array, new: list[Array], old: list[Array], z: float) -> bool:
    first = paired(metric, y, new[:1], old[:1], None, 0)
    again = paired(metric, y, new, old, None, 0) if doubtful(graded(first)) else None
    return verdict(first, z, again)


def graded(first: Any) -> Any:
    return {"ok": True, "problems": [], "paired": {"best": first}}


def verdict(first: Any, z: float, again: Any = None) -> bool:
    side = Side(1.0, 100)
    return (
        judge(graded(first), z=z, has_best=True, new=side, best=side, again=again).verdict
        == "accepted"
    )


RULES: dict[str, Rule] = {"higher": higher, "threshold": threshold, "confirmed": confirmed}


# studies


def noise(setting: Setting, n_sets: int, n_fits: int, z: float) -> dict[str, list[float]]:
    """Per data set, the share of noise changes that each rule accepts; and the standard deviation of d / SE."""
    metric = get_metric(setting.metric)
    shares: dict[str, list[float]] = {name: [] for name in (*RULES, "chain", "ratio", "doubted")}
    for number in range(n_sets):
        rng = np.random.default_rng(number)
        given = data(setting, rng)
        fits = [out_of_fold(setting, given, seed, columns=5) for seed in range(n_fits)]
        quads = [rng.choice(n_fits, 4, replace=False) for _ in range(3 * n_fits)]
        for name, rule in RULES.items():
            said = [
                rule(metric, given.y, [fits[a], fits[b]], [fits[c], fits[d]], z)
                for a, b, c, d in quads
            ]
            shares[name].append(float(np.mean(said)))
        firsts = [paired(metric, given.y, [fits[a]], [fits[c]], None, 0) for a, _, c, _ in quads]
        shares["ratio"].append(float(np.std([first["d"] / first["se"] for first in firsts])))
        shares["doubted"].append(float(np.mean([doubtful(graded(first)) for first in firsts])))
        shares["chain"].append(
            float(np.mean([chain(metric, given.y, fits, rng, z) for _ in range(4)]))
        )
    return shares


def chain(metric: Metric, y: Array, fits: list[Array], rng: np.random.Generator, z: float) -> float:
    """Share of accepted steps in one run of noise."""
    order = rng.permutation(len(fits))
    best, accepted, steps = order[:2], 0, 0
    for start in range(2, len(order) - 1, 2):
        new = order[start : start + 2]
        steps += 1
        if confirmed(metric, y, [fits[i] for i in new], [fits[i] for i in best], z):
            accepted, best = accepted + 1, new
        if steps == N_STEPS:
            break
    return accepted / steps


def real(setting: Setting, n_sets: int, z: float) -> list[tuple[float, dict[str, float]]]:
    """Per worth of the added column: the effect in standard errors, and the share that each rule accepts."""
    metric, cells = get_metric(setting.metric), []
    for worth in WORTH:
        ds, ses, said = [], [], {name: [] for name in RULES}  # type: ignore[var-annotated]
        for number in range(n_sets):
            given = data(setting, np.random.default_rng(500 + number), worth)
            old = [out_of_fold(setting, given, 1 + seed, columns=5) for seed in range(2)]
            new = [out_of_fold(setting, given, 3 + seed, columns=6) for seed in range(2)]
            first = paired(metric, given.y, new[:1], old[:1], None, 0)
            ds.append(first["d"])
            ses.append(first["se"])
            for name, rule in RULES.items():
                said[name].append(rule(metric, given.y, new, old, z))
        cells.append(
            (
                float(np.mean(ds) / np.mean(ses)),
                {name: float(np.mean(values)) for name, values in said.items()},
            )
        )
    return cells


def at_two(cells: list[tuple[float, dict[str, float]]], name: str, n: int) -> float:
    """Acceptance at an effect of 2 standard errors by a probit line through the cells."""
    effect, share = (
        np.array([cell[0] for cell in cells]),
        np.array([cell[1][name] for cell in cells]),
    )

    def loss(line: Array) -> float:
        p = np.clip(stats.norm.cdf(line[0] + line[1] * effect), 1e-6, 1 - 1e-6)
        return float(-(n * (share * np.log(p) + (1 - share) * np.log(1 - p))).sum())

    found = optimize.minimize(loss, np.array([-1.0, 1.0]), method="Nelder-Mead").x
    return float(stats.norm.cdf(found[0] + 2 * found[1]))


def interval(values: list[float]) -> str:
    """Mean with a 95 % bootstrap interval over data sets."""
    rng, array = np.random.default_rng(0), np.asarray(values)
    means = rng.choice(array, (2000, len(array))).mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return f"{array.mean():6.1%} [{low:.1%}, {high:.1%}]"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--sets",
        type=int,
        default=6,
        help="data sets per setting for noise; twice as many for real changes",
    )
    parser.add_argument("--fits", type=int, default=16, help="seeds of the pipeline per data set")
    parser.add_argument("--z", type=float, default=1.15)
    options = parser.parse_args()
    shares: dict[str, list[float]] = {}
    cells = []
    print(
        f"{'setting':18} {'sd(d/SE)':>9} {'in doubt':>9} "
        + "".join(f"{name:>11}" for name in (*RULES, "chain")),
        flush=True,
    )
    for setting in SETTINGS:
        found = noise(setting, options.sets, options.fits, options.z)
        for name, values in found.items():
            shares.setdefault(name, []).extend(values)
        row = "".join(f"{np.mean(found[name]):11.1%}" for name in (*RULES, "chain"))
        print(
            f"{setting.name:18} {np.mean(found['ratio']):9.2f} {np.mean(found['doubted']):9.1%} {row}",
            flush=True,
        )
    print(
        f"\nreal changes{'effect/SE':>17}  " + "".join(f"{name:>11}" for name in RULES), flush=True
    )
    n_sets = 2 * options.sets
    for setting in SETTINGS[::2] + SETTINGS[-1:]:
        for effect, share in real(setting, n_sets, options.z):
            cells.append((effect, share))
            print(
                f"{setting.name:18} {effect:10.2f}  "
                + "".join(f"{share[name]:11.1%}" for name in RULES),
                flush=True,
            )
    print(f"\nz = {options.z}: share of noise accepted, and of real changes of 2 standard errors")
    for name in RULES:
        print(
            f"{name:12} noise {interval(shares[name])}   real at 2 SE {at_two(cells, name, n_sets):6.1%}"
        )
    print(
        f"{'chain':12} noise {interval(shares['chain'])}   ({N_STEPS} steps, each against the best so far)"
    )


if __name__ == "__main__":
    main()
