"""The types that cross the border of the task package: a task, a grade, the keys of its evidence.

Everything here is JSON-like, so that it can cross a process border, be stored as an artifact and
be part of a prompt. No heavy library is imported.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal, NamedTuple, NotRequired, TypedDict

from pydantic import BaseModel, ConfigDict, Field

PROMISING_P = 0.4
"""p(improved) from which an attempt may replace the best; below it the leak gates are skipped."""

Direction = Literal["max", "min"]
Kind = Literal["binary", "multiclass", "regression", "text"]
MediaRole = Literal["train", "test", "both"]
CLASS_KINDS: tuple[Kind, ...] = ("binary", "multiclass")
SplitKind = Literal["auto", "stratified", "random", "group", "time", "file"]


class TaskError(ValueError):
    """A task folder that cannot be solved as it is; the message names the file and the remedy.

    `needs`: the file that would help, which a person or a model may write; empty: none.
    """

    needs: ClassVar[str] = ""


class TableFaultError(TaskError):
    """A fault in tables that are what they are taken for: no other reading of them is tried."""


class ReaderNeededError(TaskError):
    """Labels or rows are in no place that a fixed reader knows."""

    needs = "read.py"


class MetricNeededError(TaskError):
    """The metric that the description asks for is not built in, or its name means several."""

    needs = "metric.py"


class TaskFile(NamedTuple):
    """A task.yaml that was written, and what was read."""

    path: str
    reasons: list[str]  # one per line of the file: what was chosen and why
    notice: str = ""  # why the file is not where it was expected
    report: dict[str, Any] = {}  # noqa: RUF012 - a TaskReport; empty where nothing was read


class TaskReport(TypedDict):
    """What was read of a task folder: the interface of `gome init --dry-run --json`."""

    train: str | None
    test: str | None
    sample: str | None
    id: str | None
    target: list[str]
    kind: str | None
    metric: str | None
    direction: str | None
    columns: list[dict[str, str]]  # name, kind, why, fate
    classes: list[str]
    positive: str | None
    split: str | None
    rows: dict[str, int]
    repairs: list[str]
    decided: list[str]
    files: list[str]  # side files of the rows: kinds, counts, whose they are
    rehearsal: dict[str, Any] | None
    refusal: str | None
    needs: str  # read.py or metric.py: the file that would help; empty: none


class Split(BaseModel):
    """How training rows are held out.

    `time`: train on folds < k, validate fold k; otherwise train on folds != k.
    """

    model_config = ConfigDict(frozen=True)
    kind: SplitKind
    column: str | None = Field(None, description="group or time column")
    n_folds: int = 5


class FormColumn(BaseModel):
    """A prediction column of a submission: what it holds."""

    model_config = ConfigDict(frozen=True)
    name: str
    target: str = Field(description="label column of the training table that it predicts")
    label: str = Field("", description="class whose probability it holds; empty: target itself")


class SubmissionForm(BaseModel):
    """The form of submission.csv and oof.csv: which column means what. Matched by name."""

    model_config = ConfigDict(frozen=True)
    id: str = Field(description="id column as scripts see it")
    columns: list[FormColumn]
    labels: list[str] = Field(
        default_factory=list,
        description="classes as text, in the order of their columns; negative then positive "
        "for a single probability; empty for values",
    )
    positive: str = Field("", description="class of a single probability column")
    spelling: dict[str, str] = Field(
        default_factory=dict, description="class -> text that the sample writes for it"
    )
    bounds: tuple[float | None, float | None] | None = Field(
        None, description="predicted values are clipped to it"
    )
    decided: list[str] = Field(
        default_factory=list, description="by what names were matched, where it is not obvious"
    )
    sample_ids: list[str] = Field(
        default_factory=list,
        description="id columns as the sample writes them; several are joined to one for scripts "
        "and taken apart at hand-over; empty: the sample's first column, or no sample",
    )
    order: list[str] = Field(
        default_factory=list,
        description="all columns of the sample in its order, with those that are carried over "
        "unchanged; empty: no sample",
    )
    separator: str = Field(",", description="of the final submission, as in the sample")
    decimal: str = Field(".", description="decimal mark of the final submission")

    @property
    def names(self) -> list[str]:
        """Columns of the files, the id first."""
        return [self.id, *(column.name for column in self.columns)]

    def meaning(self) -> dict[str, dict[str, str]]:
        """Return what every prediction column holds, by its name."""
        return {
            column.name: {"target": column.target, "label": column.label} for column in self.columns
        }


SoftLayout = Literal["classes", "positive", "values"]
SoftDecoder = Literal["argmax", "weights", "cuts", "top"]


class SoftForm(BaseModel):
    """What scripts may write in place of labels, and how the harness makes labels of it.

    `classes`: a column of probabilities for each class. `positive`: the columns of the submission,
    with the probability of the last class. `values`: the columns of the submission, with values
    between the labels.
    """

    model_config = ConfigDict(frozen=True)
    layout: SoftLayout
    decoder: SoftDecoder = Field(description="see task.grade.soft.decode")
    loss: str = Field(description="surrogate by which attempts are judged: its name for people")
    columns: list[str] = Field(description="of such a file, the id first")


class MediaSource(BaseModel):
    """A folder, an archive or a file that holds one or more files per row of a table."""

    model_config = ConfigDict(frozen=True)
    path: str = Field(description="absolute path of a folder, an archive or a file")
    role: MediaRole = Field("both", description="whose rows its files belong to")


class LayoutKeys(BaseModel):
    """Keys of task.yaml by which the tables of a folder are made, where they are made."""

    model_config = ConfigDict(frozen=True)
    train: str | None = None
    test: str | None = None
    sample: str | None = None
    id: str | None = None
    target: tuple[str, ...] = ()
    reader: str | None = Field(None, description="Python file in the task folder: read.py")


class Task(BaseModel):
    """A task after all checks: paths of its files, what to predict, how it is scored."""

    model_config = ConfigDict(frozen=True)
    root: str = Field(description="absolute path of the task folder")
    name: str
    description: str = Field(description="text of description.md, or empty")
    metric: str = Field(
        description="name in task.grade.metrics, "
        "or absolute path of a Python file with score(answers, submission)"
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
    id_parts: list[str] = Field(
        default_factory=list, description="columns that the id is put together of"
    )
    id_mark: str = Field("_", description="what stands between the parts of the id")
    id_name: str = Field("", description="what people call the id, where rows are numbered")
    sample_id: str | None = Field(
        None, description="id column of the sample; None: its first column"
    )
    positive: str = Field("", description="class of a single probability column, if named")
    columns: dict[str, str] = Field(
        default_factory=dict,
        description="prediction column of the sample -> class or target, where a person said it",
    )
    metric_sentence: str = Field(
        "", description="sentence of the description that the metric was read from"
    )
    decided: list[str] = Field(
        default_factory=list, description="what was decided by something else than a name"
    )
    repairs: list[str] = Field(
        default_factory=list, description="what was repaired of the tables, a sentence each"
    )
    media: list[MediaSource] = Field(
        default_factory=list, description="side files of the rows: pictures, sounds, arrays, texts"
    )
    label_sources: list[str] = Field(
        default_factory=list,
        description="absolute paths of files that repeat the training labels in another form; "
        "never mounted",
    )
    layout: LayoutKeys | None = Field(
        None, description="train and test are made of the folder by a reader; None: they are tables"
    )
    label_columns: list[str] = Field(
        default_factory=list,
        description="columns of the raw table that a target is put together of; empty: itself",
    )
    readings: list[str] = Field(
        default_factory=list,
        description="by which reader labels, rows and ids were found, a sentence each",
    )


class Prepared(BaseModel):
    """A task ready for a run: scripts see `public` as input/; `private` never leaves the harness.

    public/: train.csv (or .parquet), test.csv, folds.csv (id, fold; fold -1 is never validated),
    sample_submission.csv, description.md when there is one. Audit rows are removed from train and
    mixed without labels into test and sample_submission.
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
    form: SubmissionForm | None = Field(
        None, description="what the columns mean; None in runs of earlier versions"
    )
    soft: SoftForm | None = Field(
        None, description="what scripts may write in place of labels; None: nothing"
    )
    read: list[dict[str, str]] = Field(
        default_factory=list, description="how every column was read: name, kind, why, fate"
    )
    repairs: list[str] = Field(
        default_factory=list, description="what was repaired of the tables, a sentence each"
    )


