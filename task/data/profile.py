"""The data profile, once per task: what a good engineer would look up before the first script (keys in task.types.PROFILE)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from task.data import splits
from task.grade.evidence import cleaned
from task.grade.metrics import auc, get_metric
from task.types import Prepared

Array = NDArray[Any]
SAMPLE = 20_000
MAX_COLUMNS = 200
LEAK_STRENGTH, LEAK_DRIFT = 0.8, 0.15


def profile(prepared: Prepared) -> dict[str, Any]:
    """Looks at the public tables only: what scripts may see."""
    train, test = public(prepared, "train"), public(prepared, "test")
    rows = {"train": len(train), "test": len(test)}
    train, test = drawn(train), drawn(test)
    task = prepared.task
    y = train[task.target[0]]
    names = [str(column) for column in train.columns if column not in (prepared.id, *task.target)]
    described = [
        describe(train[name], test.get(name), y, task.kind) for name in names[:MAX_COLUMNS]
    ]
    found: dict[str, Any] = {
        "rows": rows,
        "n_columns": len(names),
        "target": target(y, task.target[0], task.kind),
        "prediction": get_metric(task.metric, task.direction).needs,
        "columns": described,
        "groups": groups(train, test, prepared, names),
        "time": times(train, test, prepared),
        "duplicates": duplicates(train, names, y),
        "leaks": leaks([column for column in described if column["name"] != task.split.column]),
        "text": texts(train, described),
        "split": task.split.model_dump(),
    }
    found["split"]["reason"] = reason(task.split.kind, task.split.column)
    found["notes"] = notes(found)
    return cleaned(found)  # type: ignore[no-any-return]


def public(prepared: Prepared, name: str) -> pd.DataFrame:
    folder = Path(prepared.public)
    path = folder / f"{name}.csv"
    return (
        pd.read_csv(path, low_memory=False)
        if path.exists()
        else pd.read_parquet(folder / f"{name}.parquet")
    )


def drawn(frame: pd.DataFrame) -> pd.DataFrame:
    return (
        frame.sample(SAMPLE, random_state=0).sort_index().reset_index(drop=True)
        if len(frame) > SAMPLE
        else frame
    )


def target(y: pd.Series[Any], name: str, kind: str) -> dict[str, Any]:
    found: dict[str, Any] = {"name": name, "kind": kind}
    if kind != "regression":
        rates = y.astype(str).value_counts(normalize=True)
        return found | {"n_classes": int(y.nunique()), "rates": rates.head(30).round(4).to_dict()}
    values = y.to_numpy(dtype=float)
    return found | {
        "skew": float(stats.skew(values)),
        "zero_share": float((values == 0).mean()),
        "min": values.min(),
        "max": values.max(),
        "mean": values.mean(),
        "nonnegative": bool((values >= 0).all()),
        "integer": bool((values == np.round(values)).all()),
        "n_unique": int(y.nunique()),
    }


def describe(
    column: pd.Series[Any], other: pd.Series[Any] | None, y: pd.Series[Any], kind: str
) -> dict[str, Any]:
    """One column. `strength` and `drift` are 0..1: the column alone against the target, and train against test."""
    what = kind_of(column)
    found: dict[str, Any] = {
        "name": str(column.name),
        "kind": what,
        "dtype": str(column.dtype),
        "missing": float(column.isna().mean()),
        "n_unique": int(column.nunique()),
        "examples": [str(value)[:60] for value in column.dropna().unique()[:3]],
        "strength": strength(column, y, kind, what),
    }
    if column.isna().any():
        found["missing_strength"] = strength(column.isna().astype(float), y, kind, "numeric")
    if what == "numeric":
        values = column.dropna()
        found |= {
            "min": float(values.min()),
            "max": float(values.max()),
            "mean": float(values.mean()),
            "skew": float(values.skew()),
        }  # type: ignore[arg-type]
    if what == "text":
        found["mean_chars"] = float(column.dropna().astype(str).str.len().mean())
    return found | (against(column, other, what) if other is not None else {"absent_test": True})


def against(column: pd.Series[Any], other: pd.Series[Any], what: str) -> dict[str, Any]:
    """Train against test: missing share, drift, unseen categories, dead in test."""
    found: dict[str, Any] = {
        "missing_test": float(other.isna().mean()),
        "constant_test": other.nunique() <= 1 and column.nunique() > 1,
    }
    both = pd.concat([column, other], ignore_index=True)
    is_test = np.r_[np.zeros(len(column)), np.ones(len(other))]
    if what == "categorical":
        known = set(column.dropna().astype(str))
        found["unseen"] = (
            float((~other.dropna().astype(str).isin(known)).mean()) if other.notna().any() else 0.0
        )
        values = half_encoded(both, pd.Series(is_test)) if both.nunique() < len(both) / 5 else None
    else:
        values = numbers(both, what)
    if values is not None and 0 < is_test.sum() < len(is_test):
        found["drift"] = abs(
            2
            * auc(
                is_test.astype(int),
                np.nan_to_num(
                    values, nan=np.nanmin(values) - 1 if np.isfinite(values).any() else 0
                ),
            )
            - 1
        )
    return found


def kind_of(column: pd.Series[Any]) -> str:
    if column.nunique(dropna=True) <= 1:
        return "constant"
    if pd.api.types.is_bool_dtype(column):
        return "categorical"
    if pd.api.types.is_numeric_dtype(column):
        return "numeric"
    if splits.dates(column) is not None:
        return "date"
    values = column.dropna().astype(str).head(2000)
    words = values.str.count(r"\s+").mean() + 1
    if words >= 3.5 and values.nunique() > 0.5 * len(values):
        return "text"
    return "id" if values.nunique() > 0.95 * len(values) and len(values) > 50 else "categorical"


def numbers(column: pd.Series[Any], what: str) -> Array | None:
    if what == "numeric":
        return column.to_numpy(dtype=float)
    if what == "date":
        parsed = pd.to_datetime(column.astype(str), errors="coerce", format="mixed")
        return np.asarray(parsed.astype("int64").where(parsed.notna(), np.nan), dtype=float)
    return None


def strength(column: pd.Series[Any], y: pd.Series[Any], kind: str, what: str) -> float | None:
    """|2 AUC - 1| (best class) or |Spearman| of the column alone; categories by their out-of-half target mean."""
    codes = pd.Series(pd.factorize(y, sort=True)[0]) if kind != "regression" else y.astype(float)
    values = half_encoded(column, codes) if what == "categorical" else numbers(column, what)
    if values is None:
        return None
    ok = np.isfinite(values)
    if ok.sum() < 20 or np.std(values[ok]) == 0:
        return 0.0
    if kind == "regression":
        return abs(float(stats.spearmanr(values[ok], codes.to_numpy()[ok])[0]))
    best = 0.0
    for k in list(codes.value_counts().index)[:10]:
        label = (codes.to_numpy()[ok] == k).astype(int)
        if 0 < label.sum() < len(label):
            best = max(best, abs(2 * auc(label, values[ok]) - 1))
    return best


def half_encoded(column: pd.Series[Any], codes: pd.Series[Any]) -> Array:
    """Target mean per category learned on the other half of the rows, so that many levels do not look strong by chance."""
    texts, half = column.astype(str).reset_index(drop=True), np.arange(len(column)) % 2
    values = np.full(len(column), np.nan)
    for side in (0, 1):
        means = codes[half != side].groupby(texts[half != side]).mean()
        values[half == side] = (
            texts[half == side].map(means).fillna(codes.mean()).to_numpy(dtype=float)
        )
    return values


def groups(
    train: pd.DataFrame, test: pd.DataFrame, prepared: Prepared, names: list[str]
) -> list[dict[str, Any]]:
    found = []
    for name in names:
        if name not in test or kind_of(train[name]) not in ("categorical", "numeric", "id"):
            continue
        n = train[name].nunique()
        if not (10 <= n <= len(train) / 1.8) or pd.api.types.is_float_dtype(train[name]):
            continue
        overlap = float(test[name].astype(str).isin(set(train[name].astype(str))).mean())
        if overlap < 0.05 or name == prepared.task.split.column:
            sizes = train[name].value_counts()
            found.append(
                {
                    "column": name,
                    "n": int(n),
                    "mean_size": float(sizes.mean()),
                    "constant_size": bool(sizes.nunique() == 1),
                    "test_overlap": overlap,
                }
            )
    return found[:5]


def times(train: pd.DataFrame, test: pd.DataFrame, prepared: Prepared) -> list[dict[str, Any]]:
    found = []
    for name in train.columns:
        known = splits.dates(train[name]) if name in test else None
        if known is not None:
            new = splits.dates(test[name])
            after = bool(new is not None and new.min() >= known.quantile(0.98))
            found.append(
                {
                    "column": str(name),
                    "test_after_train": after,
                    "sorted": bool(known.is_monotonic_increasing),
                }
            )
        elif name == prepared.task.split.column and prepared.task.split.kind == "time":
            found.append(
                {
                    "column": str(name),
                    "test_after_train": True,
                    "sorted": bool(train[name].is_monotonic_increasing),
                }
            )
    return found[:5]


def duplicates(train: pd.DataFrame, names: list[str], y: pd.Series[Any]) -> dict[str, float]:
    same = (
        train.duplicated(subset=names, keep=False) if names else pd.Series(False, index=train.index)
    )
    if not same.any():
        return {"rows": 0.0, "with_conflicting_target": 0.0}
    repeated = train[same]
    conflicting = repeated.groupby(names, dropna=False)[str(y.name)].transform("nunique") > 1
    return {
        "rows": float(train.duplicated(subset=names).mean()),
        "with_conflicting_target": float(conflicting.sum() / len(train)),
    }


def leaks(described: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Columns that know the target in train and are dead, absent or foreign in test."""
    found = []
    for column in described:
        power, drift = column.get("strength") or 0.0, column.get("drift") or 0.0
        dead = (
            column.get("constant_test")
            or column.get("absent_test")
            or column.get("missing_test", 0) > 0.95 > column["missing"]
        )
        if power > 0.3 and dead:
            found.append(
                {
                    "column": column["name"],
                    "strength": power,
                    "drift": drift,
                    "reason": "informative in train but empty or constant in test",
                }
            )
        elif power > LEAK_STRENGTH and drift > LEAK_DRIFT:
            found.append(
                {
                    "column": column["name"],
                    "strength": power,
                    "drift": drift,
                    "reason": "nearly gives the target away, and is distributed differently in test",
                }
            )
    return found


