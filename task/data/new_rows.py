"""New rows for a finished solution: checked against the training table, written as its test."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pyarrow.parquet as pq

from report.formatting import format_plural
from task.data.prepare import describe_spelling, sample_submission, write_rows
from task.data.public_tables import spell_texts, write_public_table
from task.grade.predictions import get_truth
from task.load.cells import text_of_cells
from task.load.rows import TaskRows, insert_id, make_ids, type_rows
from task.load.tables import Table, read_alike, read_table
from task.types import NewRows, Prepared, Task, TaskError

KIND_NAMES = {"numeric": "numbers", "boolean": "true or false", "date": "dates", "text": "text"}
MAX_NAMED = 20


class RawRows(NamedTuple):
    """The new rows as they are written, with what was changed about their columns."""

    table: Table
    numbers: dict[str, str]  # id made here -> number of its row, from 0
    notes: list[str]


def prepare_new_rows(
    prepared: Prepared, rows: str, inputs: dict[str, str], public: str, private: str
) -> NewRows:
    """Write the files that differ from the run's: the test table and its sample submission.

    Args:
        prepared: the task of the run.
        rows: path of the new rows, in any format that a task may have.
        inputs: what the solution was trained with, name below input/ -> path.
        public: folder to write to.
        private: folder for what only the harness reads.

    Raises:
        TaskError: the rows do not have the columns of the run's test table, in its kinds.
    """
    task = prepared.task.model_copy(update={"test": rows, "sample_submission": None})
    try:
        train, raw = read_alike(Path(task.train), Path(rows))
    except TaskError as error:  # the rows are named by no task.yaml
        raise TaskError(str(error).replace(" in task.yaml", "")) from error
    named = check_columns(prepared, train, raw, Path(rows).name)
    typed = type_rows(task, train, named.table)
    test_name = "test.parquet" if "test.parquet" in inputs else "test.csv"
    columns = read_header(Path(inputs[test_name]))
    check_kinds(prepared, typed, named.table.frame, Path(rows).name)
    if missing := [name for name in columns if name not in typed.test]:
        raise TaskError(f"{rows}: has no column {missing[0]!r}, which the solution was trained on")
    test, written, notes = spell_ids(prepared, typed, Path(rows).name)
    if task.id is None:
        written = {key: str(index) for index, key in enumerate(test[prepared.id])}
    written |= {
        key: named.numbers[text]
        for key, text in zip(test[prepared.id], typed.test[typed.id], strict=True)
        if text in named.numbers
    }
    truth = get_truth(prepared)
    seen = with_seen_labels(prepared, typed.train)
    sample = sample_submission(task, seen, test, truth.form)
    write_public_tables(Path(public), task, test[columns], sample, prepared.id)
    write_harness_files(Path(private), prepared, list(test[prepared.id]), written)
    own = {path.name: str(path) for path in sorted(Path(public).iterdir())}
    changes = {
        "task": task,
        "public": public,
        "private": private,
        "inputs": inputs | own,
        "n_test": len(test),
        "n_audit": 0,
        "form": truth.form,
    }
    new = prepared.model_copy(update=changes)
    repairs = [said for said in typed.repairs if said not in prepared.repairs]
    found = [*named.notes, *repairs, *notes, *describe_novelties(typed, columns, Path(rows).name)]
    return NewRows(prepared=new, notes=found)


def write_public_tables(
    folder: Path, task: Task, test: pd.DataFrame, sample: pd.DataFrame, id_column: str
) -> None:
    """Write what scripts see of the new rows."""
    folder.mkdir(parents=True, exist_ok=True)
    write_rows(test, folder / "test.csv", task, [id_column])
    write_public_table(sample, folder / "sample_submission.csv")


def write_harness_files(
    folder: Path, prepared: Prepared, ids: list[str], written: dict[str, str]
) -> None:
    """Write what only the harness reads: ids as written, and the labels of the training rows."""
    folder.mkdir(parents=True, exist_ok=True)
    meta = {
        "labels": get_truth(prepared).labels,
        "test_ids": ids,
        "written_ids": written,
        "id_from_rows": prepared.task.id is None,
    }
    (folder / "meta.json").write_text(json.dumps(meta))
    shutil.copyfile(Path(prepared.private) / "labels.parquet", folder / "labels.parquet")


def check_columns(prepared: Prepared, train: Table, raw: Table, name: str) -> RawRows:
    """Name the rows where they have no ids, and leave out what the run's test table lacks.

    Raises TaskError with one sentence for each missing column.
    """
    task, frame = prepared.task, raw.frame
    if frame.empty:
        raise TaskError(f"{name} has no rows")
    if twice := frame.columns[frame.columns.duplicated()].tolist():
        raise TaskError(f"{name}: the column {twice[0]!r} stands there twice; rename one")
    wanted = wanted_columns(prepared) or [str(column) for column in train.frame]
    keys = {task.id, *task.id_parts}
    features = [column for column in wanted if column not in {*keys, *task.target}]
    if missing := [column for column in features if column not in frame]:
        raise TaskError(
            "\n".join(
                f"{name} has no column {column!r}, which the solution was trained on"
                for column in missing[:MAX_NAMED]
            )
        )
    extra = [column for column in frame if column not in {*features, *keys}]
    notes = [
        f"{name}: the column {column!r} "
        + ("is the target" if column in task.target else "is not in the test table of the run")
        + "; it is left out"
        for column in extra[:MAX_NAMED]
    ]
    frame = frame.drop(columns=extra)
    numbers: dict[str, str] = {}
    if task.id and task.id not in frame and not has_id_parts(task, frame):
        notes.append(f"{name} has no id column {task.id!r}: its rows are numbered from 0")
        ids = new_ids(task.id, train.frame, len(frame))
        frame = insert_id(frame, task.id, ids)
        numbers = {key: str(index) for index, key in enumerate(ids)}
    return RawRows(raw._replace(frame=frame), numbers, notes)


def has_id_parts(task: Task, frame: pd.DataFrame) -> bool:
    """Whether the id can be put together of columns."""
    return bool(task.id_parts) and set(task.id_parts) <= set(frame)


def new_ids(column: str, train: pd.DataFrame, n: int) -> list[str]:
    """Return ids that no training row has, in the style of theirs."""
    if column not in train:
        return [str(index) for index in range(n)]
    return make_ids(text_of_cells(train[column]).dropna(), n)


def wanted_columns(prepared: Prepared) -> list[str]:
    """Return the columns of the run's test table as they are written; none where it has gone."""
    try:
        return [str(name) for name in read_table(Path(prepared.task.test), n_rows=5).frame]
    except TaskError:
        return []


