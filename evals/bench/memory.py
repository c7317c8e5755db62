"""What the success memory costs: milliseconds per record and recall, resident memory of the run's process and of Chroma's.

python -m evals.bench.memory [--records 1000 10000] [--recalls 50]
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from pathlib import Path

import psutil

from evals.studies.retrieval import load
from memory.backend import Folder
from memory.index import Chroma
from memory.journal import Journal
from memory.open import open_memory
from memory.protocol import Record
from memory.records import clean
from memory.store import SuccessMemory

MB = 2**20


def made(n: int, seed: int = 0) -> list[Record]:
    """n records: the hand-written ones crossed with each other, over 50 tasks, a third refuted."""
    rng = random.Random(seed)
    base, _, _ = load()
    records = []
    for i in range(n):
        one, other = rng.choice(base), rng.choice(base)
        changes = {
            "context": f"{other.context}; {rng.randint(100, 99_999)} rows, column c{rng.randint(0, 500)}",
            "kind": rng.choice(["accepted", "accepted", "refuted"]),
            "gain": rng.gauss(0.02, 0.05),
            "task_hash": f"t{rng.randint(0, 49)}",
            "step": i,
        }
        records.append(clean(one.model_copy(update=changes)))
    return records


def milliseconds(times: list[float]) -> str:
    ordered = sorted(times)
    return f"{statistics.median(times) * 1e3:6.1f} median {ordered[int(len(ordered) * 0.95)] * 1e3:6.1f} p95"


def timed_recalls(memory: SuccessMemory, queries: list[str], n: int) -> list[float]:
    times = []
    for i in range(n):
        started = time.perf_counter()
        memory.recall(queries[i % len(queries)], "", task_hash="t1")
        times.append(time.perf_counter() - started)
    return times


def timed_records(memory: SuccessMemory, records: list[Record]) -> list[float]:
    times = []
    for record in records:
        started = time.perf_counter()
        memory.record(record)
        times.append(time.perf_counter() - started)
    return times


def measure(n: int, n_recalls: int) -> None:
    """One size: fill a folder, open it as its owner, and beside it as a second process would (exact scan)."""
    _, queries, _ = load()
    me = psutil.Process()
    with tempfile.TemporaryDirectory() as folder:
        Journal(Path(folder)).append(made(n))
        opened = []
        for label in ("chroma", "scan"):
            before = me.memory_info().rss
            memory = open_memory(folder, run="bench", on_warning=print)
            assert isinstance(memory, SuccessMemory) and isinstance(memory.backend, Folder)
            opened.append(memory)
            first = timed_recalls(memory, queries, 1)[0]
            record = timed_records(
                memory, [r.model_copy(update={"run": label}) for r in made(30, seed=1)]
            )
            recall = timed_recalls(memory, queries, n_recalls)
            assert memory.backend.index == label
            grown = (me.memory_info().rss - before) / MB
            print(
                f"{n:7} {label:6}  first recall {first:6.2f} s  recall ms {milliseconds(recall)}",
                end="",
            )
            print(f"  record ms {milliseconds(record)}  this process +{grown:.0f} MB", end="")
            index = memory.backend._index
            print(
                f"  Chroma's process {psutil.Process(index.pid).memory_info().rss / MB:.0f} MB"
                if isinstance(index, Chroma)
                else ""
            )
        for memory in opened:
            memory.close()
        started = time.perf_counter()
        memory = open_memory(folder, run="bench", on_warning=print)
        assert isinstance(memory, SuccessMemory)
        timed_recalls(memory, queries, 1)
        print(f"{n:7} reopened: first recall {time.perf_counter() - started:.2f} s")
        memory.close()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--records", type=int, nargs="+", default=[1_000, 10_000])
    parser.add_argument("--recalls", type=int, default=50)
    args = parser.parse_args()
    print(f"this process at the start: {psutil.Process().memory_info().rss / MB:.0f} MB")
    for n in args.records:
        measure(n, args.recalls)


if __name__ == "__main__":
    main()
