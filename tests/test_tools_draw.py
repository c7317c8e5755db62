"""The diagrams in the docs are the compiled graph's."""

from __future__ import annotations

from pathlib import Path

import pytest

from graph.build import graph
from tools import draw


def test_the_diagrams_in_the_docs_are_current() -> None:
    assert draw.stale_pages() == [], "run `python -m tools.draw` and commit docs/"


def test_every_label_names_an_edge_and_every_node_is_drawn() -> None:
    drawing = graph.get_graph(xray=True)
    edges = {(draw.short_name(e.source), draw.short_name(e.target)) for e in drawing.edges}
    assert set(draw.LABELS) <= edges
    loop = draw.draw_loop()
    assert all(f" {draw.short_name(name)}" in loop for name in drawing.nodes)
    n_arrows = loop.count("-->") + loop.count(".->")
    assert n_arrows == len([edge for edge in edges if edge[0] != edge[1]])


def test_a_stale_page_is_found_and_rewritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in draw.PAGES:
        (tmp_path / name).write_text(f"before\n{draw.BEGIN}\nold\n{draw.END}\nafter\n")
    monkeypatch.setattr(draw, "DOCS", tmp_path)
    monkeypatch.setattr("sys.argv", ["draw", "--check"])
    assert draw.main() == 1
    monkeypatch.setattr("sys.argv", ["draw"])
    assert draw.main() == 0 and draw.stale_pages() == []
    page = (tmp_path / "design.md").read_text()
    assert page.startswith("before\n") and page.endswith("\nafter\n") and "old" not in page


def test_a_page_without_markers_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "design.md").write_text("no diagram\n")
    monkeypatch.setattr(draw, "DOCS", tmp_path)
    with pytest.raises(ValueError, match="design.md needs one line"):
        draw.page_with_graph("design.md")
