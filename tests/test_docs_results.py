"""Every page of results begins with its answer, which was written for the figures that it has."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from evals.harness.answers import (
    drop_answer,
    figures_fingerprint,
    find_answer,
    is_current,
    keep_answer,
)
from evals.harness.pages import write_study_page

RESULTS = Path(__file__).resolve().parent.parent / "docs" / "results"
PAGES = sorted(path.name for path in RESULTS.glob("*.md"))
COMPUTED = ("models.md",)  # whose first sentence is written by its command
COMMANDS = ("python -m ", "make ")


@pytest.mark.parametrize("name", PAGES)
def test_a_page_answers_first_and_names_its_command(name: str) -> None:
    page = (RESULTS / name).read_text()
    if name in COMPUTED:
        assert page.split("\n\n")[1].startswith("**")
    else:
        assert is_current(page), "read the figures, correct the answer, then evals.harness.answers"
    assert any(command in page for command in COMMANDS)


def test_a_page_that_is_written_anew_keeps_its_answer_and_shows_that_it_is_stale(
    tmp_path: Path,
) -> None:
    page = (RESULTS / "leaks.md").read_text()
    figures = drop_answer(page)
    (tmp_path / "leaks.md").write_text(page)
    write_study_page(tmp_path, "leaks.md", figures)
    assert (tmp_path / "leaks.md").read_text() == page and is_current(page)
    stale = keep_answer(tmp_path / "leaks.md", figures.replace("20 / 20", "19 / 20", 1))
    assert find_answer(stale) == find_answer(page) and not is_current(stale)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["rules.md", "crossover.md", "ablation.md", "recipes-expert.md"])
def test_a_page_is_made_of_the_rows_that_it_names(name: str, tmp_path: Path) -> None:
    page = (RESULTS / name).read_text()
    found = re.search(r"`python -m (evals\.\S+) ([^`]*)` makes this page", page)
    assert found
    more = ["--headline", str(tmp_path / "results.md")] if name == "crossover.md" else []
    shutil.copy(RESULTS.parent / "results.md", tmp_path)
    command = [sys.executable, "-m", found[1], *found[2].split(), "--out", str(tmp_path), *more]
    subprocess.run(command, cwd=RESULTS.parents[1], capture_output=True, check=True)
    assert figures_fingerprint((tmp_path / name).read_text()) == figures_fingerprint(page)
