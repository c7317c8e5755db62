"""A review is asked for: the script once, with the change that led to it. Each script once."""

from __future__ import annotations

import time
from collections.abc import Sequence

from briefs.ask import announce_answer
from briefs.brief import common_fields
from briefs.excerpts import diff_artifacts
from graph.state import Trace, Work
from reasoner.protocol import (
    ReasonerError,
    ReasonerUnavailableError,
    Review,
    ReviewBrief,
)
from run.budget import spent_model_budget
from run.run import Run


def can_review(run: Run) -> bool:
    """Whether a model may read code: the expert cannot, and what is spent is spent."""
    is_wanted = run.settings.review and run.reasoner.name != "expert"
    return is_wanted and not spent_model_budget(run, run.events.used)


async def ask_review(
    run: Run,
    trace: Trace,
    work: Work,
    *,
    name: str,
    doubts: Sequence[str] = (),
    siblings: Sequence[str] = (),
) -> Review:
    """Return the review of the work's script; an empty one where no usable answer came.

    Measured verdicts hold without it, so a reasoner that is down ends no run here.

    Args:
        run: the run.
        trace: whose attempt it is.
        work: with the script, and the attempt that it came from.
        name: of the attempt and its repair.
        doubts: what made the harness ask; empty for a finalist.
        siblings: heads of the other traces.
    """
    script = str(work.script)

    async def ask() -> Review:
        parent = run.attempt(work.base).script if work.base else None
        brief = ReviewBrief(
            **common_fields(run, trace, work, list(siblings)),
            script=run.artifacts.get(script),
            diff=diff_artifacts(run, parent, script),
            doubts=list(doubts),
        )
        return await run.reasoner.review(brief)

    began = time.monotonic()
    key, failure = script, {}  # a stored answer is announced, and paid for, once
    try:
        with run.keeping_calls("review", name):
            answer = await run.once("review", [script], ask, Review)
    except (ReasonerError, ReasonerUnavailableError) as error:
        key, failure = f"{name}:{script}", {"error": str(error)[:300]}
        answer = Review(usage=error.usage)
    payload = {"attempt": work.attempt, **answer.model_dump(), **failure}
    announce_answer(run, "reviewed", key, trace, began, **payload)
    return answer


def list_findings(answer: Review) -> list[str]:
    """Return what a review found that makes a script dishonest."""
    if not answer.leaks and answer.aligned:
        return []
    return [f"review of the code: {reason}" for reason in answer.reasons]
