"""The mutation check: its list fits the code, its page is current, and it judges as it says."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools import mutants
from tools.mutants import Checkout, Outcome, find_stale, read_rows, write_page
from tools.weakenings import MUTANTS, Mutant

CODE = "def limit(n):\n    return min(n, 10)\n"
TEST = "from code_under_test import limit\n\ndef test_limit():\n    assert limit(50) == 10\n"
SKIPPED = (
    "import pytest\nfrom code_under_test import limit\n\n"
    "@pytest.mark.skipif(limit(50) != 10, reason='broken')\ndef test_limit():\n    pass\n"
)


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Checkout]:
    (tmp_path / "code_under_test.py").write_text(CODE)
    (tmp_path / "test_code.py").write_text(TEST)
    (tmp_path / "test_blind.py").write_text("def test_nothing():\n    pass\n")
    (tmp_path / "test_skipped.py").write_text(SKIPPED)
    (tmp_path / "test_broken.py").write_text("def test_broken():\n    assert False\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    yield Checkout(tmp_path)
    assert (tmp_path / "code_under_test.py").read_text() == CODE


@pytest.mark.parametrize(
    ("old", "test", "verdict", "said"),
    [
        ("min(n, 10)", "test_code.py", "noticed", "test_code.py::test_limit"),
        ("min(n, 10)", "test_blind.py", "survived", ""),
        ("min(n, 11)", "test_code.py", "stale", "found 0 times"),
        ("n", "test_code.py", "stale", "found 4 times"),
        ("return", "test_code.py", "stale", "does not compile (invalid syntax)"),
        ("min(n, 10)", "test_skipped.py", "unclear", "with the mutant its tests are skipped"),
        ("min(n, 10)", "test_broken.py", "unclear", "its tests fail without the mutant"),
    ],
)
def test_a_mutant_is_judged(
    old: str, test: str, verdict: str, said: str, checkout: Checkout
) -> None:
    mutant = Mutant("m", "code_under_test.py", old, "n", "no limit", (test,))
    assert checkout.judge(mutant) == ("m", verdict, said)


def test_the_list_fits_the_code() -> None:
    assert find_stale() == [], "correct tools/weakenings.py"
    names = [mutant.name for mutant in MUTANTS]
    assert len(names) == len(set(names)) and len(names) >= 40
    assert all(mutant.old != mutant.new and mutant.tests for mutant in MUTANTS)


def test_the_page_says_that_every_guard_is_noticed() -> None:
    rows = read_rows(mutants.PAGE.read_text())
    assert list(rows) == [mutant.name for mutant in MUTANTS], "python -m tools.mutants --write"
    assert [row for row in rows.values() if "| noticed |" not in row] == []


def test_new_results_replace_old_ones_and_others_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page.md"
    monkeypatch.setattr(mutants, "PAGE", page)
    page.write_text(f"before\n{mutants.BEGIN}\n{mutants.END}\nafter\n")
    first, second = MUTANTS[0].name, MUTANTS[1].name
    write_page([Outcome(second, "survived")])
    write_page([Outcome(first, "noticed", "tests/a.py::test[x|y]")])
    write_page([Outcome(second, "noticed", "tests/b.py::test")])
    rows = read_rows(page.read_text())
    assert list(rows) == [first, second] and all("| noticed |" in row for row in rows.values())
    assert page.read_text().startswith("before\n") and page.read_text().endswith("\nafter\n")
    page.write_text("no table\n")
    with pytest.raises(ValueError, match="needs the lines"):
        write_page([])


def test_the_command_lists_the_mutants() -> None:
    command = [sys.executable, "-m", "tools.mutants", "--list", "--only", "journal-"]
    done = subprocess.run(
        command, cwd=mutants.ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    lines = done.stdout.splitlines()
    assert len(lines) >= 5 and all("memory/journal.py" in line for line in lines)
