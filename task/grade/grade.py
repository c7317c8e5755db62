"""Grading: from an execution's files to problems, score, paired differences and evidence.

It never raises for what a script wrote.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from task.grade import audit, compare, evidence
from task.grade.appeal import FILE, is_peculiar, leave_rows_out
from task.grade.leaks import find_leaks
from task.grade.predictions import (
    PredictionsError,
    SaidPair,
    Truth,
    find_losses,
    get_truth,
    list_oofs,
    make_problem,
    read_earlier,
    read_losses,
    read_pair,
    read_predictions,
    read_sample_ids,
)
from task.grade.soft.evidence import soft_evidence, surrogate_evidence
from task.grade.soft.loss import LOSSES
from task.load.tables import read_public_table
from task.types import (
    PROMISING_P,
    AppealJson,
    Evidence,
    ExecutionFacts,
    GradeJson,
    PairedJson,
    Prepared,
    ProblemJson,
    Reference,
    ScoreJson,
)

Array = NDArray[Any]
END_MESSAGES = {
    "disk": "the script filled its disk allowance; write less",
    "output": "the script printed without end; print less",
    "cancelled": "the run was interrupted",
}
# a script that ran so much beyond its limit waited for its cores; less is the way to its end
STRETCHED_S, STRETCHED_SHARE = 10.0, 0.1
MIN_COPIED_ROWS = 20  # fewer predictions may equal the labels by chance


def grade_execution(
    prepared: Prepared,
    files: dict[str, str],
    references: dict[str, Reference],
    execution: dict[str, Any] | None,
    *,
    seed: int = 0,
    every_gate: bool = False,
    without: Sequence[str] = (),
) -> GradeJson:
    """Grade the files of an execution.

    The leak gates fit models, so only an attempt that may replace a reference passes through
    them, unless `every_gate`.

    Args:
        prepared: the task.
        files: paths of what the script wrote, by name.
        references: files of earlier attempts to compare with, by name.
        execution: an ExecutionFacts; None: the files come from no execution.
        seed: of the bootstrap.
        every_gate: ask the leak gates in any case.
        without: what the held-back rows lack that an appeal leaves out of the audit.
    """
    truth = get_truth(prepared)
    facts = cast(ExecutionFacts, execution or {})
    findings = evidence.execution_evidence(facts, files.get("evidence.json"))
    if (failure := execution_problem(facts)) is not None:
        return refused_grade(failure, findings)
    try:
        said = require_predictions(truth, files)
        oof, test = said.decode(truth)
        check_plausible(truth, oof if said.oof.soft is None else said.oof.soft)
        score = score_accepted(truth, oof)
    except PredictionsError as error:
        problem = error.problem
        problem["message"] = describe_rehearsal(facts) + problem["message"]
        return refused_grade(problem, findings)
    paired = {
        name: compare_arrays(truth, [oof], read_seeds(truth, item), seed)
        for name, item in references.items()
    }
    losses = find_losses(truth, said.oof)
    surrogate = compare_losses(truth, losses, references, seed)
    pairs = [*paired.values(), *surrogate.values()]
    is_promising = not paired or any(p["p_improved"] >= PROMISING_P for p in pairs)
    problems = find_leaks(truth, oof) if is_promising or every_gate else []
    audited = audit.grade_audit_rows(truth, test, score, references, seed)
    findings.update(evidence.prediction_evidence(truth, oof, test, score))
    if losses is not None:
        findings.update(soft_evidence(truth, said, losses))
        findings["surrogate"] = surrogate_evidence(truth, said, losses, surrogate)
    if paired:
        findings["paired"] = evidence.pair_evidence(paired)
    if problems:
        findings["problems"] = problems
    return GradeJson(
        ok=not problems,
        problems=problems,
        score=score,
        **judge_seeing_rows(truth, test, audited, score, without, seed),
        paired=paired,
        surrogate=surrogate,
        evidence=evidence.clean_json(findings),
    )


class Audited(audit.AuditGrade):
    """The audit's part of a grade, an appeal, and what is said of held-back rows without files."""

    appeal: AppealJson | None
    blind: str


