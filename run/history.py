"""Gists: what looking far back needs of an attempt's record.  A run keeps those of all its attempts at hand, and reads each record once.

Whole records (some kilobytes, read through a small cache) are for the latest attempts and for the few that a look back picks out by `ref`; a
walk over thousands of them at every step would cost more with every step.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from run.calibration import Calibration, calibration, measured, prediction

Json = dict[str, Any]

WORDS = ("kind", "mode", "verdict")  # of a few values each: one string serves all gists
NAMES = (
    "ref",
    "id",
    "prev",
    "parent",
    "trace",
    "step",
    "score",
    "gain",
    "gain_se",
    "seconds",
    "replaces",
    "from_best",
    "took",
)
WHETHER = ("script", "oof", "problems", "members")  # a gist only tells whether there are any


class Gists:
    """The gists of a run's attempts; `read` gives a record by its ref. What was walked once is extended, not walked again."""

    KEPT = 64  # chains at hand: one per trace and head that is spoken of

    def __init__(self, read: Callable[[str], Json]) -> None:
        self.read = read
        self.known: dict[str, Json] = {}  # by ref
        self.chains: dict[str, list[Json]] = {}  # by head, oldest attempt first
        self.tallied: tuple[tuple[Any, ...], Calibration | None] = ((), None)

    def __call__(self, head: str | None, *, limit: int | None = None) -> list[Json]:
        """A trace's attempts from `head` back, oldest first, at most the latest `limit`; read-only."""
        if not head:
            return []
        if head not in self.chains:
            self.chains[head] = self._walked(head)
            if len(self.chains) > self.KEPT:
                del self.chains[next(iter(self.chains))]
        whole = self.chains[head]
        return whole[-limit:] if limit else whole

    def _walked(self, head: str) -> list[Json]:
        added: list[Json] = []
        at: str | None = head
        while at and at not in self.chains:
            if at not in self.known:
                self.known[at] = gist(self.read(at) | {"ref": at})
            added.append(self.known[at])
            at = added[-1]["prev"]
        return (self.chains[at] if at else []) + added[::-1]

    def calibration(self, heads: Sequence[str | None], limit: int) -> Calibration | None:
        """How predictions fared over the latest `limit` attempts of each chain; the last answer is kept."""
        key = (*heads, limit)
        if self.tallied[0] != key:
            found = [
                each["prediction"]
                for head in heads
                for each in self(head, limit=limit)
                if each["prediction"]
            ]
            self.tallied = (key, calibration(found))
        return self.tallied[1]


def gist(record: Json) -> Json:
    """The record, with its `ref`, cut down; `prediction` where it measured a hypothesis."""
    found = {name: record[name] for name in NAMES if name in record}
    found |= {name: sys.intern(record[name]) for name in WORDS if name in record}
    found |= {name: bool(record.get(name)) for name in WHETHER}
    tokens = (record.get("usage") or {}).get("output_tokens", 0)
    found |= {
        "usage": {"output_tokens": tokens} if tokens else None,
        "hypothesis": idea(record["hypothesis"]),
    }
    return found | {"prediction": prediction(record) if measured(record) else None}


def idea(hypothesis: Json | None) -> Json | None:
    if not hypothesis:
        return None
    found = {
        name: hypothesis[name]
        for name in ("statement", "move", "protocol", "confidence")
        if hypothesis.get(name) is not None
    }
    size = (hypothesis.get("effect") or {}).get("size", "small")
    return found | {
        "component": sys.intern(str(hypothesis.get("component") or "")),
        "effect": {"size": sys.intern(str(size))},
    }
