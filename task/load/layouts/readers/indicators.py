"""Several labels in one cell, and a column for each in the sample: 0 and 1 per label."""

from __future__ import annotations

import pandas as pd

from task.load.form import match_names
from task.load.layouts.label_table import split_labels
from task.load.layouts.scene import LayoutTables, split_sample
from task.load.tables import Table


def split_indicators(made: LayoutTables, sample: pd.DataFrame) -> LayoutTables:
    """Return tables with a 0/1 target per label where a cell of the target holds several.

    The sample has a column for each of the labels.
    """
    predicted = split_sample(sample, None).predicted
    if len(made.target) != 1 or len(predicted) < 2 or made.label_columns:
        return made
    [target] = made.target
    cells = made.train.frame[target]
    labels = split_labels(cells)
    if not labels <= set(predicted) or match_names(predicted, sorted(set(cells.dropna()))):
        return made
    is_comma = cells.dropna().astype(str).astype(object).str.contains(",").any()
    lists = [
        set() if pd.isna(cell) else set(split_words(str(cell), bool(is_comma))) for cell in cells
    ]
    frame = made.train.frame.drop(columns=target)
    frame = frame.assign(**{name: [int(name in found) for found in lists] for name in predicted})
    said = (
        f"a cell of {target!r} holds several labels: a target of 0 and 1 for each of "
        f"{len(predicted)}"
    )
    return made._replace(
        train=Table(frame, made.train.repairs),
        target=predicted,
        label_columns=[target],
        readings=[*made.readings, said],
    )


def split_words(cell: str, is_comma: bool) -> list[str]:
    """Split a cell at commas, or at blanks."""
    return [word.strip() for word in (cell.split(",") if is_comma else cell.split())]
