"""What `auto` chooses and says, and folds with rare classes and gaps."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from task.data import splits
from task.types import Split, TaskError

N = 600


def two_tables(column: str, values: object) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A train of the first 480 rows and a test of the others."""
    frame = pd.DataFrame({"id": range(N), column: values, "y": np.arange(N) % 2})
    return frame[:480].copy(), frame[480:].drop(columns="y").reset_index(drop=True)


def test_test_rows_that_come_later_are_split_by_time() -> None:
    days = pd.date_range("2021-01-01", periods=N).strftime("%Y-%m-%d")
    split, reason = splits.decide_split(*two_tables("day", days), "binary", ["y"], "id", 5)
    assert (split.kind, split.column) == ("time", "day") and "'day'" in reason


def test_years_of_the_test_rows_that_come_last_are_split_by_time() -> None:
    train, test = two_tables("year", np.arange(N) // 100 + 2015)
    assert splits.decide_split(train, test, "binary", ["y"], "id", 5)[0].kind == "time"
    train, test = (frame.rename(columns={"year": "level"}) for frame in (train, test))
    assert splits.detect_time_column(train, test, "id", ["y"]) is None


def test_an_id_that_is_a_date_can_be_the_time() -> None:
    train, test = two_tables("a", 1.0)
    days = pd.date_range("2021-01-01", periods=N).strftime("%Y-%m-%d")
    train["id"], test["id"] = days[:480], days[480:]
    assert splits.detect_time_column(train, test, "id", ["y"]) == "id"


@pytest.mark.parametrize("kind", ["text", "float"])
def test_groups_may_have_a_gap(kind: str) -> None:
    groups = np.arange(N) // 10
    values: list[object] = [float(g) if kind == "float" else f"p{g}" for g in groups]
    values[3] = np.nan if kind == "float" else None
    train, test = two_tables("patient", values)
    split, _ = splits.decide_split(train, test, "binary", ["y"], "id", 5)
    assert (split.kind, split.column) == ("group", "patient")
    folds = splits.assign_folds(train, split, "binary", ["y"], "id", 0)
    known = train["patient"].notna().to_numpy()
    assert pd.Series(folds[known]).groupby(groups[:480][known]).nunique().max() == 1


def test_groups_written_as_numbers_in_one_table_only_are_the_same_groups() -> None:
    train, test = two_tables("shop", np.arange(N) % 48)
    test["shop"] = test["shop"].astype(float)
    assert splits.detect_group_column(train, test, "id", ["y"]) is None


def test_rare_classes_are_trained_on_and_never_validated() -> None:
    train, test = two_tables("a", 1.0)
    train.loc[[5, 9], "y"] = 7
    split, reason = splits.decide_split(train, test, "multiclass", ["y"], "id", 5)
    folds = splits.assign_folds(train, split, "multiclass", ["y"], "id", 0)
    assert split.n_folds == 5 and "'7' (2)" in reason
    assert (folds[[5, 9]] == -1).all() and (np.delete(folds, [5, 9]) >= 0).all()


def test_many_rows_of_rare_classes_get_fewer_folds_and_the_rest_is_counted() -> None:
    train, test = two_tables("a", 1.0)
    train["y"] = np.arange(len(train)) // 4  # 120 classes of four rows
    train.loc[:9, "y"] = 1000 + np.arange(10)  # and some of one and two
    split, reason = splits.decide_split(train, test, "multiclass", ["y"], "id", 5)
    folds = splits.assign_folds(train, split, "multiclass", ["y"], "id", 0)
    assert split.n_folds == 4 and "4 folds" in reason and "(12 of 480 rows)" in reason
    assert (folds[:12] == -1).all() and (folds[12:] >= 0).all()


def test_two_classes_with_few_rows_of_one_get_fewer_folds() -> None:
    train, test = two_tables("a", 1.0)
    train["y"] = 0
    train.loc[[5, 9, 70], "y"] = 1
    split, reason = splits.decide_split(train, test, "binary", ["y"], "id", 5)
    folds = splits.assign_folds(train, split, "binary", ["y"], "id", 0)
    assert split.n_folds == 3 and "3 folds" in reason
    assert sorted(folds[[5, 9, 70]]) == [0, 1, 2]


def test_folds_without_two_classes_to_validate_are_refused() -> None:
    train, _ = two_tables("a", 1.0)
    train["y"] = 0
    train.loc[5, "y"] = 1
    with pytest.raises(TaskError, match="fewer than two classes"):
        splits.assign_folds(train, Split(kind="stratified"), "binary", ["y"], "id", 0)


def test_times_with_different_offsets_are_put_in_order() -> None:
    texts = pd.Series(["2021-01-01T23:00:00-05:00", "2021-01-02T01:00:00+02:00", "2021-01-02"])
    dates = splits.to_dates(texts)
    assert list(dates.rank()) == [3.0, 1.0, 2.0]


@pytest.mark.parametrize(
    ("names", "column"),
    [
        (["day_of_week", "month", "year"], "year+month"),
        (["year", "quarter"], "year+quarter"),
        (["sale_year", "sale_month", "sale_day"], "sale_year+sale_month+sale_day"),
    ],
)
def test_a_time_in_several_columns_is_put_in_order(names: list[str], column: str) -> None:
    days = pd.date_range("2019-01-01", periods=N)
    units = {
        "year": days.year,
        "month": days.month,
        "day": days.day,
        "quarter": days.quarter,
        "day_of_week": days.day_of_week,
    }
    frame = pd.DataFrame({name: units[name.removeprefix("sale_")] for name in names})
    frame = frame.assign(id=range(N), y=np.arange(N) % 2)
    start = int(np.flatnonzero((days.day == 1) & (days.quarter == 3) & (np.arange(N) > 500))[0])
    order = np.random.default_rng(0).permutation(start)
    train, test = frame.iloc[order].reset_index(drop=True), frame[start:].reset_index(drop=True)
    split, _ = splits.decide_split(train, test.drop(columns="y"), "binary", ["y"], "id", 3)
    assert (split.kind, split.column) == ("time", column)
    folds = splits.assign_folds(train, split, "binary", ["y"], "id", 0)
    last = {fold: order[folds == fold].max() for fold in range(-1, 3)}
    first = {fold: order[folds == fold].min() for fold in range(-1, 3)}
    assert all(last[fold] < first[fold + 1] for fold in range(-1, 2))


def test_months_of_every_year_are_no_time() -> None:
    train, test = two_tables("month", np.arange(N) % 12 + 1)
    train["year"], test["year"] = 2019 + train.id % 2, 2019 + test.id % 2
    assert splits.detect_time_column(train, test, "id", ["y"]) is None
