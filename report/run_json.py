"""A run as JSON, for `gome ls --json` and `gome show --json`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from report.formatting import clean_text, finite_number
from report.model import AttemptView, RunView
from report.score_curve import curve_json
from report.summary import state_word


def summarize_run(folder: Path, view: RunView, state: str) -> dict[str, Any]:
    """Return what `gome ls` shows of a run; times are Unix seconds, `gain` positive is better.

    `state`: of `run_state`; the row says it in one word and `reason` why the run ended.
    """
    best = view.best_attempt
    return {
        "run": folder.name,
        "folder": str(folder),
        "task": view.task,
        "state": state_word(view, state),
        "reason": state,
        "metric": view.metric,
        "direction": view.direction,
        "best": {"attempt": best.id, "score": best.score, "se": best.score_se} if best else None,
        "baseline": baseline_json(view),
        "gain": view.total_gain,
        "attempts": len(view.attempts),
        "accepted": view.n_accepted,
        "seconds": round(view.elapsed(), 1),
        "tokens": view.usage.tokens,
        "calls": view.usage.calls,
        "cached_tokens": view.usage.cached_tokens,
        "usd": view.usage.usd,
        "last": view.last,
    }


def baseline_json(view: RunView) -> dict[str, Any] | None:
    """Return the harness's own solution, which is in best/ while there is no best attempt."""
    if view.baseline is None:
        return None
    method = clean_text(view.baseline.get("method"), 40)
    score, se = (finite_number(view.baseline.get(name)) for name in ("score", "se"))
    return {"method": method, "score": score, "se": se}


def detail_run(folder: Path, view: RunView, state: str) -> dict[str, Any]:
    """Return `summarize_run` with the curve's areas, the settings and every attempt."""
    return summarize_run(folder, view, state) | {
        "curve": curve_json(view),
        "settings": dict(view.settings),
        "warnings": list(view.warnings),
        "attempts": [attempt_json(attempt) for attempt in view.attempts.values()],
    }


def attempt_json(attempt: AttemptView) -> dict[str, Any]:
    """Return an attempt's fields."""
    return asdict(attempt)
