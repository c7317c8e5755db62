"""From a task folder, with or without task.yaml, to a Task.

Every refusal is one sentence that names the file and the remedy.
"""

from __future__ import annotations

import difflib
import os
import re
import reprlib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, get_args

import pandas as pd
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from report.formatting import format_plural
from task.data.splits import explain_rare_classes, parse_dates, time_columns
from task.grade.metric_words import read_metric_words
from task.grade.metrics import canonical_metric
from task.load import roles
from task.load.dates import looks_like_dates
from task.load.decide import (
    Asked,
    check_scorable,
    decide_metric,
    find_copied_column,
    reads_features,
)
from task.load.encodings import to_utf8
from task.load.form import make_form, plain_name, prediction_names
from task.load.ids import (
    MAX_STRAY_SHARE,
    are_distinct_numbers,
    check_sample_ids,
    choose_id,
    read_sample_ids,
)
from task.load.layouts.inventory import OWN_FILES, is_table_name
from task.load.layouts.layout import read_layout
from task.load.layouts.scene import LayoutTables
from task.load.rows import TaskRows, type_rows
from task.load.tables import Table, find_table, read_alike, read_table, table_format
from task.load.targets import find_target_columns, list_columns
from task.types import (
    CLASS_KINDS,
    Direction,
    Kind,
    LayoutKeys,
    Split,
    SplitKind,
    SubmissionForm,
    TableFaultError,
    Task,
    TaskError,
)

TABLE_WORDS = {
    "train": "training table",
    "test": "test table",
    "sample_submission": "sample submission",
}
MAX_DATE_CLASS_SHARE = 0.2  # of the rows: more dates than that are no classes
MAX_DESCRIPTION_CHARS = 200_000
MAX_SPEC_BYTES = 1_000_000


class TaskSpec(BaseModel):
    """The keys of task.yaml; all but the metric can be inferred from the data."""

    model_config = ConfigDict(extra="forbid")
    name: str | None = Field(None, description="what the task is called; empty: the folder's name")
    metric: str | None = Field(
        None,
        description="a known name, map@K, or a Python file with score(answers, submission); "
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
        description="auto | stratified | random | group:COLUMN | time:COLUMN or time:YEAR+MONTH "
        "| file:folds.csv",
    )
    positive: str | None = Field(
        None,
        description="class whose probability a single column holds; empty: the class that the "
        "sample's column names, or the one that says yes (1, True, yes …)",
    )
    columns: dict[str, str] | None = Field(
        None,
        description="prediction column of the sample -> class or target that it holds; "
        "empty: matched by name",
    )
    n_folds: int = Field(5, ge=2, le=20, description="folds of the cross-validation")
    run_time_s: float | None = Field(None, gt=0, description="wall limit of one script, seconds")
    reader: str | None = Field(
        None,
        description="a Python file that reads labels and rows to predict where no table has "
        "them; writes labels.csv and rows.csv",
    )

    @field_validator("target", mode="before")
    @classmethod
    def as_list(cls, value: object) -> object:
        """Accept one name for a list, and numbers for names."""
        values = value if isinstance(value, (list, tuple)) else [value]
        if value is None or not all(isinstance(item, (str, int, float)) for item in values):
            return value
        return [str(item) for item in values]

    @field_validator("positive", "id", "name", mode="before")
    @classmethod
    def as_text(cls, value: object) -> object:
        """Accept a number or a truth value for a class or a name."""
        return str(value) if isinstance(value, (int, float)) else value

    @field_validator("kind", "direction", "split", mode="before")
    @classmethod
    def as_word(cls, value: object) -> object:
        """Accept capitals and blanks, and words such as maximize."""
        if not isinstance(value, str):
            return value
        word, mark, column = value.partition(":")
        word = word.strip().lower()
        word = "max" if word.startswith("maximi") or word == "higher" else word
        word = "min" if word.startswith("minimi") or word == "lower" else word
        return word + mark + column.strip()

    @field_validator("columns", mode="before")
    @classmethod
    def as_texts(cls, value: object) -> object:
        """Accept numbers for names and classes."""
        if not isinstance(value, dict):
            return value
        return {str(name): str(meaning) for name, meaning in value.items()}


