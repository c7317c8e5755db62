"""Names of columns that libraries refuse, and the plain ones that a script uses instead."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from reasoner.expert.spec import ScriptSpec, TaskFacts

REFUSED = re.compile(r'[\[\]{}":,\x00-\x1f\x7f]')
"""Characters that a boosting library refuses in a name, or that cannot be printed."""
SUFFIXES = (
    *("_days", "_year", "_month", "_dayofyear", "_weekday", "_hour", "_missing", "_share"),
    *("_chars", "_words", "_vs_group", "_rank_in_group", "_vs_least"),
)
"""Endings of the columns that scripts make."""


COLUMN_FIELDS = (
    *("categorical", "dates", "text", "ignored", "top_numeric", "numeric"),
    *("empty", "offsets", "few_words"),
)
"""Fields of the facts that contain names of columns."""


def plain_names(names: list[str]) -> tuple[tuple[str, str], ...]:
    """Return (name, plain name) of the columns whose names would end a script."""
    taken = set(names)
    cleaned: set[str] = set()
    odd = []
    for name in names:
        clean = re.sub(r"\s", "_", name)
        made = any(name.endswith(end) and name.removesuffix(end) in taken for end in SUFFIXES)
        if made or not name.strip() or clean in cleaned or REFUSED.search(name):
            odd.append(name)
        cleaned.add(clean)
    return tuple(zip(odd, _free_names(len(odd), taken), strict=True))


def _free_names(n: int, taken: set[str]) -> list[str]:
    """Names `column1`, `column2` … that no column has."""
    names: list[str] = []
    number = 0
    while len(names) < n:
        number += 1
        if f"column{number}" not in taken:
            names.append(f"column{number}")
    return names


def facts_with_plain_names(facts: TaskFacts) -> TaskFacts:
    """The facts with the names that the script uses."""
    plain = dict(facts.plain_names)
    changes: dict[str, Any] = {
        field: tuple(plain.get(name, name) for name in getattr(facts, field))
        for field in COLUMN_FIELDS
    }
    for field in ("group", "time"):
        name = getattr(facts, field)
        changes[field] = plain.get(name, name)
    return replace(facts, **changes)


def spec_with_plain_names(spec: ScriptSpec, facts: TaskFacts) -> ScriptSpec:
    """The spec with the names that the script uses."""
    plain = dict(facts.plain_names)
    return spec.with_changes(
        drop=tuple(plain.get(name, name) for name in spec.drop),
        category_diff=tuple(plain.get(name, name) for name in spec.category_diff),
    )
