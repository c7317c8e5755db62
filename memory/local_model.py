"""Embeddings by a model on this machine: MiniLM, or one of sentence-transformers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from memory import weights
from memory.embed import MAX_TEXT_CHARS, EmbeddingError, Vectors, scale_rows, unpack_vectors
from memory.model_process import ModelReply
from rpc.json_lines import CallError, ChildError, ChildProcess, start_module

OPEN_TIMEOUT_S = 300.0
CALL_TIMEOUT_S = 60.0
BATCH_TEXTS = 32
REMEDY = "`gome memory fetch` fetches its weights, or takes them from a file"
N_STARTS = 3
"""How often a model is loaded again after its process ended."""


class LocalModelEmbedding:
    """A model in a child process, started when first used."""

    floor = 0.40
    note = ""

    def __init__(self, kind: Literal["minilm", "sentence-transformers"], model: str) -> None:
        self.kind, self.model = kind, model
        self._child: ChildProcess | None = None
        self._opened: ModelReply | None = None
        self._failure = ""
        self._n_starts = 0

    @property
    def name(self) -> str:
        """Name of the model, and a hash of what is in it where others have the same name."""
        return self._open_model()["name"]

    @property
    def width(self) -> int:
        """Length of a vector."""
        return self._open_model()["width"]

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return (n, width) float32, rows of length 1. Raises EmbeddingError."""
        width = self.width
        rows = np.zeros((0, width), dtype=np.float32)
        for i in range(0, len(texts), BATCH_TEXTS):
            batch = [text[:MAX_TEXT_CHARS] or " " for text in texts[i : i + BATCH_TEXTS]]
            packed = self._call("embed", CALL_TIMEOUT_S, texts=batch)
            try:
                page = scale_rows(unpack_vectors(packed, width), len(batch))
                rows = np.concatenate([rows, page])
            except ValueError as error:
                raise self._error(str(error)) from None
        return rows

    def close(self) -> None:
        """End the child; the next use starts it again."""
        if self._child is not None:
            self._child.close()
            self._child, self._n_starts = None, 0

    def _locate_model(self) -> str:
        return self.model

    def _open_model(self) -> ModelReply:
        """Load the model once; what cannot be loaded is not tried again."""
        if self._failure:
            raise EmbeddingError(self._failure)
        if self._child is None or self._opened is None:
            try:
                self._start()
            except EmbeddingError as error:
                self.close()
                self._failure = str(error)
                raise
        assert self._opened
        return self._opened

    def _start(self) -> None:
        place = self._locate_model()
        if self._n_starts == N_STARTS:
            raise self._error(f"its process ended {N_STARTS} times")
        self._n_starts += 1
        self._child = start_module("memory.model_process", self.kind, place)
        opened: ModelReply = self._call("open_model", OPEN_TIMEOUT_S)
        if self._opened not in (None, opened):
            raise self._error("it changed while it was in use")
        self._opened = opened

    def _call(self, name: str, timeout_s: float, **arguments: Any) -> Any:
        assert self._child
        try:
            return self._child.call(name, timeout_s, **arguments)
        except CallError as error:
            raise self._error(str(error)) from None
        except (ChildError, TimeoutError) as error:
            child, self._child = self._child, None
            child.close()
            reason = f"its process {error}" if isinstance(error, ChildError) else "it is too slow"
            raise self._error(reason) from None

    def _error(self, message: str) -> EmbeddingError:
        label = f"{self.kind}:{self.model}".rstrip(":")
        return EmbeddingError(f"embedding {label}: {message}")


class MiniLMEmbedding(LocalModelEmbedding):
    """Chroma's own all-MiniLM-L6-v2; `fetch`: its weights may be downloaded."""

    def __init__(self, *, fetch: bool) -> None:
        super().__init__("minilm", "")
        self.fetch = fetch

    def _locate_model(self) -> str:
        try:
            return str(weights.ensure_weights(weights.MINILM, fetch=self.fetch))
        except weights.WeightsError as error:
            raise self._error(f"{error}; {REMEDY}") from None
