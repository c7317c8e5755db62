"""The line of an attempt: its variants with their scores, for every reader of events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from report.formatting import (
    as_mapping,
    bounded_list,
    clean_text,
    decimal_places,
    finite_number,
)

MAX_VARIANTS = 8


class VariantView(NamedTuple):
    """One variant of a script; `problem`: why it does not count."""

    name: str
    score: float | None
    score_se: float | None
    gain: float | None
    gain_se: float | None
    is_best: bool
    problem: str


def parse_variants(event: Mapping[str, object]) -> tuple[VariantView, ...]:
    """Return the variants of an `attempt` event, every field checked."""
    best = clean_text(event.get("variant"), 40)
    found = []
    for item in map(as_mapping, bounded_list(event.get("variants"), MAX_VARIANTS)):
        problems = [as_mapping(one) for one in bounded_list(item.get("problems"), 1)]
        same_as = clean_text(item.get("same_as"), 40)
        problem = f"the same as {same_as}" if same_as else ""
        if problems:
            problem = clean_text(problems[0].get("message") or problems[0].get("code"), 300)
        name = clean_text(item.get("name"), 40)
        score, score_se = finite_number(item.get("score")), finite_number(item.get("score_se"))
        gain, gain_se = finite_number(item.get("gain")), finite_number(item.get("gain_se"))
        found.append(VariantView(name, score, score_se, gain, gain_se, name == best, problem))
    return tuple(found)


def describe_line(variants: tuple[VariantView, ...]) -> str:
    """Return `best of 3: b 0.823, a 0.812, c 0.800; d left out`; empty where there is no line."""
    valid = [one for one in variants if one.score is not None and not one.problem]
    left_out = [one.name for one in variants if one not in valid]
    if not variants:
        return ""
    valid.sort(key=lambda one: not one.is_best)
    scores = ", ".join(
        f"{one.name} {one.score or 0:.{decimal_places(one.score, one.score_se)}f}" for one in valid
    )
    more = f"{'; ' if valid else ''}{', '.join(left_out)} left out" if left_out else ""
    return f"best of {len(valid)}: {scores}{more}"