def judge_seeing_rows(
    truth: Truth,
    test: Array,
    audited: audit.AuditGrade,
    score: ScoreJson,
    without: Sequence[str],
    seed: int,
) -> Audited:
    """Return the audit's part of a grade, without held-back rows that must be predicted blind.

    These are the rows that an appeal leaves out, and where the audit finds a leak, those whose
    files are not there: that is a fault of the harness, which it says. Rows too few to tell tell
    nothing.
    """
    blind, account, left = "", None, None
    if without:
        account, left = leave_rows_out(truth, without)
    elif audited["audit_leak"] is not None and is_peculiar(truth, FILE):
        missing, left = leave_rows_out(truth, [FILE])
        n_out = missing["of"] - missing["left"]
        blind = f"{n_out:,} of {missing['of']:,} held-back rows have no file in input/"
        if left is None:
            blind += ", so no held-back row judges this"
            return Audited(**audit.NO_AUDIT, appeal=None, blind=blind)
        blind += "; the others judge"
    if left is None:
        return Audited(**audited, appeal=account, blind="")
    again = audit.grade_audit_rows(left, test, score, {}, seed)
    return Audited(
        audit=again["audit"],
        audit_gap_z=again["audit_gap_z"],
        audit_leak=again["audit_leak"],
        audit_paired=audited["audit_paired"],
        appeal=account,
        blind=blind,
    )


def compare_losses(
    truth: Truth, losses: Array | None, references: dict[str, Reference], seed: int
) -> dict[str, PairedJson]:
    """Compare rows of the surrogate's losses with those of the references that have some."""
    if losses is None:
        return {}
    found = {name: read_losses_of(truth, list_oofs(item)) for name, item in references.items()}
    return {
        name: compare.compare_predictions(LOSSES, losses, [losses], old, truth.clusters, seed)
        for name, old in found.items()
        if old
    }


def read_seeds(truth: Truth, reference: Reference) -> list[Array]:
    """Read the predictions of an earlier attempt under every seed that was run."""
    return read_pipeline(truth, list_oofs(reference))


def read_pipeline(truth: Truth, paths: Sequence[str]) -> list[Array]:
    """Read the files of one pipeline under several seeds; the first alone has to be readable."""
    found = [read_earlier(truth, paths[0])]
    for path in paths[1:]:
        with suppress(PredictionsError, OSError):
            found.append(read_earlier(truth, path))
    return found


def read_losses_of(truth: Truth, paths: Sequence[str]) -> list[Array]:
    """Read the surrogate's losses of such files; empty where the first holds labels."""
    first = read_losses(truth, paths[0])
    if first is None:
        return []
    found = [first]
    for path in paths[1:]:
        with suppress(PredictionsError, OSError):
            losses = read_losses(truth, path)
            found += [] if losses is None else [losses]
    return found


def score_accepted(truth: Truth, oof: Array) -> ScoreJson:
    """Score predictions; a metric may refuse texts or a file of its own anything.

    Raises PredictionsError.
    """
    try:
        return compare.score_predictions(truth, oof)
    except ValueError as error:
        if truth.metric.needs != "text" and not truth.metric.is_own:
            raise
        name = Path(truth.metric.name).name
        raise PredictionsError(
            "metric", f"{name} cannot score oof.csv: {str(error)[:300]}; correct what is written"
        ) from error


def compare_arrays(truth: Truth, new: list[Array], old: list[Array], seed: int) -> PairedJson:
    """Return the improvement of `new` over `old` on the validated rows."""
    return compare.compare_predictions(
        truth.metric, truth.scored, new, old, truth.clusters, seed, truth.fold
    )


