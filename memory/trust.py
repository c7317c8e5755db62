"""Verification before trust: what a record must show before it may be offered as a hint.

Pure functions; the trust level is derived, never stored. Every gain in a record was computed by
the harness from predictions, and an attempt that failed a leak check never becomes a record.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Literal

from memory.protocol import Record

TrustLevel = Literal["verified", "weak", "quarantined"]

SURE_Z = 1.64
"""Gain in standard errors from which one measurement is enough (one-sided 5 %)."""
IMPLAUSIBLE_LEFT = 0.04
"""A change that leaves a smaller share of the loss counts as a leak until a second run agrees."""
MAX_Z = 8.0


def gain_z_score(record: Record) -> float:
    """Return the gain in standard errors, capped at MAX_Z."""
    return max(-MAX_Z, min(MAX_Z, record.gain / max(record.gain_se, 1e-12)))


def trust_level(record: Record) -> TrustLevel:
    """Return the trust level of one record alone."""
    if record.kind == "accepted" and record.left is not None and record.left < IMPLAUSIBLE_LEFT:
        return "quarantined"
    return "verified" if abs(gain_z_score(record)) >= SURE_Z else "weak"


def confirmed_mask(records: Sequence[Record], keys: Sequence[str]) -> list[bool]:
    """Return which accepted records may be offered as hints.

    A record is confirmed by itself, or together with the other measurements of its wording, which
    has the same key.
    """
    by_key: dict[str, list[Record]] = defaultdict(list)
    for record, key in zip(records, keys, strict=True):
        by_key[key].append(record)
    return [
        trust_level(record) == "verified" or is_confirmed_together(record, by_key[key])
        for record, key in zip(records, keys, strict=True)
    ]


def is_confirmed_together(record: Record, same: Sequence[Record]) -> bool:
    """Return whether the measurements `same` of one wording, `record` among them, confirm it.

    They do if Stouffer's combined z, refuted ones included, reaches SURE_Z; a quarantined record
    needs an accepted one of a second run instead.
    """
    if trust_level(record) == "quarantined":
        return any(other.run != record.run and other.kind == "accepted" for other in same)
    return math.fsum(gain_z_score(other) for other in same) / math.sqrt(len(same)) >= SURE_Z
