"""The data profile, once per task: what an engineer looks up before the first script.

It reads the public tables only. Its keys are those of `task.types.Profile`.
"""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from task.data import splits
from task.data.hazards import find_hazards, has_few_words
from task.data.media.look import profile_media
from task.grade.evidence import clean_json
from task.grade.metrics import roc_auc, task_metric
from task.load.dates import is_iso_date
from task.load.tables import read_public_table
from task.types import (
    CLASS_KINDS,
    ColumnKind,
    ColumnProfile,
    DuplicateShares,
    GroupColumn,
    Hazards,
    Kind,
    LeakyColumn,
    Prepared,
    Profile,
    TargetProfile,
    TextColumn,
    TimeColumn,
)

Array = NDArray[Any]
MAX_ROWS = 20_000  # a larger table is sampled
MAX_COLUMNS = 200
MAX_TARGETS = 12
LEAK_STRENGTH, LEAK_DRIFT = 0.8, 0.15
WORD_BREAK = r"\s+|[\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af]{2}"  # two signs are about a word
MAX_EXAMPLE_CHARS = 120
MAX_OVERLAP = 0.05  # of test rows in groups of train, below which test has other groups
DEAD_STRENGTH = 0.3  # a column that is dead in test leaks from this strength on
RARE_OF_EQUAL_SHARE = 0.3  # below this part of 1 / classes the rarest class is told
MIN_LENGTHS, LETTERS_SHARE, DIGITS_SHARE = 5, 0.6, 0.2  # of words; codes differ
EMPTY_SHARE = 0.95  # of missing values, above which a column counts as empty


def profile_data(prepared: Prepared) -> dict[str, Any]:
    """Profile a prepared task; return a Profile as plain JSON."""
    task = prepared.task
    train = read_public_table(prepared.public, "train")
    test = read_public_table(prepared.public, "test")
    rows = {"train": len(train), "test": len(test)}
    hazards = find_hazards(train, test, prepared)
    is_id_date = is_iso_date(train[prepared.id]) and is_iso_date(test[prepared.id])
    train, test = sample_rows(train), sample_rows(test)
    y = train[task.target[0]]
    if task.kind == "text":
        y = y.astype(object).where(y.notna(), "").map(str)
    names = [str(column) for column in train.columns if column not in (prepared.id, *task.target)]
    columns = [
        profile_column(train[name], test.get(name), y, task.kind) for name in names[:MAX_COLUMNS]
    ]
    others = [column for column in columns if column["name"] != task.split.column]
    reason = explain_split(task.split.kind, task.split.column)
    profile = Profile(
        rows=rows,
        n_columns=len(names),
        target=profile_target(y, task.target[0], task.kind),
        prediction=task_metric(task).needs,
        columns=columns,
        groups=find_group_columns(train, test, prepared, names),
        time=find_time_columns(train, test, prepared),
        duplicates=duplicate_shares(train, names, y),
        leaks=flag_leaky_columns(others, task.kind, drift_noise(len(train), len(test))),
        text=profile_texts(train, columns),
        split=task.split.model_dump() | {"reason": reason},
        hazards=hazards,
    )
    if more_targets := other_targets(train, prepared):
        profile["targets"] = more_targets
    if is_id_date:
        profile["id_is_date"] = True
    if more := kinds_of_columns(train, test, names[MAX_COLUMNS:]):
        profile["more"] = more
    if media := profile_media(prepared):
        profile["media"] = media
    add_text_hazards(hazards, train, [*text_names(columns), *more.get("text", [])])
    profile["notes"] = profile_notes(profile)
    return clean_json(profile)  # type: ignore[no-any-return]


def text_names(columns: list[ColumnProfile]) -> list[str]:
    """Return the names of the columns of free text."""
    return [column["name"] for column in columns if column["kind"] == "text"]


def add_text_hazards(hazards: Hazards, train: pd.DataFrame, names: list[str]) -> None:
    """Add the text columns in which too few words repeat."""
    few = [name for name in names if has_few_words(train[name], hazards["smallest_fit"])]
    if few:
        hazards["few_words"] = few


