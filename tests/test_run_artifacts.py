"""The artifact store: content-addressed, safe under threads, checked when read."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from run.artifacts import ArtifactError, Artifacts


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
