"""Data for the report's script: an index of all attempts, and their details in compressed chunks.

A chunk is gzip in base64, whose alphabet has no characters of markup. The browser unpacks a chunk
when the page of one of its attempts is opened.
"""

from __future__ import annotations

import base64
import gzip
import json
from bisect import bisect_right
from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict

from report.detail import AttemptDetails
from report.formatting import (
    as_mapping,
    bounded_list,
    clean_text,
    finite_number,
    reword_difference,
)
from report.lineage import diff_best
from report.model import AttemptView, MergeView, RunView
from report.plots.panels import Panel, load_importances, load_panels

ATTEMPTS_PER_CHUNK = 25
MAX_CHUNK_BYTES = 14 * 2**20  # of all chunks together
TEXT_SCALES = (1.0, 0.3, 0.1, 0.03, 0.0)


class MergeEntry(TypedDict):
    """A merge round, `after` how many attempts it came, and its actions."""

    round: int
    after: int
    actions: list[str]


class PageIndex(TypedDict):
    """JSON that curve, forest and table read; `refresh` is in seconds, 0 for never."""

    metric: str
    rising: bool
    best: str | None
    perChunk: int
    attempts: list[dict[str, object]]
    merges: list[MergeEntry]
    audit: dict[str, float]
    panels: list[Panel]
    importances: list[tuple[str, float]]
    bestDiff: str
    refresh: float


def build_index(view: RunView, run_dir: Path, refresh_s: float = 0) -> PageIndex:
    """Build the index that the page's script reads."""
    return {
        "metric": view.metric,
        "rising": view.rising,
        "best": view.best,
        "perChunk": ATTEMPTS_PER_CHUNK,
        "attempts": [index_row(attempt, rising=view.rising) for attempt in view.attempts.values()],
        "merges": [
            {"round": merge.round, "after": n, "actions": list(merge.actions)}
            for merge, n in merge_positions(view)
        ],
        "audit": audit_scores(view) if view.ended is not None else {},
        "panels": load_panels(view, run_dir),
        "importances": load_importances(view, run_dir),
        "bestDiff": diff_best(view, run_dir),
        "refresh": refresh_s,
    }


def index_row(attempt: AttemptView, *, rising: bool) -> dict[str, object]:
    """Return an attempt's row in the index, without its empty fields."""
    values: dict[str, object] = {
        "id": attempt.id,
        "trace": attempt.trace,
        "step": attempt.step,
        "parent": attempt.parent,
        "kind": attempt.kind,
        "verdict": attempt.verdict,
        "replaces": attempt.replaces or None,
        "score": round_digits(attempt.score),
        "se": round_digits(attempt.score_se),
        "gain": round_digits(attempt.gain),
        "gainSe": round_digits(attempt.gain_se),
        "seconds": attempt.seconds,
        "component": attempt.component,
        "text": clean_text(attempt.words, 240),
        "why": reword_difference(
            clean_text((attempt.problems or attempt.reasons or ("",))[0], 200), rising=rising
        ),
    }
    return {key: value for key, value in values.items() if value not in (None, "")}


def round_digits(value: float | None) -> float | None:
    """Round to eight significant digits."""
    return None if value is None else float(f"{value:.8g}")


def merge_positions(view: RunView) -> list[tuple[MergeView, int]]:
    """Return each merge with the number of attempts recorded before it."""
    times = sorted(attempt.t for attempt in view.attempts.values())
    return [(merge, bisect_right(times, merge.t)) for merge in view.merges]


def audit_scores(view: RunView) -> dict[str, float]:
    """Scores on the hidden audit rows by attempt; show them only once the run has ended."""
    scores: dict[str, float] = {}
    for row in (*map(as_mapping, view.candidates), *final_candidates(view)):
        score = finite_number(row.get("audit"))
        if score is not None:
            scores[clean_text(row.get("attempt"), 100)] = score
    return scores


def final_candidates(view: RunView) -> list[Mapping[str, object]]:
    """Candidates of the final choice as they were measured."""
    candidates = bounded_list(as_mapping(view.final).get("candidates"), 100)
    return [candidate for candidate in candidates if isinstance(candidate, dict)]


def pack_details(view: RunView, details: AttemptDetails, limit: int = MAX_CHUNK_BYTES) -> list[str]:
    """Pack the details of all attempts; shorten their texts until all chunks fit in `limit`."""
    packed: list[str] = []
    for scale in TEXT_SCALES:
        packed = pack_at_scale(view, details, scale, limit if scale else None)
        if sum(map(len, packed)) <= limit:
            break
    return packed


def pack_at_scale(
    view: RunView, details: AttemptDetails, scale: float, limit: int | None
) -> list[str]:
    """Pack the details at one scale of texts; stop early above `limit` bytes."""
    attempts = list(view.attempts.values())
    packed: list[str] = []
    size = 0
    for start in range(0, len(attempts), ATTEMPTS_PER_CHUNK):
        chunk = [
            details.detail_of(view, attempt, scale)
            for attempt in attempts[start : start + ATTEMPTS_PER_CHUNK]
        ]
        text = json.dumps(chunk, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        packed.append(base64.b64encode(gzip.compress(text.encode(), 6, mtime=0)).decode())
        size += len(packed[-1])
        if limit is not None and size > limit:
            break
    return packed
