"""Generated tasks with a known flaw and a known best score.

The generator keeps the expected label of every row, so `ceiling_score` can score the law that made
the labels. A flaw is in the training data only where that is its nature (a leak, label noise); the
private rows are clean and many, so that scores differ beyond noise.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from task.grade.metrics import get_metric
from task.load.examples import TRUTH_PREFIX, Example, write_task

N_TRAIN, N_TEST = 600, 3000
Rng = np.random.Generator
TaskData = tuple[pd.DataFrame, Any]
"""All rows with label and law, and a mask of the rows whose labels are private."""


def sigmoid(z: Any) -> Any:
    """Return the logistic function of z."""
    return 1 / (1 + np.exp(-z))


def planted_table(columns: dict[str, Any], target: str, y: Any, truth: Any) -> pd.DataFrame:
    """Return the columns with an id, the label, and the law's own prediction of it."""
    frame = pd.DataFrame(columns)
    frame.insert(0, "id", [f"r{i:05d}" for i in range(len(frame))])
    frame[target], frame[TRUTH_PREFIX] = y, truth
    return frame


def last_rows_mask(n: int = N_TRAIN + N_TEST, n_test: int = N_TEST) -> Any:
    """Return a mask of the last `n_test` rows."""
    return np.arange(n) >= n - n_test


def credit_leak(rng: Rng) -> TaskData:
    """A column filled after the outcome: it gives the label away in train, is constant in test."""
    n = N_TRAIN + N_TEST
    income, debt, age = rng.lognormal(10, 0.5, n), rng.gamma(2, 1, n), rng.uniform(20, 70, n)
    late = rng.poisson(0.7, n)
    z = 1.2 * np.log(income / 22000) * -1 + 0.9 * debt + 0.8 * late - 0.02 * (age - 45) - 3.2
    p = sigmoid(z)
    y = (rng.random(n) < p).astype(int)
    fee = np.where(
        last_rows_mask(), 0.0, np.where(y == 1, rng.gamma(3, 10, n), rng.gamma(0.2, 1, n))
    )
    columns = {
        "income": income.round(0),
        "debt_ratio": debt.round(3),
        "age": age.round(0),
        "late_payments": late,
        "recovery_fee": fee.round(2),
    }
    return planted_table(columns, "default", y, p), last_rows_mask()


def many_levels(rng: Rng) -> TaskData:
    """150 shops that carry most of the signal, with few rows each."""
    n = N_TRAIN + N_TEST
    effect = rng.normal(0, 1, 150)
    shop = rng.integers(0, 150, n)
    price, stock = rng.lognormal(2, 0.4, n), rng.integers(0, 60, n)
    mean = 20 + 6 * effect[shop] - 2.5 * np.log(price) + 0.05 * stock
    columns = {"shop": [f"s{s:03d}" for s in shop], "price": price.round(2), "stock": stock}
    return planted_table(
        columns, "sales", (mean + rng.normal(0, 2, n)).round(3), mean
    ), last_rows_mask()


def not_at_random(rng: Rng) -> TaskData:
    """Income is missing where it is high and where it matters: the gap itself tells."""
    n = N_TRAIN + N_TEST
    income, tenure, calls = rng.normal(0, 1, n), rng.gamma(2, 2, n), rng.poisson(1.5, n)
    hidden = rng.random(n) < sigmoid(2.5 * income - 0.8)
    p = sigmoid(1.6 * income - 0.25 * tenure + 0.35 * calls + 0.9 * hidden - 0.2)
    columns = {
        "income": np.where(hidden, np.nan, income.round(3)),
        "tenure": tenure.round(2),
        "calls": calls,
    }
    columns |= {f"note_{i}": rng.normal(0, 1, n).round(3) for i in range(3)}
    return planted_table(columns, "churn", (rng.random(n) < p).astype(int), p), last_rows_mask()