def texts(train: pd.DataFrame, described: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found = []
    for column in described:
        if column["kind"] == "text":
            sample = train[column["name"]].dropna().astype(str).head(500)
            words = [re.findall(r"\w+", value.lower()) for value in sample]
            vocabulary = len({word for line in words for word in line})
            found.append(
                {
                    "column": column["name"],
                    "mean_words": float(np.mean([len(line) for line in words])),
                    "vocabulary": vocabulary,
                }
            )
    return found


def reason(kind: str, column: str | None) -> str:
    return {
        "group": f"whole values of {column!r} are held out, as in test",
        "time": f"later rows by {column!r} are held out, as in test",
        "file": "folds given by the task",
    }.get(kind, "rows are exchangeable")


def notes(found: dict[str, Any]) -> list[str]:
    """Short facts, most important first."""
    said = [
        f"column {leak['column']!r} is suspected of leaking: {leak['reason']}"
        for leak in found["leaks"]
    ]
    for group in found["groups"]:
        said.append(
            f"rows come in groups of about {group['mean_size']:.1f} by {group['column']!r}; test has other groups"
        )
    said += [
        f"test lies after train by {time['column']!r}"
        for time in found["time"]
        if time["test_after_train"]
    ]
    aim = found["target"]
    if aim["kind"] == "regression" and abs(aim["skew"]) > 1.2:
        said.append(
            f"target is skewed ({aim['skew']:.1f}){', with ' + format(aim['zero_share'], '.0%') + ' zeros' if aim['zero_share'] > 0.05 else ''}"
        )
    if aim["kind"] != "regression" and min(aim["rates"].values()) < 0.15:
        said.append(f"classes are imbalanced: the rarest has {min(aim['rates'].values()):.1%}")
    many = [
        column["name"]
        for column in found["columns"]
        if column["kind"] == "categorical" and column["n_unique"] > 30
    ]
    said += [f"many levels: {', '.join(many[:4])}"] if many else []
    missing = [column["name"] for column in found["columns"] if column["missing"] > 0.05]
    said += [f"missing values in {', '.join(missing[:4])}"] if missing else []
    said += [
        f"text in {text['column']!r}, about {text['mean_words']:.0f} words a row"
        for text in found["text"]
    ]
    if found["duplicates"]["rows"] > 0.01:
        said.append(
            f"{found['duplicates']['rows']:.1%} of the training rows repeat another's features"
        )
    return said
