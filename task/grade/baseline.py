"""A submission of the harness's own, made before the first attempt: a plain model, or the prior."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import pandas as pd

from task.grade import baseline_script
from task.grade.compare import score_predictions
from task.grade.predictions import PredictionsError, Truth, get_truth, read_predictions
from task.types import BaselineMethod, Prepared, TaskError

MAX_CELLS = 20_000_000  # of both tables; more are not read in seconds
PLAN_LINE = "PLAN: Plan | None = None"
PRIOR_SCRIPT = '''"""The baseline: what the training labels say of any row, the same for all."""

import pandas as pd

pd.read_csv("input/sample_submission.csv").to_csv("submission.csv", index=False)
'''


class BaselineJson(TypedDict):
    """How the baseline was made, and what it scores on the validated rows (None: unknown)."""

    method: BaselineMethod
    score: float | None
    se: float | None
    seconds: float


def make_baseline(
    prepared: Prepared, folder: str, method: BaselineMethod, *, limit_s: float, without: list[str]
) -> BaselineJson:
    """Write solution.py, oof.csv and submission.csv of the baseline.

    Args:
        prepared: the task.
        folder: where the files are written.
        method: `prior` ignores the features.
        limit_s: of the plain model, looked at between its fits.
        without: columns that it leaves out, as they are suspected of telling the target.

    Raises:
        TaskError: there is no such baseline within the limit; the message says why.
    """
    began, place, truth = time.monotonic(), Path(folder), get_truth(prepared)
    place.mkdir(parents=True, exist_ok=True)
    if method == "prior":
        write_prior(truth, place)
    else:
        write_plain_model(truth, place, limit_s, without)
    try:
        read_predictions(truth, str(place / "submission.csv"), "submission.csv", truth.test_ids)
        value, se = score_oof(truth, place / "oof.csv")
    except PredictionsError as error:
        raise TaskError(f"the baseline ({method}) is no valid submission: {error}") from error
    seconds = round(time.monotonic() - began, 3)
    return BaselineJson(method=method, score=value, se=se, seconds=seconds)


def score_oof(truth: Truth, path: Path) -> tuple[float | None, float | None]:
    """Return score and standard error of out-of-fold predictions; None where there is none."""
    try:
        p = read_predictions(truth, str(path), "oof.csv", truth.validated_ids)
        score = score_predictions(truth, p)
    except Exception as error:
        is_own = truth.metric.name.endswith(".py")  # any error of the user's code is for the user
        if not is_own and not isinstance(error, (PredictionsError, ArithmeticError, ValueError)):
            raise
        return None, None  # a constant has no score by this metric
    return (score["value"], score["se"]) if np.isfinite(score["value"]) else (None, None)


def write_prior(truth: Truth, place: Path) -> None:
    """Write the public sample as the submission, and its first row for every validated row."""
    sample = pd.read_csv(
        Path(truth.prepared.public) / "sample_submission.csv", dtype={truth.form.id: str}
    )
    sample.to_csv(place / "submission.csv", index=False)
    first: dict[str, Any] = {
        column.name: sample[column.name].iloc[0] for column in truth.form.columns
    }
    oof = pd.DataFrame({truth.form.id: truth.validated_ids}).assign(**first)
    oof.to_csv(place / "oof.csv", index=False)
    (place / "solution.py").write_text(PRIOR_SCRIPT)


def write_plain_model(truth: Truth, place: Path, limit_s: float, without: list[str]) -> None:
    """Fit the plain model and write its files. Raises TaskError."""
    prepared, plan = truth.prepared, make_plan(truth, without)
    n_cells = (prepared.n_train + prepared.n_test) * max(1, truth.features.shape[1])
    if n_cells > MAX_CELLS or len(plan.labels) > baseline_script.MAX_CLASSES:
        raise TaskError("the plain model would take longer than seconds")
    try:
        baseline_script.run_baseline(plan, Path(prepared.public), place, limit_s)
    except (TimeoutError, ValueError, LookupError, TypeError, MemoryError) as error:
        raise TaskError(f"the plain model gave nothing ({str(error)[:200]})") from error
    text = Path(baseline_script.__file__).read_text(encoding="utf-8")
    (place / "solution.py").write_text(text.replace(PLAN_LINE, f"PLAN = {plan!r}"))


def make_plan(truth: Truth, without: list[str]) -> baseline_script.Plan:
    """Return what the plain model needs to know about the task."""
    task, guesses = truth.prepared.task, truth.metric.name.rpartition("@")[2]
    return baseline_script.Plan(
        id=truth.prepared.id,
        targets=task.target,
        columns=[[column.name, column.label] for column in truth.form.columns],
        labels=list(truth.labels) if task.kind != "regression" else [],
        guesses=int(guesses) if guesses.isdigit() else 1,
        is_ranking=truth.metric.needs == "ranking",
        is_in_time=task.split.kind == "time",
        left_out=without,
    )
