"""The audit rows' own view: score from submission.csv, leak, paired differences.  The graph decides whether it is asked (scoring/audit.py)."""

from __future__ import annotations

from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from task.grade import compare
from task.grade.predictions import Refused, Truth, earlier, problem
from task.types import PairedJson, ProblemJson, Reference, ScoreJson

Array = NDArray[Any]
LEAK_Z = 3.0  # out-of-fold better than the audit rows by this many standard errors
LEAK_SHARE = 0.1  # and by this share of the audit's score (of AUC's distance to 1)


class Audit(TypedDict):
    """The audit's part of a grade."""

    audit: ScoreJson | None
    audit_gap_z: float | None
    audit_leak: ProblemJson | None
    audit_paired: dict[str, PairedJson]


NOTHING = Audit(audit=None, audit_gap_z=None, audit_leak=None, audit_paired={})


def of(
    known: Truth, test: Array, score: ScoreJson, references: dict[str, Reference], seed: int
) -> Audit:
    """How the audit rows see these predictions."""
    if known.audit.empty:
        return NOTHING
    y, p, metric = known.encode(known.audit), test[known.audit_rows], known.metric
    try:
        value = metric.score(y, p)
    except ValueError:  # one class only among the audit rows
        return NOTHING
    se = compare.standard_error(metric, y, p, seed)
    sign = 1.0 if metric.direction == "max" else -1.0
    gap = sign * (score["value"] - value)
    noise = float(np.hypot(se, score["se"]))
    z = gap / noise if noise > 0 else 0.0
    return Audit(
        audit=ScoreJson(value=value, se=se, folds=[], n=len(y)),
        audit_gap_z=z,
        audit_leak=leak(known, gap, z, value),
        audit_paired={
            name: found
            for name, item in references.items()
            if (found := paired(known, y, p, item, seed))
        },
    )


def leak(known: Truth, gap: float, z: float, value: float) -> ProblemJson | None:
    material = gap > LEAK_SHARE * abs(value) or (
        known.metric.name == "auc" and gap > LEAK_SHARE * max(1 - value, 0.05)
    )
    if known.prepared.task.split.kind == "time" or z <= LEAK_Z or not material:
        return None
    return problem(
        "leak_audit",
        "out-of-fold predictions look far better than predictions of held-back rows: something of the label leaks into training features, "
        "or validated rows were trained on",
    )


def paired(known: Truth, y: Array, p: Array, reference: Reference, seed: int) -> PairedJson | None:
    """The difference to a reference on the audit rows."""
    if "submission" not in reference:
        return None
    try:
        old = earlier(known, reference["submission"], "submission.csv")[known.audit_rows]
        return compare.paired(known.metric, y, [p], [old], None, seed)
    except (Refused, OSError, ValueError):
        return None
