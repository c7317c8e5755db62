"""The compiled graph as mermaid diagrams: the loop in docs/design.md, Studio's in docs/studio.md.

python -m tools.draw             # write them
python -m tools.draw --check     # exit code 1 where one is out of date
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

from graph.build import graph

DOCS = Path(__file__).parents[1] / "docs"
BEGIN, END = "<!-- graph: begin (python -m tools.draw) -->", "<!-- graph: end -->"
TRACE = "trace:"
SHORT_NAMES = {
    "__start__": "start",
    "__end__": "finish",
    "trace:__start__": "select",
    "trace:__end__": "merge",
}
"""A visit of a trace starts at `select` and ends at the `merge`."""

LABELS = {
    ("profile", "select"): "Send x traces",
    ("steer", "select"): "Send x traces",
    ("steer", "finalize"): "budget, target, converged",
    ("select", "draft"): "draft",
    ("select", "diagnose"): "along the gradient",
    ("select", "update"): "another hypothesis",
    ("select", "repair"): "repair a failed script",
    ("select", "execute"): "measure again",
    ("diagnose", "update"): "hypotheses",
    ("diagnose", "record"): "no answer",
    ("diagnose", "merge"): "nothing expected to help",
    ("draft", "record"): "no script",
    ("update", "record"): "no script",
    ("repair", "record"): "no script",
    ("validate", "repair"): "failed",
    ("validate", "review"): "its gates are in doubt, and the reasoner is a model",
    ("review", "repair"): "a finding that the code supports",
    ("record", "select"): "next step",
    ("record", "merge"): "its steps of the round done",
}
"""(source, target) -> when the edge is taken."""


def draw_for_studio() -> str:
    """Return the graph as LangGraph draws it, without the metadata of its nodes."""
    drawing = graph.get_graph(xray=True).draw_mermaid().strip()
    return re.sub(r"<hr/><small>.*?</small>", "", drawing)


def draw_loop() -> str:
    """Return the graph with short names and labels; a dashed edge is a decision."""
    drawing = graph.get_graph(xray=True)
    inner = [short_name(name) for name in drawing.nodes if is_step(name)]
    lines = ["graph TD", "  start([Start])", "  finish([End])", "  subgraph trace"]
    lines += [f"    {name}" for name in inner] + ["  end"]
    for edge in drawing.edges:
        source, target = short_name(edge.source), short_name(edge.target)
        if source == target:  # the ends of a visit
            continue
        label = LABELS.get((source, target))
        arrow = "-.->" if edge.conditional else "-->"
        if label:
            arrow = f'-. "{label}" .->' if edge.conditional else f'-- "{label}" -->'
        lines.append(f"  {source} {arrow} {target}")
    return "\n".join(lines)


def is_step(name: str) -> bool:
    """Return whether a node belongs to a trace and is drawn."""
    return name.startswith(TRACE) and name not in SHORT_NAMES


def short_name(name: str) -> str:
    """Return the node's name in the diagram."""
    return SHORT_NAMES.get(name, name.removeprefix(TRACE))


PAGES: dict[str, Callable[[], str]] = {"design.md": draw_loop, "studio.md": draw_for_studio}


def page_with_graph(name: str) -> str:
    """Return the page with its current diagram. Raises ValueError without the two markers."""
    text = (DOCS / name).read_text()
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise ValueError(f"docs/{name} needs one line {BEGIN!r} and one line {END!r}")
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    return f"{before}{BEGIN}\n```mermaid\n{PAGES[name]()}\n```\n{END}{after}"


def stale_pages() -> list[str]:
    """Return the pages whose diagram is not the graph's."""
    return [name for name in PAGES if (DOCS / name).read_text() != page_with_graph(name)]


def main() -> int:
    stale = stale_pages()
    if "--check" in sys.argv:
        print(f"run `python -m tools.draw` for {', '.join(stale)}" if stale else "up to date")
        return bool(stale)
    for name in stale:
        (DOCS / name).write_text(page_with_graph(name))
        print(f"docs/{name} written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
