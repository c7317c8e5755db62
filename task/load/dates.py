"""Dates of all usual spellings, decided over a whole column and written in one ISO form.

Loaded by the task worker only.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import pandas as pd
from dateutil import parser

NEARLY_ALL = 0.98
N_PROBES = 400
YEARS = (1800, 2200)
TIME = (
    r"(?:(?:T|t|,?\s+|:)(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})"
    r"(?:[.,](?P<fraction>\d{1,9}))?)?)?\s*(?P<half>[AaPp]\.?[Mm]\.?)?"
    r"\s*(?P<zone>Z|UTC|GMT|[+-]\d{2}:?(?:\d{2})?)?"
)
MONTH_NAMES = (
    "january february march april may june july august september october november december",
    "januar februar märz april mai juni juli august september oktober november dezember",
    "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
    "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
    "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro",
    "januari februari maart april mei juni juli augustus september oktober november december",
)
"""Months in English, German, French, Spanish, Italian, Portuguese and Dutch."""


def month_prefixes() -> dict[str, int]:
    """Return the month of every beginning of a month's name that is one month's only."""
    found: dict[str, set[int]] = {}
    for names in MONTH_NAMES:
        for number, name in enumerate(names.split(), 1):
            for length in range(3, len(name) + 1):
                found.setdefault(name[:length], set()).add(number)
    return {name: min(numbers) for name, numbers in found.items() if len(numbers) == 1}


MONTHS = month_prefixes() | {"sept": 9}
MONTH = r"(?P<month>[^\W\d_]{3,10})\.?"
WEEKDAY = r"(?:[^\W\d_]{2,10}\.?,?\s+)?"
YEAR_FIRST = re.compile(
    rf"^(?P<year>\d{{4}})[-/.](?P<month>\d{{1,2}})[-/.](?P<day>\d{{1,2}}){TIME}$"
)
YEAR_LAST = re.compile(
    rf"^(?P<one>\d{{1,2}})(?P<mark>[-/.])(?P<two>\d{{1,2}})(?P=mark)(?P<year>\d{{4}}|\d{{2}}){TIME}$"
)
DAY_MONTH = re.compile(
    rf"^{WEEKDAY}(?P<day>\d{{1,2}})(?:st|nd|rd|th)?[-/.\s]+(?:(?:of|de)\s+)?{MONTH}[-/,\s]+"
    rf"(?:de\s+)?(?P<year>\d{{4}}|\d{{2}}){TIME}$",
    re.IGNORECASE,
)
MONTH_DAY = re.compile(
    rf"^{WEEKDAY}{MONTH}[-/\s]+(?P<day>\d{{1,2}})(?:st|nd|rd|th)?[-/,\s]+(?P<year>\d{{4}})"
    rf"{TIME}$",
    re.IGNORECASE,
)
MONTH_YEAR = re.compile(r"^(?P<month>0?[1-9]|1[0-2])[-/.](?P<year>\d{4})$")
YEAR_MONTH = re.compile(r"^(?P<year>\d{4})[-/.](?P<month>0[1-9]|1[0-2])$")
MONTH_ONLY = re.compile(rf"^{MONTH}[-/,\s]+(?P<year>\d{{4}})$", re.IGNORECASE)
YEAR_MONTH_NAME = re.compile(
    rf"^(?P<year>\d{{4}})[-/\s]+{MONTH}[-/\s]+(?P<day>\d{{1,2}}){TIME}$", re.IGNORECASE
)
MONTH_SHORT = re.compile(rf"^{MONTH}[-/'’\s]+(?P<year>\d{{2}})$", re.IGNORECASE)
SHORT_MONTH = re.compile(rf"^(?P<year>\d{{2}})[-/'’\s]+{MONTH}$", re.IGNORECASE)
QUARTER = re.compile(r"^(?P<year>\d{4})[-/.\s]?Q(?P<quarter>[1-4])$", re.IGNORECASE)
QUARTER_FIRST = re.compile(
    r"^(?:Q(?P<quarter>[1-4])|(?P<other>[1-4])Q)[-/.\s]?(?P<year>\d{4})$", re.IGNORECASE
)
WEEK = re.compile(
    r"^(?P<year>\d{4})-?W(?P<week>0[1-9]|[1-4]\d|5[0-3])(?:-?(?P<weekday>[1-7]))?$", re.IGNORECASE
)
MONTH_MARK = re.compile(r"^(?P<year>\d{4})[-\s]?M(?P<month>0?[1-9]|1[0-2])$", re.IGNORECASE)
COMPACT = re.compile(
    r"^(?P<year>\d{4})(?P<month>\d{2})(?P<day>\d{2})"
    r"(?:T(?P<hour>\d{2})(?P<minute>\d{2})(?P<second>\d{2})?(?P<zone>Z|[+-]\d{2}:?\d{2})?)?$"
)
NO_YEAR = re.compile(r"^(?:0000|9999)[-/.]|[-/.](?:0000|9999)(?:\D|$)")
"""Dates that stand for none."""
ISO_SHAPE = re.compile(r"^\d{4}-\d{2}-\d{2}(?:[ T]\d{2}:\d{2}:\d{2})?$")
PATTERNS = (
    YEAR_FIRST,
    YEAR_LAST,
    DAY_MONTH,
    MONTH_DAY,
    YEAR_MONTH_NAME,
    MONTH_ONLY,
    MONTH_YEAR,
    YEAR_MONTH,
    MONTH_SHORT,
    SHORT_MONTH,
    QUARTER,
    QUARTER_FIRST,
    WEEK,
    MONTH_MARK,
    COMPACT,
)
MANY_DAYS = 25  # different numbers up to 31 beside a month's name: days, no years


class Dates(NamedTuple):
    """The ISO text of distinct texts, and what was read how, one sentence each."""

    values: dict[str, str]
    why: str
    repairs: list[str]


class Moment(NamedTuple):
    """A date taken apart; `order`: whether day and month are open."""

    match: re.Match[str]
    is_open: bool


def looks_like_dates(texts: list[str]) -> bool:
    """Whether most of some distinct texts are dates."""
    some = [text.strip() for text in texts[:N_PROBES] if text.strip()]
    found = sum(match_date(t) is not None for t in some)
    found = found or len(some) * all(match_loosely(t) is not None for t in some[:20])
    return bool(some) and found >= 0.9 * len(some)


def is_iso_date(values: pd.Series[Any]) -> bool:
    """Whether a column of text begins with dates such as 2021-03-04 in every row."""
    if pd.api.types.is_numeric_dtype(values) or values.isna().any() or not len(values):
        return False
    begins = re.compile(r"\d{4}-\d\d-\d\d(?!\d)")
    few = values.head(50).astype(str)  # no objects are made of a long column that is none
    return all(map(begins.match, few)) and all(map(begins.match, values.astype(str)))


def match_date(text: str) -> Moment | None:
    """Match a text with the usual spellings."""
    if not any(mark.isdigit() for mark in text[:40]) or len(text) > 45:
        return None
    for pattern in PATTERNS:
        match = pattern.match(text)
        if match is None:
            continue
        month = match.groupdict().get("month") or ""
        if month.isdigit() or not month or month.lower() in MONTHS:
            is_open = pattern is YEAR_LAST
            return Moment(match, is_open) if not is_open or is_written_out(match) else None
    return None


def is_written_out(match: re.Match[str]) -> bool:
    """Whether 1.2.10 is a date: with two digits for the year, points and dashes need 01.02.10."""
    has_full_year = len(match["year"]) == 4 or match["mark"] == "/"
    return has_full_year or (len(match["one"]) == 2 and len(match["two"]) == 2)


def parse_column_dates(
    counts: dict[str, int], in_order: list[str], *, missing: frozenset[str], day_first_hint: bool
) -> Dates | None:
    """Read the distinct texts of a column as dates.

    `in_order`: texts in the order of the rows, to tell days from months where the numbers leave
    it open; `missing`: words for missing, in lower case. None where the column is no date.
    """
    moments: dict[str, Moment] = {}
    bad: dict[str, int] = {}
    for text, count in counts.items():
        stripped = text.strip()
        if stripped.lower() in missing or NO_YEAR.search(stripped):
            bad[stripped] = count
            continue
        moment = match_date(stripped) or match_loosely(stripped)
        if moment is None:
            bad[stripped] = count
        else:
            moments[text] = moment
    n = sum(counts[text] for text in moments)
    unread = sum(
        count
        for text, count in bad.items()
        if text.lower() not in missing and not NO_YEAR.search(text)
    )
    if not n or n < NEARLY_ALL * (n + unread):
        return None
    order = decide_order(moments, in_order, day_first_hint)
    if order is None or names_days(moments):
        return None
    day_first, said = order
    stamps, zones = {}, set()
    for text, moment in moments.items():
        parts = read_parts(moment, day_first)
        if parts is None:
            bad[text.strip()] = counts[text]
        else:
            stamps[text] = parts
            zones.add(parts[1])
    if sum(counts[text] for text in stamps) < NEARLY_ALL * n:
        return None
    values, more = write_iso(stamps, zones)
    if bad:
        listed = ", ".join(repr(word[:24]) for word in list(bad)[:3])
        more.append(f"{sum(bad.values())} cells with {listed} are no date and read as missing")
    changed = sum(counts[t] for t, v in values.items() if t != v)
    if changed:
        text, iso = next((t, v) for t, v in values.items() if t != v)
        more.append(f"{changed} dates written in ISO form ({text.strip()!r} -> {iso!r})")
    if said:
        more.insert(0, said)
    return Dates(values, "every value is a date", more)


def match_loosely(text: str) -> Moment | None:
    """Let dateutil read a text that has a month's name and a year; None where it cannot."""
    if not re.search(r"[a-z]{3}", text, re.IGNORECASE) or not re.search(r"\d{4}", text):
        return None
    words = re.findall(r"[^\W\d_]{3,}", text.lower())
    if len(text) > 45 or not any(word in MONTHS for word in words):
        return None
    try:
        stamp = parser.parse(text)
    except (ValueError, OverflowError):
        return None
    match = YEAR_FIRST.match(stamp.isoformat(" "))
    return Moment(match, False) if match else None


