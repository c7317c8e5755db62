"""Embeddings of an OpenAI-compatible endpoint."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from memory.embed import MAX_TEXT_CHARS, EmbeddingError, Vectors, scale_rows

if TYPE_CHECKING:
    from langchain_openai import OpenAIEmbeddings


@dataclass
class EndpointEmbedding:
    """Embeddings of an OpenAI-compatible endpoint, through langchain-openai.

    The width is taken from the first answer.
    """

    model: str
    base_url: str | None = None
    api_key: str | None = None
    dimensions: int | None = None
    timeout_s: float = 30
    floor: float = 0.40
    note: str = ""
    _client: OpenAIEmbeddings | None = field(default=None, repr=False)
    _width: int = 0

    @property
    def name(self) -> str:
        """The model's name, for the fingerprint."""
        return f"openai-{self.model}"

    @property
    def width(self) -> int:
        """Length of a vector; asks the endpoint once."""
        if not self._width:
            self.embed(["width"])
        return self._width

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return (n, width) float32, rows of length 1. Raises EmbeddingError."""
        import openai

        from reasoner.chat.endpoint.classify import innermost_reason
        from reasoner.chat.endpoint.faults import mask_secrets

        client = self._open_client()
        try:
            answer = client.embed_documents([text[:MAX_TEXT_CHARS] or " " for text in texts])
        except openai.APIStatusError as error:
            raise self._error(mask_secrets(str(error), self._secrets)[:240]) from None
        except (openai.OpenAIError, ValueError, TypeError) as error:
            raise self._error(innermost_reason(error, self._secrets)) from None
        return self._unit_vectors(answer, len(texts))

    def close(self) -> None:
        """Nothing to release."""

    @property
    def _secrets(self) -> tuple[str, ...]:
        key = self.api_key or os.environ.get("OPENAI_API_KEY", "")
        return (key,) if key else ()

    def _open_client(self) -> OpenAIEmbeddings:
        if self._client is None:
            from langchain_openai import OpenAIEmbeddings

            from reasoner.chat.endpoint.embeddings import CheckedEmbeddingClient

            options: dict[str, Any] = {  # of OpenAIEmbeddings, which has its own defaults
                "base_url": self.base_url,
                "api_key": self.api_key,
                "dimensions": self.dimensions,
            }
            self._client = OpenAIEmbeddings(
                model=self.model,
                check_embedding_ctx_length=False,  # otherwise it downloads a tokenizer file
                request_timeout=self.timeout_s,
                max_retries=2,
                http_client=CheckedEmbeddingClient(timeout=self.timeout_s),
                **{key: value for key, value in options.items() if value is not None},
            )
        return self._client

    def _unit_vectors(self, answer: object, n: int) -> Vectors:
        """Check an answer to n texts, and scale its rows to length 1."""
        try:
            rows = scale_rows(answer, n)
        except ValueError as error:
            raise self._error(str(error)) from None
        width = int(rows.shape[1])
        if self._width and width != self._width:
            raise self._error(f"it changed its width from {self._width} to {width}")
        self._width = width
        return rows

    def _error(self, message: str) -> EmbeddingError:
        return EmbeddingError(f"embedding endpoint ({self.model}): {message}")