def kinds_of_columns(
    train: pd.DataFrame, test: pd.DataFrame, names: list[str]
) -> dict[ColumnKind, list[str]]:
    """Return the columns that are not described one by one, by kind, without those of no use."""
    kinds: dict[ColumnKind, list[str]] = {}
    for name in names:
        kind = column_kind(train[name])
        if name in test and kind not in ("constant", "id"):
            kinds.setdefault(kind, []).append(name)
    return kinds


def sample_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """Draw MAX_ROWS rows of a larger table, in their order."""
    if len(frame) <= MAX_ROWS:
        return frame
    return frame.sample(MAX_ROWS, random_state=0).sort_index().reset_index(drop=True)


def profile_target(y: pd.Series[Any], name: str, kind: Kind) -> TargetProfile:
    """Describe the target: class rates, or the distribution of its values."""
    if kind == "text":
        common = y.value_counts(normalize=True).head(3).round(4)
        return TargetProfile(
            name=name,
            kind=kind,
            n_unique=int(y.nunique()),
            empty_share=float((y == "").mean()),
            mean_chars=float(y.str.len().mean()),
            mean_words=float(np.mean([len(str(text).split()) for text in y])),
            rates={str(text)[:MAX_EXAMPLE_CHARS]: float(share) for text, share in common.items()},
            examples=[str(text)[:MAX_EXAMPLE_CHARS] for text in y.drop_duplicates().head(4)],
        )
    if kind != "regression":
        shares = y.astype(str).value_counts(normalize=True).head(30).round(4)
        rates = {str(label): float(share) for label, share in shares.items()}
        target = TargetProfile(name=name, kind=kind, n_classes=int(y.nunique()), rates=rates)
        if target["n_classes"] > len(rates):
            target["labels"] = [str(label) for label in y.unique()]
        return target
    values = y.to_numpy(dtype=float)
    return TargetProfile(
        name=name,
        kind=kind,
        skew=float(stats.skew(values)),
        zero_share=float((values == 0).mean()),
        min=values.min(),
        max=values.max(),
        mean=values.mean(),
        nonnegative=bool((values >= 0).all()),
        integer=bool((values == np.round(values)).all()),
        n_unique=int(y.nunique()),
    )


def other_targets(train: pd.DataFrame, prepared: Prepared) -> list[TargetProfile]:
    """Describe the targets after the first, at most MAX_TARGETS."""
    task = prepared.task
    if task.kind == "text":
        return []
    names = task.target[1:MAX_TARGETS]
    return [profile_target(train[name], name, task.kind) for name in names]


def profile_column(
    column: pd.Series[Any], other: pd.Series[Any] | None, y: pd.Series[Any], kind: Kind
) -> ColumnProfile:
    """Describe a column of train; `other` is the same column of test."""
    what = column_kind(column)
    profile = ColumnProfile(
        name=str(column.name),
        kind=what,
        dtype=str(column.dtype),
        missing=float(column.isna().mean()),
        n_unique=int(column.nunique()),
        examples=[str(value)[:60] for value in column.dropna().unique()[:3]],
        strength=column_strength(column, y, kind, what),
    )
    if column.isna().any():
        is_missing = column.isna().astype(float)
        profile["missing_strength"] = column_strength(is_missing, y, kind, "numeric")
    if what == "numeric":
        values: Any = column.dropna().astype(float)
        values = values[np.isfinite(values)]
        profile["min"], profile["max"] = float(values.min()), float(values.max())
        with np.errstate(over="ignore", invalid="ignore"):
            profile["mean"], profile["skew"] = float(values.mean()), float(values.skew())
    if what == "text":
        profile["mean_chars"] = float(column.dropna().astype(str).str.len().mean())
    if other is None:
        profile["absent_test"] = True
    else:
        profile.update(compare_with_test(column, other, what))
    return profile