def compare_files(
    prepared: Prepared, new: list[str], old: list[str], *, seed: int = 0
) -> PairedJson | None:
    """Compare the oof files of two pipelines, each under one or more seeds.

    None where the first file of one cannot be read.
    """
    truth = get_truth(prepared)
    try:
        return compare_arrays(truth, read_pipeline(truth, new), read_pipeline(truth, old), seed)
    except (PredictionsError, OSError, ValueError):
        return None


def list_leaks(prepared: Prepared, path: str) -> list[ProblemJson]:
    """Ask the leak gates about an out-of-fold file, whatever its score."""
    truth = get_truth(prepared)
    return find_leaks(truth, read_earlier(truth, path))


def compare_surrogate(
    prepared: Prepared, new: list[str], old: list[str], *, seed: int = 0
) -> PairedJson | None:
    """Compare the oof files of two pipelines by the surrogate; None where one holds labels."""
    truth = get_truth(prepared)
    try:
        new_losses, old_losses = (read_losses_of(truth, paths) for paths in (new, old))
    except (PredictionsError, OSError, ValueError):
        return None
    if not new_losses or not old_losses:
        return None
    return compare.compare_predictions(
        LOSSES, new_losses[0], new_losses, old_losses, truth.clusters, seed
    )


def refused_grade(problem: ProblemJson, findings: Evidence) -> GradeJson:
    """Return the grade of files that cannot be scored."""
    findings["problems"] = [problem]
    return GradeJson(
        ok=False,
        problems=[problem],
        score=None,
        **audit.NO_AUDIT,
        paired={},
        surrogate={},
        evidence=evidence.clean_json(findings),
        appeal=None,
        blind="",
    )


def execution_problem(facts: ExecutionFacts) -> ProblemJson | None:
    """Return why the execution itself failed; None if it ended well."""
    end, code = facts.get("end", "exit"), facts.get("exit_code", 0)
    place = describe_rehearsal(facts)
    if end in ("timeout", "memory", *END_MESSAGES):
        return make_problem(end, place + describe_end(end, facts))
    if end == "exit" and code == 0:
        return None
    if error := evidence.find_last_error(facts.get("output", "")):
        where = f" (line {error['line']} of solution.py)" if error.get("line") else ""
        message = f"{place}the script crashed: {error['type']}: {error['message']}{where}"
        if error["type"].endswith("MemoryError"):
            limit = describe_memory(facts)
            return make_problem("memory", f"{message[:500]}; its memory limit was{limit}")
        return make_problem("crash", message[:600])
    signal = facts.get("signal")
    how = f"signal {signal}" if signal else f"exit code {code}"
    return make_problem("crash", f"{place}the script ended with {how}")


def describe_rehearsal(facts: ExecutionFacts) -> str:
    """Return where a rehearsal took place, to begin a sentence with; empty for an execution."""
    sample = facts.get("rehearsed")
    if not sample:
        return ""
    return f"in a rehearsal on {sample['rows']:,} of {sample['of']:,} training rows: "


def describe_end(end: str, facts: ExecutionFacts) -> str:
    """Return how a script ended that did not end by itself: the limit, what it used, a remedy."""
    if end == "timeout":
        return f"the script was ended at its time limit{describe_time(facts)}; make it cheaper"
    if end == "memory":
        return (
            f"the script was ended at its memory limit{describe_memory(facts)}; hold less at a time"
        )
    return END_MESSAGES[end]


def describe_time(facts: ExecutionFacts) -> str:
    """Return a time limit with what was used, to continue a sentence with; empty if unknown."""
    limit_s, wall_s, cpu_s = facts.get("limit_s"), facts.get("wall_s"), facts.get("cpu_s")
    if limit_s is None or wall_s is None:
        return ""
    text = f" of {limit_s:,.0f} s after {wall_s:,.0f} s"
    if cpu_s is None:
        return text
    cpus = facts.get("cpus")
    cores = f" on {cpus} core{'s' if cpus != 1 else ''}" if cpus else ""
    why = "; the limit was stretched, because other processes kept its cores busy"
    is_stretched = wall_s > limit_s + max(STRETCHED_S, STRETCHED_SHARE * limit_s)
    return f"{text} ({cpu_s:,.0f} CPU seconds{cores}{why if is_stretched else ''})"


