"""Managing a memory: list, show, search, export, import, forget; and a real Chroma server."""

import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from test_memory_store import TOPICS, a_record

from memory import manage
from memory.manage import MemoryProblem
from memory.open import open_memory
from memory.records import clean, dump


@pytest.fixture
def where(tmp_path):
    place = str(tmp_path / "m")
    memory = open_memory(place, run="r")
    for i in range(5):
        memory.record(
            a_record(
                i, run=f"r{i % 2}", task_hash=f"t{i % 3}", created=f"200{i}-01-01T00:00:00+00:00"
            )
        )
    memory.close()
    return place


def test_ls_is_newest_first_and_filters(where):
    assert [r.step for r in manage.ls(where)] == [4, 3, 2, 1, 0]
    assert [r.step for r in manage.ls(where, run="r1")] == [3, 1]
    assert [r.step for r in manage.ls(where, component="model", limit=1)] == [4]


def test_show_wants_one_record(where):
    name = manage.ls(where)[0].id
    assert manage.show(where, name[:12]).step == 4
    with pytest.raises(MemoryProblem, match="no records"):
        manage.show(where, "zz")


def test_search_finds_by_meaning(where):
    assert manage.search(where, "NaN cells", k=1)[0].record.hypothesis == TOPICS[2][1]


def test_export_and_import_carry_everything_once(where, tmp_path):
    target = tmp_path / "out.jsonl"
    assert manage.export(where, target) == 5
    other = str(tmp_path / "other")
    first, again = manage.import_(other, target), manage.import_(other, target)
    assert (first.n_added, again.n_added, again.n_known) == (5, 0, 5)
    assert manage.ls(other) == manage.ls(where)
    with pytest.raises(MemoryProblem, match="File exists"):
        manage.export(where, target)


def test_a_hostile_import_adds_only_what_is_valid(tmp_path):
    source = tmp_path / "in.jsonl"
    bad = [
        b"{",
        b"\xff",
        b'{"kind":"accepted"}',
        b"x" * 500_000,
        dump(a_record(0)).replace("0.05", "NaN").encode(),
    ]
    source.write_bytes(
        b"\n".join(
            [*bad, dump(clean(a_record(1))).encode(), dump(a_record(2, id="0" * 32)).encode()]
        )
    )
    done = manage.import_(str(tmp_path / "m"), source)
    assert (done.n_added, done.n_refused) == (2, 5) and done.problems[0].startswith("line 1: ")
    assert "0" * 32 not in {r.id for r in manage.ls(str(tmp_path / "m"))}


def test_forget_by_run_task_age_and_never_by_accident(where):
    with pytest.raises(MemoryProblem, match="what to forget"):
        manage.forget(where)
    with pytest.raises(MemoryProblem, match="no age"):
        manage.forget(where, older_than="soon")
    assert manage.forget(where, run="r1", task="t0") == 1
    assert manage.forget(where, run="r1") == 1
    left = manage.ls(where)
    assert manage.forget(where, ids=[left[0].id]) == 1
    assert manage.forget(where, older_than="900m") == 0
    assert manage.forget(where, older_than="1d") == 2 and manage.ls(where) == []


def test_a_place_without_memory_is_one_clear_line(tmp_path):
    for call in (
        manage.ls,
        lambda where: manage.search(where, "x"),
        lambda where: manage.forget(where, run="r"),
    ):
        with pytest.raises(MemoryProblem, match="no success memory at"):
            call(str(tmp_path / "none"))


@pytest.fixture
def server(tmp_path):
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
def test_runs_of_many_hosts_share_a_chroma_server_and_outlive_it(server):
    url, process = server
    told = []
    one, two = (open_memory(url, run=name, on_warning=told.append) for name in ("r1", "r2"))
    name = one.record(a_record(0))
    assert [r.record.id for r in two.recall(TOPICS[0][0], "", task_hash="t1")] == [name]
    assert [r.id for r in manage.ls(url)] == [name] and told == []
    assert manage.forget(url, run="r1") == 1 and manage.ls(url) == []
    process.kill()
    process.wait()
    one.record(a_record(1))
    assert (
        one.recall(TOPICS[1][0], "", task_hash="t1")[0].record.hypothesis == TOPICS[1][1]
    )  # its own, unsaved
    one.close()
    two.close()
    assert url in told[0] and "could not be kept" in told[-1]
