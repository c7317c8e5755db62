"""The last whole line of a running script's output, offered now and then.  Standard library only: it runs inside remote sandboxes too.

What a script prints is hostile: it is bounded, without control characters or escape sequences, and only ever shown.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable

EVERY_S = 2.0
MAX_CHARS = 200
KEPT_BYTES = 4 * MAX_CHARS  # of a line, as UTF-8; of a longer one the end
ENDS = re.compile(rb"[\r\n]+")  # progress bars end a line by going back to its start
ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")

Tell = Callable[[str], None]


class LastLine:
    """Fed with output as it comes; `due` gives a line that was not given yet, at most one every `every_s` seconds."""

    def __init__(
        self, every_s: float = EVERY_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.every_s, self.clock = every_s, clock
        self.begun, self.whole = b"", b""  # the line being written, the last one that was ended
        self.next_at = float("-inf")

    def add(self, data: bytes) -> None:
        """Looks at the end of what came only, so that a flood costs nothing."""
        lines = ENDS.split((self.begun + data)[-4 * KEPT_BYTES :])
        self.begun = lines.pop()[-KEPT_BYTES:]
        if ended := next((line for line in reversed(lines) if line.strip()), None):
            self.whole = ended[-KEPT_BYTES:]

    @property
    def wait_s(self) -> float | None:
        """Seconds until a line may be given; None while there is none to give."""
        return max(0.0, self.next_at - self.clock()) if self.whole else None

    def due(self) -> str:
        """The line to give now, or nothing."""
        if self.wait_s != 0.0:
            return ""
        text, self.whole = shown(self.whole), b""
        if text:
            self.next_at = self.clock() + self.every_s
        return text


def shown(line: bytes) -> str:
    """One line of plain text: printable characters and single spaces, at most MAX_CHARS."""
    text = ESCAPES.sub("", line.decode(errors="replace"))
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= MAX_CHARS else text[: MAX_CHARS - 1] + "…"
