"""What is kept of a script's output. Standard library only: it runs inside remote sandboxes too."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field


@dataclass
class Output:
    """Head and tail of what was printed; the middle is counted and dropped, so a gigabyte costs the host nothing."""

    limit: int
    head: bytearray = field(default_factory=bytearray)
    tail: deque[bytes] = field(default_factory=deque)
    n_tail: int = 0
    n_total: int = 0

    def add(self, data: bytes) -> None:
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
        return max(0, self.n_total - len(self.head) - min(self.n_tail, self.limit // 2))

    def kept(self) -> bytes:
        tail = b"".join(self.tail)[-(self.limit // 2) :]
        gap = f"\n[… {self.dropped} bytes left out …]\n".encode() if self.dropped else b""
        return bytes(self.head) + gap + tail

    def text(self) -> str:
        return readable(self.kept())


def readable(data: bytes) -> str:
    return data.decode(errors="replace").replace("\x00", "�")
