"""From a task folder, with or without task.yaml, to a Task.

Every refusal is one sentence that names the file and the remedy.
"""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import NamedTuple, get_args

import pandas as pd
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from task.grade.metrics import canonical_metric, get_metric
from task.load.tables import find_table, read_table
from task.types import Direction, Kind, Split, SplitKind, Task, TaskError

SAMPLE_NAMES = (
    "sample_submission",
    "sampleSubmission",
    "sample_submission_null",
    "SampleSubmission",
    "samplesubmission",
    "sample_submission_stg2",
)
UNNAMED_INDEX = "Unnamed: 0"  # what pandas calls an index that was written without a name
MAX_DESCRIPTION_CHARS = 200_000
OWN_FILES = {"task.yaml", "description.md", "folds.csv"}


class TaskSpec(BaseModel):
    """The keys of task.yaml; all but the metric can be inferred from the data."""

    model_config = ConfigDict(extra="forbid")
    name: str | None = Field(None, description="what the task is called; empty: the folder's name")
    metric: str | None = Field(
        None,
        description="a known name, map@K, or a Python file with score(y_true, y_pred); "
        "empty: named in description.md, or the default of its kind",
    )
    direction: Direction | None = Field(
        None, description="max or min; only for a metric of your own"
    )
    kind: Kind | None = Field(
        None, description="kind of the target; empty: inferred from its values"
    )
    train: str | None = Field(
        None, description="training table inside the folder; empty: train.csv or similar"
    )
    test: str | None = Field(
        None, description="test table inside the folder; empty: test.csv or similar"
    )
    sample_submission: str | None = Field(
        None,
        description="a submission in the required form; empty: sample_submission.csv if present",
    )
    id: str | None = Field(
        None,
        description="column that names the rows; empty: the sample's first, or `id`; "
        "if there is none, rows are numbered",
    )
    target: list[str] | None = Field(
        None, description="label column or columns; empty: what train has and test lacks"
    )
    split: str = Field(
        "auto",
        description="auto | stratified | random | group:COLUMN | time:COLUMN | file:folds.csv",
    )
    n_folds: int = Field(5, ge=2, le=20, description="folds of the cross-validation")
    run_time_s: float | None = Field(None, gt=0, description="wall limit of one script, seconds")

    @field_validator("target", mode="before")
    @classmethod
    def as_list(cls, value: object) -> object:
        """Accept one name for a list."""
        return [value] if isinstance(value, str) else value


class TableFiles(NamedTuple):
    """Paths of a task's tables."""

    train: Path
    test: Path
    sample: Path | None


class Tables(NamedTuple):
    """The tables of a task folder, with their paths for messages."""

    train: pd.DataFrame
    test: pd.DataFrame
    sample: pd.DataFrame | None
    files: TableFiles


def load_task(path: str) -> Task:
    """Read and check a task folder. Raises TaskError."""
    root = Path(path).expanduser().resolve()
    if not root.is_dir():
        raise TaskError(f"{root} is not a folder; give the folder that contains the task's data")
    spec = read_spec(root)
    tables = read_tables(locate_tables(root, spec))
    files = tables.files
    id_column = find_id_column(spec, tables)
    target = find_target_columns(spec, tables, id_column)
    description = read_description(root)
    kind = spec.kind or infer_kind(tables.train, target)
    metric = infer_metric(spec, root, description, kind)
    check_ids(tables, id_column)
    check_target(tables.train, target, kind, files.train)
    split = Split(
        kind=parse_split_kind(spec),
        column=parse_split_column(spec, tables.train, files.train, root),
        n_folds=spec.n_folds,
    )
    check_folds(tables.train, target, kind, split, files.train)
    return Task(
        root=str(root),
        name=spec.name or root.name,
        description=description,
        metric=metric,
        direction=get_metric(metric, spec.direction).direction,
        kind=kind,
        train=str(files.train),
        test=str(files.test),
        sample_submission=str(files.sample) if files.sample else None,
        id=id_column,
        target=target,
        split=split,
        extra=list_extra_files(root, files),
        run_time_s=spec.run_time_s,
    )


