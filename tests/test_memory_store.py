"""The success memory over a real Chroma and a real journal."""

import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from memory.embed import Lexical
from memory.index import Chroma, Scan
from memory.open import Off, open_memory
from memory.protocol import Record
from memory.store import SuccessMemory

TOPICS = [
    ("residuals are skewed to the right", "train on log1p of the target", "features"),
    ("recall of the rare class is low", "balance the class weights", "model"),
    ("many cells are missing", "add indicators of missing values", "features"),
    (
        "one column has thousands of levels",
        "encode the levels by out-of-fold target means",
        "features",
    ),
    ("train score is far above validation", "fewer leaves and a stronger penalty", "model"),
]


def a_record(i: int, **changes: object) -> Record:
    challenge, hypothesis, component = TOPICS[i % len(TOPICS)]
    given = {
        "kind": "accepted", "challenge": challenge, "hypothesis": hypothesis, "component": component,
        "task_hash": "t1", "gain": 0.05, "gain_se": 0.01, "run": "r1", "step": i,
    }  # fmt: skip
    return Record.model_validate({**given, **changes})


@pytest.fixture
def told():
    return []


@pytest.fixture
def open_at(tmp_path, told):
    opened = []

    def open_one(where=None, **options) -> SuccessMemory:
        memory = open_memory(
            str(where or tmp_path / "memory"),
            run=options.pop("run", "r1"),
            on_warning=told.append,
            **options,
        )
        assert isinstance(memory, SuccessMemory)
        opened.append(memory)
        return memory

    yield open_one
    for memory in opened:
        memory.close()


def hypotheses(recalls):
    return [r.record.hypothesis for r in recalls]


def test_what_fits_is_recalled_from_chroma_and_survives_a_reopen(open_at, told):
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
    assert again.backend.index == "chroma" and told == []


def test_recording_twice_changes_nothing(open_at, tmp_path):
    memory = open_at()
    assert memory.record(a_record(0)) == memory.record(a_record(0))
    assert (
        len((tmp_path / "memory/journal.jsonl").read_text().splitlines()) == 2
    )  # the header and one record


def test_a_refuted_neighbour_turns_a_hint_into_a_warning(open_at):
    memory = open_at()
    memory.record(a_record(0, gain=0.02))
    before = memory.recall(TOPICS[0][0], TOPICS[0][1], task_hash="t1")
    for step in range(3):
        memory.record(a_record(0, kind="refuted", gain=-0.05, step=100 + step))
    after = memory.recall(TOPICS[0][0], TOPICS[0][1], task_hash="t1")
    assert before[0].weight > 0 and all(r.weight < 0 for r in after) and after


def test_what_is_applied_already_is_worth_less(open_at):
    memory = open_at()
    memory.record(a_record(0))
    fresh, done = (
        memory.recall(TOPICS[0][0], "", task_hash="t1", applied=applied)[0].weight
        for applied in ((), (TOPICS[0][1],))
    )
    assert done == pytest.approx(0.35 * fresh)


def test_an_evaluation_sees_no_earlier_run_of_its_own_data(open_at):
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


def test_two_memories_on_one_folder_both_recall_what_either_recorded(open_at, told):
    owner, other = open_at(), open_at()
    owner.record(a_record(0))
    assert owner.recall(TOPICS[0][0], "", task_hash="t1") and owner.backend.index == "chroma"
    other.record(a_record(1))
    assert hypotheses(other.recall(TOPICS[0][0], "", task_hash="t1"))[0] == TOPICS[0][1]
    assert hypotheses(owner.recall(TOPICS[1][0], "", task_hash="t1"))[0] == TOPICS[1][1]
    assert other.backend.index == "scan" and told == []


def test_many_threads_share_one_memory(open_at):
    memory = open_at()

    def work(i):
        return memory.record(a_record(i)), memory.recall(TOPICS[i % 5][0], "", task_hash="t1")

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(work, range(40)))
    assert len({name for name, _ in results}) == 40
    assert all(hypotheses(found)[0] == TOPICS[i % 5][1] for i, (_, found) in enumerate(results))


def test_the_index_process_dying_in_a_run_costs_nothing_but_a_warning(open_at, told):
    memory = open_at()
    memory.record(a_record(0))
    memory.recall(TOPICS[0][0], "", task_hash="t1")
    memory.backend._index._child.kill()
    memory.record(a_record(1))
    assert hypotheses(memory.recall(TOPICS[1][0], "", task_hash="t1"))[0] == TOPICS[1][1]
    assert len(told) == 1 and "exact scan" in told[0]


