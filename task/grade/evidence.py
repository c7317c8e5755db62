"""Evidence derived by the harness from an execution, for the diagnosis (`task.types.Evidence`)."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from task.data import segments
from task.grade import order, row_errors
from task.grade.metrics import roc_auc
from task.grade.predictions import Truth
from task.types import (
    CalibrationStats,
    ClassStats,
    CrossValidation,
    ErrorReport,
    Evidence,
    ExecutionFacts,
    PairedJson,
    ResidualStats,
    ResourceUse,
    ScoreJson,
    SubmissionCheck,
    TextStats,
)

Array = NDArray[Any]
N_WORST_TEXTS, MAX_TEXT_CHARS = 5, 120
MAX_EVIDENCE_BYTES = 256 * 1024
POOLING_SHARE = 0.25  # of a standard error by which pooled and mean score of the folds may differ
ScriptKey = Literal["train", "fit", "importances", "learning_curve"]
SCRIPT_KEYS: tuple[ScriptKey, ...] = get_args(ScriptKey)


def execution_evidence(facts: ExecutionFacts, own: str | None) -> Evidence:
    """Return resources, error and warnings, and the script's own evidence.json after checks.

    `own`: path of evidence.json.
    """
    output = str(facts.get("output", ""))
    evidence = read_script_evidence(own) if own else Evidence()
    peak = facts.get("peak_bytes")
    evidence["resources"] = ResourceUse(
        seconds=facts.get("wall_s"),
        cpu_seconds=facts.get("cpu_s"),
        peak_mb=round(peak / 2**20, 1) if peak else None,
        limit_s=facts.get("limit_s"),
        limit_mb=facts.get("limit_mb"),
    )
    if counts := count_warnings(output):
        evidence["warnings"] = counts
    if facts.get("end", "exit") != "exit" or facts.get("exit_code", 0) != 0:
        error = find_last_error(output) or ErrorReport(type="", message=output[-500:])
        error["end"], error["exit_code"] = facts.get("end"), facts.get("exit_code")
        evidence["error"] = error
    return evidence


def read_script_evidence(path: str) -> Evidence:
    """Read the known keys of evidence.json, bounded; anything else is dropped."""
    file = Path(path)
    try:
        if file.stat().st_size > MAX_EVIDENCE_BYTES:
            return {}
        content = json.loads(file.read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(content, dict):
        return {}
    evidence = Evidence()
    for key in SCRIPT_KEYS:
        if isinstance(content.get(key), dict):
            evidence[key] = bound_json(content[key])
    if isinstance(content.get("notes"), str):
        evidence["notes"] = content["notes"][:1000]
    return evidence


def bound_json(value: Any, depth: int = 4) -> Any:
    """Return plain JSON of limited depth, width and length; None for anything else."""
    if depth == 0:
        return None
    if isinstance(value, dict):
        items = list(value.items())[:40]
        return {str(key)[:80]: bound_json(item, depth - 1) for key, item in items}
    if isinstance(value, list):
        return [bound_json(item, depth - 1) for item in value[:40]]
    if isinstance(value, str):
        return value[:300]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, (bool, int, float)) else None


ERROR_LINE = re.compile(
    r"^(?:[\w.]+\.)?(\w*(?:Error|Exception|Interrupt|Exit|Warning|Iteration))(?:: (.*))?$"
)


def find_last_error(output: str) -> ErrorReport | None:
    """Find the last Python error in a log: type, message, line of solution.py, traceback's end."""
    lines = output.rstrip().splitlines()[-400:]
    for index in range(len(lines) - 1, -1, -1):
        if match := ERROR_LINE.match(lines[index].strip()):
            above = "\n".join(lines[:index])
            numbers = re.findall(r'File "[^"]*solution\.py", line (\d+)', above)
            message = "\n".join([match.group(2) or "", *lines[index + 1 : index + 3]]).strip()
            tail = "\n".join(lines[max(0, index - 12) : index + 1])
            return ErrorReport(
                type=match.group(1),
                message=message[:500],
                line=int(numbers[-1]) if numbers else None,
                traceback_tail=tail[-2000:],
            )
    return None


