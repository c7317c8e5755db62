"""Decide kind and metric from target, sample and words together; refuse what cannot be scored."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any, NamedTuple

import pandas as pd

from task.grade.frames.boxes import MIN_IOU
from task.grade.frames.lists import find_separator, split_words
from task.grade.frames.tables import WEIGHT_NAMES, group_columns
from task.grade.metric import Metric
from task.grade.metric_words import MetricWords, find_judging, find_scored_targets
from task.grade.metrics import METRICS, TEXT_TWINS, get_metric, metric_for_targets, unscorable
from task.load.form import class_labels, plain_name
from task.load.rows import kind_of
from task.types import Direction, Kind, MetricNeededError, Task, TaskError

DEFAULT_METRICS: dict[Kind, str] = {"binary": "auc", "multiclass": "log_loss", "regression": "rmse"}
COLUMN_METRICS = ("kl_divergence", "lwlrap", "mean_angular_error", "distance_percentiles")
"""Metrics of several targets."""
LIST_TWINS = {"f1_micro": "tags_f1_micro", "f1_macro": "tags_f1_macro"}
PER_ROW = re.compile(
    r"\b(each|every|per)[ -](row|sample|example|image|picture|question|observation|instance|item"
    r"|user|document|text)\b|(example|sample|instance)[- ](based|averaged|wise)",
    re.IGNORECASE,
)
"""How a sentence says that a score of label sets is the mean over rows."""
MASK_TWINS = {"f1": "dice_masks", "jaccard": "iou_masks"}
"""What Dice and Jaccard mean of masks."""
FORMED = ("weighted_log_loss", "bias_auc", "distance_percentiles", "lwlrap")
"""Metrics that are weighted or grouped themselves."""
MAX_TEXTS_READ, MIN_LIST_SHARE, RECURRING_SHARE, MAX_LABEL_CHARS = 5000, 0.2, 0.8, 40
ALONE_SHARE = 0.5  # of the words of lists that are labels by themselves in other rows
MAX_CLASSES, MAX_CLASS_SHARE = 1000, 0.05
MAX_DISTINCT_SHARE = 0.5
"""More distinct labels than both, or than half of the rows, are texts, where the metric scores
texts."""
MIN_COPIED_LABELS, MIN_COPIED_SHARE = 20, 0.5  # distinct labels, and of the rows
SUM_TOLERANCE = 1e-6
OWN_REMEDY = (
    "put a file metric.py with score(answers, submission) into the folder and set "
    "`metric: metric.py` and `direction:` in task.yaml"
)
REMEDY = "set `metric:`, `kind:` or `target:` in task.yaml"


class Asked(NamedTuple):
    """What task.yaml and the description say about kind and metric."""

    metric: str  # named in task.yaml; empty: not named
    words: MetricWords | None  # of the description, where task.yaml names none
    direction: Direction | None
    kind: Kind | None
    copied: str = ""  # column of both tables that the labels mostly repeat

    @property
    def name(self) -> str:
        """The metric that is named anywhere; empty for none."""
        return self.metric or (self.words.name if self.words else "")

    @property
    def source(self) -> str:
        """Where it is named, for messages."""
        return f" (read from {self.words.sentence!r})" if self.words else ""


class Decision(NamedTuple):
    """Kind and metric, decided together, and what was decided beyond their names."""

    kind: Kind
    metric: Metric
    remarks: list[str]


def decide_metric(
    asked: Asked,
    task: Task,
    train: pd.DataFrame,
    sample: pd.DataFrame | None,
    names: list[str],
    columns: list[str] | None = None,
) -> Decision:
    """Decide kind and metric together. Raises TaskError where they contradict each other.

    `names`: the sample's prediction columns. `columns`: all names of the training table, where
    `train` has only ids and targets (see `reads_features`).
    """
    columns = list(map(str, train.columns)) if columns is None else columns
    if asked.words and asked.words.foreign:
        raise MetricNeededError(
            f"description.md asks for {asked.words.foreign} ({asked.words.sentence!r}), which is "
            f"not built in; {OWN_REMEDY}, or name another metric there"
        )
    values, n_targets = train[task.target[0]], len(task.target)
    wanted = name_form(asked, values, columns)
    named = get_metric(wanted, asked.direction) if wanted else None
    said = sample[names[0]] if sample is not None and len(names) == 1 else None
    is_copy = bool(asked.copied)
    kind = asked.kind or infer_kind(values, n_targets, len(names), named, said, is_copy=is_copy)
    name = named.name if named else default_metric(kind, names, sample, train[task.target])
    if not name.endswith(".py"):
        name = name_for_targets(name, train, task)
    if name == "f1" and kind == "multiclass":
        name = "f1_macro"
    metric = get_metric(name, asked.direction, kind)
    check_direction(metric, asked)
    check_kind(metric, kind, values, task, asked)
    check_columns(metric, train, columns, task)
    remarks = metric_remarks(asked, metric, kind, columns, task)
    if metric.name == "bias_auc":
        remarks.append(f"groups: {', '.join(group_columns(train, task.target)[:12])}")
    return Decision(kind, metric, remarks)


def check_direction(metric: Metric, asked: Asked) -> None:
    """Refuse a `direction:` that a built-in metric does not have. Raises TaskError."""
    if asked.direction in (None, metric.direction) or metric.is_own:
        return
    way = "higher" if metric.direction == "max" else "lower"
    raise TaskError(
        f"task.yaml: direction {asked.direction} contradicts the metric {metric.name}, of which "
        f"{way} is better; take `direction:` out, or set another `metric:`"
    )


def reads_features(asked: Asked) -> bool:
    """Whether other columns than ids and targets decide on the metric."""
    return asked.name == "bias_auc"


def name_form(asked: Asked, values: pd.Series[Any], columns: list[str]) -> str:
    """Return the metric's name with what restricts or groups its rows, by the table's columns.

    Raises TaskError for a name that means several metrics of such labels.
    """
    words, name = asked.words, asked.name
    if is_run_lengths(values):
        name = MASK_TWINS.get(name, name) if words else name
    elif name in LIST_TWINS and (is_span_list(values) or is_label_list(values)):
        name = LIST_TWINS[name]
    elif is_label_list(values) and name == "f1" and words:
        name = "tags_f1_samples" if PER_ROW.search(words.sentence) else "tags_f1_micro"
    elif is_label_list(values) and name == "f1":
        raise MetricNeededError(
            "task.yaml: F1 means three things where a cell has several labels; set `metric:` "
            "there to tags_f1_micro (all labels together), tags_f1_samples (the mean over "
            "rows) or tags_f1_macro (the mean over labels)"
        )
    if words is None:
        return name
    if name == "map_boxes" and words.overlap:
        return name if float(words.overlap) == MIN_IOU else f"{name}@{float(words.overlap):g}"
    if not name or name not in METRICS or METRICS[name].needs != "value" or METRICS[name].frame:
        return name
    for column, value in words.conditions:
        if column in columns:
            return f"{name}_where_{column}_is_{value}"
    groups = [column for column in columns if is_named(column, words.groups)]
    if name == "log_mae":
        if len(groups) == 1:
            return f"{name}_per_{groups[0]}"
        raise MetricNeededError(
            f"the logarithm of the mean absolute error{asked.source} is averaged over groups, and "
            "no column is named as theirs; set `metric: log_mae_per_COLUMN` in task.yaml"
        )
    return name


def is_named(column: str, words: tuple[str, ...]) -> bool:
    """Whether one of the words names a column: itself, in the plural, or its last word."""
    plain = column.casefold()
    return any(word.casefold().rstrip("s") in (plain, plain.rpartition("_")[2]) for word in words)


def is_run_lengths(values: pd.Series[Any]) -> bool:
    """Whether cells are masks: pairs of start and length, empty where there is nothing."""
    if is_numeric(values):
        return False
    texts = values.dropna().astype(str).head(MAX_TEXTS_READ)
    n_words = [len(text.split()) for text in texts]
    is_mask = all(re.fullmatch(r"-1?|[\d\s]*", text) for text in texts)
    return is_mask and any(n > 1 for n in n_words) and all(n % 2 == 0 or n == 1 for n in n_words)


def is_span_list(values: pd.Series[Any]) -> bool:
    """Whether cells are spans of words such as 12:30, a truth word, or empty."""
    texts = values.dropna().astype(str).head(MAX_TEXTS_READ)
    is_span = all(re.fullmatch(r"(\d+:\d+( \d+:\d+)*|YES|NO)?", text) for text in texts)
    return is_span and bool(texts.astype(object).str.contains(r"\d:\d").any())


def is_label_list(values: pd.Series[Any]) -> bool:
    """Whether cells are lists of labels: words, separated by blanks or marks, that recur.

    Names of classes may have several words too; there are no more names than words then, and no
    word is a name by itself.
    """
    cells = read_lists(values)
    several = [cell for cell in cells if len(cell) > 1]
    if not several or len(several) < MIN_LIST_SHARE * len(cells):
        return False
    words = Counter(word for cell in several for word in cell)
    total = sum(words.values())
    if any(len(word) > MAX_LABEL_CHARS for word in words):
        return False
    alone = {cell[0] for cell in cells if len(cell) == 1}
    if sum(count for word, count in words.items() if word in alone) >= ALONE_SHARE * total:
        return True
    n_recurring = sum(count for count in words.values() if count > 1)
    has_combinations = len({frozenset(cell) for cell in cells}) > len({*words, *alone})
    return has_combinations and n_recurring > RECURRING_SHARE * total


def is_list_of_relevant(values: pd.Series[Any]) -> bool:
    """Whether cells are lists of things to find, for a ranking metric: hardly two are alike."""
    cells = read_lists(values)
    n_several = sum(len(cell) > 1 for cell in cells)
    if n_several < MIN_LIST_SHARE * len(cells):
        return False
    return len({tuple(cell) for cell in cells}) > MAX_DISTINCT_SHARE * len(cells)


def read_lists(values: pd.Series[Any]) -> list[list[str]]:
    """Return the words of the first cells; none of numbers."""
    present = values.dropna()
    if is_numeric(present) or not len(present):
        return []
    texts = present.astype(str).astype(object).head(MAX_TEXTS_READ)
    mark = find_separator(texts.to_numpy())
    return [split_words(text, mark) for text in texts]


def is_free_text(values: pd.Series[Any], said: pd.Series[Any] | None) -> bool:
    """Whether labels are texts rather than classes: too many, or the sample has others.

    `said`: the sample's predictions, where it has one column.
    """
    present = values.dropna()
    if is_numeric(present) or not len(present):
        return False
    n_values = present.nunique()
    is_many = n_values > MAX_CLASSES and n_values > MAX_CLASS_SHARE * len(present)
    if is_many or n_values > MAX_DISTINCT_SHARE * len(present):
        return True
    if said is None:
        return False
    known = {plain_name(label) for label in class_labels(present)}
    words = {plain_name(str(text)) for text in said.dropna().unique()}
    if words <= {"0", "1"} and known <= {"true", "false"}:
        return False
    return len(words - known) > 1


def name_for_targets(name: str, train: pd.DataFrame, task: Task) -> str:
    """Return the metric that a name means for the targets: of several, the columns' mean.

    The log loss of columns of which one is 1 in every row is that of their classes.
    """
    if name == "log_loss" and len(task.target) > 1:
        values = train[task.target]
        if all(is_numeric(values[column]) for column in values):
            is_share = bool((values >= 0).all(axis=None))
            if is_share and bool(((values.sum(axis=1) - 1).abs() < SUM_TOLERANCE).all()):
                return name
    return metric_for_targets(name, len(task.target))


def infer_kind(
    values: pd.Series[Any],
    n_targets: int,
    n_predicted: int,
    metric: Metric | None,
    said: pd.Series[Any] | None = None,
    *,
    is_copy: bool = False,
) -> Kind:
    """Infer the kind of the target from its values, the sample's columns and the metric.

    Several targets are a regression. `said`: the sample's predictions, where it has one column.
    `is_copy`: labels are mostly texts of another column.
    """
    if metric is not None and metric.needs == "text":
        return "text"
    if n_targets > 1:
        return "regression"
    is_ranked = metric is not None and metric.needs == "ranking"
    if is_ranked and (is_label_list(values) or is_list_of_relevant(values)):
        return "text"
    takes_text = metric is not None and (metric.name in TEXT_TWINS or metric.is_own)
    if takes_text and (is_copy or is_free_text(values, said)):
        return "text"
    kind, present = kind_of(values), values.dropna()
    if not is_numeric(present):
        return kind
    if metric is not None and metric.needs == "value" and not metric.is_own:
        return "regression"
    asks_for_classes = n_predicted > 1 or (metric is not None and metric.needs != "value")
    is_whole = bool((present == present.round()).all())
    return "multiclass" if kind == "regression" and is_whole and asks_for_classes else kind


def find_copied_column(train: pd.DataFrame, test: pd.DataFrame, target: str) -> str:
    """Return the column of both tables whose texts are most of the labels; empty for none.

    Such labels are texts written anew and no classes, where they are many.
    """
    labels = train[target].head(MAX_TEXTS_READ)
    if is_typed(labels) or labels.nunique() < MIN_COPIED_LABELS:
        return ""
    for name in map(str, train.columns):
        column = train[name].head(MAX_TEXTS_READ)
        if name == target or name not in test or is_typed(column):
            continue
        if column.nunique() >= MIN_COPIED_LABELS and (column == labels).mean() > MIN_COPIED_SHARE:
            return name
    return ""


def is_typed(values: pd.Series[Any]) -> bool:
    """Whether cells are anything else than texts."""
    return not isinstance(values.dtype, pd.StringDtype) and not (
        values.dtype == object and all(isinstance(cell, str) for cell in values.dropna())
    )


def is_numeric(values: pd.Series[Any]) -> bool:
    """Whether a column contains numbers and no truth values."""
    return pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)


def default_for(kind: str, metric: str) -> str:
    """Name what a metric that `default_metric` chose is the default for."""
    if kind == "regression" and metric in ("log_loss", "auc_mean_columns"):
        return "several targets of zeros and ones"
    return kind


def are_flags(values: pd.DataFrame) -> bool:
    """Whether every column is of zeros and ones, with both of them."""
    return all(
        is_numeric(values[column]) and set(values[column].unique()) == {0, 1} for column in values
    )


def default_metric(
    kind: Kind, names: list[str], sample: pd.DataFrame | None, truth: pd.DataFrame
) -> str:
    """Return the metric where none is named: accuracy if the sample asks for labels.

    Several targets of zeros and ones are labels of which a row may have some, or classes of which
    it has one.
    """
    values = truth.iloc[:, 0]
    if truth.shape[1] > 1 and kind == "regression" and are_flags(truth):
        return "log_loss" if bool((truth.sum(axis=1) == 1).all()) else "auc"
    if kind == "regression" or sample is None or len(names) != 1:
        return DEFAULT_METRICS[kind]
    if kind == "multiclass":
        return "accuracy"
    said = {plain_name(str(text)) for text in sample[names[0]].dropna().unique()[:100]}
    labels = {plain_name(label) for label in class_labels(values)}
    has_words = not all(text.lstrip("-").isdigit() for text in said)
    is_label = bool(said) and said <= labels and (has_words or said == labels)
    return "accuracy" if is_label else DEFAULT_METRICS[kind]


def check_kind(
    metric: Metric, kind: Kind, values: pd.Series[Any], task: Task, asked: Asked
) -> None:
    """Refuse a metric that cannot score the kind of the target. Raises TaskError."""
    name, what = f"{metric.name}{asked.source}", f"the target {task.target[0]!r} of {task.train}"
    if kind == "text" or metric.needs == "text":
        if metric.needs != "text":
            raise TaskError(f"{name} cannot score texts and {what} is of kind text; {REMEDY}")
        if kind != "text":
            raise TaskError(f"{name} scores texts and {what} is of kind {kind}; {REMEDY}")
    elif len(task.target) > 1:
        if metric.needs != "value":
            raise TaskError(
                f"{name} scores one target and there are {len(task.target)} "
                f"({', '.join(task.target[:5])}); set `target:`, or a metric of your own as "
                "`metric: metric.py`, in task.yaml"
            )
    elif metric.name in COLUMN_METRICS:
        raise TaskError(f"{name} needs several target columns and {what} is one; {REMEDY}")
    elif metric.needs == "value" and not is_numeric(values):
        own = "; a file says `needs = 'label'` or 'text'" if metric.is_own else ""
        raise TaskError(f"{name} needs numbers and {what} has other values; {REMEDY}{own}")
    elif metric.name == "log_loss" and kind == "regression":
        raise MetricNeededError(
            f"{name} needs classes and {what} has {values.nunique()} values such as "
            f"{values.dropna().iloc[0]}; {OWN_REMEDY}, or set `metric: rmse` there"
        )
    elif metric.needs != "value" and kind == "regression":
        raise TaskError(
            f"{name} needs classes and {what} has {values.nunique()} values as kind regression; "
            f"{REMEDY}"
        )
    elif metric.name == "qwk" and not (is_numeric(values) and (values.dropna() % 1 == 0).all()):
        raise TaskError(f"{name} needs whole numbers in order and {what} has others; {REMEDY}")


def check_columns(metric: Metric, train: pd.DataFrame, columns: list[str], task: Task) -> None:
    """Refuse a metric over columns that the training table lacks. Raises TaskError."""
    for name in metric.columns:
        if name not in columns:
            raise TaskError(
                f"{task.train} has no column {name!r}, which {metric.name} reads; {REMEDY}"
            )
    if metric.name == "bias_auc" and not group_columns(train, task.target):
        raise MetricNeededError(
            f"{task.train}: bias_auc needs columns that say which group a row speaks of (shares "
            f"in 0..1 with missing values) and finds none; {OWN_REMEDY}"
        )


def metric_remarks(
    asked: Asked, metric: Metric, kind: Kind, columns: list[str], task: Task
) -> list[str]:
    """Say what was decided about the metric beyond its name."""
    remarks, words = [], asked.words
    if words:
        remarks.append(f"metric {metric.name}, read from {words.sentence!r}")
        if words.form and metric.name not in FORMED and not metric.columns:
            remarks.append(
                f"the description says {words.form!r}: {metric.name} is computed without weights "
                "or groups; a metric of your own (`metric: metric.py`) can have them"
            )
        if "gini" in words.sentence.casefold():
            remarks.append("Gini is 2 AUC - 1: the AUC orders submissions in the same way")
        if words.others:
            remarks.append(
                f"the description names other metrics too: {', '.join(words.others)}; set "
                "`metric:` if one of them decides"
            )
    elif not asked.metric and (sentence := find_judging(task.description)):
        remarks.append(
            f"metric {metric.name}: the default for {default_for(kind, metric.name)}; "
            "description.md speaks of evaluation and names no metric that is known "
            f"({sentence!r}): set `metric:` if it means another"
        )
    elif not asked.metric:
        remarks.append(
            f"metric {metric.name}: the default for {default_for(kind, metric.name)}, "
            "no text names one"
        )
    if metric.name == "f1_macro" and asked.name == "f1":
        remarks.append("F1 of several classes is taken as their mean (f1_macro)")
    if metric.name.endswith("_mean_columns"):
        remarks.append("the score is the mean of the scores of the target columns")
    if not asked.metric and (scored := find_scored_targets(task.description, task.target)):
        remarks.append(
            f"the description says that only {', '.join(scored)} are scored: {metric.name} is of "
            f"all {len(task.target)} targets; a metric of your own (`metric: metric.py`) can leave "
            "the others out"
        )
    if metric.name == "tags_f1_micro":
        remarks.append(
            "F1 of label sets is taken over all labels of all rows together (micro); "
            "`metric: tags_f1_samples` is the mean over rows, tags_f1_macro that over labels"
        )
    if metric.name == "weighted_log_loss" and not {name.lower() for name in columns} & set(
        WEIGHT_NAMES
    ):
        remarks.append(
            "no column of the training table is called weight: every row weighs the same; add "
            "such a column, or a metric of your own (`metric: metric.py`)"
        )
    if metric.name == "distance_percentiles":
        group = task.id_parts[0] if len(task.id_parts) > 1 and task.id_parts[0] in columns else ""
        how = f"for every {group!r}, then averaged" if group else "over all rows together"
        remarks.append(f"the percentiles of the distances are taken {how}")
    if metric.needs == "text" and metric.name == "accuracy":
        remarks.append("labels are texts: a row counts where the whole text is right")
        if asked.copied and not asked.kind:
            remarks.append(f"labels are taken for texts: most are those of {asked.copied!r}")
    if metric.is_whole:
        remarks.append("predictions are rounded to whole numbers, as the labels are")
    return remarks


def check_scorable(metric: Metric, train: pd.DataFrame, task: Task) -> None:
    """Refuse labels that the metric cannot score. Raises TaskError."""
    if task.kind != "regression":
        return
    for name in task.target:
        if not pd.api.types.is_numeric_dtype(train[name]):
            raise TaskError(
                f"{task.train}: the target {name!r} is not numeric and {metric.name} needs "
                "numbers; write a column of 0 and 1 for each of its classes, or set `target:` in "
                "task.yaml to one column alone"
            )
    if why := unscorable(metric, train[task.target].to_numpy(dtype=float)):
        raise TaskError(
            f"{task.train}: {metric.name} cannot score the labels in "
            f"{', '.join(task.target[:5])}: {why}; correct those rows or set another `metric:` "
            "in task.yaml"
        )
