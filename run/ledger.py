"""The ledger of an open run: the projection of its events (`report.ledger`), kept up to date."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from graph.state import Json
from report.formatting import clean_text, finite_number
from report.ledger import MERGE_TRACE, apply_to_ledger
from report.ledger import Claim as Claim
from report.ledger import Ledger as Ledger
from report.ledger import LedgerPage as LedgerPage
from report.ledger import claims_tried_by as claims_tried_by
from report.ledger import select_claims as select_claims
from run.attempt import Attempt, is_refused
from run.attempt_event import AttemptEvent

MAX_BLENDED = 8  # members of a blend that are told


class ScoredFile(NamedTuple):
    """An attempt with valid out-of-fold predictions; `weights`: of a blend, the heaviest first."""

    attempt: str
    trace: int
    score: float
    oof: str
    summary: str
    weights: list[tuple[str, float]]
    members: list[Json] = []  # of a blend: name, weight, score alone, correlation with the blend

    @property
    def is_merge(self) -> bool:
        """Whether a merge made it, of all traces."""
        return self.trace == MERGE_TRACE


class LiveLedger:
    """Listens to the run's events; where traces share nothing, each has a ledger of its own."""

    def __init__(self, events: Iterable[Json], *, sharing: bool = True) -> None:
        self.sharing = sharing
        self._ledgers: dict[int | None, Ledger] = {}
        self._common: list[Json] = []  # events for all traces, for a ledger that begins later
        self._attempts: set[str] = set()
        self._scored: dict[str, ScoredFile] = {}
        for event in events:
            self.on_event(event)

    def on_event(self, event: Json) -> None:
        """Take in one event."""
        if event.get("ev") == "attempt":
            self._attempts.add(str(event.get("id")))
            if scored := read_scored(event):
                self._scored[scored.attempt] = scored
        trace = event.get("trace")
        if self.sharing:
            self._apply(None, event)
        elif isinstance(trace, int):
            self._apply(trace, event)
        elif event.get("ev") == "hinted":
            self._common.append(event)
            for other in list(self._ledgers):
                self._apply(other, event)

    def _apply(self, key: int | None, event: Json) -> None:
        self._ledgers[key] = apply_to_ledger(self._begun(key), event)

    def _begun(self, key: int | None) -> Ledger:
        if key not in self._ledgers:
            ledger = Ledger()
            for event in self._common:
                ledger = apply_to_ledger(ledger, event)
            self._ledgers[key] = ledger
        return self._ledgers[key]

    def seen_by(self, trace: int) -> Ledger:
        """Return what this trace may know."""
        return self._begun(None if self.sharing else trace)

    def scored_files(self, trace: int) -> list[ScoredFile]:
        """Return the attempts with valid predictions that this trace may know, in their order."""
        known = list(self._scored.values())
        return known if self.sharing else [each for each in known if each.trace == trace]

    def all_claims(self) -> list[Claim]:
        """Return the claims of all ledgers, whoever may see them."""
        return [claim for ledger in self._ledgers.values() for claim in ledger.claims.values()]

    def complete(self, attempts: Iterable[Attempt]) -> None:
        """Add attempts whose events were lost, from their records."""
        for attempt in attempts:
            if attempt.id not in self._attempts:
                payload = AttemptEvent.from_attempt(attempt).dump()
                self.on_event({"ev": "attempt", **payload})


def read_scored(event: Json) -> ScoredFile | None:
    """Return the predictions of an `attempt` event, unless they are missing or refused."""
    score, oof = event.get("score"), event.get("oof")
    if not isinstance(score, float) or not isinstance(oof, str) or event.get("problems"):
        return None
    try:
        if event.get("verdict") == "failed" or is_refused(map(str, event.get("codes") or [])):
            return None
        members = dict(event.get("members") or {})
        weights = [(str(name), float(member["weight"])) for name, member in members.items()]
        trace = int(event.get("trace") or 0)
    except (TypeError, ValueError, KeyError, OverflowError):
        return None  # a damaged log
    return ScoredFile(
        attempt=str(event.get("id")),
        trace=trace,
        score=score,
        oof=oof,
        summary=str(event.get("summary") or event.get("hypothesis") or "")[:160],
        weights=sorted(weights, key=lambda item: -item[1]),
        members=_read_members(members),
    )


def _read_members(members: Mapping[str, Json]) -> list[Json]:
    """The members of a blend, the heaviest first."""
    known = []
    for name, member in sorted(members.items(), key=lambda item: -float(item[1]["weight"])):
        numbers = {key: finite_number(member.get(key)) for key in ("weight", "score", "alike")}
        known.append({"name": clean_text(name, 40), **numbers})
    return known[:MAX_BLENDED]
