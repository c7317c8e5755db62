"""The shapes that cross the task floor: what a task is, how an attempt was graded, what the evidence says.

Everything here is JSON-like, so that it can cross a process border, lie in the artifact store and stand in a prompt.
No heavy library is imported.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

from pydantic import BaseModel, ConfigDict, Field

AS_GOOD = 0.4  # p(improved) from which an attempt may take the best's place; below it leak gates are not asked

Direction = Literal["max", "min"]
Kind = Literal["binary", "multiclass", "regression"]


class TaskError(Exception):
    """A task folder that cannot be solved as it stands; the message names the file and the remedy."""


class Split(BaseModel):
    """How training rows are held out. `time`: train on folds < k, validate fold k; otherwise train on folds != k."""

    model_config = ConfigDict(frozen=True)
    kind: Literal["auto", "stratified", "random", "group", "time", "file"]
    column: str | None = Field(None, description="group or time column")
    n_folds: int = 5


class Task(BaseModel):
    """A task read and checked: where its files lie, what to predict, how it is scored."""

    model_config = ConfigDict(frozen=True)
    root: str = Field(description="absolute path of the task folder")
    name: str
    description: str = Field(description="text of description.md, or empty")
    metric: str = Field(
        description="name in task.grade.metrics, or absolute path of a Python file with score(y_true, y_pred)"
    )
    direction: Direction
    kind: Kind
    train: str = Field(description="absolute path of the training table")
    test: str = Field(description="absolute path of the test table")
    sample_submission: str | None = None
    id: str | None = Field(
        None, description="id column; None: the harness numbers the rows in a column `row_id`"
    )
    target: list[str] = Field(description="label columns of the training table, at least one")
    split: Split
    extra: list[str] = Field(
        default_factory=list,
        description="other files and folders of the task that scripts may read (absolute)",
    )
    run_time_s: float | None = Field(
        None, description="wall limit of one script, seconds; None: from the settings"
    )


class Prepared(BaseModel):
    """A task made ready for a run: `public` is what scripts see as input/, `private` never leaves the harness.

    public/: train.csv (or .parquet), test.csv, folds.csv (id, fold; fold -1 is never validated), sample_submission.csv,
    description.md when there is one.  Audit rows are taken out of train and mixed without labels into test and
    sample_submission.
    """

    model_config = ConfigDict(frozen=True)
    task: Task
    public: str
    private: str
    inputs: dict[str, str] = Field(
        description="name below input/ -> absolute host path, mounted read-only"
    )
    id: str = Field(description="id column as scripts see it")
    columns: list[str] = Field(description="columns of submission.csv and oof.csv, the id first")
    n_train: int
    n_test: int
    n_audit: int
    seed: int
    data_hash: str = Field(
        description="fingerprint of the task's data, for the memory's provenance guard"
    )


class ScoreJson(TypedDict):
    """A metric value in its own units with its standard error (over folds)."""

    value: float
    se: float
    folds: list[float]
    n: int


class PairedJson(TypedDict):
    """Improvement of one attempt over another on the same rows; positive = better, whatever the metric's direction."""

    d: float
    se: float
    p_improved: float
    method: Literal["rows", "bootstrap", "folds"]
    n: int


class ProblemJson(TypedDict):
    """A reason for a verdict: for machines, and for people, prompts and the report."""

    code: str  # e.g. missing_file, missing_rows, nan, wrong_columns, constant, leak_column, leak_id, leak_encoding, leak_audit, worse
    message: str
    about: NotRequired[str]  # the column that it is about


class GradeJson(TypedDict):
    """What the harness says of one execution's files. `audit` and `private` parts never reach a reasoner."""

    ok: bool
    problems: list[ProblemJson]
    score: ScoreJson | None
    audit: ScoreJson | None
    audit_gap_z: (
        float | None
    )  # (oof - audit) in standard errors, positive = oof looks better than the audit rows
    audit_leak: (
        ProblemJson | None
    )  # what the audit rows say of leaks; asked for by scoring.audit alone
    audit_paired: dict[str, PairedJson]  # differences on the audit rows, by the reference's name
    paired: dict[str, PairedJson]  # by the reference's name: parent, best
    evidence: dict[str, Any]  # see EVIDENCE


