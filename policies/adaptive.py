"""The `adaptive` policy: follow the gradient where it pays, search where it does not.  Measured inside the run.

Four kinds of step are the arms of a discounted Thompson sampler over improvement per cost: *directed* (the gradient from the best),
*broaden* (another hypothesis of the same diagnosis), *backtrack* (a gradient from an earlier solution), *redraft* (from nothing).
Before them stand a few drafts of different kinds, over all traces together.
Deterministic given the attempts and the generator, so that a resumed run takes the same choice.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Literal, NamedTuple

from policies.protocol import Attempt, Choice, View
from run.calibration import calibration, gained, predictions

Arm = Literal["directed", "broaden", "backtrack", "redraft"]

DISCOUNT = 0.95  # what a result still counts one step later
PRIOR: dict[Arm, tuple[float, float]] = {
    "directed": (1.0, 1.0),
    "broaden": (0.6, 1.4),
    "backtrack": (0.5, 4.5),
    "redraft": (0.5, 6.5),
}
N_OTHERS = 4.0  # most pseudo-observations that the hit rate in other traces is worth
N_STARTS, START_SHARE = (
    5,
    0.4,
)  # first drafts over all traces, and the share of a trace's steps that they may take
LEAST_ATTEMPTS = 3  # before a redraft is thought of
MAX_WIDTH = 4  # hypotheses of one diagnosis that are tried before a new diagnosis
VAIN = 2  # steps from one earlier solution without an improvement, after which it is left alone
N_EARLIER = 3
TOKENS_PER_S = 50.0  # what a reasoner's written tokens cost in time
LEAST_S = 0.1


class Belief(NamedTuple):
    """Beta parameters of an arm's improvement (0..1) and its mean cost in seconds."""

    won: float
    lost: float
    cost: float

    @property
    def mean(self) -> float:
        return self.won / (self.won + self.lost)


def adaptive(view: View, rng: random.Random) -> Choice:
    if view.best is None:
        return Choice("draft", None, "no valid script yet")
    if (n := n_drafts(view)) < starts(view):
        return Choice(
            "draft",
            None,
            f"start {n + 1} of {starts(view)}: no gradient leads from one kind of model to all others",
        )
    bases = earlier_bests(view)
    beliefs = {arm: belief(arm, view) for arm in arms(view, bases)}
    draws = {
        arm: rng.betavariate(known.won, known.lost) / known.cost for arm, known in beliefs.items()
    }
    chosen = max(draws, key=lambda arm: draws[arm])
    return step(chosen, view, bases, rng, told(beliefs))


def starts(view: View) -> int:
    """First drafts over all traces: a hedge against a poor reasoner and a poor start."""
    if len(view.attempts) >= 2 * N_STARTS:  # the first ones may be out of sight
        return 0
    return min(N_STARTS, round(START_SHARE * view.steps))


def n_drafts(view: View) -> int:
    return sum(arm_of(attempt) == "redraft" for attempt in (*view.attempts, *view.others))


def step(arm: Arm, view: View, bases: Sequence[str], rng: random.Random, why: str) -> Choice:
    if arm == "redraft":
        return Choice("draft", None, f"redraft: {why}")
    if arm == "backtrack":
        return Choice("backtrack", rng.choice(bases), why)
    return Choice(arm, leader(view), why)


def leader(view: View) -> str | None:
    """What is changed: the trace's best, or the highest score that came after it and was a tie.

    Gains that are real but smaller than the noise of one comparison add up this way; what is accepted is still judged against the best.
    """
    places = [place for place, attempt in enumerate(view.attempts) if attempt["ref"] == view.best]
    if not places:
        return view.best
    best, sign = view.attempts[places[-1]], 1 if view.direction == "max" else -1
    ties = [
        a
        for a in view.attempts[places[-1] + 1 :]
        if a["verdict"] == "tie" and a["score"] is not None and a["kind"] != "ensemble"
    ]
    highest = max(ties, key=lambda attempt: sign * attempt["score"], default=best)
    return str(highest["ref"]) if sign * highest["score"] > sign * best["score"] else view.best


