"""The `adaptive` policy: follow the gradient where it pays, search where it does not.

Four kinds of step are the arms of a discounted Thompson sampler over improvement per cost:
*directed* (the gradient from the best), *broaden* (another hypothesis of the same diagnosis),
*backtrack* (a gradient from an earlier solution), *redraft* (from nothing). They are preceded by a
few drafts of different kinds, over all traces together. Deterministic given the attempts and the
generator, so a resumed run makes the same choice.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Literal, NamedTuple

from policies.protocol import Choice, View, choose_first_draft
from run.calibration import calibration, gain_in_noise_units
from run.history import HistoryEntry, collect_predictions

Arm = Literal["directed", "broaden", "backtrack", "redraft"]

DISCOUNT = 0.95  # weight of a result one step later
PRIOR: dict[Arm, tuple[float, float]] = {
    "directed": (1.0, 1.0),
    "broaden": (0.6, 1.4),
    "backtrack": (0.5, 4.5),
    "redraft": (0.5, 6.5),
}
N_OTHERS = 4.0  # most pseudo-observations that the hit rate in other traces is worth
N_STARTS = 5  # first drafts over all traces
START_SHARE = 0.4  # share of a trace's steps that they may take
MIN_ATTEMPTS = 3  # before a redraft is considered
MAX_WIDTH = 4  # hypotheses of one diagnosis that are tried before a new diagnosis
MAX_VAIN = 2  # steps from one earlier solution without an improvement before it is dropped
N_EARLIER = 3
TOKENS_PER_S = 50.0  # what a reasoner's written tokens cost in time
MIN_COST_S = 0.1


class Belief(NamedTuple):
    """Beta parameters of an arm's improvement (0..1) and its mean cost in seconds."""

    won: float
    lost: float
    cost: float

    @property
    def mean(self) -> float:
        """Expected improvement of a step, 0..1."""
        return self.won / (self.won + self.lost)


def sample_arms(view: View, rng: random.Random) -> Choice:
    """Choose the kind of step with the highest sampled improvement per second."""
    if view.best is None:
        return Choice("draft", None, "no valid script yet")
    if draft := choose_first_draft(view):
        return draft
    n_starts = count_starts(view)
    if (n := _count_drafts(view)) < n_starts:
        why = "no gradient leads from one kind of model to all others"
        return Choice("draft", None, f"start {n + 1} of {n_starts}: {why}")
    bases = earlier_bests(view)
    beliefs = {arm: arm_belief(arm, view) for arm in open_arms(view, bases)}
    draws = {
        arm: rng.betavariate(belief.won, belief.lost) / belief.cost
        for arm, belief in beliefs.items()
    }
    arm = max(draws, key=lambda each: draws[each])
    why = _describe_beliefs(beliefs)
    if arm == "redraft":
        return Choice("draft", None, f"redraft: {why}")
    if arm == "backtrack":
        return Choice("backtrack", rng.choice(bases), why)
    return Choice(arm, view.best, why)


def count_starts(view: View) -> int:
    """Return the first drafts over all traces: a hedge against a poor reasoner and a poor start.

    None where the run deals them.
    """
    if view.drafts is not None or len(view.attempts) >= 2 * N_STARTS:  # the first may be unseen
        return 0
    return min(N_STARTS, round(START_SHARE * view.steps))


def _count_drafts(view: View) -> int:
    return sum(arm_of(attempt) == "redraft" for attempt in (*view.attempts, *view.others))


def open_arms(view: View, bases: Sequence[str]) -> list[Arm]:
    """Return the arms to choose from; a diagnosis widens with the directed steps that missed."""
    arms: list[Arm] = ["directed"]
    if view.open_hypotheses and 0 < view.tried < diagnosis_width(view.attempts):
        arms.append("broaden")
    if bases:
        arms.append("backtrack")
    if len(view.attempts) >= MIN_ATTEMPTS:
        arms.append("redraft")
    return arms


