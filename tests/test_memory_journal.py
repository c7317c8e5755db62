"""The journal's promises to a power cut, a full disk and other users."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from memory_kit import a_record

from memory.journal import Journal, JournalError, _append_durably
from memory.records import validate_record


def record(step: int) -> Any:
    return validate_record(a_record(step))


def test_an_acknowledged_record_has_reached_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In order: the record's bytes, then the file's fsync, then that of a new file's folder."""
    steps: list[str] = []
    write, sync = os.write, os.fsync

    def kind(handle: int) -> str:
        return "folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file"

    def noting_write(handle: int, body: Any) -> int:
        steps.append("write")
        return write(handle, body)

    def noting_sync(handle: int) -> None:
        steps.append(f"sync {kind(handle)}")
        sync(handle)

    monkeypatch.setattr(os, "write", noting_write)
    monkeypatch.setattr(os, "fsync", noting_sync)
    journal = Journal(tmp_path)
    journal.append([record(0)])
    assert steps == ["write", "sync file", "sync folder"]
    steps.clear()
    journal.append([record(1)])
    assert steps == ["write", "sync file"]
    steps.clear()
    journal.rewrite(lambda one: one.step == 1)
    assert steps == ["write", "sync file", "sync folder"]


def test_a_full_disk_leaves_no_half_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path)
    journal.append([record(0)])
    before, write, calls = journal.path.read_bytes(), os.write, []

    def full(handle: int, body: Any) -> int:
        calls.append(handle)
        if len(calls) > 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(handle, bytes(body[:40]))

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(JournalError, match="No space left"):
            journal.append([record(1)])
    assert journal.path.read_bytes() == before
    assert journal.append([record(1)]) == 1
    assert [one.step for one in journal.read()[0]] == [0, 1] and journal.n_damaged == 0


def test_only_the_owner_can_read_what_runs_have_learnt(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        journal = Journal(tmp_path)
        journal.append([record(0), record(1)])
        first = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
        journal.rewrite(lambda one: one.step == 1)
        second = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    finally:
        os.umask(before)
    assert first == second == {"journal.jsonl": 0o600, "journal.lock": 0o600}


def test_a_journal_behind_a_link_is_not_written(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "outside").write_text("mine\n")
    (tmp_path / "m" / "journal.jsonl").symlink_to(tmp_path / "outside")
    with pytest.raises(JournalError):
        Journal(tmp_path / "m").append([record(0)])
    assert (tmp_path / "outside").read_text() == "mine\n"


def test_a_writer_waits_until_it_is_alone(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append([record(0)])
    with (tmp_path / "journal.lock").open() as other, ThreadPoolExecutor(1) as pool:
        fcntl.flock(other, fcntl.LOCK_SH)  # whoever takes the lock in earnest has to wait
        writing = pool.submit(journal.append, [record(1)])
        with pytest.raises(TimeoutError):
            writing.result(timeout=0.3)
        assert journal.path.read_bytes().count(b"\n") == 2
        fcntl.flock(other, fcntl.LOCK_UN)
        assert writing.result(timeout=30) == 1


def test_one_record_written_by_many_at_once_is_there_once(tmp_path: Path) -> None:
    journals = [Journal(tmp_path) for _ in range(8)]  # each has a lock of its own, as processes do
    with ThreadPoolExecutor(8) as pool:
        for step in range(20):
            added = pool.map(lambda one, step=step: one.append([record(step)]), journals)
            assert sum(added) == 1
    assert [one.step for one in journals[0].read()[0]] == list(range(20))


def test_what_a_link_planted_after_the_look_names_is_not_written(tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("mine\n")
    (tmp_path / "journal.jsonl").symlink_to(tmp_path / "outside")
    with pytest.raises(OSError, match="symbolic links"):
        _append_durably(tmp_path / "journal.jsonl", b"theirs\n")
    assert (tmp_path / "outside").read_text() == "mine\n"


def test_a_pipe_is_no_empty_journal(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "journal.jsonl")
    with pytest.raises(JournalError, match="not a regular file"):
        Journal(tmp_path).read()
