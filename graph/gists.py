"""Gists: what looking far back needs of an attempt's record.  A run keeps those of all its attempts at hand, and reads each record once.

Whole records (some kilobytes, read through a small cache) are for the latest attempts and for the few that a look back picks out by `ref`; a
walk over thousands of them at every step would cost more with every step.
"""

from __future__ import annotations

import sys
from typing import Any

Json = dict[str, Any]

WORDS = ("kind", "mode", "verdict")  # of a few values each: one string serves all gists
NAMES = ("ref", "id", "prev", "parent", "trace", "step", "score", "gain", "gain_se", "seconds", "replaces", "from_best", "took")
WHETHER = ("script", "oof", "problems", "members")  # a gist only tells whether there are any


def gist(record: Json) -> Json:
    """The record, with its `ref`, cut down."""
    found = {name: record[name] for name in NAMES if name in record}
    found |= {name: sys.intern(record[name]) for name in WORDS if name in record}
    found |= {name: bool(record.get(name)) for name in WHETHER}
    tokens = (record.get("usage") or {}).get("output_tokens", 0)
    return found | {"usage": {"output_tokens": tokens} if tokens else None, "hypothesis": idea(record["hypothesis"])}


def idea(hypothesis: Json | None) -> Json | None:
    if not hypothesis:
        return None
    found = {name: hypothesis[name] for name in ("statement", "move", "protocol", "confidence") if hypothesis.get(name) is not None}
    size = (hypothesis.get("effect") or {}).get("size", "small")
    return found | {"component": sys.intern(str(hypothesis.get("component") or "")), "effect": {"size": sys.intern(str(size))}}
