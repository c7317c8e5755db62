"""A local embedding model in a child process; `memory.local_model` calls it.

A child process, because the libraries are heavy (250 MB and more), slow to import, and can crash.

Usage: python -m memory.model_process (minilm FOLDER | sentence-transformers NAME_OR_PATH)
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from memory.embed import pack_vectors
from rpc.json_lines import CallError, serve_calls
from settings.remedies import install_command

GRACE_S = 5.0
"""How long a running call may continue after the owner is gone."""
Encode = Callable[[Sequence[str]], Any]
"""Texts to a matrix."""


class ModelReply(TypedDict):
    """Name of a model's vectors, by what is in the model, and their width."""

    name: str
    width: int


class ModelServer:
    """One model."""

    def __init__(self, kind: str, model: str) -> None:
        self._load = {"minilm": load_minilm, "sentence-transformers": load_transformer}[kind]
        self._model = model
        self._encode: Encode | None = None

    def open_model(self) -> ModelReply:
        """Load the model. Raises CallError of kind "unusable"."""
        try:
            name, self._encode = self._load(self._model)
            return {"name": name, "width": len(self._encode(["width"])[0])}
        except CallError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a library or a broken model raises
            lines = str(error).strip().splitlines() or [type(error).__name__]
            raise CallError("unusable", lines[0][:240]) from None

    def embed(self, texts: list[str]) -> str:
        """Return base64 of (n, width) float32."""
        assert self._encode
        return pack_vectors(np.asarray(self._encode(texts)))


def load_minilm(folder: str) -> tuple[str, Encode]:
    """Load Chroma's own ONNX MiniLM; `folder` holds its files."""
    from chromadb.utils.embedding_functions import ONNXMiniLM_L6_V2

    class MiniLM(ONNXMiniLM_L6_V2):  # type: ignore[misc] # chromadb is not typed here
        DOWNLOAD_PATH = Path(folder).parent
        EXTRACTED_FOLDER_NAME = Path(folder).name

        def _download(self, url: str, fname: str, chunk_size: int = 1024) -> None:
            raise CallError("unusable", f"{folder} lacks a file")

    model = MiniLM(["CPUExecutionProvider"])
    # Chroma fills every text up to 256 tokens; a text of its own length is 5 times as fast
    model.tokenizer.no_padding()
    return ONNXMiniLM_L6_V2.MODEL_NAME, lambda texts: [model([text])[0] for text in texts]


def load_transformer(name: str) -> tuple[str, Encode]:
    """Load a model of sentence-transformers, by the name of a hub or a folder."""
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise CallError(
            "unusable", f"{error}; {install_command('sentence-transformers>=5')}"
        ) from None
    model = SentenceTransformer(name, device="cpu")
    return f"sentence-transformers-{Path(name).name}-{hash_parameters(model)}", model.encode


def hash_parameters(model: Any) -> str:
    """Return a short hash of the weights: another model at the same path has other vectors."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name}{tuple(tensor.shape)}".encode())
        digest.update(tensor.flatten()[:256].float().numpy().tobytes())
    return digest.hexdigest()[:8]


def main() -> None:
    """Serve until stdin ends."""
    os.environ |= {"TOKENIZERS_PARALLELISM": "false", "HF_HUB_DISABLE_TELEMETRY": "1"}
    server = ModelServer(*sys.argv[1:])
    calls = (server.open_model, server.embed)
    serve_calls({call.__name__: call for call in calls}, grace_s=GRACE_S)
    os._exit(0)  # without waiting for a library's threads


if __name__ == "__main__":
    main()
