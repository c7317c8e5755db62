"""Several processes on one memory: what was acknowledged is there once, whatever is killed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from memory_kit import TOPICS, a_record, folder_backend

from memory.journal import JOURNAL_START, Journal, JournalError
from memory.manage import remove_records
from memory.records import dump_record, validate_record
from memory.store import open_memory

WRITER = """
import sys, time
from memory.store import open_memory
from memory_kit import a_record
where, name = sys.argv[1:3]
first, n = map(int, sys.argv[3:5])
recalls = sys.argv[5] == "recall"
memory = open_memory(where, run=name, embedding="lexical")
for i in range(first, first + n):
    print(memory.record(a_record(i, run=name)), flush=True)
    time.sleep(0.002)
    if recalls and i % 10 == 0:
        memory.recall("skewed residuals", "", task_hash="t1")
memory.close()
"""


def start(
    tmp_path: Path, name: str, n: int, *, first: int = 0, recalls: bool = False
) -> subprocess.Popen[str]:
    code = [
        sys.executable,
        "-c",
        WRITER,
        str(tmp_path / "m"),
        name,
        str(first),
        str(n),
        "recall" if recalls else "no",
    ]
    return subprocess.Popen(
        code,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.path.dirname(__file__)},
    )


def read_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline()


def journal_ids(tmp_path: Path) -> Counter[str]:
    lines = (tmp_path / "m/journal.jsonl").read_bytes().splitlines()
    return Counter(json.loads(line)["id"] for line in lines[1:] if line.endswith(b"}"))


@pytest.mark.slow
def test_four_writers_and_kills_lose_nothing_acknowledged_and_double_nothing(
    tmp_path: Path,
) -> None:
    rng = random.Random(1)
    writers = {f"w{i}": start(tmp_path, f"w{i}", 10**9, recalls=i < 2) for i in range(4)}
    acknowledged = {
        read_line(process).strip() for process in writers.values() for _ in range(30)
    }  # all four are writing now
    for process in writers.values():
        time.sleep(rng.uniform(0, 0.1))
        process.send_signal(signal.SIGKILL)
        acknowledged |= {
            line for line in process.communicate(timeout=60)[0].splitlines() if len(line) == 32
        }
        assert (
            process.returncode == -signal.SIGKILL
        )  # in the middle of its work: none of them ever ends by itself
    assert len(acknowledged) > 120
    # the same runs again from the start, as after a resume: everything is recorded a second time
    again = [start(tmp_path, name, 40) for name in writers]
    for process in again:
        acknowledged |= set(process.communicate(timeout=60)[0].split())
        assert process.returncode == 0
    held = journal_ids(tmp_path)
    assert acknowledged <= set(held) and set(held.values()) == {1}
    memory = open_memory(str(tmp_path / "m"), run="x", embedding="lexical")
    memory.recall("skewed residuals", "", task_hash="t1")
    assert folder_backend(memory).index_kind == "chroma"
    index = folder_backend(memory)._index
    assert index and index.list_ids() == set(held)
    memory.close()


def test_a_writer_killed_leaves_no_process_and_no_lock(tmp_path: Path) -> None:
    process = start(tmp_path, "w", 100_000, recalls=True)
    for _ in range(30):
        read_line(process)
    process.kill()
    process.wait()
    assert process.stdout
    process.stdout.close()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        memory = open_memory(str(tmp_path / "m"), run="x", embedding="lexical")
        assert memory.recall(TOPICS[0][0], "", task_hash="t1")
        index = folder_backend(memory).index_kind
        memory.close()
        if index == "chroma":
            return
        time.sleep(0.5)
    pytest.fail("the index is still owned by a process whose run is gone")


def test_a_torn_last_line_spoils_nothing_but_itself(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append([validate_record(a_record(0))])
    with journal.path.open("ab") as file:
        file.write(dump_record(validate_record(a_record(1))).encode()[:100])
    journal.append([validate_record(a_record(2))])
    records, _ = journal.read()
    assert [r.step for r in records] == [0, 2] and journal.n_damaged == 1
    assert journal.append([validate_record(a_record(1))]) == 1


def test_lines_that_are_no_records_are_skipped(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append([validate_record(a_record(0))])
    with journal.path.open("ab") as file:
        file.write(b"\n" + b"x" * 200_000 + b"\n[]\nnull\n\xff\n")
    journal.append([validate_record(a_record(1))])
    assert [r.step for r in journal.read()[0]] == [0, 1] and journal.n_damaged == 4


def test_pages_give_every_record_once(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append([validate_record(a_record(i)) for i in range(25)])
    pages = [records for records, _ in journal.pages(JOURNAL_START, 10)]
    assert [len(page) for page in pages] == [10, 10, 5]
    assert [r.step for page in pages for r in page] == list(range(25))


def test_removed_records_leave_open_indexes_too(tmp_path: Path) -> None:
    owner, other = (
        open_memory(str(tmp_path / "m"), run=name, embedding="lexical") for name in ("r1", "r2")
    )
    owner.record(a_record(0))
    owner.record(a_record(1, run="r2"))
    for memory in (owner, other):
        assert memory.recall(TOPICS[0][0], "", task_hash="t1")[0].record.run == "r1"
    assert remove_records(str(tmp_path / "m"), run="r1") == 1
    for memory in (owner, other):
        assert all(r.record.run == "r2" for r in memory.recall(TOPICS[0][0], "", task_hash="t1"))
    owner.record(a_record(2, run="r3"))
    assert other.recall(TOPICS[2][0], "", task_hash="t1")[0].record.run == "r3"
    for memory in (owner, other):
        memory.close()


@pytest.mark.parametrize(
    "make", [lambda p: p.mkdir(), lambda p: os.mkfifo(p), lambda p: p.symlink_to("/dev/full")]
)
def test_a_journal_that_is_not_a_file_is_an_error_not_a_hang(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    make(tmp_path / "journal.jsonl")
    with pytest.raises(JournalError):
        Journal(tmp_path).append([validate_record(a_record(0))])