def skewed_amount(rng: Rng) -> TaskData:
    """A target over four orders of magnitude, judged by its logarithm."""
    n = N_TRAIN + N_TEST
    size, rooms = rng.lognormal(4.2, 0.5, n), rng.integers(1, 8, n)
    year = rng.integers(1920, 2020, n)
    zone = rng.integers(0, 6, n)
    zone_effect = np.array([0.0, 0.3, -0.4, 0.8, 1.2, -0.9])[zone]
    log_price = 1.0 + 1.3 * np.log(size) + 0.08 * rooms + 0.004 * (year - 1970) + zone_effect
    price = np.exp(log_price + rng.standard_t(4, n) * 0.25)
    columns = {
        "size": size.round(1),
        "rooms": rooms,
        "year": year,
        "zone": [f"zone {z}" for z in zone],
    }
    truth = np.expm1(np.log1p(np.exp(log_price)))
    return planted_table(columns, "price", price.round(2), truth), last_rows_mask()


def new_stores(rng: Rng) -> TaskData:
    """Rows come in stores, the private stores are new: a random split looks too good."""
    n_stores = 300
    store = np.repeat(np.arange(n_stores), 12)
    n = len(store)
    level, slope = rng.normal(0, 3, n_stores), rng.normal(1, 0.3, n_stores)
    size, age = rng.lognormal(0, 0.4, n_stores), rng.uniform(0, 20, n_stores)
    traffic, promo = rng.gamma(3, 1, n), rng.integers(0, 2, n)
    mean = 10 + 4 * np.log(size[store]) + 0.2 * age[store] + 2 * slope.mean() * traffic + 3 * promo
    y = mean + level[store] * 0.6 + (slope[store] - 1) * traffic + rng.normal(0, 1.5, n)
    columns = {
        "store": [f"st{s:03d}" for s in store],
        "size": size[store].round(3),
        "age": age[store].round(1),
        "traffic": traffic.round(3),
        "promo": promo,
    }
    return planted_table(columns, "revenue", y.round(3), mean), store >= 50


def demand_time(rng: Rng) -> TaskData:
    """Trend and season; the private rows are the future."""
    n_train, n_test = 700, 350
    day = np.arange(n_train + n_test)
    date = pd.Timestamp("2021-01-01") + pd.to_timedelta(day, unit="D")
    holiday, price = (rng.random(len(day)) < 0.05).astype(int), rng.normal(10, 1, len(day))
    week = np.array([0, 2, 4, 3, 8, 15, 6])[date.dayofweek]
    season = 12 * np.sin(2 * np.pi * day / 365.25)
    mean = 80 + 0.09 * day + week + season + 14 * holiday - 3 * (price - 10)
    columns = {"date": date.strftime("%Y-%m-%d"), "holiday": holiday, "price": price.round(2)}
    y = (mean + rng.normal(0, 3, len(day))).round(2)
    return planted_table(columns, "demand", y, mean), day >= n_train


def noisy_labels(rng: Rng) -> TaskData:
    """One training label in eight is wrong; many columns say nothing."""
    n = N_TRAIN + N_TEST
    x = rng.normal(0, 1, (n, 4))
    p = sigmoid(1.5 * x[:, 0] - 1.2 * x[:, 1] + 1.4 * x[:, 2] * x[:, 3])
    y = (rng.random(n) < p).astype(int)
    y = np.where((rng.random(n) < 0.125) & ~last_rows_mask(), 1 - y, y)
    columns = {f"x{i}": x[:, i].round(3) for i in range(4)} | {
        f"junk_{i}": rng.normal(0, 1, n).round(3) for i in range(12)
    }
    return planted_table(columns, "label", y, p), last_rows_mask()


def rare_class(rng: Rng) -> TaskData:
    """82 / 13 / 5 % classes under macro F1: the rare ones are never predicted."""
    n = N_TRAIN + N_TEST
    x = rng.normal(0, 1, (n, 5))
    minor = 1.5 * x[:, 0] + 0.6 * x[:, 1]
    major = 1.4 * x[:, 2] - 0.9 * x[:, 3] - 1.2
    scores = np.column_stack([np.full(n, 2.6), minor, major])
    p = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    y = (p.cumsum(1) < rng.random((n, 1))).sum(1)
    guesses = [(p / p.mean(0) ** power).argmax(1) for power in np.arange(0, 1.01, 0.05)]
    best = max(guesses, key=lambda guess: macro_f1(y, guess))
    names = np.array(["none", "minor", "major"])
    columns = {f"sensor_{i}": x[:, i].round(3) for i in range(5)}
    return planted_table(columns, "fault", names[y], names[best]), last_rows_mask()