class NewRows(BaseModel):
    """New rows as the test table of a finished solution, and what is to be said of them."""

    model_config = ConfigDict(frozen=True)
    prepared: Prepared
    notes: list[str]


class ScoreJson(TypedDict):
    """A metric value in its own units with its standard error (over folds)."""

    value: float
    se: float
    folds: list[float]
    n: int


CompareMethod = Literal["rows", "bootstrap", "folds"]


class PairedJson(TypedDict):
    """Improvement of one attempt over another on the same rows.

    Positive is better, whatever the metric's direction.
    """

    d: float
    se: float
    p_improved: float
    method: CompareMethod
    n: int
    new: float  # mean score of either side over its seeds
    old: float


class ProblemJson(TypedDict):
    """A reason for a verdict: a code for machines, a message for people and prompts."""

    code: str  # e.g. missing_file, nan, wrong_columns, constant, leak_column, leak_audit, worse
    message: str
    about: NotRequired[str]  # the column concerned


class VariantJson(TypedDict):
    """One pair of files of a script that wrote several, graded as an attempt is."""

    name: str
    problems: list[ProblemJson]
    score: ScoreJson | None
    paired: dict[str, PairedJson]  # by the reference's name
    same_as: str  # earlier variant with the same bytes; empty: none


class LineJson(TypedDict):
    """The variants of one script, and how their luck hangs together."""

    best: str  # name of the variant that speaks for the script
    variants: list[VariantJson]  # in the order of their names
    links: dict[str, list[float]]  # by the reference's name: correlations along a spanning tree
    alike: float  # mean correlation of the variants' differences to the first reference


