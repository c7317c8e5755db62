"""`gome memory` over a real folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from memory_kit import a_record
from typer.testing import CliRunner

from cli.app import app
from memory.store import open_memory


@pytest.fixture
def where(tmp_path: Path) -> str:
    memory = open_memory(str(tmp_path / "memory"), run="r1")
    for step in range(3):
        memory.record(a_record(step, run=f"run{step}", diff="--- a\n+++ b\n+x = 1"))
    memory.close()
    return str(tmp_path / "memory")


def gome(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["memory", *words])
    return result.exit_code, result.output


def test_records_are_listed_filtered_and_shown_with_their_change(where: str) -> None:
    code, text = gome("ls", "--memory", where)
    assert code == 0 and len(text.splitlines()) == 3 and "+5.0σ" in text
    assert len(gome("ls", "--memory", where, "--component", "model")[1].splitlines()) == 1
    record = json.loads(gome("ls", "--memory", where, "--run", "run1", "--json")[1])
    assert record["run"] == "run1"
    assert "+x = 1" in gome("show", record["id"][:12], "--memory", where)[1]


def test_search_finds_by_meaning_of_the_words(where: str) -> None:
    assert (
        "class weights"
        in gome("search", "poor recall on a rare class", "--memory", where)[1].splitlines()[0]
    )


def test_export_import_and_forget(where: str, tmp_path: Path) -> None:
    target, other = str(tmp_path / "out.jsonl"), str(tmp_path / "other")
    assert "3 records written" in gome("export", target, "--memory", where)[1]
    assert "3 added, 0 known already, 0 refused" in gome("import", target, "--memory", other)[1]
    assert "0 added, 3 known already" in gome("import", target, "--memory", other)[1]
    assert "1 records forgotten" in gome("forget", "--run", "run2", "--memory", other)[1]
    assert len(gome("ls", "--memory", other)[1].splitlines()) == 2


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
