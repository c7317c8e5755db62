"""A hostile predictions file is refused in seconds by its shape; honest ones pass unchanged."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest
from kit import write_task

from task.client import TaskWorker, WorkerTimeoutError
from task.grade.predictions import PredictionsError, read_prediction_table

COLUMNS = ["id", "label"]
ROWS = "".join(f"r{i},0.5\n" for i in range(100))
HEAD = "id,label\n"


def read(tmp_path: Path, text: str | bytes, n_rows: int = 100) -> pd.DataFrame:
    path = tmp_path / "oof.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_prediction_table(path, "oof.csv", n_rows, COLUMNS)


HOSTILE: dict[str, tuple[str | bytes, str]] = {
    "a row of 600,000 fields": (HEAD + "r0" + ",1" * 600_000 + "\n" + ROWS, "line 2 has more than"),
    "a row of 2,000 fields": (HEAD + "r0" + ",1" * 1_999 + "\n" + ROWS, "line 2 has 2000 fields"),
    "one field too many": (HEAD + "r0,0.5,7\n" + ROWS, "line 2 has 3 fields, the header 2"),
    "a header of 600,000 fields": ("a," * 600_000 + "\n" + ROWS, "line 1 has more than"),
    "a header of 2,000 fields": ("a," * 2_000 + "\n" + ROWS, "has the columns"),
    "long lines": ((HEAD + ("r0," + "7" * 9_000 + "\n") * 20), "line 2 has more than"),
    "94 MB of lines": (HEAD + ("r0," + "7" * 19_000 + "\n") * 4_900, "is 89 MiB for"),
    "a million rows": (HEAD + "a,1\n" * 250_000, "expected rows; write one line per row"),
    "not text": (b"id,label\n\xff\xfe,,\n", "not a UTF-8"),
    "nothing": ("", "has the columns"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_shape_is_refused_before_pandas(tmp_path: Path, what: str) -> None:
    text, words = HOSTILE[what]
    began, before = time.monotonic(), psutil.Process().memory_info().rss
    with pytest.raises(PredictionsError, match=words) as caught:
        read(tmp_path, text, 4_900 if "94" in what else 100)
    assert time.monotonic() - began < 5 and len(str(caught.value)) < 1_000
    assert psutil.Process().memory_info().rss - before < 100 * 2**20


def test_honest_files_pass(tmp_path: Path) -> None:
    assert len(read(tmp_path, HEAD + ROWS)) == 100
    assert len(read(tmp_path, (HEAD + ROWS).replace("\n", "\r\n"))) == 100
    quoted = read(tmp_path, HEAD + '"a,b",0.25\n\n' + ROWS)
    assert list(quoted.columns) == COLUMNS and quoted["id"].iloc[0] == "a,b" and len(quoted) == 101
    assert read(tmp_path, '"id","label"\nr0,1\n')["label"].iloc[0] == 1
    assert len(read(tmp_path, HEAD + f"{'x' * 900},{'y' * 2_000}\n")) == 1


def test_random_files_are_tables_or_refused(tmp_path: Path) -> None:
    rng, alphabet = random.Random(3), 'r0,,,\n\n"\r\x00é\ud7ff.5e-'
    for _ in range(400):
        text = "".join(rng.choice(alphabet) for _ in range(rng.randint(0, 300)))
        try:
            frame = read(tmp_path, rng.choice([HEAD, ""]) + text)
        except PredictionsError:
            continue
        assert list(frame.columns) == COLUMNS


async def test_a_call_that_takes_too_long_costs_the_call_and_not_the_worker(tmp_path: Path) -> None:
    worker = TaskWorker()
    try:
        await worker.list_examples()
        pid = worker._child.pid
        worker.limit_s = lambda: 0.01
        with pytest.raises(WorkerTimeoutError, match="load_task: no result after 0 s"):
            await worker.load_task(str(write_task(tmp_path / "task")))
        assert pid and not psutil.pid_exists(pid)
        worker.limit_s = lambda: 60
        assert await worker.list_examples()
    finally:
        await worker.close()
