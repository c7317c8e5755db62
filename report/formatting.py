"""Format scores, times and sizes, and clean what comes from events, scripts and models.

Nothing read from a run is trusted: text may hold terminal escapes, and a field may have any type.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping, Sequence

SPARK_BLOCKS = "▁▂▃▄▅▆▇█"
MINUS = "−"


def clean_text(value: object, limit: int = 400, *, lines: bool = False) -> str:
    """Return at most `limit` characters without control or direction-changing characters.

    `lines` keeps line breaks and tabs; otherwise white space collapses into single spaces.
    """
    longest = 4 * limit + 64  # bounds the work on a giant text
    raw = str(value or "")[:longest]
    text = raw.translate(_KEEP_LINES if lines else _ONE_LINE)
    if not lines:
        text = " ".join(text.split())
    if len(text) <= limit and len(raw) < longest:
        return text
    return text[: max(limit - 1, 0)].rstrip() + "…"


class _CharacterTable(dict[int, str]):
    """A table for str.translate that is filled on demand and so stays small."""

    def __missing__(self, code: int) -> str:
        kind = unicodedata.category(chr(code))
        self[code] = "" if kind in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") else chr(code)
        return self[code]


_KEEP_LINES = _CharacterTable({ord("\n"): "\n", ord("\t"): "\t"})
_ONE_LINE = _CharacterTable({ord("\n"): " ", ord("\t"): " "})


def bounded_list(value: object, limit: int = 30) -> list[object]:
    """Return the first `limit` items of a list; empty for anything else."""
    return value[:limit] if isinstance(value, list) else []


def as_mapping(value: object) -> Mapping[str, object]:
    """Return a dict as it is; empty for anything else."""
    return value if isinstance(value, dict) else {}


def name_metric(metric: str) -> str:
    """Return a metric's name; one of the user's own is a path, named by its file alone."""
    return metric.rpartition("/")[2] if metric.endswith(".py") else metric


def finite_number(value: object) -> float | None:
    """Return a finite float, or None for anything else (NaN, infinity, text, booleans)."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        real = float(value)
    except OverflowError:
        return None
    return real if math.isfinite(real) else None


def whole_number(value: object, default: int = 0) -> int:
    """Return a finite number as an int, or the default."""
    real = finite_number(value)
    return default if real is None else int(real)


def decimal_places(value: float | None, se: float | None = None, digits: int = 4) -> int:
    """Return how many decimals to show, 0 to 6.

    Two significant digits of the standard error `se` decide, or `digits` of the value without one.
    """
    if se is not None and se > 0:
        return min(6, max(0, 1 - math.floor(math.log10(se))))
    if not value:
        return digits
    return min(6, max(0, digits - 1 - math.floor(math.log10(abs(value)))))


def format_score(value: float | None, se: float | None = None) -> str:
    """Format a score as `0.8123 ± 0.0041`; a dash where there is none."""
    if value is None:
        return "–"
    return _format_signed(value, se, decimal_places(value, se))


def _format_signed(value: float, se: float | None, n: int, plus: str = "") -> str:
    sign = plus if value >= 0 else MINUS
    if abs(value) >= 1e7:
        return f"{sign}{abs(value):.3g}"
    return f"{sign}{abs(value):.{n}f}" + ("" if se is None else f" ± {se:.{n}f}")


def format_gain(value: float | None, se: float | None = None) -> str:
    """Format a gain (in metric units, positive is better) as `+0.0123 ± 0.0020`."""
    if value is None:
        return "–"
    return _format_signed(value, se, decimal_places(value, se, 3), "+")


def format_improvement(value: float | None, se: float | None = None, *, rising: bool) -> str:
    """Format a gain (positive is better) as the score shows it: `+0.0123` or `lower by 7130`.

    `rising`: whether a higher score is better; where it is not, words say which way it went.
    """
    if rising or value is None:
        return format_gain(value, se)
    return _format_amount(value, se, ("lower by", "higher by"))


