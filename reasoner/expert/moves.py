"""Moves: the expert's directions of improvement.

A move is a pure edit of a spec with a trigger that reads the profile and the evidence. A trigger
returns a Reason (challenge, citations, expected effect, confidence) or None. The numbers come from
the feasibility study on 21 tasks (docs/decisions/0005-the-experts-moves.md).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from reasoner.expert.answers import WAYS
from reasoner.expert.drafts import has_few_rows_per_class
from reasoner.expert.lines import LineRoom, has_penalty
from reasoner.expert.render import FAMILY_NAMES, render_script
from reasoner.expert.spec import (
    RANGES,
    SCALED_FAMILIES,
    WORD_FAMILIES,
    ScriptSpec,
    TaskFacts,
    canonical_spec,
)
from reasoner.protocol import Component
from reasoner.same_code import code_key

Json = dict[str, Any]

SCORES = ("auc", "average_precision", "accuracy")
TRAIN_SCORES = ("roc_auc_score", "average_precision_score", "accuracy_score")
"""Metrics of at most 1, higher is better, by their names in tasks and in scikit-learn."""
SEED_STABLE = {None, *SCALED_FAMILIES, *WORD_FAMILIES, "extra"}
"""Families (None: no second model) that averaging over seeds does not improve."""
N_SEGMENTS = 8  # of the highest loss that moves read
MAX_SVM_ROWS = 6000
Prospects = tuple[float, float]
"""Expected effect in standard errors, and confidence."""


@dataclass(frozen=True)
class Reason:
    """Why a move is worth a run; `effect` in standard errors of the score, `confidence` 0 to 1."""

    challenge: str
    cites: tuple[str, ...]
    effect: float
    confidence: float


@dataclass(frozen=True)
class MoveContext:
    """What a trigger reads."""

    spec: ScriptSpec
    facts: TaskFacts
    profile: Json
    evidence: Json
    families: tuple[str, ...]  # to which the trace switched so far, oldest first
    late: bool  # little budget is left, so ensembles are preferred
    room: LineRoom = LineRoom()  # for several settings of a change in one script
    sources: tuple[str, ...] = ()  # attempts of the run that a second level may read

    @property
    def n_rows(self) -> int:
        """Number of training rows."""
        return int(self.profile.get("rows", {}).get("train", 0))

    @property
    def n_columns(self) -> int:
        """Number of columns of the training table, 0 if unknown."""
        return int(self.profile.get("n_columns", 0))

    @property
    def columns(self) -> list[Json]:
        """Profiles of all columns."""
        return list(self.profile.get("columns", []))

    @property
    def target(self) -> Json:
        """Profile of the target."""
        return dict(self.profile.get("target", {}))

    @property
    def models(self) -> set[str | None]:
        """Families of the current models."""
        return {self.spec.family, self.spec.second}

    @property
    def worst_segments(self) -> list[Json]:
        """The segments of the highest loss; those after them are for readers of words."""
        return list(self.evidence.get("segments", []))[:N_SEGMENTS]

    def column_profile(self, name: str) -> Json:
        """Profile of one column, empty if unknown."""
        return next((column for column in self.columns if column["name"] == name), {})

    def number_at(self, path: str, default: float = 0.0) -> float:
        """Number at a dotted path of the evidence, e.g. `cv.mean`."""
        value: Any = self.evidence
        for key in path.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        return float(value) if isinstance(value, (int, float)) else default


Trigger = Callable[[MoveContext], Reason | None]
Edit = Callable[[ScriptSpec], ScriptSpec]


@dataclass(frozen=True)
class Move:
    """One edit of a spec; history and memory identify it by `name`, argument included."""

    name: str
    statement: str
    component: Component
    apply: Edit
    trigger: Trigger
    protocol: bool = False  # see reasoner.protocol.Hypothesis
    drops_columns: tuple[str, ...] = ()  # suspects that a protocol move leaves out
    refuted_by: str = "the paired difference is not positive beyond noise"


def applicable_moves(context: MoveContext) -> Iterator[tuple[Move, Reason]]:
    """Yield every triggered move that changes the code of the script."""
    for move in [*FIXED_MOVES, *column_moves(context)]:
        reason = move.trigger(context)
        if reason and changes_code(context.spec, move.apply(context.spec), context.facts):
            yield move, reason


def changes_code(old: ScriptSpec, new: ScriptSpec, facts: TaskFacts) -> bool:
    """Whether the scripts of two specs differ in more than comments: the models have the choice."""
    old, new = canonical_spec(old, facts), canonical_spec(new, facts)
    return old != new and _code_of(old, facts) != _code_of(new, facts)


@lru_cache(maxsize=256)
def _code_of(spec: ScriptSpec, facts: TaskFacts) -> str:
    return code_key(render_script(spec, facts))


def find_move(name: str, context: MoveContext) -> Move | None:
    """Return the move of this name, if it exists for the task."""
    every = [*FIXED_MOVES, *column_moves(context)]
    return next((move for move in every if move.name == name), None)


# triggers


def overfit_share(context: MoveContext) -> float:
    """Share of the remaining loss that disappears on the training part; 0 if unknown."""
    training = context.evidence.get("train") or {}
    folds, metric = training.get("folds") or [], training.get("metric")
    value = context.number_at("cv.mean", math.nan)
    if not folds or math.isnan(value):
        return 0.0
    train = sum(folds) / len(folds)
    if metric in TRAIN_SCORES and context.facts.metric in SCORES:
        share = (train - value) / max(1 - value, 1e-6)
    elif metric in ("log_loss", "brier_score_loss"):
        share = (value - train) / max(value, 1e-6)
    elif metric == "r2_score":
        explained = context.number_at("residuals.explained")
        share = (train - explained) / max(1 - explained, 1e-6)
    else:
        share = 0.0
    return float(max(0.0, share))


def _capacity_down_reason(context: MoveContext) -> Reason | None:
    if context.spec.size <= -2 or not context.evidence.get("train") or can_search_penalty(context):
        return None
    gap = overfit_share(context)
    if gap < 0.35:
        return None
    return Reason(
        "the training score is far above the validated one: the model overfits",
        ("train.folds", "cv.mean"),
        effect=1.0 + gap,
        confidence=0.6 if context.n_rows < 2500 else 0.45,
    )


def _capacity_up_reason(context: MoveContext) -> Reason | None:
    overfits = overfit_share(context) > 0.75 and context.n_rows < 1000
    if context.spec.size >= 3 or (overfits and not context.spec.group_diff):
        return None
    if can_search_penalty(context):
        return None
    return Reason(
        "the model may be too small for the structure that is left",
        ("train.folds", "cv.mean"),
        effect=0.7,
        confidence=0.35 if context.n_rows > 400 else 0.2,
    )


def _penalty_reason(context: MoveContext) -> Reason | None:
    if not can_search_penalty(context):
        return None
    challenge = "how strongly the model is held back was set without a look at the data"
    return Reason(challenge, ("train.folds", "cv.mean"), effect=2.0, confidence=0.7)


def can_search_penalty(context: MoveContext) -> bool:
    """Whether the models have a penalty, and there is time for a line both ways."""
    room = context.room
    return has_penalty(context.spec) and room.variants > 2 and 3 * room.one_s <= room.room_s


def _log_target_reason(context: MoveContext) -> Reason | None:
    if context.facts.is_classification or not context.target.get("nonnegative"):
        return None
    if context.facts.metric.startswith("rmsle"):
        return Reason(
            "the metric compares logarithms but the model fits the raw target",
            ("cv.metric", "residuals.y_skew"),
            effect=6.0,
            confidence=0.9,
        )
    if context.target.get("skew", 0) > 1.2:
        challenge = "the target is skewed: a few large values dominate the fit"
        return Reason(challenge, ("residuals.y_skew",), effect=1.0, confidence=0.4)
    return None


def _sqrt_target_reason(context: MoveContext) -> Reason | None:
    if context.facts.is_classification or not context.target.get("nonnegative"):
        return None
    if context.spec.target is None and context.number_at("residuals.hetero") > 0.35:
        return Reason("errors grow with the prediction", ("residuals.hetero",), 0.8, 0.35)
    return None


def _poisson_reason(context: MoveContext) -> Reason | None:
    target = context.target
    is_count = target.get("integer") and target.get("nonnegative")
    if is_count and target.get("zero_share", 0) > 0.1 and context.spec.target is None:
        return Reason("the target is a count with many zeros", ("residuals.min_y",), 0.8, 0.3)
    return None


def _group_diff_reason(context: MoveContext) -> Reason | None:
    if not context.facts.group:
        return None
    groups = context.profile.get("groups") or [{}]
    size = float(groups[0].get("mean_size", 0))
    if size < 2:
        return None
    return Reason(
        f"rows come in groups of about {size:.1f} and compete within them, "
        "but every row is judged alone",
        ("cv.scheme", "segments[0]"),
        effect=5.0,
        confidence=0.85 if groups[0].get("constant_size") else 0.5,
    )


def _group_normalise_reason(context: MoveContext) -> Reason | None:
    rates = context.target.get("rates", {})
    groups = context.profile.get("groups") or [{}]
    if not context.facts.group or not groups[0].get("constant_size"):
        return None
    if context.facts.kind != "binary" or not rates:
        return None
    per_group = min(rates.values()) * float(groups[0]["mean_size"])
    if abs(per_group - 1) > 0.03:
        return None
    return Reason(
        "exactly one row of a group is positive, "
        "but the predictions of a group need not sum to one",
        ("cv.mean",),
        effect=2.5,
        confidence=0.8,
    )


def _detrend_reason(context: MoveContext) -> Reason | None:
    if context.facts.split != "time" or context.facts.is_classification or not context.facts.dates:
        return None
    bias = abs(context.number_at("residuals.last_fold_bias"))
    if bias < 0.1 and context.number_at("residuals.explained", 1.0) > 0.9:
        return None
    return Reason(
        "the target drifts and trees cannot extrapolate: the latest rows are predicted with a bias",
        ("residuals.last_fold_bias",),
        effect=8.0,
        confidence=0.85,
    )


def _date_parts_reason(context: MoveContext) -> Reason | None:
    if not context.facts.dates:
        return None
    cites = ("residuals.last_fold_bias", "segments")
    return Reason("season and weekday hide in the date", cites, effect=3.0, confidence=0.6)


def _ratios_reason(context: MoveContext) -> Reason | None:
    if len(context.facts.top_numeric) < 2 or context.facts.grid:
        return None
    segments = {segment["column"] for segment in context.worst_segments}
    return Reason(
        "loss concentrates in ranges of the strongest columns: "
        "their ratios and products may carry the structure",
        ("segments[0]",),
        effect=1.2,
        confidence=0.4 if segments & set(context.facts.top_numeric) else 0.3,
    )


def _missing_reason(context: MoveContext) -> Reason | None:
    strength = max((column.get("missing_strength") or 0.0 for column in context.columns), default=0)
    if strength <= 0.1:
        return None
    return Reason("whether a value is missing tells about the target", ("segments",), 1.0, 0.5)


def _encoding_trigger(kind: str) -> Trigger:
    def trigger(context: MoveContext) -> Reason | None:
        columns = [context.column_profile(name) for name in context.facts.categorical]
        n_levels = max((column.get("n_unique", 0) for column in columns), default=None)
        if n_levels is None:
            return None
        if kind == "target" and n_levels > 15:
            challenge, effect, confidence = (
                "a category has many levels with few rows each",
                1.5,
                0.5,
            )
        elif kind == "frequency" and n_levels > 100:
            challenge = "how common a level is may matter more than which it is"
            effect, confidence = 0.6, 0.25
        elif kind == "onehot" and n_levels <= 15:
            challenge = "few levels: separate columns split more cheaply"
            effect, confidence = 0.4, 0.25
        else:
            return None
        return Reason(challenge, ("segments",), effect, confidence)

    return trigger


def _family_trigger(name: str) -> Trigger:
    def trigger(context: MoveContext) -> Reason | None:
        if name in (*context.models, *context.families, *context.facts.missing_families):
            return None
        prospects = FAMILY_PROSPECTS[name](context)
        if prospects is None:
            return None
        return Reason("another family may fit these data better", ("cv.mean",), *prospects)

    return trigger


def _linear_prospects(context: MoveContext) -> Prospects | None:
    if context.facts.text or has_few_rows_per_class(context.facts):
        return 4.0, 0.8
    few_rows = context.n_rows < 700 or context.n_columns > context.n_rows / 10
    return (1.5, 0.5) if few_rows else (0.8, 0.25)


def _svm_prospects(context: MoveContext) -> Prospects | None:
    if context.n_rows > MAX_SVM_ROWS or context.facts.text:
        return None
    if context.facts.grid:
        return 6.0, 0.8
    return (1.8, 0.5) if context.n_rows < 1500 and not context.facts.categorical else (0.8, 0.25)


def _extra_trees_prospects(context: MoveContext) -> Prospects | None:
    if context.facts.grid:
        return 2.5, 0.6
    return 1.0, 0.4 if context.n_rows < 3000 else 0.25


def _catboost_prospects(context: MoveContext) -> Prospects | None:
    """Its ordered encoding of categories is ahead where rows are few or categories carry much."""
    return (1.5, 0.5) if context.facts.categorical or context.n_rows < 3000 else (1.0, 0.35)


def _has_classes_of_texts(context: MoveContext) -> bool:
    return context.facts.is_classification and bool(context.facts.text)


FAMILY_PROSPECTS: dict[str, Callable[[MoveContext], Prospects | None]] = {
    "hgb": lambda context: (0.8, 0.25),
    "lgbm": lambda context: (0.9, 0.35),
    "extra": _extra_trees_prospects,
    "linear": _linear_prospects,
    "svm": _svm_prospects,
    "knn": lambda context: (2.0, 0.4) if context.facts.grid else None,
    "bayes": lambda context: (0.8, 0.3) if _has_classes_of_texts(context) else None,
    "cat": _catboost_prospects,
    "xgb": lambda context: (0.9, 0.35),
}


def _blend_trigger(name: str) -> Trigger:
    def trigger(context: MoveContext) -> Reason | None:
        if context.spec.second or name in (context.spec.family, *context.facts.missing_families):
            return None
        if name in ("svm", "knn") and context.facts.text:
            return None
        if name == "svm" and context.n_rows > MAX_SVM_ROWS:
            return None
        if name in WORD_FAMILIES:
            if not _has_classes_of_texts(context):
                return None
            challenge = "the counts of words tell more than a linear model takes from them"
            return Reason(challenge, ("cv.mean",), effect=2.5, confidence=0.6)
        different = (name in SCALED_FAMILIES) != (context.spec.family in SCALED_FAMILIES)
        confidence = 0.4 if context.late else 0.3
        return Reason(
            "models of different kinds err differently: their mean is steadier",
            ("cv.folds",),
            effect=1.6 if different else 1.2,
            confidence=0.6 if name in context.families else confidence,
        )

    return trigger


def _bag_reason(context: MoveContext) -> Reason | None:
    if context.spec.seeds > 1 or context.models <= SEED_STABLE:
        return None
    return Reason(
        "predictions depend on the seed: averaging several lowers the variance",
        ("cv.se",),
        effect=1.2,
        confidence=0.55 if context.late else 0.4,
    )


def _slow_reason(context: MoveContext) -> Reason | None:
    if context.spec.slow >= 2:
        return None
    return Reason(
        "small steps with more rounds generalise better",
        ("train.folds",),
        effect=0.7,
        confidence=0.3 + 0.2 * (overfit_share(context) > 0.5),
    )


def _thresholds_reason(context: MoveContext) -> Reason | None:
    facts = context.facts
    if not facts.is_classification or facts.needs_probabilities or facts.metric == "accuracy":
        return None
    if facts.soft:  # the harness fits them
        return None
    classes = (context.evidence.get("classes") or {}).values()
    present = [entry for entry in classes if entry.get("n", 0) > 0]
    neglected = any(entry["predicted"] < 0.8 * entry["n"] for entry in present)
    return Reason(
        "rare classes are predicted too seldom for this metric",
        ("classes",),
        effect=3.0 if neglected else 1.0,
        confidence=0.7 if neglected else 0.3,
    )


def _balanced_reason(context: MoveContext) -> Reason | None:
    reason = _thresholds_reason(context)
    if reason is None or context.spec.thresholds:
        return None
    return Reason(reason.challenge, reason.cites, effect=1.5, confidence=0.4)


def _expectation_reason(context: MoveContext) -> Reason | None:
    if context.facts.metric != "qwk" or context.facts.soft:
        return None
    return Reason(
        "classes are ordered and far misses cost most: "
        "the most probable class is not the best guess",
        ("classes",),
        effect=2.5,
        confidence=0.65,
    )


def _soften_reason(context: MoveContext) -> Reason | None:
    if context.facts.metric not in ("log_loss", "brier"):
        return None
    over = context.number_at("calibration.confidence") - context.number_at("calibration.accuracy")
    if over < 0.02 and context.number_at("calibration.share_p_true_below_01") < 0.01:
        return None
    return Reason(
        "probabilities are more confident than right",
        ("calibration.confidence", "calibration.accuracy"),
        effect=1.5,
        confidence=0.5,
    )


def _shift_reason(context: MoveContext) -> Reason | None:
    if not context.facts.grid:
        return None
    challenge = "the same digit may stand a pixel aside: the columns are an image"
    return Reason(challenge, ("cv.mean",), effect=4.0, confidence=0.75)


def _course_reason(context: MoveContext) -> Reason | None:
    if not context.facts.has_series:
        return None
    challenge = "statistics of a series forget when a value came and how fast it changes"
    return Reason(challenge, ("cv.mean",), effect=3.0, confidence=0.6)


def _quantile_reason(context: MoveContext) -> Reason | None:
    skewed = [col["name"] for col in context.columns if abs(col.get("skew") or 0.0) > 2]
    if not skewed or not context.models & SCALED_FAMILIES:
        return None
    challenge = f"skewed columns ({', '.join(skewed[:3])}) feed a model that wants even ones"
    return Reason(challenge, ("segments",), effect=1.0, confidence=0.4)


def _chars_reason(context: MoveContext) -> Reason | None:
    if not context.facts.text:
        return None
    return Reason("words alone miss stems, names and spelling", ("cv.mean",), 2.5, 0.65)


def _text_stats_reason(context: MoveContext) -> Reason | None:
    if not context.facts.text:
        return None
    return Reason("length and number of words may differ by class", ("segments",), 0.6, 0.3)


def _select_reason(context: MoveContext) -> Reason | None:
    n_weak = sum((column.get("strength") or 0.0) < 0.03 for column in context.columns)
    if context.n_columns < 10 or n_weak < context.n_columns / 3 or context.facts.grid:
        return None
    return Reason("many columns say nothing about the target alone", ("importances",), 0.7, 0.35)


def _all_rows_reason(context: MoveContext) -> Reason | None:
    """Fits that left rows out to save time may have all of them, where the time allows it."""
    seconds = context.number_at("resources.seconds")
    limit_s = context.number_at("resources.limit_s")
    if not seconds or seconds * 2**context.spec.rows > limit_s / 2:
        return None
    took = f"took {seconds:.0f} s of {limit_s:.0f} s"
    return Reason(
        f"the fits use 1/{2**context.spec.rows} of the rows, and {took}",
        ("resources",),
        effect=2.5,
        confidence=0.6,
    )


def _recent_reason(context: MoveContext) -> Reason | None:
    if context.facts.split != "time":
        return None
    return Reason("the old past may follow other rules", ("residuals.last_fold_bias",), 0.8, 0.25)


def _absolute_loss_reason(context: MoveContext) -> Reason | None:
    if context.facts.metric not in ("mae", "mape", "smape"):
        return None
    challenge = "the metric is the absolute error but the model fits squares"
    return Reason(challenge, ("cv.metric",), effect=2.0, confidence=0.7)


# the catalogue


def _increase_field(field: str, by: int) -> Edit:
    return lambda spec: spec.with_changes(**{field: getattr(spec, field) + by})


def _step_penalty(spec: ScriptSpec) -> ScriptSpec:
    return spec.with_changes(size=spec.size + (1 if spec.size < RANGES["size"][1] else -1))


def _set_fields(**changes: Any) -> Edit:
    return lambda spec: spec.with_changes(**changes)


def _way_reason(name: str) -> Trigger:
    """Trigger of one way of answering freely, where the answers may be any text."""

    def trigger(context: MoveContext) -> Reason | None:
        if not context.facts.is_text or context.spec.answer == name:
            return None
        challenge = "the way that is most alike on the folds need not have the best score"
        return Reason(challenge, ("cv.mean",), effect=0.8, confidence=0.3)

    return trigger


FIXED_MOVES: list[Move] = [
    Move(
        "group_diff",
        "add every column's difference to its group and its rank in the group",
        "features",
        _set_fields(group_diff=True),
        _group_diff_reason,
    ),
    Move(
        "group_normalise",
        "normalise the probabilities within a group",
        "workflow",
        _set_fields(group_normalise=True),
        _group_normalise_reason,
    ),
    Move(
        "log_target",
        "fit the logarithm of the target",
        "model",
        _set_fields(target="log"),
        _log_target_reason,
    ),
    Move(
        "sqrt_target",
        "fit the square root of the target",
        "model",
        _set_fields(target="sqrt"),
        _sqrt_target_reason,
    ),
    Move(
        "absolute_loss",
        "fit the absolute error",
        "model",
        _set_fields(loss="absolute_error"),
        _absolute_loss_reason,
    ),
    Move(
        "poisson_loss",
        "fit with the Poisson loss",
        "model",
        _set_fields(loss="poisson"),
        _poisson_reason,
    ),
    Move(
        "detrend",
        "fit trend and season first, and the model on what is left",
        "model",
        _set_fields(detrend=True),
        _detrend_reason,
    ),
    Move(
        "date_parts",
        "add year, month, day of year, weekday and hour",
        "features",
        _set_fields(date_parts=True),
        _date_parts_reason,
    ),
    Move(
        "all_rows",
        "fit on all rows, for which there is time",
        "data",
        _set_fields(rows=0),
        _all_rows_reason,
    ),
    Move(
        "recent",
        "train on the recent half only",
        "data",
        _set_fields(recent=True),
        _recent_reason,
    ),
    Move(
        "capacity_down",
        "make the model smaller",
        "model",
        _increase_field("size", -1),
        _capacity_down_reason,
    ),
    Move(
        "capacity_up",
        "make the model larger",
        "model",
        _increase_field("size", 1),
        _capacity_up_reason,
    ),
    Move(
        "penalty",
        "search the strength of the penalty, weaker and stronger",
        "model",
        _step_penalty,
        _penalty_reason,
    ),
    Move(
        "slow",
        "halve the learning rate and double the rounds",
        "model",
        _increase_field("slow", 1),
        _slow_reason,
    ),
    Move("bag", "average five seeds", "ensemble", _set_fields(seeds=5), _bag_reason),
    Move(
        "ratios",
        "add ratios, products and differences of the strongest columns",
        "features",
        _set_fields(ratios=True),
        _ratios_reason,
    ),
    Move(
        "missing",
        "add indicators of missing values",
        "features",
        _set_fields(missing=True),
        _missing_reason,
    ),
    Move(
        "encode_target",
        "encode categories by their cross-fitted target mean",
        "features",
        _set_fields(categories="target"),
        _encoding_trigger("target"),
    ),
    Move(
        "encode_frequency",
        "encode categories by how common they are",
        "features",
        _set_fields(categories="frequency"),
        _encoding_trigger("frequency"),
    ),
    Move(
        "encode_onehot",
        "encode categories as separate columns",
        "features",
        _set_fields(categories="onehot"),
        _encoding_trigger("onehot"),
    ),
    Move(
        "thresholds",
        "tune a weight per class for the metric, nested over folds",
        "workflow",
        _set_fields(thresholds=True),
        _thresholds_reason,
    ),
    Move(
        "balanced",
        "weigh classes equally in the fit",
        "model",
        _set_fields(balanced=True),
        _balanced_reason,
    ),
    Move(
        "expectation",
        "predict the rounded expectation of the class",
        "workflow",
        _set_fields(expectation=True),
        _expectation_reason,
    ),
    Move(
        "soften",
        "pull probabilities towards the class rates",
        "workflow",
        _set_fields(soften=True),
        _soften_reason,
    ),
    Move(
        "shift",
        "add copies of the images shifted by a pixel",
        "data",
        _set_fields(shift=True),
        _shift_reason,
    ),
    Move(
        "course",
        "add means over pieces of every series and its bands of frequency",
        "features",
        _set_fields(course=True),
        _course_reason,
    ),
    Move(
        "quantile",
        "map columns to a normal distribution by quantiles",
        "features",
        _set_fields(quantile=True),
        _quantile_reason,
    ),
    Move("chars", "add character n-grams", "features", _set_fields(chars=True), _chars_reason),
    Move(
        "text_stats",
        "add lengths of the texts",
        "features",
        _set_fields(text_stats=True),
        _text_stats_reason,
    ),
    Move(
        "select",
        "leave out the weakest third of the columns",
        "features",
        _set_fields(select=True),
        _select_reason,
    ),
    *(
        Move(
            f"family:{name}",
            f"use {FAMILY_NAMES[name]} as the model",
            "model",
            _set_fields(family=name, second=None, size=0, slow=0),
            _family_trigger(name),
        )
        for name in ("lgbm", "hgb", "cat", "xgb", "extra", "linear", "svm", "knn", "bayes")
    ),
    *(
        Move(
            f"blend:{name}",
            f"blend with {FAMILY_NAMES[name]}",
            "ensemble",
            _set_fields(second=name),
            _blend_trigger(name),
        )
        for name in ("extra", "lgbm", "hgb", "cat", "xgb", "linear", "svm", "bayes")
    ),
    *(
        Move(
            f"way:{name}", f"answer by {text}", "model", _set_fields(answer=name), _way_reason(name)
        )
        for name, text in WAYS.items()
    ),
]


CATEGORY_DIFF = "add every number's difference to the mean of its {}"


def move_statement(name: str) -> str | None:
    """Return what a move does, in the words that it shares with its recipe; None if unknown.

    `category_diff` stands for the moves that name its column.
    """
    if name == "category_diff":
        return CATEGORY_DIFF.format("category")
    return next((move.statement for move in FIXED_MOVES if move.name == name), None)


def column_moves(context: MoveContext) -> Iterator[Move]:
    """Yield the moves that name a column, or attempts of the run."""
    yield from _suspect_moves(context)
    yield from _stack_moves(context)
    yield from _drift_moves(context)
    yield from _category_moves(context)


def _suspect_moves(context: MoveContext) -> Iterator[Move]:
    """Leave out a column that the profile suspects of leaking the target."""
    for leak in context.profile.get("leaks", []):
        name = leak["column"]
        challenge = f"column {name!r} is {leak['reason']}"
        yield Move(
            f"drop_leak:{name}",
            f"leave out {name!r}, which gives the target away and will not be there in use",
            "data",
            _drop_column(name),
            _always(Reason(challenge, ("profile.leaks",), effect=9.0, confidence=0.95)),
            protocol=True,
            drops_columns=(name,),
            refuted_by="the audit or private score falls",
        )


def _stack_moves(context: MoveContext) -> Iterator[Move]:
    """Weigh the predictions with those of the run's other attempts, late in the run.

    Early it takes the step of a better model, and what comes after changes one of its parts only
    (docs/results/rules.md).
    """
    if not (context.late and context.sources and context.facts.can_stack):
        return
    challenge = "attempts of the run err differently, and weighing them costs seconds"
    new = set(context.sources) - set(context.spec.stack)
    reason = Reason(
        challenge,
        ("cv.folds",),
        effect=0.6 if context.spec.stack else 1.8,
        confidence=0.6 if new else 0.0,
    )
    yield Move(
        "stack",
        "weigh the predictions with those of the run's other attempts, inside the folds",
        "ensemble",
        _set_fields(stack=context.sources),
        _always(reason),
    )


def _drift_moves(context: MoveContext) -> Iterator[Move]:
    """Leave out a column whose values in the test table differ from those in training."""
    for column in context.columns:
        name, unseen = column["name"], column.get("unseen") or 0.0
        ordered = column["kind"] == "date" or name == context.facts.time
        if unseen > 0.5:
            challenge = (
                f"{unseen:.0%} of the test rows have levels of {name!r} that train never saw"
            )
        elif (column.get("drift") or 0.0) > 0.9 and not ordered:
            challenge = f"{name!r} lies elsewhere in test"
        else:
            continue
        reason = Reason(challenge, ("profile.columns",), effect=1.5, confidence=0.5)
        statement = f"leave out {name!r}"
        yield Move(f"drop:{name}", statement, "features", _drop_column(name), _always(reason))


def _category_moves(context: MoveContext) -> Iterator[Move]:
    """Compare numbers with their mean within a category whose rows have a high loss."""
    for segment in context.worst_segments:
        name = segment["column"]
        if name not in context.facts.categorical or segment["ratio"] <= 1.3:
            continue
        place = f"{name} = {segment['value']}"
        challenge = f"loss is {segment['ratio']:.2f} times the mean where {place}"
        yield Move(
            f"category_diff:{name}",
            CATEGORY_DIFF.format(repr(name)),
            "features",
            _compare_within(name),
            _always(Reason(challenge, ("segments",), effect=1.0, confidence=0.4)),
        )


def _always(reason: Reason) -> Trigger:
    return lambda context: reason


def _drop_column(name: str) -> Edit:
    return lambda spec: spec.with_changes(drop=(*spec.drop, name))


def _compare_within(name: str) -> Edit:
    return lambda spec: spec.with_changes(category_diff=tuple(sorted({*spec.category_diff, name})))
