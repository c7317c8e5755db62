"""A success memory filled by runs on other seeds, and read by measured runs of OTHER tasks only (evaluation mode)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evals.harness.play import Bench, play
from evals.harness.skill import Degraded
from graph.settings import Settings
from memory.backend import Backend, Folder
from memory.embed import Cached, Lexical, Vectors
from memory.index import Near
from memory.journal import JournalError
from memory.store import SuccessMemory

SEEDS = (1001, 1002)  # of the teaching runs; measured runs have others
ALONE: dict[str, Any] = {
    "traces": 1, "max_repairs": 0, "patience": 1000, "time_s": 36_000, "run_time_s": 60, "max_failures": 1000, "sharing": False,
    "ensemble": False, "confirm": False, "audit": False, "top_k": 1, "final_seeds": 1, "evaluation": True, "review": False,
}  # fmt: skip
"""One trace whose only advice is the memory's."""


def place(root: Path, q: float) -> Path:
    return root / f"taught-{q}"


async def teach(bench: Bench, root: Path, q: float, tasks: Sequence[str], steps: int) -> None:
    """One run of every task and seed at skill q fills `place(root, q)`; those that were made are passed over."""
    marks = root / "marks"
    marks.mkdir(parents=True, exist_ok=True)
    for seed in SEEDS:
        for task in tasks:
            name = f"teach-{q}-{seed}-{task}"
            if (marks / name).exists():
                continue
            settings = Settings.model_validate(
                ALONE | {"memory": str(place(root, q)), "seed": seed, "steps": steps}
            )
            account = await play(bench, task, settings, Degraded(q, seed), name)
            (marks / name).touch()
            print(f"{name}: {account['accepted']} accepted of {account['attempts']}", flush=True)


class Frozen:
    """The taught memory: recalled from, never written to. A run's own records stay with the run."""

    def __init__(self, inner: Backend) -> None:
        self.inner = inner

    def put(self, records: Any) -> None:
        raise JournalError("the taught memory is read only")

    def nearest(self, vector: Vectors, k: int) -> list[Near]:
        return self.inner.nearest(vector, k)

    def close(self) -> None:
        """Belongs to all runs."""


class Taught:
    """The taught memory of skill q, opened once for the runs of this process."""

    def __init__(self, root: Path, q: float) -> None:
        self.embedding = Cached(Lexical())
        self.frozen = Frozen(Folder(place(root, q), self.embedding, print))

    def memory(self, run: str, ranking: Any = "momentum") -> SuccessMemory:
        """For one run: what was learnt on the other tasks, and what the run itself records."""
        return SuccessMemory(
            backend=self.frozen, embedding=self.embedding, run=run, ranking=ranking, evaluation=True
        )

    def close(self) -> None:
        self.frozen.inner.close()
