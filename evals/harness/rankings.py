"""A ranking of recalled records that studies compare with momentum: plain similarity."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from memory.embed import Vectors
from memory.index import Neighbor
from memory.protocol import Recall
from memory.recall import choose_recalls
from memory.store import Query, SuccessMemory


class SimilarityMemory(SuccessMemory):
    """A success memory whose hints are the most similar successes."""

    def _choose_recalls(
        self, query: Query, neighbors: Sequence[Neighbor], challenge: Vectors
    ) -> list[Recall]:
        records = [neighbor.record for neighbor in neighbors]
        similarity = np.array([neighbor.similarity for neighbor in neighbors], dtype=np.float64)
        vote = np.zeros(len(records))
        return choose_recalls(
            records, similarity, similarity, vote, query.k, *self._guards(records)
        )
