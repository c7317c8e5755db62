"""The last whole line of a running script's output, at most every few seconds.

What a script prints is hostile: the line is bounded, has no control characters or escape
sequences, and is only shown. Standard library only: it runs inside remote sandboxes too.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable

EVERY_S = 2.0
MAX_CHARS = 200
MAX_LINE_BYTES = 4 * MAX_CHARS  # of UTF-8; of a longer line the end is used
LINE_ENDS = re.compile(rb"[\r\n]+")  # progress bars end a line with a carriage return
ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")

ProgressCallback = Callable[[str], None]


class LastLine:
    """The last line of the output added so far, given once and at most every `every_s` seconds."""

    def __init__(
        self, every_s: float = EVERY_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.every_s, self.clock = every_s, clock
        self.partial, self.whole = b"", b""  # the line being written, the last complete one
        self.next_at = float("-inf")

    def add(self, data: bytes) -> None:
        """Add output; only its end is read, so that a flood costs nothing."""
        lines = LINE_ENDS.split((self.partial + data)[-4 * MAX_LINE_BYTES :])
        self.partial = lines.pop()[-MAX_LINE_BYTES:]
        if last := next((line for line in reversed(lines) if line.strip()), None):
            self.whole = last[-MAX_LINE_BYTES:]

    @property
    def wait_s(self) -> float | None:
        """Seconds until a line may be given; None while there is no new line."""
        return max(0.0, self.next_at - self.clock()) if self.whole else None

    def take(self) -> str:
        """Return the line to give now, or an empty string."""
        if self.wait_s != 0.0:
            return ""
        text, self.whole = plain_line(self.whole), b""
        if text:
            self.next_at = self.clock() + self.every_s
        return text


def plain_line(line: bytes) -> str:
    """Return a line as plain text: printable characters, single spaces, at most MAX_CHARS."""
    text = ESCAPES.sub("", line.decode(errors="replace"))
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= MAX_CHARS else text[: MAX_CHARS - 1] + "…"
