"""Puts the graph as LangGraph draws it into docs/studio.md: `python -m tools.draw`."""

from __future__ import annotations

import re
from pathlib import Path

from graph.build import graph

PAGE = Path(__file__).parents[1] / "docs" / "studio.md"


def main() -> None:
    drawn = graph.get_graph(xray=True).draw_mermaid().strip()
    text = re.sub(
        r"```mermaid\n.*?\n```",
        lambda _: f"```mermaid\n{drawn}\n```",
        PAGE.read_text(),
        count=1,
        flags=re.DOTALL,
    )
    PAGE.write_text(text)


if __name__ == "__main__":
    main()