def compare_with_test(
    column: pd.Series[Any], other: pd.Series[Any], what: ColumnKind
) -> ColumnProfile:
    """Compare train with test: missing share, drift, unseen categories, constant in test."""
    profile = ColumnProfile(
        missing_test=float(other.isna().mean()),
        constant_test=other.nunique() <= 1 and column.nunique() > 1,
    )
    both = pd.concat([column, other], ignore_index=True)
    is_test = np.r_[np.zeros(len(column)), np.ones(len(other))]
    if what == "categorical":
        categories = set(column.dropna().astype(str))
        is_unseen = ~other.dropna().astype(str).isin(categories)
        profile["unseen"] = float(is_unseen.mean()) if len(is_unseen) else 0.0
        values = (
            encode_by_halves(both, pd.Series(is_test)) if both.nunique() < len(both) / 5 else None
        )
    else:
        values = column_numbers(both, what)
    if values is not None and 0 < is_test.sum() < len(is_test):
        below = np.nanmin(values) - 1 if np.isfinite(values).any() else 0
        separation = roc_auc(is_test.astype(int), np.nan_to_num(values, nan=below))
        drift = 2 * separation - 1
        # levels coded by what the other half of the rows says: where all levels are as common in
        # test, the halves contradict each other, and the codes separate the wrong way round
        profile["drift"] = max(0.0, drift) if what == "categorical" else abs(drift)
    return profile


def column_kind(column: pd.Series[Any]) -> ColumnKind:
    """Infer what a column contains from its values."""
    if column.nunique(dropna=True) <= 1:
        return "constant"
    if pd.api.types.is_bool_dtype(column):
        return "categorical"
    if pd.api.types.is_numeric_dtype(column):
        return "numeric"
    if splits.parse_dates(column) is not None:
        return "date"
    values = column.dropna().astype(str).head(2000)
    words = values.astype(object).str.count(WORD_BREAK).mean() + 1  # Arrow has no such pattern
    if words >= 3.5 and values.nunique() > 0.5 * len(values):
        return "text"
    if values.nunique() <= 0.95 * len(values) or len(values) <= 50:
        return "categorical"
    return "text" if holds_words(values) else "id"


def holds_words(values: pd.Series[Any]) -> bool:
    """Whether different values are words, names or formulas, whose letters may tell something.

    Codes, numbers and paths are not: they have many digits, one length, or an ending.
    """
    texts = values.astype(object)
    size, n_digits = texts.str.len(), texts.str.count(r"\d").sum()
    n_letters = texts.str.count(r"[^\W\d_]").sum()
    is_path = texts.str.contains(r"^\w+://|[/\\]\w+\.\w+$|\.\w{2,4}$")
    return bool(
        size.nunique() >= MIN_LENGTHS
        and n_letters >= LETTERS_SHARE * size.sum()
        and n_digits <= DIGITS_SHARE * size.sum()
        and is_path.mean() < 0.5
    )


def column_numbers(column: pd.Series[Any], what: ColumnKind) -> Array | None:
    """Return a numeric or date column as numbers; None for other kinds."""
    if what == "numeric":
        values = column.to_numpy(dtype=float, na_value=np.nan)
        return np.where(np.isinf(values), np.nan, values)
    if what == "date":
        dates = splits.to_dates(column)
        return np.asarray(dates.astype("int64").where(dates.notna(), np.nan), dtype=float)
    return None


def column_strength(
    column: pd.Series[Any], y: pd.Series[Any], kind: Kind, what: ColumnKind
) -> float | None:
    """Return |2 AUC - 1| (best class) or |Spearman| of the column alone, 0..1.

    Categories count by the target mean of the other half of the rows. None for other kinds.
    """
    if kind == "text":  # what is told of the length of the text
        y, kind = y.str.len(), "regression"
    codes = pd.Series(pd.factorize(y, sort=True)[0]) if kind != "regression" else y.astype(float)
    values = (
        encode_by_halves(column, codes) if what == "categorical" else column_numbers(column, what)
    )
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
            best = max(best, abs(2 * roc_auc(label, values[ok]) - 1))
    return best


def encode_by_halves(column: pd.Series[Any], codes: pd.Series[Any]) -> Array:
    """Replace each category by its target mean over the other half of the rows.

    The halves keep many levels from looking strong by chance.
    """
    texts, half = column.astype(str).reset_index(drop=True), np.arange(len(column)) % 2
    values = np.full(len(column), np.nan)
    for side in (0, 1):
        means = codes[half != side].groupby(texts[half != side]).mean()
        encoded = texts[half == side].map(means).fillna(codes.mean())
        values[half == side] = encoded.to_numpy(dtype=float)
    return values


