"""Opens a success memory: a folder, a Chroma server, or none."""

from __future__ import annotations

from pathlib import Path

from memory.backend import Backend, Folder, Served, Warn
from memory.embed import Cached, Embedding, open_embedding
from memory.protocol import Memory, Recall, Record
from memory.recall import Ranking
from memory.store import SuccessMemory


class Off:
    """No memory: nothing is kept, nothing is recalled."""

    def record(self, record: Record) -> str:
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
        return []

    def close(self) -> None:
        """Nothing to give back."""


def _silent(message: str) -> None:
    """Drops a warning."""


def open_memory(
    where: str,
    *,
    run: str,
    embedding: str = "lexical",
    ranking: Ranking = "momentum",
    evaluation: bool = False,
    on_warning: Warn = _silent,
) -> Memory:
    """`where`: a folder, http(s)://host:port of a Chroma server, or "off". Touches neither disk nor network yet.

    `embedding`: lexical | openai:MODEL[@BASE_URL]. `evaluation`: records of the same data from other runs are never recalled.
    `on_warning` gets every reason to go on without (a part of) the memory, from whichever thread it arises in.
    Raises EmbeddingError for an embedding that is not known.
    """
    if where == "off":
        return Off()
    cached = Cached(open_embedding(embedding))
    return SuccessMemory(
        backend=open_backend(where, cached, on_warning),
        embedding=cached,
        run=run,
        ranking=ranking,
        evaluation=evaluation,
        warn=on_warning,
    )


def open_backend(where: str, embedding: Embedding, on_warning: Warn = _silent) -> Backend:
    """The place that `where` names."""
    if where.startswith(("http://", "https://")):
        return Served(where, embedding, on_warning)
    return Folder(Path(where).expanduser(), embedding, on_warning)
