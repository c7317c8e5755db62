"""Acceptance: a pure rule from a grade and the trace's best to a verdict with its reasons.

Measured differences decide; nothing that a model says overrules them.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from graph.state import Verdict
from reasoner.protocol import BEST_DRAFT, LIKELY
from run.attempt import ANCHOR, BEST
from run.comparator import Comparison, decide
from task.types import PROMISING_P, Grade, Paired, Problem

MUCH_FASTER = 0.7  # a script that needs at most this share of the best's seconds wins a tie
MUCH_SIMPLER = 0.8  # so does one that has at most this share of its lines
CONTRADICTED_Z = 2.0  # audit rows veto an acceptance that they contradict by this many SE
DOUBT = (0.7, 3.0)  # between so many SE a difference is measured again with another seed
REACH = 1.0  # so it is within so many SE of a run's bar


class TieBreak(NamedTuple):
    """What decides a tie: the cost of what runs, and its lines of code.

    Wall seconds depend on what else the machine does, so the CPU seconds of both decide where they
    are known.
    """

    seconds: float
    lines: int
    cpu_s: float | None = None


class Standing(NamedTuple):
    """What an attempt has to pass in its run (run.luck); without it a fixed z is the bar.

    Where a surrogate judges too, each of the two has a bar of half the level.
    """

    bar: float  # SE over the last confirmed best
    step_bar: float  # SE over the best, for a step that is clear by itself
    step_p: float  # p(improved) over the best from which a tie is stepped on
    anchor: str = ""  # id of the last confirmed best, where the trace has stepped on from it


class Difference(NamedTuple):
    """An attempt against its trace's best and against the last confirmed one, by one measure."""

    best: Paired
    claim: Paired | None  # None: the last confirmed best is not known by this measure

    def passes(self, bar: float, step_bar: float | None) -> str:
        """Return the code of an acceptance: by the sum of the steps, or by this one alone."""
        if self.claim and self.best.d > 0 and self.claim.d > max(bar * self.claim.se, 0.0):
            return "better"
        is_clear = step_bar is not None and self.best.d > step_bar * self.best.se
        return "better_alone" if is_clear else ""

    def is_worse(self, z: float) -> bool:
        """Whether the attempt is worse than the best, or the last confirmed one, beyond noise."""
        known = [self.best, *([self.claim] if self.claim else [])]
        return any(paired.d < -z * paired.se for paired in known)

    def is_near(self, standing: Standing) -> bool:
        """Whether an acceptance is in reach."""
        claim = self.claim or self.best
        return (
            abs(_in_errors(claim) - standing.bar) <= REACH
            or abs(_in_errors(self.best) - standing.step_bar) <= REACH
        )


class Judgement(NamedTuple):
    """A verdict with its reasons."""

    verdict: Verdict
    replaces: bool  # becomes the trace's best; a tie may, and adds nothing to the momentum
    reasons: list[Problem]
    run_best: str | None = None  # id of the run's best that it was compared with, too

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
    paired = again or grade.paired.get(BEST)
    if paired is None:
        message = "could not be compared with the best on the same rows"
        return one_reason("tie", False, "not_comparable", message)
    if validity:
        difference = describe_difference(paired)
        message = f"removes a flaw of the data; the score before was not honest ({difference})"
        return one_reason("accepted", True, "removes_flaw", message)
    claim = grade.paired.get(ANCHOR) if standing else None  # z alone: one comparison at a time
    metric = Difference(paired, claim or paired)
    text = _describe(grade, paired, again)
    return _judge_difference(
        metric, surrogate_of(grade, alone=standing is None), z, standing, new, best, text
    )


def judge_draft(
    judgement: Judgement, grade: Grade, *, z: float, again: Paired | None = None
) -> Judgement:
    """Return the judgement of a first draft whose trace's best is another one.

    Neither changes the other, so the one that came first has no claim to stay: of two within noise
    the trace goes on from the one with the better score (docs/trust.md).
    """
    paired = again or grade.paired.get(BEST)
    if judgement.verdict != "tie" or paired is None:
        return judgement
    if decide(paired, grade.surrogate.get(BEST), z).d <= 0:
        return judgement
    message = f"ahead of the trace's first draft, within noise: {_describe(grade, paired, again)}"
    return one_reason("tie", True, BEST_DRAFT, message)


def surrogate_of(grade: Grade, *, alone: bool = False) -> Difference | None:
    """Return the difference by the surrogate, where both sides are finer than labels.

    `alone`: to the best, without the last confirmed one.
    """
    paired = grade.surrogate.get("best")
    if paired is None:
        return None
    has_anchor = ANCHOR in grade.paired and not alone
    return Difference(paired, grade.surrogate.get(ANCHOR) if has_anchor else paired)