def find_group_columns(
    train: pd.DataFrame, test: pd.DataFrame, prepared: Prepared, names: list[str]
) -> list[GroupColumn]:
    """Find entities with several rows each; at most five."""
    groups = []
    for name in names:
        if name not in test or column_kind(train[name]) not in ("categorical", "numeric", "id"):
            continue
        n = train[name].nunique()
        if not (10 <= n <= len(train) / 1.8) or pd.api.types.is_float_dtype(train[name]):
            continue
        overlap = float(test[name].astype(str).isin(set(train[name].astype(str))).mean())
        if overlap < MAX_OVERLAP or name == prepared.task.split.column:
            sizes = train[name].value_counts()
            group = GroupColumn(
                column=name,
                n=int(n),
                mean_size=float(sizes.mean()),
                constant_size=bool(sizes.nunique() == 1),
                test_overlap=overlap,
            )
            groups.append(group)
    return groups[:5]


def find_time_columns(
    train: pd.DataFrame, test: pd.DataFrame, prepared: Prepared
) -> list[TimeColumn]:
    """Find the columns of dates, and the column of a time split; at most five."""
    columns = []
    split = prepared.task.split
    for name in train.columns:
        dates = splits.parse_dates(train[name]) if name in test else None
        if dates is not None:
            test_dates = splits.parse_dates(test[name])
            is_after = test_dates is not None and test_dates.min() >= dates.quantile(0.98)
        elif name == split.column and split.kind == "time":
            dates, is_after = train[name], True
        else:
            continue
        is_sorted = bool(dates.is_monotonic_increasing)
        columns.append(
            TimeColumn(column=str(name), test_after_train=bool(is_after), sorted=is_sorted)
        )
    return columns[:5]


def duplicate_shares(train: pd.DataFrame, names: list[str], y: pd.Series[Any]) -> DuplicateShares:
    """Return the shares of rows that repeat another's features, and with another target."""
    is_repeated = pd.Series(False, index=train.index)
    if names:
        is_repeated = train.duplicated(subset=names, keep=False)
    if not is_repeated.any():
        return DuplicateShares(rows=0.0, with_conflicting_target=0.0)
    groups = train[is_repeated].groupby(names, dropna=False)
    is_conflicting = groups[str(y.name)].transform("nunique") > 1
    return DuplicateShares(
        rows=float(train.duplicated(subset=names).mean()),
        with_conflicting_target=float(is_conflicting.sum() / len(train)),
    )


def drift_noise(n: int, m: int) -> float:
    """Return the drift that samples of one distribution rarely exceed: three standard errors."""
    return 6 * math.sqrt((n + m + 1) / (12 * n * m))


def flag_leaky_columns(
    columns: list[ColumnProfile], kind: Kind, noise: float = 0.0
) -> list[LeakyColumn]:
    """Flag columns that tell the target in train and are dead, absent or different in test.

    `noise`: drift of small tables that says nothing. That a text tells the text to answer with is
    the task itself.
    """
    leaky = []
    for column in columns:
        strength, drift = column.get("strength") or 0.0, column.get("drift") or 0.0
        fate = _fate_in_test(column)
        if strength > DEAD_STRENGTH and fate:
            reason = f"informative in train but {fate}"
        elif strength > LEAK_STRENGTH and drift > max(LEAK_DRIFT, noise) and kind != "text":
            reason = "nearly gives the target away, and is distributed differently in test"
        else:
            continue
        leaky.append(
            LeakyColumn(column=column["name"], strength=strength, drift=drift, reason=reason)
        )
    return leaky


def _fate_in_test(column: ColumnProfile) -> str:
    """Say why a column tells nothing in test; empty: it may tell something."""
    if column.get("absent_test"):
        return "absent from test"
    if column.get("missing_test", 0) > EMPTY_SHARE > column["missing"]:
        return "empty in test"
    return "constant in test" if column.get("constant_test") else ""


def profile_texts(train: pd.DataFrame, columns: list[ColumnProfile]) -> list[TextColumn]:
    """Describe the columns of free text by their first rows."""
    texts = []
    for column in columns:
        if column["kind"] == "text":
            sample = train[column["name"]].dropna().astype(str).head(500)
            words = [re.findall(r"\w+", value.lower()) for value in sample]
            vocabulary = len({word for line in words for word in line})
            mean_words = float(np.mean([len(line) for line in words]))
            texts.append(
                TextColumn(column=column["name"], mean_words=mean_words, vocabulary=vocabulary)
            )
    return texts


