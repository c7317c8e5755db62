"""Cost of the success memory: milliseconds per record and recall, memory of both processes.

python -m evals.bench.memory [--records 1000 10000] [--recalls 50] [--embedding NAME]
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from pathlib import Path

import psutil

from evals.studies.retrieval import load_retrieval_set
from memory.backend import FolderBackend
from memory.chroma import ChromaIndex
from memory.journal import Journal
from memory.protocol import Record
from memory.records import validate_record
from memory.store import SuccessMemory, open_memory

MB = 2**20


def random_records(n: int, seed: int = 0) -> list[Record]:
    """Cross the hand-written records with each other: n of them, 50 tasks, a third refuted."""
    rng = random.Random(seed)
    base, _ = load_retrieval_set()
    records = []
    for i in range(n):
        one, other = rng.choice(base), rng.choice(base)
        rows, column = rng.randint(100, 99_999), rng.randint(0, 500)
        changes = {
            "context": f"{other.context}; {rows} rows, column c{column}",
            "kind": rng.choice(["accepted", "accepted", "refuted"]),
            "gain": rng.gauss(0.02, 0.05),
            "task_hash": f"t{rng.randint(0, 49)}",
            "step": i,
        }
        records.append(validate_record(one.model_copy(update=changes)))
    return records


def problem_texts() -> list[str]:
    """Return the problems that a memory is asked about."""
    return load_retrieval_set()[1]["paraphrased"].texts


def format_latencies(seconds: list[float]) -> str:
    """Return median and 95th percentile in milliseconds."""
    ordered = sorted(seconds)
    p95 = ordered[int(len(ordered) * 0.95)]
    return f"{statistics.median(ordered) * 1e3:6.1f} median {p95 * 1e3:6.1f} p95"


def time_recalls(memory: SuccessMemory, queries: list[str], n: int) -> list[float]:
    """Return the seconds of each of n recalls."""
    seconds = []
    for i in range(n):
        began = time.perf_counter()
        memory.recall(queries[i % len(queries)], "", task_hash="t1")
        seconds.append(time.perf_counter() - began)
    return seconds


def time_records(memory: SuccessMemory, records: list[Record]) -> list[float]:
    """Return the seconds that storing each record takes."""
    seconds = []
    for record in records:
        began = time.perf_counter()
        memory.record(record)
        seconds.append(time.perf_counter() - began)
    return seconds


def measure_memory(n: int, n_recalls: int, embedding: str) -> None:
    """Fill a folder with n records; open it as its owner (Chroma) and as another process (scan)."""
    queries = problem_texts()
    with tempfile.TemporaryDirectory() as folder:
        Journal(Path(folder)).append(random_records(n))
        memories = [
            measure_open_memory(folder, index, n, n_recalls, embedding)
            for index in ("chroma", "scan")
        ]
        for memory in memories:
            memory.close()
        began = time.perf_counter()
        memory = open_success_memory(folder, embedding)
        time_recalls(memory, queries, 1)
        print(f"{n:7} reopened: first recall {time.perf_counter() - began:.2f} s")
        memory.close()


def measure_open_memory(
    folder: str, index: str, n: int, n_recalls: int, embedding: str
) -> SuccessMemory:
    """Open the memory, print what recalls and records cost, and return it open."""
    queries = problem_texts()
    this_process = psutil.Process()
    before = this_process.memory_info().rss
    memory = open_success_memory(folder, embedding)
    first_s = time_recalls(memory, queries, 1)[0]
    records = [record.model_copy(update={"run": index}) for record in random_records(30, seed=1)]
    record_s = time_records(memory, records)
    recall_s = time_recalls(memory, queries, n_recalls)
    assert isinstance(memory.backend, FolderBackend) and memory.backend.index_kind == index
    grown = (this_process.memory_info().rss - before) / MB
    parts = [
        f"{n:7} {index:6}",
        f"first recall {first_s:6.2f} s",
        f"recall ms {format_latencies(recall_s)}",
        f"record ms {format_latencies(record_s)}",
        f"this process +{grown:.0f} MB",
    ]
    if isinstance(memory.backend._index, ChromaIndex):
        chroma_bytes = psutil.Process(memory.backend._index.pid).memory_info().rss
        parts.append(f"Chroma's process {chroma_bytes / MB:.0f} MB")
    print("  ".join(parts))
    return memory


def open_success_memory(folder: str, embedding: str) -> SuccessMemory:
    """Open the memory in `folder` for the benchmark's run."""
    memory = open_memory(folder, run="bench", embedding=embedding, on_warning=print)
    assert isinstance(memory, SuccessMemory)
    return memory


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--records", type=int, nargs="+", default=[1_000, 10_000])
    parser.add_argument("--recalls", type=int, default=50)
    parser.add_argument("--embedding", default="lexical")
    args = parser.parse_args()
    print(f"this process at the start: {psutil.Process().memory_info().rss / MB:.0f} MB")
    for n in args.records:
        measure_memory(n, args.recalls, args.embedding)


if __name__ == "__main__":
    main()
