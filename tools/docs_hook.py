"""Hooks of mkdocs: complete the navigation, drop links out of docs/, fold diagrams."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

MERMAID = re.compile(r"^```mermaid\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((?!https?:|mailto:|#)([^)\s#]+)(#[^)\s]*)?\)")
SECTIONS = {"decisions": "Decisions", "prompts": "Prompts as sent"}


def on_config(config: Any) -> Any:
    """Add pages that the nav does not name: decisions and prompts to their sections.

    Others go to "How it works".
    """
    named = set(nav_pages(config["nav"]))
    root = Path(config["docs_dir"])
    for path in sorted(root.rglob("*.md")):
        name = path.relative_to(root).as_posix()
        if name not in named:
            folder = name.partition("/")[0] if "/" in name else ""
            find_section(config["nav"], SECTIONS.get(folder, "How it works")).append(name)
    return config


def nav_pages(nav: Any) -> list[str]:
    """Return the pages that a nav names, at any depth."""
    if isinstance(nav, str):
        return [nav]
    inner = nav.values() if isinstance(nav, dict) else nav
    return [name for item in inner for name in nav_pages(item)]


def find_section(nav: list[Any], title: str) -> list[Any]:
    """Return the list of a section at any depth; append an empty one where there is none."""
    section = search_section(nav, title)
    if section is None:
        section = []
        nav.append({title: section})
    return section


def search_section(nav: list[Any], title: str) -> list[Any] | None:
    """Return the list of a section, or None."""
    for item in nav:
        for key, value in item.items() if isinstance(item, dict) else ():
            if isinstance(value, list):
                section = value if key == title else search_section(value, title)
                if section is not None:
                    return section
    return None


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Replace links out of docs/ by their text, and fold diagrams."""
    folder = posixpath.dirname(page.file.src_uri)

    def keep_or_unlink(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(folder, match[2]))
        return match[1] if target.startswith("..") else match[0]

    return LINK.sub(keep_or_unlink, MERMAID.sub(fold_diagram, markdown))


def fold_diagram(match: re.Match[str]) -> str:
    """Return a diagram's source as a folded note: drawing it would need a script from outside."""
    lines = ["```text", *match[1].splitlines(), "```"]
    return "\n".join(['??? note "As mermaid"', "", *(f"    {line}" for line in lines)])
