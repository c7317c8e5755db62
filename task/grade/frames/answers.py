"""The answers that a metric over tables reads: all columns of the labelled rows."""

from __future__ import annotations

import pandas as pd

from task.load.form import label_text
from task.types import SubmissionForm


def make_answers(rows: pd.DataFrame, form: SubmissionForm) -> pd.DataFrame:
    """Return the labelled rows with the sample's columns that they lack, filled with the truth.

    So graders find their columns whether they are named as in the training table or as in the
    sample.
    """
    answers = rows.copy(deep=False)
    for column in form.columns:
        if column.name in answers or not column.target:
            continue
        values = rows[column.target]
        answers[column.name] = (
            (values.map(label_text) == column.label).astype(float) if column.label else values
        )
    for name in answers:
        if answers[name].dtype == object:
            answers[name] = answers[name].map(str, na_action="ignore")
    return answers
