"""Numbers put together of parts: 2h 5m, PT2H5M, 1 day 02:03:04, 7:05 PM, 5'10", 1 1/2.

A column is read as a whole, and only where one of the forms fits nearly all of its values. Loaded
by the task worker only.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from task.load.marked_numbers import MISSING_WORDS

NEARLY_ALL = 0.98
N_PROBES = 50
MIN_WORDS = 20  # different words, before it is said that they begin with numbers
DAY_S = 86400.0
UNITS_S = {
    "y yr yrs year years": 365.25 * DAY_S,
    "mo mos mon mth mths month months": 365.25 / 12 * DAY_S,
    "w wk wks week weeks": 7 * DAY_S,
    "d day days": DAY_S,
    "h hr hrs hour hours std": 3600.0,
    "m min mins minute minutes": 60.0,
    "s sec secs second seconds": 1.0,
}
SECONDS = {word: size for words, size in UNITS_S.items() for word in words.split()}
PART = re.compile(r"(\d+(?:[.,]\d+)?)\s*([a-z]+)\.?(?:\s*,)?(?:\s+and\b)?\s*", re.IGNORECASE)
ISO_PERIOD = re.compile(
    r"^P(?:(?P<w>\d+)W)?(?:(?P<d>\d+)D)?"
    r"(?:T(?:(?P<h>\d+)H)?(?:(?P<m>\d+)M)?(?:(?P<s>\d+(?:\.\d+)?)S)?)?$"
)
DAYS_AND_CLOCK = re.compile(
    r"^(?P<sign>-)?(?P<d>\d+) days?,? \+?(?P<h>\d{1,2}):(?P<m>\d{2}):(?P<s>\d{2}(?:\.\d+)?)$"
)
HALF_DAY = re.compile(
    r"^(?P<h>1[0-2]|0?\d)(?::(?P<m>[0-5]\d))?(?::(?P<s>[0-5]\d))?\s*(?P<half>[ap])\.?m\.?$",
    re.IGNORECASE,
)
FEET = re.compile(
    r"^(?P<feet>\d+)\s*(?:['’′]|ft\.?|feet|foot)\s*-?\s*"
    r"(?:(?P<inches>\d+(?:\.\d+)?)\s*(?:\"|”|″|''|in\.?|inch|inches)?)?$",
    re.IGNORECASE,
)
FRACTION = re.compile(
    r"^(?P<sign>-)?(?:(?P<whole>\d+)(?:\s+|-|$))?(?:(?P<above>\d+)/(?P<below>\d+))?$"
)
DENOMINATORS = {2, 3, 4, 5, 6, 8, 10, 16, 32, 64, 100}
"""Others are no fractions: 120/80 is a blood pressure, 3/7 may be a day."""


class Compounds(NamedTuple):
    """The numbers of distinct texts, and what was read how."""

    values: dict[str, float]
    repairs: list[str]


def read_duration(text: str) -> float | None:
    """Return the seconds of 2h 5m, 1 day 02:03:04 or PT2H5M."""
    for pattern in (ISO_PERIOD, DAYS_AND_CLOCK):
        if (match := pattern.match(text)) and any(c.isdigit() for c in text):
            found = {key: value for key, value in match.groupdict().items() if value}
            sign = -1 if found.pop("sign", "") else 1  # of the days alone, as Python writes it
            days = sign * SECONDS["d"] * float(found.pop("d", 0))
            return days + sum(SECONDS[key] * float(value) for key, value in found.items())
    place, total = 0, 0.0
    while place < len(text):
        part = PART.match(text, place)
        if part is None or part[2].lower() not in SECONDS:
            return None
        total += float(part[1].replace(",", ".")) * SECONDS[part[2].lower()]
        place = part.end()
    return total if place else None


def read_half_day(text: str) -> float | None:
    """Return the seconds since midnight of 7:05 PM."""
    match = HALF_DAY.match(text)
    if match is None:
        return None
    hour = int(match["h"]) % 12 + (12 if match["half"].lower() == "p" else 0)
    return hour * 3600.0 + int(match["m"] or 0) * 60 + int(match["s"] or 0)


def read_feet(text: str) -> float | None:
    """Return the inches of 5'10" or 5 ft 10 in."""
    match = FEET.match(text)
    return None if match is None else 12.0 * int(match["feet"]) + float(match["inches"] or 0)


def read_fraction(text: str) -> float | None:
    """Return the value of 1 1/2, 3/4 or 2."""
    match = FRACTION.match(text)
    if match is None or (match["whole"] is None and match["below"] is None):
        return None
    share = 0.0
    if match["below"]:
        if int(match["below"]) not in DENOMINATORS:
            return None
        share = int(match["above"]) / int(match["below"])
    value = int(match["whole"] or 0) + share
    return -value if match["sign"] else value


FORMS: tuple[tuple[Callable[[str], float | None], str], ...] = (
    (read_duration, "durations written as seconds"),
    (read_half_day, "times of day written as seconds"),
    (read_feet, "feet and inches written as inches"),
    (read_fraction, "fractions written as numbers"),
)


def parse_compounds(counts: dict[str, int]) -> Compounds | None:
    """Read the distinct texts of a column, with how often each occurs; None for other words."""
    words = {text: text.strip() for text in counts if text.strip().lower() not in MISSING_WORDS}
    for read, what in FORMS:
        if not all(read(word) is not None for word in list(words.values())[:N_PROBES]):
            continue
        values = {text: v for text, word in words.items() if (v := read(word)) is not None}
        n = sum(counts[text] for text in values)
        if not values or n < NEARLY_ALL * sum(counts[text] for text in words):
            continue
        text = next(iter(values))
        said = [f"{n} {what} ({text.strip()!r} -> {values[text]:g})"]
        if bad := [text for text in counts if text not in values]:
            n_bad = sum(counts[text] for text in bad)
            said.append(f"{n_bad} cells with {', '.join(map(repr, bad[:3]))} read as missing")
        return Compounds(values, said)
    return None


def describe_numeric_words(texts: list[str]) -> list[str]:
    """Say that words begin with numbers, which are not read as such."""
    distinct = [text for text in dict.fromkeys(texts) if text.strip()]
    with_number = [text for text in distinct if re.match(r"\s*[-+<>$€£]?\d", text)]
    if len(distinct) < MIN_WORDS or len(with_number) < NEARLY_ALL * len(distinct):
        return []
    return [f"values such as {with_number[0].strip()[:24]!r} begin with numbers and stay words"]