def explain_split(kind: str, column: str | None) -> str:
    """Return the reason for a split."""
    return {
        "group": f"whole values of {column!r} are held out, as in test",
        "time": f"later rows by {column!r} are held out, as in test",
        "file": "folds given by the task",
    }.get(kind, "rows are exchangeable")


def profile_notes(profile: Profile) -> list[str]:
    """Return short facts about the data, most important first."""
    notes = [
        f"column {leak['column']!r} is suspected of leaking: {leak['reason']}"
        for leak in profile["leaks"]
    ]
    notes += _group_notes(profile["groups"])
    for time in profile["time"]:
        if time["test_after_train"]:
            order = "its order" if time["sorted"] else "no order of it"
            notes.append(f"test comes after train by {time['column']!r}, rows stand in {order}")
    notes += target_notes(profile["target"])
    notes += _column_notes(profile["columns"])
    notes += _hazard_notes(profile["hazards"], profile["target"])
    for text in profile["text"]:
        notes.append(
            f"text in {text['column']!r}, about {text['mean_words']:.0f} words a row,"
            f" {text['vocabulary']:,} different words in the first 500 rows"
        )
    for kind in profile.get("media", []):
        notes.append(
            f"{kind['train_share']:.0%} of the training rows and {kind['test_share']:.0%} of the "
            f"test rows have {kind['ending']} files ({kind['kind']}), listed in input/index.csv"
        )
    repeated = profile["duplicates"]["rows"]
    if repeated > 0.01:
        notes.append(f"{repeated:.1%} of the training rows repeat another's features")
    return notes


def _group_notes(groups: list[GroupColumn]) -> list[str]:
    notes = []
    for group in groups:
        mean, overlap = group["mean_size"], group["test_overlap"]
        size = f"{mean:.0f}" if group["constant_size"] else f"about {mean:.1f}"
        other = f"{overlap:.0%} of the test rows are of groups of train"
        notes.append(
            f"rows come in groups by {group['column']!r}, {size} rows each;"
            f" {'test has other groups' if overlap < MAX_OVERLAP else other}"
        )
    return notes


def _hazard_notes(hazards: Hazards, target: TargetProfile) -> list[str]:
    notes = []
    if target["kind"] in CLASS_KINDS and hazards.get("fewest_of_class") == 0:
        notes.append("some fold trains without one of the classes: give it probability zero there")
    for key, what in (("empty", "no value in some fold's training part:"), ("huge", "infinite:")):
        if names := hazards.get(key):
            notes.append(f"{what} {', '.join(list(names)[:4])}")  # type: ignore[call-overload]
    return notes


def target_notes(target: TargetProfile) -> list[str]:
    """Return what is special about the target, in words."""
    if target["kind"] == "regression":
        zeros = f", with {target['zero_share']:.0%} zeros" if target["zero_share"] > 0.05 else ""
        is_skewed = abs(target["skew"]) > 1.2
        return [f"target is skewed ({target['skew']:.1f}){zeros}"] if is_skewed else []
    if target["kind"] == "text":
        empty = f", {target['empty_share']:.0%} empty" if target["empty_share"] else ""
        return [
            f"labels are texts of about {target['mean_chars']:.0f} characters, "
            f"{target['n_unique']} different ones{empty}"
        ]
    rates, n = target["rates"], target["n_classes"]
    if n > len(rates):  # the rest of them are rarer
        return [f"{n} classes; the commonest has {max(rates.values()):.1%} of the rows"]
    rarest = min(rates.values())
    is_imbalanced = rarest < RARE_OF_EQUAL_SHARE / n
    return [f"classes are imbalanced: the rarest has {rarest:.1%}"] if is_imbalanced else []


def _column_notes(columns: list[ColumnProfile]) -> list[str]:
    many = [c["name"] for c in columns if c["kind"] == "categorical" and c["n_unique"] > 30]
    gaps = [column["name"] for column in columns if column["missing"] > 0.05]
    return [
        f"{what} {', '.join(names[:4])}"
        for what, names in (("many levels:", many), ("missing values in", gaps))
        if names
    ]
