"""Where to go next: pure functions of the state, so drawing and type checker know every edge."""

from __future__ import annotations

from typing import Literal

from langgraph.types import Send

from graph.state import RunState, Trace, TraceInput, TraceState


def route_traces(state: RunState) -> list[Send] | Literal["finalize"]:
    """Send every running trace on its next round, or go to finalize."""
    running = [trace for trace in state.sorted_traces() if trace.status == "running"]
    if state.stop or not running:
        return "finalize"
    return [Send("trace", trace_input(state, trace).dump()) for trace in running]


def trace_input(state: RunState, trace: Trace) -> TraceInput:
    """Return the input of a trace's next round."""
    others = [other for other in state.sorted_traces() if other.trace != trace.trace]
    return TraceInput(
        run_dir=state.run_dir,
        row=trace,
        until=min(trace.step + state.merge_every, state.steps),
        siblings=[other.head for other in others if other.head],
    )


def route_mode(state: TraceState) -> Literal["draft", "diagnose", "update", "repair", "execute"]:
    """Follow the policy's choice.

    A first script, a new diagnosis, another hypothesis of the last one, a crossover, a repair, or a
    script once more under another seed.
    """
    work = state.attempt_in_progress
    if work.mode == "remeasure":
        return "execute"
    if work.mode == "draft":
        return "draft"
    if work.mode == "debug":
        return "repair"
    return "update" if work.mode in ("broaden", "crossover") and work.diagnosis else "diagnose"


def route_script(state: TraceState) -> Literal["execute", "record"]:
    """After draft, update or repair: run the script, or record that the reasoner gave none."""
    return "record" if state.attempt_in_progress.error else "execute"


def route_diagnosis(state: TraceState) -> Literal["update", "record", "__end__"]:
    """Without a hypothesis worth a run the trace is done, and its round ends."""
    if state.attempt_in_progress.error:
        return "record"
    return "update" if state.row.status == "running" else "__end__"


def route_verdict(state: TraceState) -> Literal["repair", "review", "record"]:
    """Repair a failed script while it has repairs left; review one that would become the best."""
    work = state.attempt_in_progress
    if work.failed:
        return "repair"
    return "review" if work.review else "record"


def route_review(state: TraceState) -> Literal["repair", "record"]:
    """Repair a script with a finding that nothing can measure; record the others."""
    return "repair" if state.attempt_in_progress.failed else "record"


def route_round(state: TraceState) -> Literal["select", "__end__"]:
    """Take the next step of the round, or return to the merge."""
    if state.row.status != "running" or state.row.step >= state.until:
        return "__end__"
    return "select"
