"""Lists of things that someone takes next, learned from a table of what was taken when.

The last period of the table is the label of those who took something in it; what was taken before
is their history. The rows to predict have the whole table as their history.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from task.load.form import label_text
from task.load.layouts.readers.tables import make_rows_of_sample
from task.load.layouts.scene import (
    LayoutTables,
    SampleColumns,
    Scene,
    match_column,
    says_test,
    split_sample,
    text_set,
)
from task.load.tables import Table

DAYS = re.compile(r"(\d{1,3})[ -]?days?\b|\b(week)\b", re.IGNORECASE)
USUAL_DAYS = 7
MAX_HISTORY = 50
"""Latest things of a history that are told, oldest first."""
HISTORY, COUNT, SINCE = "history", "n_before", "days_since_last"


class TakenColumns(NamedTuple):
    """Columns of a table of transactions."""

    who: str
    what: str
    when: str


def read_transactions(scene: Scene) -> LayoutTables | None:
    """Read who takes what next; None where no table says who took what when."""
    if scene.sample is None or scene.sample_path is None:
        return None
    columns = split_sample(scene.sample.frame, None)
    if len(columns.ids) != 1 or len(columns.predicted) != 1:
        return None
    words = words_of_cells(scene.sample.frame[columns.predicted[0]])
    for path, head in scene.heads.items():
        if says_test(path) or head.shape[1] < 3 or not words:
            continue
        if found := find_taken_columns(scene, path, columns, words):
            return tables_of_histories(scene, path, columns, found)
    return None


def words_of_cells(values: pd.Series) -> set[str]:
    """Return the words of the sample's first cells; empty where they are single words."""
    cells = [str(cell).split() for cell in values.dropna().head(20)]
    return {word for cell in cells for word in cell} if any(len(c) > 1 for c in cells) else set()


def find_taken_columns(
    scene: Scene, path: Path, columns: SampleColumns, words: set[str]
) -> TakenColumns | None:
    """Find who, what and when among the columns of a table."""
    head = scene.heads[path]
    who = match_column(head, columns.ids[0])
    if who is None or match_column(head, columns.predicted[0]):
        return None
    when = next((str(c) for c in head.columns if is_date_column(head[c])), None)
    if when is None:
        return None
    frame = scene.read_full(path).frame
    if not frame[who].duplicated().any():
        return None
    for name in map(str, head.columns):
        if name not in (who, when) and text_set(frame[name]) & words:
            return TakenColumns(who, name, when)
    return None


def is_date_column(values: pd.Series) -> bool:
    """Whether all cells are days such as 2020-09-22."""
    texts = values.dropna().astype(str).astype(object)
    return bool(len(texts)) and bool(texts.str.match(r"\d{4}-\d\d-\d\d").all())


def count_days(description: str) -> int:
    """Return the days that a description says the prediction is about."""
    found = DAYS.search(description)
    if not found:
        return USUAL_DAYS
    return max(1, int(found.group(1))) if found.group(1) else 7


def tables_of_histories(
    scene: Scene, path: Path, columns: SampleColumns, found: TakenColumns
) -> LayoutTables:
    """Return a row per taker of the last days, and one per row of the sample."""
    assert scene.sample is not None and scene.sample_path is not None
    [key], [target] = columns.ids, columns.predicted
    description = scene.root / "description.md"
    days = count_days(description.read_text(errors="replace") if description.is_file() else "")
    frame = scene.read_full(path).frame[[found.who, found.what, found.when]]
    frame = frame.assign(**{found.when: pd.to_datetime(frame[found.when].str[:10])})
    frame = frame.sort_values(found.when, kind="stable")
    end = frame[found.when].max() + pd.Timedelta(days=1)
    start = end - pd.Timedelta(days=days)
    last = frame[frame[found.when] >= start].drop_duplicates([found.who, found.what])
    labels = last.groupby(found.who, sort=False)[found.what].agg(" ".join)
    train = pd.DataFrame({key: labels.index, target: list(labels)})
    train = add_history(train, frame[frame[found.when] < start], found, start)
    test, said = make_rows_of_sample(scene, columns)
    test = add_history(test.reset_index(drop=True), frame, found, end)
    readings = [
        f"labels: the {found.what!r} of the last {days} days of {scene.name_path(path)} for each "
        f"{key!r} with any, {len(train)} lists; {HISTORY!r} is what came before, oldest first",
        said,
    ]
    return LayoutTables(
        train=Table(train, []),
        test=Table(test, []),
        labels=path,
        rows=scene.sample_path,
        sample=scene.sample_path,
        id=key,
        sample_id=key,
        target=[target],
        readings=readings,
        label_columns=[found.what],
        label_sources=[path],
    )


def add_history(
    rows: pd.DataFrame, frame: pd.DataFrame, found: TakenColumns, now: pd.Timestamp
) -> pd.DataFrame:
    """Add what was taken before a day: the latest things, how many, and how long ago."""
    key = rows.columns[0]
    known = frame[frame[found.who].isin(set(rows[key].map(label_text)))]
    groups = known.groupby(found.who, sort=False)
    latest = groups.tail(MAX_HISTORY).groupby(found.who, sort=False)[found.what].agg(" ".join)
    since = (now - groups[found.when].max()).dt.days
    keys = rows[key].map(label_text)
    rows = rows.copy()
    rows[HISTORY] = keys.map(latest).astype("str")
    rows[COUNT] = keys.map(groups.size()).fillna(0).astype(int)
    rows[SINCE] = keys.map(since)
    return rows
