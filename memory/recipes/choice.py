"""What a recipe that fits weighs, and which of them a prompt gets. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from memory.recipes.evidence import Evidence
from memory.recipes.spec import Conditions, Recipe
from memory.recipes.traits import SIGNS

HELPFUL = 1.6
"""Weight of a recipe that was measured as helpful; one measured as harmful has none."""
NEUTRAL_SE, NEUTRAL_SHARE = 2.5, 0.2
"""A neutral one weighs 1 and a fifth of its mean gain in SE more or less, within 2.5 SE."""
BASE, SPECIFIC, MOST_SPECIFIC = 0.3, 0.15, 6
"""A condition that is met says as much as a likeness of words: the query's words are few."""
N_PER_COMPONENT = 2
STRONG = 0.6
"""Share of the best weight from which a recipe may take its turn."""
DRAFT_COMPONENTS = ("model", "features", "workflow", "data")
"""What a first script is made of, in this order; no ensemble."""


class Weighed(NamedTuple):
    """A recipe that fits, with its weight."""

    recipe: Recipe
    evidence: Evidence | None
    weight: float


@dataclass(frozen=True)
class Known:
    """What the run holds of ideas already: the expert's moves and statements in words."""

    held_moves: frozenset[str] = frozenset()
    held: tuple[str, ...] = ()
    failed_moves: frozenset[str] = frozenset()
    failed: tuple[str, ...] = ()


def recipe_weight(recipe: Recipe, evidence: Evidence | None, similarity: float) -> float:
    """Return the weight of a recipe that fits: its words, how specific it is, what was measured."""
    specific = min(MOST_SPECIFIC, count_conditions(recipe.when))
    return (BASE + max(0.0, similarity)) * (1 + SPECIFIC * specific) * evidence_weight(evidence)


def evidence_weight(evidence: Evidence | None) -> float:
    """Return the factor of what was measured; 1 for an untested recipe."""
    if evidence is None or evidence.verdict == "untested":
        return 1.0
    if evidence.verdict == "neutral":
        return 1 + NEUTRAL_SHARE * max(-NEUTRAL_SE, min(NEUTRAL_SE, evidence.mean))
    return HELPFUL if evidence.verdict == "helpful" else 0.0


def count_conditions(when: Conditions) -> int:
    """Return how much a recipe asks for; signs of a script count twice."""
    signs = sum(word in SIGNS for word in when.data)
    bounds = sum(bound.min is not None for bound in (when.rows, when.columns, when.classes))
    is_apart = bool(when.modality) and "table" not in when.modality
    asked = len(when.data) + signs + 2 * bool(when.metric) + 2 * is_apart
    return asked + len(when.without) // 2 + bounds


def choose_for_draft(found: Sequence[Weighed], turn: int, k: int) -> list[Weighed]:
    """Return up to k recipes for a first script, the best of each component, the model first.

    What lost on other tasks is not for a start, nor an untested change of the rows.

    `turn` counts the drafts of the run: each takes the next ones in its components' order, so that
    traces differ.
    """
    by_component: dict[str, list[Weighed]] = {}
    for item in found:
        gain = item.evidence.mean if item.evidence else 0.0
        if gain < 0 or (item.recipe.component == "data" and gain <= 0):
            continue
        by_component.setdefault(item.recipe.component, []).append(item)
    chosen = []
    for items in (by_component.get(name, []) for name in DRAFT_COMPONENTS):
        strong = [item for item in items if item.weight >= items[0].weight * STRONG]
        chosen += [strong[turn % len(strong)]] if strong else []
    return chosen[:k]


def choose_for_diagnosis(found: Sequence[Weighed], k: int) -> list[Weighed]:
    """Return up to k recipes, best first, at most N_PER_COMPONENT of one component."""
    counts: dict[str, int] = {}
    chosen: list[Weighed] = []
    for item in found:
        component = item.recipe.component
        counts[component] = counts.get(component, 0) + 1
        if counts[component] <= N_PER_COMPONENT and len(chosen) < k:
            chosen.append(item)
    return chosen
