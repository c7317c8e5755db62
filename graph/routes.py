"""Where to go next: pure predicates of the state, so that drawing, type checker and tests know every edge."""

from __future__ import annotations

from typing import Literal

from langgraph.types import Send

from graph.state import RunState, Trace, TraceInput, TraceState

End = Literal["__end__"]


def fan_out(state: RunState) -> list[Send] | Literal["finalize"]:
    """Send every trace that still runs on its next visit, or go to finalize."""
    live = [row for row in state["traces"].values() if row["status"] == "running"]
    if state.get("stop") or not live:
        return "finalize"
    rows = sorted(live, key=lambda row: row["trace"])
    heads = {row["trace"]: row["head"] for row in state["traces"].values() if row["head"]}
    return [
        Send(
            "trace",
            visit(
                state, row, [head for trace, head in sorted(heads.items()) if trace != row["trace"]]
            ),
        )
        for row in rows
    ]


def visit(state: RunState, row: Trace, siblings: list[str]) -> TraceInput:
    until = visit_end(state, row["step"])
    return TraceInput(
        run_dir=state["run_dir"], row=row, until=until, pool=state.get("pool"), siblings=siblings
    )


def visit_end(state: RunState, step: int) -> int:
    return min(step + state["merge_every"], state["steps"])


def selected(state: TraceState) -> Literal["draft", "diagnose", "update", "repair"]:
    """The policy's mode: from nothing, along a gradient, another hypothesis of the last one, a crossover, or a failed script again."""
    mode = state["work"]["mode"]
    if mode == "draft":
        return "draft"
    if mode == "debug":
        return "repair"
    return (
        "update"
        if mode in ("broaden", "crossover") and state["work"].get("diagnosis")
        else "diagnose"
    )


def thought(state: TraceState) -> Literal["execute", "record"]:
    """After draft, update or repair: run the script, or record that the reasoner gave none."""
    return "record" if state["work"].get("error") else "execute"


def diagnosed(state: TraceState) -> Literal["update", "record", "__end__"]:
    """No hypothesis worth a run ends the visit; the row then says so."""
    if state["work"].get("error"):
        return "record"
    return "update" if state["row"]["status"] == "running" else "__end__"


def judged(state: TraceState) -> Literal["repair", "review", "record"]:
    """A failed script is repaired while it has repairs left; one that would become the best is read first."""
    if state["work"].get("failed"):
        return "repair"
    return "review" if state["work"].get("review") else "record"


def reviewed(state: TraceState) -> Literal["repair", "record"]:
    """A finding that the code bears out goes back for repair."""
    return "repair" if state["work"].get("failed") else "record"


def recorded(state: TraceState) -> Literal["select", "__end__"]:
    """The next step of the visit, or back to the merge."""
    row = state["row"]
    if row["status"] != "running" or row["step"] >= state["until"]:
        return "__end__"
    return "select"
