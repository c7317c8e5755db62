"""Planted leaks: is the attempt that exploits one rejected for the right reason, and the honest attempt on the same data accepted?

python -m evals.studies.leaks [--seeds 20] [--kinds target,id,duplicates,encoding]

Every seed makes a new task (even seeds: 2,400 labelled rows with hidden audit rows; odd seeds: 1,500 and none; half of them binary with
AUC, half regression with RMSE) and two attempts of one boosted model, one that exploits the leak and one that does not. They are graded and
judged by the run's own code: gates, then acceptance, then the audit.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from lightgbm import LGBMClassifier, LGBMRegressor
from numpy.typing import NDArray

from scoring.acceptance import Judgement, Side, audited, judge
from task.data.prepare import prepare
from task.grade.grade import grade
from task.load.spec import load_task
from task.types import Prepared

Array = NDArray[Any]
CODES = {
    "target": "leak_column",
    "id": "leak_id",
    "duplicates": "leak_duplicates",
    "encoding": "leak_encoding",
}


class Plan(NamedTuple):
    """One seed's task."""

    kind: str
    seed: int

    @property
    def regression(self) -> bool:
        return self.seed % 4 >= 2

    @property
    def n(self) -> int:
        return 2400 if self.seed % 2 == 0 else 1500


# data


