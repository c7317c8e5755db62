"""The reader of events.jsonl: pure, tolerant, and true to what was recorded."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from evals.harness.made_up import HOSTILE, synthetic_events
from report.console import plain_lines
from report.event_log import EventTail, load_view, read_events, run_state
from report.formatting import draw_sparkline, format_duration, format_gain, format_score
from report.model import RunView
from report.page_tables import environment_rows
from report.projection import apply_event, apply_events, parse_attempt


def test_a_whole_run_is_projected_to_its_facts() -> None:
    events = synthetic_events(traces=3, steps=6)
    view = apply_events(events)
    records = [e for e in events if e["ev"] == "attempt"]
    accepted = [e["score"] for e in records if e["verdict"] == "accepted"]
    assert (view.task, view.metric, view.direction, view.n_traces) == (
        "city-prices",
        "auc",
        "max",
        3,
    )
    assert len(view.attempts) == len(records)
    assert view.n_accepted == sum(
        e["verdict"] == "accepted" and e["gain"] is not None for e in records
    )
    firsts = [a for a in view.attempts.values() if a.verdict == "first"]
    assert {a.kind for a in firsts} == {"draft"} and len(firsts) + view.n_accepted == len(accepted)
    assert view.best_attempt is not None
    assert view.best_attempt.score == max(accepted)
    assert view.usage.usd == pytest.approx(
        0.0123 * sum("usage" in e and e["ev"] != "attempt" for e in events)
    )
    assert view.elapsed() == pytest.approx(events[-1]["t"] - events[0]["t"])
    assert run_state(view, events[-1]["t"]) == "budget"


def test_projection_leaves_the_old_view_unchanged() -> None:
    view = apply_events(synthetic_events(steps=2)[:20])
    before = (len(view.attempts), view.last, dict(view.traces))
    apply_events(synthetic_events(steps=2)[20:], view)
    assert (len(view.attempts), view.last, dict(view.traces)) == before


@pytest.mark.parametrize(
    "junk",
    [None, [], {}, "x" * 10_000, -1, 1e308, float("nan"), True, [[{}]], {"a": HOSTILE}, 10**400],
)
def test_a_value_of_a_wrong_type_in_any_place_is_skipped(junk: Any) -> None:
    kinds = {e["ev"]: e for e in synthetic_events(steps=3)}
    view = apply_events(synthetic_events(steps=1, ended=False))
    for event in kinds.values():
        for key in event:
            apply_event(view, event | {key: junk})
        apply_event(view, {"ev": event["ev"]})


def test_unknown_kinds_and_keys_are_skipped() -> None:
    view = apply_events(synthetic_events(steps=1))
    assert apply_event(view, {"ev": "something_new", "x": 1}) == view


def test_the_embedding_of_the_memory_is_told_with_the_reason() -> None:
    event = {"t": 1, "ev": "embedding", "name": "lexical-1", "note": "not by MiniLM: offline"}
    view = apply_event(RunView(), event)
    assert view.embedding == "lexical-1 (not by MiniLM: offline)"
    rows = {row[0]: row[1] for row in environment_rows(view, {}, {})}
    assert rows["memory compares texts by"] == view.embedding
    assert plain_lines(view, event) == [f"memory     compares texts by {view.embedding}"]


def test_the_time_reserved_for_the_finale_is_known() -> None:
    assert (
        apply_event(
            RunView(), {"t": 1, "ev": "budget", "seconds": {"finalize": 60.0}}
        ).finalize_reserve_s
        == 60
    )
    assert (
        apply_event(RunView(), {"t": 1, "ev": "budget", "seconds": "<b>"}).finalize_reserve_s
        is None
    )


def test_minimised_metric_keeps_the_lowest_score() -> None:
    view = apply_event(RunView(), {"t": 1, "ev": "run_started", "direction": "min", "traces": 1})
    for i, value in enumerate([5.0, 3.0, 4.0]):
        view = apply_event(
            view,
            {
                "t": 2 + i,
                "ev": "attempt",
                "id": str(i),
                "trace": 0,
                "score": value,
                "verdict": "accepted",
                "kind": "draft",
                "replaces": i < 2,
            },
        )
    assert view.best == "1"
    assert view.total_gain == 2.0


def test_a_replacing_tie_and_an_accepted_ensemble_lead() -> None:
    """The best is what the loop made the best, not the highest score among accepted attempts."""
    view = apply_event(RunView(), {"t": 1, "ev": "run_started", "traces": 2})
    rows = [
        ("a", 0, 0.80, "accepted", True, "draft"),
        ("b", 1, 0.70, "accepted", True, "draft"),
        ("c", 0, 0.79, "tie", True, "update"),
        ("d", 1, 0.795, "tie", False, "update"),
        ("e", 0, 0.82, "accepted", False, "ensemble"),
        ("f", 1, 0.81, "accepted", True, "update"),
    ]
    leaders = []
    for n, (id, trace, value, verdict, replaces, kind) in enumerate(rows):
        event = {
            "ev": "attempt",
            "id": id,
            "trace": trace,
            "score": value,
            "verdict": verdict,
            "replaces": replaces,
            "kind": kind,
        }
        view = apply_event(
            view,
            event
            | {
                "t": 2 + n,
                "gain": 0.01,
                "reasons": [
                    "as good and faster (1.0 s against 9.0 s): -0.01 ± 0.02, p(improved) 0.51"
                ],
            },
        )
        leaders.append(view.best)
    assert leaders == ["a", "a", "c", "c", "e", "e"] and view.curve == (0.80, 0.79, 0.82)
    assert view.traces[0].best == "c" and view.traces[1].best == "f"
    assert any("replaces the best" in line.text for line in view.lines)


def test_a_repeated_attempt_after_a_crash_is_counted_once() -> None:
    events = synthetic_events(steps=2)
    view = apply_events([*events, *(e for e in events if e["ev"] == "attempt")])
    assert len(view.attempts) == 6


def test_a_pause_before_a_resume_is_not_time_used() -> None:
    events = [
        {"t": 100, "ev": "run_started"},
        {"t": 110, "ev": "warning"},
        {"t": 5000, "ev": "run_resumed"},
        {"t": 5005, "ev": "warning"},
    ]
    view = apply_events(events)
    assert view.elapsed() == 15
    assert view.elapsed(now=5007) == 17


def test_time_used_follows_the_events_own_clock() -> None:
    """A person's thinking, and the days between a run and its fork, are no time used."""
    begun = {"ev": "run_started", "t": 100.0, "elapsed": 1.0, "time_s": 600}
    later = {"ev": "steered", "t": 90_100.0, "elapsed": 4.0, "round": 1, "answer": {}}
    view = apply_events([begun, later])
    assert view.elapsed() == 4.0
    assert view.elapsed(90_105.0) == 9.0


