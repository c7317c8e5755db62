"""How values become words: scores, times, sizes, and text from scripts and models, which is hostile until cleaned."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence

SPARKS = "▁▂▃▄▅▆▇█"
MINUS = "−"


def clean(value: object, limit: int = 400, *, lines: bool = False) -> str:
    """Text without escape sequences, control or direction-changing characters, at most `limit` characters long."""
    text = str(value or "")[: 4 * limit + 64]
    kept = text.translate(_LINES if lines else _WORDS)
    if not lines:
        kept = " ".join(kept.split())
    return (
        kept
        if len(kept) <= limit and len(text) < 4 * limit + 64
        else kept[: max(limit - 1, 0)].rstrip() + "…"
    )


class _Kept(dict[int, str]):
    """A table for str.translate that learns each character as it comes; as large as what texts really hold."""

    def __missing__(self, code: int) -> str:
        kind = unicodedata.category(chr(code))
        self[code] = "" if kind in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") else chr(code)
        return self[code]


_LINES = _Kept({ord("\n"): "\n", ord("\t"): "\t"})
_WORDS = _Kept({ord("\n"): " ", ord("\t"): " "})


def number(value: object) -> float | None:
    """A finite float, or None for anything else (NaN, infinity, text, booleans)."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        real = float(value)
    except OverflowError:
        return None
    return real if math.isfinite(real) else None


def whole(value: object, default: int = 0) -> int:
    """A finite number as an int, or the default."""
    real = number(value)
    return default if real is None else int(real)


def places(value: float | None, se: float | None = None, digits: int = 4) -> int:
    """Decimals that show two significant digits of the error, or `digits` of the value where no error is known; 0..6."""
    if se is not None and se > 0:
        return min(6, max(0, 1 - math.floor(math.log10(se))))
    if not value:
        return digits
    return min(6, max(0, digits - 1 - math.floor(math.log10(abs(value)))))


def score(value: float | None, se: float | None = None) -> str:
    """`0.8123 ± 0.0041`; a dash where there is no score."""
    if value is None:
        return "–"
    return _signed(value, se, places(value, se))


def _signed(value: float, se: float | None, n: int, plus: str = "") -> str:
    sign = plus if value >= 0 else MINUS
    if abs(value) >= 1e7:
        return f"{sign}{abs(value):.3g}"
    return f"{sign}{abs(value):.{n}f}" + ("" if se is None else f" ± {se:.{n}f}")


def gain(value: float | None, se: float | None = None) -> str:
    """`+0.0123 ± 0.0020`: an improvement in metric units, positive = better."""
    if value is None:
        return "–"
    return _signed(value, se, places(value, se, 3), "+")


def duration(seconds: float | None) -> str:
    """`0.4 s`, `12 s`, `2:31`, `1:02:31`."""
    if seconds is None:
        return "–"
    seconds = max(0.0, seconds)
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def ago(seconds: float) -> str:
    """A coarse age: `just now`, `5 min`, `3 h`, `2 days`."""
    if seconds < 60:
        return "just now"
    for size, unit in ((86400, "day"), (3600, "h"), (60, "min")):
        if seconds >= size:
            n = int(seconds // size)
            return f"{n} {unit}{'s' if unit == 'day' and n > 1 else ''} ago"
    return "just now"


def count(value: float) -> str:
    """`950`, `12.3k`, `4.1M`."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.1f}{unit}"
    return f"{value:.0f}"


def size(n_bytes: float | None) -> str:
    """`512 MB` from bytes."""
    if n_bytes is None:
        return "–"
    return f"{n_bytes / 2**30:.1f} GB" if n_bytes >= 2**30 else f"{n_bytes / 2**20:.0f} MB"


def money(usd: float | None) -> str:
    """`$0.0123`; a dash where the price is unknown."""
    return "–" if usd is None else f"${usd:.2f}" if usd >= 1 else f"${usd:.4f}"


def spark(values: Sequence[float], width: int = 24, *, rising: bool = True) -> str:
    """A line of blocks of the last `width` values; `rising=False` draws a falling metric so that up is better."""
    shown = [v if rising else -v for v in values[-width:]]
    if not shown:
        return ""
    low, high = min(shown), max(shown)
    span = (high - low) or 1.0
    return "".join(SPARKS[round((v - low) / span * (len(SPARKS) - 1))] for v in shown)


COUNTED = re.compile(r"\b([A-Za-z]{1,9})[ :=#]*(\d{1,5})\s*(?:/|of)\s*(\d{1,5})\b")
SHARE = re.compile(r"\b\d{1,3}(?:\.\d+)?\s?%")


def far(line: str) -> str:
    """How far a script says that it is: `fold 3/5`, `42 %`; empty where the line does not count."""
    if found := COUNTED.search(line):
        return f"{found[1].lower()} {found[2]}/{found[3]}"
    return found[0] if (found := SHARE.search(line)) else ""


def plural(n: int, noun: str, many: str = "") -> str:
    """`1 attempt`, `3 attempts`; the plural is given where it is not regular."""
    return f"{n} {noun if n == 1 else many or noun + 's'}"