def count_warnings(output: str) -> dict[str, int]:
    """Count the warnings of a log by category, the ten most frequent."""
    names = re.findall(r"\b(\w+Warning)\b", output[-200_000:])
    return dict(Counter(names).most_common(10))


def prediction_evidence(truth: Truth, oof: Array, test: Array, score: ScoreJson) -> Evidence:
    """Return what follows from predictions and labels, so that every script yields it.

    Of the validated rows alone: held-back rows have no part in it.
    """
    metric, kind = truth.metric, truth.prepared.task.kind
    evidence = Evidence(cv=cross_validation(truth, score))
    losses = row_losses(truth, oof)
    residuals = row_errors.mean_residual(row_errors.signed_residuals(truth, oof))
    if losses is not None:
        partitions = truth.partitions
        evidence["segments"] = segments.find_worst_segments(partitions, losses, residuals)
    if metric.needs == "ranking":
        n_guesses = int(metric.name.rpartition("@")[2])
        evidence["places"] = order.hits_by_place(truth.y, oof, n_guesses)
        return evidence
    if kind == "text":
        evidence["texts"] = text_stats(truth, oof, test, losses)
        return evidence
    if kind == "regression" or truth.y.ndim == 2:
        evidence.update(value_evidence(truth, oof))
    else:
        evidence.update(class_evidence(truth, oof))
    distance = prediction_shift(oof, test)
    evidence["submission"] = SubmissionCheck(rows_ok=True, test_pred_vs_oof_ks=distance)
    return evidence


def pair_evidence(paired: dict[str, PairedJson]) -> dict[str, dict[str, float]]:
    """Return what is told of paired differences."""
    return {
        name: {"d": pair["d"], "se": pair["se"], "p_improved": pair["p_improved"]}
        for name, pair in paired.items()
    }


def cross_validation(truth: Truth, score: ScoreJson) -> CrossValidation:
    """Return the pooled score with the error of its rows, and the folds where they tell more."""
    split, folds = truth.prepared.task.split, score["folds"]
    cv = CrossValidation(
        scheme=split.kind + (f":{split.column}" if split.column else ""),
        folds=folds,
        mean=score["value"],
        se=score["se"],
        metric=truth.metric.name,
        direction=truth.metric.direction,
    )
    if len(folds) > 1:
        cv["fold_sd"] = float(np.std(folds, ddof=1))
        mean = float(np.mean(folds))
        if abs(mean - score["value"]) > POOLING_SHARE * score["se"]:
            cv["fold_mean"] = mean
    return cv


def value_evidence(truth: Truth, oof: Array) -> Evidence:
    """Return evidence on predicted numbers: residuals, each target, and order where it counts."""
    evidence = Evidence()
    if oof.ndim == 1 and truth.y.ndim == 1:
        evidence["residuals"] = residual_stats(truth, oof)
        if truth.metric.name == "spearman" and (found := order.order_of_values(truth.y, oof)):
            evidence["order"] = found
        elif fifths := row_errors.fifths_of_predictions(truth, oof):
            evidence["by_prediction"] = fifths
    elif targets := row_errors.target_stats(truth, oof):
        evidence["targets"] = targets
    return evidence


def class_evidence(truth: Truth, oof: Array) -> Evidence:
    """Return evidence on classes: order for a metric of order, else rates and calibration."""
    evidence, metric, y = Evidence(), truth.metric, truth.y
    if metric.name in order.RANKED:
        if oof.ndim == 1 and (found := order.order_stats(y, oof)):
            evidence["order"] = found
        elif oof.ndim == 2:
            evidence["classes"] = ranked_classes(truth, oof)
        return evidence
    evidence["classes"] = class_stats(truth, oof)
    guesses, names = guess_classes(truth, oof)
    if confusions := row_errors.count_confusions(y.ravel(), guesses.ravel(), names):
        evidence["confusions"] = confusions
    if metric.needs == "probability":
        evidence["calibration"] = calibration_stats(y, oof)
        if fifths := row_errors.fifths_of_predictions(truth, oof):
            evidence["by_prediction"] = fifths
    return evidence


