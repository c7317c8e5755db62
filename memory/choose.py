"""Which embedding a name stands for; `auto` takes the best one that is at hand."""

from __future__ import annotations

import threading
from pathlib import Path

from memory.backend import is_server_url
from memory.embed import Embedding, EmbeddingError, WrappedEmbedding
from memory.endpoint import EndpointEmbedding
from memory.lexical import LexicalEmbedding
from memory.local_model import LocalModelEmbedding, MiniLMEmbedding

AUTO = "auto"
SHARED = (
    "all hosts of a server need the same embedding; `embedding=minilm` on each of them is better"
)
KNOWN = "auto, lexical, minilm, sentence-transformers:NAME_OR_PATH, openai:MODEL[@BASE_URL]"


class AutoEmbedding(WrappedEmbedding):
    """MiniLM where its weights are here or can be fetched, else the lexical one.

    Chosen at the first use, once.
    """

    def __init__(self, *, fetch: bool) -> None:
        """`fetch`: the weights may be downloaded."""
        self.fetch = fetch
        self._inner: Embedding | None = None
        self._choosing = threading.Lock()

    @property
    def inner(self) -> Embedding:
        """The chosen embedding."""
        with self._choosing:
            self._inner = self._inner or self._choose()
            return self._inner

    def _choose(self) -> Embedding:
        minilm = MiniLMEmbedding(fetch=self.fetch)
        try:
            minilm.embed(["does it work here?"])
        except EmbeddingError as error:
            reason = str(error).removeprefix("embedding minilm: ")
            return LexicalEmbedding(note=f"not by MiniLM: {reason}")
        return minilm

    def close(self) -> None:
        """Release what the chosen embedding holds."""
        if self._inner is not None:
            self._inner.close()


def open_embedding(name: str, *, fetch: bool = False) -> Embedding:
    """Return the embedding of this name (docs/memory.md); nothing is loaded before its first use.

    Args:
        name: auto, lexical, minilm, sentence-transformers:NAME_OR_PATH, or
            openai:MODEL[@BASE_URL] (key: OPENAI_API_KEY).
        fetch: the weights of MiniLM may be downloaded.

    Raises EmbeddingError for another name.
    """
    if name == AUTO:
        return AutoEmbedding(fetch=fetch)
    if name == "lexical":
        return LexicalEmbedding()
    if name == "minilm":
        return MiniLMEmbedding(fetch=fetch)
    kind, _, rest = name.partition(":")
    if kind == "sentence-transformers" and rest:
        model = str(Path(rest).expanduser()) if rest.startswith("~") else rest
        return LocalModelEmbedding("sentence-transformers", model)
    model, _, base_url = rest.partition("@")
    if kind == "openai" and model:
        return EndpointEmbedding(model=model, base_url=base_url or None)
    raise EmbeddingError(f"unknown embedding {name!r}; known: {KNOWN}")


def embedding_at(where: str, name: str, *, fetch: bool = False) -> Embedding:
    """Return the embedding of a memory at `where`, a folder or a server. Raises EmbeddingError."""
    if name == AUTO and is_server_url(where):
        return LexicalEmbedding(note=SHARED)
    return open_embedding(name, fetch=fetch)
