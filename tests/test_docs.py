"""The documentation is true: generated pages are current, every command parses, and what can run here does run, as it stands."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer
from kit import write_task

from cli.app import app
from evals import reference

ROOT = Path(__file__).resolve().parent.parent
FENCE = re.compile(r"(?:<!-- (needs|run): ([^>]*?) -->\n)?^```bash\n(.*?)^```", re.MULTILINE | re.DOTALL)
ELSEWHERE = {"needs": ("endpoint", "e2b", "cluster", "server", "gpu"), "run": ("make",)}  # `make` targets are what CI itself runs


class Block(NamedTuple):
    page: str
    marker: str
    text: str

    @property
    def commands(self) -> list[list[str]]:
        """Its `gome …` lines as words; comments, pipes and `&&` end one."""
        lines = [line for part in self.text.replace("\\\n", " ").splitlines() for line in re.split(r"&&|\|(?!\|)|;", part)]
        words = [shlex.split(line, comments=True) for line in lines]
        return [line[1:] for line in words if line[:1] == ["gome"]]


def blocks() -> list[Block]:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    found = [(page, match) for page in pages for match in FENCE.finditer(page.read_text())]
    return [Block(str(page.relative_to(ROOT)), f"{m[1]}: {m[2]}" if m[1] else "", m[3]) for page, m in found]


def test_the_generated_pages_are_current() -> None:
    stale = [name for name, page in reference.PAGES.items() if (reference.DOCS / name).read_text() != page()]
    assert not stale, "run `make reference`"


@pytest.mark.parametrize("block", blocks(), ids=lambda block: block.page)
def test_every_command_is_one_that_the_command_line_takes(block: Block) -> None:
    kind, _, what = block.marker.partition(": ")
    assert not kind or what.split(",")[0].split(" ")[0] in ELSEWHERE[kind], block.marker
    for words in block.commands:
        parsed(typer.main.get_command(app), words)


def parsed(command: Any, words: list[str]) -> None:
    """Raises a usage error for an unknown command or option, a missing argument or a value of a wrong kind."""
    context = command.make_context("gome", list(words), resilient_parsing=False)
    if hasattr(command, "commands") and words:
        name, inner, rest = command.resolve_command(context, words)
        parsed(inner, rest)


def test_a_command_that_does_not_exist_is_found() -> None:
    for words in (["runn", "x"], ["run", "x", "--no-such"], ["run", "x", "--traces", "many"]):
        with pytest.raises(Exception, match=r"(?i)no such|valid integer|not a valid"):
            parsed(typer.main.get_command(app), words)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("page", sorted({block.page for block in blocks() if not block.marker}))
def test_the_commands_of_a_page_run_in_order(page: str, tmp_path: Path) -> None:
    task = write_task(tmp_path / "my-task")
    (task / "task.yaml").unlink()
    answers = tmp_path / "my-task-private"
    answers.mkdir()
    ids = [line.split(",")[0] for line in (task / "test.csv").read_text().splitlines()[1:]]
    (answers / "answers.csv").write_text("id,label\n" + "".join(f"{id},{n % 2}\n" for n, id in enumerate(ids)))
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(tmp_path), "VIRTUAL_ENV": ""}
    for block in blocks():
        if block.page == page and not block.marker:
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", block.text],
                cwd=tmp_path,
                env=env,
                capture_output=True,
                text=True,
                timeout=1500,
                check=False,
            )
            assert done.returncode == 0, f"{block.text}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