def read_header(path: Path) -> list[str]:
    """Return the columns of a public table."""
    if path.suffix == ".parquet":
        return [str(name) for name in pq.read_schema(path).names]
    return [str(name) for name in pd.read_csv(path, nrows=0).columns]


def check_kinds(prepared: Prepared, typed: TaskRows, frame: pd.DataFrame, name: str) -> None:
    """Raise TaskError, a sentence for each, where columns read as another kind than in the run."""
    before = {column["name"]: column["kind"] for column in prepared.read}
    features = [column for column in typed.columns if column["name"] in frame]
    changed = [
        (column["name"], before[column["name"]], column["kind"])
        for column in features
        if before.get(column["name"], column["kind"]) != column["kind"]
    ]
    if changed:
        raise TaskError(
            "\n".join(
                f"{name}: the column {column!r} holds {KIND_NAMES.get(was, was)} in the training "
                f"table, but reads as {KIND_NAMES.get(now, now)} with the new rows"
                f"{example_of(frame[column], was)}"
                for column, was, now in changed[:MAX_NAMED]
            )
        )


def example_of(values: pd.Series[Any], kind: str) -> str:
    """Return a value that does not fit a kind of numbers, in words; empty where none is found."""
    if kind != "numeric":
        return ""
    texts = text_of_cells(values).dropna()
    odd = texts[pd.to_numeric(texts, errors="coerce").isna()]
    return f" (e.g. {str(odd.iloc[0])[:40]!r}; correct or empty it)" if len(odd) else ""


def spell_ids(
    prepared: Prepared, typed: TaskRows, name: str
) -> tuple[pd.DataFrame, dict[str, str], list[str]]:
    """Return the rows with ids as scripts see them, spelled id -> as written, and notes.

    Raises TaskError where ids repeat.
    """
    column = prepared.id
    train_ids, ids = list(typed.train[typed.id]), list(typed.test[typed.id])
    repeated = pd.Series(ids)[pd.Series(ids).duplicated()]
    if len(repeated):
        raise TaskError(
            f"{name} repeats {format_plural(len(repeated), 'id')} in {column!r}, e.g. "
            f"{str(repeated.iloc[0])[:40]!r}; every row needs its own"
        )
    notes = []
    known = len(set(ids) & set(train_ids))
    if known and not typed.has_made_ids:
        notes.append(f"{name}: {known} rows have the id of a training row")
    spelled = spell_texts([*train_ids, *ids])
    test = typed.test.rename(columns={typed.id: column})
    test[column] = test[column].map(spelled)
    notes += describe_spelling({text: spelled[text] for text in ids}, "ids")
    return test, {spelled[text]: text for text in ids if spelled[text] != text}, notes


def with_seen_labels(prepared: Prepared, train: pd.DataFrame) -> pd.DataFrame:
    """Return the training rows with labels as scripts see them."""
    if prepared.task.kind == "regression":
        return train
    target = prepared.task.target[0]
    return train.assign(**{target: train[target].map(spell_texts(train[target].unique()))})


def describe_novelties(typed: TaskRows, columns: list[str], name: str) -> list[str]:
    """Say which columns of the new rows hold values that no training row has."""
    notes = []
    for column in columns:
        if column == typed.id or column not in typed.train or column not in typed.test:
            continue
        seen, new = typed.train[column], typed.test[column]
        if new.isna().any() and not seen.isna().any():
            notes.append(
                f"{name}: the column {column!r} is empty in {int(new.isna().sum())} rows and never "
                "in the training table"
            )
        is_text = not pd.api.types.is_numeric_dtype(seen)
        if is_text and seen.nunique() < len(seen) / 2:
            is_new = new.notna() & ~new.isin(seen.dropna().unique())
            if is_new.any():
                notes.append(
                    f"{name}: the column {column!r} has values in {int(is_new.sum())} rows that no "
                    f"training row has, e.g. {str(new[is_new].iloc[0])[:40]!r}"
                )
    return notes[:MAX_NAMED]