class LackJson(TypedDict):
    """What held-back rows lack that others have: a file or the cell of a column."""

    name: str  # file | cell:COLUMN
    validated: int
    of_validated: int
    test: int  # rows of test.csv, held-back ones among them
    of_test: int


class AppealJson(TypedDict):
    """How the audit was asked again after an appeal: without which rows, or why not."""

    lacks: list[str]  # what the rows left out lack
    left: int  # held-back rows that remain
    of: int
    refused: str  # why the rows were not left out; empty: the audit judged without them


class GradeJson(TypedDict):
    """The harness's judgement of one execution's files. Audit parts never reach a reasoner."""

    ok: bool
    problems: list[ProblemJson]
    score: ScoreJson | None
    audit: ScoreJson | None
    audit_gap_z: float | None  # (oof - audit) / standard error; positive: oof looks better
    audit_leak: ProblemJson | None  # leak seen on the audit rows; read by scoring.audit alone
    audit_paired: dict[str, PairedJson]  # differences on the audit rows, by the reference's name
    paired: dict[str, PairedJson]  # by the reference's name: best
    surrogate: dict[str, PairedJson]  # the same by the surrogate, where both sides have one
    evidence: dict[str, Any]  # an Evidence
    appeal: NotRequired[AppealJson | None]  # the audit was asked again without some rows
    blind: NotRequired[str]  # held-back rows without their files: a fault of the harness


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
    method: CompareMethod = "rows"
    n: int = 0
    new: float | None = None
    old: float | None = None
    repeated: bool = False  # over several seeds


class Problem(BaseModel):
    """`ProblemJson` in the main process."""

    model_config = ConfigDict(frozen=True)
    code: str
    message: str
    about: str | None = None


class GradedVariant(BaseModel):
    """`VariantJson` in the main process."""

    model_config = ConfigDict(frozen=True)
    name: str
    problems: list[Problem] = []
    score: Score | None = None
    paired: dict[str, Paired] = {}
    same_as: str = ""

    @property
    def counts(self) -> bool:
        """Whether it is valid and no copy of another."""
        return self.score is not None and not self.problems and not self.same_as


class Line(BaseModel):
    """`LineJson` in the main process, with what its choice costs."""

    model_config = ConfigDict(frozen=True)
    best: str
    variants: list[GradedVariant]
    links: dict[str, list[float]] = {}
    alike: float = 0.0
    luck: float = 1.0  # of a step on the best of them; see run.luck

    @property
    def size(self) -> int:
        """Number of variants among which the best was chosen."""
        return sum(variant.counts for variant in self.variants)


class Appeal(BaseModel):
    """`AppealJson` in the main process."""

    model_config = ConfigDict(frozen=True)
    lacks: list[str] = []
    left: int = 0
    of: int = 0
    refused: str = ""


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
    surrogate: dict[str, Paired] = {}
    evidence: dict[str, Any] = {}
    line: Line | None = None  # of a script that wrote several pairs of files
    appeal: Appeal | None = None
    blind: str = ""


class Blended(BaseModel):
    """`BlendedJson` in the main process."""

    model_config = ConfigDict(frozen=True)
    score: float
    alike: float | None = None


