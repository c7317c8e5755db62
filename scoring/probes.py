"""Looks at the data: one short read-only script of the model, and what it printed.

Before the first draft of the run the model is asked for one; a diagnosis may bring another with its
answer. A look is no attempt: its files are dropped, nothing is graded, no execution is counted.
What it printed is data for all later briefs, bounded, and never an instruction.
"""

from __future__ import annotations

import time

from briefs.ask import ask_reasoner, ask_script
from briefs.ledger import ledger_brief
from graph.state import Trace
from reasoner.protocol import (
    Brief,
    Diagnosis,
    DraftBrief,
    Probe,
    ProbeBrief,
    Prober,
    ReasonerError,
    Solution,
    Usage,
)
from run.attempt import ExecutionRecord
from run.budget import exhausted_budget, improve_time_left_s
from run.events import PROBED
from run.probes import ProbeRecord, probe_seconds, shorten_output
from run.run import Run
from run.transcripts import make_call_store, open_call_store, place_of
from scoring.execution import Place, ScriptRun, execute_script

LONGEST_S, SHORTEST_S = 60.0, 5.0  # of a look's script
TIME_SHARE = 0.05  # of the run's time, for all looks with the model's answers


async def ask_draft(run: Run, trace: Trace, brief: DraftBrief) -> Solution:
    """Ask for a script from nothing; before the first one of the run, for a look at the data."""
    is_first = not brief.history and not run.events.probed
    if is_first and isinstance(run.reasoner, Prober) and may_probe(run):
        await _ask_and_look(run, run.reasoner, brief)
        seen = {"probes": run.probes, "ledger": ledger_brief(run, trace)}
        brief = brief.model_copy(update=seen)
    return await ask_script(run.reasoner.draft, brief)


async def take_look(run: Run, attempt: str, diagnosis: Diagnosis) -> None:
    """Run the script that a diagnosis of this attempt brings to look at the data, if it does."""
    if diagnosis.probe and may_probe(run):
        probe = Probe(question=diagnosis.probe_question, script=diagnosis.probe)
        await _look(run, attempt, probe, time.monotonic())


def may_probe(run: Run) -> bool:
    """Whether the run has a look left, and time for it."""
    if len(run.events.probed) >= run.settings.probes:
        return False
    return _limit_s(run) >= SHORTEST_S and not exhausted_budget(run, run.events.used)


def _limit_s(run: Run) -> float:
    left_s = TIME_SHARE * run.settings.time_s - probe_seconds(run.events)
    return min(LONGEST_S, left_s, improve_time_left_s(run))


async def _ask_and_look(run: Run, reasoner: Prober, draft: DraftBrief) -> None:
    """Ask for a look; without a usable answer there is none, and the draft is asked for."""
    began = time.monotonic()
    common = {name: getattr(draft, name) for name in Brief.model_fields}
    brief = ProbeBrief(**common, limit_s=_limit_s(run))
    name = f"t{brief.stage.trace}s{brief.stage.step}"

    async def ask() -> Probe:
        return await reasoner.probe(brief)

    try:
        probe = await ask_reasoner(run, "probe", [name], ask, Probe)
    except ReasonerError as error:
        probe = Probe(question=f"no usable answer ({str(error)[:200]})", usage=error.usage)
    await _look(run, name, probe, began)


async def _look(run: Run, name: str, probe: Probe, began: float) -> None:
    record = ProbeRecord(question=probe.question)
    if probe.script.strip():
        script = run.artifacts.put(probe.script)

        async def execute() -> ProbeRecord:
            return await _execute_look(run, name, probe.question, script)

        record = await run.once("probed", [name, script], execute, ProbeRecord)
    seconds = time.monotonic() - began
    _announce_look(run, name, probe, record, seconds)


async def _execute_look(run: Run, name: str, question: str, script: str) -> ProbeRecord:
    place: Place = {"what": f"a look at the data of {name}"}
    task = ScriptRun(
        f"{name}-probe", script, run.prepared.inputs, _limit_s(run), place, is_look=True
    )
    async with run.slots:
        done = await execute_script(run, task)
    return ProbeRecord(
        question=question,
        output=describe_output(done, open_call_store(run.folder).get(str(done.log))),
        end=done.end,
        exit_code=done.exit_code,
        seconds=round(done.wall_s, 3),
        usd=done.usd,
    )


def describe_output(done: ExecutionRecord, log: str) -> str:
    """Return what a look printed, with how it ended where that was not well."""
    text = shorten_output(log) or "(it printed nothing)"
    if done.ok:
        return text
    why = f"exit code {done.exit_code}" if done.end == "exit" else f"ended by {done.end}"
    return f"({why} after {done.wall_s:.0f} s)\n{text}"


def _announce_look(run: Run, name: str, probe: Probe, record: ProbeRecord, seconds: float) -> None:
    """Emit the event, with the answer's and a rented sandbox's cost."""
    place = place_of(name)
    output = make_call_store(run.folder).put(record.output) if record.output else ""
    usage = probe.usage + Usage(usd=record.usd or None)
    run.events.emit(
        PROBED,
        key=name,
        **place,
        question=record.question,
        script=run.artifacts.put(probe.script) if probe.script else "",
        output=output,
        end=record.end,
        exit_code=record.exit_code,
        script_s=record.seconds,
        seconds=round(seconds, 3),
        usage=usage.model_dump(),
    )
