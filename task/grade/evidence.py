"""Evidence: what the harness derives from an execution for the diagnosis (keys in task.types.EVIDENCE)."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from task.data import segments
from task.grade.predictions import Truth
from task.types import ScoreJson

Array = NDArray[Any]
MAX_EVIDENCE_BYTES = 256 * 1024


def of_execution(account: dict[str, Any], own: str | None) -> dict[str, Any]:
    """Resources, error, warnings, and the script's own evidence.json after checking."""
    output = str(account.get("output", ""))
    found: dict[str, Any] = from_script(own) if own else {}
    peak = account.get("peak_bytes")
    found["resources"] = {
        "seconds": account.get("wall_s"),
        "cpu_seconds": account.get("cpu_s"),
        "peak_mb": round(peak / 2**20, 1) if peak else None,
        "limit_s": account.get("limit_s"),
        "limit_mb": account.get("limit_mb"),
    }
    if counts := warnings_in(output):
        found["warnings"] = counts
    if account.get("end", "exit") != "exit" or account.get("exit_code", 0) != 0:
        error = error_of(output) or {"type": "", "message": output[-500:]}
        found["error"] = error | {"end": account.get("end"), "exit_code": account.get("exit_code")}
    return found


def from_script(path: str) -> dict[str, Any]:
    """The known keys of evidence.json, bounded; anything odd is left out."""
    file = Path(path)
    try:
        if file.stat().st_size > MAX_EVIDENCE_BYTES:
            return {}
        given = json.loads(file.read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(given, dict):
        return {}
    kept = {
        key: bounded(given[key])
        for key in ("train", "fit", "importances", "learning_curve")
        if isinstance(given.get(key), dict)
    }
    if isinstance(given.get("notes"), str):
        kept["notes"] = given["notes"][:1000]
    return kept


def bounded(value: Any, depth: int = 4) -> Any:
    """Plain JSON of limited depth, width and length."""
    if depth == 0:
        return None
    if isinstance(value, dict):
        return {str(key)[:80]: bounded(item, depth - 1) for key, item in list(value.items())[:40]}
    if isinstance(value, list):
        return [bounded(item, depth - 1) for item in value[:40]]
    if isinstance(value, str):
        return value[:300]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, (bool, int, float)) else None


ERROR = re.compile(
    r"^(?:[\w.]+\.)?(\w*(?:Error|Exception|Interrupt|Exit|Warning|Iteration))(?:: (.*))?$"
)


def error_of(output: str) -> dict[str, Any] | None:
    """The last Python error in a log: type, message, line of solution.py, end of the traceback."""
    lines = output.rstrip().splitlines()[-400:]
    for index in range(len(lines) - 1, -1, -1):
        if match := ERROR.match(lines[index].strip()):
            above = lines[:index]
            numbers = re.findall(r'File "[^"]*solution\.py", line (\d+)', "\n".join(above))
            message = "\n".join([match.group(2) or "", *lines[index + 1 : index + 3]]).strip()
            tail = "\n".join(lines[max(0, index - 12) : index + 1])
            return {
                "type": match.group(1),
                "message": message[:500],
                "line": int(numbers[-1]) if numbers else None,
                "traceback_tail": tail[-2000:],
            }
    return None


def warnings_in(output: str) -> dict[str, int]:
    counts: dict[str, int] = {}
    for name in re.findall(r"\b(\w+Warning)\b", output[-200_000:]):
        counts[name] = counts.get(name, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: -item[1])[:10])


def of_predictions(known: Truth, oof: Array, test: Array, score: ScoreJson) -> dict[str, Any]:
    """Everything that follows from predictions and labels, so that any script from any model yields it."""
    split, metric = known.prepared.task.split, known.metric
    found: dict[str, Any] = {
        "cv": {
            "scheme": split.kind + (f":{split.column}" if split.column else ""),
            "folds": score["folds"],
            "mean": score["value"],
            "se": score["se"],
            "metric": metric.name,
            "direction": metric.direction,
        }
    }
    if metric.needs == "ranking":
        return found
    losses = row_losses(known, oof)
    if known.prepared.task.kind == "regression":
        if oof.ndim == 1 and known.y.ndim == 1:
            found["residuals"] = residuals(known, oof)
    else:
        found["classes"] = by_class(known, oof)
        if metric.needs == "probability":
            found["calibration"] = calibration(known.y, oof)
    found["segments"] = segments.worst(known.partitions, losses)
    found["submission"] = {"rows_ok": True, "test_pred_vs_oof_ks": shift(oof, test)}
    return found


