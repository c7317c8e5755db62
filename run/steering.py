"""Steering: a question to a person between two rounds, the answer, and its effect on the state."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from graph.state import Json, RunState, Trace
from reasoner.protocol import Diagnosis, Hypothesis, MoveReasoner
from report.formatting import name_metric
from run.hints import MAX_CHARS, add_hint, to_plain_line
from run.run import Run

N_PROPOSED = 5  # hypotheses of one trace that are shown
ARTIFACT = re.compile(r"[0-9a-f]{64}")


class Proposal(BaseModel):
    """A hypothesis of a trace's last diagnosis that was not run yet."""

    trace: int
    hypothesis: str = Field(description="its id")
    statement: str
    challenge: str = ""
    component: str = ""
    confidence: float = 0.5


class SteeringStanding(BaseModel):
    """The standing of one trace, as shown to a person."""

    trace: int
    step: int
    score: float | None
    best: str | None
    accepted: int
    stagnant: int
    pinned: bool


class SteeringBest(BaseModel):
    """The run's best, as shown to a person."""

    attempt: str
    trace: int
    score: float
    se: float


class Question(BaseModel):
    """The run's question: its standing, and what it would try next."""

    round: int
    why: str = Field(description="why it asks now")
    metric: str = ""
    best: SteeringBest | None = None
    standings: list[SteeringStanding] = []
    proposals: list[Proposal] = []
    used: dict[str, Any] = {}
    limits: dict[str, Any] = {}
    moves: dict[str, str] = Field(
        {},
        description="moves that a reasoner which reads no words takes by name: name -> statement",
    )


class Strict(BaseModel):
    """Part of an answer: frozen; unknown fields and infinite numbers are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Choose(Strict):
    """The next step of one trace: a proposal, as it is or in your words, or your own idea."""

    trace: int = Field(ge=0, description="number of the trace")
    hypothesis: str = Field("", max_length=200, description="id of a proposal; empty: your own")
    statement: str = Field("", max_length=2000, description="your words; empty: the proposal's")


class Budget(Strict):
    """New limits of the run; empty fields stay unchanged."""

    steps: int | None = Field(None, ge=1, le=100_000, description="attempts per trace")
    time_s: float | None = Field(None, gt=0, description="seconds of the whole run")
    max_tokens: int | None = Field(None, gt=0)
    max_usd: float | None = Field(None, gt=0)


class Answer(Strict):
    """A person's answer. If all of it is empty, the run continues unchanged."""

    stop: bool = Field(
        False, title="Stop", description="end the run now: refit the best and hand it over"
    )
    hint: str = Field(
        "",
        max_length=MAX_CHARS,
        title="Hint",
        description="quoted to the reasoner as your words from now on",
    )
    choose: list[Choose] = Field(
        default_factory=list, max_length=64, title="Next steps", description="what traces try next"
    )
    pin: list[int] = Field(
        default_factory=list,
        max_length=64,
        title="Pin",
        description="traces that are left on their own path, never restarted",
    )
    drop: list[int] = Field(
        default_factory=list, max_length=64, title="Drop", description="traces that end now"
    )
    budget: Budget | None = Field(None, title="Budget")


def make_question(run: Run, state: RunState) -> Question | None:
    """Return the question after this merge; None: nobody is asked, or the run ends anyway."""
    settings = run.settings
    running = [trace for trace in state.sorted_traces() if trace.status == "running"]
    if settings.steer == "never" or state.stop or not running:
        return None
    why = "every round is shown to you (steer: each)"
    if settings.steer == "stuck":
        why = _describe_stuck_trace(run, running)
    if not why:
        return None
    best = state.best
    return Question(
        round=state.round,
        why=why,
        metric=name_metric(run.prepared.task.metric),
        best=SteeringBest.model_validate(best.dump()) if best else None,
        standings=[_steering_standing(run, trace) for trace in running],
        proposals=[proposal for trace in running for proposal in _list_proposals(run, trace)],
        used=state.used.dump(),
        limits={
            "steps": settings.steps,
            "time_s": settings.time_s,
            "max_tokens": settings.max_tokens,
            "max_usd": settings.max_usd,
        },
        moves=known_moves(run),
    )


def known_moves(run: Run) -> dict[str, str]:
    """Return the moves of a reasoner that reads no words; empty for one that does."""
    return run.reasoner.list_moves() if isinstance(run.reasoner, MoveReasoner) else {}


def explain_moves(moves: Iterable[str]) -> str:
    """Say why words are refused, and what is understood instead."""
    return (
        "the expert reads no words, only its proposals and moves by name: "
        f"{', '.join(sorted(moves))}"
    )


def _describe_stuck_trace(run: Run, traces: list[Trace]) -> str:
    """Say which trace is about to be rescued or given up; empty: none."""
    for trace in traces:
        if trace.stagnant == max(1, run.settings.patience - 1):
            return f"trace {trace.trace} has gained nothing for {trace.stagnant} rounds"
        if trace.failures == max(1, run.settings.max_failures - 1):
            return f"trace {trace.trace} has failed {trace.failures} times in a row"
    return ""


