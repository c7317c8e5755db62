"""The form of a submission: which column holds what, matched by name and never by place."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from task.grade.metric import Metric
from task.grade.metrics import task_metric
from task.load.positive_words import find_said_positive
from task.types import CLASS_KINDS, FormColumn, SubmissionForm, Task, TaskError

POSITIVE_WORDS = ("1", "true", "yes", "y", "t", "positive", "pos", "present")
NEGATIVE_WORDS = ("0", "-1", "false", "no", "n", "f", "negative", "neg", "absent")
ROW_NUMBERS = "Unnamed: 0"  # a sample's first column without a name, as pandas saves its index
NEGATION = re.compile(r"^(not?|non|un|in|without)[ _-]*")
MAX_SAMPLE_TEXTS = 2000  # rows of the sample that show how it spells the classes


class NameMatch(NamedTuple):
    """Meanings of names, and how they were matched."""

    meaning: dict[str, str]  # name -> what it means
    how: str  # empty: the names are equal letter for letter


def label_text(value: object) -> str:
    """Return a label as text; 1.0 and 1 are the same."""
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    return str(value)


def class_labels(values: pd.Series[Any]) -> list[str]:
    """Return the distinct labels as text: in numeric order if all are numbers, else sorted."""
    texts = {label_text(value) for value in values.dropna().unique()}
    try:
        return sorted(texts, key=float)
    except ValueError:
        return sorted(texts)


def plain_name(text: str) -> str:
    """Return a name without case, blanks and marks; numbers in one spelling."""
    try:
        number = float(text)
        return str(int(number)) if number.is_integer() else repr(number)
    except (ValueError, OverflowError):
        composed = unicodedata.normalize("NFC", text.casefold())
        return re.sub(r"[\W_]+", "", composed) or text.strip()


def match_names(names: list[str], meanings: list[str]) -> NameMatch | None:
    """Find what every name means: by equal text, plain text, or a common prefix and suffix.

    Every meaning is found exactly once; names beyond them mean nothing. None: names do not
    decide.
    """
    if set(meanings) <= set(names):
        return NameMatch({name: name for name in names if name in set(meanings)}, "")
    plain = invert_unique(meanings, plain_name)
    if plain and (found := match_all(names, meanings, lambda name: plain.get(plain_name(name)))):
        return NameMatch(found, "without case, blanks and marks")
    return match_by_affix(names, meanings, plain or {})


def invert_unique(texts: Iterable[str], key: Callable[[str], str]) -> dict[str, str] | None:
    """Return key -> text; None where two texts have one key."""
    texts = list(texts)
    found = {key(text): text for text in texts}
    return found if len(found) == len(texts) else None


def match_all(
    names: list[str], meanings: list[str], find: Callable[[str], str | None]
) -> dict[str, str] | None:
    """Return name -> meaning if every meaning is found once."""
    found = {name: meaning for name in names if (meaning := find(name)) is not None}
    is_complete = len(set(found.values())) == len(found) == len(meanings)
    return found if is_complete else None


def match_by_affix(
    names: list[str], meanings: list[str], plain: dict[str, str]
) -> NameMatch | None:
    """Match names that are a meaning between a prefix and a suffix common to all."""
    if len(names) < 2 or len(meanings) < 2:
        return None
    answers: dict[tuple[tuple[str, str], ...], NameMatch] = {}
    for prefix, suffix in common_affixes(names, meanings, plain):

        def find(name: str, prefix: str = prefix, suffix: str = suffix) -> str | None:
            middle = strip_affix(name, prefix, suffix)
            if middle is None:
                return None
            return middle if middle in meanings else plain.get(plain_name(middle))

        if any(strip_affix(name, prefix, suffix) is None for name in names):
            continue
        if found := match_all(names, meanings, find):
            how = " and ".join(
                part
                for part in (
                    f"without the prefix {prefix!r}" if prefix else "",
                    f"without the suffix {suffix!r}" if suffix else "",
                )
                if part
            )
            answers.setdefault(tuple(sorted(found.items())), NameMatch(found, how))
    return next(iter(answers.values())) if len(answers) == 1 else None


def common_affixes(
    names: list[str], meanings: list[str], plain: dict[str, str]
) -> list[tuple[str, str]]:
    """List what can stand around a meaning in all names: every place of one in the first names."""
    found = []
    shortest = min(names, key=len)
    for start in range(len(shortest)):
        for end in range(start + 1, len(shortest) + 1):
            middle = shortest[start:end]
            if middle in meanings or plain_name(middle) in plain:
                found.append((shortest[:start], shortest[end:]))
    return list(dict.fromkeys(found))


def strip_affix(name: str, prefix: str, suffix: str) -> str | None:
    """Return the name without prefix and suffix; None if it has not both."""
    if len(name) <= len(prefix) + len(suffix):
        return None
    if not name.startswith(prefix) or not name.endswith(suffix):
        return None
    return name[len(prefix) : len(name) - len(suffix) or None]


def find_word(name: str, labels: list[str]) -> str | None:
    """Return the one label that a column's name is, or contains as a word; None otherwise."""
    plain = [label for label in labels if plain_name(label) == plain_name(name)]
    if len(plain) == 1:
        return plain[0]
    words = re.split(r"[\W_]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).casefold())
    if {"not", "non", "without"} & set(words):
        return None
    found = [label for label in labels if label.casefold() in words and len(label) > 1]
    if not found and len(words) > 1:
        found = [label for label in labels if label == words[-1]]
    return found[0] if len(found) == 1 else None


def word_of_positive(labels: list[str]) -> str | None:
    """Return which of two labels says yes: 1, True, yes …, or X beside not-X; None for neither."""
    one, two = labels
    for label, other in ((one, two), (two, one)):
        if plain_word(label) in POSITIVE_WORDS and plain_word(other) in NEGATIVE_WORDS:
            return label
        if NEGATION.match(plain_word(other)) and (
            plain_name(NEGATION.sub("", plain_word(other))) == plain_name(label)
        ):
            return label
    return None


def plain_word(label: str) -> str:
    """Return a label without case and blanks; a whole number without its point."""
    text = label.strip().casefold()
    return plain_name(text) if re.fullmatch(r"[+-]?\d+(\.0*)?", text) else text


class Positive(NamedTuple):
    """The positive class of a binary task, and why."""

    label: str
    why: str


def decide_positive(task: Task, labels: list[str], names: list[str]) -> Positive:
    """Decide whose probability a single column holds. Raises TaskError where nothing says it.

    `names`: the sample's prediction columns.
    """
    if task.positive:
        wanted = [label for label in labels if plain_name(label) == plain_name(task.positive)]
        if len(wanted) != 1:
            raise TaskError(
                f"task.yaml: positive {task.positive!r} is no class of {task.target[0]!r}; "
                f"it has {', '.join(map(repr, labels))}"
            )
        return Positive(wanted[0], "as task.yaml says")
    is_named = len(names) == 1 and plain_name(names[0]) != plain_name(task.target[0])
    if is_named and (label := find_word(names[0], labels)):
        return Positive(label, f"the sample's column {names[0]!r} names it")
    if label := word_of_positive(labels):
        return Positive(label, "by its word")
    if said := find_said_positive(task.description, labels):
        return Positive(said.label, f"description.md: {said.sentence!r}")
    raise TaskError(
        f"{task.train}: nothing says which class of {task.target[0]!r} is the positive one, "
        f"{' or '.join(map(repr, labels))}; set `positive: {labels[-1]}` (or the other) "
        "in task.yaml"
    )


def make_form(
    task: Task,
    train: pd.DataFrame,
    sample: pd.DataFrame | None,
    id_column: str,
) -> SubmissionForm:
    """Derive the form of submissions from the sample or, without one, from the target.

    Raises TaskError where names do not decide.
    """
    metric = task_metric(task)
    labels = class_labels(train[task.target[0]]) if task.kind in CLASS_KINDS else []
    names = prediction_names(task, sample, train)
    if sample is not None:
        check_sample_form(task, sample, names, labels)
    if len(task.target) > 1:
        form = form_of_targets(task, names)
    elif metric.needs == "probability" and labels and is_class_form(task, names, labels):
        form = form_of_classes(task, names, labels, id_column)
    else:
        form = form_of_one(task, names, labels, metric)
    return form.model_copy(
        update={
            "id": id_column,
            "bounds": metric.bounds if not labels else None,
            "sample_ids": sample_id_columns(task, sample),
            "order": [] if sample is None else [str(name) for name in sample.columns],
            "spelling": spell_as_sample(form, labels, sample, metric),
            "decided": form.decided + name_twins(labels),
        }
    )


def check_sample_form(
    task: Task, sample: pd.DataFrame, names: list[str], labels: list[str]
) -> None:
    """Refuse a sample of a row per id and class, or of words for several targets.

    Raises TaskError.
    """
    ids = sample_id_columns(task, sample)
    wanted = set(map(plain_name, labels))
    for name in names if labels and len(names) > 1 and sample[ids].duplicated().any() else []:
        said = set(map(plain_name, map(label_text, sample[name].dropna().unique())))
        if len(said) > 1 and said <= wanted and not sample.duplicated([*ids, name]).any():
            values = next(other for other in names if other != name)
            raise TaskError(
                f"{task.sample_submission} has a row for every {ids[0]!r} and class of {name!r}, "
                "and a submission here has a row per id: write the sample with a column per class "
                f"({', '.join([*ids, *labels][:6])}); pandas.melt(submission, {ids!r}, "
                f"var_name={name!r}, value_name={values!r}) then gives the rows that are asked for"
            )
    words = {*POSITIVE_WORDS, *NEGATIVE_WORDS}
    for name in names if len(task.target) > 1 and task.kind == "regression" else []:
        texts = [label_text(value) for value in sample[name].dropna().unique()[:MAX_SAMPLE_TEXTS]]
        if texts and all(text[:1].isalpha() and plain_word(text) in words for text in texts):
            raise TaskError(
                f"{task.sample_submission} asks for words such as {texts[0]!r} in {name!r}, and a "
                "submission of several targets holds numbers: write 0 and 1 there if numbers are "
                "taken, or set `target:` in task.yaml to one column alone"
            )


def name_twins(labels: list[str]) -> list[str]:
    """Say which classes differ by case, blanks and marks alone."""
    spellings: dict[str, list[str]] = {}
    for label in labels:
        spellings.setdefault(plain_name(label), []).append(label)
    twins = [same for same in spellings.values() if len(same) > 1]
    if not twins:
        return []
    listed = ", ".join(" and ".join(map(repr, same[:4])) for same in twins[:3])
    return [
        f"{listed} are classes of their own, though they differ by case, blanks or marks alone; "
        "write them alike if they are the same"
    ]


def sample_id_columns(task: Task, sample: pd.DataFrame | None) -> list[str]:
    """Return the id columns of the sample: one, or those that the id is put together of."""
    if sample is None:
        return []
    if task.id_parts and set(task.id_parts) <= set(map(str, sample.columns)):
        return list(task.id_parts)
    return [task.sample_id or str(sample.columns[0])]


def prediction_names(task: Task, sample: pd.DataFrame | None, train: pd.DataFrame) -> list[str]:
    """Return the sample's columns to predict: without its id and what rows have anyway."""
    if sample is None:
        return []
    names = [str(column) for column in sample.columns]
    ids = sample_id_columns(task, sample)
    rest = [name for name in names if name not in ids]
    rest = [name for name in rest if name != ROW_NUMBERS] or rest
    known = {str(column) for column in train.columns} - set(task.target)
    unknown = [name for name in rest if name not in known]
    return unknown if any(name in task.target for name in unknown) else rest


def is_class_form(task: Task, names: list[str], labels: list[str]) -> bool:
    """Whether a submission has a column per class."""
    return len(names) > 1 or (task.kind == "multiclass" and len(names) != 1)


def form_of_targets(task: Task, names: list[str]) -> SubmissionForm:
    """Return the form of several targets. Raises TaskError where names do not decide."""
    names = names or task.target
    match = given_match(names, task.target, task.columns) or match_names(names, task.target)
    if match is None or len(match.meaning) != len(names):
        raise TaskError(
            f"{task.sample_submission} has the columns {', '.join(names[:8])} for the targets "
            f"{', '.join(task.target[:8])}; say what each means with "
            f"`columns: {{{names[0]}: {task.target[0]}}}` in task.yaml"
        )
    return SubmissionForm(
        id="",
        columns=[FormColumn(name=name, target=match.meaning[name]) for name in names],
        decided=[f"columns of the sample matched with the targets {match.how}"] * bool(match.how),
    )


def given_match(names: list[str], meanings: list[str], given: dict[str, str]) -> NameMatch | None:
    """Return what a person has said, if it covers every meaning."""
    plain = invert_unique(meanings, plain_name) or {}
    found = match_all(names, meanings, lambda name: plain.get(plain_name(str(given.get(name)))))
    return NameMatch(found, "as task.yaml says") if found else None


def form_of_classes(
    task: Task, names: list[str], labels: list[str], id_column: str
) -> SubmissionForm:
    """Return the form with a column per class. Raises TaskError where names do not decide."""
    target, decided = task.target[0], []
    if not names:
        clash = {id_column} & set(labels)
        names = [f"{target}_{label}" if clash else label for label in labels]
    match = given_match(names, labels, task.columns) or match_names(names, labels)
    if match is None and (lacking := classes_without_column(names, labels)):
        raise TaskError(
            f"{task.sample_submission} has no column for the class {lacking[0]!r} of {target!r}, "
            f"which rows of {task.train} have; add it, or take those rows out"
        )
    if match is None:
        raise TaskError(
            f"{task.sample_submission} has the columns {', '.join(names[:8])} for the "
            f"{len(labels)} classes {', '.join(labels[:8])} of {target!r} and the names do not "
            f"decide which is which; say it with `columns: {{{names[0]}: {labels[0]}, …}}` "
            "in task.yaml"
        )
    if match.how:
        pairs = ", ".join(f"{name} = {match.meaning[name]}" for name in list(match.meaning)[:4])
        decided.append(f"columns of the sample matched with the classes {match.how}: {pairs}")
    extra = [name for name in names if name not in match.meaning]
    if extra:
        decided.append(
            f"no training row is of the class of {', '.join(extra[:5])}: its probability is zero"
        )
    meaning = match.meaning | {name: name for name in extra}
    return SubmissionForm(
        id="",
        columns=[FormColumn(name=name, target=target, label=meaning[name]) for name in names],
        labels=[meaning[name] for name in names],
        decided=decided,
    )


def classes_without_column(names: list[str], labels: list[str]) -> list[str]:
    """Return the classes that no column names, where every column names a class."""
    plain = {plain_name(name) for name in names}
    if not plain <= set(map(plain_name, labels)):
        return []
    return [label for label in labels if plain_name(label) not in plain]


def form_of_one(task: Task, names: list[str], labels: list[str], metric: Metric) -> SubmissionForm:
    """Return the form with one prediction column. Raises TaskError where the sample has more."""
    target, decided, sample_names = task.target[0], [], names
    if len(names) > 1:
        exact = [name for name in names if plain_name(name) == plain_name(target)]
        if len(exact) != 1:
            raise TaskError(
                f"{task.sample_submission} has {len(names)} prediction columns "
                f"({', '.join(names[:6])}) and the metric {task.metric} takes one; "
                "set `target:` or `metric:` in task.yaml"
            )
        names = exact
    if metric.needs == "probability" and task.kind == "multiclass":
        raise TaskError(
            f"{task.metric} needs a column of probabilities per class ({len(labels)}) and "
            f"{task.sample_submission} has one column; set another `metric:` in task.yaml, "
            "such as accuracy"
        )
    name = names[0] if names else target
    if name != target:
        decided.append(f"the sample's column {name!r} is the target {target!r}: it has no other")
    label = ""
    needs_positive = metric.needs == "probability" or metric.name == "f1"
    if task.kind == "binary" and needs_positive:
        label, why = decide_positive(task, labels, names)
        labels = [other for other in labels if other != label] + [label]
        decided.append(f"positive class: {label} ({why})")
    holds = label if metric.needs == "probability" else ""
    free = list_free_columns(task, sample_names, metric)
    return SubmissionForm(
        id="",
        columns=[
            FormColumn(name=name, target=target, label=holds),
            *(FormColumn(name=other, target="") for other in free),
        ],
        labels=labels,
        positive=label,
        decided=decided,
    )


def list_free_columns(task: Task, names: list[str], metric: Metric) -> list[str]:
    """List the sample's columns that the metric reads and that no label belongs to."""
    if metric.true_value is None:
        return []
    pattern = re.compile(metric.true_value[0], re.IGNORECASE)
    return [name for name in names if name not in task.target and pattern.search(name)]


def spell_as_sample(
    form: SubmissionForm, labels: list[str], sample: pd.DataFrame | None, metric: Metric
) -> dict[str, str]:
    """Return how the sample writes the classes, where it writes them another way than train."""
    if sample is None or metric.needs != "label" or not labels or len(form.columns) != 1:
        return {}
    column = sample[form.columns[0].name]
    texts = {label_text(v) for v in column.dropna().unique()[:MAX_SAMPLE_TEXTS]}
    raw = {str(value) for value in column.dropna().unique()[:MAX_SAMPLE_TEXTS]}
    if texts <= set(labels) and raw <= set(labels):
        return {}
    for style in (str.lower, str.upper, str.capitalize, whole_number, float_number, yes_as_one):
        spelled = {label: style(label) for label in labels}
        if raw <= set(spelled.values()) and len(set(spelled.values())) == len(labels):
            return spelled
    return {}


def whole_number(label: str) -> str:
    """Write 1.0 as 1."""
    return re.sub(r"^([+-]?\d+)\.0*$", r"\1", label)


def float_number(label: str) -> str:
    """Write 1 as 1.0."""
    return f"{label}.0" if re.fullmatch(r"[+-]?\d+", label) else label


def yes_as_one(label: str) -> str:
    """Write True as 1 and False as 0."""
    return {"true": "1", "false": "0"}.get(label.casefold(), label)
