"""The expert's solutions as data: a spec that the renderer turns into a script, and that a script carries in its first line."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

HEADER = "# expert-spec: "
TREES = ("hgb", "lgbm", "extra")
FAMILIES = (*TREES, "linear", "svm", "knn")


@dataclass(frozen=True)
class Spec:
    """Every choice that the renderer knows. Defaults are the plainest."""

    family: str = "hgb"
    second: str | None = None  # blended with `family`, half and half
    size: int = 0  # capacity: -2 .. 3
    slow: int = 0  # learning rate halved this often, rounds doubled
    seeds: int = 1  # models averaged over seeds
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
    quantile: bool = False
    thresholds: bool = False
    balanced: bool = False
    expectation: bool = False
    soften: bool = False
    select: bool = False

    def but(self, **changes: Any) -> Spec:
        return replace(self, **changes)


@dataclass(frozen=True)
class Facts:
    """What the renderer must know of the task; from the brief alone."""

    id: str
    target: tuple[str, ...]
    kind: str
    metric: str
    columns: tuple[str, ...]  # of submission and oof, the id first
    labels: tuple[str, ...]
    parquet: bool
    split: str
    group: str | None
    time: str | None
    categorical: tuple[str, ...] = ()
    dates: tuple[str, ...] = ()
    text: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()  # constants and row ids
    grid: str | None = None  # prefix of pixel columns PREFIX_ROW_COLUMN
    top_numeric: tuple[str, ...] = field(default=())

    @property
    def probabilities(self) -> bool:
        return self.metric in PROBABILITY

    @property
    def classification(self) -> bool:
        return self.kind != "regression"


PROBABILITY = ("auc", "log_loss", "brier", "average_precision")


RANGES = {
    "size": (-2, 3),
    "slow": (0, 3),
    "seeds": (1, 10),
}  # what the renderer knows; a line in a script may say anything


def canonical(spec: Spec, facts: Facts) -> Spec:
    """Choices that change nothing are taken back, so that equal scripts have equal specs."""
    changes: dict[str, Any] = {}
    parts = {spec.family, spec.second}
    if spec.second == spec.family:
        changes["second"] = None
    if not facts.categorical or (spec.categories == "native" and not parts & {"hgb", "lgbm"}):
        changes["categories"] = "native"
    if not parts & {"hgb", "lgbm"}:
        changes["slow"] = 0
    if not parts & {"linear", "svm", "knn"}:
        changes["quantile"] = False
    if facts.classification:
        changes |= {"target": None, "loss": None, "detrend": False}
    else:
        changes |= {"thresholds": False, "balanced": False, "expectation": False, "soften": False}
    if facts.probabilities:
        changes |= {"thresholds": False, "expectation": False}
    changes["drop"] = tuple(sorted(set(spec.drop)))
    changes |= {
        name: min(max(getattr(spec, name), low), high) for name, (low, high) in RANGES.items()
    }
    return spec.but(**changes)


def dump(spec: Spec) -> str:
    """The header line: only what differs from the defaults."""
    plain = Spec()
    return HEADER + json.dumps(
        {key: value for key, value in asdict(spec).items() if value != getattr(plain, key)},
        sort_keys=True,
    )


def parse(script: str) -> Spec | None:
    """The spec of an expert's script, or None for any other. Nothing in the line is trusted."""
    first = script.partition("\n")[0]
    if not first.startswith(HEADER):
        return None
    try:
        given = json.loads(first[len(HEADER) :])
    except ValueError:
        return None
    known = {item.name: item for item in fields(Spec)}
    if not isinstance(given, dict) or not set(given) <= set(known):
        return None
    plain = Spec()
    values: dict[str, Any] = {}
    for key, value in given.items():
        value = tuple(str(item) for item in value) if isinstance(value, list) else value
        default = getattr(plain, key)
        if not isinstance(value, (type(default), str) if default is None else type(default)):
            return None
        values[key] = value
    spec = Spec(**values)
    return spec if spec.family in FAMILIES and spec.second in (None, *FAMILIES) else None
