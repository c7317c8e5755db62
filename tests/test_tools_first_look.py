"""What the quick start shows of `gome init` is what it prints."""

from __future__ import annotations

import pytest

from tools import first_look


@pytest.mark.slow
def test_the_first_look_in_the_quick_start_is_current() -> None:
    page = first_look.write_first_look(first_look.show_first_look())
    assert page == first_look.PAGE.read_text(), "run `python -m tools.first_look`"
