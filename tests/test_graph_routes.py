"""Routes and the reducer of the state, without a process."""

from __future__ import annotations

from typing import Any

from graph.routes import (
    route_diagnosis,
    route_mode,
    route_round,
    route_script,
    route_traces,
    route_verdict,
)
from graph.state import RunState, Trace, TraceState, Work, merge_by_key


def state(**changes: Any) -> RunState:
    traces = {str(index): Trace(trace=index) for index in range(3)}
    return RunState(run_dir="r", steps=5, merge_every=2, traces=traces).evolve(**changes)


def test_fan_out_sends_every_running_trace_in_order() -> None:
    traces = {key: Trace(trace=int(key)) for key in ("10", "2", "1")}
    traces["2"] = traces["2"].evolve(status="done")
    sends = route_traces(state(traces=traces))
    assert [send.arg["row"]["trace"] for send in sends] == [1, 10]  # type: ignore[union-attr]  # not the route to finalize
    assert {send.arg["until"] for send in sends} == {2}  # type: ignore[union-attr]  # not the route to finalize


def test_fan_out_ends_on_a_stop_or_when_no_trace_runs() -> None:
    assert route_traces(state(stop="target")) == "finalize"
    rows = {"0": Trace(trace=0, status="failed")}
    assert route_traces(state(traces=rows)) == "finalize"


def inside(trace: dict[str, Any] | None = None, until: int = 2, **work: Any) -> TraceState:
    given = Work.model_validate({"attempt": "t0s0", "kind": "update", "mode": "directed"} | work)
    row = Trace.model_validate({"trace": 0} | (trace or {}))
    return TraceState(run_dir="r", row=row, until=until, work=given)


def test_edges_inside_a_trace() -> None:
    modes = {"draft": "draft", "directed": "diagnose", "backtrack": "diagnose"}
    modes |= {"broaden": "diagnose", "debug": "repair", "remeasure": "execute"}
    assert {mode: route_mode(inside(mode=mode)) for mode in modes} == modes
    assert route_mode(inside(mode="broaden", diagnosis="x")) == "update"
    assert route_script(inside(error="x")) == "record" and route_script(inside()) == "execute"
    assert route_diagnosis(inside({"status": "done"})) == "__end__"
    assert route_verdict(inside(failed={"problems": ["x"]})) == "repair"
    assert route_verdict(inside(review=True)) == "review" and route_verdict(inside()) == "record"
    assert route_round(inside({"step": 1})) == "select"
    assert route_round(inside({"step": 2})) == "__end__"


def test_reducer_is_idempotent_and_order_free() -> None:
    one, two = {"0": {"step": 1}}, {"1": {"step": 4}}
    assert merge_by_key(merge_by_key(one, two), two) == merge_by_key(merge_by_key(two, one), one)