def arms(view: View, bases: Sequence[str]) -> list[Arm]:
    """What can be done now; the width of a diagnosis grows with the directed steps that missed."""
    open_arms: list[Arm] = ["directed"]
    if view.open_hypotheses and 0 < view.tried < width(view.attempts):
        open_arms.append("broaden")
    if bases:
        open_arms.append("backtrack")
    if len(view.attempts) >= LEAST_ATTEMPTS:
        open_arms.append("redraft")
    return open_arms


def width(attempts: Sequence[Attempt]) -> int:
    """One hypothesis per diagnosis while the gradient leads somewhere, one more for every directed step that missed since."""
    misses = 0
    for attempt in reversed(attempts):
        if attempt["verdict"] == "accepted":
            break
        misses += attempt.get("mode") == "directed"
    return min(MAX_WIDTH, 1 + misses)


def belief(arm: Arm, view: View) -> Belief:
    won, lost = prior(arm, view)
    weight = 1.0
    for attempt in reversed(view.attempts):
        if arm_of(attempt) == arm and counts(attempt):
            won += weight * reward(attempt)
            lost += weight * (1 - reward(attempt))
        weight *= DISCOUNT
    return Belief(won, lost, mean_cost(arm, view.attempts))


def prior(arm: Arm, view: View) -> tuple[float, float]:
    """The gradient gets the benefit of the doubt; how the reasoner's predictions fared elsewhere moves it.

    Elsewhere is in the other traces, and for another hypothesis of a diagnosis also the first ones of this trace's.
    """
    won, lost = PRIOR[arm]
    if arm in ("backtrack", "redraft"):
        return won, lost
    firsts = [
        attempt for attempt in view.attempts if arm == "broaden" and arm_of(attempt) == "directed"
    ]
    found = calibration(predictions([*view.others, *firsts]))
    if found is None:
        return won, lost
    worth = min(N_OTHERS, found.n / 2)
    return won + worth * found.rate, lost + worth * (1 - found.rate)


def arm_of(attempt: Attempt) -> str:
    return "redraft" if attempt.get("mode") == "draft" else str(attempt.get("mode"))


def counts(attempt: Attempt) -> bool:
    """The first draft has nothing to improve on."""
    return not (attempt["gain"] is None and attempt["verdict"] == "accepted")


def reward(attempt: Attempt) -> float:
    """Improvement squashed to 0..1 in units of noise: .46 at one standard error, .96 at four; 0 unless accepted."""
    return max(0.0, math.tanh(gained(attempt) / 2)) if attempt["verdict"] == "accepted" else 0.0


def mean_cost(arm: Arm, attempts: Sequence[Attempt]) -> float:
    """Mean seconds of a step of this kind, shrunk towards the mean of all."""
    costs = [cost(attempt) for attempt in attempts] or [1.0]
    overall = sum(costs) / len(costs)
    own = [cost(attempt) for attempt in attempts if arm_of(attempt) == arm]
    return (sum(own) + 2 * overall) / (len(own) + 2)


def cost(attempt: Attempt) -> float:
    """Seconds of the script and of the answers that made it."""
    tokens = (attempt.get("usage") or {}).get("output_tokens", 0)
    return max(float(attempt["seconds"]) + float(tokens) / TOKENS_PER_S, LEAST_S)


def earlier_bests(view: View) -> list[str]:
    """Accepted solutions of the past that are not the present best, less those from which step after step led nowhere."""
    vain: dict[str, int] = {}
    for attempt in view.attempts:
        if arm_of(attempt) == "backtrack" and attempt["verdict"] != "accepted":
            vain[str(attempt["parent"])] = vain.get(str(attempt["parent"]), 0) + 1
    found = [
        a["ref"]
        for a in view.attempts
        if a["replaces"] and a["ref"] != view.best and vain.get(a["id"], 0) < VAIN
    ]
    return found[-N_EARLIER:]


def told(beliefs: dict[Arm, Belief]) -> str:
    """The beliefs in words: expected improvement of a step (0..1) and what it costs."""
    return "expected improvement " + ", ".join(
        f"{arm} {known.mean:.2f} in {known.cost:.1f} s" for arm, known in beliefs.items()
    )
