"""Compact summaries of attempts, for code that scans a trace's whole history.

A run holds those of all its attempts in memory and reads each record once. Whole records (some
kilobytes, read through a small cache) are for the latest attempts and for the few that a scan picks
out by `ref`; reading thousands of them at every step would cost more with every step.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from reasoner.protocol import Hypothesis
from run.attempt import Attempt
from run.calibration import Calibration, Prediction, calibration, prediction_of
from run.members import PoolMember, members_of


@dataclass(frozen=True, slots=True)
class Idea:
    """The part of a hypothesis that a history entry holds."""

    statement: str
    component: str = ""
    move: str | None = None
    protocol: bool = False
    confidence: float | None = None
    size: str = "small"


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """An attempt as seen from far: what policies, tallies and crossovers compute with."""

    id: str
    ref: str = ""
    prev: str | None = None
    parent: str | None = None
    trace: int = 0
    step: int = 0
    kind: str = "update"
    mode: str = "directed"
    verdict: str = "tie"
    score: float | None = None
    gain: float | None = None
    gain_se: float | None = None
    seconds: float = 0.0
    replaces: bool = False
    took: tuple[str, ...] = ()
    idea: Idea | None = None
    prediction: Prediction | None = None  # where the attempt measured a hypothesis
    output_tokens: int = 0
    script: str = ""  # its hash
    has_script: bool = True
    has_oof: bool = True
    is_blend: bool = False
    validity: bool = False  # it removed a flaw of the data
    members: tuple[PoolMember, ...] = ()  # what it adds to the pool of blends

    @property
    def led(self) -> bool:
        """Whether the trace went on from it: accepted, or stepped on."""
        return self.verdict == "accepted" or self.replaces


def history_entry(attempt: Attempt) -> HistoryEntry:
    """Summarise an attempt."""
    return HistoryEntry(
        id=attempt.id,
        ref=attempt.ref,
        prev=attempt.prev,
        parent=attempt.parent,
        trace=attempt.trace,
        step=attempt.step,
        kind=sys.intern(attempt.kind),  # a few values each: one string serves all entries
        mode=sys.intern(attempt.mode),
        verdict=sys.intern(attempt.verdict),
        score=attempt.score,
        gain=attempt.gain,
        gain_se=attempt.gain_se,
        seconds=attempt.seconds,
        replaces=attempt.replaces,
        took=tuple(attempt.took),
        idea=idea_of(attempt.hypothesis),
        prediction=prediction_of(attempt),
        output_tokens=attempt.usage.output_tokens,
        script=attempt.script or "",
        has_script=bool(attempt.script),
        has_oof=bool(attempt.oof),
        is_blend=bool(attempt.members),
        validity=attempt.validity,
        members=members_of(attempt),
    )


def idea_of(hypothesis: Hypothesis | None) -> Idea | None:
    """Summarise a hypothesis."""
    if hypothesis is None:
        return None
    return Idea(
        statement=hypothesis.statement,
        component=sys.intern(hypothesis.component),
        move=hypothesis.move,
        protocol=hypothesis.protocol,
        confidence=hypothesis.confidence,
        size=sys.intern(hypothesis.effect.size),
    )


def collect_predictions(entries: Iterable[HistoryEntry]) -> list[Prediction]:
    """Return the predictions of those that measured a hypothesis.

    One that passed when its attempt was measured again counts by that alone.
    """
    known = [entry for entry in entries if entry.prediction]
    again = {entry.parent for entry in known if entry.kind == "remeasure"}
    return [entry.prediction for entry in known if entry.prediction and entry.id not in again]


class History:
    """The history entries of a run; `read` loads a record by its ref.

    Chains once walked are extended, not walked again.
    """

    MAX_CHAINS = 64  # one per trace and head in use

    def __init__(self, read: Callable[[str], Attempt]) -> None:
        self._read = read
        self._entries: dict[str, HistoryEntry] = {}  # by ref
        self._chains: dict[str, list[HistoryEntry]] = {}  # by head, oldest attempt first
        self._calibrated: tuple[tuple[object, ...], Calibration | None] = ((), None)

    def chain(self, head: str | None, *, limit: int | None = None) -> list[HistoryEntry]:
        """Return a trace's attempts from `head` back, oldest first, at most the latest `limit`."""
        if not head:
            return []
        if head not in self._chains:
            self._chains[head] = self._walk_chain(head)
            if len(self._chains) > self.MAX_CHAINS:
                del self._chains[next(iter(self._chains))]
        whole = self._chains[head]
        return whole[-limit:] if limit else whole

    def entry(self, ref: str) -> HistoryEntry:
        """Return the entry of one attempt."""
        if ref not in self._entries:
            self._entries[ref] = history_entry(self._read(ref))
        return self._entries[ref]

    def count_accepted(self, head: str | None) -> int:
        """Count a trace's accepted attempts; its first valid one was compared with nothing."""
        return sum(
            entry.verdict == "accepted" and entry.gain is not None for entry in self.chain(head)
        )

    def _walk_chain(self, head: str) -> list[HistoryEntry]:
        added: list[HistoryEntry] = []
        at: str | None = head
        while at and at not in self._chains:
            added.append(self.entry(at))
            at = added[-1].prev
        return (self._chains[at] if at else []) + added[::-1]

    def calibration(self, heads: Sequence[str | None], limit: int) -> Calibration | None:
        """Return how predictions fared over the latest `limit` attempts of each chain."""
        key = (*heads, limit)
        if self._calibrated[0] != key:
            self._calibrated = (key, calibration(self.predictions(heads, limit)))
        return self._calibrated[1]

    def predictions(self, heads: Sequence[str | None], limit: int) -> list[Prediction]:
        """Return the measured predictions of the latest `limit` attempts of each chain."""
        entries = (entry for head in heads for entry in self.chain(head, limit=limit))
        return collect_predictions(entries)
