"""The wiring, on one screen.

`graph` and `trace_graph` are what langgraph.json and LangGraph Studio point at; they have neither
checkpointer nor store of their own.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.store.base import BaseStore

from graph import routes
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
from policies.protocol import Policy
from run.guard import about_node, guard_round, guard_step
from scoring.acceptance import Acceptance

DESCRIPTION = (
    "ML-engineering agent: drafts, runs, diagnoses and updates training scripts "
    "in parallel traces that meet at a merge"
)
TRACE_DESCRIPTION = "One round of a trace: draft, or diagnose and update; execute, validate, record"
MAX_SUPERSTEPS = 1_000_000  # budgets in the settings end a run, not LangGraph's recursion limit
Compiled = CompiledStateGraph[Any, Any, Any, Any]


def build_trace_graph(policy: Policy | None, acceptance: Acceptance | None) -> Compiled:
    """Compile one round of a trace: draft or (diagnose, update), execute, validate, record."""
    trace = StateGraph(
        TraceState, input_schema=TraceInput, output_schema=TraceOutput, context_schema=Settings
    )
    selecting = partial(guard_step(select), policy=policy)
    trace.add_node("select", selecting, metadata=about_node(select))
    trace.add_node("draft", guard_step(draft), metadata=about_node(draft))
    trace.add_node("diagnose", guard_step(diagnose), metadata=about_node(diagnose))
    trace.add_node("update", guard_step(update), metadata=about_node(update))
    trace.add_node("execute", guard_step(execute), metadata=about_node(execute))
    judging = partial(guard_step(validate), acceptance=acceptance)
    trace.add_node("validate", judging, metadata=about_node(validate))
    trace.add_node("review", guard_step(review), metadata=about_node(review))
    trace.add_node("repair", guard_step(repair), metadata=about_node(repair))
    trace.add_node("record", guard_step(record), metadata=about_node(record))
    trace.add_edge(START, "select")
    trace.add_conditional_edges("select", routes.route_mode)
    trace.add_conditional_edges("draft", routes.route_script)
    trace.add_conditional_edges("diagnose", routes.route_diagnosis)
    trace.add_conditional_edges("update", routes.route_script)
    trace.add_edge("execute", "validate")
    trace.add_conditional_edges("validate", routes.route_verdict)
    trace.add_conditional_edges("review", routes.route_review)
    trace.add_conditional_edges("repair", routes.route_script)
    trace.add_conditional_edges("record", routes.route_round)
    return trace.compile(name="trace")


def build_graph(
    checkpointer: Any = None,
    policy: Policy | None = None,
    acceptance: Acceptance | None = None,
    store: BaseStore | None = None,
) -> Compiled:
    """Compile the graph: profile, traces in parallel, merge (all-reduce), steer, again or finalize.

    Args:
        checkpointer: makes runs resumable by thread id; Studio brings its own.
        policy: replaces the policy that the settings name.
        acceptance: replaces the rule that compares an attempt with its trace's best; the doubt
            band, the audit's veto and the finale's own rule remain.
        store: what nodes and tools reach as `runtime.store`; a session passes the success memory
            (memory.langgraph_store).
    """
    graph = StateGraph(RunState, input_schema=Input, context_schema=Settings)
    graph.add_node("profile", guard_round(profile), metadata=about_node(profile))
    graph.add_node("trace", build_trace_graph(policy, acceptance), input_schema=TraceInput)
    merging = partial(guard_round(merge), acceptance=acceptance)
    graph.add_node("merge", merging, metadata=about_node(merge))
    graph.add_node("steer", guard_round(steer), metadata=about_node(steer))
    graph.add_node("finalize", guard_round(finalize), metadata=about_node(finalize))
    graph.add_edge(START, "profile")
    graph.add_conditional_edges("profile", routes.route_traces, ["trace", "finalize"])
    graph.add_edge("trace", "merge")
    graph.add_edge("merge", "steer")
    graph.add_conditional_edges("steer", routes.route_traces, ["trace", "finalize"])
    graph.add_edge("finalize", END)
    compiled = graph.compile(checkpointer=checkpointer, store=store, name="gome")
    return compiled.with_config(recursion_limit=MAX_SUPERSTEPS)


graph = build_graph()
trace_graph = build_trace_graph(None, None)
