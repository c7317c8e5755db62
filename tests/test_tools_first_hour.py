"""The scripted first hour sees what a newcomer sees, and notices what goes wrong."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tools.first_hour import capture, list_steps, spend_first_hour, write_capture


def test_the_commands_of_both_pages_are_run_in_their_order() -> None:
    shown = [text.split("  #")[0].strip() for _, text in list_steps(False)]
    for first, second in (
        ("gome init my-task", "gome run my-task"),
        ("gome run my-task", "gome example"),
        ("gome example", "gome init wine --hold-out 0.2"),
    ):
        assert shown.index(first) < shown.index(second)
    assert not any("--model" in text or text.startswith("make") for text in shown)


def test_a_capture_is_what_stands_in_a_terminal_of_80_columns(tmp_path: Path) -> None:
    code = (
        "import os, sys; print(os.get_terminal_size().columns, sys.stdout.isatty());"
        "print('half\\rwhole'); sys.exit(3)"
    )
    found = capture(["python", "-c", code], tmp_path, dict(os.environ), "gome x  # a comment")
    assert (found.code, found.output) == (3, "80 True\nwhole")
    line = write_capture(tmp_path, 7, found)
    assert line.split()[0] == "3" and "longest line    7" in line
    text = (tmp_path / "07-gome-x-a-comment.txt").read_text()
    assert text.startswith("$ gome x  # a comment\n80 True\n")


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_newcomer_gets_through_the_first_hour(tmp_path: Path) -> None:
    assert spend_first_hour(tmp_path / "hour", list_steps(False), False, {"GOME_STEPS": "1"}) == 0
    captures = sorted((tmp_path / "hour" / "captures").glob("*.txt"))
    assert len(captures) > 30
