"""Read texts from a run's artifact store: regular files only, bounded, never outside the store."""

from __future__ import annotations

import json
import os
import re
import stat
from pathlib import Path

MAX_TEXT_BYTES = 512 * 1024
ARTIFACT_NAME = re.compile(r"[0-9a-zA-Z]{4,128}")


def read_artifact(
    run_dir: Path, ref: str, limit: int = MAX_TEXT_BYTES, *, tail: bool = False
) -> str:
    """Return the first (with `tail`: last) `limit` bytes of an artifact as text.

    The result is empty where the artifact is missing or not a regular file.
    """
    if not ARTIFACT_NAME.fullmatch(ref):
        return ""
    return read_text(run_dir / "artifacts" / ref[:2] / ref, limit, tail=tail)


def read_text(path: Path, limit: int = MAX_TEXT_BYTES, *, tail: bool = False) -> str:
    """Do the same for any path: a link, a pipe or a folder reads as empty."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ""
    info = os.fstat(handle)
    if not stat.S_ISREG(info.st_mode):
        os.close(handle)
        return ""
    with os.fdopen(handle, "rb") as file:
        if tail and info.st_size > limit:
            file.seek(info.st_size - limit)
        return file.read(limit).decode("utf-8", "replace")


def read_json(run_dir: Path, ref: str) -> dict[str, object]:
    """Return a JSON artifact as a dict; empty where it is missing, too large or not an object."""
    return parse_json(read_artifact(run_dir, ref))


def parse_json(text: str) -> dict[str, object]:
    """Parse a JSON object; anything else gives an empty dict."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
