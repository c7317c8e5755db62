"""Acceptance of an attempt, without a process."""

from __future__ import annotations

from typing import Any

import pytest

from scoring.acceptance import TieBreak, judge_attempt, judge_audit
from task.types import Grade, Paired, Problem


def grade(d: float | None = None, se: float = 0.1, problems: tuple[str, ...] = ()) -> Grade:
    return Grade(
        ok=not problems,
        problems=[Problem(code=code, message=code) for code in problems],
        paired={} if d is None else {"best": Paired(d=d, se=se, p_improved=0.5)},
    )


def verdict(given: Grade, **changes: Any) -> tuple[str, bool]:
    arguments: dict[str, Any] = {
        "z": 1.0,
        "has_best": True,
        "new": TieBreak(1.0, 100),
        "best": TieBreak(1.0, 100),
    } | changes
    judgement = judge_attempt(given, **arguments)
    assert all(reason.code and reason.message for reason in judgement.reasons) and judgement.reasons
    return judgement.verdict, judgement.replaces


def test_first_valid_attempt_is_accepted() -> None:
    assert verdict(grade(), has_best=False) == ("accepted", True)


@pytest.mark.parametrize(
    ("d", "expected"),
    [
        (0.2, ("accepted", True)),
        (0.05, ("tie", False)),
        (-0.05, ("tie", False)),
        (-0.2, ("rejected", False)),
    ],
)
def test_measured_difference_decides(d: float, expected: tuple[str, bool]) -> None:
    assert verdict(grade(d)) == expected


def test_identical_predictions_are_a_tie_even_without_noise() -> None:
    assert verdict(grade(0.0, se=0.0)) == ("tie", False)


def test_a_tie_is_won_by_the_much_faster_script() -> None:
    assert verdict(grade(0.0), best=TieBreak(10.0, 100)) == ("tie", True)


def test_a_tie_is_won_by_the_much_simpler_script() -> None:
    assert verdict(grade(0.0), new=TieBreak(1.0, 70)) == ("tie", True)
    assert verdict(grade(0.0), new=TieBreak(1.0, 90)) == ("tie", False)


def test_a_difference_over_several_seeds_replaces_the_one_in_doubt() -> None:
    again = Paired(d=0.01, se=0.1, p_improved=0.54)
    assert verdict(grade(0.2), again=again) == ("tie", False)


def test_the_audit_revokes_an_acceptance_only_beyond_noise_or_for_a_leak() -> None:
    accepted = judge_attempt(
        grade(0.5), z=1.0, has_best=True, new=TieBreak(1, 1), best=TieBreak(1, 1)
    )
    paired = Paired(d=-0.1, se=0.1, p_improved=0.2)
    assert judge_audit(accepted, None, paired) == accepted
    assert judge_audit(accepted, None, paired.model_copy(update={"d": -0.3})).codes == [
        "audit_contradicts"
    ]
    assert (
        judge_audit(accepted, Problem(code="leak_audit", message="leaks"), None).verdict
        == "rejected"
    )


def test_leaks_are_rejected_and_broken_files_fail_whatever_the_score() -> None:
    assert verdict(grade(9.0, problems=("leak_copy",))) == ("rejected", False)
    assert verdict(grade(9.0, problems=("missing_rows",))) == ("failed", False)


def test_removing_a_flaw_of_the_data_may_lower_the_score() -> None:
    assert verdict(grade(-5.0), validity=True) == ("accepted", True)