def names_days(moments: dict[str, Moment]) -> bool:
    """Whether Mar-21 and 21-Mar are days without a year: as spreadsheets write 21-Mar."""
    matches = [moment.match for moment in moments.values()]
    short = [match for match in matches if match.re in (MONTH_SHORT, SHORT_MONTH)]
    numbers = {int(match["year"]) for match in short}
    if not numbers or max(numbers) > 31 or min(numbers) == 0:
        return False
    return len(numbers) >= MANY_DAYS or any(match.re is SHORT_MONTH for match in short)


def decide_order(
    moments: dict[str, Moment], in_order: list[str], day_first_hint: bool
) -> tuple[bool, str] | None:
    """Decide whether the day stands first in 01/02/2023: (day first, reason).

    None where the values contradict each other.
    """
    open_ones = [moment.match for moment in moments.values() if moment.is_open]
    if not open_ones:
        return False, ""
    first = max(int(match["one"]) for match in open_ones)
    second = max(int(match["two"]) for match in open_ones)
    if first > 12 and second > 12:
        n_day = sum(int(m["one"]) > 12 for m in open_ones)
        n_month = sum(int(m["two"]) > 12 for m in open_ones)
        if min(n_day, n_month) > 0.02 * len(open_ones):
            return None
        return n_day > n_month, ""
    if first > 12:
        return True, f"read day first: the first numbers go up to {first}"
    if second > 12:
        return False, f"read month first: the second numbers go up to {second}"
    if open_ones[0]["mark"] == ".":
        return True, "read day first, as usual with points"
    sorted_as = [is_sorted(moments, in_order, day_first) for day_first in (True, False)]
    if sorted_as[0] != sorted_as[1]:
        what = "day" if sorted_as[0] else "month"
        return sorted_as[0], f"read {what} first: so the rows are in order of time"
    what = "day" if day_first_hint else "month"
    return day_first_hint, (
        f"read {what} first, although the values leave open whether 01/02 begins with the day or "
        "the month; write them as 2021-02-01 if this is wrong"
    )


