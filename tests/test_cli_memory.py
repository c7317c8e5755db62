"""`gome memory` over a real folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from memory_kit import a_record
from typer.testing import CliRunner

from cli.app import app
from memory.store import open_memory


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal wide enough for whole lines, whatever the one of the tests is."""
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def where(tmp_path: Path) -> str:
    memory = open_memory(str(tmp_path / "memory"), run="r1", embedding="lexical")
    for step in range(3):
        memory.record(
            a_record(
                step,
                run=f"run{step}",
                diff="--- a\n+++ b\n+x = 1",
                task="houses",
                metric="rmse",
                direction="min",
                created=f"2026-01-0{step + 1}T10:00:00Z",
            )
        )
    memory.close()
    return str(tmp_path / "memory")


def gome(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["memory", *words])
    return result.exit_code, result.output


def test_records_are_listed_filtered_and_shown_with_their_change(where: str) -> None:
    code, text = gome("ls", "--memory", where)
    head, *lines = text.splitlines()
    assert code == 0 and head.split() == ["id", "date", "task", "helped", "gain", "hypothesis"]
    assert len(lines) == 3 and all("houses" in line and " rmse" in line for line in lines)
    assert "2026-01-03" in lines[0] and "lower by" in lines[0] and "1/1" in lines[0]
    assert len(gome("ls", "--memory", where, "--component", "model")[1].splitlines()) == 2
    few = gome("ls", "--memory", where, "--task", "houses", "--limit", "2")[1]
    assert "1 older not shown; --limit 3 shows all" in few
    assert "Nothing in" in gome("ls", "--memory", where, "--task", "hous")[1]
    assert gome("ls", "--memory", where, "--kind", "acepted")[0] == 2
    record = json.loads(gome("ls", "--memory", where, "--run", "run1", "--json")[1])
    assert record["run"] == "run1"
    assert "+x = 1" in gome("show", record["id"][:12], "--memory", where)[1]


def test_search_finds_by_meaning_of_the_words(where: str) -> None:
    assert (
        "class weights"
        in gome("search", "poor recall on a rare class", "--memory", where)[1].splitlines()[1]
    )


def test_a_claim_is_one_line_however_often_it_was_measured(tmp_path: Path) -> None:
    where = str(tmp_path / "memory")
    memory = open_memory(where, run="r1", embedding="lexical")
    for run, task, kind, gain in (
        ("r1", "houses", "accepted", 0.1),
        ("r2", "flats", "refuted", -0.1),
        ("r3", "flats", "accepted", 0.2),
    ):
        place = {"task_hash": task, "task": task, "created": f"2026-01-0{run[1]}T10:00:00Z"}
        memory.record(a_record(0, run=run, kind=kind, gain=gain, **place))
    memory.close()
    (line,) = gome("ls", "--memory", where)[1].splitlines()[1:]
    assert "flats +1" in line and "2/3" in line and "better by 0.2" in line
    page = gome("show", line.split()[0], "--memory", where)[1]
    assert "Measured 2 more times" in page and "houses: accepted" in page
    assert "flats: refuted, worse by 0.1" in page
    assert "2 records forgotten" in gome("forget", "--task", "flats", "--memory", where)[1]
    assert "1 record written" in gome("export", str(tmp_path / "out"), "--memory", where)[1]


def test_export_import_and_forget(where: str, tmp_path: Path) -> None:
    target, other = str(tmp_path / "out.jsonl"), str(tmp_path / "other")
    assert "3 records written" in gome("export", target, "--memory", where)[1]
    assert "3 added, 0 known already, 0 refused" in gome("import", target, "--memory", other)[1]
    assert "0 added, 3 known already" in gome("import", target, "--memory", other)[1]
    assert "1 record forgotten" in gome("forget", "--run", "run2", "--memory", other)[1]
    assert len(gome("ls", "--memory", other)[1].splitlines()) == 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("ls",), "no success memory"),
        (("show", "x"), "no success memory"),
        (("forget",), "say what to forget"),
    ],
)
def test_an_impossible_command_gives_one_sentence_and_exit_code_2(
    tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    code, text = gome(*words, "--memory", str(tmp_path / "none"))
    assert code == 2 and said in text and len(text.splitlines()) == 1
