"""Long tables are read in blocks and prepared to the same task as short ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from task.data import public_tables
from task.data.prepare import prepare_task
from task.load import dialects, long_tables, tables
from task.load.spec import load_task
from task.load.tables import read_table
from task.types import TaskError


@pytest.fixture
def long_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let small tables take the way of long ones."""
    monkeypatch.setattr(dialects, "LONG_BYTES", 1)
    monkeypatch.setattr(long_tables, "BLOCK_BYTES", 4096)
    monkeypatch.setattr(tables, "LONG_COLUMN_BYTES", 1)
    monkeypatch.setattr(public_tables, "MANY_ROWS", 100)


def write_task(root: Path, n: int = 3000) -> Path:
    """Write a task of numbers, words and gaps."""
    rng = np.random.default_rng(5)
    root.mkdir()
    frame = pd.DataFrame(
        {
            "key": [f"{i:06d}" for i in range(n)],
            "x": rng.normal(size=n).round(5),
            "gaps": np.where(rng.random(n) < 0.2, np.nan, rng.normal(size=n).round(3)),
            "late": ["1.5"] * (n - 1) + ["12 %"],
            "word": rng.choice(["a", "b,c", 'd"e'], n),
            "stars": rng.integers(1, 6, n),
            "y": rng.gamma(2, 3, n).round(4),
        }
    )
    frame[: n - 200].to_csv(root / "train.csv", index=False)
    frame[n - 200 :].drop(columns="y").to_csv(root / "test.csv", index=False)
    frame[["key", "y"]][n - 200 :].assign(y=0.5).to_csv(root / "sample_submission.csv", index=False)
    return root


def prepare_bytes(root: Path, out: Path) -> dict[str, bytes]:
    """Prepare a task; return the files that scripts see."""
    task = load_task(str(root))
    prepare_task(task, str(out / "public"), str(out / "private"), seed=0, audit=True)
    return {path.name: path.read_bytes() for path in sorted((out / "public").iterdir())}


def test_same_task_either_way(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """A table that is read in blocks gives the same public files, byte for byte."""
    root = write_task(tmp_path / "task")
    plain = prepare_bytes(root, tmp_path / "plain")
    request.getfixturevalue("long_limits")
    assert prepare_bytes(root, tmp_path / "long") == plain


def test_numbers_are_kept_as_numbers(tmp_path: Path, long_limits: None) -> None:
    """Only columns of many decimal numbers are no text; a late mark keeps its column text."""
    root = write_task(tmp_path / "task")
    frame = read_table(root / "train.csv").frame
    kinds = {name: frame[name].dtype.kind for name in frame}
    assert kinds["x"] == kinds["gaps"] == kinds["y"] == "f"
    assert {frame[name].dtype.name for name in ("key", "late", "word", "stars")} == {"str"}
    assert frame["key"].iloc[0] == "000000"


def test_column_that_ends_in_words_stays_text(tmp_path: Path, long_limits: None) -> None:
    """A column that begins with numbers and ends with a word is text as written."""
    lines = [f"{i},{i * 0.25 + 0.001:.3f}" for i in range(2000)] + ["2000,unknown"]
    (tmp_path / "t.csv").write_text("id,x\n" + "\n".join(lines) + "\n")
    column = read_table(tmp_path / "t.csv").frame["x"]
    assert list(column[:2]) == ["0.001", "0.251"] and column.iloc[-1] == "unknown"


def test_rows_of_another_length_are_read_as_ever(tmp_path: Path, long_limits: None) -> None:
    """A short row is filled up, and said, on the long way too."""
    (tmp_path / "t.csv").write_text("id,x,z\n" + "1,2.5,3\n" * 50 + "7,8.25\n")
    table = read_table(tmp_path / "t.csv")
    assert len(table.frame) == 51 and pd.isna(table.frame["z"].iloc[-1])
    assert table.repairs


def test_differences_are_found_in_parts(tmp_path: Path, long_limits: None) -> None:
    """A long csv that reads back otherwise is refused, wherever the difference is."""
    frame = pd.DataFrame({"id": range(350), "x": np.arange(350) / 7})
    frame.assign(x=frame["x"].where(frame["id"] != 320, 0.5)).to_csv(
        tmp_path / "t.csv", index=False
    )
    with pytest.raises(TaskError, match="column 'x'"):
        public_tables.check_written(frame, tmp_path / "t.csv")
    frame[:349].to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(TaskError, match="349|350"):
        public_tables.check_written(frame, tmp_path / "t.csv")
