"""The wiring, on one screen.  `graph` is what LangGraph Studio and langgraph.json point at (no checkpointer of its own)."""

from __future__ import annotations

from typing import Any

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from graph.routes import diagnosed, fan_out, judged, recorded, reviewed, selected, thought
from graph.settings import Settings
from graph.state import Input, RunState, TraceInput, TraceOutput, TraceState
from nodes.diagnose import diagnose
from nodes.draft import draft
from nodes.execute import execute
from nodes.finalize import finalize
from nodes.merge import merge
from nodes.profile import profile
from nodes.record import record
from nodes.repair import repair
from nodes.review import review
from nodes.select import select
from nodes.steer import steer
from nodes.update import update
from nodes.validate import validate

DESCRIPTION = "ML-engineering agent: drafts, runs, diagnoses and updates training scripts in parallel traces that meet at a merge"
MANY = 1_000_000  # super-steps: the budgets in the settings end a run, not a count
Compiled = CompiledStateGraph[Any, Any, Any, Any]


def trace_graph() -> Compiled:
    """One visit of a trace: draft or (gradient, step), forward pass, checks, record; as often as the merge allows."""
    trace = StateGraph(
        TraceState, input_schema=TraceInput, output_schema=TraceOutput, context_schema=Settings
    )
    trace.add_node(select)
    trace.add_node(draft)
    trace.add_node(diagnose)
    trace.add_node(update)
    trace.add_node(execute)
    trace.add_node(validate)
    trace.add_node(review)
    trace.add_node(repair)
    trace.add_node(record)
    trace.add_edge(START, "select")
    trace.add_conditional_edges("select", selected, ["draft", "diagnose", "update", "repair"])
    trace.add_conditional_edges("draft", thought, ["execute", "record"])
    trace.add_conditional_edges("diagnose", diagnosed, ["update", "record", END])
    trace.add_conditional_edges("update", thought, ["execute", "record"])
    trace.add_edge("execute", "validate")
    trace.add_conditional_edges("validate", judged, ["repair", "review", "record"])
    trace.add_conditional_edges("review", reviewed, ["repair", "record"])
    trace.add_conditional_edges("repair", thought, ["execute", "record"])
    trace.add_conditional_edges("record", recorded, ["select", END])
    return trace.compile(name="trace")


def run_graph() -> StateGraph[Any, Any, Any, Any]:
    """profile, fan out, traces, merge (all-reduce), a person's word, fan out again or finalize."""
    graph = StateGraph(RunState, input_schema=Input, context_schema=Settings)
    graph.add_node(profile)
    graph.add_node("trace", trace_graph(), input_schema=TraceInput)
    graph.add_node(merge)
    graph.add_node(steer)
    graph.add_node(finalize)
    graph.add_edge(START, "profile")
    graph.add_conditional_edges("profile", fan_out, ["trace", "finalize"])
    graph.add_edge("trace", "merge")
    graph.add_edge("merge", "steer")
    graph.add_conditional_edges("steer", fan_out, ["trace", "finalize"])
    graph.add_edge("finalize", END)
    return graph


def build_graph(checkpointer: Any = None) -> Compiled:
    """The compiled graph. Give a checkpointer to make its runs resumable; Studio brings its own."""
    return (
        run_graph()
        .compile(checkpointer=checkpointer, name="gome")
        .with_config(recursion_limit=MANY)
    )


graph = build_graph()
