"""A success memory filled by runs of other seeds; measured runs read it for OTHER tasks only.

The memory's evaluation mode holds back what was learnt on the run's own task.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from evals.harness.play import Workbench, play_run
from evals.harness.rankings import SimilarityMemory
from evals.harness.skill import DegradedExpert
from graph.settings import Settings
from memory.backend import Backend, FolderBackend
from memory.choose import open_embedding
from memory.embed import CachedEmbedding, Vectors
from memory.index import Neighbor
from memory.journal import JournalError
from memory.store import SuccessMemory

Ranked = Literal["momentum", "paper", "similarity"]
SEEDS = (1001, 1002)  # of the teaching runs; measured runs have others
MEMORY_ONLY: dict[str, Any] = {
    "traces": 1,
    "max_repairs": 0,
    "patience": 1000,
    "time_s": 36_000,
    "run_time_s": 60,
    "max_failures": 1000,
    "sharing": False,
    "ensemble": False,
    "confirm": False,
    "audit": False,
    "top_k": 1,
    "final_seeds": 1,
    "average_seeds": 1,
    "embedding": "lexical",
    "evaluation": True,
    "review": False,
}
"""Settings of one trace whose only advice is the memory's."""


def taught_folder(root: Path, q: float) -> Path:
    """Return the folder of the memory taught at skill q."""
    return root / f"taught-{q}"


async def teach_memory(
    bench: Workbench, root: Path, q: float, tasks: Sequence[str], steps: int
) -> None:
    """Fill `taught_folder(root, q)` with one run per task and seed; skip the runs that are done."""
    marks = root / "marks"
    marks.mkdir(parents=True, exist_ok=True)
    memory = str(taught_folder(root, q))
    for seed, task in itertools.product(SEEDS, tasks):
        name = f"teach-{q}-{seed}-{task}"
        if (marks / name).exists():
            continue
        values = MEMORY_ONLY | {"memory": memory, "seed": seed, "steps": steps}
        settings = Settings.model_validate(values)
        account = await play_run(bench, task, settings, DegradedExpert(q, seed), name)
        (marks / name).touch()
        print(f"{name}: {account['accepted']} of {account['attempts']} accepted", flush=True)


class FrozenBackend:
    """Read-only view of the taught memory; a run's own records stay with the run."""

    def __init__(self, inner: Backend) -> None:
        self.inner = inner

    def put(self, records: Any) -> None:
        """Refuse: raises JournalError."""
        raise JournalError("the taught memory is read only")

    def nearest(self, vector: Vectors, k: int) -> list[Neighbor]:
        """Return the k nearest records."""
        return self.inner.nearest(vector, k)

    def close(self) -> None:
        """Do nothing: the memory belongs to all runs."""


class SharedEmbedding(CachedEmbedding):
    """A cached embedding that outlives the runs that use it."""

    def close(self) -> None:
        """Do nothing: the embedding belongs to all runs."""


class TaughtMemory:
    """The memory taught at skill q, opened once for all runs of this process."""

    def __init__(self, root: Path, q: float, embedding: str = "lexical") -> None:
        self.embedding = SharedEmbedding(open_embedding(embedding))
        self.frozen = FrozenBackend(FolderBackend(taught_folder(root, q), self.embedding, print))

    def memory(
        self, run: str, ranking: Ranked = "momentum", *, evaluation: bool = True
    ) -> SuccessMemory:
        """Return one run's memory: what other tasks taught, and what the run itself records.

        `evaluation` False: also what runs of other seeds learnt on the task itself.
        """
        given: dict[str, Any] = {"backend": self.frozen, "embedding": self.embedding, "run": run}
        given["evaluation"] = evaluation
        if ranking == "similarity":
            return SimilarityMemory(**given)
        return SuccessMemory(**given, ranking=ranking)

    def close(self) -> None:
        """Close the memory."""
        self.frozen.inner.close()
        self.embedding.inner.close()
