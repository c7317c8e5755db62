"""Tables of the report: final choice, memory, calibration, costs, task and environment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from report.costs import cached_share, usage_by_verb
from report.detail import HintRecord, format_value, hint_record
from report.formatting import (
    MINUS,
    as_mapping,
    bounded_list,
    clean_text,
    finite_number,
    format_benefit,
    format_bytes,
    format_count,
    format_duration,
    format_plural,
    format_score,
    format_usd,
)
from report.key_labels import label_setting, setting_text
from report.model import RunView, TokenUsage
from report.payload import final_candidates
from report.reliability import ReliabilityRow, calibrate_run, describe_confidence

LabelledRow = tuple[str, str]
MAX_HINTS = 12


@dataclass(frozen=True)
class FinalistRow:
    """A candidate of the final choice: mean over its seeds, and score on the audit rows."""

    id: str
    mean: str
    n_seeds: int
    audit: str
    is_chosen: bool


@dataclass(frozen=True)
class HintRow:
    """A recalled success or refutation with its weight."""

    text: str
    weight: str
    is_refutation: bool
    source: str


@dataclass(frozen=True)
class MemoryFacts:
    """How often memory was queried, how the steps with hints fared, and the strongest hints."""

    n_queries: int
    summary: str
    hints: list[HintRow]


@dataclass(frozen=True)
class CalibrationRow:
    """A row of a reliability table; `share` and `expected` are percentages of a bar."""

    name: str
    n: int
    confidence: str
    rate: str
    share: float
    expected: float
    z: str


@dataclass(frozen=True)
class CalibrationFacts:
    """Calibration over a run: totals as text, and a table by confidence and by component."""

    n: int
    helped: int
    size_right: int
    confidence: str
    brier: str
    brier_constant: str
    tables: list[tuple[str, list[CalibrationRow]]]


@dataclass(frozen=True)
class CostRow:
    """Time, calls, tokens (and the input's share from a cache) and money of one activity."""

    activity: str
    time: str
    calls: str
    tokens: str
    cached: str
    money: str


def finalist_rows(view: RunView) -> list[FinalistRow]:
    """Return the candidates of the final choice, once the run has ended."""
    if view.ended is None:
        return []
    chosen = as_mapping(view.final).get("chosen")
    return [
        FinalistRow(
            id=clean_text(row.get("attempt"), 100),
            mean=format_score(finite_number(row.get("mean")), finite_number(row.get("se")) or None),
            n_seeds=len(bounded_list(row.get("scores"))),
            audit=format_score(finite_number(row.get("audit"))),
            is_chosen=row.get("attempt") == chosen,
        )
        for row in final_candidates(view)
    ]


def describe_blend(view: RunView) -> str:
    """Say whether the blend of valid solutions was submitted; empty without one."""
    ensemble = as_mapping(as_mapping(view.final).get("ensemble"))
    if not ensemble or view.ended is None:
        return ""
    name = clean_text(ensemble.get("attempt"), 100)
    score = format_score(finite_number(ensemble.get("score")))
    if ensemble.get("wins"):
        verdict = "was submitted: it beat the best single solution"
    else:
        verdict = "did not beat the best single solution"
    return f"The blend of valid solutions ({name}, {score}) {verdict}."


def memory_facts(view: RunView) -> MemoryFacts:
    """Collect what memory recalled, and how the steps fared that got a hint."""
    recalls = {step: hints for step, hints in view.recalls.items() if hints}
    attempts = {(attempt.trace, attempt.step): attempt for attempt in view.attempts.values()}
    served = [attempts[step] for step in recalls if step in attempts]
    n_accepted = sum(attempt.verdict == "accepted" for attempt in served)
    summary = "no step got a hint."
    if served:
        steps, verb = format_plural(len(served), "step"), "was" if n_accepted == 1 else "were"
        summary = f"{steps} got a hint, {n_accepted} {verb} accepted."
    records = (hint_record(hint) for hints in recalls.values() for hint in hints)
    return MemoryFacts(
        n_queries=len(view.recalls),
        summary=summary,
        hints=[hint_row(hint) for hint in strongest_hints(records)],
    )


def strongest_hints(hints: Iterable[HintRecord]) -> list[HintRecord]:
    """Return the hints with the largest weights, each hypothesis once."""
    strongest: dict[str, HintRecord] = {}
    for hint in hints:
        former = strongest.get(hint["hypothesis"])
        if former is None or _strength(hint) > _strength(former):
            strongest[hint["hypothesis"]] = hint
    return sorted(strongest.values(), key=_strength, reverse=True)[:MAX_HINTS]


def _strength(hint: HintRecord) -> float:
    return abs(hint["weight"] or 0)


def hint_row(hint: HintRecord) -> HintRow:
    """Format a hint."""
    weight = hint["weight"] or 0
    source = (hint["kind"], format_benefit(hint["gain"], hint["gain_se"]), hint["where"])
    return HintRow(
        text=hint["hypothesis"],
        weight=f"{weight:+.2f}".replace("-", MINUS),
        is_refutation=weight < 0,
        source=" · ".join(part for part in source if part),
    )


def calibration_facts(view: RunView) -> CalibrationFacts | None:
    """Format the calibration of a run; None before the first measured hypothesis."""
    found = calibrate_run(view)
    if found is None:
        return None
    by_confidence = [calibration_row(row, confidence_range(row.key)) for row in found.by_confidence]
    by_component = [calibration_row(row, clean_text(row.key, 40)) for row in found.by_component]
    return CalibrationFacts(
        n=found.n,
        helped=found.helped,
        size_right=found.size_right,
        confidence=describe_confidence(found),
        brier=f"{found.brier:.3f}",
        brier_constant=f"{found.brier_constant:.3f}",
        tables=[("stated confidence", by_confidence), ("component", by_component)],
    )


def calibration_row(row: ReliabilityRow, name: str) -> CalibrationRow:
    """Format a row of a reliability table."""
    return CalibrationRow(
        name=name,
        n=row.n,
        confidence=f"{100 * row.confidence:.0f} %",
        rate=f"{100 * row.rate:.0f} %",
        share=round(100 * row.rate, 2),
        expected=round(100 * row.confidence, 2),
        z=f"{row.z:+.1f}".replace("-", MINUS),
    )


def confidence_range(key: str) -> str:
    """Format the bin `0.3-0.5` as `30–50 %`."""
    return "–".join(f"{100 * float(bound):.0f}" for bound in key.split("-")) + " %"


def cost_rows(view: RunView) -> list[CostRow]:
    """Return time, tokens and money by activity, the longest first, and what was used in all."""
    seconds = view.seconds_by_activity
    timed = sorted(seconds, key=lambda name: -seconds[name])
    untimed = [name for name, usage in usage_by_verb(view) if name not in seconds]
    rows = [
        cost_row(name, seconds.get(name), view.usage_by_activity.get(name, TokenUsage()))
        for name in (*timed, *untimed)
    ]
    return [*rows, cost_row("total", None, view.usage)] if view.usage.tokens else rows


def cost_row(activity: str, seconds: float | None, usage: TokenUsage) -> CostRow:
    """Return one row of the cost table; what was not used is a dash."""
    return CostRow(
        activity,
        format_duration(seconds) if seconds is not None else "–",
        str(usage.calls) if usage.calls else "–",
        format_count(usage.tokens) if usage.tokens else "–",
        f"{cached_share(usage):.0%}" if usage.cached_tokens else "–",
        format_usd(usage.usd),
    )


def task_rows(view: RunView, setup: Mapping[str, object]) -> list[LabelledRow]:
    """Describe the task: numbers of rows, split and target."""
    rows: list[LabelledRow] = []
    for label, key in (
        ("training rows", "n_train"),
        ("test rows", "n_test"),
        ("hidden audit rows", "n_audit"),
    ):
        n = finite_number(view.profile.get(key))
        rows.append((label, "" if n is None else f"{int(n):,}"))
    rows.append(("split", split_text(view.profile.get("split"))))
    target = as_mapping(as_mapping(setup.get("profile")).get("target"))
    kind = clean_text(target.get("kind"), 30)
    rows.append(("target", f"{clean_text(target.get('name'), 80)} ({kind})" if kind else ""))
    return [(label, text) for label, text in rows if text]


@dataclass(frozen=True)
class ReadFacts:
    """What was read of the tables: sentences, and a row per column."""

    sentences: list[str]
    columns: list[tuple[str, str, str, str]]  # name, kind, why, fate
    n_more: int


def read_facts(meta: Mapping[str, object]) -> ReadFacts:
    """Return what run.json says of the reading; empty in runs of earlier versions."""
    read = as_mapping(meta.get("read"))
    found = [
        clean_text(item, 300)
        for key in ("decided", "repairs")
        for item in bounded_list(read.get(key), 100)
    ]
    rehearsal = as_mapping(read.get("rehearsal"))
    if rehearsal:
        truth, shuffled = (finite_number(rehearsal.get(key)) for key in ("truth", "shuffled"))
        found.append(
            f"rehearsal: the true labels score {format_score(truth)}, "
            f"shuffled ones {format_score(shuffled)}"
        )
    items = [as_mapping(item) for item in bounded_list(read.get("columns"), 200)]
    rows = [
        (
            clean_text(item.get("name"), 80),
            clean_text(item.get("kind"), 20),
            clean_text(item.get("why"), 200),
            clean_text(item.get("fate"), 120),
        )
        for item in items
    ]
    total = read.get("columns")
    return ReadFacts(found, rows, len(total) - len(rows) if isinstance(total, list) else 0)


def split_text(split: object) -> str:
    """Describe a split as `grouped by column, 5 folds`; a text stays as it is."""
    fields = as_mapping(split)
    if not fields:
        return clean_text(split, 80)
    column = f" by {clean_text(fields.get('column'), 60)}" if fields.get("column") else ""
    n_folds = finite_number(fields.get("n_folds"))
    folds = f", {n_folds:.0f} folds" if n_folds else ""
    return f"{clean_text(fields.get('kind'), 40)}{column}{folds}"


@dataclass(frozen=True)
class SettingRow:
    """A setting: readable label, its name, its value; `default` where the value is another."""

    label: str
    name: str
    value: str
    default: str


def setting_rows(view: RunView, meta: Mapping[str, object]) -> list[SettingRow]:
    """Return the settings of a run, by label; an empty one shows a dash."""
    changed = as_mapping(meta.get("changed"))
    rows = [
        SettingRow(
            label=label_setting(clean_text(name, 60)),
            name=clean_text(name, 60),
            value=format_setting(name, value),
            default=format_setting(name, changed[name]) if name in changed else "",
        )
        for name, value in view.settings.items()
    ]
    return sorted(rows, key=lambda row: row.label.lower())


def format_setting(name: str, value: object) -> str:
    """Format a setting's value in one line."""
    if value in (None, [], {}, ""):
        return "–"
    return setting_text(name, value) or format_value(value)


def environment_rows(
    view: RunView, meta: Mapping[str, object], setup: Mapping[str, object]
) -> list[LabelledRow]:
    """Describe sandbox, reasoner, machine and versions."""
    enforced = bounded_list(setup.get("enforced"), 20)
    has_cpus = finite_number(setup.get("cpus"))
    set_bytes = finite_number(view.settings.get("run_memory_bytes"))
    memory = set_bytes or finite_number(setup.get("memory_bytes"))
    versions = list(as_mapping(meta.get("versions")).items())[:40]
    rows = [
        ("sandbox tier", view.sandbox or clean_text(setup.get("tier"), 40)),
        ("enforced", ", ".join(clean_text(item, 40) for item in enforced)),
        ("sandbox", clean_text(setup.get("notice"), 1000).removeprefix("Sandbox: ")),
        ("reasoner", view.reasoner),
        ("memory", view.memory),
        ("memory compares texts by", view.embedding),
        ("cores per script", format_value(setup.get("cpus")) if has_cpus else ""),
        ("memory per script", format_bytes(memory) if memory else ""),
        ("GPUs", format_value(setup.get("gpus")) or "none"),
        ("Python", clean_text(meta.get("python"), 40)),
        ("platform", clean_text(meta.get("platform"), 120)),
        *((clean_text(name, 60), clean_text(value, 40)) for name, value in versions),
        ("task folder", clean_text(meta.get("task"), 400)),
        ("sessions", str(view.n_resumes + 1)),
    ]
    return [(label, text) for label, text in rows if text]
