"""Trust and acceptance: a grade and the trace's best in, a verdict with its reasons out.  Pure.

Measured differences decide; nothing that a model says overrules them.
"""

from __future__ import annotations

from typing import NamedTuple

from graph.state import Verdict
from task.types import AS_GOOD, Grade, Paired, Problem

MUCH_FASTER = 0.7  # a tie is won by a script that needs at most this share of the best's seconds
MUCH_SIMPLER = 0.8  # or by one that has at most this share of its lines
CONTRADICTED_Z = (
    2.0  # the audit rows block an acceptance that they contradict by this many standard errors
)
DOUBT = (
    0.7,
    3.0,
)  # between so many standard errors a difference is measured again with another seed


class Side(NamedTuple):
    """What a tie is decided by."""

    seconds: float
    lines: int


class Judgement(NamedTuple):
    verdict: Verdict
    replaces: bool  # becomes the trace's best; a tie may, and adds nothing to the momentum
    reasons: list[Problem]  # code for machines, message for people and prompts

    @property
    def texts(self) -> list[str]:
        return [reason["message"] for reason in self.reasons]

    @property
    def codes(self) -> list[str]:
        return [reason["code"] for reason in self.reasons]


def judge(
    grade: Grade,
    *,
    z: float,
    has_best: bool,
    new: Side,
    best: Side | None,
    validity: bool = False,
    again: Paired | None = None,
) -> Judgement:
    """accepted | tie | rejected | failed.

    `validity`: the attempt removes a flaw that the harness itself sees in the data, so its score is not comparable with
    the best's and it replaces it whatever the difference (method.md: only edits of the evaluation may bypass the score).
    `again`: the difference over several seeds, where the first was in doubt.
    """
    if not grade["ok"]:
        leak = any(problem["code"].startswith("leak_") for problem in grade["problems"])
        return Judgement("rejected" if leak else "failed", False, list(grade["problems"]))
    if not has_best:
        return one("accepted", True, "first_valid", "first valid attempt of the trace")
    paired = again or grade["paired"].get("best")
    if paired is None:
        return one(
            "tie", False, "not_comparable", "could not be compared with the best on the same rows"
        )
    if validity:
        return one(
            "accepted",
            True,
            "removes_flaw",
            f"removes a flaw of the data; the score before was not honest ({difference(paired)})",
        )
    return by_difference(paired, z, new, best, "over several seeds, " if again else "")


def by_difference(paired: Paired, z: float, new: Side, best: Side | None, how: str) -> Judgement:
    text = how + difference(paired)
    bar = z * paired["se"]
    if paired["d"] > max(bar, 0.0):
        return one("accepted", True, "better", f"better: {text}")
    if paired["d"] < -bar:
        return one("rejected", False, "worse", f"worse: {text}")
    if best is not None and paired["p_improved"] >= AS_GOOD:
        if new.seconds <= MUCH_FASTER * best.seconds:
            message = (
                f"as good and faster ({new.seconds:.1f} s against {best.seconds:.1f} s): {text}"
            )
            return one("tie", True, "faster", message)
        if 0 < new.lines <= MUCH_SIMPLER * best.lines:
            message = f"as good and simpler ({new.lines} lines against {best.lines}): {text}"
            return one("tie", True, "simpler", message)
    return one("tie", False, "within_noise", f"within noise: {text}")


def doubtful(grade: Grade) -> bool:
    """Whether the difference is neither clear nor clearly nothing, so that a second seed is worth its cost."""
    paired = grade["paired"].get("best")
    return bool(
        grade["ok"]
        and paired
        and paired["se"] > 0
        and DOUBT[0] < paired["d"] / paired["se"] <= DOUBT[1]
    )


def audited(judgement: Judgement, leak: Problem | None, paired: Paired | None) -> Judgement:
    """The acceptance after the hidden audit rows were asked: only a leak or a contradiction beyond noise takes it back."""
    if leak is not None:
        return Judgement("rejected", False, [leak])
    if paired is not None and paired["d"] < -CONTRADICTED_Z * paired["se"]:
        message = "rows that were held back contradict the improvement beyond noise; it fits the validation rows only"
        return one("rejected", False, "audit_contradicts", message)
    return judgement


def one(verdict: Verdict, replaces: bool, code: str, message: str) -> Judgement:
    return Judgement(verdict, replaces, [Problem(code=code, message=message)])


def difference(paired: Paired) -> str:
    return f"{paired['d']:+.4g} ± {paired['se']:.2g}, p(improved) {paired['p_improved']:.2f}"


def n_lines(script: str) -> int:
    """Lines that hold code."""
    return sum(
        bool(line.strip()) and not line.lstrip().startswith("#") for line in script.splitlines()
    )
