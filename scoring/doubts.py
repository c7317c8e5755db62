"""Doubts about an attempt that passed its gates: reasons to let a model read the code."""

from __future__ import annotations

import re

from graph.state import Json, Work
from run.run import Run
from scoring.label_check import can_audit_tell
from task.types import Grade

LARGE_GAIN = 5.0  # standard errors of a paired gain that are rare for one honest change


def find_doubts(run: Run, work: Work) -> list[str]:
    """Return why the gates are in doubt about a script that would become its trace's best."""
    grade = run.artifacts.get_model(str(work.grade), Grade)
    script = run.artifacts.get(str(work.script))
    doubts = [
        f"it names the column {column!r}, which is suspected of leaking the target ({reason})"
        for column, reason in _suspected_columns(run.setup.profile)
        if _names_column(script, column)
    ]
    if run.settings.check_labels or can_audit_tell(run, grade):
        return doubts
    paired = grade.paired.get("best")
    if paired is None:
        doubts.append("no gate of this run can measure whether its labels leak")
    elif paired.se > 0 and paired.d > LARGE_GAIN * paired.se:
        times = paired.d / paired.se
        doubts.append(f"its gain is {times:.1f} standard errors, and no gate measures leaks here")
    return doubts


def _suspected_columns(profile: Json) -> list[tuple[str, str]]:
    leaks = profile.get("leaks") or []
    return [(str(leak["column"]), str(leak.get("reason", ""))) for leak in leaks]


def _names_column(script: str, column: str) -> bool:
    """Whether a script quotes the column, or takes it as an attribute."""
    name = re.escape(column)
    return bool(re.search(rf"""["']{name}["']|\.{name}\b""", script))
