"""The budget plan: wall time, executions, tokens and money over drafting, improving and the finale.

Drafts get at most `draft_share`, the finale keeps `finalize_share` of time and executions, improving has the rest.  A script's wall
limit follows what is left, and is short where a small edit of a script of known cost is run.
"""

from __future__ import annotations

from graph.state import Used, Work
from run.run import Json, Run

LEAST_DRAFT_S = 60.0  # a first draft gets at least so much, whatever its share
SMALL_EDIT = {
    "low": 4.0,
    "medium": 10.0,
}  # a hypothesis of this cost: so many times its parent's seconds ...
SMALL_EDIT_S = 60.0  # ... and this; a busy machine is slow
REPEAT, REPEAT_S = 3.0, 30.0  # the same for a script that is run again under another seed


def plan(run: Run) -> Json:
    """What each phase may spend: {seconds, executions, tokens, usd}; None where there is no limit."""
    settings = run.settings
    draft, finale = settings.draft_share, settings.finalize_share
    reserve = reserved_executions(run)
    total = settings.max_executions

    def shares(whole: float | None) -> Json:
        return {
            "draft": part(whole, draft),
            "improve": part(whole, 1 - draft),
            "finalize": 0 if whole else None,
        }

    return {
        "seconds": {
            "draft": settings.time_s * draft,
            "improve": settings.time_s * (1 - draft - finale),
            "finalize": settings.time_s * finale,
        },
        "executions": {
            "draft": part(total, draft),
            "improve": None if total is None else total - reserve - int(total * draft),
            "finalize": reserve if total else None,
        },
        "tokens": shares(settings.max_tokens),
        "usd": shares(settings.max_usd),
    }


def part(whole: float | None, share: float) -> float | None:
    return None if whole is None else round(whole * share, 4)


def reserved_executions(run: Run) -> int:
    """Executions kept for the finale: its share, but no more than it can use, and at least the refit."""
    settings = run.settings
    if settings.max_executions is None:
        return 0
    wanted = settings.top_k * settings.final_seeds + 1
    return max(1, min(wanted, int(settings.max_executions * settings.finalize_share)))


def over(run: Run, used: Used) -> str:
    """Why the budget of drafting and improving is spent, or empty. Decided where the state is written, so that routes stay pure."""
    settings = run.settings
    if used["time_s"] >= settings.time_s * (1 - settings.finalize_share):
        return "budget: time"
    if settings.max_executions is not None and used[
        "executions"
    ] >= settings.max_executions - reserved_executions(run):
        return "budget: executions"
    if settings.max_tokens and used["tokens"] >= settings.max_tokens:
        return "budget: tokens"
    if settings.max_usd and used["usd"] >= settings.max_usd:
        return "budget: money"
    return ""


def drafting_spent(run: Run, used: Used) -> bool:
    """Whether first drafts have used up their share of tokens, money or executions, so that a broken one is not repaired again."""
    settings, share = run.settings, run.settings.draft_share
    limits = (
        (settings.max_tokens, used["tokens"]),
        (settings.max_usd, used["usd"]),
        (settings.max_executions, used["executions"]),
    )
    return any(limit is not None and spent >= share * limit for limit, spent in limits)


def left_s(run: Run) -> float:
    """Seconds that improving still has."""
    return run.time_left_s - run.settings.finalize_share * run.settings.time_s


def script_limit_s(run: Run, work: Work | None = None) -> float:
    """Wall limit of the next script: the setting or what is left; a draft's share for a draft; short for a small edit."""
    settings = run.settings
    limit = min(run.prepared.task.run_time_s or settings.run_time_s, left_s(run))
    if (
        work is not None
        and work["kind"] == "draft"
        and work["mode"] == "draft"
        and work["parent"] is None
    ):
        limit = min(limit, max(LEAST_DRAFT_S, settings.draft_share * settings.time_s))
    if work is not None and (small := small_edit_s(run, work)) is not None:
        limit = min(limit, small)
    return max(5.0, limit)


def small_edit_s(run: Run, work: Work) -> float | None:
    """A limit for an edit that its hypothesis calls cheap, from the seconds of the script that it edits."""
    factor = SMALL_EDIT.get((work.get("hypothesis") or {}).get("cost", ""))
    if factor is None or not work.get("base") or work.get("repairs"):
        return None
    seconds = run.attempt(str(work["base"]))["seconds"]
    return factor * seconds + SMALL_EDIT_S if seconds else None


def repeat_limit_s(run: Run, seconds: float) -> float | None:
    """Wall limit of the same script under another seed; None where time or executions have no room for it."""
    settings, used = run.settings, run.events.used
    room = left_s(run) if not run.finishing else run.time_left_s
    if room < 2 * seconds + 5:
        return None
    reserve = 0 if run.finishing else reserved_executions(run)
    if (
        settings.max_executions is not None
        and used["executions"] >= settings.max_executions - reserve
    ):
        return None
    return min(room, REPEAT * seconds + REPEAT_S)
