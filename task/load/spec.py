"""task.yaml and folders without one -> Task.  Every refusal is one sentence that names the file and the remedy."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from task.grade.metrics import canonical, get_metric
from task.load.tables import find_table, read_table
from task.types import Direction, Kind, Split, Task, TaskError

SAMPLES = (
    "sample_submission",
    "sampleSubmission",
    "sample_submission_null",
    "SampleSubmission",
    "samplesubmission",
    "sample_submission_stg2",
)
UNNAMED = "Unnamed: 0"  # how an index written without a name is read
PLUMBING = {"task.yaml", "description.md", "folds.csv"}


class Spec(BaseModel):
    """The keys of task.yaml; everything but the metric can be seen in the data."""

    model_config = ConfigDict(extra="forbid")
    name: str | None = Field(None, description="what the task is called; empty: the folder's name")
    metric: str | None = Field(
        None,
        description="a known name, map@K, or a Python file with score(y_true, y_pred); empty: named in description.md, or the default of its kind",
    )
    direction: Direction | None = Field(
        None, description="max or min; only for a metric of your own"
    )
    kind: Kind | None = Field(None, description="what the target is; empty: seen from its values")
    train: str | None = Field(
        None, description="training table inside the folder; empty: train.csv or the like"
    )
    test: str | None = Field(
        None, description="test table inside the folder; empty: test.csv or the like"
    )
    sample_submission: str | None = Field(
        None,
        description="a submission in the wanted form; empty: sample_submission.csv if there is one",
    )
    id: str | None = Field(
        None,
        description="column that names the rows; empty: the sample's first, or `id`; none at all: rows are numbered",
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
    def as_list(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value


def load_task(path: str) -> Task:
    """Reads and checks a task folder. Raises TaskError."""
    root = Path(path).expanduser().resolve()
    if not root.is_dir():
        raise TaskError(f"{root} is not a folder; give the folder that holds the task's data")
    spec = read_spec(root)
    files = locate(root, spec)
    train, test = read_table(files["train"]), read_table(files["test"])
    sample = read_table(files["sample"]) if files["sample"] else None
    if train.empty:
        raise TaskError(f"{files['train']} has no rows; put the labelled training rows there")
    id_column = find_id(spec, train, test, sample, files)
    target = find_target(spec, train, test, sample, id_column, files["train"])
    description = (
        (root / "description.md").read_text(errors="replace")[:200_000]
        if (root / "description.md").is_file()
        else ""
    )
    kind = spec.kind or find_kind(train, target)
    metric = find_metric(spec, root, description, kind)
    check_ids(train, test, sample, id_column, files)
    check_target(train, target, kind, files["train"])
    split = Split(
        kind=split_kind(spec),
        column=split_column(spec, train, files["train"], root),
        n_folds=spec.n_folds,
    )
    check_folds(train, target, kind, split, files["train"])
    return Task(
        root=str(root),
        name=spec.name or root.name,
        description=description,
        metric=metric,
        direction=get_metric(metric, spec.direction).direction,
        kind=kind,
        train=str(files["train"]),
        test=str(files["test"]),
        sample_submission=str(files["sample"]) if files["sample"] else None,
        id=id_column,
        target=target,
        split=split,
        extra=[
            str(item)
            for item in sorted(root.iterdir())
            if item not in files.values()
            and item.name not in PLUMBING
            and not item.name.startswith(".")
        ],
        run_time_s=spec.run_time_s,
    )


def read_spec(root: Path) -> Spec:
    path = root / "task.yaml"
    if not path.exists():
        return Spec()
    try:
        given = yaml.safe_load(path.read_text()) or {}
    except yaml.YAMLError as error:
        raise TaskError(
            f"{path} is not valid YAML ({str(error).splitlines()[0]}); mend it or write a new one with `gome init`"
        ) from error
    if not isinstance(given, dict):
        raise TaskError(
            f"{path} should hold keys such as `metric: auc`; write one with `gome init`"
        )
    try:
        return Spec.model_validate(given)
    except ValidationError as error:
        raise TaskError(f"{path}: {first_error(error)}") from error


def first_error(error: ValidationError) -> str:
    problem = error.errors()[0]
    key = str(problem["loc"][0]) if problem["loc"] else ""
    if problem["type"] == "extra_forbidden":
        near = difflib.get_close_matches(key, list(Spec.model_fields), n=1, cutoff=0.5)
        return f"unknown key {key!r}; " + (
            f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(Spec.model_fields)}"
        )
    return f"{key}: {problem['msg']} (got {problem.get('input')!r})"


def locate(root: Path, spec: Spec) -> dict[str, Any]:
    """Paths of train, test and sample submission, inside the task folder."""
    train = (
        inside(root, spec.train)
        if spec.train
        else find_table(root, "train", "training", "train_labels")
    )
    test = inside(root, spec.test) if spec.test else find_table(root, "test", "testing")
    sample = (
        inside(root, spec.sample_submission)
        if spec.sample_submission
        else find_table(root, *SAMPLES)
    )
    if train is None or not train.is_file():
        raise TaskError(
            f"{train or root / 'train.csv'} does not exist; put the training table there or set `train:` in {root / 'task.yaml'}"
        )
    if test is None or not test.is_file():
        raise TaskError(
            f"{test or root / 'test.csv'} does not exist; put the test table there or set `test:` in {root / 'task.yaml'}"
        )
    return {"train": train, "test": test, "sample": sample}


def inside(root: Path, name: str) -> Path:
    path = (root / name).resolve()
    if not path.is_relative_to(root):
        raise TaskError(
            f"{root / 'task.yaml'}: {name!r} lies outside the task folder; move the file into it"
        )
    return path


def find_id(
    spec: Spec,
    train: pd.DataFrame,
    test: pd.DataFrame,
    sample: pd.DataFrame | None,
    files: dict[str, Any],
) -> str | None:
    if spec.id:
        for frame, name in ((train, "train"), (test, "test")):
            if spec.id not in frame.columns:
                raise TaskError(
                    f"{files[name]} has no id column {spec.id!r}; set `id:` in task.yaml to one of {columns(frame)}"
                )
        return spec.id
    if (
        sample is not None
        and str(sample.columns[0]) in train.columns
        and str(sample.columns[0]) in test.columns
    ):
        return str(sample.columns[0])
    known = [str(column) for column in train.columns if re.search(r"(_id|Id|ID)$", str(column))]
    for name in ("id", "Id", "ID", "row_id", "index", UNNAMED, *known):
        if (
            name in train.columns
            and name in test.columns
            and train[name].is_unique
            and test[name].is_unique
        ):
            return name
    return None


def find_target(
    spec: Spec,
    train: pd.DataFrame,
    test: pd.DataFrame,
    sample: pd.DataFrame | None,
    id_column: str | None,
    path: Path,
) -> list[str]:
    if spec.target:
        for name in spec.target:
            if name not in train.columns:
                raise TaskError(
                    f"{path} has no target column {name!r}; set `target:` in task.yaml to one of {columns(train)}"
                )
        return spec.target
    absent = [
        str(column)
        for column in train.columns
        if column not in test.columns and column != id_column
    ]
    named = [column for column in absent if sample is not None and column in sample.columns]
    found = named or (absent if len(absent) == 1 else [])
    if not found:
        told = (
            f"columns absent from test: {', '.join(absent)}"
            if absent
            else "no column of train is absent from test"
        )
        raise TaskError(
            f"{path}: the target cannot be seen ({told}); set `target:` in task.yaml, or `gome init FOLDER --target NAME`"
        )
    return found


def columns(frame: pd.DataFrame) -> str:
    names = [str(column) for column in frame.columns]
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")


def find_kind(train: pd.DataFrame, target: list[str]) -> Kind:
    if len(target) > 1:
        return "regression"
    values = train[target[0]].dropna()
    if values.nunique() <= 2:
        return "binary"
    if not pd.api.types.is_numeric_dtype(values):
        return "multiclass"
    whole = bool((values == values.round()).all())
    return (
        "multiclass"
        if whole and values.nunique() <= 20 and values.nunique() < len(values) / 10
        else "regression"
    )


NAMED = (
    (r"quadratic weighted kappa|\bqwk\b", "qwk"), (r"root mean squared? log|rmsle", "rmsle"), (r"root mean squared? error|\brmse\b", "rmse"),
    (r"mean absolute error|\bmae\b", "mae"), (r"area under the (roc|receiver)|roc auc|\bauc\b|auroc", "auc"), (r"log[ _-]?loss|cross[ -]entropy", "log_loss"),
    (r"macro[ -]f1|f1[ _-]macro", "f1_macro"), (r"\bf1\b", "f1"), (r"matthews", "mcc"), (r"\baccuracy\b", "accuracy"), (r"spearman", "spearman"),
)  # fmt: skip
DEFAULTS: dict[Kind, str] = {"binary": "auc", "multiclass": "log_loss", "regression": "rmse"}


def find_metric(spec: Spec, root: Path, description: str, kind: Kind) -> str:
    if spec.metric:
        if spec.metric.endswith(".py"):
            return str(inside(root, spec.metric))
        try:
            return canonical(spec.metric)
        except TaskError as error:
            raise TaskError(f"{root / 'task.yaml'}: {error}") from error
    return metric_named(description) or DEFAULTS[kind]


def metric_named(description: str) -> str | None:
    """The metric that a description speaks of."""
    text = description.lower()
    return next((name for pattern, name in NAMED if re.search(pattern, text)), None)


def check_ids(
    train: pd.DataFrame,
    test: pd.DataFrame,
    sample: pd.DataFrame | None,
    id_column: str | None,
    files: dict[str, Any],
) -> None:
    if id_column is None:
        if sample is not None and len(sample) != len(test):
            raise TaskError(
                f"{files['sample']} has {len(sample)} rows and {files['test']} has {len(test)}; they should match"
            )
        return
    for frame, name in ((train, "train"), (test, "test")):
        twice = frame[id_column][frame[id_column].duplicated()]
        if len(twice):
            raise TaskError(
                f"{files[name]}: {len(twice)} ids repeat in column {id_column!r} (e.g. {twice.iloc[0]!r}); every row needs its own id"
            )
        if frame[id_column].isna().any():
            raise TaskError(
                f"{files[name]}: column {id_column!r} has rows without an id; every row needs its own id"
            )
    if sample is not None:
        wanted, given = set(sample.iloc[:, 0].astype(str)), set(test[id_column].astype(str))
        if wanted != given:
            odd = sorted(wanted ^ given)[0]
            raise TaskError(
                f"{files['sample']} does not match {files['test']}: {len(wanted ^ given)} ids are in only one of them (e.g. {odd!r}); "
                "write the sample submission for exactly the test ids"
            )


def check_target(train: pd.DataFrame, target: list[str], kind: Kind, path: Path) -> None:
    for name in target:
        values = train[name]
        if values.isna().all() or (kind != "regression" and values.nunique() < 2):
            raise TaskError(
                f"{path}: the target {name!r} has one class only ({values.iloc[0]!r}); there is nothing to learn, check `target:` in task.yaml"
            )
        if values.isna().any():
            raise TaskError(
                f"{path}: the target {name!r} is missing in {int(values.isna().sum())} rows; drop those rows or move them to test"
            )
        if kind == "regression" and not pd.api.types.is_numeric_dtype(values):
            raise TaskError(
                f"{path}: the target {name!r} is not numeric but kind is regression; set `kind:` in task.yaml"
            )


def split_kind(spec: Spec) -> Literal["auto", "stratified", "random", "group", "time", "file"]:
    """`auto` is decided by splits.decide, when the data are at hand."""
    word = spec.split.partition(":")[0]
    if word not in ("auto", "stratified", "random", "group", "time", "file"):
        raise TaskError(
            f"task.yaml: split {spec.split!r} is not known; use auto, stratified, random, group:COLUMN, time:COLUMN or file:folds.csv"
        )
    return word  # type: ignore[return-value]


def split_column(spec: Spec, train: pd.DataFrame, path: Path, root: Path) -> str | None:
    word, _, column = spec.split.partition(":")
    if word == "file":
        return str(inside(root, column or "folds.csv"))
    if word in ("group", "time") and column not in train.columns:
        raise TaskError(
            f"{path} has no column {column!r} to split by; set `split: {word}:COLUMN` in task.yaml to one of {columns(train)}"
        )
    return column or None


def check_folds(
    train: pd.DataFrame, target: list[str], kind: Kind, split: Split, path: Path
) -> None:
    if kind != "regression" and split.kind in ("auto", "stratified", "random"):
        counts = train[target[0]].value_counts()
        if counts.iloc[-1] < split.n_folds:
            raise TaskError(
                f"{path}: class {counts.index[-1]!r} has {counts.iloc[-1]} rows, fewer than {split.n_folds} folds; "
                f"set `n_folds: {max(2, int(counts.iloc[-1]))}` in task.yaml or drop the class"
            )
    if len(train) < 2 * split.n_folds:
        raise TaskError(
            f"{path} has {len(train)} rows, too few for {split.n_folds} folds; set a smaller `n_folds:` in task.yaml"
        )
