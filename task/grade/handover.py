"""Hand over: the submission of the task's own test rows, in the sample's form and spelling."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from task.data.prepare import read_test_ids
from task.data.public_tables import match_keys
from task.grade.predictions import (
    PredictionsError,
    Truth,
    get_truth,
    read_decoder,
    read_said,
)
from task.grade.soft.decode import default_decoder
from task.grade.soft.script import write_decoder_script
from task.load.form import plain_name
from task.load.ids import read_sample_ids
from task.load.tables import read_table
from task.types import Prepared, TaskError

Array = NDArray[Any]
ORDER_METRICS = ("auc", "auc_mean_columns", "average_precision_mean_columns", "bias_auc", "lwlrap")
"""Metrics of the order alone, which take any numbers."""


def write_final_submission(
    prepared: Prepared, source: str, out: str, oof: str | None = None
) -> str | None:
    """Write the submission of the task's own test rows.

    Audit rows are dropped; order, ids, columns, labels, separator and decimal mark are those of
    the task's sample; values are those that were graded. Raises TaskError where a file cannot
    be read.

    Args:
        prepared: the task.
        source: the submission.csv of a script.
        out: path to write to.
        oof: its out-of-fold file, to which labels are fitted where the source holds none.

    Returns:
        A script that makes labels of such a file, where the source holds none.
    """
    truth, (ids, written_ids) = get_truth(prepared), read_test_ids(prepared)
    try:
        said = read_said(truth, source, Path(source).name, ids, n_rows=len(truth.test_ids))
        decoder = None
        if said.soft is not None:
            known = read_decoder(truth, oof) if oof else None
            decoder = known or default_decoder(truth.decoded)
        values = said.decode(truth, decoder)
    except PredictionsError as error:
        raise TaskError(f"{source}: {error}") from error
    cells = render_cells(truth, values)
    if not prepared.task.sample_submission:
        name = prepared.task.id or prepared.id
        result = pd.DataFrame({name: written_ids}, dtype=object)
        for index, column in enumerate(truth.form.columns):
            result[column.name] = cells[index]
    else:
        result = fill_sample(prepared, truth, written_ids, cells)
    form = truth.form
    result.to_csv(out, index=False, sep=form.separator, decimal=form.decimal)
    return write_decoder_script(truth, decoder) if decoder else None


def render_cells(truth: Truth, values: Array) -> list[list[Any]]:
    """Return the cells of every prediction column; labels as the sample or train writes them."""
    spelled = {label: truth.form.spelling.get(label, label) for label in truth.labels}
    if truth.metric.needs == "ranking":
        return [[" ".join(spelled[label] for label in guesses) for guesses in values]]
    if truth.metric.needs == "label" and truth.labels:
        texts = {code: spelled[label] for label, code in truth.codes.items()}
        return [[texts[float(code)] for code in values]]
    if truth.metric.needs == "text":
        written = np.asarray(values, dtype=object).reshape(len(values), -1)
        return [list(written[:, index]) for index in range(written.shape[1])]
    table = np.asarray(values, dtype=float).reshape(len(values), -1)
    if truth.metric.name in ORDER_METRICS:
        table = fit_unit_range(table)
    elif truth.metric.needs == "probability":
        table = np.clip(table, 0, 1)
    if truth.metric.is_whole:
        table = table.astype(int)
    return [list(table[:, index]) for index in range(table.shape[1])]


def fit_unit_range(table: Array) -> Array:
    """Return scores that are probabilities in 0..1, in the same order.

    Graders refuse others, though the metric knows the order alone.
    """
    low, high = float(table.min(initial=0)), float(table.max(initial=1))
    if low >= 0 and high <= 1:
        return table
    return np.asarray((table - low) / (high - low))


def fill_sample(
    prepared: Prepared, truth: Truth, written_ids: list[str], cells: list[list[Any]]
) -> pd.DataFrame:
    """Return the sample with its prediction columns replaced, row by row by its ids."""
    task = prepared.task
    assert task.sample_submission
    sample = read_table(Path(task.sample_submission)).frame
    rows = np.arange(len(sample))
    if task.id is not None:
        keys = list(read_sample_ids(task, sample))
        rows = match_keys(written_ids, keys)
        if (rows < 0).any():
            plain = [plain_name(key) for key in written_ids]
            rows = match_keys(plain, [plain_name(key) for key in keys])
    if len(sample) != len(written_ids) or (rows < 0).any():
        raise TaskError(f"{task.sample_submission} has changed since the run began; restore it")
    result = sample.copy()
    for index, column in enumerate(truth.form.columns):
        result[column.name] = pd.Series([cells[index][row] for row in rows], index=sample.index)
    return result
