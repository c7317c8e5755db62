"""Shuffled labels: honest scripts do not follow them, whatever they know; cheats do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from trust_kit import ready, write_frames

from task.grade.label_shuffle import measure_following, write_shuffled_labels
from task.types import Prepared

Array = NDArray[Any]
Make = Callable[[pd.DataFrame, Array], Array]  # training table, folds -> out-of-fold predictions
SEEDS, MANY_SEEDS = 2, 20


# ------------------------------------------------------------------------------------------- tasks


def class_frames(n: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A hard task: two weak columns, one of many levels."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(rng.normal(size=(n + 40, 3)), columns=["x", "y", "z"])
    frame["town"] = [f"t{value}" for value in rng.integers(0, 12, n + 40)]
    frame["label"] = (frame["x"] - frame["y"] + rng.normal(0, 2, len(frame)) > 0).astype(int)
    frame.insert(0, "id", [f"r{i}" for i in range(len(frame))])
    return frame.iloc[:n].reset_index(drop=True), frame.iloc[n:].reset_index(drop=True)


def value_frames(n: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    train, test = class_frames(n, seed)
    rng = np.random.default_rng(seed + 1)
    for frame in (train, test):
        frame["label"] = np.exp(frame["x"] + rng.normal(0, 1, len(frame)))
    return train, test


def sure_frames(n: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A true score of 1.0: the label is a function of two columns that a tree finds badly."""
    train, test = class_frames(n, seed)
    for frame in (train, test):
        frame["label"] = (frame["x"] - frame["y"] > 0).astype(int)
    return train, test


