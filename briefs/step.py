"""The step: hypotheses ranked with momentum, and the change for the strongest one."""

from __future__ import annotations

from briefs.brief import HISTORY, common_fields
from briefs.crossover import read_crossover
from briefs.excerpts import ask_update, quote_scripts
from briefs.gradient import Offered, list_heads, load_gradient, script_fields, step_fields
from briefs.ledger import ledger_brief
from briefs.recall import Recalled, recall_hints
from graph.state import Trace, TraceState, Work
from reasoner.protocol import Diagnosis, Hint, Hypothesis, Solution, UpdateBrief
from reasoner.ranking import Momentum, ideas_in_flight, rank_hypotheses
from reasoner.settings import makes_change
from run.attempt import Attempt
from run.calibration import component_factors
from run.run import Run


class Step(Solution):
    """The reasoner's step, with the hints that it or the ranking received."""

    hints: list[Hint] = []


async def take_step(run: Run, state: TraceState, start: Attempt, offered: Offered) -> Step:
    """Return a change of `start` for the strongest hypothesis that was not run.

    Where the diagnosis came with that change, nothing is asked. `offered`: attempts
    that it may name.
    """
    trace, work = state.row, state.attempt_in_progress
    diagnosis = without_tried(run, trace, work)
    plan = read_crossover(run, trace) if work.mode == "crossover" else None
    recalled = Recalled() if plan else await recall_hints(run, trace, diagnosis)
    change = diagnosis.change
    if change is not None and change.remeasure:  # no hypothesis: nothing is to be ranked
        return Step(**dict(change.model_copy(update={"hypothesis": None})), hints=recalled.hints)
    chosen = None
    if makes_change(run.settings) and plan is None:
        chosen = _choose_hypothesis(run, state, diagnosis, recalled)
    if chosen is not None and (ready := ready_change(diagnosis, chosen)) is not None:
        return Step(**dict(ready), hints=recalled.hints)
    script = await script_fields(run, trace, start)
    common = common_fields(run, trace, work, state.siblings)  # last: what others run now
    fields = step_fields(run, state, recalled.hints, offered)
    if diagnosis.change and diagnosis.change.take_from:
        quotes = quote_scripts(run, list_heads(run, state), diagnosis.change.take_from)
        fields |= {"quotes": [*quotes, *fields["quotes"]], "may_ask": False}
    brief = UpdateBrief(
        **common,
        **script,
        **fields,
        diagnosis=diagnosis,
        chosen=chosen.id if chosen else "",
        crossover=plan.crossover if plan else None,
    )
    solution = await ask_update(run, brief, list_heads(run, state))
    return Step(**dict(solution), hints=recalled.hints)


def without_tried(run: Run, trace: Trace, work: Work) -> Diagnosis:
    """Return the diagnosis without the hypotheses already run (for a second step on it)."""
    diagnosis = load_gradient(run, str(work.diagnosis))
    untried = [each for each in diagnosis.hypotheses if each.id not in trace.tried]
    return diagnosis.model_copy(update={"hypotheses": untried}) if untried else diagnosis


def ready_change(diagnosis: Diagnosis, chosen: Hypothesis) -> Solution | None:
    """Return the change that came with the diagnosis, if it is that of the chosen hypothesis.

    It costs nothing more: the diagnosis has paid for it.
    """
    change = diagnosis.change
    if change is None or change.hypothesis is None or change.hypothesis.id != chosen.id:
        return None
    return change if change.script or change.ensemble else None


def _choose_hypothesis(
    run: Run, state: TraceState, diagnosis: Diagnosis, recalled: Recalled
) -> Hypothesis:
    """The strongest by memory, by the reasoner's record here, and by what others run now."""
    predictions = run.history.predictions(list_heads(run, state), HISTORY)
    momentum = Momentum(
        hints=recalled.by_hypothesis,
        records=component_factors(predictions),
        in_flight=ideas_in_flight(ledger_brief(run, state.row)),
    )
    own = diagnosis.change.hypothesis if diagnosis.change else None
    own_id = own.id if own else diagnosis.change_owner
    return rank_hypotheses(diagnosis.hypotheses, momentum, own_id)[0]
