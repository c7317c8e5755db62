"""Planted leaks: is an attempt that exploits one rejected for the right reason?

python -m evals.studies.leaks [--seeds 20] [--kinds target,id,duplicates,encoding]

And is the honest attempt on the same data accepted? Every seed makes a new task (even seeds: 2,400
labelled rows with hidden audit rows; odd seeds: 1,500 and none; half of them binary with AUC, half
regression with RMSE) and two attempts of one boosted model, one that exploits the leak and one that
does not. The run's own code grades and judges them: gates, then acceptance, then the audit.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from lightgbm import LGBMClassifier, LGBMRegressor
from numpy.typing import NDArray

from evals.harness.pages import study_parser
from scoring.acceptance import Judgement, TieBreak, judge_attempt, judge_audit
from task.data.prepare import prepare_task
from task.grade.grade import grade_execution
from task.load.spec import load_task
from task.types import Grade, Prepared

Array = NDArray[Any]
Tables = tuple[pd.DataFrame, pd.DataFrame]
"""Train and test, both with the label."""
CODES = {
    "target": "leak_column",
    "id": "leak_id",
    "duplicates": "leak_duplicates",
    "encoding": "leak_encoding",
}


class LeakPlan(NamedTuple):
    """One seed's task."""

    kind: str
    seed: int

    @property
    def is_regression(self) -> bool:
        """Whether the label is a number and the metric RMSE."""
        return self.seed % 4 >= 2

    @property
    def n_rows(self) -> int:
        """Labelled rows."""
        return 2400 if self.seed % 2 == 0 else 1500


def honest_tables(plan: LeakPlan, rng: np.random.Generator, n_test: int = 1000) -> Tables:
    """Five columns, two of categories; the label follows three of them with noise."""
    n = plan.n_rows + n_test
    frame = pd.DataFrame(rng.normal(size=(n, 4)), columns=["a", "b", "c", "d"])
    frame["kind"] = rng.choice(["red", "green", "blue"], n)
    effect = dict(zip(range(250), rng.normal(0, 0.7, 250), strict=True))
    frame["shop"] = rng.integers(0, 250, n)
    signal = frame["a"] + 0.5 * frame["b"] * frame["c"]
    signal = signal + (frame["kind"] == "red") + frame["shop"].map(effect)
    label = signal + rng.normal(0, 1.5, n)
    frame["shop"] = "s" + frame["shop"].astype(str)
    frame["label"] = label if plan.is_regression else (label > label.median()).astype(int)
    frame.insert(0, "id", rng.permutation(n) + 1000)
    train, test = frame.iloc[: plan.n_rows], frame.iloc[plan.n_rows :]
    return train.reset_index(drop=True), test.reset_index(drop=True)