def is_sorted(moments: dict[str, Moment], in_order: list[str], day_first: bool) -> bool:
    """Whether the rows are in order of time if the day, or the month, stands first."""
    stamps = [read_parts(moments[text], day_first) for text in in_order if text in moments]
    known = [stamp[0] for stamp in stamps if stamp is not None]
    return len(set(known)) > 2 and all(a <= b for a, b in zip(known, known[1:], strict=False))


def read_parts(moment: Moment, day_first: bool) -> tuple[pd.Timestamp, str] | None:
    """Return (local time, offset) of a date; None for a day that does not exist."""
    found = moment.match.groupdict()
    year = full_year(found["year"])
    if moment.is_open:
        one, two = int(found["one"]), int(found["two"])
        month, day = (two, one) if day_first else (one, two)
        if month > 12:
            month, day = day, month
    elif quarter := found.get("quarter") or found.get("other"):
        month, day = 3 * int(quarter) - 2, 1
    elif week := found.get("week"):
        return read_week(year, int(week), int(found.get("weekday") or 1))
    else:
        day = int(found.get("day") or 1)
        written = found["month"]
        month = int(written) if written.isdigit() else MONTHS[written.lower()]
    hour = int(found.get("hour") or 0)
    if half := (found.get("half") or "").lower():
        hour = hour % 12 + (12 if half.startswith("p") else 0)
    fraction = (found.get("fraction") or "").ljust(6, "0")[:6]
    try:
        stamp = pd.Timestamp(
            year=year,
            month=month,
            day=day,
            hour=hour,
            minute=int(found.get("minute") or 0),
            second=min(59, int(found.get("second") or 0)),
            microsecond=int(fraction),
        )
    except ValueError:
        return None
    if not YEARS[0] <= year <= YEARS[1]:
        return None
    return stamp, found.get("zone") or ""