def guess_classes(truth: Truth, oof: Array) -> tuple[Array, dict[float, str]]:
    """Return the class that each row is most likely to be, and the name of every code."""
    if truth.metric.needs != "probability":
        return oof, {code: label for label, code in truth.codes.items()}
    guesses = oof.argmax(axis=1).astype(float) if oof.ndim == 2 else (oof > 0.5).astype(float)
    return guesses, {float(index): label for index, label in enumerate(truth.labels)}


def ranked_classes(truth: Truth, oof: Array) -> dict[str, ClassStats]:
    """Return the AUC of each class against the others, the worst first, at most thirty."""
    by_class = {}
    for index, label in enumerate(truth.labels[: oof.shape[1]]):
        is_true = truth.y == index
        if 0 < is_true.sum() < len(is_true):
            auc = float(roc_auc(is_true.astype(int), oof[:, index]))
            by_class[label] = ClassStats(n=int(is_true.sum()), auc=auc)
    return dict(sorted(by_class.items(), key=lambda item: item[1]["auc"])[:30])


def row_losses(truth: Truth, oof: Array) -> Array | None:
    """Return a loss per row: the metric's own, else by rank, wrong labels, or squared error.

    None for texts whose metric does not separate into rows, and where shapes do not allow it.
    """
    metric, y = truth.metric, truth.y
    if metric.row_loss is not None:
        return np.asarray(metric.row_loss(truth.scored, oof), dtype=float)
    if truth.prepared.task.kind == "text":
        return None
    if metric.needs == "probability" and oof.ndim == 1:
        ranks = stats.rankdata(oof) / (len(oof) + 1)  # AUC depends on the order alone
        return np.asarray(np.where(y == 1, 1 - ranks, ranks))
    if metric.needs == "label":
        return np.asarray(np.abs(y - oof) ** 2 if metric.name == "qwk" else y != oof, dtype=float)
    one, two = y.reshape(len(y), -1), oof.reshape(len(oof), -1)
    return np.asarray(((one - two) ** 2).mean(axis=1)) if one.shape == two.shape else None


def text_stats(truth: Truth, oof: Array, test: Array, losses: Array | None) -> TextStats:
    """Describe predicted texts, and the rows that lost most; of several columns, the first."""
    true, said, other = (
        np.asarray(texts.reshape(len(texts), -1)[:, 0], dtype=object)
        for texts in (truth.y, oof, test)
    )
    lengths = [np.array([len(str(text)) for text in texts]) for texts in (true, said, other)]
    stats_of_texts = TextStats(
        empty=float((lengths[1] == 0).mean()),
        empty_true=float((lengths[0] == 0).mean()),
        empty_test=float((lengths[2] == 0).mean()),
        exact=float((true == said).mean()),
        distinct=len(set(said)),
        mean_chars=float(lengths[1].mean()),
        mean_chars_true=float(lengths[0].mean()),
        mean_chars_test=float(lengths[2].mean()),
    )
    rows = np.flatnonzero(true != said) if losses is None else np.argsort(-losses, kind="stable")
    worst = [row for row in rows[:N_WORST_TEXTS] if true[row] != said[row]]
    stats_of_texts["worst"] = [
        {"true": shorten_text(true[row]), "predicted": shorten_text(said[row])} for row in worst
    ]
    return stats_of_texts


def shorten_text(text: object) -> str:
    """Return a text bounded for a prompt."""
    plain = str(text)
    return plain if len(plain) <= MAX_TEXT_CHARS else plain[: MAX_TEXT_CHARS - 1] + "…"


