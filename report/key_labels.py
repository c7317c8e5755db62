"""Readable names of the keys that a report shows: settings, and paths into the evidence."""

from __future__ import annotations

import re

from report.formatting import clean_text, finite_number, format_bytes, format_duration

EVIDENCE = {
    "cv.scheme": "folds made by",
    "cv.folds": "score by fold",
    "cv.mean": "score of all rows",
    "cv.se": "standard error, from the rows",
    "cv.fold_mean": "mean over folds",
    "cv.fold_sd": "standard deviation over folds",
    "order.inverted": "pairs in the wrong order (share)",
    "order.n_positive": "positives",
    "order.missed": "ranks missed by (share of the rows)",
    "order.tenths": "tenths of the score, lowest first",
    "by_prediction": "fifths of the prediction, lowest first",
    "confusions": "commonest errors",
    "cv.metric": "metric",
    "cv.direction": "better is",
    "paired.best": "against the trace's best",
    "paired.anchor": "against the last confirmed best",
    "residuals.bias": "mean residual (SD of the target)",
    "residuals.skew": "skew of the residuals",
    "residuals.hetero": "residuals grow with the prediction (rank correlation)",
    "residuals.top_decile_share": "squared error in the worst tenth of the rows",
    "residuals.last_fold_bias": "mean residual of the last fold (SD of the target)",
    "residuals.min_pred": "smallest prediction",
    "residuals.max_pred": "largest prediction",
    "residuals.min_y": "smallest true value",
    "residuals.max_y": "largest true value",
    "residuals.y_skew": "skew of the target",
    "residuals.explained": "explained variance (R²)",
    "calibration.confidence": "mean stated confidence",
    "calibration.accuracy": "accuracy",
    "calibration.share_p_true_below_01": "rows whose true class got less than 1 %",
    "submission.rows_ok": "submission has the right rows",
    "submission.test_pred_vs_oof_ks": "test against out-of-fold predictions (KS distance)",
    "train.folds": "training score by fold",
    "fit.iterations": "iterations",
    "fit.n_features": "features",
    "fit.n_rows": "rows fitted",
}
GROUPS = {
    "classes": "class",
    "places": "true class at",
    "targets": "target",
    "warnings": "warnings of kind",
    "importances": "importance",
    "learning_curve": "learning curve",
    "train": "training",
}
SETTINGS = {
    "accept_z": "standard errors to be accepted",
    "false_accepts": "chance that a run of nulls accepts one",
    "step_p": "p(improved) to step on a tie",
    "variants": "variants per script",
    "n_folds": "folds",
    "key_env": "variable of the API key",
    "top_k": "contenders of the final choice",
    "final_seeds": "seeds of the final choice",
    "run_cpus": "cores per script",
    "max_usd": "money limit (USD)",
    "max_tokens": "token limit",
    "max_executions": "limit of executions",
    "e2b_usd_per_hour": "E2B price per hour (USD)",
    "otel": "OpenTelemetry",
    "runs_dir": "folder of runs",
    "config": "task.yaml elsewhere",
    "extra_body": "more fields of a request",
}
WORDS = {"gpus": "GPUs", "url": "URL", "e2b": "E2B", "usd": "USD", "cpus": "cores"}
SECONDS, BYTES = re.compile(r"_s$"), re.compile(r"_bytes$")


def label_setting(name: str) -> str:
    """Return `time per script` for `run_time_s`, and the like."""
    if name in SETTINGS:
        return SETTINGS[name]
    bare = BYTES.sub("", SECONDS.sub("", name))
    if name.startswith("run_") and bare != name:
        bare = f"{bare.removeprefix('run_')} per script"
    return " ".join(WORDS.get(word, word) for word in clean_text(bare, 60).split("_"))


def setting_text(name: str, value: object) -> str:
    """Return a setting's value with its unit; empty where the name says no unit."""
    number = finite_number(value)
    if number is not None and SECONDS.search(name):
        return format_duration(number)
    if number is not None and BYTES.search(name):
        return format_bytes(number)
    if isinstance(value, bool):
        return "on" if value else "off"
    return ""


def label_evidence(path: str) -> str:
    """Return a readable name of a path into the evidence, such as `cv.mean`."""
    if path in EVIDENCE:
        return EVIDENCE[path]
    group, _, rest = path.partition(".")
    return f"{GROUPS.get(group, group)} {rest}".replace("_", " ").strip()
