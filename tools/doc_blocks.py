"""The fenced blocks of the documentation: commands and Python that a reader runs.

A comment before a block says where it does not run: `<!-- needs: endpoint -->` asks for what a
reader may not have, `<!-- run: make -->` marks the targets of the Makefile.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
FENCE = re.compile(
    r"(?:<!-- (needs|run): ([^>]*?) -->\n)?^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL
)


class Block(NamedTuple):
    """A fenced block of a page."""

    page: str
    marker: str
    language: str
    text: str

    @property
    def commands(self) -> list[list[str]]:
        """Return its `gome …` commands as words; variables are replaced by a number."""
        if self.language != "bash":
            return []
        text = re.sub(
            r"\$\{?\w+\}?", "1", re.sub(r"\s>\s*\S+", " ", self.text.replace("\\\n", " "))
        )
        lines = [line for part in text.splitlines() for line in re.split(r"&&?|\|(?!\|)|;", part)]
        words = [shlex.split(line, comments=True) for line in lines]
        return [
            line[n + 1 :]
            for line in words
            for n, word in enumerate(line)
            if word == "gome" and begins(line[:n])
        ]

    @property
    def lines(self) -> list[str]:
        """Return what a reader types, one command each; Python is one."""
        if self.language == "python":
            return [self.text]
        joined = self.text.replace("\\\n", " ").splitlines()
        return [line for line in joined if shlex.split(line, comments=True)]


def begins(before: list[str]) -> bool:
    """Whether a command follows these words: none, variable settings, or a wrapping program."""
    return not before or before[-1] in ("do", "--") or all("=" in word for word in before)


def list_pages() -> list[Path]:
    """Return the README and every page of docs/."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def read_blocks() -> list[Block]:
    """Return every fenced block but those of the prompts, whatever its language."""
    found = [
        (page, match)
        for page in list_pages()
        if "prompts" not in page.parts
        for match in FENCE.finditer(page.read_text())
    ]
    return [
        Block(str(page.relative_to(ROOT)), f"{m[1]}: {m[2]}" if m[1] else "", m[3], m[4])
        for page, m in found
    ]


def runnable_blocks(page: str = "") -> list[Block]:
    """Return the blocks, of one page or of all, that run on any machine."""
    return [
        block
        for block in read_blocks()
        if block.language in ("bash", "python") and not block.marker and page in ("", block.page)
    ]