def test_a_ruined_index_is_rebuilt_from_the_journal(open_at, told, tmp_path):
    memory = open_at()
    for i in range(5):
        memory.record(a_record(i))
    memory.recall("x", "", task_hash="t1")
    memory.close()
    (tmp_path / "memory/index/chroma.sqlite3").write_bytes(b"no database" * 1000)
    again = open_at()
    assert hypotheses(again.recall(TOPICS[2][0], "", task_hash="t1"))[0] == TOPICS[2][1]
    assert again.backend.index == "chroma" and len(told) == 1 and "rebuilt" in told[0]


def test_a_lost_index_folder_is_filled_again(open_at, tmp_path):
    memory = open_at()
    memory.record(a_record(3))
    memory.recall("x", "", task_hash="t1")
    memory.close()
    shutil.rmtree(tmp_path / "memory/index")
    assert hypotheses(open_at().recall(TOPICS[3][0], "", task_hash="t1")) == [TOPICS[3][1]]


def test_a_folder_that_is_a_file_never_stops_a_run(open_at, told, tmp_path):
    (tmp_path / "file").write_text("x")
    memory = open_at(tmp_path / "file")
    memory.record(a_record(0))
    assert hypotheses(memory.recall(TOPICS[0][0], "", task_hash="t1")) == [
        TOPICS[0][1]
    ]  # kept for this run
    memory.close()
    assert any("could not be kept" in line for line in told)


def test_an_invalid_record_is_refused_and_said(open_at, told):
    assert open_at().record(a_record(0, gain=float("nan"))) == ""
    assert told == ["success memory: a record was refused: gain is not a finite number"]


def test_chroma_and_the_exact_scan_agree(tmp_path):
    records = [
        a_record(i, id=f"{i:032x}", context=f"feature {i * 7 % 31} of table {i % 13}")
        for i in range(200)
    ]
    lexical = Lexical()
    vectors = lexical.embed([r.challenge + r.hypothesis + r.context for r in records])
    scan, chroma = Scan(1024), Chroma(("--path", str(tmp_path)), "success-x", "x")
    for index in (scan, chroma):
        index.upsert(records, vectors)
    query = lexical.embed(["thousands of levels in table 7"])[0]
    exact, near = ([n.similarity for n in index.query(query, 150)] for index in (scan, chroma))
    chroma.close()
    assert near == pytest.approx(exact, abs=0.03) and len(near) == 150


def test_repeated_texts_do_not_hide_the_others(tmp_path):
    texts = [f"{TOPICS[i % 5][1]} for column {i}" for i in range(60)]
    said = [0] * 400 + [1] * 200 + [i for i in range(60) for _ in range(5)]
    records = [a_record(i, id=f"{n:032x}", hypothesis=texts[i]) for n, i in enumerate(said)]
    vectors = Lexical().embed(texts)
    chroma = Chroma(("--path", str(tmp_path)), "success-x", "x")
    chroma.upsert(records, vectors[said])
    found = [chroma.query(vectors[i], 3)[0].record.hypothesis for i in range(60)]
    chroma.close()
    assert found == texts


def test_opening_loads_no_chroma_and_touches_no_disk(tmp_path):
    code = (
        "import sys; from memory.open import open_memory; m = open_memory(sys.argv[1], run='r'); m.close();"
        "assert not {'chromadb', 'langchain_openai', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "m")], check=True, timeout=60)
    assert not (tmp_path / "m").exists()


def test_off_keeps_nothing():
    memory = open_memory("off", run="r")
    assert (
        isinstance(memory, Off)
        and memory.record(a_record(0)) == ""
        and memory.recall("x", "y", task_hash="t") == []
    )


def test_the_published_ranking_and_plain_similarity_are_options(open_at):
    for i in range(3):
        open_at().record(a_record(i, gain=[0.02, 5.0, 0.02][i]))
    query = TOPICS[0][0]
    assert (
        hypotheses(open_at(ranking="similarity").recall(query, "", task_hash="t1"))[0]
        == TOPICS[0][1]
    )
    # raw score differences: the huge gain wins over what fits, as published
    assert hypotheses(open_at(ranking="paper").recall(query, "", task_hash="t1"))[0] == TOPICS[1][1]


def test_the_journal_is_readable_by_hand(open_at, tmp_path):
    open_at().record(a_record(0))
    header, line = map(json.loads, (tmp_path / "memory/journal.jsonl").read_text().splitlines())
    assert header["gome_memory"] == 1 and line["hypothesis"] == TOPICS[0][1]
