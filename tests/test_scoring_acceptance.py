"""Acceptance of an attempt, without a process."""

from __future__ import annotations

from statistics import NormalDist
from typing import Any

import pytest

from run.attempt import ANCHOR
from run.comparator import Comparison, decide
from scoring.acceptance import (
    Standing,
    TieBreak,
    judge_attempt,
    judge_audit,
    judge_blend,
    judge_draft,
    place_in_run,
)
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


@pytest.mark.parametrize(
    ("d", "surrogate", "expected"),
    [
        (0.05, None, ("tie", True)),
        (-0.05, None, ("tie", False)),
        (0.0, None, ("tie", False)),
        (0.0, 0.05, ("tie", True)),
        (0.05, -0.05, ("tie", False)),
        (0.2, None, ("accepted", True)),
        (-0.2, None, ("rejected", False)),
    ],
)
def test_of_two_first_drafts_within_noise_the_better_score_leads(
    d: float, surrogate: float | None, expected: tuple[str, bool]
) -> None:
    given = grade(d)
    if surrogate is not None:
        finer = {"best": Paired(d=surrogate, se=0.1, p_improved=0.5)}
        given = given.model_copy(update={"surrogate": finer})
    costs = TieBreak(1.0, 100)
    before = judge_attempt(given, z=1.0, has_best=True, new=costs, best=costs)
    after = judge_draft(before, given, z=1.0)
    assert (after.verdict, after.replaces) == expected
    assert ("best_draft" in after.codes) == (expected == ("tie", True))


def test_identical_predictions_are_a_tie_even_without_noise() -> None:
    assert verdict(grade(0.0, se=0.0)) == ("tie", False)


def test_a_tie_is_won_by_the_much_faster_script() -> None:
    assert verdict(grade(0.0), best=TieBreak(10.0, 100)) == ("tie", True)


def test_faster_is_what_costs_less_cpu_time_where_both_are_known() -> None:
    """Wall seconds tell how busy the machine was."""
    loaded = TieBreak(10.0, 100, cpu_s=1.0)
    assert verdict(grade(0.0), new=TieBreak(1.0, 100, cpu_s=1.0), best=loaded) == ("tie", False)
    assert verdict(grade(0.0), new=TieBreak(9.0, 100, cpu_s=0.5), best=loaded) == ("tie", True)
    assert verdict(grade(0.0), new=TieBreak(1.0, 100), best=loaded) == ("tie", True)


@pytest.mark.parametrize(
    ("d", "expected"),
    [(0.3, ("accepted", True)), (0.02, ("tie", True)), (-0.02, ("tie", False)), (-0.3, None)],
)
def test_a_blend_leads_where_it_is_better_at_all(d: float, expected: Any) -> None:
    side = TieBreak(9.0, 900)
    found = judge_blend(grade(d), z=1.0, has_best=True, new=side, best=TieBreak(1.0, 100))
    assert (found.verdict, found.replaces) == (expected or ("rejected", False))


def test_an_accepted_attempt_below_the_runs_best_says_so() -> None:
    accepted = judge_attempt(
        grade(0.5), z=1.0, has_best=True, new=TieBreak(1, 1), best=TieBreak(1, 1)
    )
    worse, better = (Paired(d=d, se=0.1, p_improved=p) for d, p in ((-0.2, 0.02), (0.2, 0.98)))
    behind = place_in_run(accepted, Comparison(metric=worse), "t1s3", 1.15)
    assert (behind.verdict, behind.codes, behind.run_best) == (
        "accepted",
        ["better", "below_run"],
        "t1s3",
    )
    assert behind.texts[1] == (
        "accepted in this trace, below the run's best t1s3: -0.2 ± 0.1, p(improved) 0.02"
    )
    ahead = place_in_run(accepted, Comparison(metric=better), "t1s3", 1.15)
    assert ahead.codes == ["better", "ahead_of_run"]


def test_the_finer_loss_decides_unless_the_metric_tells() -> None:
    """For blends and for where an attempt stands in its run, as for attempts of a trace."""
    fine = Paired(d=0.04, se=0.01, p_improved=1.0)
    level, worse = (Paired(d=d, se=0.1, p_improved=0.4) for d in (-0.05, -0.3))
    assert decide(level, fine, 1.15) is fine and decide(level, None, 1.15) is level
    assert decide(worse, fine, 1.15) is worse
    accepted = judge_attempt(
        grade(0.5), z=1.0, has_best=True, new=TieBreak(1, 1), best=TieBreak(1, 1)
    )
    for metric, code, verdict in (
        (level, "ahead_of_run", "accepted"),
        (worse, "below_run", "rejected"),
    ):
        placed = place_in_run(accepted, Comparison(metric=metric, surrogate=fine), "t1s3", 1.15)
        assert placed.codes[-1] == code
        blend = grade(metric.d).model_copy(update={"surrogate": {"best": fine}})
        side = TieBreak(1.0, 100)
        assert judge_blend(blend, z=1.15, has_best=True, new=side, best=side).verdict == verdict


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


def finer(metric: float, surrogate: float) -> Grade:
    """Differences in standard errors by the metric and by the surrogate."""
    pair = [Paired(d=d, se=1.0, p_improved=NormalDist().cdf(d)) for d in (metric, surrogate)]
    return Grade(ok=True, paired={"best": pair[0]}, surrogate={"best": pair[1]})


@pytest.mark.parametrize(
    ("metric", "surrogate", "expected"),
    [
        (0.2, 3.5, ("accepted", True)),  # by the surrogate, which sees more
        (-0.8, 3.5, ("accepted", True)),  # the metric is not worse beyond noise
        (-1.5, 3.5, ("rejected", False)),  # it is: the metric guards
        (3.5, -3.0, ("accepted", True)),  # clear by the metric alone
        (1.5, -3.0, ("tie", False)),  # they contradict each other
        (0.5, -3.0, ("rejected", False)),
        (-0.5, 1.0, ("tie", True)),  # likely better by the surrogate: the next step's start
        (1.0, 0.1, ("tie", False)),
    ],
)
def test_the_surrogate_judges_and_the_metric_guards(
    metric: float, surrogate: float, expected: tuple[str, bool]
) -> None:
    standing = Standing(bar=2.6, step_bar=2.6, step_p=0.7)
    assert verdict(finer(metric, surrogate), z=1.15, standing=standing) == expected


def test_an_anchor_of_labels_is_passed_by_the_metric_alone() -> None:
    given = finer(0.5, 3.0)
    anchored = given.model_copy(update={"paired": {**given.paired, ANCHOR: given.paired["best"]}})
    standing = Standing(bar=2.6, step_bar=3.2, step_p=0.7, anchor="t0s0")
    assert verdict(anchored, z=1.15, standing=standing) == ("tie", True)