def base(
    plan: Plan, rng: np.random.Generator, n_test: int = 1000
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Five columns, two of categories; the label follows three of them with noise."""
    n = plan.n + n_test
    frame = pd.DataFrame(rng.normal(size=(n, 4)), columns=["a", "b", "c", "d"])
    frame["kind"] = rng.choice(["red", "green", "blue"], n)
    effect = dict(zip(range(250), rng.normal(0, 0.7, 250), strict=True))
    frame["shop"] = rng.integers(0, 250, n)
    signal = (
        frame["a"]
        + 0.5 * frame["b"] * frame["c"]
        + (frame["kind"] == "red")
        + frame["shop"].map(effect)
    )
    noisy = signal + rng.normal(0, 1.5, n)
    frame["shop"] = "s" + frame["shop"].astype(str)
    frame["label"] = noisy if plan.regression else (noisy > noisy.median()).astype(int)
    frame.insert(0, "id", rng.permutation(n) + 1000)
    return frame.iloc[: plan.n].reset_index(drop=True), frame.iloc[plan.n :].reset_index(drop=True)


def target(plan: Plan, rng: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A copy of the target in disguise, filled in after the outcome: in test empty, constant, nearly empty, or somebody else's."""
    train, test = base(plan, rng)
    spread = train["label"].std()
    noise = rng.choice([0.0, 0.2, 0.4]) * spread
    copy = np.exp((train["label"] + rng.normal(0, 1, len(train)) * noise) / (2 * spread)) * 37
    train["settled"] = copy
    filler = plan.seed // 4 % 4
    draws = rng.choice(copy, len(test))
    test["settled"] = [
        np.full(len(test), np.nan),
        np.full(len(test), 37.0),
        np.where(rng.random(len(test)) < 0.98, np.nan, draws),
        draws,
    ][filler]
    return train, test


def identity(plan: Plan, rng: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame]:
    """An id that encodes the label: by its order, its parity, or its last character."""
    train, test = base(plan, rng)
    order = train["label"].rank(method="first").astype(int)
    high = (train["label"] > train["label"].mean()).astype(int)
    way = plan.seed // 4 % 3
    if way == 0:
        train["id"], test["id"] = 50_000 + order, rng.permutation(len(test)) + 10_000
    elif way == 1:
        train["id"], test["id"] = (
            2 * rng.permutation(len(train)) + high,
            2 * rng.permutation(len(test)) + 100_000 + rng.integers(0, 2, len(test)),
        )
    else:
        train["id"] = [
            f"k{i}{'ab'[h]}" for i, h in zip(rng.permutation(len(train)), high, strict=True)
        ]
        test["id"] = [
            f"k{i + 10_000}{'ab'[h]}" for i, h in enumerate(rng.integers(0, 2, len(test)))
        ]
    return train, test


def duplicates(plan: Plan, rng: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A third of the training rows are copies of others, under ids of their own; test has none."""
    train, test = base(plan, rng)
    n = len(train) * 2 // 3
    copies = (
        train.iloc[:n]
        .sample(len(train) - n, random_state=plan.seed)
        .assign(id=np.arange(len(train) - n) + 900_000)
    )
    return pd.concat([train.iloc[:n], copies], ignore_index=True).sample(
        frac=1, random_state=plan.seed
    ).reset_index(drop=True), test


DATA: dict[str, Callable[[Plan, np.random.Generator], tuple[pd.DataFrame, pd.DataFrame]]] = {
    "target": target,
    "id": identity,
    "duplicates": duplicates,
    "encoding": base,
}


# attempts


def attempt(plan: Plan, prepared: Prepared, place: Path, *, leaking: bool) -> dict[str, str]:
    """Fits the model as a script would, from the public folder, and writes oof.csv and submission.csv."""
    public = Path(prepared.public)
    train, test = pd.read_csv(public / "train.csv"), pd.read_csv(public / "test.csv")
    fold = train["id"].map(pd.read_csv(public / "folds.csv").set_index("id")["fold"]).to_numpy()
    if leaking and plan.kind == "duplicates":
        fold = np.random.default_rng(plan.seed).integers(
            0, 5, len(train)
        )  # its own folds: copies fall apart
    drop = ["id", "label"] + (["settled"] if plan.kind == "target" and not leaking else [])
    y, X = train["label"].to_numpy(), numbers(train.drop(columns=drop))
    X_test = numbers(test.drop(columns=[name for name in drop if name in test])).reindex(
        columns=X.columns
    )
    if leaking and plan.kind == "id":
        X, X_test = X.join(from_id(train["id"])), X_test.join(from_id(test["id"]))
    oof = np.zeros(len(train))
    for k in range(5):
        fit, held = fold != k, fold == k
        source = np.ones(len(train), dtype=bool) if leaking and plan.kind == "encoding" else fit
        encoded = encoding(train, source)
        model = learner(plan).fit(X[fit].assign(shop_mean=encoded(train)[fit]), y[fit])
        oof[held] = said(model, X[held].assign(shop_mean=encoded(train)[held]))
    encoded = encoding(train, np.ones(len(train), dtype=bool))
    final = said(
        learner(plan).fit(X.assign(shop_mean=encoded(train)), y),
        X_test.assign(shop_mean=encoded(test)),
    )
    place.mkdir(parents=True, exist_ok=True)
    files = {"oof.csv": (train["id"], oof), "submission.csv": (test["id"], final)}
    for name, (ids, values) in files.items():
        pd.DataFrame({"id": ids, "label": values}).to_csv(place / name, index=False)
    return {name: str(place / name) for name in files}


def numbers(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.drop(columns="shop").assign(
        kind=frame["kind"].map({"red": 0, "green": 1, "blue": 2})
    )


def from_id(ids: pd.Series) -> pd.DataFrame:
    text = ids.astype(str)
    size = pd.to_numeric(text.str.extract(r"(\d+)", expand=False))
    return pd.DataFrame({"id_size": size, "id_parity": size % 2, "id_last": text.str[-1].map(ord)})


def encoding(train: pd.DataFrame, rows: Array) -> Callable[[pd.DataFrame], Array]:
    """Mean target of the shop over `rows`, a little shrunk."""
    middle = train["label"][rows].mean()
    sums = (train["label"] - middle)[rows].groupby(train["shop"][rows]).agg(["sum", "size"])
    means = sums["sum"] / (sums["size"] + 2)
    return lambda frame: frame["shop"].map(means).fillna(0.0).to_numpy()


def learner(plan: Plan) -> Any:
    deep = (
        {"num_leaves": 31, "min_child_samples": 2}
        if plan.kind == "duplicates"
        else {"num_leaves": 15, "min_child_samples": 20}
    )
    return (LGBMRegressor if plan.regression else LGBMClassifier)(
        n_estimators=120, learning_rate=0.08, n_jobs=1, verbose=-1, random_state=0, **deep
    )


def said(model: Any, X: pd.DataFrame) -> Array:
    return np.asarray(
        model.predict_proba(X)[:, 1] if hasattr(model, "predict_proba") else model.predict(X)
    )


# judgement


def outcome(plan: Plan, folder: Path) -> tuple[Judgement, Judgement]:
    """Verdicts of the leaking and of the honest attempt, each the first of its trace."""
    train, test = DATA[plan.kind](plan, np.random.default_rng(1000 + plan.seed))
    folder.mkdir(parents=True)
    train.to_csv(folder / "train.csv", index=False)
    test.drop(columns="label").to_csv(folder / "test.csv", index=False)
    metric = "rmse" if plan.regression else "auc"
    (folder / "task.yaml").write_text(
        f"metric: {metric}\nid: id\ntarget: label\nsplit: {'random' if plan.regression else 'stratified'}\n"
    )
    prepared = prepare(
        load_task(str(folder)),
        str(folder / "public"),
        str(folder / "private"),
        seed=plan.seed,
        audit=True,
    )
    return verdict(prepared, attempt(plan, prepared, folder / "bad", leaking=True)), verdict(
        prepared, attempt(plan, prepared, folder / "good", leaking=False)
    )


def verdict(prepared: Prepared, files: dict[str, str]) -> Judgement:
    found = grade(prepared, files, {}, None)
    judgement = judge(found, z=1.15, has_best=False, new=Side(1, 1), best=None)
    return audited(judgement, found["audit_leak"], None) if judgement.replaces else judgement


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--kinds", default=",".join(CODES))
    options = parser.parse_args()
    print(
        f"{'leak':12} {'rejected':>9} {'for the right reason':>21} {'honest rejected':>16}",
        flush=True,
    )
    for kind in options.kinds.split(","):
        print(
            line(kind, [survey(Plan(kind, options.first + seed)) for seed in range(options.seeds)]),
            flush=True,
        )


def survey(plan: Plan) -> tuple[Judgement, Judgement]:
    with tempfile.TemporaryDirectory(prefix="gome-leaks-") as temporary:
        return outcome(plan, Path(temporary) / "task")


def line(kind: str, found: list[tuple[Judgement, Judgement]]) -> str:
    n = len(found)
    rejected = sum(bad.verdict == "rejected" for bad, _ in found)
    right = sum(CODES[kind] in bad.codes for bad, _ in found)
    honest = sum(good.verdict != "accepted" for _, good in found)
    others = sorted(
        {code for bad, _ in found for code in bad.codes if code != CODES[kind]}
        | {f"honest: {c}" for _, g in found for c in g.codes if g.verdict != "accepted"}
    )
    return f"{kind:12} {rejected:5} / {n} {right:17} / {n} {honest:12} / {n}" + (
        f"   also: {', '.join(others)}" if others else ""
    )


if __name__ == "__main__":
    main()
