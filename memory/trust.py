"""Verification before trust: what a record must show before it may be offered as a hint.  Pure; derived, never stored.

Every gain in a record was computed by the harness from predictions, and an attempt that failed a leak check never becomes a record.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Literal

from memory.protocol import Record

Trust = Literal["verified", "weak", "quarantined"]

SURE = 1.64
"""Gain in standard errors from which one measurement is enough (one-sided 5 %)."""
ABSURD = 0.04
"""A single change that leaves less of the loss than this share is a leak until another run sees it too."""
Z_CAP = 8.0


def noise(record: Record) -> float:
    """The gain in standard errors, capped."""
    return max(-Z_CAP, min(Z_CAP, record.gain / max(record.gain_se, 1e-12)))


def trust(record: Record) -> Trust:
    """Of one record alone."""
    if record.kind == "accepted" and record.left is not None and record.left < ABSURD:
        return "quarantined"
    return "verified" if abs(noise(record)) >= SURE else "weak"


def confirmed(records: Sequence[Record], words: Sequence[str]) -> list[bool]:
    """Which accepted records may be offered: sure by themselves, or sure together with the same words measured elsewhere.

    Stouffer's sum of z over measurements of one wording, refuted ones included; a quarantined record needs a second run.
    """
    together: dict[str, list[Record]] = defaultdict(list)
    for record, key in zip(records, words, strict=True):
        together[key].append(record)
    return [
        trust(record) == "verified" or borne_out(record, together[key])
        for record, key in zip(records, words, strict=True)
    ]


def borne_out(record: Record, same: Sequence[Record]) -> bool:
    if trust(record) == "quarantined":
        return any(other.run != record.run and other.kind == "accepted" for other in same)
    return math.fsum(noise(other) for other in same) / math.sqrt(len(same)) >= SURE
