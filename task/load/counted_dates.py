"""Dates that are written as numbers: 20240131, 31012024, unix time, days since 1900.

Loaded by the task worker only.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from task.load.dates import NEARLY_ALL

Array = NDArray[np.float64]
TIME_NAME = re.compile(
    r"(?:^|[_\W])(?:date|datetime|time|timestamp|ts|epoch|unix|at)(?:$|[_\W\d])"
    r"|timestamp|datetime|[a-z](?:Date|Time)$|date$|Date",
)
DATE_NAME = re.compile(
    r"(?:^|[_\W\d])(?:date|datetime|datum|fecha)(?:$|[_\W\d])|(?-i:[a-z]Date(?![a-z]))"
    r"|(?<!candi)(?<!man)(?<!vali)(?<!up)date$",
    re.IGNORECASE,
)
MONTH_NAME = re.compile(
    r"(?:^|[_\W])(?:month|period|yearmonth|yyyymm|ym|monat|mes)(?:$|[_\W])|month$", re.IGNORECASE
)
MONTHS = (190_001, 210_012)
SECONDS = (3.0e8, 4.2e9)  # 1979 to 2103
DAYS = (20_000, 75_000)  # of a spreadsheet: 1954 to 2105
FIRST_DAY = pd.Timestamp("1899-12-30")
MIN_DISTINCT = 5


class CountedDates(NamedTuple):
    """The time of every distinct number, and how it was read."""

    times: pd.Series[Any]  # index: the numbers
    why: str


def may_be_counted(name: str, numbers: Array) -> bool:
    """Whether some numbers of a column, not all missing, may be dates."""
    known = numbers[~np.isnan(numbers)]
    if is_named_month(name) and ((known >= MONTHS[0]) & (known <= MONTHS[1])).all():
        return True
    if DATE_NAME.search(name) and ((known >= DAYS[0]) & (known <= DAYS[1])).all():
        return True
    if TIME_NAME.search(name) and ((known >= SECONDS[0]) & (known < 1e20)).all():
        return True
    return bool(((known > 1e6) & (known < 1e20) & (known == np.floor(known))).all())


def read_counted_dates(name: str, numbers: Array) -> CountedDates | None:
    """Read distinct numbers as yyyymmdd or, in a column named after dates or time, as others.

    None where they are plain numbers.
    """
    known = numbers[np.isfinite(numbers)]
    if len(known) < MIN_DISTINCT or (known < 0).any():
        return None
    is_whole = bool((known == np.floor(known)).all())
    low, high = known.min(), known.max()
    if is_whole and is_named_month(name) and low >= MONTHS[0] and high <= MONTHS[1]:
        return read_months(known)
    if is_whole and low >= 19000101 and high <= 21001231:
        found = read_digits(known, "%Y%m%d", "yyyymmdd")
        return found or (read_day_or_month_first(known) if DATE_NAME.search(name) else None)
    if is_whole and DATE_NAME.search(name) and low > 1_010_000 and high < 32_000_000:
        return read_day_or_month_first(known)
    if DATE_NAME.search(name) and low >= DAYS[0] and high <= DAYS[1]:
        days = FIRST_DAY + pd.to_timedelta(known, unit="D")
        times = pd.Series(days.round("s"), index=known)
        return CountedDates(times, "days as a spreadsheet counts them, by the column's name")
    return read_unix_time(known) if TIME_NAME.search(name) else None


def is_named_month(name: str) -> bool:
    """Whether a column is named after months or dates."""
    return bool(MONTH_NAME.search(name) or DATE_NAME.search(name))


def read_months(known: Array) -> CountedDates | None:
    """Read 202401 as the first day of a month; None where a number names no month."""
    if not ((known % 100 >= 1) & (known % 100 <= 12)).all():
        return None
    times = pd.to_datetime(pd.Series(known.astype("int64").astype(str)), format="%Y%m")
    return CountedDates(pd.Series(times.to_numpy(), index=known), "whole numbers that read yyyymm")


def read_digits(known: Array, form: str, what: str) -> CountedDates | None:
    """Read eight digits as a date; None where not nearly all are one."""
    texts = pd.Series(known.astype("int64").astype(str)).str.zfill(8)
    times = pd.to_datetime(texts, format=form, errors="coerce")
    if times.notna().mean() < NEARLY_ALL:
        return None
    return CountedDates(pd.Series(times.to_numpy(), index=known), f"whole numbers that read {what}")


def read_day_or_month_first(known: Array) -> CountedDates | None:
    """Read ddmmyyyy or mmddyyyy; None where neither or both fit."""
    day_first = read_digits(known, "%d%m%Y", "ddmmyyyy")
    month_first = read_digits(known, "%m%d%Y", "mmddyyyy")
    if day_first and month_first:
        return None
    return day_first or month_first


def read_unix_time(known: Array) -> CountedDates | None:
    """Read whole numbers as unix time; None where they are out of its range."""
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("us", 1e6), ("ns", 1e9)):
        if known.min() >= SECONDS[0] * factor and known.max() <= SECONDS[1] * factor:
            times = pd.to_datetime(pd.Series(known.astype("int64")), unit=unit)  # type: ignore[call-overload]
            what = {"s": "seconds", "ms": "milliseconds", "us": "microseconds"}.get(unit, unit)
            why = f"unix time in {what}, by the column's name and its values"
            return CountedDates(pd.Series(times.to_numpy(), index=known), why)
    return None