def read_tables(files: TableFiles) -> Tables:
    """Read all tables. Raises TaskError for one that cannot be read or an empty train."""
    train, test = read_table(files.train), read_table(files.test)
    sample = read_table(files.sample) if files.sample else None
    if train.empty:
        raise TaskError(f"{files.train} has no rows; put the labelled training rows there")
    return Tables(train, test, sample, files)


def read_description(root: Path) -> str:
    """Read description.md, bounded; empty where there is none."""
    path = root / "description.md"
    return path.read_text(errors="replace")[:MAX_DESCRIPTION_CHARS] if path.is_file() else ""


def list_extra_files(root: Path, files: TableFiles) -> list[str]:
    """List what else the folder contains, for scripts to read."""
    return [
        str(item)
        for item in sorted(root.iterdir())
        if item not in files and item.name not in OWN_FILES and not item.name.startswith(".")
    ]


def read_spec(root: Path) -> TaskSpec:
    """Read task.yaml; an empty spec where there is none. Raises TaskError."""
    path = root / "task.yaml"
    if not path.exists():
        return TaskSpec()
    try:
        keys = yaml.safe_load(path.read_text()) or {}
    except yaml.YAMLError as error:
        raise TaskError(
            f"{path} is not valid YAML ({str(error).splitlines()[0]}); "
            "fix it or write a new one with `gome init`"
        ) from error
    if not isinstance(keys, dict):
        raise TaskError(
            f"{path} should contain keys such as `metric: auc`; write one with `gome init`"
        )
    try:
        return TaskSpec.model_validate(keys)
    except ValidationError as error:
        raise TaskError(f"{path}: {describe_first_error(error)}") from error


def describe_first_error(error: ValidationError) -> str:
    """Return a sentence on the first invalid key."""
    problem = error.errors()[0]
    key = str(problem["loc"][0]) if problem["loc"] else ""
    if problem["type"] == "extra_forbidden":
        near = difflib.get_close_matches(key, list(TaskSpec.model_fields), n=1, cutoff=0.5)
        all_keys = f"known keys: {', '.join(TaskSpec.model_fields)}"
        return f"unknown key {key!r}; {f'did you mean {near[0]!r}?' if near else all_keys}"
    return f"{key}: {problem['msg']} (got {problem.get('input')!r})"


def locate_tables(root: Path, spec: TaskSpec) -> TableFiles:
    """Find train, test and sample submission inside the folder. Raises TaskError."""

    def locate(name: str | None, *usual_names: str) -> Path | None:
        return path_inside(root, name) if name else find_table(root, *usual_names)

    train = locate(spec.train, "train", "training", "train_labels")
    test = locate(spec.test, "test", "testing")
    sample = locate(spec.sample_submission, *SAMPLE_NAMES)
    if train is None or not train.is_file():
        raise TaskError(
            f"{train or root / 'train.csv'} does not exist; "
            f"put the training table there or set `train:` in {root / 'task.yaml'}"
        )
    if test is None or not test.is_file():
        raise TaskError(
            f"{test or root / 'test.csv'} does not exist; "
            f"put the test table there or set `test:` in {root / 'task.yaml'}"
        )
    return TableFiles(train, test, sample)


def path_inside(root: Path, name: str) -> Path:
    """Return the absolute path of a file named in task.yaml. Raises TaskError outside `root`."""
    path = (root / name).resolve()
    if not path.is_relative_to(root):
        raise TaskError(
            f"{root / 'task.yaml'}: {name!r} is outside the task folder; move the file into it"
        )
    return path


