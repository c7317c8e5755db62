"""Score a submission against answers that are kept outside the task."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd

from report.formatting import format_plural
from task.data.prepare import LABEL_PREFIX
from task.data.public_tables import match_keys, plain_key
from task.grade.frames.answers import make_answers
from task.grade.metrics import task_metric
from task.grade.predictions import (
    PredictionsError,
    Truth,
    bind_to_form,
    convert_predictions,
)
from task.load.columns import type_tables
from task.load.form import label_text
from task.load.rows import ROW_ID
from task.load.spec import LoadedTask, read_task
from task.load.tables import read_table
from task.types import Prepared, TaskError


def score_private(task: str, answers: str, submission: str) -> float:
    """Score a submission against answers, both matched by names and ids. Raises TaskError."""
    loaded = read_task(task)
    names = [column.name for column in loaded.form.columns]
    is_number = bool(loaded.form.columns[0].label) or loaded.task.kind == "regression"
    true = read_values(answers, loaded.task.target if loaded.task.kind == "regression" else [])
    said = read_values(submission, names if is_number else [])
    true, said = align_tables(loaded, true, said, (answers, submission))
    truth = answers_as_truth(loaded, true, answers)
    if len(names) == 1 and names[0] not in said and len(said.columns) == 1:
        said = said.set_axis(names, axis=1)
    if missing := [name for name in names if name not in said]:
        raise TaskError(
            f"{submission} has no column {missing[0]!r}; it should have {', '.join(names[:8])}"
        )
    try:
        p = convert_predictions(truth, said[names], submission)
    except PredictionsError as error:
        text = str(error)
        named = text if text.startswith(submission) else f"{submission}: {text}"
        raise TaskError(named) from error
    try:
        return float(truth.metric.score(truth.scored, p))
    except ValueError as error:
        raise TaskError(f"{answers}: {truth.metric.name} cannot be computed ({error})") from error


def read_values(path: str, numbers: list[str]) -> pd.DataFrame:
    """Read a table as it is written; the columns `numbers` as numbers in any usual spelling."""
    table = read_table(Path(path))
    others = [name for name in table.frame.columns if name not in numbers]
    empty = table._replace(frame=table.frame.head(0))
    return type_tables(table, empty, id_columns=others, target=numbers).train


def align_tables(
    loaded: LoadedTask, true: pd.DataFrame, said: pd.DataFrame, paths: tuple[str, str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return answers and predictions in one order: by id, or by place where rows have none."""
    task, (answers, submission) = loaded.task, paths
    if missing := [name for name in task.target if name not in true]:
        raise TaskError(
            f"{answers} has no column {missing[0]!r}, the task's target "
            f"(it has {', '.join(map(str, true.columns[:6]))})"
        )
    said_id = next((name for name in (task.sample_id, task.id) if name in said), said.columns[0])
    true_id = next((name for name in (task.id, task.sample_id) if name in true), None)
    if task.id is None and len(true) == len(said):
        return true, said.drop(columns=said_id)
    if true_id is None and task.id is not None and true.columns[0] not in task.target:
        true_id = true.columns[0]
    if true_id is None:
        required = (
            f"the ids in a column {task.id!r}"
            if task.id
            else f"one row for each of the {len(said)} rows of the test table, in its order"
        )
        raise TaskError(f"{answers} cannot be matched with {submission}; it needs {required}")
    wanted = list(true[true_id].map(label_text))
    given = list(said[said_id].map(label_text))
    check_each_once(wanted, wanted, answers)
    check_each_once(given, wanted, submission)
    rows = match_keys(given, wanted)
    if missing_rows := [key for key, row in zip(wanted, rows, strict=True) if row < 0]:
        raise TaskError(
            f"{submission} lacks {len(missing_rows)} of the ids in {answers} "
            f"(e.g. {min(missing_rows)!r})"
        )
    return true, said.drop(columns=said_id).take(rows).reset_index(drop=True)


def check_each_once(given: list[str], wanted: list[str], path: str) -> None:
    """Refuse ids that stand in several rows: nothing says which of them counts. Raises TaskError.

    Two spellings of a wanted id (7 and 7.0) are one, where no other wanted id is spelled so.
    """
    names = {plain_key(text): text for text in wanted}
    if len(names) < len(set(wanted)):
        names = {}
    counts = Counter(names.get(plain_key(text), text) for text in given)
    if repeated := [text for text, n in counts.items() if n > 1]:
        n_rows = sum(counts[text] for text in repeated)
        raise TaskError(
            f"{path} has {n_rows} rows for {format_plural(len(repeated), 'id')} "
            f"(e.g. {counts[repeated[0]]} for {repeated[0][:40]!r}); keep one row for each id"
        )


def answers_as_truth(loaded: LoadedTask, true: pd.DataFrame, answers: str) -> Truth:
    """Return answers as the labels of a prepared task."""
    task, form = loaded.task, loaded.form
    frame = pd.DataFrame({"_id": [str(row) for row in range(len(true))], "_fold": 0})
    prepared = Prepared(
        task=task,
        public="",
        private="",
        inputs={},
        id=task.id or ROW_ID,
        columns=form.names,
        n_train=0,
        n_test=len(true),
        n_audit=0,
        seed=0,
        data_hash="",
        form=form,
    )
    truth = Truth(prepared, task_metric(task), form.labels, frame)
    for name in task.target:
        values: pd.Series[Any] = true[name].reset_index(drop=True)
        if task.kind == "text":
            truth.frame[LABEL_PREFIX + name] = values.astype(object).where(values.notna(), "")
            continue
        if task.kind == "regression":
            numbers = pd.to_numeric(values, errors="coerce")
            is_bad = numbers.isna()
        else:
            numbers = truth.find_labels(values.map(label_text, na_action="ignore"))
            is_bad = numbers.isna()
        if is_bad.any():
            raise TaskError(
                f"{answers}: {name!r} is {values[is_bad].iloc[0]!r} in {int(is_bad.sum())} rows, "
                "which the training table does not have as a label; correct the answers"
            )
        truth.frame[LABEL_PREFIX + name] = numbers
    if truth.metric.frame is None:
        return truth
    rows = true.reset_index(drop=True).apply(numbers_of_column)
    rows[prepared.id] = true[task.id] if task.id in true else frame["_id"]
    frame["_row"] = range(len(frame))
    bound = bind_to_form(truth.metric, make_answers(rows, form), prepared)
    return Truth(prepared, bound, form.labels, truth.frame)


def numbers_of_column(values: pd.Series[Any]) -> pd.Series[Any]:
    """Return a column as numbers where all of its cells are numbers."""
    try:
        return pd.to_numeric(values)
    except (ValueError, TypeError):
        return values