def describe_memory(facts: ExecutionFacts) -> str:
    """Return a memory limit with what was held, to continue a sentence with; empty if unknown."""
    limit_mb, peak = facts.get("limit_mb"), facts.get("peak_bytes")
    if limit_mb is None:
        return ""
    held = f": it held {peak / 2**30:.2f} GiB and asked for more" if peak else ""
    return f" of {limit_mb / 2**10:.2f} GiB{held}"


def require_predictions(truth: Truth, files: dict[str, str]) -> SaidPair:
    """Read oof.csv and submission.csv of a script. Raises PredictionsError."""
    for name in ("oof.csv", "submission.csv"):
        if name not in files:
            raise PredictionsError(
                "missing_file", f"the script wrote no {name}; write it into the current directory"
            )
    return read_pair(truth, files["oof.csv"], files["submission.csv"])


def check_plausible(truth: Truth, oof: Array) -> None:
    """Refuse predictions that no honest model makes: constants and copies.

    Raises PredictionsError.
    """
    if truth.metric.needs in ("ranking", "text"):
        return  # of texts, one answer for all rows may be the best that is known
    rows = oof.reshape(len(oof), -1)
    is_constant = len(rows) > 1 and bool((rows == rows[0]).all())
    if is_constant and not is_same_everywhere(truth) and has_usable_feature(truth):
        raise PredictionsError(
            "constant", "oof.csv predicts the same for every row; the model learned nothing"
        )
    if truth.metric.needs == "label" or oof.ndim > 1 or truth.y.ndim > 1:
        return
    if len(oof) >= MIN_COPIED_ROWS and np.array_equal(oof, truth.y):
        raise PredictionsError(
            "leak_copy",
            "oof.csv equals the labels in every row; "
            "predictions must come from a model that has not seen them",
        )
    if name := find_copied_column(truth, oof):
        raise PredictionsError(
            "leak_copy",
            f"oof.csv equals the column {name!r}, which the test rows do not have; "
            "it is a copy of the future",
        )


def is_same_everywhere(truth: Truth) -> bool:
    """Whether all rows have the same label: then the same prediction for all is right."""
    rows = truth.y.reshape(len(truth.y), -1)
    return bool((rows == rows[0]).all())


def has_usable_feature(truth: Truth) -> bool:
    """Whether a column of both tables has more than one value; else a constant is the best."""
    test = read_public_table(truth.prepared.public, "test")
    task = truth.prepared.task
    return bool(task.extra or task.media) or any(
        name in test and column.nunique() > 1 for name, column in truth.features.items()
    )


def find_copied_column(truth: Truth, oof: Array) -> str | None:
    """Find a training column equal to the predictions that is empty or constant in test."""
    for name, column in truth.features.items():
        if (
            pd.api.types.is_numeric_dtype(column)
            and np.array_equal(column.to_numpy(dtype=float), oof)
            and is_dead_in_test(truth, str(name))
        ):
            return str(name)
    return None


def is_dead_in_test(truth: Truth, column: str) -> bool:
    """Whether test has a column not at all, or only empty or constant."""
    frame = read_public_table(truth.prepared.public, "test")
    return column not in frame or frame[column].nunique() <= 1


def check_submission(prepared: Prepared, path: str) -> list[ProblemJson]:
    """Return the problems of a submission for the test rows of `prepared`; empty if valid."""
    try:
        read_predictions(get_truth(prepared), path, "submission.csv", read_sample_ids(prepared))
    except PredictionsError as error:
        return [error.problem]
    return []
