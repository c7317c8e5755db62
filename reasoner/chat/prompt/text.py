"""Text for prompts: counted in tokens, cut to a budget, and fenced so that data cannot pose as instructions."""

from __future__ import annotations

import math
import re
import unicodedata

BYTES_PER_TOKEN = 3.5  # of code and English, measured low: budgets err on the safe side
FENCE = re.compile(r"`{3,}|~{3,}")
KEPT_CONTROL = "\n\t"


def n_tokens(text: str) -> int:
    """About how many tokens a model reads."""
    return math.ceil(len(text.encode("utf-8", "replace")) / BYTES_PER_TOKEN)


def clip(text: str, tokens: int) -> str:
    """Head and tail of a text within a budget; says how much is left out between them."""
    size = n_tokens(text)
    if size <= tokens:
        return text
    chars = max(80, int(len(text) * tokens / size) - 60)
    head, tail = text[: chars // 2], text[-(chars - chars // 2) :]
    head, tail = head[: head.rfind("\n") + 1] or head, tail[tail.find("\n") + 1 :] or tail
    return (
        f"{head.rstrip()}\n[… {len(text) - len(head) - len(tail):,} characters left out …]\n{tail}"
    )


def clean(text: str) -> str:
    """Without what a reader cannot see: control and formatting characters (hidden text), and a chat template's own marks."""
    shown = "".join(
        c
        for c in text
        if c in KEPT_CONTROL or unicodedata.category(c) not in ("Cc", "Cf", "Co", "Cs")
    )
    return re.sub(r"<\|(?=[\w/]{1,40}\|>)", "< |", shown)


def fenced(text: str, tokens: int, language: str = "text") -> str:
    """Data between fences longer than any fence inside it, so that nothing in it can close them."""
    return block(clip(clean(text), tokens), language)


def code(script: str, tokens: int) -> str:
    """A script, letter for letter (edits quote it), between fences that it cannot close."""
    return block(clip(script, tokens), "python")


def block(text: str, language: str) -> str:
    longest = max((len(run) for run in FENCE.findall(text)), default=2)
    mark = "`" * max(3, longest + 1)
    return f"{mark}{language}\n{text.rstrip()}\n{mark}"


def line(value: object, chars: int = 200) -> str:
    """Data on one line: no line ends, no fences, bounded."""
    text = " ".join(clean(str(value)).split()).replace("```", "'''").replace("~~~", "---")
    return text if len(text) <= chars else text[: chars - 1] + "…"


def number(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return line(value, 60)
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def noise(value: object) -> str:
    """A standard error: two digits say enough."""
    return f"{value:.2g}" if isinstance(value, float) else number(value)


def signed(value: float) -> str:
    return f"{value:+.3g}"


def duration(seconds: float) -> str:
    """45 s, 3 min, 1 h 20 min."""
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


def size(n_bytes: float) -> str:
    return f"{n_bytes / 2**30:.1f} GiB" if n_bytes >= 2**30 else f"{n_bytes / 2**20:.0f} MiB"