class Score(BaseModel):
    """`ScoreJson` in the main process."""

    model_config = ConfigDict(frozen=True)
    value: float
    se: float
    folds: list[float] = []
    n: int = 0


class Paired(BaseModel):
    """`PairedJson` in the main process."""

    model_config = ConfigDict(frozen=True)
    d: float
    se: float
    p_improved: float
    method: Literal["rows", "bootstrap", "folds"] = "rows"
    n: int = 0


class Problem(BaseModel):
    """`ProblemJson` in the main process."""

    model_config = ConfigDict(frozen=True)
    code: str
    message: str
    about: str | None = None


class Grade(BaseModel):
    """`GradeJson` in the main process."""

    model_config = ConfigDict(frozen=True)
    ok: bool
    problems: list[Problem] = []
    score: Score | None = None
    audit: Score | None = None
    audit_gap_z: float | None = None
    audit_leak: Problem | None = None
    audit_paired: dict[str, Paired] = {}
    paired: dict[str, Paired] = {}
    evidence: dict[str, Any] = {}


class Blend(BaseModel):
    """`BlendJson` in the main process."""

    model_config = ConfigDict(frozen=True)
    weights: dict[str, float]
    method: str
    classes: list[str] = []
    oof: str
    submission: str
    refused: dict[str, str] = {}
    seconds: float = 0.0


class Reference(TypedDict, total=False):
    """Paths of an earlier attempt's files, to compare with."""

    oof: str
    submission: str


class BlendJson(TypedDict):
    """An ensemble's weights and the files that they give."""

    weights: dict[str, float]  # member's attempt id -> weight, summing to 1
    method: str  # mean | rank | ordinal | vote
    classes: list[str]  # labels, where labels are blended
    oof: str  # path; every fold blended by weights chosen on the other folds
    submission: str  # path; blended by weights chosen on all folds
    refused: dict[str, str]  # member -> why it could not take part
    seconds: float


EVIDENCE = """Keys of the evidence, all optional; every reader skips what is missing.

cv            {scheme, folds, mean, se, metric, direction}
train         {folds}                                       from the script's evidence.json
paired        {parent|best: {d, se, p_improved}}
classes       {label: {n, recall, precision, predicted, mean_p}}
residuals     {bias, skew, hetero, top_decile_share, last_fold_bias, min_pred, min_y, max_pred, max_y, y_skew}
calibration   {confidence, accuracy, share_p_true_below_01}
segments      [{column, value, ratio, n}]                    ratio: mean loss of the segment / mean loss of all, worst first
fit           {iterations, hit_max_iter, converged}          from the script
importances   {top: [[column, share]], n_zero}               from the script
warnings      {category: count}                              from the log
resources     {seconds, cpu_seconds, peak_mb, limit_s, limit_mb}
error         {type, message, line, traceback_tail, end}     of a failed execution
submission    {rows_ok, test_pred_vs_oof_ks}
notes         text of the script's author, bounded
Each item is cited by its path, e.g. "segments[0]" or "residuals.skew".
"""

PROFILE = """Keys of the data profile, computed once per task by the harness.

rows          {train, test}
target        {name, kind, n_classes, rates: {label: share}, skew, zero_share, min, max, nonnegative, integer}
prediction    probability | label | value | ranking: what the metric is computed from
columns       [{name, kind: numeric|categorical|text|date|id|constant, dtype, missing, missing_test, n_unique, examples,
                min, max, mean, skew, strength (|2AUC-1| or |Spearman| of this column alone against the target, 0..1),
                missing_strength (same for its missingness), drift (0..1: |2AUC-1| of telling train from test by it),
                unseen (share of test rows whose category is not in train), constant_test, mean_chars}]
groups        [{column, n, mean_size, test_overlap}]          columns that look like an entity with several rows
time          [{column, test_after_train: bool, sorted: bool}]
duplicates    {rows: share of exact duplicates among features, with_conflicting_target: share}
leaks         [{column, strength, drift, reason}]             suspected post-outcome columns
text          [{column, mean_words, vocabulary}]
split         {kind, column, n_folds, reason}
notes         [text]                                          short facts for people and prompts, most important first
"""
