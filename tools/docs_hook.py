"""What mkdocs asks while it builds: pages that the nav does not name are added to it, links out of docs/ become words, diagrams fold."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

MERMAID = re.compile(r"^```mermaid\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((?!https?:|mailto:|#)([^)\s#]+)(#[^)\s]*)?\)")
SECTIONS = {"decisions": "Decisions", "prompts": "Prompts as sent"}


def on_config(config: Any) -> Any:
    """Every page has its place: decisions and prompts in their sections, others under How it works."""
    named = set(pages_of(config["nav"]))
    root = Path(config["docs_dir"])
    for path in sorted(root.rglob("*.md")):
        name = path.relative_to(root).as_posix()
        if name not in named:
            section(
                config["nav"],
                SECTIONS.get(name.partition("/")[0], "How it works")
                if "/" in name
                else "How it works",
            ).append(name)
    return config


def pages_of(nav: Any) -> list[str]:
    if isinstance(nav, str):
        return [nav]
    inner = nav.values() if isinstance(nav, dict) else nav
    return [name for item in inner for name in pages_of(item)]


def section(nav: list[Any], title: str) -> list[Any]:
    """The list of a section, wherever it stands; a new one at the end where there is none."""
    for item in nav:
        for key, value in item.items() if isinstance(item, dict) else ():
            if isinstance(value, list):
                if key == title:
                    return value
                if any(isinstance(inner, dict) and title in inner for inner in value):
                    return section(value, title)
    nav.append({title: []})
    found: list[Any] = nav[-1][title]
    return found


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    here = posixpath.dirname(page.file.src_uri)

    def shown(match: re.Match[str]) -> str:
        outside = posixpath.normpath(posixpath.join(here, match[2])).startswith("..")
        return match[1] if outside else match[0]

    return LINK.sub(shown, MERMAID.sub(folded, markdown))


def folded(match: re.Match[str]) -> str:
    """The source of a diagram, folded away: drawing it in a page would need a script from outside."""
    lines = ["```text", *match[1].splitlines(), "```"]
    return "\n".join(['??? note "As mermaid"', "", *(f"    {line}" for line in lines)])
