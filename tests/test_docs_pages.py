"""The documentation is true: generated pages are current, commands parse, and they run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from kit import write_task

from cli.app import app
from cli.config import KNOWN, parse_value
from graph.settings import Settings
from task.load.examples import EXAMPLES
from tools import reference
from tools.doc_blocks import FENCE, ROOT, Block, list_pages, read_blocks, runnable_blocks

SPAN = re.compile(r"`((?:gome|make) [a-z][^`\n]*)`")
ELSEWHERE = {
    "needs": (
        "endpoint",
        "e2b",
        "cluster",
        "server",
        "gpu",
        "hours",
        "names",
        "network",
    ),  # names: what it speaks of is the reader's own
    "run": ("make",),  # `make` targets are what CI itself runs
}
PROGRAMS = (
    "gome",
    "make",
    "uv",
    "pip",
    "python",
    "kubectl",
    "ray",
    "chroma",
    "export",
    "apt",
    "git",
)


def test_the_generated_pages_are_current() -> None:
    stale = [path.name for path, page in reference.PAGES.items() if path.read_text() != page()]
    assert not stale, "run `make reference`"


def test_no_command_hides_in_a_block_without_a_language() -> None:
    """No test reads a block without a language, so it must not contain commands."""
    lines = [
        (block.page, line)
        for block in read_blocks()
        if not block.language
        for line in block.text.splitlines()
    ]
    assert [(page, line) for page, line in lines if line.split(" ")[0] in PROGRAMS] == []


@pytest.mark.parametrize(
    "block",
    [block for block in read_blocks() if block.language == "bash"],
    ids=lambda block: block.page,
)
def test_the_command_line_accepts_every_command(block: Block) -> None:
    kind, _, what = block.marker.partition(": ")
    assert not kind or what.split(",")[0].split(" ")[0] in ELSEWHERE[kind], block.marker
    for words in block.commands:
        assert words[:1] != ["example"] or not words[1:] or words[1] in EXAMPLES
        parsed(typer.main.get_command(app), words)


@pytest.mark.parametrize(
    "block",
    [block for block in read_blocks() if block.language == "python"],
    ids=lambda block: block.page,
)
def test_python_on_a_page_is_python(block: Block) -> None:
    compile(block.text, block.page, "exec")


def spans() -> list[tuple[str, str]]:
    """Commands in running text: (page, command)."""
    found = [
        (str(page.relative_to(ROOT)), span)
        for page in list_pages()
        for span in SPAN.findall(FENCE.sub("", page.read_text()))
    ]
    return sorted(set(found))


@pytest.mark.parametrize(("page", "span"), spans())
def test_a_command_in_running_text_has_a_name_and_options_that_exist(page: str, span: str) -> None:
    program, *words = re.sub(r"[\[\]…]", " ", span).split()
    if program == "make":
        assert re.search(
            rf"^{re.escape(words[0].rstrip(',.'))}:", (ROOT / "Makefile").read_text(), re.MULTILINE
        ), page
        return
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands") and words:
        command = command.commands[words.pop(0)]
    known = {
        name
        for parameter in command.params
        for name in (*parameter.opts, *parameter.secondary_opts)
    } | {"--help"}
    assert {word.partition("=")[0] for word in words if word.startswith("-")} <= known, page


def parsed(command: Any, words: list[str]) -> None:
    """Raise a usage error for an unknown command or option, a missing or a wrong value."""
    context = command.make_context("gome", list(words), resilient_parsing=False)
    if hasattr(command, "commands") and words:
        name, inner, rest = command.resolve_command(context, words)
        parsed(inner, rest)
    if command.name == "run":
        given = {name: value for name, value in context.params.items() if name in KNOWN and value}
        texts = {name: parse_value(name, value, name) for name, value in given.items()}
        Settings.model_validate(texts)


def test_a_command_that_does_not_exist_is_found() -> None:
    for words in (["runn", "x"], ["run", "x", "--no-such"], ["run", "x", "--traces", "many"]):
        with pytest.raises(Exception, match=r"(?i)no such|valid integer|not a valid"):
            parsed(typer.main.get_command(app), words)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("page", sorted({block.page for block in runnable_blocks()}))
def test_the_commands_of_a_page_run_in_order(page: str, tmp_path: Path) -> None:
    task = write_task(tmp_path / "my-task")
    (task / "task.yaml").unlink()
    answers = tmp_path / "my-task-private"
    answers.mkdir()
    ids = [line.split(",")[0] for line in (task / "test.csv").read_text().splitlines()[1:]]
    (answers / "answers.csv").write_text(
        "id,label\n" + "".join(f"{id},{n % 2}\n" for n, id in enumerate(ids))
    )
    env = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "VIRTUAL_ENV": "",
    }
    for block in runnable_blocks(page):
        program = (
            ["bash", "-euo", "pipefail", "-c"] if block.language == "bash" else ["python", "-c"]
        )
        done = subprocess.run(
            [*program, block.text],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            timeout=1500,
            check=False,
        )
        assert done.returncode == 0, f"{block.text}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
