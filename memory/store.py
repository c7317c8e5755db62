"""The success memory of a run: record measured hypotheses, recall those that fit a diagnosis."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from memory import recall as rank
from memory.backend import Backend, Warn, ignore_warning, open_backend
from memory.choose import embedding_at
from memory.embed import CachedEmbedding, Embedding, EmbeddingError, Vectors
from memory.index import IndexUnavailableError, Neighbor, ScanIndex
from memory.journal import JournalError
from memory.protocol import Memory, Recall, Record
from memory.records import TEXT_CHARS, RecordError, bounded_text, indexed_text, validate_record
from memory.trust import confirmed_mask
from report.formatting import format_plural

N_FETCH = 50
"""Neighbors per query; filters apply here, since one inside Chroma is a thousand times slower."""
MAX_FETCH = 3_200
N_ENOUGH = 25
MAX_SAME_WORDS = 8
"""Records of one hypothesis, worded alike, in a ranking: repeats must not crowd out the rest."""
PAUSE_S = 30.0
"""How long the backend is left alone after a failure."""
OnEmbedding = Callable[[str, str], None]
"""Gets the name of the embedding that is used, and why it is not a better one."""
_FAILURES = (JournalError, IndexUnavailableError, EmbeddingError)


def ignore_embedding(name: str, note: str) -> None:
    """Drop what is said of the embedding."""


def open_memory(
    where: str,
    *,
    run: str,
    embedding: str = "auto",
    ranking: rank.Ranking = "momentum",
    evaluation: bool = False,
    on_warning: Warn = ignore_warning,
    on_embedding: OnEmbedding = ignore_embedding,
) -> Memory:
    """Open a success memory. Touches neither disk nor network yet.

    Args:
        where: a folder, http(s)://host:port of a Chroma server, or "off".
        run: id of the current run.
        embedding: as in memory.choose. Raises EmbeddingError for an unknown one.
        ranking: how recalled records are weighted (memory.recall).
        evaluation: never recall records of the same data from other runs.
        on_warning: gets every reason to continue without (a part of) the memory, from any thread.
        on_embedding: told once, at the first recall, which embedding is used.
    """
    if where == "off":
        return NoMemory()
    cached = CachedEmbedding(embedding_at(where, embedding, fetch=True))
    return SuccessMemory(
        backend=open_backend(where, cached, on_warning),
        embedding=cached,
        run=run,
        ranking=ranking,
        evaluation=evaluation,
        warn=on_warning,
        on_embedding=on_embedding,
    )


class NoMemory:
    """No memory: nothing is stored, nothing is recalled."""

    def record(self, record: Record) -> str:
        """Store nothing."""
        return ""

    def recall(
        self,
        challenge: str,
        hypothesis: str,
        *,
        task_hash: str,
        k: int = 3,
        applied: tuple[str, ...] = (),
    ) -> list[Recall]:
        """Recall nothing."""
        return []

    def close(self) -> None:
        """Nothing to release."""


@dataclass(frozen=True)
class Query:
    """What a memory is asked, bounded."""

    challenge: str
    hypothesis: str
    task_hash: str
    k: int
    applied: tuple[str, ...]

    @property
    def text(self) -> str:
        """The text that is compared with the records'."""
        return f"{self.challenge}\n{self.hypothesis}".strip()


