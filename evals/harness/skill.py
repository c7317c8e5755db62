"""The dial of a reasoner's skill: every hypothesis of a diagnosis is, with probability 1 - q, replaced by a wrong idea.

The error model, the same for every strategy and told to none:
- a wrong idea keeps the claims (effect, confidence, place in the ranking) of the hypothesis that it replaces;
- a share `inert` of wrong ideas changes nothing at all; the others are edits drawn uniformly from all that the expert can write here,
  so they may by luck help;
- drafts and repairs are not degraded.
`blind` hides the harness's evidence from the diagnosis (as a tree search does whose improve step sees the code and the score only).
Draws depend on (seed, task, trace, step, place in the ranking), so on one task the same seed meets the same luck under every strategy.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from reasoner.expert import moves
from reasoner.expert.engine import Expert, hypothesis, look_of
from reasoner.expert.facts import facts_of
from reasoner.expert.moves import Move, Reason
from reasoner.expert.spec import canonical, parse
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
SHOWN_BLIND = ("cv", "error", "problems")  # evidence that a blind reasoner still sees
NO_REASON = Reason("an idea", (), 1.0, 0.4)


@dataclass
class Degraded:
    """The expert at skill q in 0..1."""

    q: float
    seed: int
    inert: float = 0.5
    blind: bool = False
    name: str = "expert, degraded"

    def __post_init__(self) -> None:
        self.inner = Expert(seed=self.seed)

    async def draft(self, brief: DraftBrief) -> Solution:
        return await self.inner.draft(brief)

    async def repair(self, brief: RepairBrief) -> Solution:
        return await self.inner.repair(brief)

    async def review(self, brief: ReviewBrief) -> Review:
        return await self.inner.review(brief)

    async def close(self) -> None:
        return None

    async def diagnose(self, brief: DiagnoseBrief) -> Diagnosis:
        found = await self.inner.diagnose(blinded(brief) if self.blind else brief)
        seen: set[str] = set()
        kept = []
        for place, item in enumerate(found.hypotheses):
            luck = random.Random(
                f"{self.seed}/{brief.task.name}/{brief.stage.trace}/{brief.stage.step}/{place}"
            )
            new = item if luck.random() < self.q else self._wrong(item, brief, luck)
            if new.id not in seen:
                seen.add(new.id)
                kept.append(new)
        return found.model_copy(update={"hypotheses": kept})

    def _wrong(self, item: Hypothesis, brief: DiagnoseBrief, luck: random.Random) -> Hypothesis:
        claims = {"effect": item.effect, "confidence": item.confidence, "protocol": False}
        if luck.random() < self.inert:
            name = f"{INERT}:{luck.randrange(10**6)}"
            return item.model_copy(
                update=claims
                | {
                    "id": name,
                    "move": name,
                    "statement": f"tidy the script ({name})",
                    "component": "workflow",
                }
            )
        ideas = possible(brief)
        if not ideas:
            return item
        return hypothesis(luck.choice(ideas), NO_REASON).model_copy(update=claims)

    async def update(self, brief: UpdateBrief) -> Solution:
        answer = await self.inner.update(brief)
        if answer.hypothesis is not None and (answer.hypothesis.move or "").startswith(INERT):
            return answer.model_copy(update={"script": brief.script})
        return answer


def possible(brief: DiagnoseBrief) -> list[Move]:
    """Every edit that would really change this script, whatever speaks for it."""
    spec, facts = parse(brief.script), facts_of(brief)
    if spec is None:
        return []
    look = look_of(brief, spec, facts, brief.evidence)
    now = canonical(spec, facts)
    return [
        move
        for move in [*moves.FIXED, *moves.per_column(look)]
        if canonical(move.apply(spec), facts) != now
    ]


def blinded(brief: DiagnoseBrief) -> DiagnoseBrief:
    """Code and score only: neither the rest of the evidence nor what the profile suspects."""
    evidence = {key: value for key, value in brief.evidence.items() if key in SHOWN_BLIND}
    profile = {**brief.profile, "leaks": [], "notes": []}
    return brief.model_copy(update={"evidence": evidence, "profile": profile, "last": None})