def find_id_column(spec: TaskSpec, tables: Tables) -> str | None:
    """Return the id column: the named one, the sample's first, or a unique one; None for none."""
    train, test, sample, files = tables
    if spec.id:
        for frame, path in ((train, files.train), (test, files.test)):
            if spec.id not in frame.columns:
                raise TaskError(
                    f"{path} has no id column {spec.id!r}; "
                    f"set `id:` in task.yaml to one of {list_columns(frame)}"
                )
        return spec.id
    first = str(sample.columns[0]) if sample is not None else None
    if first in train.columns and first in test.columns:
        return first
    like_ids = [str(column) for column in train.columns if re.search(r"(_id|Id|ID)$", str(column))]
    for name in ("id", "Id", "ID", "row_id", "index", UNNAMED_INDEX, *like_ids):
        in_both = name in train.columns and name in test.columns
        if in_both and train[name].is_unique and test[name].is_unique:
            return name
    return None


def find_target_columns(spec: TaskSpec, tables: Tables, id_column: str | None) -> list[str]:
    """Return the label columns: the named ones, or what train has and test lacks."""
    train, test, sample, files = tables
    if spec.target:
        for name in spec.target:
            if name not in train.columns:
                raise TaskError(
                    f"{files.train} has no target column {name!r}; "
                    f"set `target:` in task.yaml to one of {list_columns(train)}"
                )
        return spec.target
    absent = [str(c) for c in train.columns if c not in test.columns and c != id_column]
    in_sample = [column for column in absent if sample is not None and column in sample.columns]
    target = in_sample or (absent if len(absent) == 1 else [])
    if not target:
        what = f"columns absent from test: {', '.join(absent)}"
        raise TaskError(
            f"{files.train}: the target cannot be inferred "
            f"({what if absent else 'no column of train is absent from test'}); "
            "set `target:` in task.yaml, or `gome init FOLDER --target NAME`"
        )
    return target


def list_columns(frame: pd.DataFrame) -> str:
    """Return the column names for a message, at most twelve."""
    names = [str(column) for column in frame.columns]
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")


def infer_kind(train: pd.DataFrame, target: list[str]) -> Kind:
    """Infer the kind of the target from its values; several targets are a regression."""
    if len(target) > 1:
        return "regression"
    values = train[target[0]].dropna()
    if values.nunique() <= 2:
        return "binary"
    if not pd.api.types.is_numeric_dtype(values):
        return "multiclass"
    n_values = values.nunique()
    has_few_integers = (
        n_values <= 20 and n_values < len(values) / 10 and (values == values.round()).all()
    )
    return "multiclass" if has_few_integers else "regression"


METRIC_PATTERNS = (
    (r"quadratic weighted kappa|\bqwk\b", "qwk"),
    (r"root mean squared? log|rmsle", "rmsle"),
    (r"root mean squared? error|\brmse\b", "rmse"),
    (r"mean absolute error|\bmae\b", "mae"),
    (r"area under the (roc|receiver)|roc auc|\bauc\b|auroc", "auc"),
    (r"log[ _-]?loss|cross[ -]entropy", "log_loss"),
    (r"macro[ -]f1|f1[ _-]macro", "f1_macro"),
    (r"\bf1\b", "f1"),
    (r"matthews", "mcc"),
    (r"\baccuracy\b", "accuracy"),
    (r"spearman", "spearman"),
)
DEFAULT_METRICS: dict[Kind, str] = {"binary": "auc", "multiclass": "log_loss", "regression": "rmse"}


def infer_metric(spec: TaskSpec, root: Path, description: str, kind: Kind) -> str:
    """Return the metric: the named one, one in the description, or the default of the kind."""
    if spec.metric:
        if spec.metric.endswith(".py"):
            return str(path_inside(root, spec.metric))
        try:
            return canonical_metric(spec.metric)
        except TaskError as error:
            raise TaskError(f"{root / 'task.yaml'}: {error}") from error
    return metric_in_text(description) or DEFAULT_METRICS[kind]


def metric_in_text(description: str) -> str | None:
    """Return the metric that a text mentions first in the order of METRIC_PATTERNS."""
    text = description.lower()
    return next((name for pattern, name in METRIC_PATTERNS if re.search(pattern, text)), None)


