"""Recipes for a prompt: few at a time, where their conditions hold, and where they can help.

A first script gets the best of different kinds; other traces get the next ones. A diagnosis gets
those whose conditions fit the causes found, in a trace's first steps and when it is stuck: what the
run has measured by then says more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from briefs.brief import fact_from
from briefs.recall import known_causes
from graph.state import Json, Trace
from memory.recipes.choice import Known, Weighed, choose_for_diagnosis, choose_for_draft
from memory.recipes.facts import ConditionFacts, read_condition_facts
from reasoner.protocol import Claim, Hint, Ledger, MoveRecord, RecipeCard, Resources
from report.formatting import name_metric
from run.attempt import Attempt
from run.run import Run

N_RECIPES = 3
"""Most recipes in a prompt; successes that memory recalls take their places."""
N_EARLY, N_EARLY_STEPS = 2, 1
"""Recipes in the diagnoses of a trace's first so many steps after its first script."""
N_STUCK = 3
"""Attempts in a row without success after which a trace gets recipes again, once."""
PITFALL_CHARS = 240


async def draft_recipes(run: Run, trace: Trace, common: Json) -> list[RecipeCard]:
    """Return recipes for a first script, whose brief has the fields `common`."""
    facts = _facts(run, common["resources"])
    found = await _find(run, describe_task(run), facts, Known())
    turn = trace.trace + run.settings.traces * len(common["history"])
    return _offer(run, trace, choose_for_draft(found, turn, N_RECIPES), with_code=1)


async def step_recipes(
    run: Run,
    trace: Trace,
    start: Attempt,
    evidence: Json,
    common: Json,
    hints: Sequence[Hint],
) -> list[RecipeCard]:
    """Return recipes for a diagnosis, whose brief has the fields `common`.

    `hints`: what memory recalls for it, which comes first.
    """
    is_stuck = n_without_success(run, trace) == N_STUCK
    if not is_stuck and trace.step > N_EARLY_STEPS:
        return []
    room = N_RECIPES - sum(hint.kind == "accepted" for hint in hints)
    k = min(room, N_RECIPES if is_stuck else N_EARLY)
    if k <= 0:
        return []
    causes = "; ".join(known_causes(run, start))
    facts = _facts(run, common["resources"], evidence)
    found = await _find(run, causes, facts, known_ideas(common["ledger"], hints), near=True)
    return _offer(run, trace, choose_for_diagnosis(found, k), with_code=0)


async def measured_moves(run: Run, evidence: Json, common: Json) -> list[MoveRecord]:
    """Return what recipes that fit measured of the expert's moves."""
    facts = _facts(run, common["resources"], evidence)
    return await asyncio.to_thread(run.shelf.move_records, facts)


def n_without_success(run: Run, trace: Trace) -> int:
    """Return how many of the trace's latest attempts led to nothing; bounded."""
    count = 0
    for attempt in reversed(run.chain(trace.head, limit=N_STUCK + 1)):
        if fact_from(attempt).led:
            break
        count += 1
    return count


def known_ideas(ledger: Ledger, hints: Sequence[Hint] = ()) -> Known:
    """Return what the run holds of ideas: those in its script or in progress, those that failed."""
    held = [claim for claim in ledger.claims if _is_held(claim)]
    failed = [claim for claim in ledger.claims if claim.state == "refuted" and claim not in held]
    bad = [hint for hint in hints if hint.kind == "refuted"]
    return Known(
        held_moves=frozenset(
            name
            for claim in held
            if claim.move
            for name in (claim.move, claim.move.partition(":")[0])  # without its column
        ),
        held=tuple(claim.claim for claim in held),
        failed_moves=frozenset(
            move for move in [*(c.move for c in failed), *(hint.move for hint in bad)] if move
        ),
        failed=(*(c.claim for c in failed), *(hint.hypothesis for hint in bad)),
    )


def _is_held(claim: Claim) -> bool:
    return claim.held or claim.state == "supported" or bool(claim.trying)


def describe_task(run: Run) -> str:
    """Return the task in a line, as a first question to the recipes."""
    brief = run.task_brief
    words = " ".join(brief.description.split())[:400]
    return f"{brief.kind}, {name_metric(brief.metric)}. {words}"


def _facts(run: Run, resources: Resources, evidence: Json | None = None) -> ConditionFacts:
    return read_condition_facts(run.task_brief, run.setup.profile, resources, evidence)


async def _find(
    run: Run, text: str, facts: ConditionFacts, known: Known, *, near: bool = False
) -> list[Weighed]:
    if not run.shelf.recipes:
        return []
    return await asyncio.to_thread(run.shelf.find, text, facts, known, near=near)


def _offer(run: Run, trace: Trace, found: Sequence[Weighed], *, with_code: int) -> list[RecipeCard]:
    """Return the cards, the first `with_code` of them with fragments, and record the offer."""
    cards = [make_card(item, with_code=i < with_code) for i, item in enumerate(found)]
    if cards:
        offered = [card.model_dump(include={"id", "title", "evidence"}) for card in cards]
        run.events.emit("offered", trace=trace.trace, step=trace.step, recipes=offered)
    return cards


def make_card(item: Weighed, *, with_code: bool) -> RecipeCard:
    """Return a recipe as a reasoner sees it."""
    recipe, evidence = item.recipe, item.evidence
    state = evidence.verdict if evidence else "untested"
    assert state != "harmful"  # its weight is 0
    return RecipeCard(
        id=recipe.id,
        title=recipe.title,
        component=recipe.component,
        what=" ".join(recipe.what.split()),
        pitfalls=" ".join(recipe.pitfalls.split())[:PITFALL_CHARS],
        code=recipe.code if with_code else "",
        move=recipe.move,
        state=state,
        evidence=evidence.tell() if evidence else "",
        weight=round(item.weight, 3),
    )
