"""The limits of one script: what its reasoner is told, and what the sandbox enforces.

The seconds are told with the brief and stored with the script, so that both are the same. Where the
settings name no limit they are a share of what the run has left, by the scripts that should still
fit; the memory is a share of the machine's.
"""

from __future__ import annotations

import math

from graph.state import Trace, Work
from run.budget import draft_rounds, improve_time_left_s, reserved_executions
from run.run import Run
from run.services import count_slots
from sandbox.protocol import Host

MIN_SCRIPT_S = 5.0
MIN_DRAFT_S = 60.0  # a first draft gets at least this, whatever its share
MIN_AUTO_S = 60.0  # a share of the time is no shorter, where there is as much
N_FITTING = 4  # scripts of the greatest length that should still fit into what is left
LONGER_THAN_EVEN = 8.0  # a script may take so many times its even share, where many are left
STARVED_FACTOR = 4.0  # wall time of a script that waits for its cores, in limits
STARVED_SHARE = 0.5  # of the time that improving has left, which such a script takes at most
KEPT_OF_RESERVE = 0.5  # of the finale's share of time, which a told limit never takes
E2B_SPARE_S = 180.0  # of a rented sandbox's life, for its start and its files
DEFAULT_MEMORY_BYTES = 4 * 2**30  # where the machine is not known
MEMORY_STEP_BYTES = 2**28  # an automatic limit is a multiple of it


def script_limit_s(run: Run, trace: Trace, *, drafts: bool = False) -> float:
    """Return the wall limit of a trace's next script, as its brief tells it.

    A first draft (`drafts`) gets its part of the drafts' share of the run's time at most.
    """
    settings, room_s = run.settings, improve_time_left_s(run)
    given = run.prepared.task.run_time_s or settings.run_time_s
    limit_s = _share_of_time_s(run, trace, room_s) if given == "auto" else float(given)
    if drafts:
        limit_s = min(limit_s, max(MIN_DRAFT_S, _share_of_drafts_s(run, trace, room_s)))
    if settings.sandbox == "e2b":
        limit_s = min(limit_s, max(MIN_SCRIPT_S, settings.e2b_life_s - E2B_SPARE_S))
    limit_s = max(MIN_SCRIPT_S, min(limit_s, room_s))
    return float(math.floor(limit_s)) if limit_s >= MIN_AUTO_S else limit_s


def _share_of_time_s(run: Run, trace: Trace, room_s: float) -> float:
    """A share of the time left: few scripts left may be long, of many each is short."""
    n_left = scripts_left(run, trace)
    longest_s = room_s / min(n_left, N_FITTING)
    return max(min(MIN_AUTO_S, room_s), min(longest_s, LONGER_THAN_EVEN * room_s / n_left))


def _share_of_drafts_s(run: Run, trace: Trace, room_s: float) -> float:
    """One draft's part of the drafts' share of the run's time; where scripts are few, an even part.

    Several first drafts are to be cheap, but no shorter than the other scripts of the run.
    """
    share_s = run.settings.draft_share * run.settings.time_s
    even_s = room_s / scripts_left(run, trace)
    return max(share_s / draft_rounds(run), min(share_s, even_s))


def scripts_left(run: Run, trace: Trace) -> int:
    """Return how many scripts the run may still execute one after the other, at least one."""
    settings, n_slots = run.settings, count_slots(run.settings)
    per_slot = math.ceil(settings.traces / n_slots)
    n_left = (settings.steps - trace.step) * per_slot
    if settings.max_executions is not None:
        left = settings.max_executions - reserved_executions(run) - run.events.used.executions
        n_left = min(n_left, math.ceil(left / n_slots))
    return max(1, n_left)


def enforced_limit_s(run: Run, trace: Trace, work: Work) -> float:
    """Return the wall limit of the script that runs now: the one that was told.

    The finale keeps a part of its reserve, however long the reasoner took to answer.
    """
    told_s = work.limit_s or script_limit_s(run, trace, drafts=is_first_draft(work))
    kept_s = KEPT_OF_RESERVE * run.settings.finalize_share * run.settings.time_s
    return max(MIN_SCRIPT_S, min(told_s, run.time_left_s - kept_s))


def longest_wall_s(run: Run, limit_s: float) -> float:
    """Return when a script ends that waits for its cores: beyond its limit, within the run's.

    Before the finale it leaves as much for the scripts after it, a cheaper repair of it say.
    """
    left_s = run.time_left_s if run.board.in_finale else STARVED_SHARE * improve_time_left_s(run)
    return max(limit_s, min(STARVED_FACTOR * limit_s, left_s))


def is_first_draft(work: Work) -> bool:
    """Whether a script starts from nothing, or repairs one that did."""
    return work.kind == "draft" and work.mode == "draft" and work.parent is None


def script_memory_bytes(run: Run) -> int:
    """Return the memory limit of one script."""
    given = run.settings.run_memory_bytes
    return (run.setup.memory_bytes or DEFAULT_MEMORY_BYTES) if given == "auto" else given


def share_memory(run: Run, host: Host) -> int | None:
    """Return one script's share of the memory, when all slots are busy; None: it is not known."""
    if host.memory_bytes is None:
        return None
    share = host.memory_bytes
    if host.total_memory_bytes is not None:
        share = min(share, host.total_memory_bytes // count_slots(run.settings))
    return max(MEMORY_STEP_BYTES, share // MEMORY_STEP_BYTES * MEMORY_STEP_BYTES)
