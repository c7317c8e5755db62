"""A reasoner of adjustable skill q: with probability 1 - q a hypothesis becomes a wrong idea.

The error model is the same for every strategy, and no strategy is told of it:

- a wrong idea keeps the claims (effect, confidence, rank) of the hypothesis that it replaces;
- a share `inert` of wrong ideas changes nothing; the others are drawn uniformly from all edits that
  the expert can make to this script, so they may help by luck;
- drafts and repairs are not degraded.

`reads_hints`: a wrong idea gives way to a success that the memory recalled before the diagnosis and
that the script lacks, as a model that reads hints proposes what helped elsewhere.

`blind` hides the harness's evidence from the diagnosis, as in a tree search whose improve step sees
only code and score. Draws depend on (seed, task, trace, step, rank), so on one task the same seed
has the same luck under every strategy.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from reasoner.expert import moves
from reasoner.expert.engine import Expert, hypothesis_of_move, move_context
from reasoner.expert.facts import read_task_facts
from reasoner.expert.lines import settle_line
from reasoner.expert.moves import Move, Reason
from reasoner.expert.spec import canonical_spec, parse_spec
from reasoner.protocol import (
    DiagnoseBrief,
    Diagnosis,
    DraftBrief,
    Hypothesis,
    RepairBrief,
    Review,
    ReviewBrief,
    Solution,
    UpdateBrief,
)

INERT = "inert"
BLIND_EVIDENCE = ("cv", "error", "problems")  # evidence that a blind reasoner still sees
NO_REASON = Reason("an idea", (), 1.0, 0.4)


@dataclass
class DegradedExpert:
    """The expert at skill q in 0..1."""

    q: float
    seed: int
    inert: float = 0.5
    blind: bool = False
    reads_hints: bool = False
    name: str = "expert, degraded"

    def __post_init__(self) -> None:
        self.inner = Expert(seed=self.seed)

    async def draft(self, brief: DraftBrief) -> Solution:
        """Draft as the expert does."""
        return await self.inner.draft(brief)

    async def repair(self, brief: RepairBrief) -> Solution:
        """Repair as the expert does."""
        return await self.inner.repair(brief)

    async def review(self, brief: ReviewBrief) -> Review:
        """Review as the expert does."""
        return await self.inner.review(brief)

    async def close(self) -> None:
        """Do nothing."""

    async def diagnose(self, brief: DiagnoseBrief) -> Diagnosis:
        """Return the expert's diagnosis with a share of its hypotheses replaced."""
        diagnosis = await self.inner.diagnose(blind_brief(brief) if self.blind else brief)
        hypotheses: dict[str, Hypothesis] = {}
        step = f"{self.seed}/{brief.task.name}/{brief.stage.trace}/{brief.stage.step}"
        for rank, item in enumerate(diagnosis.hypotheses):
            luck = random.Random(f"{step}/{rank}")
            is_right = luck.random() < self.q
            new = item if is_right else self._wrong_idea(item, brief, luck, set(hypotheses))
            hypotheses.setdefault(new.id, new)
        return diagnosis.model_copy(update={"hypotheses": list(hypotheses.values())})

    def _wrong_idea(
        self, item: Hypothesis, brief: DiagnoseBrief, luck: random.Random, taken: set[str]
    ) -> Hypothesis:
        claims: dict[str, Any] = {"effect": item.effect, "confidence": item.confidence}
        claims |= {"protocol": False, "drops_columns": []}
        ideas = possible_moves(brief)
        recalled = [move for move in recalled_moves(brief, ideas) if move.name not in taken]
        if self.reads_hints and recalled:
            return hypothesis_of_move(recalled[0], NO_REASON).model_copy(update=claims)
        if luck.random() < self.inert:
            name = f"{INERT}:{luck.randrange(10**6)}"
            idea = {
                "id": name,
                "move": name,
                "statement": f"tidy the script ({name})",
                "component": "workflow",
            }
            return item.model_copy(update=claims | idea)
        if not ideas:
            return item
        return hypothesis_of_move(luck.choice(ideas), NO_REASON).model_copy(update=claims)

    async def update(self, brief: UpdateBrief) -> Solution:
        """Update as the expert does; an inert idea leaves the script as it is."""
        answer = await self.inner.update(brief)
        if answer.hypothesis is not None and (answer.hypothesis.move or "").startswith(INERT):
            return answer.model_copy(update={"script": brief.script})
        return answer


def possible_moves(brief: DiagnoseBrief) -> list[Move]:
    """Return every edit that would change this script, for whatever reason."""
    spec, facts = parse_spec(brief.script), read_task_facts(brief)
    if spec is None:
        return []
    spec = settle_line(spec, brief.evidence)
    context = move_context(brief, spec, facts, brief.evidence)
    current = canonical_spec(spec, facts)
    return [
        move
        for move in [*moves.FIXED_MOVES, *moves.column_moves(context)]
        if canonical_spec(move.apply(spec), facts) != current
    ]


def recalled_moves(brief: DiagnoseBrief, ideas: list[Move]) -> list[Move]:
    """Return those of the ideas that the memory recalls as successes, strongest first."""
    by_name = {idea.name: idea for idea in ideas}
    helped = [hint.move for hint in brief.hints if hint.kind == "accepted" and hint.weight > 0]
    return [by_name[name] for name in helped if name in by_name]


def blind_brief(brief: DiagnoseBrief) -> DiagnoseBrief:
    """Return the brief with code and score only: no other evidence, no suspected columns."""
    evidence = {key: value for key, value in brief.evidence.items() if key in BLIND_EVIDENCE}
    profile = {**brief.profile, "leaks": [], "notes": []}
    return brief.model_copy(update={"evidence": evidence, "profile": profile, "last": None})
