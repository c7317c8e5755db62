"""Artifact store: immutable bytes on disk under the hash of their content."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from pathlib import Path
from typing import Any


class ArtifactError(Exception):
    """An artifact is missing, or its content does not match its hash."""


class Artifacts:
    """sha256 -> bytes, below one folder. Writing is idempotent; reading checks the hash."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, ref: str) -> Path:
        """Return the file of an artifact."""
        return self.root / ref[:2] / ref

    def put(self, data: str | bytes) -> str:
        """Store text (UTF-8) or bytes; return the hash."""
        raw = data.encode() if isinstance(data, str) else data
        ref = hashlib.sha256(raw).hexdigest()
        path = self.path(ref)
        if not path.exists():
            try:
                write_atomic(path, raw)
            except FileNotFoundError:  # the first artifact of its folder
                path.parent.mkdir(parents=True, exist_ok=True)
                write_atomic(path, raw)
        return ref

    def put_json(self, value: Any) -> str:
        """Store a value as JSON with sorted keys; return the hash."""
        return self.put(json.dumps(value, sort_keys=True, allow_nan=False, default=str))

    def put_file(self, source: Path) -> str:
        """Store a copy of a file; return the hash."""
        return self.put(source.read_bytes())

    def get(self, ref: str) -> str:
        """Return the text of an artifact.

        Raises:
            ArtifactError: it is missing or damaged.
        """
        path = self.path(ref)
        try:
            raw = path.read_bytes()
        except OSError as error:
            raise ArtifactError(
                f"{path}: cannot be read ({error.strerror}); repair the run"
            ) from error
        if hashlib.sha256(raw).hexdigest() != ref:
            raise ArtifactError(f"{path}: its content does not match its name; repair the run")
        return raw.decode()

    def get_json(self, ref: str) -> Any:
        """Return the value of a JSON artifact; raise ArtifactError as `get` does."""
        return json.loads(self.get(ref))


def write_atomic(path: Path, data: str | bytes) -> None:
    """Replace a file: a reader sees the old content or the whole new one, also after a kill.

    Threads that write the same path at the same time do not disturb each other.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    temporary.write_bytes(data.encode() if isinstance(data, str) else data)
    temporary.replace(path)