def residual_stats(truth: Truth, p: Array) -> ResidualStats:
    """Describe the residuals y - p of a regression with one target."""
    y = truth.y
    r = y - p
    scale = float(np.std(y)) or 1.0
    errors = np.sort(r**2)[::-1]
    total = float(((y - y.mean()) ** 2).sum())
    is_last = truth.fold == truth.fold.max()
    return ResidualStats(
        bias=float(r.mean() / scale),
        skew=float(stats.skew(r)) if r.std() > 0 else 0.0,
        hetero=rank_correlation(np.abs(r), p),
        top_decile_share=float(errors[: max(1, len(r) // 10)].sum() / max(errors.sum(), 1e-12)),
        last_fold_bias=float(r[is_last].mean() / scale),
        min_pred=float(p.min()),
        max_pred=float(p.max()),
        min_y=float(y.min()),
        max_y=float(y.max()),
        y_skew=float(stats.skew(y)),
        explained=float(1 - (r**2).sum() / max(total, 1e-12)),
    )


def rank_correlation(a: Array, b: Array) -> float:
    """Return Spearman's correlation; 0 where one side is constant."""
    return float(stats.spearmanr(a, b)[0]) if a.std() > 0 and b.std() > 0 else 0.0


def class_stats(truth: Truth, oof: Array) -> dict[str, ClassStats]:
    """Describe the predictions of each class, at most thirty."""
    is_probability = truth.metric.needs == "probability"
    predicted, names = guess_classes(truth, oof)
    codes = {label: code for code, label in names.items()}
    by_class = {}
    for label, code in list(codes.items())[:30]:
        is_true, is_predicted = truth.y == code, predicted == code
        n, n_predicted = int(is_true.sum()), int(is_predicted.sum())
        n_hits = int((is_true & is_predicted).sum())
        entry = ClassStats(
            n=n,
            predicted=n_predicted,
            recall=n_hits / max(1, n),
            precision=n_hits / max(1, n_predicted),
        )
        if is_probability and n:
            entry["mean_p"] = float(class_probability(oof, int(code))[is_true].mean())
        by_class[label] = entry
    return by_class


def class_probability(p: Array, code: int) -> Array:
    """Return the probability of one class, of p for class 1 or a column per class."""
    if p.ndim == 2:
        return np.asarray(p[:, code])
    return p if code == 1 else 1 - p


def calibration_stats(y: Array, p: Array) -> CalibrationStats:
    """Compare the confidence of class probabilities with their accuracy."""
    if p.ndim == 2:
        confidence, guess = p.max(axis=1), p.argmax(axis=1)
        p_true = p[np.arange(len(y)), y.astype(int)]
    else:
        confidence, guess = np.maximum(p, 1 - p), (p > 0.5).astype(float)
        p_true = np.where(y == 1, p, 1 - p)
    return CalibrationStats(
        confidence=float(confidence.mean()),
        accuracy=float((guess == y).mean()),
        share_p_true_below_01=float((p_true < 0.01).mean()),
    )


def prediction_shift(oof: Array, test: Array) -> float | None:
    """Return the Kolmogorov-Smirnov distance of test from training predictions.

    It warns of leaks and drift. None for rankings.
    """
    if oof.dtype == object or oof.ndim != test.ndim:
        return None
    one, two = (oof, test) if oof.ndim == 1 else (oof[:, 0], test[:, 0])
    return float(stats.ks_2samp(one, two).statistic)


def clean_json(value: Any) -> Any:
    """Return JSON without NaN, infinities, numpy scalars or empty entries; floats at six digits."""
    if isinstance(value, dict):
        items = {str(key): clean_json(item) for key, item in value.items()}
        return {key: item for key, item in items.items() if item is not None}
    if isinstance(value, (list, tuple)):
        return [clean_json(item) for item in value]
    if isinstance(value, (np.floating, float)):
        return float(f"{float(value):.6g}") if math.isfinite(value) else None
    if isinstance(value, np.integer):
        return int(value)
    return value