def read_week(year: int, week: int, weekday: int) -> tuple[pd.Timestamp, str] | None:
    """Return the day of an ISO week; None for a week that does not exist."""
    try:
        return pd.Timestamp.fromisocalendar(year, week, weekday), ""
    except ValueError:
        return None


def full_year(text: str) -> int:
    """Return a year; of two digits, 69 to 99 are before 2000."""
    if len(text) == 4:
        return int(text)
    return int(text) + (1900 if int(text) > 68 else 2000)


def offset_minutes(zone: str) -> int:
    """Return the minutes of an offset such as +05:30."""
    if not zone or zone in ("Z", "UTC", "GMT"):
        return 0
    digits = zone[1:].replace(":", "").ljust(4, "0")
    return (-1 if zone[0] == "-" else 1) * (int(digits[:2]) * 60 + int(digits[2:]))


def write_iso(
    stamps: dict[str, tuple[pd.Timestamp, str]], zones: set[str]
) -> tuple[dict[str, str], list[str]]:
    """Write all times in one form: local time where all have the same offset, else UTC."""
    said = []
    if len({offset_minutes(zone) for zone in zones}) > 1:
        times = {
            text: stamp - pd.Timedelta(minutes=offset_minutes(zone))
            for text, (stamp, zone) in stamps.items()
        }
        said.append(f"{len(zones)} different offsets from UTC; all times are written in UTC")
    else:
        times = {text: stamp for text, (stamp, _) in stamps.items()}
        if zones - {""}:
            said.append(f"the offset {max(zones)} of all times is left out")
    return dict(zip(times, format_times(pd.Series(list(times.values()))), strict=True)), said


def format_times(times: pd.Series[Any]) -> list[str]:
    """Write times as 2021-03-04 where all are midnight, else with the time of day."""
    if (times == times.dt.normalize()).all():
        form = "%Y-%m-%d"
    else:
        form = "%Y-%m-%d %H:%M:%S"
        if (times.dt.microsecond != 0).any():
            form += ".%f"
    return [str(text) for text in times.dt.strftime(form)]
