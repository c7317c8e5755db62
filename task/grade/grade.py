"""Grading: an execution's files -> problems, score, paired differences, evidence.  Never raises for what a script wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from task.grade import audit, compare, evidence
from task.grade.leaks import leaks
from task.grade.predictions import Refused, Truth, earlier, problem, read_predictions, truth_of
from task.types import AS_GOOD, GradeJson, PairedJson, Prepared, ProblemJson, Reference

Array = NDArray[Any]


def grade(
    prepared: Prepared,
    files: dict[str, str],
    references: dict[str, Reference],
    execution: dict[str, Any] | None,
    *,
    seed: int = 0,
    every_gate: bool = False,
) -> GradeJson:
    """`files`: name -> path of what the script left; `references`: name -> files of earlier attempts to compare with.

    The leak gates fit models, so they are asked only of an attempt that may take a reference's place, or with `every_gate`.
    """
    known = truth_of(prepared)
    account = execution or {}
    found = evidence.of_execution(account, files.get("evidence.json"))
    if (failure := failed(account)) is not None:
        return refused([failure], found)
    try:
        oof = predictions(known, files, "oof.csv")
        test = predictions(known, files, "submission.csv")
        gates(known, oof)
    except Refused as refusal:
        return refused([refusal.problem], found)
    score = compare.score_of(known, oof)
    paired = {
        name: against(known, [oof], [earlier(known, item["oof"])], seed)
        for name, item in references.items()
    }
    promising = not paired or any(item["p_improved"] >= AS_GOOD for item in paired.values())
    problems = leaks(known, oof) if promising or every_gate else []
    found |= evidence.of_predictions(known, oof, test, score)
    if paired:
        found["paired"] = {
            name: {key: item[key] for key in ("d", "se", "p_improved")}
            for name, item in paired.items()
        }
    if problems:
        found["problems"] = problems
    return GradeJson(
        ok=not problems,
        problems=problems,
        score=score,
        **audit.of(known, test, score, references, seed),
        paired=paired,
        evidence=evidence.cleaned(found),
    )


def against(known: Truth, new: list[Array], old: list[Array], seed: int) -> PairedJson:
    return compare.paired(known.metric, known.y, new, old, known.clusters, seed)


def compare_files(
    prepared: Prepared, new: list[str], old: list[str], *, seed: int = 0
) -> PairedJson | None:
    """The paired difference between oof files of two pipelines, each under one or more seeds; None where one cannot be read."""
    known = truth_of(prepared)
    try:
        return against(
            known,
            [earlier(known, path) for path in new],
            [earlier(known, path) for path in old],
            seed,
        )
    except (Refused, OSError, ValueError):
        return None


def refused(problems: list[ProblemJson], found: dict[str, Any]) -> GradeJson:
    found = found | {"problems": problems}
    return GradeJson(
        ok=False,
        problems=problems,
        score=None,
        **audit.NOTHING,
        paired={},
        evidence=evidence.cleaned(found),
    )


def failed(account: dict[str, Any]) -> ProblemJson | None:
    """Why the execution itself gave nothing to grade."""
    end, code = account.get("end", "exit"), account.get("exit_code", 0)
    limits = {
        "timeout": "the script was ended at its time limit; make it cheaper",
        "memory": "the script was ended at its memory limit; hold less in memory",
        "disk": "the script filled its disk allowance; write less",
        "output": "the script printed without end; print less",
        "cancelled": "the run was interrupted",
    }
    if end in limits:
        return problem(str(end), limits[end])
    if end == "exit" and code == 0:
        return None
    error = evidence.error_of(str(account.get("output", "")))
    if error:
        where = f" (line {error['line']} of solution.py)" if error.get("line") else ""
        return problem(
            "crash", f"the script crashed: {error['type']}: {error['message']}{where}"[:600]
        )
    signal = account.get("signal")
    return problem(
        "crash",
        f"the script ended with {'signal ' + str(signal) if signal else 'exit code ' + str(code)}",
    )


def predictions(known: Truth, files: dict[str, str], name: str) -> Array:
    if name not in files:
        raise Refused(
            "missing_file", f"the script wrote no {name}; write it into the current directory"
        )
    return read_predictions(known, files[name], name, known.ids(name))


def gates(known: Truth, oof: Array) -> None:
    """Predictions that cannot be honest work. Raises Refused."""
    if known.metric.needs == "ranking":
        return
    flat = oof.reshape(len(oof), -1)
    if len(flat) > 1 and (flat == flat[0]).all():
        raise Refused(
            "constant", "oof.csv predicts the same for every row; the model learned nothing"
        )
    if known.metric.needs in ("value", "probability") and oof.ndim == 1 and known.y.ndim == 1:
        if len(oof) >= 20 and np.array_equal(oof, known.y):
            raise Refused(
                "leak_copy",
                "oof.csv equals the labels in every row; predictions must come from a model that has not seen them",
            )
        if name := copied_column(known, oof):
            raise Refused(
                "leak_copy",
                f"oof.csv equals the column {name!r}, which the test rows do not have; it is a copy of the future",
            )


def copied_column(known: Truth, oof: Array) -> str | None:
    """A training column that the predictions repeat although test has it only empty or constant."""
    for name, column in known.features.items():
        if (
            pd.api.types.is_numeric_dtype(column)
            and np.array_equal(column.to_numpy(dtype=float), oof)
            and dead_in_test(known, str(name))
        ):
            return str(name)
    return None


def dead_in_test(known: Truth, column: str) -> bool:
    public = Path(known.prepared.public)
    frame = (
        pd.read_csv(public / "test.csv")
        if (public / "test.csv").exists()
        else pd.read_parquet(public / "test.parquet")
    )
    return column not in frame or frame[column].nunique() <= 1


def check_submission(prepared: Prepared, path: str) -> list[ProblemJson]:
    """Problems of a submission for `prepared`'s own test rows; empty when it is valid."""
    known = truth_of(prepared)
    sample = pd.read_csv(Path(prepared.public) / "sample_submission.csv", usecols=[0])
    from task.data.prepare import plain

    try:
        read_predictions(
            known, path, "submission.csv", [plain(value) for value in sample.iloc[:, 0]]
        )
    except Refused as refusal:
        return [refusal.problem]
    return []
