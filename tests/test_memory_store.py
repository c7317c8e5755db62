"""The success memory over a real Chroma and a real journal."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import pytest
from memory_kit import TOPICS, a_record, folder_backend, hypotheses

from memory.chroma import ChromaIndex
from memory.index import ScanIndex
from memory.lexical import LexicalEmbedding
from memory.protocol import Recall
from memory.store import NoMemory, SuccessMemory, open_memory


class OpenMemory(Protocol):
    """Open the memory of the test, or the one at `where`; it is closed after the test."""

    def __call__(self, where: Path | None = None, **options: Any) -> SuccessMemory: ...


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def open_at(tmp_path: Path, told: list[str]) -> Iterator[OpenMemory]:
    opened: list[SuccessMemory] = []

    def open_one(where: Path | None = None, **options: Any) -> SuccessMemory:
        memory = open_memory(
            str(where or tmp_path / "memory"),
            run=options.pop("run", "r1"),
            on_warning=told.append,
            embedding="lexical",
            **options,
        )
        assert isinstance(memory, SuccessMemory)
        opened.append(memory)
        return memory

    yield open_one
    for memory in opened:
        memory.close()


def test_a_fitting_record_is_recalled_from_chroma_and_survives_a_reopen(
    open_at: OpenMemory, told: list[str]
) -> None:
    first = open_at()
    ids = [first.record(a_record(i)) for i in range(5)]
    assert (
        hypotheses(
            first.recall("the target has a heavy right tail, residuals skewed", "", task_hash="t1")
        )[0]
        == TOPICS[0][1]
    )
    first.close()
    again = open_at(run="r2")
    found = again.recall("recall of a rare class is poor", "class weights", task_hash="t1")
    assert (found[0].record.id, found[0].record.run) == (ids[1], "r1")
    assert folder_backend(again).index_kind == "chroma" and told == []


def test_recording_twice_changes_nothing(open_at: OpenMemory, tmp_path: Path) -> None:
    memory = open_at()
    assert memory.record(a_record(0)) == memory.record(a_record(0))
    assert (
        len((tmp_path / "memory/journal.jsonl").read_text().splitlines()) == 2
    )  # the header and one record


def test_a_refuted_neighbour_turns_a_hint_into_a_warning(open_at: OpenMemory) -> None:
    memory = open_at()
    memory.record(a_record(0, gain=0.02))
    before = memory.recall(TOPICS[0][0], TOPICS[0][1], task_hash="t1")
    for step in range(3):
        memory.record(a_record(0, kind="refuted", gain=-0.05, step=100 + step))
    after = memory.recall(TOPICS[0][0], TOPICS[0][1], task_hash="t1")
    assert before[0].weight > 0 and all(r.weight < 0 for r in after) and after


def test_a_hypothesis_already_applied_is_worth_less(open_at: OpenMemory) -> None:
    memory = open_at()
    memory.record(a_record(0))
    fresh, done = (
        memory.recall(TOPICS[0][0], "", task_hash="t1", applied=applied)[0].weight
        for applied in ((), (TOPICS[0][1],))
    )
    assert done == pytest.approx(0.35 * fresh)


def test_an_evaluation_sees_no_earlier_run_of_its_own_data(open_at: OpenMemory) -> None:
    earlier = open_at(run="r1")
    for i in range(80):  # more than one fetch, all nearer than the one that may be seen
        earlier.record(a_record(0, step=i))
    earlier.record(
        a_record(
            0, task_hash="t2", challenge="errors are skewed", hypothesis="fit the log of the target"
        )
    )
    earlier.close()
    now = open_at(run="r2", evaluation=True)
    assert hypotheses(now.recall(TOPICS[0][0], "", task_hash="t1")) == ["fit the log of the target"]
    now.record(a_record(0, run="r2", step=7))
    assert TOPICS[0][1] in hypotheses(now.recall(TOPICS[0][0], "", task_hash="t1"))


def test_two_memories_on_one_folder_recall_the_records_of_both(
    open_at: OpenMemory, told: list[str]
) -> None:
    owner, other = open_at(), open_at()
    owner.record(a_record(0))
    assert (
        owner.recall(TOPICS[0][0], "", task_hash="t1")
        and folder_backend(owner).index_kind == "chroma"
    )
    other.record(a_record(1))
    assert hypotheses(other.recall(TOPICS[0][0], "", task_hash="t1"))[0] == TOPICS[0][1]
    assert hypotheses(owner.recall(TOPICS[1][0], "", task_hash="t1"))[0] == TOPICS[1][1]
    assert folder_backend(other).index_kind == "scan" and told == []


def test_many_threads_share_one_memory(open_at: OpenMemory) -> None:
    memory = open_at()

    def work(i: int) -> tuple[str, list[Recall]]:
        return memory.record(a_record(i)), memory.recall(TOPICS[i % 5][0], "", task_hash="t1")

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(work, range(40)))
    assert len({name for name, _ in results}) == 40
    assert all(hypotheses(found)[0] == TOPICS[i % 5][1] for i, (_, found) in enumerate(results))


def test_the_index_process_dying_in_a_run_costs_nothing_but_a_warning(
    open_at: OpenMemory, told: list[str]
) -> None:
    memory = open_at()
    memory.record(a_record(0))
    memory.recall(TOPICS[0][0], "", task_hash="t1")
    index = folder_backend(memory)._index
    assert isinstance(index, ChromaIndex)
    index._child.kill()
    memory.record(a_record(1))
    assert hypotheses(memory.recall(TOPICS[1][0], "", task_hash="t1"))[0] == TOPICS[1][1]
    assert len(told) == 1 and "exact scan" in told[0]


def test_a_ruined_index_is_rebuilt_from_the_journal(
    open_at: OpenMemory, told: list[str], tmp_path: Path
) -> None:
    memory = open_at()
    for i in range(5):
        memory.record(a_record(i))
    memory.recall("x", "", task_hash="t1")
    memory.close()
    (tmp_path / "memory/index/chroma.sqlite3").write_bytes(b"no database" * 1000)
    again = open_at()
    assert hypotheses(again.recall(TOPICS[2][0], "", task_hash="t1"))[0] == TOPICS[2][1]
    assert folder_backend(again).index_kind == "chroma" and len(told) == 1 and "rebuilt" in told[0]


def test_a_lost_index_folder_is_rebuilt(open_at: OpenMemory, tmp_path: Path) -> None:
    memory = open_at()
    memory.record(a_record(3))
    memory.recall("x", "", task_hash="t1")
    memory.close()
    shutil.rmtree(tmp_path / "memory/index")
    assert hypotheses(open_at().recall(TOPICS[3][0], "", task_hash="t1")) == [TOPICS[3][1]]


def test_a_recall_waits_no_longer_for_unindexed_records_than_it_may(
    open_at: OpenMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memory.backend.FILL_S", 0.0)
    monkeypatch.setattr("memory.backend.FILL_RECORDS", 2)
    owner, other = open_at(), open_at(run="r2")
    ids = [owner.record(a_record(i)) for i in range(5)]
    for n in (2, 4, 5, 5):  # Chroma goes on at the next recall
        owner.recall("x", "", task_hash="t1")
        index = folder_backend(owner)._index
        assert index and index.list_ids() == set(ids[:n])
    for _ in range(2):  # a scan leaves out what is oldest
        other.recall("x", "", task_hash="t1")
        index = folder_backend(other)._index
        assert isinstance(index, ScanIndex) and index.list_ids() == set(ids[3:])


def test_a_folder_that_is_a_file_never_stops_a_run(
    open_at: OpenMemory, told: list[str], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("x")
    memory = open_at(tmp_path / "file")
    memory.record(a_record(0))
    assert hypotheses(memory.recall(TOPICS[0][0], "", task_hash="t1")) == [
        TOPICS[0][1]
    ]  # kept for this run
    memory.close()
    assert any("could not be stored" in line for line in told)


def test_an_invalid_record_is_refused_with_a_warning(open_at: OpenMemory, told: list[str]) -> None:
    assert open_at().record(a_record(0, gain=float("nan"))) == ""
    assert told == ["success memory: a record was refused: gain is not a finite number"]


def test_chroma_and_the_exact_scan_agree(tmp_path: Path) -> None:
    records = [
        a_record(i, id=f"{i:032x}", context=f"feature {i * 7 % 31} of table {i % 13}")
        for i in range(200)
    ]
    lexical = LexicalEmbedding()
    vectors = lexical.embed([r.challenge + r.hypothesis + r.context for r in records])
    scan, chroma = ScanIndex(1024), ChromaIndex(("--path", str(tmp_path)), "x")
    for index in (scan, chroma):
        index.upsert(records, vectors)
    query = lexical.embed(["thousands of levels in table 7"])[0]
    exact, near = ([n.similarity for n in index.query(query, 150)] for index in (scan, chroma))
    chroma.close()
    assert near == pytest.approx(exact, abs=0.03) and len(near) == 150


def test_repeated_texts_do_not_hide_the_others(tmp_path: Path) -> None:
    texts = [f"{TOPICS[i % 5][1]} for column {i}" for i in range(60)]
    said = [0] * 400 + [1] * 200 + [i for i in range(60) for _ in range(5)]
    records = [a_record(i, id=f"{n:032x}", hypothesis=texts[i]) for n, i in enumerate(said)]
    vectors = LexicalEmbedding().embed(texts)
    chroma = ChromaIndex(("--path", str(tmp_path)), "x")
    chroma.upsert(records, vectors[said])
    found = [chroma.query(vectors[i], 3)[0].record.hypothesis for i in range(60)]
    chroma.close()
    assert found == texts


def test_opening_loads_no_chroma_and_touches_no_disk(tmp_path: Path) -> None:
    code = (
        "import sys; from memory.store import open_memory;"
        "m = open_memory(sys.argv[1], run='r'); m.close();"
        "assert not {'chromadb', 'langchain_openai', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "m")], check=True, timeout=60)
    assert not (tmp_path / "m").exists()


def test_off_stores_nothing() -> None:
    memory = open_memory("off", run="r")
    assert (
        isinstance(memory, NoMemory)
        and memory.record(a_record(0)) == ""
        and memory.recall("x", "y", task_hash="t") == []
    )


def test_the_published_ranking_and_plain_similarity_are_options(open_at: OpenMemory) -> None:
    for i in range(3):
        open_at().record(a_record(i, gain=[0.02, 5.0, 0.02][i]))
    query = TOPICS[0][0]
    assert (
        hypotheses(open_at(ranking="similarity").recall(query, "", task_hash="t1"))[0]
        == TOPICS[0][1]
    )
    # raw score differences: the huge gain wins over what fits, as published
    assert hypotheses(open_at(ranking="paper").recall(query, "", task_hash="t1"))[0] == TOPICS[1][1]


def test_the_journal_is_readable_by_hand(open_at: OpenMemory, tmp_path: Path) -> None:
    open_at().record(a_record(0))
    header, line = map(json.loads, (tmp_path / "memory/journal.jsonl").read_text().splitlines())
    assert header["gome_memory"] == 1 and line["hypothesis"] == TOPICS[0][1]
