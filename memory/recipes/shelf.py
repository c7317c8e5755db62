"""Which recipes fit a question: nearest by text, filtered by their conditions, then weighed.

Recipes are records of the kind `recipe` in the memory's own exact index, compared by the memory's
embedding. A library holds some hundred, for which Chroma would find the same and cost a process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from memory.backend import Warn, ignore_warning
from memory.embed import Embedding, EmbeddingError
from memory.index import ScanIndex
from memory.protocol import Record
from memory.recall import hypothesis_kernel
from memory.recipes.choice import Known, Weighed, count_conditions, recipe_weight
from memory.recipes.evidence import Evidence, read_evidence
from memory.recipes.facts import ConditionFacts, unmet_condition
from memory.recipes.spec import Recipe
from memory.recipes.traits import SIGNS
from memory.records import indexed_text
from reasoner.protocol import MoveRecord

TRIED_LEFT = 0.2
"""What is left of the weight of a recipe that was tried here and did not help."""
NEAR_SHARE = 0.8
"""Of the embedding's floor: a recipe that is nearer is about a diagnosis."""
ALIKE = 0.5
"""Nearness of words (memory.recall) from which a claim is about the recipe."""


@dataclass
class RecipeShelf:
    """The recipes of a run, indexed at the first question."""

    recipes: Sequence[Recipe]
    embedding: Embedding
    warn: Warn = ignore_warning
    _index: ScanIndex | None = field(default=None, repr=False)
    _evidence: dict[str, Evidence | None] = field(default_factory=dict, repr=False)

    def find(
        self, text: str, facts: ConditionFacts, known: Known | None = None, *, near: bool = False
    ) -> list[Weighed]:
        """Return all recipes whose conditions hold, best first; none where no text is compared.

        What the run holds already is left out; what failed in it loses its weight. `near`: only
        those that are about the text, or about a sign of the script.
        """
        if not self.recipes or not text:
            return []
        floor = NEAR_SHARE * self.embedding.floor if near else -1.0
        try:
            return self._find(text, facts, known or Known(), floor)
        except EmbeddingError as error:
            self.warn(f"recipes: {error}; this step goes without them")
            return []

    def move_records(self, facts: ConditionFacts) -> list[MoveRecord]:
        """Return what was measured of moves by recipes whose conditions hold, the closest of each.

        Not of recipes for what a script shows: they were measured without asking for it.
        """
        closest: dict[str, Recipe] = {}
        for recipe in self.recipes:
            if not recipe.move or SIGNS & set(recipe.when.data):
                continue
            evidence = self._evidence_of(recipe)
            if evidence is None or not evidence.tasks or unmet_condition(recipe.when, facts):
                continue
            other = closest.get(recipe.move)
            if other is None or _closeness(recipe) > _closeness(other):
                closest[recipe.move] = recipe
        found = [(move, self._evidence_of(recipe)) for move, recipe in closest.items()]
        return [_move_record(move, evidence) for move, evidence in found if evidence]

    def _evidence_of(self, recipe: Recipe) -> Evidence | None:
        if recipe.id not in self._evidence:
            self._evidence[recipe.id] = read_evidence(recipe)
        return self._evidence[recipe.id]

    def _find(self, text: str, facts: ConditionFacts, known: Known, floor: float) -> list[Weighed]:
        by_id = {recipe.id: recipe for recipe in self.recipes}
        index = self._filled_index()
        (vector,) = self.embedding.embed([text])
        near = [
            (by_id[neighbor.record.id], neighbor.similarity)
            for neighbor in index.query(vector, len(by_id))
        ]
        fitting = [
            item
            for item in near
            if (item[1] >= floor or SIGNS & set(item[0].when.data))
            and not unmet_condition(item[0].when, facts)
        ]
        held = self._nearness([recipe for recipe, _ in fitting], known.held)
        failed = self._nearness([recipe for recipe, _ in fitting], known.failed)
        found = []
        for (recipe, similarity), is_held, is_failed in zip(fitting, held, failed, strict=True):
            if recipe.move in known.held_moves or is_held:
                continue
            evidence = self._evidence_of(recipe)
            weight = recipe_weight(recipe, evidence, similarity)
            if recipe.move in known.failed_moves or is_failed:
                weight *= TRIED_LEFT
            if weight > 0:
                found.append(Weighed(recipe, evidence, weight))
        return sorted(found, key=lambda item: (-item.weight, item.recipe.id))

    def _filled_index(self) -> ScanIndex:
        if self._index is None:
            index = ScanIndex(self.embedding.width)
            records = [recipe_record(recipe) for recipe in self.recipes]
            index.upsert(records, self.embedding.embed([indexed_text(each) for each in records]))
            self._index = index
        return self._index

    def _nearness(self, recipes: Sequence[Recipe], texts: Sequence[str]) -> list[bool]:
        """Whether each recipe is about the same as one of the texts."""
        if not recipes or not texts:
            return [False] * len(recipes)
        own = self.embedding.embed([f"{recipe.title}. {recipe.what}" for recipe in recipes])
        titles = self.embedding.embed([recipe.title for recipe in recipes])
        others = self.embedding.embed(list(texts))
        cosine = np.maximum(own @ others.T, titles @ others.T).astype(np.float64)
        kernel = hypothesis_kernel(cosine, self.embedding.floor)
        return [bool(row.max() >= ALIKE) for row in kernel]


def _closeness(recipe: Recipe) -> tuple[int, int]:
    return count_conditions(recipe.when), len(recipe.when.model_fields_set)


def _move_record(move: str, evidence: Evidence) -> MoveRecord:
    return MoveRecord(
        move=move,
        n_tasks=len(evidence.tasks),
        n_helped=evidence.n_helped,
        verdict=evidence.verdict,
    )


def recipe_record(recipe: Recipe) -> Record:
    """Return the recipe as a record of the memory, of the kind `recipe`."""
    return Record(
        id=recipe.id,
        kind="recipe",
        challenge="; ".join(recipe.causes),
        hypothesis=f"{recipe.title}. {recipe.what}",
        component=recipe.component,
        move=recipe.move,
        context=recipe.when.describe(),
        task_hash="",
        gain=0.0,
        gain_se=0.0,
    )
