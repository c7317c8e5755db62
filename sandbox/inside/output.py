"""Bounded storage of a script's output.

Standard library only: it runs inside remote sandboxes too.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field


@dataclass
class Output:
    """Head and tail of a script's output, `limit` bytes together.

    The middle is counted and dropped, so that a gigabyte of output costs the host nothing.
    """

    limit: int
    head: bytearray = field(default_factory=bytearray)
    tail: deque[bytes] = field(default_factory=deque)
    n_tail: int = 0
    n_total: int = 0

    def add(self, data: bytes) -> None:
        """Append output."""
        self.n_total += len(data)
        room = self.limit // 2 - len(self.head)
        if room > 0:
            self.head += data[:room]
            data = data[room:]
        if data:
            self.tail.append(data)
            self.n_tail += len(data)
        while self.tail and self.n_tail - len(self.tail[0]) >= self.limit // 2:
            self.n_tail -= len(self.tail.popleft())

    @property
    def dropped(self) -> int:
        """Number of bytes that were dropped."""
        return max(0, self.n_total - len(self.head) - min(self.n_tail, self.limit // 2))

    def data(self) -> bytes:
        """Return head and tail, with a note of the gap between them."""
        tail = b"".join(self.tail)[-(self.limit // 2) :]
        gap = f"\n[… {self.dropped} bytes left out …]\n".encode() if self.dropped else b""
        return bytes(self.head) + gap + tail

    def text(self) -> str:
        """Return `data` as text."""
        return decode_output(self.data())


def decode_output(data: bytes) -> str:
    """Decode output as UTF-8, with replacements for what is no text."""
    return data.decode(errors="replace").replace("\x00", "�")