def _steering_standing(run: Run, trace: Trace) -> SteeringStanding:
    return SteeringStanding(
        trace=trace.trace,
        step=trace.step,
        score=trace.best.score if trace.best else None,
        best=trace.best.attempt if trace.best else None,
        accepted=run.history.count_accepted(trace.head),
        stagnant=trace.stagnant,
        pinned=trace.pinned,
    )


def _list_proposals(run: Run, trace: Trace) -> list[Proposal]:
    if trace.best is None:
        return []
    return [
        Proposal(
            trace=trace.trace,
            hypothesis=each.id,
            statement=each.statement[:600],
            challenge=each.challenge[:300],
            component=each.component,
            confidence=each.confidence,
        )
        for each in untried_proposals(run, trace)[:N_PROPOSED]
    ]


def untried_proposals(run: Run, trace: Trace) -> list[Hypothesis]:
    """Return the hypotheses of the trace's last diagnosis that were not run."""
    latest = run.attempt(trace.head) if trace.head else None
    ref = trace.diagnosis or (latest.diagnosis if latest else None)
    if ref is None:
        return []
    tried = set(trace.tried)
    if latest and latest.hypothesis:
        tried.add(latest.hypothesis.id)
    diagnosis = run.artifacts.get_model(ref, Diagnosis)
    return [each for each in diagnosis.hypotheses if each.id not in tried]


def apply_answer(run: Run, state: RunState, answer: Answer) -> Json:
    """Return the state update that the answer asks for; repeating it after a kill is harmless."""
    if answer.hint and (moves := known_moves(run)):
        run.warn(f"the hint is left out: {explain_moves(moves)}")
    elif answer.hint:
        add_hint(run.folder, answer.hint, key=f"round-{state.round}")
    traces = {key: _steer_trace(run, trace, answer) for key, trace in state.traces.items()}
    update: Json = {}
    if answer.budget:
        run.change_settings(**answer.budget.model_dump(exclude_none=True))
        update["steps"] = steps = run.settings.steps
        traces = {key: wake_trace(trace, state.steps, steps) for key, trace in traces.items()}
    if answer.stop:
        update["stop"] = "stopped by you"
    update["traces"] = {key: trace.dump() for key, trace in traces.items()}
    run.events.emit(
        "steered",
        key=str(state.round),
        round=state.round,
        answer=answer.model_dump(exclude_defaults=True),
    )
    return update


def _steer_trace(run: Run, trace: Trace, answer: Answer) -> Trace:
    if trace.trace in answer.pin:
        trace = trace.evolve(pinned=True)
    if trace.trace in answer.drop:
        trace = trace.evolve(status="dropped")
    for choice in answer.choose:
        if choice.trace == trace.trace and (hypothesis := _chosen_hypothesis(run, trace, choice)):
            trace = trace.evolve(told=_store_diagnosis(run, hypothesis))
    return trace


def _store_diagnosis(run: Run, hypothesis: Hypothesis) -> str:
    return run.artifacts.put_json(Diagnosis(hypotheses=[hypothesis]).model_dump())


def steering_diagnosis(run: Run, trace: Trace) -> str | None:
    """Return what a person wants of this trace next, as an artifact.

    Someone who edits the state in Studio writes what the terminal takes: `h2`, `h2: other words`,
    or an idea of their own.
    """
    wish = trace.told
    if not wish or ARTIFACT.fullmatch(wish):
        return wish
    line = to_plain_line(wish)[:MAX_CHARS]
    name, _, words = line.partition(":")
    choice = Choose(trace=trace.trace, statement=line)
    if name.strip() in {each.id for each in untried_proposals(run, trace)}:
        choice = Choose(trace=trace.trace, hypothesis=name.strip(), statement=words.strip())
    hypothesis = _chosen_hypothesis(run, trace, choice)
    return _store_diagnosis(run, hypothesis) if hypothesis else None


def wake_trace(trace: Trace, old: int, new: int) -> Trace:
    """Let a trace that had used all of its `old` steps run again when there are more."""
    if trace.status == "done" and trace.step >= old and new > trace.step:
        return trace.evolve(status="running")
    return trace


def _chosen_hypothesis(run: Run, trace: Trace, choice: Choose) -> Hypothesis | None:
    """The proposal that was meant, in the person's words where given; None: nothing to do."""
    for known in untried_proposals(run, trace):
        if known.id == choice.hypothesis:
            words = "" if known_moves(run) else choice.statement
            return known.model_copy(update={"statement": words or known.statement})
    if not choice.statement:
        return None
    moves = known_moves(run)
    if moves and choice.statement not in moves:
        run.warn(f"{choice.statement!r} is left out: {explain_moves(moves)}")
        return None
    return Hypothesis(
        id=f"you-{trace.trace}-{trace.step}",
        challenge="a person's own idea",
        statement=moves.get(choice.statement, choice.statement),
        component="workflow",
        plan=choice.statement,
        move=choice.statement if moves else None,
    )
