"""Hints to a run in progress: bounded, cleaned, addressed."""

from __future__ import annotations

from pathlib import Path

import pytest

from run.hints import HintError, add_hint, hints_for


def test_hints_are_bounded_cleaned_and_addressed(tmp_path: Path) -> None:
    add_hint(tmp_path, "  try\x1b[31m logs\n now ")
    add_hint(tmp_path, "only for one", trace=1)
    kept = (tmp_path / "hints.jsonl").read_text()
    (tmp_path / "hints.jsonl").write_text(kept + '{"text": "cut by a ki')
    add_hint(tmp_path, "after the cut")
    assert hints_for(tmp_path, 0) == ["try [31m logs now", "after the cut"]
    assert hints_for(tmp_path, 1) == ["try [31m logs now", "only for one", "after the cut"]
    for index in range(20):
        add_hint(tmp_path, f"hint {index}")
    assert len(hints_for(tmp_path, 0)) == 8
    with pytest.raises(HintError, match="1000 are read"):
        add_hint(tmp_path, "x" * 1001)
