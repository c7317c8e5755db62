"""Steering: what a person is asked between two rounds, what they may answer, and what the answer does to the state."""

from __future__ import annotations

import re
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from graph.state import RunState, Trace
from reasoner.protocol import Diagnosis, Hypothesis
from run.hints import MAX_CHARS, add_hint, plain
from run.run import Json, Run

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


class Question(BaseModel):
    """What the run asks: how it stands, and what it would try."""

    round: int
    why: str = Field(description="why it asks now")
    metric: str = ""
    best: dict[str, Any] | None = None
    standings: list[dict[str, Any]] = []
    proposals: list[Proposal] = []
    used: dict[str, Any] = {}
    limits: dict[str, Any] = {}


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Choose(Strict):
    """The next step of one trace: a proposed hypothesis, as it is or in your words, or one of your own."""

    trace: int = Field(ge=0, description="number of the trace")
    hypothesis: str = Field("", max_length=200, description="id of a proposal; empty: your own")
    statement: str = Field("", max_length=2000, description="your words; empty: the proposal's")


class Budget(Strict):
    """New limits of the run; what is empty stays."""

    steps: int | None = Field(None, ge=1, le=100_000, description="attempts per trace")
    time_s: float | None = Field(None, gt=0, description="seconds of the whole run")
    max_tokens: int | None = Field(None, gt=0)
    max_usd: float | None = Field(None, gt=0)


class Answer(Strict):
    """The person's word. All of it may stay empty: then the run goes on as it would have."""

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


def question(run: Run, state: RunState) -> Question | None:
    """What to ask after this merge, or None: nothing is asked of nobody, or of a run that ends anyway."""
    rows = live(state)
    if run.settings.steer == "never" or state.get("stop") or not rows:
        return None
    why = (
        stuck(run, rows)
        if run.settings.steer == "stuck"
        else "every round is shown to you (steer: each)"
    )
    if not why:
        return None
    settings = run.settings
    best = state.get("best")
    return Question(
        round=state["round"],
        why=why,
        metric=run.prepared.task.metric,
        best={key: best[key] for key in ("attempt", "trace", "score", "se")} if best else None,
        standings=[standing(row) for row in rows],
        proposals=[proposal for row in rows for proposal in proposals(run, row)],
        used=dict(state["used"]),
        limits={
            "steps": settings.steps,
            "time_s": settings.time_s,
            "max_tokens": settings.max_tokens,
            "max_usd": settings.max_usd,
        },
    )


def live(state: RunState) -> list[Trace]:
    return sorted(
        (row for row in state["traces"].values() if row["status"] == "running"),
        key=lambda row: row["trace"],
    )


def stuck(run: Run, rows: list[Trace]) -> str:
    """Which trace is about to be restarted from the best, or given up; empty: none."""
    for row in rows:
        if row["stagnant"] == max(1, run.settings.patience - 1):
            return f"trace {row['trace']} has gained nothing for {row['stagnant']} rounds"
        if row["failures"] == max(1, run.settings.max_failures - 1):
            return f"trace {row['trace']} has failed {row['failures']} times in a row"
    return ""


def standing(row: Trace) -> Json:
    return {
        "trace": row["trace"],
        "step": row["step"],
        "score": row["best"]["score"] if row["best"] else None,
        "best": row["best"]["attempt"] if row["best"] else None,
        "accepted": row["n_accepted"],
        "stagnant": row["stagnant"],
        "pinned": row.get("pinned", False),
    }


def proposals(run: Run, row: Trace) -> list[Proposal]:
    if row["best"] is None:
        return []
    return [
        Proposal(
            trace=row["trace"],
            hypothesis=each.id,
            statement=each.statement[:600],
            challenge=each.challenge[:300],
            component=each.component,
            confidence=each.confidence,
        )
        for each in untried(run, row)[:N_PROPOSED]
    ]


def untried(run: Run, row: Trace) -> list[Hypothesis]:
    """What the trace's last diagnosis proposed and was not run."""
    latest = run.attempt(row["head"]) if row["head"] else None
    ref = row["diagnosis"] or (latest["diagnosis"] if latest else None)
    if ref is None:
        return []
    tried = {
        *row["tried"],
        (latest or {}).get("hypothesis", {}).get("id", "")
        if latest and latest.get("hypothesis")
        else "",
    }
    return [
        each
        for each in Diagnosis.model_validate(run.artifacts.get_json(ref)).hypotheses
        if each.id not in tried
    ]


def answered(run: Run, state: RunState, answer: Answer) -> Json:
    """The update of the state that the answer asks for. Told again after a kill, it does the same."""
    if answer.hint:
        add_hint(run.folder, answer.hint, key=f"round-{state['round']}")
    rows = {key: steered(run, row, answer) for key, row in state["traces"].items()}
    update: Json = {"traces": rows}
    if answer.budget:
        run.change(**answer.budget.model_dump(exclude_none=True))
        update["steps"] = run.settings.steps
        update["traces"] = {
            key: lengthened(row, state["steps"], run.settings.steps) for key, row in rows.items()
        }
    if answer.stop:
        update["stop"] = "stopped by you"
    run.events.emit(
        "steered",
        key=str(state["round"]),
        round=state["round"],
        answer=answer.model_dump(exclude_defaults=True),
    )
    return update


def steered(run: Run, row: Trace, answer: Answer) -> Trace:
    new = Trace(**row)
    if row["trace"] in answer.pin:
        new["pinned"] = True
    if row["trace"] in answer.drop:
        new["status"] = "dropped"
    for choice in answer.choose:
        if choice.trace == row["trace"] and (chosen := hypothesis_of(run, row, choice)):
            new["told"] = run.artifacts.put_json(Diagnosis(hypotheses=[chosen]).model_dump())
    return new


def understood(run: Run, row: Trace) -> str | None:
    """`told` as an artifact. Whoever edits the state (Studio) writes what the terminal takes: `h2`, `h2: other words`, or an idea of their own."""
    told = row.get("told")
    if not told or ARTIFACT.fullmatch(told):
        return told
    name, _, words = plain(told)[:MAX_CHARS].partition(":")
    known = name.strip() in {each.id for each in untried(run, row)}
    choice = (
        Choose(trace=row["trace"], hypothesis=name.strip(), statement=words.strip())
        if known
        else own(row, told)
    )
    chosen = hypothesis_of(run, row, choice)
    return run.artifacts.put_json(Diagnosis(hypotheses=[chosen]).model_dump()) if chosen else None


def own(row: Trace, told: str) -> Choose:
    return Choose(trace=row["trace"], statement=plain(told)[:MAX_CHARS])


def lengthened(row: Trace, old: int, new: int) -> Trace:
    """A trace that had made all of its steps goes on when there are more."""
    return (
        row | {"status": "running"}
        if row["status"] == "done" and row["step"] >= old and new > row["step"]
        else row
    )


def hypothesis_of(run: Run, row: Trace, choice: Choose) -> Hypothesis | None:
    """The proposal that was meant, in the person's words where there are any; None where there is nothing to do."""
    for known in untried(run, row):
        if known.id == choice.hypothesis:
            return known.model_copy(update={"statement": choice.statement or known.statement})
    if not choice.statement:
        return None
    name = f"you-{row['trace']}-{row['step']}"
    return Hypothesis(
        id=name,
        challenge="a person's own idea",
        statement=choice.statement,
        component="workflow",
        plan=choice.statement,
    )