class Blend(BaseModel):
    """`BlendJson` in the main process."""

    model_config = ConfigDict(frozen=True)
    weights: dict[str, float]
    method: str
    classes: list[str] = []
    oof: str
    submission: str
    scaled: bool = False
    bounds: list[float | None] = []
    columns: list[str] = []
    refused: dict[str, str] = {}
    candidate: str = "greedy"
    members: dict[str, Blended] = {}
    seconds: float = 0.0


class Reference(TypedDict, total=False):
    """Paths of the files of an earlier attempt, to compare with."""

    oof: str
    submission: str
    seeds: list[str]  # out-of-fold files of the same script under further seeds


class SampledJson(TypedDict):
    """How many of the training rows a rehearsal had."""

    rows: int
    of: int


BaselineMethod = Literal["prior", "plain model"]  # the better one last


class ExecutionFacts(TypedDict, total=False):
    """How an execution went: the sandbox's account, its output and the limits that applied."""

    end: str  # exit | timeout | memory | disk | output | cancelled
    exit_code: int
    signal: int | None
    output: str
    wall_s: float
    cpu_s: float | None
    peak_bytes: int | None
    limit_s: float | None
    limit_mb: float
    cpus: int | None
    rehearsed: SampledJson | None  # it ran on a sample of the rows


class BlendedJson(TypedDict):
    """A member of an ensemble: its score, and how its errors correlate with the ensemble's."""

    score: float
    alike: float | None


class BlendJson(TypedDict):
    """Weights of an ensemble and the paths of its files."""

    weights: dict[str, float]  # member's attempt id -> weight, summing to 1
    method: str  # mean | rank | ordinal | vote
    classes: list[str]  # labels, where labels are blended
    oof: str  # path; each fold is blended by weights chosen on the other folds
    submission: str  # path; blended by weights chosen on all folds
    scaled: NotRequired[bool]  # rows of class probabilities are scaled to sum to one
    bounds: NotRequired[list[float | None]]  # predicted values are clipped to them
    columns: NotRequired[list[str]]  # of the files, where they hold what labels are made of
    refused: dict[str, str]  # member -> why it was left out
    candidate: NotRequired[str]  # greedy | convex: how the weights were chosen
    members: NotRequired[dict[str, BlendedJson]]
    seconds: float


class AveragedJson(TypedDict):
    """Which executions under several seeds are averaged, what that brings, and how it is done."""

    kept: list[int]  # rounds that are averaged; the first alone: nothing is
    names: list[list[str]]  # of every round: the scripts whose file can be read
    score: float  # of the average on the validated rows
    single: float  # mean score of the rounds
    gain: float  # of the average over it; positive is better
    method: str  # of `BlendJson`, as the others
    classes: list[str]
    scaled: bool
    bounds: list[float | None]
    columns: list[str]


class CrossValidation(TypedDict):
    """The score over the folds, and how the folds were made."""

    scheme: str  # kind of the split, with its column: group:person
    folds: list[float]
    mean: float  # of all rows pooled
    se: float  # from the rows
    fold_mean: NotRequired[float]  # where it differs from `mean` by much
    fold_sd: NotRequired[float]  # standard deviation of the folds' scores
    metric: str
    direction: Direction


class SurrogateStats(TypedDict):
    """The surrogate by which predictions are judged that are finer than labels."""

    name: str  # log loss | squared error
    value: float
    se: float
    decoder: str  # how labels were made of them, for people
    paired: NotRequired[dict[str, dict[str, float]]]  # best -> d, se, p_improved


class ClassStats(TypedDict):
    """How the rows of one class were predicted."""

    n: int
    predicted: NotRequired[int]  # rows predicted as this class
    recall: NotRequired[float]
    precision: NotRequired[float]
    auc: NotRequired[float]  # of this class against the others, where order alone counts
    mean_p: NotRequired[float]  # mean probability given to the class where it is true


class TenthOfScores(TypedDict):
    """A tenth of the rows, in the order of their scores."""

    low: float  # lowest score
    n: int
    rate: NotRequired[float]  # share of positives
    positives_lost: NotRequired[float]  # share of all wrong pairs whose positive is here: too low
    negatives_lost: NotRequired[float]  # share of all wrong pairs whose negative is here: too high
    bias: NotRequired[float]  # of values: mean true rank - predicted rank, in shares of the rows