def _judge_difference(
    metric: Difference,
    surrogate: Difference | None,
    z: float,
    standing: Standing | None,
    new: TieBreak,
    best: TieBreak | None,
    text: str,
) -> Judgement:
    """By the surrogate where there is one, as long as the metric is not worse; or by the metric."""
    bar = max(z, standing.bar) if standing else z
    step_bar = max(z, standing.step_bar) if standing else None
    judge, is_guarded = surrogate or metric, surrogate is not None and metric.is_worse(z)
    since = _since(metric.claim, standing)
    passed = metric.passes(bar, step_bar) or ("" if is_guarded else judge.passes(bar, step_bar))
    if passed:
        return one_reason("accepted", True, passed, f"better: {text}{since}")
    if metric.best.d < -z * metric.best.se:
        return one_reason("rejected", False, "worse", f"worse: {text}")
    if judge.best.d < -z * judge.best.se and metric.best.d <= z * metric.best.se:
        return one_reason("rejected", False, "worse", f"worse: {text}")
    p_improved = judge.best.p_improved
    if standing and judge.best.d > 0 and p_improved >= standing.step_p and not is_guarded:
        message = f"likely better: {text}; {_distance(judge.claim or metric.claim, bar)}{since}"
        return one_reason("tie", True, LIKELY, message)
    if best is not None and p_improved >= PROMISING_P:
        if faster := _describe_faster(new, best):
            return one_reason("tie", True, "faster", f"as good and faster ({faster}): {text}")
        if 0 < new.lines <= MUCH_SIMPLER * best.lines:
            message = f"as good and simpler ({new.lines} lines against {best.lines})"
            return one_reason("tie", True, "simpler", f"{message}: {text}")
    return one_reason("tie", False, "within_noise", f"within noise: {text}")


def _describe_faster(new: TieBreak, best: TieBreak) -> str:
    """By how much less a script costs, if by enough; empty otherwise."""
    unit, costs = "s", (new.seconds, best.seconds)
    if new.cpu_s is not None and best.cpu_s is not None:
        unit, costs = "CPU s", (new.cpu_s, best.cpu_s)
    if costs[0] > MUCH_FASTER * costs[1]:
        return ""
    return f"{costs[0]:.1f} {unit} against {costs[1]:.1f} {unit}"


def _describe(grade: Grade, paired: Paired, again: Paired | None) -> str:
    """The difference by the metric, and by the surrogate where there is one."""
    text = ("over several seeds, " if again else "") + describe_difference(paired)
    surrogate = grade.surrogate.get("best")
    if surrogate is None:
        return text
    name = grade.evidence.get("surrogate", {}).get("name", "the surrogate")
    errors, p_improved = _in_errors(surrogate), surrogate.p_improved
    return f"{text}; by {name} {errors:+.1f} SE, p(improved) {p_improved:.2f}"


def _in_errors(paired: Paired) -> float:
    return paired.d / paired.se if paired.se > 0 else 0.0


def _distance(claim: Paired | None, bar: float) -> str:
    if claim is None or not claim.se:
        return ""
    return f"{claim.d / claim.se:.1f} of the {bar:.1f} SE that confirm it"


def _since(claim: Paired | None, standing: Standing | None) -> str:
    """The difference to the last confirmed best, where the trace has stepped on from it."""
    if standing is None or not standing.anchor or claim is None:
        return ""
    return f" (with the steps since {standing.anchor}: {describe_difference(claim)})"


def is_doubtful(grade: Grade, standing: Standing | None = None, *, cheap: bool = False) -> bool:
    """Whether the difference is neither clear nor negligible: a second seed is worth its cost.

    Under a run's bar: where an acceptance is in reach; a cheap script also before it is stepped on.
    """
    paired = grade.paired.get("best")
    if not grade.ok or paired is None or paired.se <= 0:
        return False
    if standing is None:
        return DOUBT[0] < paired.d / paired.se <= DOUBT[1]
    metric, surrogate = Difference(paired, grade.paired.get(ANCHOR) or paired), surrogate_of(grade)
    known = [metric, *([surrogate] if surrogate else [])]
    if any(each.is_near(standing) for each in known):
        return True
    is_below = not any(each.passes(standing.bar, standing.step_bar) for each in known)
    return cheap and is_below and (surrogate or metric).best.p_improved >= standing.step_p


def judge_blend(
    grade: Grade,
    *,
    z: float,
    has_best: bool,
    new: TieBreak,
    best: TieBreak | None,
    validity: bool = False,
    again: Paired | None = None,
) -> Judgement:
    """Return the verdict on a blend of the harness's, against the best single solution.

    Its score has paid for every choice, so the one with the better score is expected to be better
    on other rows, too: a blend that is better at all leads (docs/trust.md).
    """
    paired = again or grade.paired.get(BEST)
    if not grade.ok or not has_best or paired is None:
        return judge_attempt(grade, z=z, has_best=has_best, new=new, best=best)
    text = _describe(grade, paired, again)
    decided = decide(paired, grade.surrogate.get(BEST), z)
    if decided.d > 0:
        verdict: Verdict = "accepted" if decided.d > z * decided.se else "tie"
        words = "better" if verdict == "accepted" else "ahead, within noise"
        code = "better" if verdict == "accepted" else "ahead"
        return one_reason(verdict, True, code, f"{words}: {text}")
    if decided.d < -z * decided.se:
        return one_reason("rejected", False, "worse", f"worse: {text}")
    return one_reason("tie", False, "within_noise", f"within noise: {text}")


def place_in_run(judgement: Judgement, over_run: Comparison, run_best: str, z: float) -> Judgement:
    """Add to a judgement where the attempt stands against the run's best, which is another."""
    decided = over_run.decide(z)
    if decided is None or over_run.metric is None or judgement.verdict == "failed":
        return judgement
    side, code = ("below", "below_run") if decided.d < 0 else ("level with", "level_with_run")
    if decided.d > 0:
        side, code = "ahead of", "ahead_of_run"
    where = f"{side} the run's best {run_best}: {describe_difference(over_run.metric)}"
    if decided is not over_run.metric:
        where += f"; by the finer loss {_in_errors(decided):+.1f} SE"
    accepted = "accepted in this trace, " if judgement.verdict == "accepted" else ""
    reason = Problem(code=code, message=f"{accepted}{where}")
    return judgement._replace(reasons=[*judgement.reasons, reason], run_best=run_best)


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
