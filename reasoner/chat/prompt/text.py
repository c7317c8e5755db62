"""Text for prompts: counted in tokens, cut to a budget, fenced.

Fences keep data from posing as instructions.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from typing import Any

BYTES_PER_TOKEN = 3.5  # of code and English; a low estimate, so that budgets err on the safe side
CLIP_MARK_CHARS = 60  # room for the line that says how much is left out
FENCE = re.compile(r"`{3,}|~{3,}")
CHAT_MARK = re.compile(r"<\|(?=[\w/]{1,40}\|>)")  # of chat templates: <|im_start|>
VISIBLE_CONTROL = "\n\t"
INVISIBLE = ("Cc", "Cf", "Co", "Cs")  # Unicode: control, format, private use, surrogate


def n_tokens(text: str) -> int:
    """Estimate how many tokens a model reads."""
    return math.ceil(len(text.encode("utf-8", "replace")) / BYTES_PER_TOKEN)


def clip_middle(text: str, tokens: int) -> str:
    """Return head and tail of a text within a budget, and how much is left out between them."""
    n_whole = n_tokens(text)
    if n_whole <= tokens:
        return text
    n_chars = max(80, int(len(text) * tokens / n_whole) - CLIP_MARK_CHARS)
    n_head = n_chars // 2
    head, tail = text[:n_head], text[-(n_chars - n_head) :]
    head = head[: head.rfind("\n") + 1] or head
    tail = tail[tail.find("\n") + 1 :] or tail
    n_left_out = len(text) - len(head) - len(tail)
    return f"{head.rstrip()}\n[… {n_left_out:,} characters left out …]\n{tail}"


def strip_invisible(text: str) -> str:
    """Return the text without invisible characters (hidden text), chat-template marks defused."""
    visible = (c for c in text if c in VISIBLE_CONTROL or unicodedata.category(c) not in INVISIBLE)
    return CHAT_MARK.sub("< |", "".join(visible))


def fence_data(text: str, tokens: int, language: str = "text") -> str:
    """Return data between fences that nothing in it can close, clipped to a budget."""
    return fence_block(clip_middle(strip_invisible(text), tokens), language)


def fence_script(script: str, tokens: int) -> str:
    """Return a script between fences, character for character, because edits quote it."""
    return fence_block(clip_middle(script, tokens), "python")


def fence_block(text: str, language: str) -> str:
    """Return the text between fences longer than any fence inside it."""
    longest = max((len(run) for run in FENCE.findall(text)), default=2)
    mark = "`" * max(3, longest + 1)
    return f"{mark}{language}\n{text.rstrip()}\n{mark}"


def single_line(value: object, chars: int = 200) -> str:
    """Return data on one line of at most so many characters, without fences."""
    words = strip_invisible(str(value)).split()
    text = " ".join(words).replace("```", "'''").replace("~~~", "---")
    return text if len(text) <= chars else text[: chars - 1] + "…"


def number_text(value: object) -> str:
    """Return a number with five significant digits, anything else as a short line."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return single_line(value, 60)
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def se_text(value: object) -> str:
    """Return a standard error with two significant digits."""
    return f"{value:.2g}" if isinstance(value, float) else number_text(value)


def short_number(value: object, digits: int) -> str:
    """Return a number with so many significant digits where it need not be exact."""
    if isinstance(value, float) and abs(value) < 10**digits:
        return f"{value:.{digits}g}"
    return number_text(value)


def signed_text(value: float) -> str:
    """Return a difference with its sign and three significant digits."""
    return f"{value:+.3g}"


def duration_text(seconds: float) -> str:
    """Return a duration: 45 s, 3 min, 1 h 20 min."""
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


def size_text(n_bytes: float) -> str:
    """Return a size in MiB or GiB."""
    return f"{n_bytes / 2**30:.1f} GiB" if n_bytes >= 2**30 else f"{n_bytes / 2**20:.0f} MiB"


def percent_text(share: float | None) -> str:
    """Return a share as percent, `-` for none."""
    return f"{share:.1%}" if isinstance(share, (int, float)) else "-"


def compact_json(value: Any, chars: int = 260) -> str:
    """Return any value as JSON on one line."""
    return single_line(json.dumps(value, ensure_ascii=False, default=str), chars)


def key_value_text(value: dict[str, Any], n: int = 16) -> str:
    """Return the first `n` entries of a mapping as `key value, …`."""
    parts = []
    for key, item in list(value.items())[:n]:
        is_nested = isinstance(item, (dict, list))
        text = compact_json(item, 80) if is_nested else number_text(item)
        parts.append(f"{single_line(key, 40)} {text}")
    return ", ".join(parts)
