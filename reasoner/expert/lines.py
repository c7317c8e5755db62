"""Line searches of the expert: several settings of one change in one script.

A line varies one field of the spec: capacity, learning rate times rounds, or the weight of the
second model. The header of the script keeps it, and the harness's evidence tells which setting won.
"""

from __future__ import annotations

from textwrap import indent
from typing import Any, NamedTuple

from reasoner.expert.spec import BOOSTED_FAMILIES, LINE_ITEM, RANGES, ScriptSpec
from reasoner.protocol import Brief

HALF_OF_LIMIT = 0.5  # of a script's time limit that a line may take
GROWTH = {"size": 1.5, "slow": 2.0}  # factor on the seconds of one step up
NEW_FAMILY_COST = 3.0  # seconds of another model family, in those of the present one
MIXES = (50, 30, 70, 15, 85)  # percent of the second model, in the order of preference
FIRST_MIXES = (0, 30, 50, 70, 100)  # of a first script's second model
SIZES = (0, 1, -1, 2, -2)  # of a new family
BOTH_WAYS = (1, -1, 2, -2)  # of a penalty, in steps from where it is


class LineRoom(NamedTuple):
    """How long a line may be: variants, seconds that one takes now, and seconds for all."""

    variants: int = 0
    one_s: float = 0.0
    room_s: float = 0.0


def find_room(brief: Brief, evidence: dict[str, Any]) -> LineRoom:
    """Return what a line may take: half of the limit, and no more than a step's share of the run.

    So lines are long where steps or executions are what is scarce, and short where time is.
    """
    seconds = (evidence.get("resources") or {}).get("seconds")
    if not isinstance(seconds, (int, float)) or seconds <= 0:
        return LineRoom()
    stage = brief.stage
    counts = [n for n in (stage.steps_left, stage.executions_left) if n is not None]
    room_s = HALF_OF_LIMIT * brief.resources.wall_s
    if counts and stage.time_left_s is not None:
        room_s = min(room_s, stage.time_left_s / max(1, min(counts)))
    n_written = len(_counted(evidence))
    return LineRoom(brief.variants, seconds / max(1, n_written), room_s)


def _counted(evidence: dict[str, Any]) -> list[dict[str, Any]]:
    line = evidence.get("line")
    return [one for one in line if isinstance(one, dict)] if isinstance(line, list) else []


def settle_line(spec: ScriptSpec, evidence: dict[str, Any]) -> ScriptSpec:
    """Return the spec with the setting that won its line, and without the line."""
    names = {name_variant(item): item for item in spec.line}
    best = next((one.get("name") for one in _counted(evidence) if one.get("best")), None)
    item = names.get(best) if isinstance(best, str) else None
    return vary(spec, item) if item else spec.with_changes(line=())


def vary(spec: ScriptSpec, item: str) -> ScriptSpec:
    """Return the spec with one setting of a line, such as `size:-1`; unchanged for no such item."""
    found = LINE_ITEM.fullmatch(item)
    return spec.with_changes(line=(), **({found[1]: int(found[2])} if found else {}))


def name_variant(item: str) -> str:
    """Return the name of a setting's files: `size-1` for `size:-1`."""
    return item.replace(":", "")


def widen(old: ScriptSpec, new: ScriptSpec, room: LineRoom) -> ScriptSpec:
    """Return the changed spec as a line, where the change has a size and there is time for it."""
    items: list[str] = []
    total_s = 0.0
    for item, cost in _list_settings(old, new):
        total_s += cost * room.one_s
        if len(items) >= room.variants or total_s > room.room_s:
            break
        items.append(item)
    items.sort(key=lambda item: int(item.partition(":")[2]))
    return new.with_changes(line=tuple(items)) if len(items) > 1 else new


def _list_settings(old: ScriptSpec, new: ScriptSpec) -> list[tuple[str, float]]:
    """The settings of a change, best guess first, each with its cost in present seconds."""
    if new.stack != old.stack:
        return []
    if new.second and new.second != old.second and not old.second:
        fits = 1 + NEW_FAMILY_COST  # both models once; the weights cost nothing
        return [(f"mix:{mix}", fits if mix == MIXES[0] else 0.0) for mix in MIXES]
    if new.family != old.family:
        settings = [(size, NEW_FAMILY_COST * _growth("size", size)) for size in SIZES]
        return [(f"size:{size}", cost) for size, cost in settings]
    if new.second and new.mix != 50:
        return []  # a line weighs both models the same
    for field in ("size", "slow"):
        start, value = getattr(old, field), getattr(new, field)
        if value == start or (field == "slow" and not _is_boosted(new)):
            continue
        low, high = RANGES[field]
        if field == "size" and has_penalty(new):
            both = [start + step for step in BOTH_WAYS if low <= start + step <= high]
            return [(f"size:{one}", 1.0) for one in both]
        values = range(value, high + 1) if value > start else range(value, low - 1, -1)
        return [(f"{field}:{one}", _growth(field, one - start)) for one in values]
    return []


def has_penalty(spec: ScriptSpec) -> bool:
    """Whether the size of all models is the weakness of a penalty: a fit takes about as long."""
    return {spec.family, spec.second} <= {"linear", "svm", None}


def _growth(field: str, steps: int) -> float:
    return GROWTH[field] ** max(0, steps)


def _is_boosted(spec: ScriptSpec) -> bool:
    return bool({spec.family, spec.second} & BOOSTED_FAMILIES)


def describe_line(spec: ScriptSpec) -> str:
    """Return a line in words; empty where there is none."""
    if not spec.line:
        return ""
    words = {"size": "capacity", "slow": "slow learning", "mix": "% of the second model"}
    field = spec.line[0].partition(":")[0]
    values = ", ".join(item.partition(":")[2] for item in spec.line)
    return f"a line over {words.get(field, field)} {values}"


# the script


ONLY_LINES = [
    '    if os.environ.get("GOME_VARIANT", NAME) != NAME:',
    "        continue",
]


def line_code(spec: ScriptSpec, folds: str, after: str) -> str:
    """Return the code that predicts and writes every variant of a line.

    Args:
        spec: with a line, or with a weight of its own for the second model.
        folds: code that fits MODELS and sets `oof` and `test_pred`.
        after: code that changes them.
    """
    head = ["", "", "for NAME, MODELS in VARIANTS.items():", *ONLY_LINES, indent(folds, "    ")]
    if not spec.line or spec.line[0].startswith("mix"):
        head = _mix_lines(spec, folds)
    end = "-{NAME}" if spec.line else ""
    return "\n".join(
        [
            *head,
            *([indent(after, "    ")] if after else []),
            f'    write(f"oof{end}.csv", train[ID][validated], oof[validated])',
            f'    write(f"submission{end}.csv", test[ID], test_pred)',
        ]
    )


def _mix_lines(spec: ScriptSpec, folds: str) -> list[str]:
    """Both models are fitted once, then averaged by every weight."""
    items = spec.line or (f"mix:{spec.mix}",)
    weights = {name_variant(item): int(item.partition(":")[2]) / 100 for item in items}
    return [
        "",
        "",
        "PARTS = []",
        f"for MODELS in ([{spec.family}], [{spec.second}]):",
        indent(folds, "    "),
        "    PARTS.append((oof, test_pred))",
        f"for NAME, weight in {weights!r}.items():  # of the second model",
        *(ONLY_LINES if spec.line else []),
        "    oof, test_pred = ((1 - weight) * a + weight * b for a, b in zip(*PARTS, strict=True))",
    ]