def row_losses(known: Truth, oof: Array) -> Array:
    """A loss per row: the metric's own where it has one, else log loss, wrong labels, or squared error."""
    metric, y = known.metric, known.y
    if metric.row_loss is not None:
        return np.asarray(metric.row_loss(y, oof), dtype=float)
    if metric.needs == "probability" and oof.ndim == 1:
        ranks = stats.rankdata(oof) / (len(oof) + 1)  # AUC is about order alone
        return np.asarray(np.where(y == 1, 1 - ranks, ranks))
    if metric.needs == "label":
        return np.asarray(np.abs(y - oof) ** 2 if metric.name == "qwk" else y != oof, dtype=float)
    return np.asarray(((y.reshape(len(y), -1) - oof.reshape(len(oof), -1)) ** 2).mean(axis=1))


def residuals(known: Truth, p: Array) -> dict[str, Any]:
    y = known.y
    r = y - p
    scale = float(np.std(y)) or 1.0
    worst = np.sort(r**2)[::-1]
    last = known.validated["fold"].to_numpy() == known.validated["fold"].max()
    return {
        "bias": float(r.mean() / scale),
        "skew": float(stats.skew(r)) if r.std() > 0 else 0.0,
        "hetero": safe_corr(np.abs(r), p),
        "top_decile_share": float(worst[: max(1, len(r) // 10)].sum() / max(worst.sum(), 1e-12)),
        "last_fold_bias": float(r[last].mean() / scale),
        "min_pred": float(p.min()),
        "max_pred": float(p.max()),
        "min_y": float(y.min()),
        "max_y": float(y.max()),
        "y_skew": float(stats.skew(y)),
        "explained": float(1 - (r**2).sum() / max(((y - y.mean()) ** 2).sum(), 1e-12)),
    }


def safe_corr(a: Array, b: Array) -> float:
    return float(stats.spearmanr(a, b)[0]) if a.std() > 0 and b.std() > 0 else 0.0


def by_class(known: Truth, oof: Array) -> dict[str, Any]:
    """Per class: rows, recall, precision, how often predicted, mean probability given to it when it is true."""
    y = known.y
    if known.metric.needs == "probability":
        binary = oof.ndim == 1
        predicted = (oof > 0.5).astype(float) if binary else oof.argmax(axis=1).astype(float)
        codes = {label: float(index) for index, label in enumerate(known.labels)}
    else:
        binary, predicted, codes = False, oof, known.codes
    found = {}
    for label, code in list(codes.items())[:30]:
        true, said = y == code, predicted == code
        n_hit = int((true & said).sum())
        entry: dict[str, Any] = {"n": int(true.sum()), "predicted": int(said.sum())}
        entry["recall"] = n_hit / max(1, entry["n"])
        entry["precision"] = n_hit / max(1, entry["predicted"])
        if known.metric.needs == "probability" and true.any():
            p = (oof if code == 1 else 1 - oof) if binary else oof[:, int(code)]
            entry["mean_p"] = float(p[true].mean())
        found[label] = entry
    return found


def calibration(y: Array, p: Array) -> dict[str, float]:
    confident = p.max(axis=1) if p.ndim == 2 else np.maximum(p, 1 - p)
    said = p.argmax(axis=1) if p.ndim == 2 else (p > 0.5).astype(float)
    true = p[np.arange(len(y)), y.astype(int)] if p.ndim == 2 else np.where(y == 1, p, 1 - p)
    return {
        "confidence": float(confident.mean()),
        "accuracy": float((said == y).mean()),
        "share_p_true_below_01": float((true < 0.01).mean()),
    }


def shift(oof: Array, test: Array) -> float | None:
    """Kolmogorov-Smirnov distance between predictions for train and for test: an alarm for leaks and drift."""
    if oof.dtype == object or oof.ndim != test.ndim:
        return None
    one, two = (oof, test) if oof.ndim == 1 else (oof[:, 0], test[:, 0])
    return float(stats.ks_2samp(one, two).statistic)


def cleaned(value: Any) -> Any:
    """JSON without NaN, infinities, numpy scalars or empty entries; numbers at six digits."""
    if isinstance(value, dict):
        return {
            str(key): item
            for key, item in ((key, cleaned(item)) for key, item in value.items())
            if item is not None
        }
    if isinstance(value, (list, tuple)):
        return [cleaned(item) for item in value]
    if isinstance(value, (np.floating, float)):
        return float(f"{float(value):.6g}") if math.isfinite(value) else None
    if isinstance(value, np.integer):
        return int(value)
    return value
