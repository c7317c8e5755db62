"""Rescue of a stuck trace: continue from the run's best, or combine it with others' successes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from briefs.brief import fact_from
from graph.state import Best, Mode, Trace
from reasoner.protocol import Crossover, Diagnosis, Effect, Hypothesis
from run.attempt import Attempt
from run.history import HistoryEntry
from run.run import Run

N_LACKS = 6
MAX_RESCUED = 200  # starting points that a trace remembers


class CrossoverPlan(BaseModel):
    """What a rescued trace combines, as stored: the material and the harness's own diagnosis."""

    model_config = ConfigDict(frozen=True)
    crossover: Crossover
    diagnosis: Diagnosis


class Rescue(NamedTuple):
    """Where a stuck trace continues; `key` names the rescue, so that it happens only once."""

    start: Best
    key: str
    cross: str | None  # artifact: CrossoverPlan
    why: str


def rescue_trace(run: Run, trace: Trace, traces: list[Trace], best: Best | None) -> Rescue | None:
    """Return a rescue, or None where nothing new is left to start from.

    `traces`: all traces, those that this merge has already rescued in their new state.
    """
    if best is None:
        return None
    own = trace.best
    start = best
    if own is not None and (best.script == own.script or best.ref in trace.rescued):
        start = own
    if run.settings.sharing and (rescue := _plan_crossover(run, trace, traces, start)):
        return rescue
    if own is not None and start.script == own.script:
        return None
    return Rescue(start, start.ref, None, f"continues from {start.attempt}")


def move_trace(trace: Trace, rescue: Rescue) -> Trace:
    """Return the trace as it continues from its rescue."""
    rescued = [*trace.rescued, rescue.key, rescue.start.ref]
    return trace.evolve(
        status="running",
        best=rescue.start,
        anchor=None,
        stepped=0,
        luck=0,
        stagnant=0,
        diagnosis=None,
        tried=[],
        cross=rescue.cross,
        rescued=rescued[-MAX_RESCUED:],
    )


def read_crossover(run: Run, trace: Trace) -> CrossoverPlan | None:
    """Return what a rescued trace is to combine."""
    if not trace.cross:
        return None
    return run.artifacts.get_model(trace.cross, CrossoverPlan)


def _plan_crossover(run: Run, trace: Trace, traces: list[Trace], start: Best) -> Rescue | None:
    """Another trace's best and the accepted hypotheses that `start` lacks, unless tried before."""
    lacks = _missing_successes(run, trace, traces, start)
    if not lacks:
        return None
    key = "+".join([start.ref[:16], *sorted(attempt.id for attempt in lacks)])
    if any(key in other.rescued for other in traces):  # one trace tries a combination, not each
        return None
    partner = _choose_partner(run, traces, lacks)
    crossover = Crossover(
        partner=run.artifacts.get(str(partner.script)),
        summary=partner.summary,
        lacks=[fact_from(attempt) for attempt in lacks],
    )
    plan = CrossoverPlan(crossover=crossover, diagnosis=_crossover_diagnosis(crossover))
    names = ", ".join(attempt.id for attempt in lacks)
    why = f"combines {start.attempt} with what {names} proved"
    return Rescue(start, key, run.artifacts.put_json(plan.model_dump()), why)


def _missing_successes(run: Run, trace: Trace, traces: list[Trace], start: Best) -> list[Attempt]:
    """Attempts accepted for a measured gain in some trace that `start` lacks, surest first.

    Not on the path to `start`, and not tried in vain on that path or by this trace.
    """
    chains = {other.trace: run.history.chain(other.head) for other in traces}
    known = {entry.id: entry for chain in chains.values() for entry in chain}
    path = path_entries(known, start.attempt)
    held = {name for entry in path for name in (_idea_name(entry), *entry.took)}
    proved = [
        entry for entry in known.values() if _has_gained(entry) and _idea_name(entry) not in held
    ]
    if not proved:  # asked at every merge of a stuck trace; the rest looks at every attempt
        return []
    places = {entry.id for entry in path}
    tried = [*chains[trace.trace], *(each for each in known.values() if each.parent in places)]
    refuted = _refuted_names(tried)
    usable = [entry for entry in proved if _idea_name(entry) not in refuted]
    unique = {_idea_name(entry): entry for entry in sorted(usable, key=_gain_over_noise)}
    surest = sorted(unique.values(), key=_gain_over_noise, reverse=True)
    return [run.attempt(entry.ref) for entry in surest[:N_LACKS]]


def path_entries(known: dict[str, HistoryEntry], name: str | None) -> list[HistoryEntry]:
    """The attempts that a solution is made of, across traces."""
    path: list[HistoryEntry] = []
    while name in known:
        path.append(known[name])
        name = known[name].parent
    return path


def _has_gained(entry: HistoryEntry) -> bool:
    if entry.idea is None or not entry.led or entry.mode == "crossover":
        return False
    return (entry.gain or 0.0) > 0


def _gain_over_noise(entry: HistoryEntry) -> float:
    return (entry.gain or 0.0) / max(entry.gain_se or 0.0, 1e-12)


def _idea_name(entry: HistoryEntry) -> str:
    """A hypothesis by its move, or by its words."""
    if entry.idea is None:
        return ""
    return entry.idea.move or _normalise_statement(entry.idea.statement)


def _refuted_names(entries: Iterable[HistoryEntry]) -> set[str]:
    """What was tried without a gain, by itself or in a crossover."""
    lost = [entry for entry in entries if not entry.led]
    return {name for entry in lost for name in (_idea_name(entry), *entry.took)}


def crossover_ideas(run: Run, trace: Trace, mode: Mode) -> list[str]:
    """Return what a crossover was asked to take over, for its record."""
    plan = read_crossover(run, trace) if mode == "crossover" else None
    if plan is None:
        return []
    return [fact.move or _normalise_statement(fact.hypothesis) for fact in plan.crossover.lacks]


def _normalise_statement(statement: str) -> str:
    return " ".join(statement.lower().split())


def _choose_partner(run: Run, traces: list[Trace], lacks: list[Attempt]) -> Attempt:
    """The best of the trace with the surest missing success, else that attempt itself."""
    source = next(trace for trace in traces if trace.trace == lacks[0].trace)
    return run.attempt(source.best.ref) if source.best else lacks[0]


def _crossover_diagnosis(crossover: Crossover) -> Diagnosis:
    """The step that the harness itself proposes."""
    names = "; ".join(fact.hypothesis for fact in crossover.lacks)
    challenge = "other traces proved changes that this script lacks"
    hypothesis = Hypothesis(
        id="crossover",
        challenge=challenge,
        statement=f"take over what helped in other traces: {names}"[:600],
        component="workflow",
        plan="merge the changes into the best script, keeping what it has",
        effect=Effect(sign=1, size="medium"),
        confidence=0.4,
    )
    return Diagnosis(causes=[challenge], hypotheses=[hypothesis])
