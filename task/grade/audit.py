"""The audit rows' part of a grade: score from submission.csv, leak, paired differences.

The graph decides whether it is consulted (scoring/audit.py).
"""

from __future__ import annotations

from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm as normal
from scipy.stats import t as student

from task.data.prepare import MIN_GROUPS
from task.grade import compare
from task.grade.predictions import PredictionsError, Truth, make_problem, read_earlier_test
from task.types import PairedJson, ProblemJson, Reference, ScoreJson

Array = NDArray[Any]
LEAK_Z = 3.0  # out-of-fold is better than the audit rows by this many standard errors
LEAK_SHARE = 0.1  # and by this share of the audit's score (of AUC's distance to 1)


class AuditGrade(TypedDict):
    """The audit's part of a grade."""

    audit: ScoreJson | None
    audit_gap_z: float | None
    audit_leak: ProblemJson | None
    audit_paired: dict[str, PairedJson]


NO_AUDIT = AuditGrade(audit=None, audit_gap_z=None, audit_leak=None, audit_paired={})


def grade_audit_rows(
    truth: Truth, test: Array, score: ScoreJson, references: dict[str, Reference], seed: int
) -> AuditGrade:
    """Grade predictions of the test file on the audit rows; NO_AUDIT where there are none."""
    if truth.audit.empty:
        return NO_AUDIT
    y, p, metric = truth.encode_scored(truth.audit), test[truth.audit_rows], truth.metric
    clusters = truth.audit_clusters
    n_units = len(y) if clusters is None else len(np.unique(clusters))
    if n_units < MIN_GROUPS:  # their luck cannot be told from a leak
        return NO_AUDIT
    try:
        value = metric.score(y, p)
    except ValueError:  # one class only among the audit rows
        return NO_AUDIT
    se = compare.standard_error(metric, y, p, seed, clusters)
    sign = 1.0 if metric.direction == "max" else -1.0
    gap = sign * (score["value"] - value)
    noise = float(np.hypot(se, max(score["se"], compare.spread_of_folds(score["folds"]))))
    z = gap / noise if noise > 0 else 0.0
    pairs = {name: compare_audit_rows(truth, y, p, item, seed) for name, item in references.items()}
    return AuditGrade(
        audit=ScoreJson(value=value, se=se, folds=[], n=len(y)),
        audit_gap_z=z,
        audit_leak=detect_audit_leak(truth, gap, z, value, n_units),
        audit_paired={name: paired for name, paired in pairs.items() if paired is not None},
    )


def detect_audit_leak(
    truth: Truth, gap: float, z: float, value: float, n_units: int
) -> ProblemJson | None:
    """Return a problem where oof beats the audit rows by a significant and material gap.

    None for a split by time, where the audit rows are the last ones and harder. `n_units`: rows, or
    groups of rows; the noise of a few groups is known badly, so that more is asked of the gap.
    """
    bar = float(student.isf(normal.sf(LEAK_Z), n_units - 1)) * truth.audit_share**0.5
    is_material = gap > LEAK_SHARE * abs(value) or (
        truth.metric.name == "auc" and gap > LEAK_SHARE * max(1 - value, 0.05)
    )
    if truth.prepared.task.split.kind == "time" or z <= bar or not is_material:
        return None
    return make_problem(
        "leak_audit",
        "out-of-fold predictions look far better than predictions of the "
        f"{len(truth.audit)} held-back rows, by more than {LEAK_Z:g} standard errors: something of "
        "the label leaks into training features, or validated rows were trained on",
    )


def compare_audit_rows(
    truth: Truth, y: Array, p: Array, reference: Reference, seed: int
) -> PairedJson | None:
    """Return the improvement over a reference on the audit rows; None where it cannot be read."""
    if "submission" not in reference:
        return None
    try:
        old = read_earlier_test(truth, reference)[truth.audit_rows]
        return compare.compare_predictions(truth.metric, y, [p], [old], truth.audit_clusters, seed)
    except (PredictionsError, OSError, ValueError):
        return None