def format_comparison(value: float, other: str, *, rising: bool) -> str:
    """Format a gain over `other`: `+0.0123 against …`, `lower by 7130 than …`, `equal to …`."""
    if not value:
        return f"equal to {other}"
    gain = format_improvement(value, rising=rising)
    return f"{gain} {'against' if rising else 'than'} {other}"


def format_benefit(value: float | None, se: float | None = None) -> str:
    """Format a gain of an unknown metric: `better by 0.0123 ± 0.0020`."""
    return "–" if value is None else _format_amount(value, se, ("better by", "worse by"))


def _format_amount(value: float, se: float | None, words: tuple[str, str]) -> str:
    amount = _format_signed(abs(value), se, decimal_places(value, se, 3))
    return f"{words[0] if value >= 0 else words[1]} {amount}" if value else f"equal ({amount})"


def reword_difference(reason: str, *, rising: bool) -> str:
    """Return a reason of a verdict with its difference in the metric's direction."""
    return reason if rising else DIFFERENCE.sub(_reword_match, reason)


DIFFERENCE = re.compile(r"([+-]\d[\d.]*(?:e[+-]\d+)?) ± (\d[\d.]*(?:e[+-]\d+)?)")


def _reword_match(match: re.Match[str]) -> str:
    return format_improvement(float(match[1]), float(match[2]), rising=False)


def format_duration(seconds: float | None) -> str:
    """Format seconds as `0.4 s`, `12 s`, `2:31` or `1:02:31`."""
    if seconds is None:
        return "–"
    seconds = max(0.0, seconds)
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def format_age(seconds: float) -> str:
    """Format a coarse age: `just now`, `5 min ago`, `3 h ago`, `2 days ago`."""
    if seconds < 60:
        return "just now"
    for size, unit in ((86400, "day"), (3600, "h"), (60, "min")):
        if seconds >= size:
            n = int(seconds // size)
            return f"{n} {unit}{'s' if unit == 'day' and n > 1 else ''} ago"
    return "just now"


def format_count(value: float) -> str:
    """Format a count as `950`, `12.3k` or `4.1M`."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.1f}{unit}"
    return f"{value:.0f}"


def format_bytes(n_bytes: float | None) -> str:
    """Format bytes as `512 MB` or `1.5 GB`."""
    if n_bytes is None:
        return "–"
    return f"{n_bytes / 2**30:.1f} GB" if n_bytes >= 2**30 else f"{n_bytes / 2**20:.0f} MB"


def format_usd(usd: float | None) -> str:
    """Format dollars as `$0.0123`; a dash where the price is unknown."""
    if usd is None:
        return "–"
    return f"${usd:.2f}" if usd >= 1 else f"${usd:.4f}"


def draw_sparkline(values: Sequence[float], width: int = 24, *, rising: bool = True) -> str:
    """Draw the last `width` values as blocks; `rising=False` flips them so that up is better."""
    heights = [v if rising else -v for v in values[-width:]]
    if not heights:
        return ""
    low, top = min(heights), len(SPARK_BLOCKS) - 1
    span = (max(heights) - low) or 1.0
    return "".join(SPARK_BLOCKS[round((v - low) / span * top)] for v in heights)


PROGRESS_COUNT = re.compile(r"\b([A-Za-z]{1,9})[ :=#]*(\d{1,5})\s*(?:/|of)\s*(\d{1,5})\b")
PROGRESS_PERCENT = re.compile(r"\b\d{1,3}(?:\.\d+)?\s?%")


def parse_progress(line: str) -> str:
    """Extract a script's progress from a line it printed: `fold 3/5`, `42 %`; empty without one."""
    if match := PROGRESS_COUNT.search(line):
        return f"{match[1].lower()} {match[2]}/{match[3]}"
    return match[0] if (match := PROGRESS_PERCENT.search(line)) else ""


def format_plural(n: int, noun: str, many: str = "") -> str:
    """Format `1 attempt` or `3 attempts`; `many` is the plural where it is irregular."""
    return f"{n} {noun if n == 1 else many or noun + 's'}"