def test_a_truncated_last_line_waits_until_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    first, second = (
        json.dumps({"ev": "warning", "message": "a"}),
        json.dumps({"ev": "warning", "message": "é" * 9}),
    )
    path.write_text(first + "\n" + second[:15])
    tail = EventTail(path)
    assert [e["message"] for e in tail.poll()] == ["a"]
    assert list(tail.poll()) == []
    path.write_text(first + "\n" + second + "\n")
    assert [e["message"] for e in tail.poll()] == ["é" * 9]


def test_missing_torn_or_binary_files_give_their_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    assert list(read_events(path)) == []
    path.write_bytes(
        b'\x00\xff\n[1]\n"text"\n'
        + b"[" * 200_000
        + b'\n{"ev": "warning", "message": "ok"}\n{"ev": "war'
    )
    assert [e["ev"] for e in read_events(path)] == ["warning"]


def test_a_run_without_an_end_is_lost_when_nothing_happens_for_long() -> None:
    view = apply_events(synthetic_events(steps=1, ended=False))
    assert view.last is not None
    assert run_state(view, view.last + 5) == "running"
    assert run_state(view, view.last + 10_000) == "lost"
    assert run_state(view, view.last + 10_000, alive=True) == "running"


def test_attempt_never_carries_control_characters_or_endless_text() -> None:
    attempt = parse_attempt(
        {"hypothesis": HOSTILE + "x" * 100_000, "reasons": [HOSTILE] * 1000, "score": float("inf")},
        0,
    )
    assert "\x1b" not in attempt.hypothesis + attempt.reasons[0]
    assert "\u202e" not in attempt.hypothesis
    assert len(attempt.hypothesis) <= 2000
    assert len(attempt.reasons) <= 20
    assert attempt.score is None


def test_two_thousand_attempts_are_projected_in_seconds(tmp_path: Path) -> None:
    synthetic_events(traces=4, steps=500, folder=tmp_path, hostile=False)
    before = time.process_time()
    assert len(load_view(tmp_path).attempts) == 2000
    assert time.process_time() - before < 8


@pytest.mark.parametrize(
    ("value", "se", "text"),
    [
        (0.81234, 0.0041, "0.8123 ± 0.0041"),
        (None, None, "–"),
        (53211.7, 420.0, "53212 ± 420"),
        (-0.5, None, "−0.5000"),
        (3e12, 1.0, "3e+12"),
    ],
)
def test_scores_show_the_digits_that_their_error_allows(
    value: float, se: float | None, text: str
) -> None:
    assert format_score(value, se) == text


def test_gains_are_signed() -> None:
    assert format_gain(0.0123, 0.002) == "+0.0123 ± 0.0020"
    assert format_gain(-0.0123, 0.002) == "−0.0123 ± 0.0020"


def test_spark_rises_when_the_score_gets_better() -> None:
    assert draw_sparkline([3, 2, 1], rising=False) == "▁▅█"
    assert draw_sparkline([]) == ""


def test_durations_read_like_a_clock() -> None:
    assert [format_duration(s) for s in (0.42, 12.2, 151, 3751)] == [
        "0.4 s",
        "12 s",
        "2:31",
        "1:02:31",
    ]