def leak_target(plan: LeakPlan, rng: np.random.Generator) -> Tables:
    """A copy of the target in disguise, filled in after the outcome.

    In test it is empty, constant, nearly empty, or somebody else's.
    """
    train, test = honest_tables(plan, rng)
    spread = train["label"].std()
    noise = rng.choice([0.0, 0.2, 0.4]) * spread
    copy = np.exp((train["label"] + rng.normal(0, 1, len(train)) * noise) / (2 * spread)) * 37
    train["settled"] = copy
    draws = rng.choice(copy, len(test))
    fillers = [
        np.full(len(test), np.nan),
        np.full(len(test), 37.0),
        np.where(rng.random(len(test)) < 0.98, np.nan, draws),
        draws,
    ]
    test["settled"] = fillers[plan.seed // 4 % 4]
    return train, test


def leak_identity(plan: LeakPlan, rng: np.random.Generator) -> Tables:
    """An id that encodes the label: by its order, its parity, or its last character."""
    train, test = honest_tables(plan, rng)
    n_train, n_test = len(train), len(test)
    order = train["label"].rank(method="first").astype(int)
    high = (train["label"] > train["label"].mean()).astype(int)
    way = plan.seed // 4 % 3
    if way == 0:
        train["id"], test["id"] = 50_000 + order, rng.permutation(n_test) + 10_000
    elif way == 1:
        train["id"] = 2 * rng.permutation(n_train) + high
        test["id"] = 2 * rng.permutation(n_test) + 100_000 + rng.integers(0, 2, n_test)
    else:
        numbers = rng.permutation(n_train)
        train["id"] = [f"k{i}{'ab'[h]}" for i, h in zip(numbers, high, strict=True)]
        test["id"] = [f"k{i + 10_000}{'ab'[h]}" for i, h in enumerate(rng.integers(0, 2, n_test))]
    return train, test


def leak_duplicates(plan: LeakPlan, rng: np.random.Generator) -> Tables:
    """A third of the training rows are copies of others under their own ids; test has none."""
    train, test = honest_tables(plan, rng)
    n = len(train) * 2 // 3
    n_copies = len(train) - n
    copies = train.iloc[:n].sample(n_copies, random_state=plan.seed)
    copies = copies.assign(id=np.arange(n_copies) + 900_000)
    both = pd.concat([train.iloc[:n], copies], ignore_index=True)
    return both.sample(frac=1, random_state=plan.seed).reset_index(drop=True), test


TABLE_MAKERS: dict[str, Callable[[LeakPlan, np.random.Generator], Tables]] = {
    "target": leak_target,
    "id": leak_identity,
    "duplicates": leak_duplicates,
    "encoding": honest_tables,
}


def fit_attempt(
    plan: LeakPlan, prepared: Prepared, place: Path, *, leaking: bool
) -> dict[str, str]:
    """Fit the model from the public folder, as a script would; write its two files to `place`.

    Returns file name -> path of oof.csv and submission.csv.
    """
    public = Path(prepared.public)
    train, test = pd.read_csv(public / "train.csv"), pd.read_csv(public / "test.csv")
    features, test_features = make_features(plan, train, test, leaking=leaking)
    fold = choose_folds(plan, train, public, leaking=leaking)
    all_rows = np.ones(len(train), dtype=bool)
    y = train["label"].to_numpy()
    oof = np.zeros(len(train))
    for k in range(5):
        fit, held = fold != k, fold == k
        encode = shop_encoding(train, all_rows if leaking and plan.kind == "encoding" else fit)
        rows = features.assign(shop_mean=encode(train))
        model = build_model(plan).fit(rows[fit], y[fit])
        oof[held] = predict_labels(model, rows[held])
    encode = shop_encoding(train, all_rows)
    model = build_model(plan).fit(features.assign(shop_mean=encode(train)), y)
    final = predict_labels(model, test_features.assign(shop_mean=encode(test)))
    place.mkdir(parents=True, exist_ok=True)
    files = {"oof.csv": (train["id"], oof), "submission.csv": (test["id"], final)}
    for name, (ids, values) in files.items():
        pd.DataFrame({"id": ids, "label": values}).to_csv(place / name, index=False)
    return {name: str(place / name) for name in files}


def make_features(
    plan: LeakPlan, train: pd.DataFrame, test: pd.DataFrame, *, leaking: bool
) -> Tables:
    """Return the model's columns of train and test."""
    drop = ["id", "label"]
    if plan.kind == "target" and not leaking:
        drop.append("settled")
    features = numeric_columns(train.drop(columns=drop))
    test_features = numeric_columns(test.drop(columns=drop, errors="ignore"))
    test_features = test_features.reindex(columns=features.columns)
    if plan.kind == "id" and leaking:
        features = features.join(id_features(train["id"]))
        test_features = test_features.join(id_features(test["id"]))
    return features, test_features


def choose_folds(plan: LeakPlan, train: pd.DataFrame, public: Path, *, leaking: bool) -> Array:
    """Return the harness's folds, or the attempt's own ones, which tear copies apart."""
    if plan.kind == "duplicates" and leaking:
        return np.random.default_rng(plan.seed).integers(0, 5, len(train))
    folds = pd.read_csv(public / "folds.csv").set_index("id")["fold"]
    return train["id"].map(folds).to_numpy()


def numeric_columns(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the columns without the shop, with the kind as a number."""
    kind = frame["kind"].map({"red": 0, "green": 1, "blue": 2})
    return frame.drop(columns="shop").assign(kind=kind)


def id_features(ids: pd.Series) -> pd.DataFrame:
    """Return size, parity and last character of the ids."""
    text = ids.astype(str)
    size = pd.to_numeric(text.str.extract(r"(\d+)", expand=False))
    return pd.DataFrame({"id_size": size, "id_parity": size % 2, "id_last": text.str[-1].map(ord)})


def shop_encoding(train: pd.DataFrame, rows: Array) -> Callable[[pd.DataFrame], Array]:
    """Return an encoder by the shop's mean target over `rows`, a little shrunk."""
    middle = train["label"][rows].mean()
    sums = (train["label"] - middle)[rows].groupby(train["shop"][rows]).agg(["sum", "size"])
    means = sums["sum"] / (sums["size"] + 2)
    return lambda frame: frame["shop"].map(means).fillna(0.0).to_numpy()


def build_model(plan: LeakPlan) -> Any:
    """Return the unfitted boosted model; for duplicates it can learn single rows."""
    shape = {"num_leaves": 15, "min_child_samples": 20}
    if plan.kind == "duplicates":
        shape = {"num_leaves": 31, "min_child_samples": 2}
    kind = LGBMRegressor if plan.is_regression else LGBMClassifier
    return kind(n_estimators=120, learning_rate=0.08, n_jobs=1, verbose=-1, random_state=0, **shape)


def predict_labels(model: Any, rows: pd.DataFrame) -> Array:
    """Return values, or probabilities of the second class."""
    if hasattr(model, "predict_proba"):
        return np.asarray(model.predict_proba(rows)[:, 1])
    return np.asarray(model.predict(rows))


def judge_attempts(plan: LeakPlan, folder: Path) -> tuple[Judgement, Judgement]:
    """Judge the leaking and the honest attempt, each as the first of its trace."""
    train, test = TABLE_MAKERS[plan.kind](plan, np.random.default_rng(1000 + plan.seed))
    folder.mkdir(parents=True)
    train.to_csv(folder / "train.csv", index=False)
    test.drop(columns="label").to_csv(folder / "test.csv", index=False)
    metric, split = ("rmse", "random") if plan.is_regression else ("auc", "stratified")
    spec = f"metric: {metric}\nid: id\ntarget: label\nsplit: {split}\n"
    (folder / "task.yaml").write_text(spec)
    task, public, private = load_task(str(folder)), folder / "public", folder / "private"
    prepared = prepare_task(task, str(public), str(private), seed=plan.seed, audit=True)
    leaking = fit_attempt(plan, prepared, folder / "bad", leaking=True)
    honest = fit_attempt(plan, prepared, folder / "good", leaking=False)
    return judge_files(prepared, leaking), judge_files(prepared, honest)


def judge_files(prepared: Prepared, files: dict[str, str]) -> Judgement:
    """Grade and judge an attempt's files."""
    grade = Grade.model_validate(grade_execution(prepared, files, {}, None))
    judgement = judge_attempt(grade, z=1.15, has_best=False, new=TieBreak(1, 1), best=None)
    return judge_audit(judgement, grade.audit_leak, None) if judgement.replaces else judgement


def main() -> None:
    parser = study_parser(__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--kinds", default=",".join(CODES), help="comma separated")
    options = parser.parse_args()
    head = f"{'leak':12} {'rejected':>9} {'for the right reason':>21} {'honest rejected':>16}"
    print(head, flush=True)
    seeds = range(options.first, options.first + options.seeds)
    for kind in options.kinds.split(","):
        pairs = [judge_plan(LeakPlan(kind, seed)) for seed in seeds]
        print(leak_line(kind, pairs), flush=True)


def judge_plan(plan: LeakPlan) -> tuple[Judgement, Judgement]:
    """Judge both attempts in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="gome-leaks-") as temporary:
        return judge_attempts(plan, Path(temporary) / "task")


def leak_line(kind: str, pairs: list[tuple[Judgement, Judgement]]) -> str:
    """Return one line of the table from (leaking, honest) judgements."""
    n = len(pairs)
    n_rejected = sum(leaking.verdict == "rejected" for leaking, _ in pairs)
    n_right = sum(CODES[kind] in leaking.codes for leaking, _ in pairs)
    n_honest = sum(honest.verdict != "accepted" for _, honest in pairs)
    others = {code for leaking, _ in pairs for code in leaking.codes if code != CODES[kind]}
    for _, honest in pairs:
        if honest.verdict != "accepted":
            others |= {f"honest: {code}" for code in honest.codes}
    also = f"   also: {', '.join(sorted(others))}" if others else ""
    return f"{kind:12} {n_rejected:5} / {n} {n_right:17} / {n} {n_honest:12} / {n}{also}"


if __name__ == "__main__":
    main()