def diagnosis_width(attempts: Sequence[HistoryEntry]) -> int:
    """Return how many hypotheses of one diagnosis to try.

    One, plus one per directed step without success since the last acceptance.
    """
    misses = 0
    for attempt in reversed(attempts):
        if attempt.led:
            break
        misses += attempt.mode == "directed"
    return min(MAX_WIDTH, 1 + misses)


def arm_belief(arm: Arm, view: View) -> Belief:
    """Return what the trace's attempts, discounted, say of an arm."""
    won, lost = _arm_prior(arm, view)
    weight = 1.0
    for attempt in reversed(view.attempts):
        if arm_of(attempt) == arm and _has_comparison(attempt):
            reward = step_reward(attempt)
            won += weight * reward
            lost += weight * (1 - reward)
        weight *= DISCOUNT
    return Belief(won, lost, _mean_cost(arm, view.attempts))


def _arm_prior(arm: Arm, view: View) -> tuple[float, float]:
    """A prior that favours the gradient, moved by how the reasoner's predictions fared elsewhere.

    Elsewhere: in the other traces, and for `broaden` also in this trace's directed steps.
    """
    won, lost = PRIOR[arm]
    if arm in ("backtrack", "redraft"):
        return won, lost
    elsewhere = list(view.others)
    if arm == "broaden":
        elsewhere += [attempt for attempt in view.attempts if arm_of(attempt) == "directed"]
    record = calibration(collect_predictions(elsewhere))
    if record is None:
        return won, lost
    worth = min(N_OTHERS, record.n / 2)
    return won + worth * record.rate, lost + worth * (1 - record.rate)


def arm_of(attempt: HistoryEntry) -> str:
    """Return the arm that an attempt pulled."""
    return "redraft" if attempt.mode == "draft" else attempt.mode


def _has_comparison(attempt: HistoryEntry) -> bool:
    """The first draft has nothing to improve on."""
    return attempt.gain is not None or attempt.verdict != "accepted"


def step_reward(attempt: HistoryEntry) -> float:
    """Return the improvement squashed to 0..1 in units of noise; 0 if the trace did not go on.

    .46 at one standard error, .96 at four.
    """
    if not attempt.led:
        return 0.0
    return max(0.0, math.tanh(gain_in_noise_units(attempt.gain, attempt.gain_se) / 2))


def _mean_cost(arm: Arm, attempts: Sequence[HistoryEntry]) -> float:
    """Mean seconds of a step of this kind, shrunk towards the mean of all."""
    costs = [step_cost(attempt) for attempt in attempts] or [1.0]
    overall = sum(costs) / len(costs)
    own = [step_cost(attempt) for attempt in attempts if arm_of(attempt) == arm]
    return (sum(own) + 2 * overall) / (len(own) + 2)


def step_cost(attempt: HistoryEntry) -> float:
    """Return the seconds of the script and of the answers that made it."""
    return max(attempt.seconds + attempt.output_tokens / TOKENS_PER_S, MIN_COST_S)


def earlier_bests(view: View) -> list[str]:
    """Return former best solutions, without those from which step after step led nowhere."""
    vain: dict[str, int] = {}
    for attempt in view.attempts:
        if arm_of(attempt) == "backtrack" and not attempt.led:
            vain[str(attempt.parent)] = vain.get(str(attempt.parent), 0) + 1
    former = [each for each in view.attempts if each.replaces and each.ref != view.best]
    return [each.ref for each in former if vain.get(each.id, 0) < MAX_VAIN][-N_EARLIER:]


def _describe_beliefs(beliefs: dict[Arm, Belief]) -> str:
    """Expected improvement of a step (0..1) and its cost, per arm."""
    arms = [f"{arm} {belief.mean:.2f} in {belief.cost:.1f} s" for arm, belief in beliefs.items()]
    return "expected improvement " + ", ".join(arms)
