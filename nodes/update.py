"""update: the optimiser's step with momentum.  Chooses a hypothesis in the light of recalled successes and changes the best script."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from briefs import excerpts as quotes
from briefs.ask import add_usage, thought, unanswered
from briefs.brief import base, fact
from graph.state import Trace, TraceState, Work
from memory.protocol import Recall
from reasoner.protocol import Crossover, Diagnosis, Fact, Hint, ReasonerError, UpdateBrief
from run.run import Json, Run, open_run
from scoring.ensemble import N_SHOWN, entries_of, members_of

N_HINTS, N_WARNINGS = 3, 2


async def update(state: TraceState) -> dict[str, Any]:
    run, row, work = open_run(state["run_dir"]), state["row"], state["work"]
    assert work["base"] is not None  # routes.selected
    start = run.attempt(work["base"])
    diagnosis = untried(
        Diagnosis.model_validate(run.artifacts.get_json(work["diagnosis"])), row["tried"]
    )
    parts = [work["attempt"], work["diagnosis"], start["script"], *row["tried"], *state["siblings"]]
    began = time.monotonic()
    try:
        answer = await thought(run, "update", parts, lambda: step(run, state, start, diagnosis))
    except ReasonerError as error:
        return {"work": await unanswered(run, row, work, error)}
    tell(run, row, work, answer, round(time.monotonic() - began, 3))
    return {
        "work": work
        | {
            "script": run.artifacts.put(answer["script"]),
            "kind": "ensemble" if answer["ensemble"] else work["kind"],
            "ensemble": answer["ensemble"],
            "summary": answer["summary"],
            "hypothesis": answer["hypothesis"],
            "usage": add_usage(work["usage"], answer["usage"]),
        }
    }


async def step(run: Run, state: TraceState, start: Json, diagnosis: Diagnosis) -> Json:
    """The reasoner's step from the script of `start`, with the hints that it was given."""
    row, pool = state["row"], state.get("pool")
    crossover = crossing(run, state)
    hints = [] if crossover else await recall(run, row, diagnosis)
    heads = [row["head"], *(state["siblings"] if run.settings.sharing else [])]
    common = base(run, row, state["siblings"])  # read last: what others run at this moment is in it
    run.flying[row["trace"]] = diagnosis.hypotheses[0].statement
    brief = UpdateBrief(
        **common,
        script=run.artifacts.get(start["script"]),
        evidence=run.artifacts.get_json(start["evidence"]),
        log=quotes.log(run, start["log"]),
        diagnosis=diagnosis,
        hints=hints,
        quotes=quotes.changes(run, heads, hints, common["path"]),
        may_ask=len(quotes.attempts(run, heads)) > 1,
        crossover=crossover,
        members=named(run, pool),
    )
    solution = await quotes.step(run, brief, heads)
    if solution.hypothesis:
        run.flying[row["trace"]] = solution.hypothesis.statement
    if solution.ensemble and (missing := unknown(run, pool, solution.ensemble)):
        raise ReasonerError(
            f"the ensemble names {missing}; it may blend at least two of the attempts in `members`"
        )
    return solution.model_dump() | {"hints": [hint.model_dump() for hint in hints]}


def crossing(run: Run, state: TraceState) -> Crossover | None:
    """What a rescued trace is to combine."""
    cross = state["row"]["cross"]
    if state["work"]["mode"] != "crossover" or not cross:
        return None
    return Crossover.model_validate(run.artifacts.get_json(cross)["crossover"])


def tell(run: Run, row: Trace, work: Work, answer: Json, seconds: float) -> None:
    place = {"trace": row["trace"], "step": row["step"]}
    run.events.emit("recalled", key=work["attempt"], **place, hints=answer["hints"])
    told = {name: answer[name] for name in ("summary", "hypothesis", "usage")}
    run.events.emit(
        "updated",
        key=work["attempt"],
        **place,
        attempt=work["attempt"],
        parent=work["parent"],
        seconds=seconds,
        **told,
    )


def named(run: Run, pool: str | None) -> list[Fact]:
    """The attempts of all traces that an ensemble may name, best first."""
    return (
        [fact(run.attempt(entry["ref"])) for entry in entries_of(run, pool)[:N_SHOWN]]
        if run.settings.ensemble
        else []
    )


def unknown(run: Run, pool: str | None, ids: list[str]) -> str:
    """What is wrong with an ensemble's members, or empty."""
    known = {member["id"] for member in members_of(run, pool, ids)}
    return (
        ""
        if len(known) > 1 and known == set(ids)
        else f"{', '.join(ids)[:200]}, of which {len(known)} can be blended"
    )


def untried(diagnosis: Diagnosis, tried: list[str]) -> Diagnosis:
    """The diagnosis without the hypotheses that were run already (a second step on one diagnosis)."""
    left = [hypothesis for hypothesis in diagnosis.hypotheses if hypothesis.id not in tried]
    return diagnosis.model_copy(update={"hypotheses": left}) if left else diagnosis


async def recall(run: Run, row: Trace, diagnosis: Diagnosis) -> list[Hint]:
    """The momentum: what worked against challenges like these, and apart from it what did not."""
    found: dict[str, Recall] = {}
    applied = tuple(accepted_statements(run, row))
    for hypothesis in diagnosis.hypotheses:
        recalls = await asyncio.to_thread(
            run.memory.recall,
            hypothesis.challenge,
            hypothesis.statement,
            task_hash=run.prepared.data_hash,
            k=N_HINTS,
            applied=applied,
        )
        for item in recalls:
            if item.record.id not in found or abs(item.weight) > abs(found[item.record.id].weight):
                found[item.record.id] = item
    strongest = sorted(found.values(), key=lambda item: (-abs(item.weight), item.record.id))
    helped = [item for item in strongest if item.weight > 0][:N_HINTS]
    failed = [item for item in strongest if item.weight <= 0][:N_WARNINGS]
    return [hint(item, run.id) for item in helped + failed]


def accepted_statements(run: Run, row: Trace) -> list[str]:
    """Hypotheses that the trace's path holds already; a hint that repeats them counts less."""
    return [
        attempt["hypothesis"]["statement"]
        for attempt in run.chain(row["head"], limit=50)
        if attempt["replaces"] and attempt["hypothesis"]
    ]


def hint(item: Recall, run_id: str) -> Hint:
    record = item.record
    return Hint(
        id=record.id,
        kind=record.kind,
        hypothesis=record.hypothesis,
        component=record.component,
        move=record.move,
        challenge=record.challenge,
        context=record.context,
        gain=record.gain,
        gain_se=record.gain_se,
        weight=round(item.weight, 4),
        change=record.diff,
        attempt=f"t{record.trace}s{record.step}" if record.run == run_id else "",
        where=f"run {record.run}, trace {record.trace}, step {record.step}, {record.task_kind} task, {record.metric}",
    )
