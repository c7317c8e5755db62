"""Moves: the expert's directions of improvement.  Each is a pure edit of a spec with a trigger in profile and evidence.

A trigger answers with a Reason (challenge, citations, expected effect, confidence) or None. Numbers are from the feasibility study on
21 tasks (docs/decisions/0005-the-experts-moves.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from reasoner.expert.spec import Facts, Spec, canonical
from reasoner.protocol import Component

Json = dict[str, Any]


@dataclass(frozen=True)
class Reason:
    """Why a move is worth a run. `effect` in standard errors of the score, `confidence` 0..1."""

    challenge: str
    cites: tuple[str, ...]
    effect: float
    confidence: float


@dataclass(frozen=True)
class Look:
    """What a trigger looks at."""

    spec: Spec
    facts: Facts
    profile: Json
    evidence: Json
    families: tuple[str, ...]  # tried so far, best first
    late: bool  # the budget asks for ensembles

    @property
    def rows(self) -> int:
        return int(self.profile.get("rows", {}).get("train", 0))

    def column(self, name: str) -> Json:
        return next(
            (column for column in self.profile.get("columns", []) if column["name"] == name), {}
        )

    def get(self, path: str, default: float = 0.0) -> float:
        value: Any = self.evidence
        for key in path.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        return float(value) if isinstance(value, (int, float)) else default


@dataclass(frozen=True)
class Move:
    """One edit. `name` with its argument is what history and memory know it by."""

    name: str
    statement: str
    component: Component
    apply: Callable[[Spec], Spec]
    trigger: Callable[[Look], Reason | None]
    protocol: bool = False
    refuted_by: str = "the paired difference is not positive beyond noise"


def applicable(look: Look) -> Iterator[tuple[Move, Reason]]:
    """Every move that is triggered and really changes the script."""
    now = canonical(look.spec, look.facts)
    for move in [*FIXED, *per_column(look)]:
        if canonical(move.apply(look.spec), look.facts) == now:
            continue
        if (reason := move.trigger(look)) is not None:
            yield move, reason


def find(name: str, look: Look) -> Move | None:
    return next((move for move in [*FIXED, *per_column(look)] if move.name == name), None)


# triggers that need more than a line


def overfit(look: Look) -> float:
    """How much better the score on the training part is, as a share of what is left to gain; 0 where unknown."""
    folds = (look.evidence.get("train") or {}).get("folds") or []
    metric = (look.evidence.get("train") or {}).get("metric")
    value = look.get("cv.mean", float("nan"))
    if not folds or value != value:
        return 0.0
    train = sum(folds) / len(folds)
    if metric in (
        "roc_auc_score",
        "average_precision_score",
        "accuracy_score",
    ) and look.facts.metric in (
        "auc",
        "average_precision",
        "accuracy",
    ):
        return float(max(0.0, (train - value) / max(1 - value, 1e-6)))
    if metric in ("log_loss", "brier_score_loss"):
        return float(max(0.0, (value - train) / max(value, 1e-6)))
    if metric == "r2_score":
        explained = look.get("residuals.explained", 0.0)
        return float(max(0.0, (train - explained) / max(1 - explained, 1e-6)))
    return 0.0


def capacity_down(look: Look) -> Reason | None:
    if look.spec.size <= -2 or not look.evidence.get("train"):
        return None
    gap = overfit(look)
    if gap < 0.35:
        return None
    small = look.rows < 2500
    return Reason(
        "the training score is far above the validated one: the model overfits",
        ("train.folds", "cv.mean"),
        1.0 + gap,
        0.6 if small else 0.45,
    )


def capacity_up(look: Look) -> Reason | None:
    if (
        look.spec.size >= 3
        or overfit(look) > 0.75
        and look.rows < 1000
        and not look.spec.group_diff
    ):
        return None
    return Reason(
        "the model may be too small for the structure that is left",
        ("train.folds", "cv.mean"),
        0.7,
        0.35 if look.rows > 400 else 0.2,
    )


def log_target(look: Look) -> Reason | None:
    aim = look.profile.get("target", {})
    if look.facts.classification or not aim.get("nonnegative"):
        return None
    if look.facts.metric.startswith("rmsle"):
        return Reason(
            "the metric compares logarithms but the model fits the raw target",
            ("cv.metric", "residuals.y_skew"),
            6.0,
            0.9,
        )
    if aim.get("skew", 0) > 1.2:
        return Reason(
            "the target is skewed: a few large values dominate the fit",
            ("residuals.y_skew",),
            1.0,
            0.4,
        )
    return None


def sqrt_target(look: Look) -> Reason | None:
    aim = look.profile.get("target", {})
    if look.facts.classification or not aim.get("nonnegative") or look.spec.target:
        return None
    if look.get("residuals.hetero") > 0.35:
        return Reason("errors grow with the prediction", ("residuals.hetero",), 0.8, 0.35)
    return None


def poisson(look: Look) -> Reason | None:
    aim = look.profile.get("target", {})
    if (
        aim.get("integer")
        and aim.get("nonnegative")
        and aim.get("zero_share", 0) > 0.1
        and look.spec.target is None
    ):
        return Reason("the target is a count with many zeros", ("residuals.min_y",), 0.8, 0.3)
    return None


def group_diff(look: Look) -> Reason | None:
    if not look.facts.group:
        return None
    groups = look.profile.get("groups") or [{}]
    size = float(groups[0].get("mean_size", 0))
    sure = 0.85 if groups[0].get("constant_size") else 0.5
    if size < 2:
        return None
    return Reason(
        f"rows come in groups of about {size:.1f} and compete within them, but every row is judged alone",
        ("cv.scheme", "segments[0]"),
        5.0,
        sure,
    )


def group_normalise(look: Look) -> Reason | None:
    rates = look.profile.get("target", {}).get("rates", {})
    groups = look.profile.get("groups") or [{}]
    if (
        not look.facts.group
        or look.facts.kind != "binary"
        or not groups[0].get("constant_size")
        or not rates
    ):
        return None
    per_group = min(rates.values()) * float(groups[0]["mean_size"])
    if abs(per_group - 1) > 0.03:
        return None
    return Reason(
        "exactly one row of a group is positive, but the predictions of a group need not sum to one",
        ("classes", "calibration.confidence"),
        2.5,
        0.8,
    )


def detrend(look: Look) -> Reason | None:
    if look.facts.split != "time" or look.facts.classification or not look.facts.dates:
        return None
    bias = abs(look.get("residuals.last_fold_bias"))
    if bias < 0.1 and look.get("residuals.explained", 1.0) > 0.9:
        return None
    return Reason(
        "the target drifts and trees cannot extrapolate: the latest rows are predicted with a bias",
        ("residuals.last_fold_bias",),
        8.0,
        0.85,
    )


def date_parts(look: Look) -> Reason | None:
    if not look.facts.dates:
        return None
    return Reason(
        "season and weekday hide in the date", ("residuals.last_fold_bias", "segments"), 3.0, 0.6
    )


def ratios(look: Look) -> Reason | None:
    if len(look.facts.top_numeric) < 2 or look.facts.grid:
        return None
    sure = (
        0.4
        if any(
            segment["column"] in look.facts.top_numeric
            for segment in look.evidence.get("segments", [])
        )
        else 0.3
    )
    return Reason(
        "loss concentrates in ranges of the strongest columns: their ratios and products may carry the structure",
        ("segments[0]",),
        1.2,
        sure,
    )


def missing(look: Look) -> Reason | None:
    power = max(
        (column.get("missing_strength") or 0.0 for column in look.profile.get("columns", [])),
        default=0.0,
    )
    return (
        Reason("whether a value is missing tells about the target", ("segments",), 1.0, 0.5)
        if power > 0.1
        else None
    )


def encoding(kind: str) -> Callable[[Look], Reason | None]:
    def trigger(look: Look) -> Reason | None:
        levels = [look.column(name).get("n_unique", 0) for name in look.facts.categorical]
        if not levels:
            return None
        if kind == "target" and max(levels) > 15:
            return Reason("a category has many levels with few rows each", ("segments",), 1.5, 0.5)
        if kind == "frequency" and max(levels) > 100:
            return Reason(
                "how common a level is may matter more than which it is", ("segments",), 0.6, 0.25
            )
        if kind == "onehot" and max(levels) <= 15:
            return Reason(
                "few levels: separate columns split more cheaply", ("segments",), 0.4, 0.25
            )
        return None

    return trigger


def family(name: str) -> Callable[[Look], Reason | None]:
    def trigger(look: Look) -> Reason | None:
        if name in (look.spec.family, look.spec.second) or name in look.families:
            return None
        rows, n_columns = look.rows, int(look.profile.get("n_columns", 1))
        effect, sure = 0.8, 0.25
        if name == "linear":
            if look.facts.text:
                effect, sure = 4.0, 0.8
            elif rows < 700 or n_columns > rows / 10:
                effect, sure = 1.5, 0.5
        elif name == "svm":
            if rows > 6000 or look.facts.text:
                return None
            if look.facts.grid:
                effect, sure = 6.0, 0.8
            elif rows < 1500 and not look.facts.categorical:
                effect, sure = 1.8, 0.5
        elif name == "extra":
            effect, sure = (2.5, 0.6) if look.facts.grid else (1.0, 0.4 if rows < 3000 else 0.25)
        elif name == "lgbm":
            effect, sure = 0.9, 0.35
        elif name == "knn":
            if not look.facts.grid:
                return None
            effect, sure = 2.0, 0.4
        return Reason("another family may fit these data better", ("cv.mean",), effect, sure)

    return trigger


def blend(name: str) -> Callable[[Look], Reason | None]:
    def trigger(look: Look) -> Reason | None:
        if (
            look.spec.second
            or name == look.spec.family
            or (look.facts.text and name in ("svm", "knn"))
            or (name == "svm" and look.rows > 6000)
        ):
            return None
        known = name in look.families
        wanted = look.late or known
        different = (name in ("linear", "svm", "knn")) != (
            look.spec.family in ("linear", "svm", "knn")
        )
        sure = (0.6 if known else 0.4) if wanted else 0.3
        return Reason(
            "models of different kinds err differently: their mean is steadier",
            ("cv.folds",),
            1.6 if different else 1.2,
            sure,
        )

    return trigger


def bag(look: Look) -> Reason | None:
    if (
        look.spec.seeds > 1
        or look.spec.family in ("linear", "svm", "knn", "extra")
        and look.spec.second in (None, "linear", "svm", "knn", "extra")
    ):
        return None
    return Reason(
        "predictions depend on the seed: averaging several lowers the variance",
        ("cv.se",),
        1.2,
        0.55 if look.late else 0.4,
    )


def slow(look: Look) -> Reason | None:
    if look.spec.slow >= 2:
        return None
    return Reason(
        "small steps with more rounds generalise better",
        ("train.folds",),
        0.7,
        0.3 + 0.2 * (overfit(look) > 0.5),
    )


def thresholds(look: Look) -> Reason | None:
    if not look.facts.classification or look.facts.probabilities or look.facts.metric == "accuracy":
        return None
    rare = [
        entry for entry in (look.evidence.get("classes") or {}).values() if entry.get("n", 0) > 0
    ]
    neglected = any(entry["predicted"] < 0.8 * entry["n"] for entry in rare)
    return Reason(
        "rare classes are predicted too seldom for this metric",
        ("classes",),
        3.0 if neglected else 1.0,
        0.7 if neglected else 0.3,
    )


def balanced(look: Look) -> Reason | None:
    reason = thresholds(look)
    return (
        None
        if reason is None or look.spec.thresholds
        else Reason(reason.challenge, reason.cites, 1.5, 0.4)
    )


def expectation(look: Look) -> Reason | None:
    if look.facts.metric != "qwk":
        return None
    return Reason(
        "classes are ordered and far misses cost most: the most probable class is not the best guess",
        ("classes",),
        2.5,
        0.65,
    )


def soften(look: Look) -> Reason | None:
    if look.facts.metric not in ("log_loss", "brier"):
        return None
    over = look.get("calibration.confidence") - look.get("calibration.accuracy")
    if over < 0.02 and look.get("calibration.share_p_true_below_01") < 0.01:
        return None
    return Reason(
        "probabilities are more confident than right",
        ("calibration.confidence", "calibration.accuracy"),
        1.5,
        0.5,
    )


def shift(look: Look) -> Reason | None:
    return (
        Reason(
            "the same digit may stand a pixel aside: the columns are an image",
            ("cv.mean",),
            4.0,
            0.75,
        )
        if look.facts.grid
        else None
    )


def quantile(look: Look) -> Reason | None:
    if not {look.spec.family, look.spec.second} & {"linear", "svm", "knn"}:
        return None
    skewed = [
        column["name"]
        for column in look.profile.get("columns", [])
        if abs(column.get("skew") or 0.0) > 2
    ]
    return (
        Reason(
            f"skewed columns ({', '.join(skewed[:3])}) feed a model that wants even ones",
            ("segments",),
            1.0,
            0.4,
        )
        if skewed
        else None
    )


def chars(look: Look) -> Reason | None:
    return (
        Reason("words alone miss stems, names and spelling", ("classes",), 2.5, 0.65)
        if look.facts.text
        else None
    )


def text_stats(look: Look) -> Reason | None:
    return (
        Reason("length and number of words may differ by class", ("segments",), 0.6, 0.3)
        if look.facts.text
        else None
    )


def select(look: Look) -> Reason | None:
    n_columns = int(look.profile.get("n_columns", 0))
    weak = [
        column
        for column in look.profile.get("columns", [])
        if (column.get("strength") or 0.0) < 0.03
    ]
    if n_columns < 10 or len(weak) < n_columns / 3 or look.facts.grid:
        return None
    return Reason("many columns say nothing about the target alone", ("importances",), 0.7, 0.35)


def recent(look: Look) -> Reason | None:
    if look.facts.split != "time":
        return None
    return Reason("the old past may follow other rules", ("residuals.last_fold_bias",), 0.8, 0.25)


def loss_of_metric(look: Look) -> Reason | None:
    return (
        Reason(
            "the metric is the absolute error but the model fits squares", ("cv.metric",), 2.0, 0.7
        )
        if look.facts.metric in ("mae", "mape", "smape")
        else None
    )


def more(field: str, by: int) -> Callable[[Spec], Spec]:
    return lambda spec: spec.but(**{field: getattr(spec, field) + by})


def put(**changes: Any) -> Callable[[Spec], Spec]:
    return lambda spec: spec.but(**changes)


FIXED: list[Move] = [
    Move(
        "group_diff",
        "add every column's difference to its group and its rank in the group",
        "features",
        put(group_diff=True),
        group_diff,
    ),
    Move(
        "group_normalise",
        "normalise the probabilities within a group",
        "workflow",
        put(group_normalise=True),
        group_normalise,
    ),
    Move("log_target", "fit the logarithm of the target", "model", put(target="log"), log_target),
    Move(
        "sqrt_target", "fit the square root of the target", "model", put(target="sqrt"), sqrt_target
    ),
    Move(
        "absolute_loss",
        "fit the absolute error",
        "model",
        put(loss="absolute_error"),
        loss_of_metric,
    ),
    Move("poisson_loss", "fit with the Poisson loss", "model", put(loss="poisson"), poisson),
    Move(
        "detrend",
        "fit trend and season first, and the model on what is left",
        "model",
        put(detrend=True),
        detrend,
    ),
    Move(
        "date_parts",
        "add year, month, day of year, weekday and hour",
        "features",
        put(date_parts=True),
        date_parts,
    ),
    Move("recent", "train on the recent half only", "data", put(recent=True), recent),
    Move("capacity_down", "make the model smaller", "model", more("size", -1), capacity_down),
    Move("capacity_up", "make the model larger", "model", more("size", 1), capacity_up),
    Move("slow", "halve the learning rate and double the rounds", "model", more("slow", 1), slow),
    Move("bag", "average five seeds", "ensemble", put(seeds=5), bag),
    Move(
        "ratios",
        "add ratios, products and differences of the strongest columns",
        "features",
        put(ratios=True),
        ratios,
    ),
    Move("missing", "add indicators of missing values", "features", put(missing=True), missing),
    Move(
        "encode_target",
        "encode categories by their cross-fitted target mean",
        "features",
        put(categories="target"),
        encoding("target"),
    ),
    Move(
        "encode_frequency",
        "encode categories by how common they are",
        "features",
        put(categories="frequency"),
        encoding("frequency"),
    ),
    Move(
        "encode_onehot",
        "encode categories as separate columns",
        "features",
        put(categories="onehot"),
        encoding("onehot"),
    ),
    Move(
        "thresholds",
        "tune a weight per class for the metric, nested over folds",
        "workflow",
        put(thresholds=True),
        thresholds,
    ),
    Move("balanced", "weigh classes equally in the fit", "model", put(balanced=True), balanced),
    Move(
        "expectation",
        "predict the rounded expectation of the class",
        "workflow",
        put(expectation=True),
        expectation,
    ),
    Move(
        "soften", "pull probabilities towards the class rates", "workflow", put(soften=True), soften
    ),
    Move("shift", "add copies of the images shifted by a pixel", "data", put(shift=True), shift),
    Move(
        "quantile",
        "map columns to a normal distribution by quantiles",
        "features",
        put(quantile=True),
        quantile,
    ),
    Move("chars", "add character n-grams", "features", put(chars=True), chars),
    Move("text_stats", "add lengths of the texts", "features", put(text_stats=True), text_stats),
    Move(
        "select", "leave out the weakest third of the columns", "features", put(select=True), select
    ),
    *(
        Move(
            f"family:{name}",
            f"replace the model by {name}",
            "model",
            put(family=name, second=None, size=0, slow=0),
            family(name),
        )
        for name in ("lgbm", "hgb", "extra", "linear", "svm", "knn")
    ),
    *(
        Move(f"blend:{name}", f"blend with {name}", "ensemble", put(second=name), blend(name))
        for name in ("extra", "lgbm", "hgb", "linear", "svm")
    ),
]


def per_column(look: Look) -> Iterator[Move]:
    """Moves that name a column."""
    for leak in look.profile.get("leaks", []):
        name = leak["column"]
        why = Reason(f"column {name!r} is {leak['reason']}", ("profile.leaks",), 9.0, 0.95)
        yield Move(
            f"drop_leak:{name}",
            f"leave out {name!r}, which gives the target away and will not be there in use",
            "data",
            lambda spec, name=name: spec.but(drop=(*spec.drop, name)),  # type: ignore[misc]
            lambda _, why=why: why,  # type: ignore[misc]
            protocol=True,
            refuted_by="the audit or private score falls",
        )
    for column in look.profile.get("columns", []):
        name, unseen = column["name"], column.get("unseen") or 0.0
        if unseen > 0.5 or (
            (column.get("drift") or 0.0) > 0.9
            and column["kind"] != "date"
            and name != look.facts.time
        ):
            what = (
                f"{unseen:.0%} of the test rows have levels of {name!r} that train never saw"
                if unseen > 0.5
                else f"{name!r} lies elsewhere in test"
            )
            reason = Reason(what, ("profile.columns",), 1.5, 0.5)
            yield Move(
                f"drop:{name}",
                f"leave out {name!r}",
                "features",
                lambda s, n=name: s.but(drop=(*s.drop, n)),
                lambda _, r=reason: r,
            )  # type: ignore[misc]
    for segment in look.evidence.get("segments", []):
        name = segment["column"]
        if name in look.facts.categorical and segment["ratio"] > 1.3:
            reason = Reason(
                f"loss is {segment['ratio']:.2f} times the mean where {name} = {segment['value']}",
                ("segments",),
                1.0,
                0.4,
            )
            yield Move(
                f"category_diff:{name}",
                f"add every number's difference to the mean of its {name!r}",
                "features",
                lambda s, n=name: s.but(category_diff=tuple(sorted({*s.category_diff, n}))),  # type: ignore[misc]
                lambda _, r=reason: r,  # type: ignore[misc]
            )
