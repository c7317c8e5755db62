"""Find the label columns of a task by the names in test and sample."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

import pandas as pd

from task.load.form import (
    NEGATIVE_WORDS,
    POSITIVE_WORDS,
    class_labels,
    label_text,
    match_names,
    plain_name,
    plain_word,
    word_of_positive,
)
from task.types import TaskError

USUAL_TARGETS = ("target", "label", "y")  # where the sample's one column has another name


def find_target_columns(
    named: list[str] | None,
    train: pd.DataFrame,
    test: pd.DataFrame,
    sample: list[str],
    id_column: str | None,
    path: Path,
) -> list[str]:
    """Return the label columns: the named ones, or what train has and test lacks.

    Several are in the order of the sample's columns. Raises TaskError.
    """
    if named:
        for name in named:
            if name not in train.columns:
                raise TaskError(
                    f"{path} has no target column {name!r}; "
                    f"set `target:` in task.yaml, or --target, to one of "
                    f"{list_columns(train, name)}"
                )
        return sorted(named, key=lambda name: place_of(name, sample))
    others = [str(name) for name in train.columns if name != id_column]
    absent = [name for name in others if name not in test.columns]
    empty = [name for name in others if name in test and is_empty_in_test(train, test, name)]
    for candidates in (absent, absent + empty):  # an empty column is a target only failing others
        if target := targets_of_sample(candidates, sample, train):
            return target
        if len(candidates) == 1:
            return candidates
    what = f"columns absent from test or empty there: {', '.join((absent + empty)[:12])}"
    raise TaskError(
        f"{path}: the target cannot be inferred "
        f"({what if absent or empty else 'no column of train is absent from test'}); "
        "set `target:` in task.yaml, or `gome init FOLDER --target NAME`"
    )


def is_empty_in_test(train: pd.DataFrame, test: pd.DataFrame, name: str) -> bool:
    """Whether test has the column without any value, while train has values in every row."""
    return bool(len(test) and test[name].isna().all() and train[name].notna().any())


def place_of(name: str, sample: list[str]) -> int:
    """Return the place of a column in the sample; the end for another."""
    plain = [plain_name(column) for column in sample]
    return plain.index(plain_name(name)) if plain_name(name) in plain else len(plain)


def targets_of_sample(absent: list[str], sample: list[str], train: pd.DataFrame) -> list[str]:
    """Return the columns absent from test that the sample names, or whose classes it names."""
    if exact := [name for name in sample if name in absent]:
        return exact
    plain = {plain_name(name): name for name in absent}
    if loose := [plain[plain_name(name)] for name in sample if plain_name(name) in plain]:
        return loose
    names = sample[1:]
    if len(names) < 2:
        usual = [name for name in absent if name.lower() in USUAL_TARGETS]
        return usual if names and len(usual) == 1 else []
    if len(absent) > 1 and (match := match_names(names, absent)):
        return [match.meaning[name] for name in names if name in match.meaning]
    by_class = [
        name
        for name in absent
        if train[name].nunique() <= len(names) and match_names(names, class_labels(train[name]))
    ]
    return by_class if len(by_class) == 1 else []


def list_columns(frame: pd.DataFrame, near: str = "") -> str:
    """Return the column names for a message, at most twelve; those like `near` stand first."""
    known = [str(column) for column in frame.columns]
    plain = {name.casefold(): name for name in reversed(known)}
    close = [plain[text] for text in get_close_matches(near.casefold(), plain, cutoff=0.5)]
    names = [*close, *(name for name in known if name not in close)]
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")


def number_words(rows: pd.DataFrame, target: list[str]) -> tuple[pd.DataFrame, list[str]]:
    """Return rows whose targets in words (yes and no, True and False) are 1 and 0; say so.

    A target of other words stays as it is.
    """
    changes, pairs = {}, {}
    for name in target:
        if pd.api.types.is_numeric_dtype(rows[name]) and not pd.api.types.is_bool_dtype(rows[name]):
            continue
        labels = class_labels(rows[name])
        if (numbers := number_labels(labels)) is None:
            continue
        changes[name] = rows[name].map(lambda value, known=numbers: known[label_text(value)])
        pairs.update(numbers)
    if not changes:
        return rows, []
    listed = ", ".join(f"{label} = {number:g}" for label, number in list(pairs.items())[:4])
    said = f"{len(changes)} targets in words are written as numbers: {listed}"
    return rows.assign(**changes), [said]


def number_labels(labels: list[str]) -> dict[str, float] | None:
    """Return 1 for the label that says yes and 0 for the other; None where no word says it."""
    if len(labels) == 2 and (positive := word_of_positive(labels)):
        return {label: float(label == positive) for label in labels}
    words = [plain_word(label) for label in labels]
    if len(words) == 1 and words[0] in {*POSITIVE_WORDS, *NEGATIVE_WORDS}:
        return {labels[0]: float(words[0] in POSITIVE_WORDS)}
    return None
