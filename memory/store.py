"""The success memory that a run works with: record what was measured, recall what speaks to the present diagnosis."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from memory import recall as rank
from memory.backend import Backend, Warn
from memory.embed import Embedding, EmbeddingError, Vectors
from memory.index import IndexUnavailable, Near, Scan
from memory.journal import JournalError
from memory.protocol import Recall, Record
from memory.records import TEXT_CHARS, RecordError, clean, indexed_text, plain
from memory.trust import confirmed

FETCH = 50
"""Asked of the index at a time; filters are applied here, since a filter inside Chroma is a thousand times slower."""
FETCH_MOST = 3_200
ENOUGH = 25
SAME_WORDS = 8
"""Records of one hypothesis in the same words that take part in a ranking: repeats must not crowd out the rest."""
REST_S = 30.0
"""After a failure the backend is left alone for this long."""
_FAILURES = (JournalError, IndexUnavailable, EmbeddingError)


@dataclass
class SuccessMemory:
    """Thread-safe. A failure of disk, index, server or endpoint costs momentum, never the run: it is told to `warn` once."""

    backend: Backend
    embedding: Embedding
    run: str
    ranking: rank.Ranking = "momentum"
    evaluation: bool = False
    warn: Warn = field(default=lambda _: None)
    clock: Callable[[], float] = time.monotonic
    unsaved: list[Record] = field(default_factory=list)
    """Records that could not be kept durably yet; tried again with the next one."""

    def __post_init__(self) -> None:
        self._writing, self._reading = threading.Lock(), threading.Lock()
        self._told: set[str] = set()
        self._rest_until = {"put": 0.0, "ask": 0.0}

    def record(self, record: Record) -> str:
        """Keeps a measured hypothesis; returns its id, empty if the record is not valid. Recording it twice changes nothing."""
        try:
            known = clean(record)
        except RecordError as error:
            self._tell(f"success memory: a record was refused: {error}")
            return ""
        with self._writing:
            self.unsaved.append(known)
            self._save()
        return known.id

    def recall(
        self,
        challenge: str,
        hypothesis: str,
        *,
        task_hash: str,
        k: int = 3,
        applied: tuple[str, ...] = (),
    ) -> list[Recall]:
        """Up to k hints, best first, then up to 2 records with a negative weight: tried in like conditions, did not help.

        `applied`: hypotheses already in the present script, in words; what is like them is worth less.
        """
        with self._reading:
            try:
                return self._recall(
                    plain(challenge, TEXT_CHARS),
                    plain(hypothesis, TEXT_CHARS),
                    task_hash,
                    k,
                    applied,
                )
            except _FAILURES as error:
                self._rest("ask", error)
                return []

    def close(self) -> None:
        """Tries once more to save what is unsaved, and ends the index's process."""
        with self._writing, self._reading:
            self._rest_until["put"] = 0.0
            self._save()
            if self.unsaved:
                self._tell(f"success memory: {len(self.unsaved)} records could not be kept")
            self.backend.close()

    def _save(self) -> None:
        if not self.unsaved or self._resting("put"):
            return
        try:
            self.backend.put(self.unsaved)
            self.unsaved = []
        except _FAILURES as error:
            self._rest("put", error)

    def _resting(self, side: Literal["put", "ask"]) -> bool:
        return self.clock() < self._rest_until[side]

    def _rest(self, side: Literal["put", "ask"], error: Exception) -> None:
        self._rest_until[side] = self.clock() + REST_S
        self._tell(f"success memory: {error}; the run goes on without it for now")

    def _tell(self, message: str) -> None:
        if message not in self._told:
            self._told.add(message)
            self.warn(message)

    def _recall(
        self, challenge: str, hypothesis: str, task_hash: str, k: int, applied: tuple[str, ...]
    ) -> list[Recall]:
        query = f"{challenge}\n{hypothesis}".strip()
        if not query or k < 1:
            return []
        vectors = self.embedding.embed([query, challenge or query])
        found = self._nearest(vectors[0], task_hash)
        if not found:
            return []
        records = [near.record for near in found]
        similarity = np.array([near.similarity for near in found], dtype=np.float64)
        least = rank.LEAST * self.embedding.floor
        sure = confirmed(records, [rank.words(record) for record in records])
        if self.ranking == "similarity":
            return rank.choose(records, similarity, similarity, None, k, least, sure)
        if self.ranking == "paper":
            delta = np.array([record.gain for record in records])
            weight = rank.paper_logits(similarity, delta, len(applied))
            return rank.choose(records, similarity, weight, None, k)
        weight, m = self._momentum(records, similarity, vectors[1], task_hash, applied)
        return rank.choose(records, similarity, weight, m, k, least, sure)

    def _momentum(
        self,
        records: Sequence[Record],
        similarity: rank.Floats,
        challenge: Vectors,
        task_hash: str,
        applied: tuple[str, ...],
    ) -> tuple[rank.Floats, rank.Floats]:
        hypotheses = self._embed([record.hypothesis for record in records])
        challenges = self._embed([record.challenge or record.hypothesis for record in records])
        omega = np.array([rank.omega(record, task_hash) for record in records])
        y = np.array([rank.noise_gain(record) for record in records])
        floor = self.embedding.floor
        m = rank.vote(
            y,
            rank.near(_cosines(hypotheses, hypotheses), floor),
            omega * rank.alike(_cosines(challenges, challenge)),
        )
        done = np.zeros(len(records))
        if applied:
            done = rank.near(_cosines(hypotheses, self._embed(applied)), floor).max(axis=1)
        return rank.score(similarity, m, done), m

    def _embed(self, texts: Sequence[str]) -> Vectors:
        return self.embedding.embed(texts)

    def _nearest(self, vector: Vectors, task_hash: str) -> list[Near]:
        """The nearest allowed records, unsaved ones among them; asks for more where the guard leaves too few."""
        loose = self._loose(vector)
        n = FETCH
        while True:
            raw = self._ask(vector, n)
            found = self._thin(raw + loose, task_hash)
            if len(found) >= ENOUGH or len(raw) < n or n >= FETCH_MOST:
                return found[:FETCH]
            n *= 4

    def _thin(self, found: Sequence[Near], task_hash: str) -> list[Near]:
        """Allowed records, nearest first, each once, and at most SAME_WORDS of one hypothesis."""
        once = {near.record.id: near for near in found if self._allowed(near.record, task_hash)}
        said: Counter[str] = Counter()
        kept = []
        for near in sorted(once.values(), key=lambda near: -near.similarity):
            words = rank.words(near.record)
            said[words] += 1
            if said[words] <= SAME_WORDS:
                kept.append(near)
        return kept

    def _ask(self, vector: Vectors, n: int) -> list[Near]:
        if self._resting("ask"):
            return []
        try:
            return self.backend.nearest(vector, n)
        except _FAILURES as error:
            self._rest("ask", error)
            return []

    def _loose(self, vector: Vectors) -> list[Near]:
        unsaved = list(self.unsaved)
        if not unsaved:
            return []
        scan = Scan(self.embedding.width)
        scan.upsert(unsaved, self.embedding.embed([indexed_text(record) for record in unsaved]))
        return scan.query(vector, FETCH)

    def _allowed(self, record: Record, task_hash: str) -> bool:
        """The provenance guard: an evaluation must not see what earlier runs learnt on the same data."""
        return not (self.evaluation and record.task_hash == task_hash and record.run != self.run)


def _cosines(rows: Vectors, others: Vectors) -> rank.Floats:
    """rows (n, width) against others (m, width) or (width,). einsum: a threaded BLAS waits for busy cores here, 14 ms a call."""
    result: rank.Floats = np.einsum(
        "id,jd->ij" if others.ndim == 2 else "id,d->i", rows, others
    ).astype(np.float64)
    return result
