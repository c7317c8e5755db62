"""What the product's own messages tell a user to type exists: commands, options, settings."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from cli.app import app
from graph.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
NO_PRODUCT = ("tests", "evals", "tools", "examples")
COMMAND = re.compile(r"`((?:gome|make) [a-z][^`\n]*)`")
OPTION = re.compile(r"(?<![\w`-])--[a-z][a-z-]+")
SETTING = re.compile(r"--set (\w+)=")
VARIABLE = re.compile(r"\bGOME_[A-Z_]+\b")
# of our own children, of nvidia-smi, and of LangGraph's server
OF_OTHERS = {"--help", "--url", "--query-gpu", "--host", "--no-browser", "--no-reload"}
OF_OTHERS |= {"--allow-blocking", "--n-jobs-per-worker"}
# variables that are no settings: places of this machine, and what a script is given
VARIABLES = {"GOME_HOME", "GOME_LEASES", "GOME_JOB", "GOME_SEED", "GOME_VARIANT"}


def join_text(node: ast.AST) -> str:
    """Return the text of a string or f-string; a value in it reads NAME."""
    if isinstance(node, ast.JoinedStr):
        return "".join(map(join_text, node.values))
    if isinstance(node, ast.FormattedValue):
        return "NAME"
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return join_text(node.left) + join_text(node.right)
    return ""


def product_texts() -> Iterator[tuple[str, str]]:
    """Yield (file, text) for every string of the product."""
    for folder, folders, files in os.walk(ROOT):
        inside = Path(folder).relative_to(ROOT)
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".") and (inside.parts or name not in NO_PRODUCT)
        ]
        for name in files:
            if name.endswith(".py"):
                path = Path(folder, name)
                tree = ast.parse(path.read_text())
                yield from (
                    (str(path.relative_to(ROOT)), text)
                    for text in map(join_text, ast.walk(tree))
                    if text
                )


TEXTS = sorted(set(product_texts()))


def option_names(command: Any) -> set[str]:
    """Return the options of a command and of those below it."""
    own = {name for p in command.params for name in (*p.opts, *p.secondary_opts)}
    inner = getattr(command, "commands", {}).values()
    return own.union(*map(option_names, inner))


def found(pattern: re.Pattern[str]) -> list[tuple[str, str]]:
    """Return (file, match) of all the texts, each once."""
    return sorted({(path, match) for path, text in TEXTS for match in pattern.findall(text)})


@pytest.mark.parametrize(("path", "span"), found(COMMAND))
def test_a_command_in_a_message_exists_with_its_options(path: str, span: str) -> None:
    program, *words = re.sub(r"[\[\]…]", " ", span).split()
    if program == "make":
        makefile = (ROOT / "Makefile").read_text()
        assert re.search(rf"^{re.escape(words[0])}:", makefile, re.MULTILINE), path
        return
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        command = command.commands[words.pop(0).partition("|")[0]]
    options = {word.partition("=")[0] for word in words if word.startswith("-")}
    assert options <= option_names(command) | {"--help"}, path


def test_options_settings_and_variables_in_messages_exist() -> None:
    assert len(TEXTS) > 1000
    options = option_names(typer.main.get_command(app))
    messages = [(path, name) for path, name in found(OPTION) if path.startswith(TOLD_BY)]
    assert [(path, name) for path, name in messages if name not in options | OF_OTHERS] == []
    settings = {*Settings.model_fields, "NAME"}
    assert [(path, name) for path, name in found(SETTING) if name not in settings] == []
    known = VARIABLES | {f"GOME_{name.upper()}" for name in settings}
    assert [(path, name) for path, name in found(VARIABLE) if name not in known] == []


# packages whose strings with -- are messages; elsewhere they are words for other programs
TOLD_BY = ("cli/", "session/", "memory/manage", "task/load/", "run/", "reasoner/settings")
