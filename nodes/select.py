"""select: which step next, from which solution. A person, a rescue or the policy decides."""

from __future__ import annotations

import random
from typing import Any

from briefs.brief import HISTORY
from briefs.crossover import read_crossover
from briefs.dealing import deal_step
from graph.state import Trace, TraceState, Work
from policies.protocol import Choice, Policy, View
from policies.registry import POLICIES
from reasoner.protocol import Diagnosis
from run.registry import NodeRuntime, current_run
from run.run import Run
from run.steering import steering_diagnosis
from scoring.honesty import leave_dishonest
from scoring.remeasure import pick_rival, repeat_attempt


async def select(
    state: TraceState, runtime: NodeRuntime, *, policy: Policy | None = None
) -> dict[str, Any]:
    """Begin an attempt. `policy` replaces the one that the settings name."""
    run = current_run(state.run_dir, runtime)
    state = state.evolve(row=leave_dishonest(run, state.row))
    trace, drafts = await deal_step(run, state)
    wanted = steering_diagnosis(run, trace) if trace.best else None
    choice = _forced_choice(trace, wanted) or pick_rival(run, trace)
    if choice is None:
        rng = random.Random(f"{run.settings.seed}/{trace.trace}/{trace.step}")
        decide = policy or POLICIES[run.settings.policy]
        choice = decide(_policy_view(run, trace, state.siblings, drafts), rng)
    work = _begin_attempt(run, trace, choice)
    if wanted:
        work, trace = work.evolve(diagnosis=wanted), trace.evolve(told=None)
    return {"work": work.dump(), "row": trace.dump()}


def _forced_choice(trace: Trace, wanted: str | None) -> Choice | None:
    """A person's choice comes before a rescue's, and both before the policy."""
    if trace.best is None:
        return None
    if wanted:
        return Choice("broaden", trace.best.ref, "chosen by a person")
    if trace.cross:
        why = "combine the best with what the other traces proved"
        return Choice("crossover", trace.best.ref, why)
    return None


def _policy_view(run: Run, trace: Trace, siblings: list[str], drafts: int | None) -> View:
    shared = siblings if run.settings.sharing else []
    chains = [run.history.chain(head, limit=HISTORY) for head in shared]
    return View(
        attempts=run.history.chain(trace.head, limit=HISTORY),
        best=trace.best.ref if trace.best else None,
        open_hypotheses=_count_open_hypotheses(run, trace),
        direction=run.prepared.task.direction,
        tried=len(trace.tried),
        others=[entry for chain in chains for entry in chain],
        steps=run.settings.steps,
        drafts=drafts,
    )


def _count_open_hypotheses(run: Run, trace: Trace) -> int:
    if not trace.diagnosis:
        return 0
    diagnosis = run.artifacts.get_model(trace.diagnosis, Diagnosis)
    return sum(hypothesis.id not in trace.tried for hypothesis in diagnosis.hypotheses)


def _begin_attempt(run: Run, trace: Trace, choice: Choice) -> Work:
    """Its id is its trace and step, so a node that runs again begins the same attempt."""
    base = run.attempt(choice.base) if choice.base else None
    work = Work(
        attempt=f"t{trace.trace}s{trace.step}",
        kind="draft" if choice.mode == "draft" else "update",
        mode=choice.mode,
        why=choice.why,
        base=choice.base,
        parent=base.id if base else None,
    )
    if base and choice.mode == "broaden":
        return work.evolve(diagnosis=trace.diagnosis)
    if base and choice.mode == "debug":
        return work.evolve(
            script=base.script,
            grade=base.grade,
            execution=base.execution,
            reasons=base.reasons,
            hypothesis=base.hypothesis,
        )
    if base and choice.mode == "remeasure":
        return repeat_attempt(run, work, base.ref)
    if choice.mode == "crossover" and (plan := read_crossover(run, trace)):
        return work.evolve(diagnosis=run.artifacts.put_json(plan.diagnosis.model_dump()))
    return work
