"""run.lock: one process drives a run, whoever else holds the lock."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest

from run.lock import RunError, hold_lock, is_driven, release_lock


@pytest.mark.parametrize("how", [fcntl.LOCK_EX, fcntl.LOCK_SH])
def test_a_lock_that_another_holds_is_refused_with_its_owner(tmp_path: Path, how: int) -> None:
    with (tmp_path / "run.lock").open("w+") as other:  # a descriptor of its own, as a process has
        other.write("pid 4711")
        other.flush()
        fcntl.flock(other, how)
        with pytest.raises(RunError, match=r"driven by another process \(pid 4711\)"):
            hold_lock(tmp_path)
        fcntl.flock(other, fcntl.LOCK_UN)
        hold_lock(tmp_path)
        try:
            with pytest.raises(BlockingIOError):
                fcntl.flock(other, fcntl.LOCK_SH | fcntl.LOCK_NB)
            assert is_driven(tmp_path)
        finally:
            release_lock(tmp_path)
    assert not is_driven(tmp_path)
