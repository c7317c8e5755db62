"""Acceptance: a pure rule from a grade and the trace's best to a verdict with its reasons.

Measured differences decide; nothing that a model says overrules them.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from graph.state import Verdict
from reasoner.protocol import LIKELY
from run.attempt import ANCHOR
from task.types import PROMISING_P, Grade, Paired, Problem

MUCH_FASTER = 0.7  # a script that needs at most this share of the best's seconds wins a tie
MUCH_SIMPLER = 0.8  # so does one that has at most this share of its lines
CONTRADICTED_Z = 2.0  # audit rows veto an acceptance that they contradict by this many SE
DOUBT = (0.7, 3.0)  # between so many SE a difference is measured again with another seed
REACH = 1.0  # so it is within so many SE of a run's bar


class TieBreak(NamedTuple):
    """What decides a tie: seconds of the script and its lines of code."""

    seconds: float
    lines: int


class Standing(NamedTuple):
    """What an attempt has to pass in its run (run.luck); without it a fixed z is the bar."""

    bar: float  # SE over the last confirmed best
    step_bar: float  # SE over the best, for a step that is clear by itself
    step_p: float  # p(improved) over the best from which a tie is stepped on
    anchor: str = ""  # id of the last confirmed best, where the trace has stepped on from it


class Judgement(NamedTuple):
    """A verdict with its reasons."""

    verdict: Verdict
    replaces: bool  # becomes the trace's best; a tie may, and adds nothing to the momentum
    reasons: list[Problem]

    @property
    def texts(self) -> list[str]:
        """The reasons for people and prompts."""
        return [reason.message for reason in self.reasons]

    @property
    def codes(self) -> list[str]:
        """The reasons for machines."""
        return [reason.code for reason in self.reasons]


class Acceptance(Protocol):
    """A rule that accepts or rejects an attempt; `judge_attempt` is the default."""

    def __call__(
        self,
        grade: Grade,
        *,
        z: float,
        has_best: bool,
        new: TieBreak,
        best: TieBreak | None,
        validity: bool = False,
        again: Paired | None = None,
    ) -> Judgement:
        """Return the verdict; the arguments are those of `judge_attempt`."""


def judge_attempt(
    grade: Grade,
    *,
    z: float,
    has_best: bool,
    new: TieBreak,
    best: TieBreak | None,
    validity: bool = False,
    again: Paired | None = None,
    standing: Standing | None = None,
) -> Judgement:
    """Return accepted | tie | rejected | failed.

    Args:
        grade: the attempt's grade, paired with the trace's best.
        z: standard errors by which it must be better.
        has_best: whether the trace has a best yet.
        new: tie-break values of the attempt.
        best: tie-break values of the best.
        validity: the attempt removes a flaw that the harness itself sees in the data. Its score is
            not comparable with the best's, so it replaces it whatever the difference.
        again: the difference over several seeds, where the first was in doubt.
        standing: the run's own bar, and when a tie is stepped on.
    """
    if not grade.ok:
        is_leak = any(problem.code.startswith("leak_") for problem in grade.problems)
        return Judgement("rejected" if is_leak else "failed", False, grade.problems)
    if not has_best:
        return one_reason("accepted", True, "first_valid", "first valid attempt of the trace")
    paired = again or grade.paired.get("best")
    if paired is None:
        message = "could not be compared with the best on the same rows"
        return one_reason("tie", False, "not_comparable", message)
    if validity:
        difference = describe_difference(paired)
        message = f"removes a flaw of the data; the score before was not honest ({difference})"
        return one_reason("accepted", True, "removes_flaw", message)
    text = ("over several seeds, " if again else "") + describe_difference(paired)
    claim = grade.paired.get(ANCHOR) or paired
    return _judge_difference(paired, claim, z, standing, new, best, text)


def _judge_difference(
    paired: Paired,
    claim: Paired,
    z: float,
    standing: Standing | None,
    new: TieBreak,
    best: TieBreak | None,
    text: str,
) -> Judgement:
    bar = max(z, standing.bar) if standing else z
    if paired.d > 0 and claim.d > max(bar * claim.se, 0.0):
        return one_reason("accepted", True, "better", f"better: {text}{_since(claim, standing)}")
    if standing and paired.d > max(z, standing.step_bar) * paired.se:
        return one_reason("accepted", True, "better_alone", f"better: {text}")
    if paired.d < -z * paired.se:
        return one_reason("rejected", False, "worse", f"worse: {text}")
    if standing and paired.d > 0 and paired.p_improved >= standing.step_p:
        message = f"likely better: {text}; {_distance(claim, bar)}{_since(claim, standing)}"
        return one_reason("tie", True, LIKELY, message)
    if best is not None and paired.p_improved >= PROMISING_P:
        if new.seconds <= MUCH_FASTER * best.seconds:
            message = f"as good and faster ({new.seconds:.1f} s against {best.seconds:.1f} s)"
            return one_reason("tie", True, "faster", f"{message}: {text}")
        if 0 < new.lines <= MUCH_SIMPLER * best.lines:
            message = f"as good and simpler ({new.lines} lines against {best.lines})"
            return one_reason("tie", True, "simpler", f"{message}: {text}")
    return one_reason("tie", False, "within_noise", f"within noise: {text}")


def _distance(claim: Paired, bar: float) -> str:
    return f"{claim.d / claim.se:.1f} of the {bar:.1f} SE that confirm it" if claim.se else ""


def _since(claim: Paired, standing: Standing | None) -> str:
    """The difference to the last confirmed best, where the trace has stepped on from it."""
    if standing is None or not standing.anchor:
        return ""
    return f" (with the steps since {standing.anchor}: {describe_difference(claim)})"


def is_doubtful(grade: Grade, standing: Standing | None = None, *, cheap: bool = False) -> bool:
    """Whether the difference is neither clear nor negligible: a second seed is worth its cost.

    Under a run's bar: where an acceptance is in reach; a cheap script also before it is stepped on.
    """
    paired = grade.paired.get("best")
    if not grade.ok or paired is None or paired.se <= 0:
        return False
    z = paired.d / paired.se
    if standing is None:
        return DOUBT[0] < z <= DOUBT[1]
    claim = grade.paired.get(ANCHOR) or paired
    reached = claim.d / claim.se if claim.se > 0 else 0.0
    if abs(reached - standing.bar) <= REACH or abs(z - standing.step_bar) <= REACH:
        return True
    is_below = reached < standing.bar and z < standing.step_bar
    return cheap and is_below and paired.p_improved >= standing.step_p


def judge_audit(judgement: Judgement, leak: Problem | None, paired: Paired | None) -> Judgement:
    """Return the judgement after the audit: changed by a leak, or a contradiction beyond noise."""
    if leak is not None:
        return Judgement("rejected", False, [leak])
    if paired is not None and paired.d < -CONTRADICTED_Z * paired.se:
        message = (
            "rows that were held back contradict the improvement beyond noise; "
            "it fits the validation rows only"
        )
        return one_reason("rejected", False, "audit_contradicts", message)
    return judgement


def one_reason(verdict: Verdict, replaces: bool, code: str, message: str) -> Judgement:
    """Return a judgement with a single reason."""
    return Judgement(verdict, replaces, [Problem(code=code, message=message)])


def describe_difference(paired: Paired) -> str:
    """Return `+0.012 ± 0.004, p(improved) 0.99`."""
    return f"{paired.d:+.4g} ± {paired.se:.2g}, p(improved) {paired.p_improved:.2f}"
