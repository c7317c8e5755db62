"""The budget plan: wall time, executions, tokens and money over drafting, improving and the finale.

Drafts get at most `draft_share`, the finale reserves `finalize_share` of time and executions,
improving has the rest. `run.limits` has the limits of one script.
"""

from __future__ import annotations

import math

from graph.state import Json, Used, Work
from run.run import Run

# limit of a repeat under another seed: factor times the script's seconds, plus extra
REPEAT_FACTOR, REPEAT_EXTRA_S = 3.0, 30.0
MIN_ATTEMPTS = 9  # of a run, before it spends more than one first draft per trace
DRAFTS_PER_ROOT = 1.25  # first drafts per square root of the run's attempts
MAX_DRAFTS = 8
DEALT_POLICIES = ("gome", "adaptive")


def budget_plan(run: Run) -> Json:
    """Return what each phase may spend: {seconds, executions, tokens, usd}; None: no limit."""
    settings = run.settings
    draft, finale = settings.draft_share, settings.finalize_share
    total = settings.max_executions
    reserve = reserved_executions(run)
    seconds = {
        "draft": settings.time_s * draft,
        "improve": settings.time_s * (1 - draft - finale),
        "finalize": settings.time_s * finale,
    }
    executions = {
        "draft": _share_of(total, draft),
        "improve": None if total is None else total - reserve - int(total * draft),
        "finalize": reserve if total else None,
    }
    return {
        "seconds": seconds,
        "executions": executions,
        "tokens": _split_limit(settings.max_tokens, draft),
        "usd": _split_limit(settings.max_usd, draft),
    }


def _split_limit(limit: float | None, draft: float) -> Json:
    return {
        "draft": _share_of(limit, draft),
        "improve": _share_of(limit, 1 - draft),
        "finalize": 0 if limit else None,
    }


def _share_of(limit: float | None, share: float) -> float | None:
    return None if limit is None else round(limit * share, 4)


def reserved_executions(run: Run) -> int:
    """Return the executions reserved for the finale: its share, at least one, at most its use."""
    settings = run.settings
    if settings.max_executions is None:
        return 0
    usable = settings.top_k * settings.final_seeds + 1
    share = int(settings.max_executions * settings.finalize_share)
    return max(1, min(usable, share))


def used_share(run: Run, step: int) -> float:
    """Return the used share of the budget, 0 to 1: of time, executions, or this trace's steps.

    Whichever is nearest to its end; the finale's reserve is no part of it.
    """
    settings, used = run.settings, run.events.used
    improve_s = settings.time_s * (1 - settings.finalize_share)
    shares = [step / settings.steps, used.time_s / improve_s]
    if settings.max_executions is not None:
        n_usable = settings.max_executions - reserved_executions(run)
        shares.append(used.executions / n_usable if n_usable > 0 else 1.0)
    return min(1.0, max(shares))


def expected_attempts(run: Run) -> int:
    """Return how many attempts the whole run will make: by its limits, and by its pace so far."""
    settings, used = run.settings, run.events.used
    n_attempts = settings.traces * settings.steps
    if settings.max_executions is not None:
        n_attempts = min(n_attempts, settings.max_executions - reserved_executions(run))
    if used.executions and used.time_s > 0:
        improve_s = settings.time_s * (1 - settings.finalize_share)
        n_attempts = min(n_attempts, round(used.executions * improve_s / used.time_s))
    return max(1, n_attempts)


def count_first_drafts(n_attempts: int, n_traces: int) -> int:
    """Return how many first drafts a run of so many attempts makes, over all traces."""
    if n_attempts < MIN_ATTEMPTS:
        return n_traces
    return max(n_traces, min(MAX_DRAFTS, round(DRAFTS_PER_ROOT * math.sqrt(n_attempts))))


def is_dealt(run: Run) -> bool:
    """Whether executions are dealt by promise; a tree or a control of drafts goes its own way."""
    return run.settings.deal == "promise" and run.settings.policy in DEALT_POLICIES


def draft_rounds(run: Run) -> int:
    """Return how many first drafts a trace makes one after the other, at most."""
    if not is_dealt(run):
        return 1
    n_drafts = count_first_drafts(expected_attempts(run), run.settings.traces)
    return math.ceil(n_drafts / run.settings.traces)


def share_first_drafts(n_drafts: int, n_traces: int, trace: int) -> int:
    """Return how many of the first drafts a trace makes."""
    return n_drafts // n_traces + (trace < n_drafts % n_traces)


def executions_left(run: Run) -> int | None:
    """Return how many executions the whole run has left; None: no limit."""
    total = run.settings.max_executions
    return None if total is None else max(0, total - run.events.used.executions)


def exhausted_budget(run: Run, used: Used) -> str:
    """Return why the budget of drafting and improving is spent, or an empty string.

    Decided where the state is written, so that routes stay pure.
    """
    settings = run.settings
    if used.time_s >= settings.time_s * (1 - settings.finalize_share):
        return "budget: time"
    total = settings.max_executions
    if total is not None and used.executions >= total - reserved_executions(run):
        return "budget: executions"
    return spent_model_budget(run, used)


def spent_model_budget(run: Run, used: Used) -> str:
    """Return which budget of model answers is spent, or an empty string."""
    settings = run.settings
    if settings.max_tokens and used.tokens >= settings.max_tokens:
        return "budget: tokens"
    if settings.max_usd and used.usd >= settings.max_usd:
        return "budget: money"
    return ""


def is_draft_budget_spent(run: Run, used: Used) -> bool:
    """Whether first drafts used up their share, so that a broken one is not repaired again."""
    settings = run.settings
    limits = (
        (settings.max_tokens, used.tokens),
        (settings.max_usd, used.usd),
        (settings.max_executions, used.executions),
    )
    return any(limit is not None and n >= settings.draft_share * limit for limit, n in limits)


def may_repair(run: Run, work: Work) -> bool:
    """Whether a failed script is repaired, rather than its attempt recorded as failed."""
    if work.kind in ("ensemble", "remeasure") or work.repairs >= run.settings.max_repairs:
        return False
    if exhausted_budget(run, run.events.used):
        return False
    is_repaired_draft = work.kind == "draft" and work.repairs > 0
    return not (is_repaired_draft and is_draft_budget_spent(run, run.events.used))


def improve_time_left_s(run: Run) -> float:
    """Return the seconds that improving still has."""
    return run.time_left_s - run.settings.finalize_share * run.settings.time_s


def repeat_limit_s(run: Run, seconds: float) -> float | None:
    """Return the wall limit of a script's repeat under another seed; None: no budget left."""
    settings = run.settings
    in_finale = run.board.in_finale
    room = run.time_left_s if in_finale else improve_time_left_s(run)
    if room < 2 * seconds + 5:
        return None
    reserve = 0 if in_finale else reserved_executions(run)
    total = settings.max_executions
    if total is not None and run.events.used.executions >= total - reserve:
        return None
    return min(room, REPEAT_FACTOR * seconds + REPEAT_EXTRA_S)