@dataclass
class SuccessMemory:
    """A success memory on a backend. Thread-safe.

    A failure of disk, index, server or endpoint costs momentum, never the run: each reason goes to
    `warn` once.
    """

    backend: Backend
    embedding: Embedding
    run: str
    ranking: rank.Ranking = "momentum"
    evaluation: bool = False
    warn: Warn = field(default=ignore_warning)
    on_embedding: OnEmbedding = ignore_embedding
    clock: Callable[[], float] = time.monotonic
    unsaved: list[Record] = field(default_factory=list)
    """Records that could not be stored durably yet; tried again with the next one."""

    def __post_init__(self) -> None:
        self._writing, self._reading = threading.Lock(), threading.Lock()
        self._warned: set[str] = set()
        self._is_announced = False
        self._paused_until = {"put": 0.0, "query": 0.0}

    def record(self, record: Record) -> str:
        """Store a measured hypothesis; this is idempotent.

        Returns its id, empty if the record is not valid.
        """
        try:
            valid = validate_record(record)
        except RecordError as error:
            self._warn_once(f"success memory: a record was refused: {error}")
            return ""
        with self._writing:
            self.unsaved.append(valid)
            self._save()
        return valid.id

    def recall(
        self,
        challenge: str,
        hypothesis: str,
        *,
        task_hash: str,
        k: int = 3,
        applied: tuple[str, ...] = (),
    ) -> list[Recall]:
        """Return up to k hints, best first, then up to 2 warnings of negative weight.

        A warning was tried in similar conditions and did not help. `applied` holds the hypotheses
        that the current script applies already; what resembles them is worth less.
        """
        query = Query(
            bounded_text(challenge, TEXT_CHARS),
            bounded_text(hypothesis, TEXT_CHARS),
            task_hash,
            k,
            applied,
        )
        with self._reading:
            try:
                return self._recall(query)
            except _FAILURES as error:
                self._pause("query", error)
                return []

    def close(self) -> None:
        """Try once more to store what is unsaved, and release the index."""
        with self._writing, self._reading:
            self._paused_until["put"] = 0.0
            self._save()
            if self.unsaved:
                unsaved = format_plural(len(self.unsaved), "record")
                self._warn_once(f"success memory: {unsaved} could not be stored")
            self.backend.close()
            self.embedding.close()

    def _announce_embedding(self) -> None:
        if not self._is_announced:
            self._is_announced = True
            self.on_embedding(self.embedding.name, self.embedding.note)

    def _save(self) -> None:
        if not self.unsaved or self._is_paused("put"):
            return
        try:
            self.backend.put(self.unsaved)
            self.unsaved = []
        except _FAILURES as error:
            self._pause("put", error)

    def _is_paused(self, action: Literal["put", "query"]) -> bool:
        return self.clock() < self._paused_until[action]

    def _pause(self, action: Literal["put", "query"], error: Exception) -> None:
        self._paused_until[action] = self.clock() + PAUSE_S
        self._warn_once(f"success memory: {error}; the run continues without it for now")

    def _warn_once(self, message: str) -> None:
        if message not in self._warned:
            self._warned.add(message)
            self.warn(message)

    def _recall(self, query: Query) -> list[Recall]:
        if not query.text or query.k < 1:
            return []
        query_vector, challenge_vector = self.embedding.embed(
            [query.text, query.challenge or query.text]
        )
        self._announce_embedding()
        neighbors = self._find_neighbors(query_vector, query.task_hash)
        if not neighbors:
            return []
        return self._choose_recalls(query, neighbors, challenge_vector)

    def _choose_recalls(
        self, query: Query, neighbors: Sequence[Neighbor], challenge: Vectors
    ) -> list[Recall]:
        """Rank the neighbors; `challenge` (width,) is the query's."""
        records = [neighbor.record for neighbor in neighbors]
        similarity = np.array([neighbor.similarity for neighbor in neighbors], dtype=np.float64)
        vote = np.zeros(len(records))
        if self.ranking == "paper":  # it knows no trust and no floor
            gains = np.array([record.gain for record in records])
            weight = rank.paper_logits(similarity, gains, len(query.applied))
            return rank.choose_recalls(records, similarity, weight, vote, query.k)
        vote = self._momentum(records, challenge, query.task_hash)
        overlap = self._overlap_with_applied(records, query.applied)
        weight = rank.ranking_score(similarity, vote, overlap)
        return rank.choose_recalls(
            records, similarity, weight, vote, query.k, *self._guards(records)
        )

    def _guards(self, records: Sequence[Record]) -> tuple[float, list[bool]]:
        """The least cosine of a hint, and which records are confirmed."""
        confirmed = confirmed_mask(records, [rank.hypothesis_key(one) for one in records])
        return rank.MIN_FLOOR_SHARE * self.embedding.floor, confirmed

    def _momentum(
        self, records: Sequence[Record], challenge: Vectors, task_hash: str
    ) -> rank.Floats:
        """M (n,) of the records: the votes of their neighbors among each other."""
        hypotheses = self._embed_hypotheses(records)
        challenges = self.embedding.embed(
            [record.challenge or record.hypothesis for record in records]
        )
        gains = np.array([rank.noise_gain(record) for record in records])
        evidence = np.array([rank.evidence_weight(record, task_hash) for record in records])
        kernel = rank.hypothesis_kernel(
            _cosine_matrix(hypotheses, hypotheses), self.embedding.floor
        )
        locality = evidence * rank.challenge_kernel(_cosine_matrix(challenges, challenge))
        return rank.neighbor_vote(gains, kernel, locality)

    def _overlap_with_applied(
        self, records: Sequence[Record], applied: tuple[str, ...]
    ) -> rank.Floats:
        """(n,) in [0, 1]: how much each record resembles a hypothesis that is applied already."""
        if not applied:
            return np.zeros(len(records))
        cosines = _cosine_matrix(self._embed_hypotheses(records), self.embedding.embed(applied))
        overlap: rank.Floats = rank.hypothesis_kernel(cosines, self.embedding.floor).max(axis=1)
        return overlap

    def _embed_hypotheses(self, records: Sequence[Record]) -> Vectors:
        return self.embedding.embed([record.hypothesis for record in records])

    def _find_neighbors(self, vector: Vectors, task_hash: str) -> list[Neighbor]:
        """Return the nearest allowed records, unsaved ones among them.

        Fetches more where the provenance guard leaves too few.
        """
        unsaved = self._nearest_unsaved(vector)
        n = N_FETCH
        while True:
            fetched = self._query_backend(vector, n)
            neighbors = self._filter_neighbors(fetched + unsaved, task_hash)
            if len(neighbors) >= N_ENOUGH or len(fetched) < n or n >= MAX_FETCH:
                return neighbors[:N_FETCH]
            n *= 4

    def _filter_neighbors(self, neighbors: Sequence[Neighbor], task_hash: str) -> list[Neighbor]:
        """Allowed records, nearest first, each once, at most MAX_SAME_WORDS of one hypothesis."""
        allowed = {
            neighbor.record.id: neighbor
            for neighbor in neighbors
            if self._is_allowed(neighbor.record, task_hash)
        }
        counts: Counter[str] = Counter()
        result = []
        for neighbor in sorted(allowed.values(), key=lambda neighbor: -neighbor.similarity):
            key = rank.hypothesis_key(neighbor.record)
            counts[key] += 1
            if counts[key] <= MAX_SAME_WORDS:
                result.append(neighbor)
        return result

    def _query_backend(self, vector: Vectors, n: int) -> list[Neighbor]:
        if self._is_paused("query"):
            return []
        try:
            return self.backend.nearest(vector, n)
        except _FAILURES as error:
            self._pause("query", error)
            return []

    def _nearest_unsaved(self, vector: Vectors) -> list[Neighbor]:
        unsaved = list(self.unsaved)
        if not unsaved:
            return []
        scan = ScanIndex(self.embedding.width)
        scan.upsert(unsaved, self.embedding.embed([indexed_text(record) for record in unsaved]))
        return scan.query(vector, N_FETCH)

    def _is_allowed(self, record: Record, task_hash: str) -> bool:
        """The provenance guard: an evaluation sees no results of earlier runs on the same data."""
        return not (self.evaluation and record.task_hash == task_hash and record.run != self.run)


def _cosine_matrix(rows: Vectors, others: Vectors) -> rank.Floats:
    """Cosines of unit rows (n, width) with others (m, width) or (width,): (n, m) or (n,)."""
    # einsum: a threaded BLAS waits for busy cores here, 14 ms a call
    subscripts = "id,jd->ij" if others.ndim == 2 else "id,d->i"
    result: rank.Floats = np.einsum(subscripts, rows, others).astype(np.float64)
    return result