class TextLoader(yaml.SafeLoader):
    """Reads every value of task.yaml as text: `positive: no` is a class, `id: 007` a name."""


TextLoader.yaml_implicit_resolvers = {
    mark: [(tag, pattern) for tag, pattern in resolvers if tag.endswith((":null", ":merge"))]
    for mark, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class TableFiles(NamedTuple):
    """Paths of a task's tables."""

    train: Path
    test: Path
    sample: Path | None


NO_FILES = TableFiles(Path(), Path(), None)


class Tables(NamedTuple):
    """The tables of a task folder as they are written, with their paths for messages."""

    train: Table
    test: Table
    sample: Table | None
    files: TableFiles

    @property
    def form(self) -> pd.DataFrame | None:
        """The sample submission's table."""
        return self.sample.frame if self.sample else None


class LoadedTask(NamedTuple):
    """A task, and what was read to make it."""

    task: Task
    rows: TaskRows
    form: SubmissionForm


def load_task(path: str, config: str | None = None) -> Task:
    """Read and check a task folder. Raises TaskError.

    `config`: a task.yaml elsewhere.
    """
    return read_task(path, config=config).task


def read_task(
    path: str, *, config: str | None = None, keys: Mapping[str, object] | None = None
) -> LoadedTask:
    """Read and check a task folder; return the task with its rows. Raises TaskError.

    `config`: a task.yaml elsewhere. `keys`: the keys of task.yaml, instead of a file.
    """
    root = Path(path).expanduser().resolve()
    roles.check_folder(root)
    spec = read_spec(root, config) if keys is None else parse_spec(keys, root / "task.yaml")
    tables, task, labels = read_draft(root, spec)
    asked = read_asked(spec, root, task.description)
    if len(task.target) == 1:
        copied = find_copied_column(tables.train.frame, tables.test.frame, task.target[0])
        asked = asked._replace(copied=copied)
    names = prediction_names(task, tables.form, tables.train.frame)
    columns = [str(name) for name in tables.train.frame.columns]
    if reads_features(asked):
        labels = type_rows(task, tables.train, tables.test)
    kind, metric, remarks = decide_metric(asked, task, labels.train, tables.form, names, columns)
    rows = type_rows(task.model_copy(update={"kind": kind}), tables.train, tables.test)
    changes = {
        "kind": kind,
        "metric": metric.name,
        "direction": metric.direction,
        "metric_sentence": asked.words.sentence if asked.words else "",
    }
    task = task.model_copy(update=changes)
    check_target(rows.train, task)
    check_split(rows.train, task)
    check_scorable(metric, rows.train, task)
    task = fit_folds(rows.train, task)
    form = make_form(task, rows.train, tables.form, rows.id)
    found = [*rows.repairs, *(tables.sample.repairs if tables.sample else [])]
    said = {
        "decided": [*task.decided, *remarks, *form.decided],
        "repairs": [*found, *describe_rare_classes(rows.train, task)],
    }
    return LoadedTask(task.model_copy(update=said), rows, form)


class Draft(NamedTuple):
    """A task whose kind and metric are not decided yet, with its tables and rows."""

    tables: Tables
    task: Task
    rows: TaskRows  # ids and targets alone


def read_draft(root: Path, spec: TaskSpec) -> Draft:
    """Read the tables of a folder; where they are no pair of train and test, by its layout.

    Raises TaskError.
    """
    refusal = None
    if spec.reader is None:
        try:
            return read_plain_draft(root, spec)
        except TableFaultError:
            raise
        except TaskError as error:
            refusal = error
    keys = layout_keys(spec)
    try:
        made = read_layout(root, keys)
    except TaskError:
        if refusal is not None and has_named_tables(root, spec):
            raise refusal from None  # the tables are there: what is wrong with them comes first
        raise
    if made is None:
        raise refusal or TaskError(f"{root / 'task.yaml'}: the reader {spec.reader!r} read nothing")
    return draft_of_layout(root, spec, made, keys)


def has_named_tables(root: Path, spec: TaskSpec) -> bool:
    """Whether training and test table are found by their names."""
    try:
        files = locate_tables(root, spec)
        return all(read_table(path, n_rows=1) for path in (files.train, files.test))
    except TaskError:
        return False


def read_plain_draft(root: Path, spec: TaskSpec) -> Draft:
    """Read a folder of a training and a test table. Raises TaskError."""
    tables = read_tables(locate_tables(root, spec))
    task = draft_task(root, spec, tables)
    task = task.model_copy(update={"decided": task.decided + name_alike(root, spec, tables.files)})
    rows = type_rows(task, tables.train, tables.test, has_features=False)
    check_ids(tables, task, rows)
    return Draft(tables, task, rows)


def name_alike(root: Path, spec: TaskSpec, files: TableFiles) -> list[str]:
    """Say which other tables have the columns of the training table, and are not trained on.

    Raises TableFaultError where nothing but their columns makes one of them the training table.
    """
    names = roles.list_alike(root, files.train, {files.test, files.sample})
    if not names:
        return []
    listed, train = ", ".join(names[:5]), files.train.name
    is_named = bool(spec.train) or find_table(root, *roles.TRAIN_NAMES) == files.train
    if is_named:
        what = "has the same columns and is" if len(names) == 1 else "have the same columns and are"
        return [
            f"{listed}: {what} not trained on; if these are labelled rows to train on (no "
            f"answers to the test), put them into {train}"
        ]
    raise TableFaultError(
        f"{root}: {listed} and {train} have the same columns, so any of them may be the training "
        "table; put their rows into one train.csv, or name one with `train:` in task.yaml"
    )


def layout_keys(spec: TaskSpec) -> LayoutKeys:
    """Return the keys of task.yaml that say how a folder is read."""
    return LayoutKeys(
        train=spec.train,
        test=spec.test,
        sample=spec.sample_submission,
        id=spec.id,
        target=tuple(spec.target or ()),
        reader=spec.reader,
    )


def draft_of_layout(root: Path, spec: TaskSpec, made: LayoutTables, keys: LayoutKeys) -> Draft:
    """Return the task that a reader made of a folder. Raises TaskError."""
    files = TableFiles(made.labels, made.rows, made.sample)
    tables = Tables(made.train, made.test, read_table(made.sample) if made.sample else None, files)
    split = Split(
        kind=parse_split_kind(spec),
        column=parse_split_column(spec, made.train.frame, files.train, root),
        n_folds=spec.n_folds,
    )
    if made.group and split.kind == "auto":
        n_groups = made.train.frame[made.group].nunique()
        if n_groups > 1:
            changes = {"column": made.group, "n_folds": min(spec.n_folds, n_groups)}
            split = split.model_copy(update={"kind": "group"} | changes)
    task = Task(
        root=str(root),
        name=spec.name or root.name,
        description=read_description(root),
        metric="rmse",
        direction="min",
        kind="regression",
        train=str(files.train),
        test=str(files.test),
        sample_submission=str(files.sample) if files.sample else None,
        id=made.id,
        target=made.target,
        split=split,
        extra=list_layout_files(root, made),
        run_time_s=spec.run_time_s,
        id_parts=made.id_parts,
        id_mark=made.mark,
        id_name=made.id_name,
        sample_id=made.sample_id,
        positive=spec.positive or "",
        columns=spec.columns or {},
        decided=made.readings,
        label_sources=[str(path) for path in made.label_sources],
        layout=keys,
        label_columns=made.label_columns,
        readings=made.readings,
    )
    rows = type_rows(task, tables.train, tables.test, has_features=False)
    check_ids(tables, task, rows)
    return Draft(tables, task, rows)


def draft_task(root: Path, spec: TaskSpec, tables: Tables) -> Task:
    """Return the task as its names show it; kind and metric are not decided yet."""
    files, train, test = tables.files, tables.train.frame, tables.test.frame
    id_choice = choose_id(spec.id, train, test, tables.form)
    check_named_id(spec, tables)
    if id_choice.column in (spec.target or []):
        raise TableFaultError(
            f"{files.train}: the column {id_choice.column!r} names the rows, so it is no target; "
            "correct `target:` or `id:` in task.yaml"
        )
    names = [] if tables.form is None else [str(column) for column in tables.form.columns]
    return Task(
        root=str(root),
        name=spec.name or root.name,
        description=read_description(root),
        metric="rmse",
        direction="min",
        kind="regression",
        train=str(files.train),
        test=str(files.test),
        sample_submission=str(files.sample) if files.sample else None,
        id=id_choice.column,
        target=find_target_columns(spec.target, train, test, names, id_choice.column, files.train),
        split=Split(
            kind=parse_split_kind(spec),
            column=parse_split_column(spec, train, files.train, root),
            n_folds=spec.n_folds,
        ),
        extra=list_extra_files(root, files),
        run_time_s=spec.run_time_s,
        id_parts=id_choice.parts,
        id_mark=id_choice.mark,
        sample_id=id_choice.sample_column,
        positive=spec.positive or "",
        columns=spec.columns or {},
        decided=[id_choice.decided] * bool(id_choice.decided),
    )


def read_asked(spec: TaskSpec, root: Path, description: str) -> Asked:
    """Return what task.yaml and the description ask for. Raises TaskError."""
    if not spec.metric:
        return Asked("", read_metric_words(description), spec.direction, spec.kind)
    if spec.metric.endswith(".py"):
        return Asked(str(path_inside(root, spec.metric)), None, spec.direction, spec.kind)
    try:
        return Asked(canonical_metric(spec.metric), None, spec.direction, spec.kind)
    except TaskError as error:
        raise TaskError(f"{root / 'task.yaml'}: {error}") from error


def read_tables(files: TableFiles) -> Tables:
    """Read all tables. Raises TaskError for one that cannot be read or is empty."""
    train, test = read_pair(files)
    sample = read_table(files.sample) if files.sample else None
    check_names(train, files.train)
    check_names(test, files.test)
    test = name_as_train(test, train, files)
    if train.frame.empty:
        raise TableFaultError(f"{files.train} has no rows; put the labelled training rows there")
    if test.frame.empty:
        raise TableFaultError(f"{files.test} has no rows; put the rows to predict there")
    if sample is not None and (len(sample.frame.columns) < 2 or sample.frame.empty):
        raise TaskError(
            f"{files.sample} should have the ids and a prediction for every row of {files.test}; "
            "correct it, or remove it: a submission then has the ids and the target"
        )
    return Tables(train, test, sample, files)


def read_pair(files: TableFiles) -> list[Table]:
    """Read training and test table.

    Raises TableFaultError for one that is damaged, empty or another format than its name says: to
    predict without it would leave its features out unseen. A zip or a JSON file may be no table.
    """
    try:
        return read_alike(files.train, files.test)
    except TaskError as error:
        for path in (files.train, files.test):
            may_be_other = path.name.endswith((".zip", ".7z"))
            may_be_other |= table_format(path.name) in ("json", "jsonl")
            if str(error).startswith(str(path)) and not may_be_other:
                raise TableFaultError(str(error)) from error
        raise


def name_as_train(test: Table, train: Table, files: TableFiles) -> Table:
    """Return the test table with the names of train where they differ by case or blanks alone."""
    ours, theirs = list(map(str, train.frame.columns)), list(map(str, test.frame.columns))
    free = [name for name in ours if name not in theirs]
    odd = [name for name in theirs if name not in ours]
    plain = Counter(map(plain_name, free))
    meant = {plain_name(name): name for name in free if plain[plain_name(name)] == 1}
    named = {name: meant[plain_name(name)] for name in odd if plain_name(name) in meant}
    if not named or len(set(named.values())) < len(named):
        return test
    pairs = ", ".join(f"{name!r} is {ours!r}" for name, ours in list(named.items())[:5])
    said = f"{files.test.name}: columns named as in {files.train.name}: {pairs}"
    return test._replace(frame=test.frame.rename(columns=named), repairs=[*test.repairs, said])


def check_names(table: Table, path: Path) -> None:
    """Refuse a table without names of its columns, or without columns. Raises TaskError."""
    names = [str(name) for name in table.frame.columns]
    if not table.has_header:
        first = ",".join(names[:4]) + (",…" if len(names) > 4 else "")
        raise TableFaultError(
            f"{path} has no line with the names of its {len(names)} columns: its first line "
            f"({first}) reads like the rows below it; put names before it in every table, the "
            "same ones in train and test, and `target` for the column to predict"
        )
    if len(names) == 1 and re.search(r"\w[^\w]+\w", names[0]):
        raise TaskError(
            f"{path} has one column only, named {names[0][:60]!r}; separate its fields by commas "
            "and save it as csv"
        )


def read_description(root: Path) -> str:
    """Read description.md, bounded; empty where there is none."""
    path = root / "description.md"
    return decode_text(path)[:MAX_DESCRIPTION_CHARS] if path.is_file() else ""


def decode_text(path: Path) -> str:
    """Read a text file in the encoding that it has. Raises OSError."""
    raw = path.read_bytes()
    try:
        return bytes(to_utf8(raw).data).decode("utf-8", "replace").replace("\r\n", "\n")
    except UnicodeError:
        return raw.decode("utf-8", "replace")


def list_extra_files(root: Path, files: TableFiles) -> list[str]:
    """List what else the folder contains, for scripts to read."""
    return [
        str(item)
        for item in sorted(root.iterdir())
        if item not in files and item.name not in OWN_FILES and not item.name.startswith(".")
    ]


def list_layout_files(root: Path, made: LayoutTables) -> list[str]:
    """List what a folder contains beside the files of labels, rows to predict and the sample."""
    files = TableFiles(made.labels, made.rows, made.sample)
    hidden = {path for path in (*files, *made.label_sources) if path and path.is_file()}
    hidden = {path for path in hidden if is_table_name(path.name) or path in made.label_sources}
    hidden |= set(made.label_sources)
    return [path for path in list_extra_files(root, NO_FILES) if Path(path) not in hidden]


def read_spec(root: Path, config: str | None = None) -> TaskSpec:
    """Read task.yaml, or `config`; an empty spec where there is none. Raises TaskError."""
    path = Path(config).expanduser() if config else root / "task.yaml"
    if config and not path.is_file():
        raise TaskError(f"{path} does not exist; `gome init FOLDER --config {path}` writes it")
    if not path.exists():
        return TaskSpec()
    try:
        if not path.is_file() or path.stat().st_size > MAX_SPEC_BYTES:
            raise ValueError(f"not a file of at most {MAX_SPEC_BYTES // 1000} kB")
        keys = yaml.load(decode_text(path), Loader=TextLoader) or {}  # noqa: S506 - of texts alone
    except (yaml.YAMLError, ValueError, RecursionError, OSError) as error:
        raise TaskError(
            f"{path} is not valid YAML ({(str(error).splitlines() or [''])[0]}); "
            "fix it or write a new one with `gome init --force`"
        ) from error
    spec = parse_spec(keys, path)
    return find_beside(spec, root, path) if config else spec


def find_beside(spec: TaskSpec, root: Path, config: Path) -> TaskSpec:
    """Return the keys with the files that lie beside the config instead of in the task folder."""
    changes = {}
    for key in ("metric", "reader"):
        name = getattr(spec, key)
        if name and name.endswith(".py") and not (root / name).exists():
            beside = Path(os.path.abspath(config)).with_name(Path(name).name)  # noqa: PTH100
            if beside.is_file():
                changes[key] = str(beside)
    return spec.model_copy(update=changes)


def parse_spec(keys: object, path: Path) -> TaskSpec:
    """Check the keys of task.yaml. Raises TaskError."""
    if not isinstance(keys, Mapping):
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
    return f"{key}: {problem['msg']} (got {reprlib.repr(problem.get('input'))[:120]})"


def locate_tables(root: Path, spec: TaskSpec) -> TableFiles:
    """Find train, test and sample submission inside the folder. Raises TaskError."""

    def locate(name: str | None, *usual_names: str) -> Path | None:
        return path_inside(root, name) if name else find_table(root, *usual_names)

    train = locate(spec.train, *roles.TRAIN_NAMES)
    test = locate(spec.test, *roles.TEST_NAMES)
    sample = locate(spec.sample_submission, *roles.SAMPLE_NAMES)
    if train is None or test is None:
        found = roles.find_roles(root).keys
        train = train or path_inside(root, found["train"])
        test = test or path_inside(root, found["test"])
        if sample is None and "sample_submission" in found:
            sample = path_inside(root, found["sample_submission"])
    for path, key in ((train, "train"), (test, "test"), (sample, "sample_submission")):
        if path is not None and not path.is_file():
            raise (TaskError if path.exists() else TableFaultError)(
                f"{path} does not exist; put the {TABLE_WORDS[key]} there or correct `{key}:` in "
                f"{root / 'task.yaml'}"
            )
    return TableFiles(train, test, sample or roles.find_sample(root, train, test))


def path_inside(root: Path, name: str) -> Path:
    """Return the absolute path of a file named in task.yaml; a link counts where it lies.

    Raises TaskError outside `root`.
    """
    path = Path(os.path.normpath(root / name))
    if not path.is_relative_to(root) and not is_beside_config(Path(name)):
        raise TableFaultError(
            f"{root / 'task.yaml'}: {name!r} is outside the task folder; move the file into it"
        )
    return path


def is_beside_config(path: Path) -> bool:
    """Whether a file lies beside a task.yaml that is kept outside of the task folder."""
    return path.is_absolute() and path.is_file() and path.with_name("task.yaml").is_file()


def check_named_id(spec: TaskSpec, tables: Tables) -> None:
    """Refuse an `id:` that test lacks. Raises TaskError."""
    frame = tables.test.frame
    if spec.id and spec.id not in frame:
        raise TableFaultError(
            f"{tables.files.test} has no id column {spec.id!r}; "
            f"set `id:` in task.yaml to one of {list_columns(frame, spec.id)}"
        )


def check_ids(tables: Tables, task: Task, rows: TaskRows) -> None:
    """Refuse repeated, missing or unmatched ids. Raises TaskError."""
    files, sample = tables.files, tables.form
    if task.id is None:
        if sample is not None and len(sample) != len(rows.test):
            raise TaskError(
                f"{files.sample} has {len(sample)} rows and {files.test} has {len(rows.test)}; "
                "they should match"
            )
        return
    for frame, table, path in (
        (rows.train, tables.train, files.train),
        (rows.test, tables.test, files.test),
    ):
        if task.id in table.frame and table.frame[task.id].isna().any():
            raise TaskError(
                f"{path}: column {task.id!r} has rows without an id; every row needs its own id"
            )
        repeated = [] if are_distinct_numbers(frame[rows.id]) else find_repeated(frame[rows.id])
        if len(repeated):
            is_accident = is_stray(len(repeated), len(frame), task.id, sample)
            raise (TableFaultError if is_accident else TaskError)(
                f"{path} repeats {format_plural(len(repeated), 'id')} in column {task.id!r} "
                f"(e.g. {repeated[0]!r}); {explain_repeats(rows, sample)}"
            )
    if sample is not None and files.sample is not None:
        ids = read_sample_ids(task, sample)
        check_sample_ids(ids, rows.test[rows.id], (files.sample, files.test))


def find_repeated(ids: pd.Series[Any]) -> list[str]:
    """Return the ids that stand there before."""
    return list(ids[ids.duplicated()])


def explain_repeats(rows: TaskRows, sample: pd.DataFrame | None) -> str:
    """Return the remedy for repeated ids, which depends on what the sample asks for."""
    if sample is None:
        return (
            "every row needs its own id: number the rows in a new column, or set `id:` in "
            "task.yaml to another one"
        )
    if rows.test[rows.id].is_unique:
        return (
            "every row needs its own id: remove the rows that are there twice, or that column from "
            "the training table"
        )
    return (
        "the sample asks for one prediction per id: put the rows of each id together into one "
        "(means, counts), in the training and in the test table, with one label"
    )


def is_stray(n_repeated: int, n_rows: int, name: str | None, sample: pd.DataFrame | None) -> bool:
    """Whether repeated ids are a mistake in a column of ids, not several rows per id."""
    is_of_ids = sample is None or str(sample.columns[0]) == name
    return is_of_ids and n_repeated <= MAX_STRAY_SHARE * n_rows


def check_target(train: pd.DataFrame, task: Task) -> None:
    """Refuse a target with one value only, or more classes than its kind. Raises TaskError."""
    for name in task.target:
        values = train[name]
        if values.nunique() < 2 and len(task.target) == 1:
            raise TaskError(
                f"{task.train}: the target {name!r} has one class only ({values.iloc[0]!r}); "
                "there is nothing to learn, check `target:` in task.yaml"
            )
    values = train[task.target[0]]
    n_classes = values.nunique()
    is_of_dates = task.kind == "multiclass" and n_classes > MAX_DATE_CLASS_SHARE * len(train)
    if is_of_dates and looks_like_dates([str(text) for text in values.dropna().unique()[:50]]):
        raise TaskError(
            f"{task.train}: the target {task.target[0]!r} holds dates (such as "
            f"{values.dropna().iloc[0]!r}), and no metric here scores dates; write it as a "
            "number, such as the days since a fixed day, or set `target:` in task.yaml to "
            "another column"
        )
    if task.kind == "binary" and n_classes > 2:
        raise TaskError(
            f"{task.train}: the target {task.target[0]!r} has {n_classes} classes and kind is "
            "binary; set `kind: multiclass` in task.yaml"
        )


def parse_split_kind(spec: TaskSpec) -> SplitKind:
    """Return the kind of a split such as group:COLUMN. `splits.decide_split` resolves `auto`."""
    word = spec.split.partition(":")[0]
    if word not in get_args(SplitKind):
        raise TableFaultError(
            f"task.yaml: split {spec.split!r} is not known; use auto, stratified, random, "
            "group:COLUMN, time:COLUMN or file:folds.csv"
        )
    return word  # type: ignore[return-value]


def parse_split_column(spec: TaskSpec, train: pd.DataFrame, path: Path, root: Path) -> str | None:
    """Return the column of a group or time split, or the absolute path of a folds file."""
    word, _, column = spec.split.partition(":")
    if word == "file":
        return str(path_inside(root, column or "folds.csv"))
    names = time_columns(train, column) if word == "time" else [column]
    lacking = [name for name in names if name not in train]
    if word in ("group", "time") and lacking:
        column = lacking[0]
        raise TaskError(
            f"{path} has no column {column!r} to split by; "
            f"set `split: {word}:COLUMN` in task.yaml to one of {list_columns(train, column)}"
        )
    return column or None


def check_split(train: pd.DataFrame, task: Task) -> None:
    """Refuse to split by what is predicted, or by a time that is none. Raises TaskError."""
    kind, column = task.split.kind, str(task.split.column)
    if kind not in ("group", "time"):
        return
    names = time_columns(train, column) if kind == "time" else [column]
    if set(names) & set(task.target):
        raise TaskError(
            f"task.yaml: split {kind}:{column} divides the rows by the target itself; choose "
            "another column, or take `split:` out"
        )
    for column in names if kind == "time" else []:
        if column not in train:
            continue
        values = train[column]
        if not pd.api.types.is_numeric_dtype(values) and parse_dates(values) is None:
            raise TaskError(
                f"{task.train}: column {column!r} has no dates or numbers (such as "
                f"{values.dropna().iloc[0]!r}), so it has no order of time; set `split: "
                "time:COLUMN` in task.yaml to another one"
            )


def fit_folds(train: pd.DataFrame, task: Task) -> Task:
    """Return the task with no more folds than its rows allow. Raises TaskError for too few rows.

    Classes rarer than the folds are trained on and never validated; at least two remain.
    """
    split = task.split
    if task.kind in CLASS_KINDS and split.kind in ("auto", "stratified", "random"):
        counts = train[task.target[0]].value_counts()
        if (counts >= 2).sum() < 2:
            raise TaskError(
                f"{task.train}: class {counts.index[-1]!r} of {task.target[0]!r} has one row, "
                "so no score can tell it from the other; add rows of it"
            )
    n_in_fold = 1 if task.kind == "text" else 2
    if len(train) >= n_in_fold * split.n_folds or split.kind == "file":
        return task
    if len(train) < 2 * n_in_fold:
        raise TaskError(
            f"{task.train} has {format_plural(len(train), 'row')}, too few to validate anything; "
            f"add rows, {2 * n_in_fold} at least"
        )
    n_folds = len(train) // n_in_fold
    said = f"{n_folds} folds instead of {split.n_folds}: there are {len(train)} training rows"
    split = split.model_copy(update={"n_folds": n_folds})
    return task.model_copy(update={"split": split, "decided": [*task.decided, said]})


def describe_rare_classes(train: pd.DataFrame, task: Task) -> list[str]:
    """Say which classes are rarer than the folds, and what happens to them."""
    if task.kind not in CLASS_KINDS or task.split.kind in ("time", "file"):
        return []
    _, text = explain_rare_classes(train[task.target[0]], task.split.n_folds)
    return [part for part in text.split("; ") if part]