def twin_frames(n: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Every row occurs three times with its label, in train and in test."""
    train, test = class_frames(n // 3, seed)
    tripled = pd.concat([train] * 3, ignore_index=True)
    tripled["id"] = [f"r{i}" for i in range(len(tripled))]
    return tripled, pd.concat([test, train], ignore_index=True).assign(
        id=[f"s{i}" for i in range(len(test) + len(train))]
    )


# ------------------------------------------------------------------------------------------ scripts


def numbers(train: pd.DataFrame) -> Array:
    return np.asarray(train[["x", "y", "z"]], dtype=float)


def fit_by_fold(train: pd.DataFrame, folds: Array, fit: Callable[[], Any]) -> Array:
    x, y, out = numbers(train), train["label"].to_numpy(), np.zeros(len(train))
    for fold in np.unique(folds):
        model = fit().fit(x[folds != fold], y[folds != fold])
        held = x[folds == fold]
        out[folds == fold] = (
            model.predict_proba(held)[:, 1]
            if hasattr(model, "predict_proba")
            else model.predict(held)
        )
    return out


def linear(train: pd.DataFrame, folds: Array) -> Array:
    from sklearn.linear_model import LogisticRegression

    return fit_by_fold(train, folds, LogisticRegression)


def nearest(train: pd.DataFrame, folds: Array) -> Array:
    from sklearn.neighbors import KNeighborsClassifier

    return fit_by_fold(train, folds, lambda: KNeighborsClassifier(1))


def formula(train: pd.DataFrame, folds: Array) -> Array:
    """A deterministic function of the features, which reads no label."""
    return np.asarray(train["x"] - train["y"])


def encoded(train: pd.DataFrame, folds: Array) -> Array:
    """Target encoding inside the folds, shrunk to the mean of all labels."""
    y, out = train["label"].to_numpy(dtype=float), np.zeros(len(train))
    for fold in np.unique(folds):
        part = train[folds != fold]
        means = (part.groupby("town")["label"].sum() + 5 * y.mean()) / (
            part.groupby("town")["label"].size() + 5
        )
        out[folds == fold] = train["town"][folds == fold].map(means).fillna(y.mean())
    return out + 0.1 * (train["x"] - train["y"]).to_numpy()


def other_folds(train: pd.DataFrame, folds: Array) -> Array:
    """Folds of its own instead of folds.csv: honest, if not comparable."""
    rng = np.random.default_rng(5)
    return linear(train, rng.integers(0, 5, len(train)))


def scaled_values(train: pd.DataFrame, folds: Array) -> Array:
    """Labels are scaled by mean and spread of all of them, and clipped to their range."""
    from sklearn.linear_model import Ridge

    y = np.log(train["label"].to_numpy())
    scaled = train.assign(label=(y - y.mean()) / y.std())
    guess = fit_by_fold(scaled, folds, Ridge) * y.std() + y.mean()
    return np.asarray(np.clip(np.exp(guess), train["label"].min(), train["label"].max()))


def stopped_early(train: pd.DataFrame, folds: Array) -> Array:
    """The number of trees is chosen on the validated fold, as many scripts do."""
    from sklearn.ensemble import GradientBoostingClassifier

    x, y, out = numbers(train), train["label"].to_numpy(), np.zeros(len(train))
    for fold in np.unique(folds):
        held = folds == fold
        model = GradientBoostingClassifier(n_estimators=40, max_depth=2, random_state=0)
        stages = list(model.fit(x[~held], y[~held]).staged_predict_proba(x[held]))
        losses = [np.mean((stage[:, 1] - y[held]) ** 2) for stage in stages]
        out[held] = stages[int(np.argmin(losses))][:, 1]
    return out


def noisy_labels(train: pd.DataFrame, folds: Array) -> Array:
    y = train["label"].to_numpy(dtype=float)
    return y + np.random.default_rng(3).normal(0, 0.2 * y.std(), len(y))


def half_honest(train: pd.DataFrame, folds: Array) -> Array:
    """A model's predictions, with a hint of the label."""
    return linear(train, folds) + 0.5 * train["label"].to_numpy()


def in_sample(train: pd.DataFrame, folds: Array) -> Array:
    from sklearn.ensemble import RandomForestClassifier

    model = RandomForestClassifier(30, random_state=0).fit(numbers(train), train["label"])
    return np.asarray(model.predict_proba(numbers(train))[:, 1])


def encoded_on_all(train: pd.DataFrame, folds: Array) -> Array:
    """Rare levels, encoded by the labels of all rows, their own included."""
    level = (np.arange(len(train)) // 2).astype(str)
    return np.asarray(train.groupby(level)["label"].transform("mean"))


HONEST: dict[str, tuple[Any, str, Make]] = {
    "linear": (sure_frames, "auc", linear),
    "formula": (sure_frames, "auc", formula),
    "nearest": (twin_frames, "auc", nearest),
    "encoded": (class_frames, "auc", encoded),
    "other-folds": (sure_frames, "auc", other_folds),
    "scaled": (value_frames, "rmse", scaled_values),
    "stopped-early": (class_frames, "auc", stopped_early),
}
CHEATS: dict[str, tuple[Any, str, Make]] = {
    "noisy-labels": (class_frames, "auc", noisy_labels),
    "noisy-values": (value_frames, "rmse", noisy_labels),
    "half-honest": (class_frames, "auc", half_honest),
    "in-sample": (class_frames, "auc", in_sample),
    "encoded-on-all": (class_frames, "auc", encoded_on_all),
}


def play(prepared: Prepared, make: Make, folder: Path, train: str | None = None) -> str:
    """Write oof.csv of a script that reads this training table."""
    folder.mkdir()
    frame = pd.read_csv(train or Path(prepared.public) / "train.csv")
    folds = pd.read_csv(Path(prepared.public) / "folds.csv")["fold"].to_numpy()
    values = make(frame, folds)
    place = folder / "oof.csv"
    pd.DataFrame({"id": frame["id"], "label": values})[folds >= 0].to_csv(place, index=False)
    return str(place)


def count_followed(tmp_path: Path, case: tuple[Any, str, Make], n: int, seed: int) -> int:
    """In how many of two folds a script follows shuffled labels."""
    frames, metric, make = case
    place = tmp_path / f"{n}-{seed}"
    train, test = frames(n, seed)
    prepared = ready(write_frames(place, train, test, metric), seed=seed, audit=False)
    first, followed = play(prepared, make, place / "first"), 0
    for rank in (0, 1):
        draw, folder = f"{seed + 1:x}{rank}", place / f"shuffled{rank}"
        folder.mkdir()
        table = write_shuffled_labels(prepared, rank, draw, str(folder))
        second = play(prepared, make, folder / "second", table["path"])
        found = measure_following(prepared, first, second, table["fold"], draw)
        assert found["problem"] is None
        followed += found["follows"]
    return followed


@pytest.mark.parametrize("n", [120, 600])
@pytest.mark.parametrize("name", CHEATS)
def test_a_cheat_follows_the_shuffled_labels_in_both_folds(
    tmp_path: Path, name: str, n: int
) -> None:
    assert [count_followed(tmp_path, CHEATS[name], n, seed) for seed in range(SEEDS)] == [2] * SEEDS


@pytest.mark.parametrize("n", [120, 600])
@pytest.mark.parametrize("name", HONEST)
def test_an_honest_script_is_not_refused(tmp_path: Path, name: str, n: int) -> None:
    assert max(count_followed(tmp_path, HONEST[name], n, seed) for seed in range(SEEDS)) < 2


@pytest.mark.slow
@pytest.mark.parametrize("name", HONEST)
def test_one_fold_is_followed_by_chance_once_in_a_hundred_at_most(
    tmp_path: Path, name: str
) -> None:
    counts = [count_followed(tmp_path, HONEST[name], 120, seed) for seed in range(MANY_SEEDS)]
    assert max(counts) < 2 and sum(counts) <= 2  # 40 folds, of which 0.4 are expected