class OrderStats(TypedDict):
    """Where the order of the predictions is wrong; tenths from the lowest score to the highest."""

    inverted: NotRequired[float]  # share of the pairs of a positive and a negative; ties half
    n_positive: NotRequired[int]
    missed: NotRequired[float]  # of values: mean distance of ranks, in shares of the rows
    tenths: list[TenthOfScores]


class FifthOfPredictions(TypedDict):
    """A fifth of the rows, in the order of their predictions."""

    n: int
    predicted: float  # mean
    true: float  # mean


class TargetStats(TypedDict):
    """How one of several targets is predicted."""

    score: float | None  # the metric of this target alone
    bias: float  # mean of true - predicted
    loss_share: NotRequired[float]  # of the metric's loss over all targets
    correlation: NotRequired[float]  # of this target's residuals with the next one's


class WorstRow(TypedDict):
    """A validated row that lost much; never a held-back one."""

    id: str
    fold: int
    true: str
    predicted: str
    ratio: float  # its loss in mean losses
    values: dict[str, str]


class RelationJson(TypedDict):
    """How the predictions of another attempt relate to those of a script."""

    alike: float | None  # correlation
    how: str  # of what
    score: float
    half_gain: float | None  # of the mean of both over the better of the two; positive is better
    half_se: float | None


class Closer(TypedDict):
    """What a look at the rows adds to the evidence; stored apart, as it quotes rows."""

    relations: dict[str, RelationJson]
    worst: list[WorstRow]


class ResidualStats(TypedDict):
    """Residuals of a regression; `bias` and `last_fold_bias` in standard deviations of y."""

    bias: float
    skew: float
    hetero: float  # rank correlation of |residual| with the prediction
    top_decile_share: float  # share of the squared error in the worst tenth of the rows
    last_fold_bias: float
    min_pred: float
    max_pred: float
    min_y: float
    max_y: float
    y_skew: float
    explained: float  # R2


class CalibrationStats(TypedDict):
    """Stated confidence against accuracy."""

    confidence: float
    accuracy: float
    share_p_true_below_01: float  # rows whose true class got less than 0.01


class Segment(TypedDict):
    """Rows with a common property and a loss above the mean."""

    column: str
    value: str
    ratio: float  # mean loss of the segment / mean loss of all rows
    n: int
    bias: NotRequired[float]  # mean of true - predicted, where that is a number
    shadow: NotRequired[bool]  # without the rows of earlier segments its loss is no higher


class ResourceUse(TypedDict):
    """What an execution used, and its limits."""

    seconds: float | None
    cpu_seconds: float | None
    peak_mb: float | None
    limit_s: float | None
    limit_mb: float | None


class ErrorReport(TypedDict, total=False):
    """The last Python error of a log, and how the execution ended."""

    type: str
    message: str
    line: int | None  # of solution.py
    traceback_tail: str
    end: str | None
    exit_code: int | None


class TextStats(TypedDict):
    """Predicted texts beside the true ones; shares of the rows."""

    empty: float
    empty_true: float
    empty_test: float  # of the test predictions
    exact: float  # predicted letter for letter
    distinct: int
    mean_chars: float
    mean_chars_true: float
    mean_chars_test: float
    worst: NotRequired[list[dict[str, str]]]  # true and predicted text of rows that lost most


class SubmissionCheck(TypedDict):
    """Test predictions against out-of-fold predictions."""

    rows_ok: bool
    test_pred_vs_oof_ks: float | None  # Kolmogorov-Smirnov distance


class VariantEvidence(TypedDict):
    """One variant of a script that wrote several."""

    name: str
    score: NotRequired[float]
    gain: NotRequired[float]  # over the trace's best; positive is better
    se: NotRequired[float]
    best: NotRequired[bool]  # it speaks for the script
    problem: NotRequired[str]  # why it does not count


class Evidence(TypedDict, total=False):
    """What the harness derives from an execution; readers skip missing keys.

    Each item is cited by its path, e.g. "segments[0]" or "residuals.skew".
    """

    cv: CrossValidation
    paired: dict[str, dict[str, float]]  # best -> d, se, p_improved
    line: list[VariantEvidence]  # of a script that wrote several pairs of files
    surrogate: SurrogateStats
    classes: dict[str, ClassStats]
    confusions: list[dict[str, Any]]  # commonest errors: true, predicted, n
    order: OrderStats
    places: dict[str, float]  # share of rows whose true class stands there in the list of guesses
    targets: dict[str, TargetStats]
    residuals: ResidualStats
    by_prediction: list[FifthOfPredictions]  # from the lowest prediction to the highest
    calibration: CalibrationStats
    segments: list[Segment]  # worst first
    warnings: dict[str, int]  # category -> count in the log
    resources: ResourceUse
    error: ErrorReport  # of a failed execution
    texts: TextStats
    submission: SubmissionCheck
    problems: list[ProblemJson]
    # from the script's evidence.json, bounded
    train: dict[str, Any]
    fit: dict[str, Any]  # iterations, hit_max_iter, converged
    importances: dict[str, Any]  # top: [[column, share]], n_zero
    learning_curve: dict[str, Any]
    notes: str