def check_ids(tables: Tables, id_column: str | None) -> None:
    """Refuse repeated, missing or unmatched ids. Raises TaskError."""
    train, test, sample, files = tables
    if id_column is None:
        if sample is not None and len(sample) != len(test):
            raise TaskError(
                f"{files.sample} has {len(sample)} rows and {files.test} has {len(test)}; "
                "they should match"
            )
        return
    for frame, path in ((train, files.train), (test, files.test)):
        repeated = frame[id_column][frame[id_column].duplicated()]
        if len(repeated):
            raise TaskError(
                f"{path}: {len(repeated)} ids repeat in column {id_column!r} "
                f"(e.g. {repeated.iloc[0]!r}); every row needs its own id"
            )
        if frame[id_column].isna().any():
            raise TaskError(
                f"{path}: column {id_column!r} has rows without an id; every row needs its own id"
            )
    if sample is not None:
        unmatched = set(sample.iloc[:, 0].astype(str)) ^ set(test[id_column].astype(str))
        if unmatched:
            raise TaskError(
                f"{files.sample} does not match {files.test}: "
                f"{len(unmatched)} ids are in only one of them (e.g. {min(unmatched)!r}); "
                "write the sample submission for exactly the test ids"
            )


def check_target(train: pd.DataFrame, target: list[str], kind: Kind, path: Path) -> None:
    """Refuse a target with missing values, one class only or the wrong type. Raises TaskError."""
    for name in target:
        values = train[name]
        if values.isna().all() or (kind != "regression" and values.nunique() < 2):
            raise TaskError(
                f"{path}: the target {name!r} has one class only ({values.iloc[0]!r}); "
                "there is nothing to learn, check `target:` in task.yaml"
            )
        if values.isna().any():
            raise TaskError(
                f"{path}: the target {name!r} is missing in {int(values.isna().sum())} rows; "
                "drop those rows or move them to test"
            )
        if kind == "regression" and not pd.api.types.is_numeric_dtype(values):
            raise TaskError(
                f"{path}: the target {name!r} is not numeric but kind is regression; "
                "set `kind:` in task.yaml"
            )


def parse_split_kind(spec: TaskSpec) -> SplitKind:
    """Return the kind of a split such as group:COLUMN. `splits.decide_split` resolves `auto`."""
    word = spec.split.partition(":")[0]
    if word not in get_args(SplitKind):
        raise TaskError(
            f"task.yaml: split {spec.split!r} is not known; use auto, stratified, random, "
            "group:COLUMN, time:COLUMN or file:folds.csv"
        )
    return word  # type: ignore[return-value]


def parse_split_column(spec: TaskSpec, train: pd.DataFrame, path: Path, root: Path) -> str | None:
    """Return the column of a group or time split, or the absolute path of a folds file."""
    word, _, column = spec.split.partition(":")
    if word == "file":
        return str(path_inside(root, column or "folds.csv"))
    if word in ("group", "time") and column not in train.columns:
        raise TaskError(
            f"{path} has no column {column!r} to split by; "
            f"set `split: {word}:COLUMN` in task.yaml to one of {list_columns(train)}"
        )
    return column or None


def check_folds(
    train: pd.DataFrame, target: list[str], kind: Kind, split: Split, path: Path
) -> None:
    """Refuse more folds than the rows, or those of the rarest class, allow. Raises TaskError."""
    if kind != "regression" and split.kind in ("auto", "stratified", "random"):
        counts = train[target[0]].value_counts()
        if counts.iloc[-1] < split.n_folds:
            raise TaskError(
                f"{path}: class {counts.index[-1]!r} has {counts.iloc[-1]} rows, "
                f"fewer than {split.n_folds} folds; set `n_folds: "
                f"{max(2, int(counts.iloc[-1]))}` in task.yaml or drop the class"
            )
    if len(train) < 2 * split.n_folds:
        raise TaskError(
            f"{path} has {len(train)} rows, too few for {split.n_folds} folds; "
            "set a smaller `n_folds:` in task.yaml"
        )
