"""The expert's solutions as data.

The renderer turns a spec into a script, and the script carries the spec in its first line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

HEADER = "# expert-spec: "
BOOSTED_FAMILIES = {"hgb", "lgbm", "cat", "xgb"}
SCALED_FAMILIES = {"linear", "svm", "knn"}
"""Families that need numbers of a similar scale."""
JOINT_FAMILIES = {"extra", "linear", "knn"}
"""Families that fit several values at once."""
STOCHASTIC_FAMILIES = {"lgbm", "cat", "xgb", "extra", "svm"}
WORD_FAMILIES = {"bayes"}
"""Families that classify texts by their words alone."""
FAMILIES = {*BOOSTED_FAMILIES, "extra", *SCALED_FAMILIES, *WORD_FAMILIES}
SUBSTITUTES = {"lgbm": "hgb", "cat": "hgb", "xgb": "hgb"}
"""Family -> the one in its place where its package is missing."""
PROBABILITY_METRICS = ("auc", "log_loss", "brier", "average_precision")
PLAIN_ID = re.compile(r"[A-Za-z0-9_-]{1,80}")
RANGES = {"mix": (0, 100), "size": (-2, 3), "slow": (0, 3), "seeds": (1, 10), "rows": (0, 6)}
"""Values that the renderer supports; a header may contain any others."""
LINE_ITEM, MAX_LINE = re.compile(r"(size|slow|mix):(-?[0-9]{1,3})"), 8


@dataclass(frozen=True)
class ScriptSpec:
    """Every choice that the renderer supports; the defaults are the simplest ones."""

    family: str = "hgb"
    second: str | None = None  # averaged with `family`
    mix: int = 50  # percent of `second` in the average
    size: int = 0  # capacity, -2 to 3
    slow: int = 0  # times that the learning rate is halved and the rounds are doubled
    seeds: int = 1  # seeds averaged per model
    rows: int = 0  # times that the rows of a fit are halved, to save time
    categories: str = "native"  # native | onehot | target | frequency
    drop: tuple[str, ...] = ()
    target: str | None = None  # log | sqrt
    loss: str | None = None  # absolute_error | poisson
    date_parts: bool = False
    detrend: bool = False
    recent: bool = False
    ratios: bool = False
    missing: bool = False
    group_diff: bool = False
    group_normalise: bool = False
    category_diff: tuple[str, ...] = ()
    chars: bool = False
    text_stats: bool = False
    shift: bool = False
    course: bool = False  # of the series in the rows' files
    quantile: bool = False
    thresholds: bool = False
    balanced: bool = False
    expectation: bool = False
    soften: bool = False
    select: bool = False
    stack: tuple[str, ...] = ()  # attempts whose predictions a second level weighs with its own
    line: tuple[str, ...] = ()  # settings of one field in one script (reasoner.expert.lines)
    answer: str = ""  # of free answers: the way (reasoner.expert.answers.WAYS); empty: the best

    def with_changes(self, **changes: Any) -> ScriptSpec:
        """Copy with some fields changed."""
        return replace(self, **changes)


@dataclass(frozen=True)
class TaskFacts:
    """What the renderer needs to know about the task, read from the brief alone."""

    id: str
    target: tuple[str, ...]
    kind: str
    metric: str
    columns: tuple[str, ...]  # of submission.csv and oof.csv, the id first
    labels: tuple[str, ...]
    parquet: bool
    split: str
    group: str | None
    time: str | None
    categorical: tuple[str, ...] = ()
    dates: tuple[str, ...] = ()
    text: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()  # columns that no script uses: constants, row ids, the group
    grid: str | None = None  # prefix of pixel columns PREFIX_ROW_COLUMN
    top_numeric: tuple[str, ...] = field(default=())
    numeric: tuple[str, ...] = ()  # described columns of numbers
    prediction: str = ""  # probability | label | value | ranking; empty: the metric's name says it
    class_of_column: tuple[tuple[str, str], ...] = ()
    """(column of the files, class whose probability it holds); empty: matched by the script."""
    plain_names: tuple[tuple[str, str], ...] = ()  # (name, what the script calls it)
    smallest_fit: int | None = None  # rows
    scarce: bool = False  # a class may be absent from a fit, or nearly
    empty: tuple[str, ...] = ()  # columns without a value in some fit
    huge: bool = False  # numbers are infinite or beyond single precision
    offsets: tuple[str, ...] = ()  # columns of times with an offset from UTC
    few_words: tuple[str, ...] = ()  # text columns in which too few words repeat
    counts: bool = False  # a regression's target consists of many different whole numbers
    missing_families: tuple[str, ...] = ()  # whose package the scripts' Python lacks
    media: tuple[tuple[str, str], ...] = ()  # (kind, ending) of the rows' side files
    limit_s: float = 600  # of the script
    n_rows: int = 0  # of the training table; 0 if unknown
    target_of_column: tuple[tuple[str, str], ...] = ()
    """(column of the files, column of the training table that it answers for, or empty)."""
    soft: str = ""  # what the files hold in place of labels: classes | positive | values; or labels
    second: str = ""  # class whose probability they hold, if `positive`

    @property
    def needs_probabilities(self) -> bool:
        """Whether the metric is computed from probabilities."""
        if self.prediction:
            return self.prediction == "probability"
        return self.metric in PROBABILITY_METRICS

    @property
    def can_stack(self) -> bool:
        """Whether a second level can be written: numbers to weigh, and folds in any order."""
        if self.is_text or self.split == "time" or self.id in self.dates:
            return False
        if self.soft:
            return self.soft != "values" and not self.scarce
        if self.n_guesses:
            return False
        if self.is_classification:
            is_whole = len(self.columns) in (2, 1 + len(self.labels))
            return self.needs_probabilities and not self.scarce and is_whole
        return all(target for _, target in self.target_of_column)

    @property
    def has_series(self) -> bool:
        """Whether rows have files in which values follow each other."""
        return any(kind in ("table", "array") for kind, _ in self.media)

    @property
    def n_guesses(self) -> int | None:
        """Guesses in a row of the files where the metric scores a ranking; None for others."""
        if not self.metric.startswith("map@"):
            return None
        digits = self.metric.removeprefix("map@")
        return int(digits) if digits.isdigit() else None

    @property
    def is_classification(self) -> bool:
        """Whether the target is a class."""
        return self.kind not in ("regression", "text")

    @property
    def is_text(self) -> bool:
        """Whether any text is an answer."""
        return self.kind == "text"


def is_stochastic(spec: ScriptSpec) -> bool:
    """Whether the predictions depend on the seed, so that the script reads GOME_SEED."""
    return spec.seeds > 1 or bool(STOCHASTIC_FAMILIES & {spec.family, spec.second})


def needs_model_per_target(spec: ScriptSpec, facts: TaskFacts) -> bool:
    """Whether every target gets a model of its own; with files, fast families take all at once."""
    families = {spec.family, spec.second} - {None}
    return len(facts.target) > 1 and not (facts.media and families <= JOINT_FAMILIES)


def canonical_spec(spec: ScriptSpec, facts: TaskFacts) -> ScriptSpec:
    """Reset the choices that have no effect, so that equal scripts have equal specs."""
    changes: dict[str, Any] = {"drop": tuple(sorted(set(spec.drop)))}
    spec = _with_usable_families(spec, facts)
    if facts.is_text:
        return ScriptSpec(answer=spec.answer, **changes)
    changes |= {"answer": "", "stack": plain_ids(spec.stack) if facts.can_stack else ()}
    if spec.second and not spec.line and spec.mix in (0, 100):  # one model alone
        alone = spec.second if spec.mix == 100 else spec.family
        spec = spec.with_changes(family=alone, second=None)
    parts = {spec.family, spec.second}
    boosted = bool(parts & BOOSTED_FAMILIES)
    if spec.second == spec.family:
        changes["second"] = None
    if not facts.categorical:
        changes["categories"] = "native"
    if not facts.has_series:
        changes["course"] = False
    if not boosted:
        changes["slow"] = 0
    if not parts & SCALED_FAMILIES:
        changes["quantile"] = False
    if facts.is_classification:
        changes |= {"target": None, "loss": None, "detrend": False}
    else:
        changes |= {"thresholds": False, "balanced": False, "expectation": False, "soften": False}
    if facts.needs_probabilities or facts.soft:  # the harness fits thresholds and cut points
        changes |= {"thresholds": False, "expectation": False}
    changes |= {
        name: min(max(changes.get(name, getattr(spec, name)), low), high)
        for name, (low, high) in RANGES.items()
    }
    is_mixed = changes.get("second", spec.second) is not None
    changes |= {"mix": changes["mix"] if is_mixed else 50}
    varied = ["size", *(["slow"] if boosted else []), *(["mix"] if is_mixed else [])]
    return spec.with_changes(**changes, line=plain_line(spec.line, varied))


def plain_line(items: Iterable[str], allowed: Iterable[str]) -> tuple[str, ...]:
    """Return the settings of a line that the renderer supports, of one field; none of a single."""
    found: list[str] = []
    for item in dict.fromkeys(items):
        match = LINE_ITEM.fullmatch(item)
        if (
            match is None
            or match[1] not in allowed
            or (found and not found[0].startswith(match[1]))
        ):
            continue
        low, high = RANGES[match[1]]
        found += [item] if low <= int(match[2]) <= high else []
    return tuple(found[:MAX_LINE]) if len(found) > 1 else ()


def plain_ids(names: Iterable[str]) -> tuple[str, ...]:
    """Return the ids that can stand in a script, each once, in order."""
    return tuple(sorted({name for name in names if PLAIN_ID.fullmatch(name)}))


def _with_usable_families(spec: ScriptSpec, facts: TaskFacts) -> ScriptSpec:
    """Replace families that the scripts' Python or the task does not have."""
    has_words = facts.is_classification and bool(set(facts.text) - set(spec.drop))
    unusable = {*facts.missing_families, *(() if has_words else WORD_FAMILIES)}
    if facts.is_classification and facts.scarce:
        unusable |= {"xgb"}  # it refuses a fit that lacks a class
    if spec.family in unusable:
        spec = spec.with_changes(family=SUBSTITUTES.get(spec.family, "linear"))
    return spec.with_changes(second=None) if spec.second in unusable else spec


def spec_header(spec: ScriptSpec) -> str:
    """First line of a script: the fields that differ from the defaults, as JSON."""
    defaults = asdict(ScriptSpec())
    changes = {key: value for key, value in asdict(spec).items() if value != defaults[key]}
    return HEADER + json.dumps(changes, sort_keys=True)


def parse_spec(script: str) -> ScriptSpec | None:
    """Read the spec from an expert's script; None for any other script.

    Nothing in the line is trusted: unknown fields and wrong types also give None.
    """
    header = script.partition("\n")[0]
    if not header.startswith(HEADER):
        return None
    try:
        choices = json.loads(header.removeprefix(HEADER))
    except ValueError:
        return None
    if not isinstance(choices, dict) or not set(choices) <= {
        item.name for item in fields(ScriptSpec)
    }:
        return None
    values: dict[str, Any] = {}
    for key, choice in choices.items():
        value = tuple(str(item) for item in choice) if isinstance(choice, list) else choice
        default = getattr(ScriptSpec(), key)
        allowed = (type(default), str) if default is None else type(default)
        if not isinstance(value, allowed):
            return None
        values[key] = value
    spec = ScriptSpec(**values)
    return spec if spec.family in FAMILIES and spec.second in {None, *FAMILIES} else None