ColumnKind = Literal["numeric", "categorical", "text", "date", "id", "constant"]


class TargetProfile(TypedDict, total=False):
    """The target: class rates, or the distribution of its values."""

    name: str
    kind: Kind
    n_classes: int
    rates: dict[str, float]  # label -> share of the rows; of the commonest classes
    labels: list[str]  # all classes, where `rates` leaves some out
    skew: float
    zero_share: float
    min: float
    max: float
    mean: float
    nonnegative: bool
    integer: bool
    n_unique: int
    empty_share: float  # of texts
    mean_chars: float
    mean_words: float
    examples: list[str]


class ColumnProfile(TypedDict, total=False):
    """One feature column, by itself, against the target, and train against test.

    `strength` is |2 AUC - 1| or |Spearman| of the column alone against the target; `drift` is
    |2 AUC - 1| of telling test from train by it; both 0..1.
    """

    name: str
    kind: ColumnKind
    dtype: str
    missing: float  # share of the rows
    missing_test: float
    n_unique: int
    examples: list[str]
    strength: float | None
    missing_strength: float | None  # strength of its missingness
    drift: float
    unseen: float  # share of test rows whose category is not in train
    constant_test: bool
    absent_test: bool
    min: float
    max: float
    mean: float
    skew: float
    mean_chars: float


class GroupColumn(TypedDict):
    """An entity with several rows each."""

    column: str
    n: int
    mean_size: float
    constant_size: bool
    test_overlap: float  # share of test rows whose entity is in train


class TimeColumn(TypedDict):
    """A column of dates."""

    column: str
    test_after_train: bool
    sorted: bool


class DuplicateShares(TypedDict):
    """Shares of the training rows that repeat the features of another."""

    rows: float
    with_conflicting_target: float


class LeakyColumn(TypedDict):
    """A column that gives the target away in train but not in test."""

    column: str
    strength: float
    drift: float
    reason: str


class TextColumn(TypedDict):
    """A column of free text."""

    column: str
    mean_words: float
    vocabulary: int


class MediaProfile(TypedDict):
    """Files of one ending that belong to rows: how many, whose, and what they are."""

    ending: str
    kind: str  # image | sound | scan | array | table | text | other
    n_files: int
    files_per_row: float
    train_share: float  # of the training rows that have such a file
    test_share: float
    bytes: str  # a spread
    examples: list[str]  # paths below input/, of train and of test
    facts: dict[str, str]  # width, height, mode, rate, seconds, array, columns, …: spreads
    head: NotRequired[list[str]]  # first lines of one file, where the files are texts or tables


class Hazards(TypedDict, total=False):
    """What some fit of the cross-validation lacks although the table has it."""

    smallest_fit: int  # rows
    fewest_of_class: int  # rows of the class that is rarest in a fit; 0: it is absent from one
    empty: list[str]  # columns without a value in some fit
    huge: list[str]  # columns with infinite numbers, or beyond single precision
    offsets: list[str]  # columns of times with an offset from UTC
    few_words: list[str]  # columns of text in which too few words repeat


class Profile(TypedDict, total=False):
    """The data profile, computed once per task by the harness."""

    rows: dict[str, int]  # train, test
    n_columns: int
    target: TargetProfile
    targets: list[TargetProfile]  # the others, where there are several
    prediction: str  # probability | label | value | ranking: input of the metric
    columns: list[ColumnProfile]
    groups: list[GroupColumn]
    time: list[TimeColumn]
    duplicates: DuplicateShares
    leaks: list[LeakyColumn]
    text: list[TextColumn]
    split: dict[str, Any]  # a Split, with its reason
    hazards: Hazards
    more: dict[ColumnKind, list[str]]  # columns beyond those that are described, by kind
    id_is_date: bool
    media: list[MediaProfile]  # side files of the rows, by ending
    notes: list[str]  # short facts for people and prompts, most important first
