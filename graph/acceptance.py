"""Trust and acceptance: a grade and the trace's best in, a verdict with its reasons out.  Pure.

Measured differences decide; nothing that a model says overrules them.
"""

from __future__ import annotations

from typing import NamedTuple

from graph.state import Verdict
from task.types import Grade, Paired

MUCH_FASTER = 0.7  # a tie is won by a script that needs at most this share of the best's seconds
LEAKS = frozenset({"leak_audit", "leak_copy"})


class Judgement(NamedTuple):
    verdict: Verdict
    replaces: bool  # becomes the trace's best; a tie may, and adds nothing to the momentum
    reasons: list[str]


def judge(grade: Grade, *, z: float, has_best: bool, validity: bool, seconds: float, best_seconds: float | None) -> Judgement:
    """accepted | tie | rejected | failed.

    `validity`: the attempt removes a flaw that the harness itself sees in the data, so its score is not comparable with
    the best's and it replaces it whatever the difference (method.md: only edits of the evaluation may bypass the score).
    """
    if not grade["ok"]:
        codes = {problem["code"] for problem in grade["problems"]}
        verdict: Verdict = "rejected" if codes & LEAKS else "failed"
        return Judgement(verdict, False, [problem["message"] for problem in grade["problems"]])
    if not has_best:
        return Judgement("accepted", True, ["first valid attempt of the trace"])
    paired = grade["paired"].get("best")
    if paired is None:
        return Judgement("tie", False, ["could not be compared with the best on the same rows"])
    if validity:
        return Judgement("accepted", True, [f"removes a flaw of the data; the score before was not honest ({difference(paired)})"])
    return by_difference(paired, z, seconds, best_seconds)


def by_difference(paired: Paired, z: float, seconds: float, best_seconds: float | None) -> Judgement:
    text = difference(paired)
    bar = z * paired["se"]
    if paired["d"] > max(bar, 0.0):
        return Judgement("accepted", True, [f"better: {text}"])
    if paired["d"] < -bar:
        return Judgement("rejected", False, [f"worse: {text}"])
    faster = best_seconds is not None and seconds <= MUCH_FASTER * best_seconds and paired["p_improved"] >= 0.4
    if faster:
        return Judgement("tie", True, [f"as good and faster ({seconds:.1f} s against {best_seconds:.1f} s): {text}"])
    return Judgement("tie", False, [f"within noise: {text}"])


def difference(paired: Paired) -> str:
    return f"{paired['d']:+.4g} ± {paired['se']:.2g}, p(improved) {paired['p_improved']:.2f}"
