"""Gists: what looking far back needs of an attempt's record.  A run keeps those of all its attempts at hand, and reads each record once.

Whole records (some kilobytes, read through a bounded cache) are for the latest attempts; a walk over thousands of them at every step would
cost more with every step.
"""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

NAMES = (
    "ref", "id", "prev", "parent", "trace", "step", "mode", "verdict", "score", "gain", "gain_se", "script", "summary", "from_best", "took",
)  # fmt: skip
OF_HYPOTHESIS = ("statement", "move", "component", "protocol", "confidence")


def gist(record: Json) -> Json:
    """The record, with its `ref`, cut down; `problems` and `members` only tell whether there were any."""
    found = {name: record[name] for name in NAMES if name in record}
    hypothesis = record["hypothesis"]
    if hypothesis:
        size = (hypothesis.get("effect") or {}).get("size", "small")
        hypothesis = {name: hypothesis[name] for name in OF_HYPOTHESIS if name in hypothesis} | {"effect": {"size": size}}
    return found | {"hypothesis": hypothesis, "problems": bool(record["problems"]), "members": bool(record.get("members"))}
