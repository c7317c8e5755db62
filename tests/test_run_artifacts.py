"""The artifact store: content-addressed, safe under threads, checked when read."""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from run.artifacts import ArtifactError, Artifacts, write_atomic


def test_threads_may_put_the_same_content_at_once(tmp_path: Path) -> None:
    """Two traces often store the same file at once; a shared temporary name would break one."""
    store = Artifacts(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        for turn in range(40):
            assert len(set(pool.map(store.put, [bytes([turn]) * 200_000] * 8))) == 1
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_tampered_artifact_is_refused(tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path)
    ref = artifacts.put("print(1)")
    assert artifacts.get(ref) == "print(1)" and artifacts.put("print(1)") == ref
    artifacts.path(ref).write_text("print(2)")
    with pytest.raises(ArtifactError, match="does not match"):
        artifacts.get(ref)


def test_a_write_that_fails_leaves_the_old_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill or a full disk in the middle of a write: half of it has arrived."""
    path = tmp_path / "run.json"
    write_atomic(path, "old")
    whole = Path.write_bytes

    def half(self: Path, data: bytes) -> int:
        whole(self, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(OSError, match="No space left"):
        write_atomic(path, "much newer content")
    assert path.read_text() == "old"
