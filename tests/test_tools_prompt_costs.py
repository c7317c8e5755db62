"""What a step costs: the page is what the stored numbers give, and the numbers keep the bar."""

from __future__ import annotations

import json

import pytest

from evals.harness.answers import keep_answer
from tools import prompt_costs

NUMBERS = json.loads(prompt_costs.NUMBERS.read_text())


def test_the_page_is_current() -> None:
    page = prompt_costs.PAGE
    assert page.read_text() == keep_answer(page, prompt_costs.page_text(NUMBERS))


@pytest.mark.parametrize("steps", sorted(NUMBERS["after"]))
def test_a_script_costs_less_than_before_and_brings_little_that_is_new(steps: str) -> None:
    before, after = (prompt_costs.per_script(NUMBERS[name][steps]) for name in ("before", "after"))
    n_before, n_after = (NUMBERS[name][steps]["scripts"] for name in ("before", "after"))
    assert abs(n_before - n_after) <= 0.05 * n_before, "runs of the same length"
    assert after["calls"] <= 1.3 and after["new"] <= 4_000
    assert after["prompt"] <= 0.45 * before["prompt"]
