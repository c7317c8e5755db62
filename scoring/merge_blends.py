"""The blends of a merge: the one of the whole pool, and those that reasoners proposed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from graph.state import Best, RunState
from run.attempt import Attempt, best_from
from run.pool import find_members
from run.run import Run
from scoring.acceptance import Acceptance
from scoring.ensemble import blend_pool, leading_blend, may_lead


async def blend_traces(
    run: Run,
    state: RunState,
    fresh: Mapping[int, Sequence[Attempt]],
    single: Best | None,
    acceptance: Acceptance | None,
) -> tuple[Best | None, Best | None]:
    """Return the blend of the whole pool, and the blend that is the run's best; None: none.

    `fresh`: each trace's attempts since the last merge; `single`: the best single solution.
    """
    blend = await _blend_pool(run, state, single, acceptance)
    made = [attempt for attempts in fresh.values() for attempt in attempts if attempt.members]
    proposed = [best_from(attempt) for attempt in made if attempt.verdict == "accepted"]
    heads = [trace.head for trace in state.sorted_traces()]
    known = [one for one in (state.ensemble, blend, *proposed) if one and may_lead(run, one, heads)]
    return blend, await leading_blend(run, known, single)


async def _blend_pool(
    run: Run, state: RunState, single: Best | None, acceptance: Acceptance | None
) -> Best | None:
    """The blend of the whole pool; blended again when its members changed."""
    if single is None or not run.settings.ensemble:
        return None
    traces = state.sorted_traces()
    members = await find_members(run, [trace.head for trace in traces])
    if members == await find_members(run, [trace.merged for trace in traces]):
        return state.blend
    blend = await blend_pool(run, f"m{state.round}", members, single, acceptance)
    return best_from(blend) if blend and blend.score is not None else None
