"""Managing a memory: list, show, search, export, import, forget; and a real Chroma server."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from memory_kit import TOPICS, a_record

from memory import manage
from memory.manage import MemoryAccessError
from memory.records import dump_record, validate_record
from memory.store import open_memory


@pytest.fixture
def where(tmp_path: Path) -> str:
    place = str(tmp_path / "m")
    memory = open_memory(place, run="r", embedding="lexical")
    for i in range(5):
        memory.record(
            a_record(
                i, run=f"r{i % 2}", task_hash=f"t{i % 3}", created=f"200{i}-01-01T00:00:00+00:00"
            )
        )
    memory.close()
    return place


def test_ls_is_newest_first_and_filters(where: str) -> None:
    assert [r.step for r in manage.select_records(where)] == [4, 3, 2, 1, 0]
    assert [r.step for r in manage.select_records(where, run="r1")] == [3, 1]
    assert [r.step for r in manage.select_records(where, component="model", limit=1)] == [4]


def test_show_needs_exactly_one_record(where: str) -> None:
    name = manage.select_records(where)[0].id
    assert manage.find_record(where, name[:12]).step == 4
    with pytest.raises(MemoryAccessError, match="no record in"):
        manage.find_record(where, "zz")


def test_search_finds_by_meaning(where: str) -> None:
    assert manage.nearest_records(where, "NaN cells", k=1)[0].record.hypothesis == TOPICS[2][1]


def test_export_and_import_carry_everything_once(where: str, tmp_path: Path) -> None:
    target = tmp_path / "out.jsonl"
    assert manage.export_to_file(where, target) == 5
    other = str(tmp_path / "other")
    first, again = manage.import_from_file(other, target), manage.import_from_file(other, target)
    assert (first.n_added, again.n_added, again.n_known) == (5, 0, 5)
    assert manage.select_records(other) == manage.select_records(where)
    with pytest.raises(MemoryAccessError, match="File exists"):
        manage.export_to_file(where, target)


def test_a_hostile_import_adds_only_what_is_valid(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    bad = [
        b"{",
        b"\xff",
        b'{"kind":"accepted"}',
        b"x" * 500_000,
        dump_record(a_record(0)).replace("0.05", "NaN").encode(),
    ]
    source.write_bytes(
        b"\n".join(
            [
                *bad,
                dump_record(validate_record(a_record(1))).encode(),
                dump_record(a_record(2, id="0" * 32)).encode(),
            ]
        )
    )
    done = manage.import_from_file(str(tmp_path / "m"), source)
    assert (done.n_added, done.n_refused) == (2, 5) and done.problems[0].startswith("line 1: ")
    assert "0" * 32 not in {r.id for r in manage.select_records(str(tmp_path / "m"))}


def test_forget_by_run_task_age_and_never_by_accident(where: str) -> None:
    with pytest.raises(MemoryAccessError, match="what to forget"):
        manage.remove_records(where)
    with pytest.raises(MemoryAccessError, match="not an age"):
        manage.remove_records(where, older_than="soon")
    assert manage.remove_records(where, run="r1", task="t0") == 1
    assert manage.remove_records(where, run="r1") == 1
    left = manage.select_records(where)
    assert manage.remove_records(where, ids=[left[0].id]) == 1
    assert manage.remove_records(where, older_than="900m") == 0
    assert manage.remove_records(where, older_than="1d") == 2 and manage.select_records(where) == []


def test_a_place_without_memory_is_one_clear_line(tmp_path: Path) -> None:
    for call in (
        manage.select_records,
        lambda where: manage.nearest_records(where, "x"),
        lambda where: manage.remove_records(where, run="r"),
    ):
        with pytest.raises(MemoryAccessError, match="no success memory at"):
            call(str(tmp_path / "none"))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    chroma = str(Path(sys.executable).with_name("chroma"))
    command = [
        chroma,
        "run",
        "--path",
        str(tmp_path / "s"),
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.1)
    yield f"http://127.0.0.1:{port}", process
    process.kill()
    process.wait()


@pytest.mark.slow
def test_runs_of_many_hosts_share_a_chroma_server_and_outlive_it(
    server: tuple[str, subprocess.Popen[bytes]],
) -> None:
    url, process = server
    told: list[str] = []
    one, two = (
        open_memory(url, run=name, embedding="lexical", on_warning=told.append)
        for name in ("r1", "r2")
    )
    name = one.record(a_record(0))
    assert [r.record.id for r in two.recall(TOPICS[0][0], "", task_hash="t1")] == [name]
    assert [r.id for r in manage.select_records(url)] == [name] and told == []
    assert manage.remove_records(url, run="r1") == 1 and manage.select_records(url) == []
    process.kill()
    process.wait()
    one.record(a_record(1))
    assert (
        one.recall(TOPICS[1][0], "", task_hash="t1")[0].record.hypothesis == TOPICS[1][1]
    )  # its own, unsaved
    one.close()
    two.close()
    assert url in told[0] and "could not be stored" in told[-1]
