"""Artifact store: immutable bytes on disk under the hash of their content."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import threading
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

Record = TypeVar("Record", bound=BaseModel)
REF = re.compile(r"[0-9a-f]{64}")
PIECE_BYTES = 2**22  # of a file that is copied


class ArtifactError(Exception):
    """An artifact is missing, or its content does not match its hash."""


class Artifacts:
    """sha256 -> bytes, below one folder. Writing is idempotent; reading checks the hash."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, ref: str) -> Path:
        """Return the file of an artifact.

        Raises:
            ArtifactError: `ref` is no hash: a run folder from elsewhere may name any path there.
        """
        if not isinstance(ref, str) or not REF.fullmatch(ref):
            raise ArtifactError(f"{self.root}: {str(ref)[:80]!r} is no artifact; repair the run")
        return self.root / ref[:2] / ref

    def put(self, data: str | bytes) -> str:
        """Store text (UTF-8, what cannot be encoded as `?`) or bytes; return the hash."""
        raw = encode_text(data) if isinstance(data, str) else data
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
        """Store a copy of a file, read in pieces; return the hash."""
        if source.stat().st_size <= PIECE_BYTES:
            return self.put(source.read_bytes())
        temporary = self.root / f".{os.getpid()}-{threading.get_ident()}.part"
        digest = hashlib.sha256()
        try:
            with source.open("rb") as file, temporary.open("wb") as copy:
                while piece := file.read(PIECE_BYTES):
                    digest.update(piece)
                    copy.write(piece)
            path = self.path(digest.hexdigest())
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        return digest.hexdigest()

    def get(self, ref: str) -> str:
        """Return the text of an artifact.

        Raises:
            ArtifactError: it is missing or damaged.
        """
        path = self.path(ref)
        try:
            raw = read_regular(path)
        except OSError as error:
            raise ArtifactError(
                f"{path}: cannot be read ({error.strerror}); repair the run"
            ) from error
        if hashlib.sha256(raw).hexdigest() != ref:
            raise ArtifactError(f"{path}: its content does not match its name; repair the run")
        try:
            return raw.decode()
        except UnicodeDecodeError as error:
            raise ArtifactError(f"{path}: is no text; repair the run") from error

    def get_json(self, ref: str) -> Any:
        """Return the value of a JSON artifact; raise ArtifactError as `get` does."""
        try:
            return json.loads(self.get(ref))
        except (ValueError, RecursionError) as error:
            raise ArtifactError(f"{self.path(ref)}: is not JSON; repair the run") from error

    def get_model(self, ref: str, model: type[Record]) -> Record:
        """Return the record of a JSON artifact; raise ArtifactError as `get` does."""
        value = self.get_json(ref)
        try:
            return model.model_validate(value)
        except ValidationError as error:
            name, first = model.__name__.lower(), str(error).splitlines()[1:2]
            raise ArtifactError(
                f"{self.path(ref)}: is no {name} ({''.join(first)}); repair the run"
            ) from None


def encode_text(text: str) -> bytes:
    """Return a text as it is stored: UTF-8, what cannot be encoded as `?`."""
    return text.encode(errors="replace")


def hash_text(text: str) -> str:
    """Return the hash under which `put` stores a text."""
    return hashlib.sha256(encode_text(text)).hexdigest()


def read_regular(path: Path) -> bytes:
    """Return the content of a regular file.

    Raises:
        OSError: it cannot be read, or is a FIFO, a device or a folder: those might never answer.
    """
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "is not a regular file", str(path))
    return path.read_bytes()


def write_atomic(path: Path, data: str | bytes) -> None:
    """Replace a file: a reader sees the old content or the whole new one, also after a kill.

    Threads that write the same path at the same time do not disturb each other.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    temporary.write_bytes(data.encode() if isinstance(data, str) else data)
    temporary.replace(path)