def macro_f1(y: Any, guess: Any) -> float:
    """Return the mean F1 over the classes that occur in y."""
    scores = []
    for k in np.unique(y):
        hits = np.sum((y == k) & (guess == k))
        scores.append(2 * hits / max(1, np.sum(y == k) + np.sum(guess == k)))
    return float(np.mean(scores))


def one_per_group(rng: Rng) -> TaskData:
    """Four offers a customer, one is taken: only differences within the customer matter."""
    n_people = 150 + 500
    person = np.repeat(np.arange(n_people), 4)
    n = len(person)
    base = rng.normal(0, 3, n_people)[person]
    cost = base + rng.normal(0, 1, n)
    time = 2 * base + rng.normal(0, 1.5, n)
    utility = -1.6 * cost - 0.9 * time
    odds = np.exp(utility - pd.Series(utility).groupby(person).transform("max").to_numpy())
    p = odds / pd.Series(odds).groupby(person).transform("sum").to_numpy()
    draw = rng.random(n_people)[person]
    reached = pd.Series(p).groupby(person).cumsum().to_numpy()
    taken = ((reached >= draw) & (reached - p < draw)).astype(int)
    columns = {
        "person": [f"p{i:04d}" for i in person],
        "cost": cost.round(3),
        "time": time.round(3),
        "comfort": rng.normal(0, 1, n).round(3),
    }
    return planted_table(columns, "taken", taken, p), person >= 150


def column_ratio(rng: Rng) -> TaskData:
    """What counts is a ratio of two columns that alone say little."""
    n = N_TRAIN + N_TEST
    load, limit = rng.lognormal(3, 0.8, n), rng.lognormal(3, 0.8, n)
    heat, humid = rng.normal(20, 6, n), rng.uniform(20, 90, n)
    mean = 12 * load / (load + limit) + 0.02 * heat * humid / 20
    columns = {
        "load": load.round(2),
        "limit": limit.round(2),
        "heat": heat.round(1),
        "humidity": humid.round(0),
    }
    return planted_table(
        columns, "wear", (mean + rng.normal(0, 0.8, n)).round(3), mean
    ), last_rows_mask()


def planted_example(
    line: str, metric: str, target: str, make: Callable[[Rng], TaskData]
) -> Example:
    """Return the task in the form of the bundled examples."""
    text = f"{line}\n\nMetric: {metric}.\n\nGenerated data."
    return Example(line, metric, make, target, text)


PLANTED = {
    "credit_leak": planted_example("who defaults on a credit", "auc", "default", credit_leak),
    "many_levels": planted_example("sales of a shop on a day", "rmse", "sales", many_levels),
    "not_at_random": planted_example("which customers leave", "auc", "churn", not_at_random),
    "skewed_amount": planted_example("the price of a house", "rmsle", "price", skewed_amount),
    "new_stores": planted_example(
        "the revenue of a store in a week", "rmse", "revenue", new_stores
    ),
    "demand_time": planted_example("the demand of the coming days", "mae", "demand", demand_time),
    "noisy_labels": planted_example("a label that people gave", "auc", "label", noisy_labels),
    "rare_class": planted_example("the fault of a machine", "f1_macro", "fault", rare_class),
    "one_per_group": planted_example("which offer a customer takes", "auc", "taken", one_per_group),
    "ratio": planted_example("the wear of a part", "rmse", "wear", column_ratio),
}


def write_planted_task(name: str, place: Path, seed: int = 0) -> None:
    """Write the planted task to `place`, its answers and law to `place`-private."""
    write_task(PLANTED[name], name, place, np.random.default_rng([seed, *name.encode()]))


def ceiling_score(name: str, place: Path) -> float:
    """Return the private score of the law itself, which no script can expect to beat."""
    example = PLANTED[name]
    metric = get_metric(example.metric)
    answers = pd.read_csv(place.with_name(place.name + "-private") / "answers.csv")
    y, truth = answers[example.target].to_numpy(), answers[TRUTH_PREFIX].to_numpy()
    return float(metric.score(y, truth))
