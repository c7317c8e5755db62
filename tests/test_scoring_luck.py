"""Luck over a whole run: the bar, steps on likely ties, what an acceptance confirms."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from trust_kit import open_run_without_worker

from evals.studies.luck import NULL, World, simulate
from graph.state import Best, Trace, Work
from nodes.record import advance_trace, remeasured_best
from report.projection import apply_events
from run.attempt import ANCHOR, Attempt, ExecutionRecord, make_attempt
from run.best import correct_published, read_best, write_best_json
from run.luck import acceptance_bar, anchor_of, trace_bars
from run.registry import close_run
from scoring.acceptance import Judgement, Standing, TieBreak, is_doubtful, judge_attempt
from scoring.lessons import confirmed_steps
from task.types import Grade, Paired, Score

WORK = Work(attempt="t0s1", kind="update", mode="directed", verdict="tie")
SIDE = TieBreak(1.0, 100)
STANDING = Standing(bar=2.5, step_bar=2.5, step_p=0.7)


def paired(d: float) -> Paired:
    return Paired(d=d, se=1.0, p_improved=0.9 if d > 0.6 else 0.5)


def grade(d: float, over_anchor: float | None = None) -> Grade:
    known = {"best": paired(d)}
    if over_anchor is not None:
        known[ANCHOR] = paired(over_anchor)
    return Grade(ok=True, paired=known)


def judge(given: Grade, standing: Standing | None = STANDING) -> Judgement:
    return judge_attempt(given, z=1.15, has_best=True, new=SIDE, best=SIDE, standing=standing)


def test_the_bar_rises_with_every_try_and_every_step_and_traces_share_it() -> None:
    bars = [acceptance_bar(0.1, 1, k, 1) for k in (1, 8, 24, 100)]
    assert [round(bar, 2) for bar in bars] == [2.43, 3.02, 3.43, 3.95]
    assert acceptance_bar(0.1, 4, 1, 1) > bars[0] < acceptance_bar(0.1, 1, 1, 4)
    assert trace_bars(Trace(trace=0), 0.1, 1) == (bars[0], bars[0])


@pytest.mark.parametrize("world", [World(0, True), World(1, True), World(0, False)])
def test_a_run_of_nulls_accepts_anything_in_at_most_a_tenth(world: World) -> None:
    assert simulate("loop", world, NULL, 24, 400).false_anywhere <= 0.1
    assert simulate("fixed", world, NULL, 24, 400).false_anywhere > 0.4


@pytest.mark.parametrize("world", [World(0, True), World(1, True)])
def test_the_best_of_several_first_drafts_makes_no_false_acceptance_likelier(world: World) -> None:
    assert simulate("loop", world, NULL, 24, 400, n_drafts=6).false_anywhere <= 0.1


def test_a_likely_tie_is_stepped_on_and_accepted_only_beyond_the_bar() -> None:
    likely, clear, unlikely = judge(grade(2.0)), judge(grade(2.6)), judge(grade(0.3))
    assert (likely.verdict, likely.replaces, likely.codes) == ("tie", True, ["likely"])
    assert "2.0 of the 2.5 SE" in likely.texts[0]
    assert (clear.verdict, unlikely.verdict, unlikely.replaces) == ("accepted", "tie", False)
    assert judge(grade(2.0), None).verdict == "accepted"  # without a run's bar, z alone
    assert judge(grade(-1.2)).verdict == "rejected"


def test_small_steps_are_accepted_together_but_never_below_the_best() -> None:
    since = Standing(bar=2.6, step_bar=2.4, step_p=0.7, anchor="t0s1")
    together = judge(grade(0.9, over_anchor=2.7), since)
    assert together.verdict == "accepted" and "since t0s1: +2.7" in together.texts[0]
    assert judge(grade(-0.1, over_anchor=2.7), since).verdict == "tie"
    former = judge(grade(0.9, over_anchor=2.7), None)
    assert former.verdict == "tie", "without a run's bar each comparison stands alone"
    assert judge(grade(2.3, over_anchor=1.0), since).codes == ["likely"]
    alone = judge(grade(2.5, over_anchor=1.0), since)  # clear by itself: it confirms no other
    assert (alone.verdict, alone.codes) == ("accepted", ["better_alone"])


def test_a_second_seed_is_spent_where_an_acceptance_is_in_reach_or_costs_nothing() -> None:
    found = [is_doubtful(grade(d), STANDING) for d in (1.0, 1.6, 3.4, 3.6)]
    assert found == [False, True, True, False]
    assert is_doubtful(grade(1.0), STANDING, cheap=True)
    assert not is_doubtful(grade(0.4), STANDING, cheap=True)
    assert is_doubtful(grade(0.2, over_anchor=2.0), STANDING)


def attempt(step: int, verdict: Any, base: str | None, **facts: Any) -> Attempt:
    name = f"t0s{step}"
    codes = ["likely"] if verdict == "tie" else ["better"]
    return Attempt(
        ref=f"ref{step}",
        id=name,
        trace=0,
        step=step,
        kind="update",
        mode="directed",
        base=base,
        script=name,
        score=0.5 + step / 100,
        verdict=verdict,
        codes=codes,
        replaces=True,
        **facts,
    )


def test_the_anchor_stays_until_the_steps_since_are_confirmed() -> None:
    trace = advance_trace(Trace(trace=0), attempt(0, "accepted", None), 9)
    assert anchor_of(trace) is None and (trace.counted, trace.stepped) == (0, 0)
    for step in (1, 2):
        trace = advance_trace(trace, attempt(step, "tie", f"ref{step - 1}", looked_better=True), 9)
    anchor = anchor_of(trace)
    assert anchor is not None and trace.best is not None
    assert (anchor.attempt, trace.best.attempt) == ("t0s0", "t0s2")
    assert (trace.counted, trace.stepped) == (2, 2)
    trace = advance_trace(trace, attempt(3, "accepted", "ref2", looked_better=True), 9)
    assert anchor_of(trace) is None and (trace.counted, trace.stepped) == (0, 0)


def test_a_better_first_draft_is_no_step_from_the_one_before() -> None:
    trace = advance_trace(Trace(trace=0), attempt(0, "accepted", None), 9)
    draft = attempt(1, "tie", None, looked_better=True).evolve(kind="draft", codes=["best_draft"])
    trace = advance_trace(trace, draft, 9)
    assert trace.best is not None and trace.best.attempt == "t0s1"
    assert anchor_of(trace) is None and (trace.counted, trace.stepped) == (1, 0)


def test_a_state_of_an_earlier_version_has_no_steps_to_confirm() -> None:
    best = Best(attempt="t0s0", trace=0, ref="ref0", script="s", score=0.5, se=0.1)
    old = {"trace": 0, "step": 3, "best": best.dump(), "n_accepted": 1, "stagnant": 1}
    trace = Trace.model_validate(old)
    assert anchor_of(trace) is None and trace_bars(trace, 0.1, 1)[0] == acceptance_bar(0.1, 1, 1, 1)


def test_an_acceptance_confirms_the_steps_since_the_anchor_and_no_others() -> None:
    steps = {f"ref{n}": attempt(n, "tie", f"ref{n - 1}") for n in (1, 2)}
    run: Any = SimpleNamespace(attempt=steps.__getitem__)
    trace = advance_trace(Trace(trace=0), attempt(0, "accepted", None), 9)
    assert confirmed_steps(run, trace, attempt(3, "accepted", "ref0")) == []
    for step in steps.values():
        trace = advance_trace(trace, step, 9)
    assert confirmed_steps(run, trace, attempt(3, "accepted", "ref2")) == list(steps.values())
    elsewhere = attempt(3, "accepted", None)  # a new draft that won builds on none of them
    assert confirmed_steps(run, trace, elsewhere) == []


async def test_a_best_that_was_measured_again_has_its_mean_everywhere(tmp_path: Path) -> None:
    again = Paired(d=0.02, se=0.01, p_improved=0.9, new=0.8, old=0.78, repeated=True)
    once = again.model_copy(update={"repeated": False})
    trace = advance_trace(Trace(trace=0), attempt(0, "accepted", None), 9)
    assert trace.best is not None
    for paired_with, mean in ((again, 0.78), (once, None)):
        graded = Grade(ok=True, score=Score(value=0.8, se=0.1), paired={"best": paired_with})
        made = make_attempt(trace, WORK, ExecutionRecord(), graded, None)
        assert made.best_score == mean
        corrected = remeasured_best(trace, made)
        assert (corrected.score if corrected else None) == mean
    run = open_run_without_worker(tmp_path)
    try:
        write_best_json(run.folder / "best", trace.best, {"refit": False})
        await correct_published(run, trace.best.evolve(score=0.78))
        published = read_best(run.folder / "best")
        assert published is not None and published.score == 0.78
        await correct_published(run, trace.best.evolve(attempt="t1s0", score=0.1))  # another one
        assert read_best(run.folder / "best") == published
    finally:
        await close_run(run.folder)


def test_the_report_shows_the_mean_of_a_best_that_was_measured_again() -> None:
    events: list[dict[str, Any]] = [{"t": 0, "ev": "run_started", "traces": 1}]
    for step, score, mean in ((0, 0.9, None), (1, 0.85, 0.8)):
        found = {"t": 1, "ev": "attempt", "id": f"t0s{step}", "trace": 0, "score": score}
        found |= {"kind": "update", "verdict": "accepted", "replaces": step == 0}
        events.append(found | {"best_score": mean})
    view = apply_events([*events, {"ev": "steps_confirmed", "attempt": "t0s1", "steps": ["t0s0"]}])
    assert view.attempts["t0s0"].score == 0.8
    assert view.lines[-1].text == "t0s0: accepted together with t0s1"
