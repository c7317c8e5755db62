"""Acceptance, routes, events and artifacts: one test per promise, no process started."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from graph.routes import diagnosed, fan_out, judged, recorded, selected, thought
from graph.state import by_key, new_trace
from run.artifacts import ArtifactError, Artifacts
from run.events import Events, read_events
from scoring.acceptance import Side, audited, judge


def grade(d: float | None = None, se: float = 0.1, problems: tuple[str, ...] = ()) -> Any:
    paired = (
        {}
        if d is None
        else {"best": {"d": d, "se": se, "p_improved": 0.5, "method": "rows", "n": 100}}
    )
    return {
        "ok": not problems,
        "problems": [{"code": code, "message": code} for code in problems],
        "paired": paired,
    }


def verdict(given: Any, **changes: Any) -> tuple[str, bool]:
    arguments: dict[str, Any] = {
        "z": 1.0,
        "has_best": True,
        "new": Side(1.0, 100),
        "best": Side(1.0, 100),
    } | changes
    judgement = judge(given, **arguments)
    assert (
        all(reason["code"] and reason["message"] for reason in judgement.reasons)
        and judgement.reasons
    )
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
    assert verdict(grade(0.0), best=Side(10.0, 100)) == ("tie", True)


def test_a_tie_is_won_by_the_much_simpler_script() -> None:
    assert verdict(grade(0.0), new=Side(1.0, 70)) == ("tie", True)
    assert verdict(grade(0.0), new=Side(1.0, 90)) == ("tie", False)


def test_a_difference_over_several_seeds_replaces_the_one_in_doubt() -> None:
    again: Any = {"d": 0.01, "se": 0.1, "p_improved": 0.54, "method": "rows", "n": 100}
    assert verdict(grade(0.2), again=again) == ("tie", False)


def test_the_audit_takes_an_acceptance_back_only_beyond_noise_or_for_a_leak() -> None:
    accepted = judge(grade(0.5), z=1.0, has_best=True, new=Side(1, 1), best=Side(1, 1))
    paired: Any = {"d": -0.1, "se": 0.1, "p_improved": 0.2, "method": "rows", "n": 100}
    assert audited(accepted, None, paired) == accepted
    assert audited(accepted, None, paired | {"d": -0.3}).codes == ["audit_contradicts"]
    assert audited(accepted, {"code": "leak_audit", "message": "leaks"}, None).verdict == "rejected"


def test_leaks_are_rejected_and_broken_files_fail_whatever_the_score() -> None:
    assert verdict(grade(9.0, problems=("leak_copy",))) == ("rejected", False)
    assert verdict(grade(9.0, problems=("missing_rows",))) == ("failed", False)


def test_removing_a_flaw_of_the_data_may_lower_the_score() -> None:
    assert verdict(grade(-5.0), validity=True) == ("accepted", True)


def state(**changes: Any) -> Any:
    traces = {str(index): new_trace(index) for index in range(3)}
    return {"run_dir": "r", "steps": 5, "merge_every": 2, "traces": traces, "stop": ""} | changes


def test_fan_out_sends_every_running_trace_in_order() -> None:
    traces = {key: new_trace(int(key)) for key in ("10", "2", "1")}
    traces["2"]["status"] = "done"
    sends = fan_out(state(traces=traces))
    assert [send.arg["row"]["trace"] for send in sends] == [1, 10]  # type: ignore[union-attr]
    assert {send.arg["until"] for send in sends} == {2}  # type: ignore[union-attr]


def test_fan_out_ends_when_told_or_when_no_trace_runs() -> None:
    assert fan_out(state(stop="target")) == "finalize"
    rows = {"0": new_trace(0) | {"status": "failed"}}
    assert fan_out(state(traces=rows)) == "finalize"


def test_edges_inside_a_trace() -> None:
    row = new_trace(0)
    best = row | {"best": {"attempt": "t0s0"}}
    modes = ("draft", "directed", "backtrack", "broaden", "debug")
    assert [selected({"work": {"mode": mode}}) for mode in modes] == [
        "draft",
        "diagnose",
        "diagnose",
        "diagnose",
        "repair",
    ]  # type: ignore[typeddict-item]
    assert selected({"work": {"mode": "broaden", "diagnosis": "x"}}) == "update"  # type: ignore[typeddict-item]
    assert thought({"work": {"error": "x"}}) == "record" and thought({"work": {}}) == "execute"  # type: ignore[typeddict-item]
    assert diagnosed({"row": best | {"status": "done"}, "work": {}}) == "__end__"  # type: ignore[typeddict-item]
    assert judged({"work": {"failed": {"problems": ["x"]}}}) == "repair"  # type: ignore[typeddict-item]
    assert recorded({"row": best | {"step": 1}, "until": 2}) == "select"  # type: ignore[typeddict-item]
    assert recorded({"row": best | {"step": 2}, "until": 2}) == "__end__"  # type: ignore[typeddict-item]


def test_reducer_is_idempotent_and_order_free() -> None:
    one, two = {"0": {"step": 1}}, {"1": {"step": 4}}
    assert by_key(by_key(one, two), two) == by_key(by_key(two, one), one)


def test_an_event_with_a_key_is_written_once_also_by_a_later_process(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    first = Events(path)
    first.emit("attempt", key="t0s0", score=1.0)
    first.emit("attempt", key="t0s0", score=1.0)
    Events(path).emit("attempt", key="t0s0", score=1.0)
    assert [event["ev"] for event in read_events(path)] == ["attempt"]


def test_a_line_cut_by_a_kill_is_passed_over_and_the_next_stands_alone(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text(json.dumps({"ev": "a", "elapsed": 5.0}) + '\n{"ev": "b", "elap')
    events = Events(path)
    assert events.elapsed >= 5.0
    events.emit("c")
    assert [event["ev"] for event in read_events(path)] == ["a", "c"]


def test_spending_survives_a_resume(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    events = Events(path)
    events.emit("updated", key="x", usage={"input_tokens": 100, "output_tokens": 20, "usd": 0.5})
    events.emit("execution_finished", key="x")
    used = Events(path).used
    assert (used["tokens"], used["usd"], used["executions"]) == (120, 0.5, 1)


def test_threads_may_put_the_same_content_at_once(tmp_path: Path) -> None:
    """Two traces often keep the same file in the same moment: a shared temporary name would let one take the other's away."""
    store = Artifacts(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        for turn in range(40):
            assert len(set(pool.map(store.put, [bytes([turn]) * 200_000] * 8))) == 1
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_tampered_artifact_is_refused(tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path)
    ref = artifacts.put("print(1)")
    assert artifacts.get(ref) == "print(1)" and artifacts.put("print(1)") == ref
    artifacts.path(ref).write_text("print(2)")
    with pytest.raises(ArtifactError, match="does not match"):
        artifacts.get(ref)
