"""What the second execution of a script on shuffled labels showed, in words."""

from __future__ import annotations

from report.formatting import as_mapping, bounded_list, whole_number
from report.model import Event


def describe_label_check(event: Event) -> str:
    """Say in a clause what a second execution on shuffled labels showed."""
    if event.get("result") == "unchecked":
        return "could not be checked on shuffled labels"
    folds = [
        str(whole_number(row.get("fold")))
        for row in map(as_mapping, bounded_list(event.get("shuffles"), 10))
    ]
    where = f"with the labels of fold {' and '.join(folds)} shuffled"
    if event.get("result") == "follows":
        return f"run again {where}, its predictions follow them: a leak"
    return f"run again {where}, its predictions do not follow them: no sign of a leak"
