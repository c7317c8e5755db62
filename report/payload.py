"""What the report's script reads: a small index of all attempts, and their details packed in compressed chunks.

A chunk is gzip in base64: its alphabet holds nothing that HTML could take for markup, whatever the attempts hold, and the
browser unpacks one only when a page of an attempt in it is opened.
"""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

from report.detail import Details
from report.formatting import clean, number
from report.model import Attempt, RunView

PER_CHUNK = 25
MAX_CHUNK_BYTES = 14 * 2**20  # of all chunks together
SCALES = (1.0, 0.3, 0.1, 0.03, 0.0)


def index(view: RunView) -> dict[str, Any]:
    """Everything that curve, forest and table need."""
    ended = view.ended is not None
    return {
        "metric": view.metric,
        "rising": view.rising,
        "best": view.best,
        "first": view.first.id if view.first else None,
        "perChunk": PER_CHUNK,
        "start": view.started,
        "attempts": [row(attempt) for attempt in view.attempts.values()],
        "merges": [
            {"round": m.round, "after": n, "actions": list(m.actions)}
            for m, n in merges_after(view)
        ],
        "audit": audit(view) if ended else {},
    }


def row(attempt: Attempt) -> dict[str, Any]:
    values: dict[str, Any] = {
        "id": attempt.id,
        "trace": attempt.trace,
        "step": attempt.step,
        "parent": attempt.parent,
        "kind": attempt.kind,
        "mode": attempt.mode,
        "verdict": attempt.verdict,
        "replaces": attempt.replaces or None,
        "score": rounded(attempt.score),
        "se": rounded(attempt.score_se),
        "gain": rounded(attempt.gain),
        "gainSe": rounded(attempt.gain_se),
        "seconds": attempt.seconds,
        "t": attempt.t,
        "component": attempt.component,
        "confidence": attempt.confidence,
        "sign": attempt.sign,
        "size": attempt.size,
        "text": clean(attempt.hypothesis or attempt.kind, 240),
        "why": clean((attempt.problems or attempt.reasons or ("",))[0], 200),
    }
    return {key: value for key, value in values.items() if value not in (None, "")}


def rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.8g}")


def merges_after(view: RunView) -> list[tuple[Any, int]]:
    """Each merge with the number of attempts recorded before it."""
    times = sorted(attempt.t for attempt in view.attempts.values())
    found, n = [], 0
    for merge in view.merges:
        while n < len(times) and times[n] <= merge.t:
            n += 1
        found.append((merge, n))
    return found


def audit(view: RunView) -> dict[str, float]:
    """Scores on the hidden audit rows, known only once the run has ended: attempt -> score."""
    rows = [*view.candidates, *contest(view)]
    return {
        clean(row.get("attempt"), 100): value
        for row in rows
        if isinstance(row, dict) and (value := number(row.get("audit"))) is not None
    }


def contest(view: RunView) -> list[Any]:
    """The candidates as the finale measured them."""
    found = (view.final or {}).get("candidates")
    return found[:100] if isinstance(found, list) else []


def chunks(view: RunView, details: Details, limit: int = MAX_CHUNK_BYTES) -> list[str]:
    """Details of all attempts in order; their long texts are shortened until all of them fit."""
    packed: list[str] = []
    for scale in SCALES:
        packed = pack(view, details, scale, limit if scale else None)
        if sum(map(len, packed)) <= limit:
            break
    return packed


def pack(view: RunView, details: Details, scale: float, limit: int | None) -> list[str]:
    """Stops early where the limit is passed already."""
    attempts, packed, size = list(view.attempts.values()), [], 0
    for start in range(0, len(attempts), PER_CHUNK):
        part = [details.of(view, attempt, scale) for attempt in attempts[start : start + PER_CHUNK]]
        text = json.dumps(part, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        packed.append(base64.b64encode(gzip.compress(text.encode(), 6, mtime=0)).decode())
        size += len(packed[-1])
        if limit is not None and size > limit:
            break
    return packed
