"""Numbers that people write with marks: 1,234.56, 1.234,56, $1,234.50, 12.5 %, <1.0, ?.

A column is read as a whole: what its marks mean is decided by all its values. Loaded by the task
worker only.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import NamedTuple

import numpy as np

from report.formatting import format_plural

NEARLY_ALL = 0.98
"""Share of the values that must be numbers, words for missing left aside."""
LEAST_NUMBERS = 0.8  # where all else are a few words, such as refused
MAX_WORDS, MIN_DIFFERENT = 3, 30  # of these words, and of the numbers beside them
MISSING_TEXT = (
    "? - -- --- – — . .. ... … * / \\ x xx _ ' na n/a n.a. n.a n/d n.d. nd nan nil none null <na> "
    "#n/a #na -nan missing unknown unavailable undefined tbd empty blank #div/0! #value! #ref! "
    "#null! #num! #name? (null) (none) \\n -1.#ind 1.#qnan 1.#ind -1.#qnan"
)
MISSING_WORDS = frozenset(MISSING_TEXT.split()) | {"not available", "no data", "not applicable"}
"""What stands for a missing number, in lower case."""
PANDAS_MISSING = frozenset(
    ["#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN"]
    + ["<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"]
)
"""What a plain pandas.read_csv takes for missing."""
CURRENCY = r"(?:[$€£¥₹₽₩₺₿฿₫₴₦]|[A-Z]{1,2}\$|(?:USD|EUR|GBP|CHF|JPY|CNY|INR|RUB|BRL|KRW|Rs\.?)\b)"
NUMBER = re.compile(
    rf"""^\s*
    (?P<open>\()?\s*
    (?P<bound>[<>≤≥~≈]=?|±)?\s*
    (?P<sign>[-+−–])?\s*
    (?P<prefix>{CURRENCY})?\s*
    (?P<sign2>[-+−–])?\s*
    (?P<body>\d[\d.,'’\s\u00a0\u202f]*|[.,]\d+)
    (?P<exponent>[eE][-+−]?\d+)?
    \s*(?P<minus>-(?=\s*$))?
    \s*(?P<unit>%|‰|{CURRENCY}|(?:[^\W\d_]|[°²³/]){{1,12}}(?:[/ ][a-zA-Z²³]{{1,8}})?\.?)?
    \s*\)?\s*$""",
    re.VERBOSE,
)
ACCOUNTED = re.compile(rf"^\s*({CURRENCY})\s*\((.*\)\s*)$")
"""$(1,234.50), which is ($1,234.50)."""
MAGNITUDES = (
    dict.fromkeys(["k", "thousand"], 3)
    | dict.fromkeys(["m", "mn", "mln", "mio", "million", "millions"], 6)
    | dict.fromkeys(["b", "bn", "bln", "mrd", "billion", "billions"], 9)
)
"""Words for powers of ten, in lower case."""
INFINITY = re.compile(r"^\s*([-+]?)(?:inf|infinity|∞)\s*$", re.IGNORECASE)
NOT_A_NUMBER = re.compile(r"^\s*[-+]?nan\s*$", re.IGNORECASE)
GROUPS = re.compile(r"^\d{1,3}(?:[,.'’\s\u00a0\u202f]\d{3})+$")
GROUP_MARKS = str.maketrans("", "", "'’ \t\u00a0\u202f")
PLAIN_NUMBER = re.compile(r"^\s*[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?\s*$")


class Parts(NamedTuple):
    """A number and its marks, apart."""

    body: str
    exponent: str
    is_negative: bool
    prefix: str
    unit: str
    bound: str


class Numbers(NamedTuple):
    """The numbers of distinct texts (NaN: missing) and what was read how, one sentence each."""

    values: dict[str, float]
    repairs: list[str]
    decimal_comma: bool | None = None  # None: the values leave it open


def split_number(text: str) -> Parts | None:
    """Take a number apart; None for what is no number."""
    match = NUMBER.match(ACCOUNTED.sub(r"(\1\2", text))
    if match is None:
        return None
    body = match["body"].strip().rstrip(".,") if match["body"][-1] in " .,\u00a0" else match["body"]
    signs = [match[key] for key in ("sign", "sign2", "minus")]
    is_negative = any(sign in ("-", "−", "–") for sign in signs) or bool(match["open"])
    if match["open"] and not text.strip().endswith(")"):
        return None
    unit = (match["unit"] or "").strip().rstrip(".")
    exponent = (match["exponent"] or "").replace("−", "-")
    return Parts(body, exponent, is_negative, match["prefix"] or "", unit, match["bound"] or "")


def is_marked_number(text: str) -> bool:
    """Whether a text is a number with marks, or infinite."""
    return split_number(text) is not None or INFINITY.match(text) is not None


def parse_numbers(counts: dict[str, int], *, decimal_comma: bool = False) -> Numbers | None:
    """Read the distinct texts of a column, with how often each occurs, as numbers.

    `decimal_comma`: whether other columns of the file are written 3,14. None where the column
    is not (nearly) all numbers.
    """
    parts: dict[str, Parts] = {}
    values: dict[str, float] = {}
    words: Counter[str] = Counter()
    others: Counter[str] = Counter()
    for text, count in counts.items():
        stripped = text.strip()
        if not stripped or stripped.lower() in MISSING_WORDS or NOT_A_NUMBER.match(text):
            words[stripped] += count
        elif infinite := INFINITY.match(text):
            values[text] = -np.inf if infinite[1] == "-" else np.inf
        elif found := split_number(text):
            parts[text] = found
        else:
            others[stripped] += count
    parts, scaled = apply_magnitudes(parts, counts)
    units = common_units(parts, counts)
    for text in [text for text, part in parts.items() if not fits_units(part, units)]:
        others[text.strip()] += counts[text]
        del parts[text]
    n_numbers = sum(counts[text] for text in [*parts, *values])
    least = LEAST_NUMBERS if are_few_words(others, parts) else NEARLY_ALL
    if not parts or n_numbers < least * (n_numbers + others.total()):
        return None
    parts, mixed = read_both_marks(parts, counts)
    decided = decide_decimal_comma([part.body for part in parts.values()])
    comma = not mixed and (decimal_comma if decided is None else decided)
    parts, more = read_bare_shares(parts, counts, comma)
    scaled += mixed + more
    for text, part in parts.items():
        number = convert_body(part, comma)
        if number is None:
            others[text.strip()] += counts[text]
        else:
            values[text] = number
    n_numbers = sum(counts[text] for text in values)
    if n_numbers < least * (n_numbers + others.total()):
        return None
    repairs = describe_marks(parts, counts, comma) + scaled + describe_missing(words, others)
    return Numbers(values, repairs, decided)


def are_few_words(others: Counter[str], parts: dict[str, Parts]) -> bool:
    """Whether all that is no number are a few words that repeat beside many different numbers."""
    is_word = all(not any(mark.isdigit() for mark in word) for word in others)
    return is_word and len(others) <= MAX_WORDS and len(parts) >= MIN_DIFFERENT


def apply_magnitudes(
    parts: dict[str, Parts], counts: dict[str, int]
) -> tuple[dict[str, Parts], list[str]]:
    """Return numbers with 12K and 3.4M as thousands and millions, and what was read so.

    Only where a column mixes them, or has numbers without one that are larger: 950 beside 1.2K.
    """
    found = {text: part for text, part in parts.items() if part.unit.lower() in MAGNITUDES}
    bare = [part for part in parts.values() if not part.unit]
    powers = {MAGNITUDES[part.unit.lower()] for part in found.values()}
    if not found or len(found) + len(bare) < NEARLY_ALL * len(parts):
        return parts, []
    if powers == {6} and {part.unit for part in found.values()} == {"m"}:
        return parts, []  # metres
    is_mixed = len(powers) > 1
    if not is_mixed and bare:
        is_mixed = median_size(bare) > median_size(list(found.values()))
    if not is_mixed or any(part.exponent for part in found.values()):
        return parts, []
    scaled = {
        text: part._replace(unit="", exponent=f"e{MAGNITUDES[part.unit.lower()]}")
        for text, part in found.items()
    }
    text, part = next(iter(found.items()))
    n, power = sum(counts[text] for text in found), MAGNITUDES[part.unit.lower()]
    numbers = format_plural(n, "number")
    said = f"{numbers} with a magnitude multiplied ({text.strip()[:24]!r}: by 1e{power})"
    return parts | scaled, [said]


def median_size(parts: list[Parts]) -> float:
    """Return the median of the numbers' sizes, whatever their decimal mark."""
    return float(np.median([float(re.split("[.,]", f"0{part.body}")[0]) for part in parts]))


def read_bare_shares(
    parts: dict[str, Parts], counts: dict[str, int], comma: bool
) -> tuple[dict[str, Parts], list[str]]:
    """Return numbers in percent, and what was read so: 0.125 beside 12.5 % is a share.

    Numbers without the mark are shares where none is above 1 and marked ones are.
    """
    bare = {text: part for text, part in parts.items() if not part.unit}
    marked = [part for part in parts.values() if part.unit == "%"]
    if not bare or not marked:
        return parts, []
    n = sum(counts[text] for text in bare)
    sizes = [abs(convert_body(part, comma) or 0) for part in bare.values()]
    largest = max(abs(convert_body(part, comma) or 0) for part in marked)
    example = next(iter(bare)).strip()[:24]
    has_shares = max(sizes) <= 1 < largest and any(0 < size < 1 for size in sizes)
    if not has_shares or any(part.exponent for part in bare.values()):
        return parts, [
            f"{format_plural(n, 'number')} without % (such as {example!r}) read as percent, too"
        ]
    shares = {text: part._replace(exponent="e2") for text, part in bare.items()}
    return parts | shares, [
        f"{format_plural(n, 'number')} without % (such as {example!r}) read as shares of 1"
    ]


def common_units(parts: dict[str, Parts], counts: dict[str, int]) -> tuple[str, str]:
    """Return the currency and the unit that the numbers carry; empty for none."""
    prefixes = Counter[str]()
    units = Counter[str]()
    for text, part in parts.items():
        prefixes[part.prefix] += counts[text]
        units[singular(part.unit)] += counts[text]
    marked_prefixes = [mark for mark, _ in prefixes.most_common() if mark]
    marked_units = [mark for mark, _ in units.most_common() if mark]
    unit = marked_units[0] if marked_units else ""
    if unit not in ("%", "‰") and units[unit] < NEARLY_ALL * units.total():
        unit = ""
    return (marked_prefixes[0] if marked_prefixes else "", unit)


def singular(unit: str) -> str:
    """Return a unit without the s of a plural."""
    return unit[:-1] if len(unit) > 3 and unit.endswith("s") else unit


def fits_units(part: Parts, units: tuple[str, str]) -> bool:
    """Whether a number carries the column's own marks or none."""
    return part.prefix in ("", units[0]) and singular(part.unit) in ("", units[1])


def decide_decimal_comma(bodies: list[str]) -> bool | None:
    """Decide whether a comma is the decimal mark; None where the numbers leave it open.

    By numbers with both marks and by commas or points that cannot be a thousands mark.
    """
    votes = Counter[bool]()
    for body in bodies:
        comma, dot = body.rfind(","), body.rfind(".")
        if comma >= 0 and dot >= 0:
            votes[comma > dot] += 1
        elif comma >= 0:
            is_group = may_be_grouped(body)
            votes[True] += not is_group
            votes[False] += is_group and body.count(",") > 1
        elif dot >= 0:
            is_group = may_be_grouped(body)
            votes[False] += not is_group
            votes[True] += is_group and body.count(".") > 1
    if votes[True] != votes[False]:
        return votes[True] > votes[False]
    return None


def is_decimal_comma(bodies: list[str], elsewhere: bool) -> bool:
    """Decide whether a comma is the decimal mark, by the rest of the file where it is open."""
    decided = decide_decimal_comma(bodies)
    return elsewhere if decided is None else decided


def read_both_marks(
    parts: dict[str, Parts], counts: dict[str, int]
) -> tuple[dict[str, Parts], list[str]]:
    """Return numbers with points for decimal commas, where some have the one and some the other.

    Two files of one task may differ in it. Only where several of each cannot be thousands marks,
    as in 0,637 and 12.5, and no number has more than one mark.
    """
    marked: dict[str, list[str]] = {",": [], ".": []}
    for text, part in parts.items():
        found = [mark for mark in part.body if mark in marked]
        if len(found) > 1:
            return parts, []
        for mark in found:
            marked[mark].append(text)
    for texts in marked.values():
        clear = [text for text in texts if not may_be_grouped(parts[text].body)]
        if len(clear) < 2 or len(clear) < (1 - NEARLY_ALL) * len(texts):
            return parts, []
    commas = marked[","]
    read = {text: parts[text]._replace(body=parts[text].body.replace(",", ".")) for text in commas}
    n = sum(counts[text] for text in commas)
    said = f"{n} numbers written with decimal commas, others with points (such as {commas[0]!r})"
    return parts | read, [said]


def may_be_grouped(body: str) -> bool:
    """Whether the marks of a number may be thousands marks: no group begins with a zero."""
    return bool(GROUPS.match(body)) and not body.startswith("0")


def convert_body(part: Parts, decimal_comma: bool) -> float | None:
    """Return the value of a number; None where its marks do not fit the column's."""
    body = part.body.translate(GROUP_MARKS)
    mark, group = (",", ".") if decimal_comma else (".", ",")
    whole, found, fraction = body.partition(mark)
    if mark in fraction or group in fraction:
        return None
    if group in whole:
        if whole.startswith("0"):
            return None
        if not GROUPS.match(whole) and not re.fullmatch(r"\d{1,2}(?:,\d{2})+,\d{3}", whole):
            return None
        whole = whole.replace(group, "")
    if re.search(r"\s", part.body) and not GROUPS.match(part.body.partition(mark)[0].strip()):
        return None
    number = float((whole or "0") + (f".{fraction or 0}" if found else "") + part.exponent)
    return -number if part.is_negative else number


def describe_marks(parts: dict[str, Parts], counts: dict[str, int], comma: bool) -> list[str]:
    """Say which marks the numbers carried, with counts and an example."""
    said = []
    marks: dict[str, tuple[int, str]] = {}

    def count(what: str, text: str) -> None:
        n, example = marks.get(what, (0, text.strip()))
        marks[what] = (n + counts[text], example)

    for text, part in parts.items():
        if "," in part.body and comma:
            count("decimal commas", text)
        if GROUPS.match(part.body.partition("," if comma else ".")[0]):
            count("thousands marks", text)
        if part.prefix:
            count(f"the currency {part.prefix}", text)
        if part.unit:
            count(f"the unit {part.unit}", text)
        if part.bound:
            count("a bound, read as the number itself", text)
    for what, (n, example) in marks.items():
        number = "number" if n == 1 else "numbers"
        said.append(f"{n} {number} written with {what} (such as {example[:24]!r})")
    return said


def describe_missing(words: Counter[str], others: Counter[str]) -> list[str]:
    """Say which cells of a column of numbers are read as missing."""
    said = []
    for counter, what in ((words, ""), (others, ", which is no number,")):
        counter.pop("", None)
        if counter:
            listed = ", ".join(repr(word[:24]) for word, _ in counter.most_common(3))
            more = f" and {len(counter) - 3} more" if len(counter) > 3 else ""
            cells = "cell" if counter.total() == 1 else "cells"
            said.append(f"{counter.total()} {cells} with {listed}{more}{what} read as missing")
    return said
