"""Details of one attempt as its page shows them: bounded, cleaned, texts from the artifact store.

The typed dicts are JSON that `report/web/attempt.js` reads.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict

from report.artifact_texts import parse_json, read_artifact, read_json, read_text
from report.call_records import CallRecord, call_record
from report.formatting import (
    as_mapping,
    bounded_list,
    clean_text,
    finite_number,
    format_bytes,
    format_count,
    format_duration,
    format_improvement,
    format_score,
    format_usd,
    reword_difference,
)
from report.key_labels import label_evidence
from report.model import AttemptView, Event, RunView

MAX_DIFF_INPUT_LINES = 1_200  # bounds the time that a hostile pair of scripts costs to seconds
MAX_SETUP_BYTES = 4 * 2**20
PATH_PART = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


class HypothesisRecord(TypedDict):
    """A hypothesis of a diagnosis, or the one that an attempt tests."""

    id: str
    statement: str
    component: str
    plan: str
    refuted_by: str
    sign: float | None
    size: str
    confidence: float | None


class ObservationRecord(TypedDict):
    """An observation and its cites: (path in the evidence, value)."""

    text: str
    cites: list[tuple[str, str]]


class DiagnosisRecord(TypedDict):
    """A diagnosis: observations, causes and ranked hypotheses."""

    observations: list[ObservationRecord]
    causes: list[str]
    hypotheses: list[HypothesisRecord]


class HintRecord(TypedDict):
    """A success or refutation recalled from memory, with its weight."""

    kind: str
    hypothesis: str
    where: str
    gain: float | None
    gain_se: float | None
    weight: float | None


class RecipeRecord(TypedDict):
    """A recipe that the step's prompt offered."""

    id: str
    title: str
    evidence: str


class AttemptDetail(TypedDict):
    """Everything that the page of an attempt shows beyond its row in the index."""

    id: str
    repairs: int
    reasons: list[str]
    problems: list[str]
    folds: list[float]
    parent_folds: list[float]
    line: list[tuple[str, str, str, str]]
    hypothesis: HypothesisRecord | None
    diagnosis: DiagnosisRecord | None
    recalled: list[HintRecord]
    offered: list[RecipeRecord]
    diff: str
    script: str
    evidence: list[tuple[str, str]]
    segments: list[tuple[str, str, float | None, float | None]]
    log: str
    resources: list[tuple[str, str]]
    calls: list[CallRecord]


class AttemptDetails:
    """Cache of attempt details, by scale of their texts; a recorded attempt never changes."""

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = run_dir
        self.cache: dict[tuple[str, float], AttemptDetail] = {}
        setup = parse_json(read_text(run_dir / "setup.json", MAX_SETUP_BYTES))
        self.profile = as_mapping(setup.get("profile"))

    def detail_of(self, view: RunView, attempt: AttemptView, scale: float = 1.0) -> AttemptDetail:
        """Return an attempt's details; `scale` below 1 shortens long texts for large reports."""
        key = (attempt.id, scale)
        if key not in self.cache:
            self.cache[key] = self._make_detail(view, attempt, scale)
        return self.cache[key]

    def _make_detail(self, view: RunView, attempt: AttemptView, scale: float) -> AttemptDetail:
        parent = view.attempts.get(attempt.parent or "")
        step = (attempt.trace, attempt.step)
        evidence = read_json(self.run_dir, attempt.evidence)
        parent_evidence = read_json(self.run_dir, parent.evidence) if parent else {}
        cited = {**parent_evidence, "profile": self.profile}
        script = self._script_text(attempt, scale)
        diff = ""
        if parent:
            diff = diff_scripts(self._script_text(parent, 1.0), script, int(40_000 * scale))
        log = read_artifact(self.run_dir, attempt.log, int(8_000 * scale), tail=True)
        return {
            "id": attempt.id,
            "repairs": attempt.repairs,
            "reasons": [reword_difference(text, rising=view.rising) for text in attempt.reasons],
            "problems": list(attempt.problems),
            "folds": list(attempt.folds),
            "parent_folds": list(parent.folds) if parent else [],
            "line": line_rows(attempt, rising=view.rising),
            "hypothesis": hypothesis_record(view.hypotheses.get(attempt.id, {})),
            "diagnosis": diagnosis_record(view.diagnoses.get(step, {}), cited),
            "recalled": [hint_record(hint) for hint in view.recalls.get(step, ())],
            "offered": [recipe_record(card) for card in view.offers.get(step, ())],
            "diff": diff,
            "script": script,
            "evidence": evidence_rows(evidence, int(80 * scale) + 4),
            "segments": segment_rows(evidence),
            "log": clean_text(log, 10_000, lines=True),
            "resources": resource_rows(view.executions.get(attempt.id, {}), attempt),
            "calls": [call_record(self.run_dir, call, scale) for call in view.calls.get(step, ())],
        }

    def _script_text(self, attempt: AttemptView, scale: float) -> str:
        limit = 64_000
        text = read_artifact(self.run_dir, attempt.script, int(limit * scale))
        return clean_text(text, limit, lines=True)


def line_rows(attempt: AttemptView, *, rising: bool) -> list[tuple[str, str, str, str]]:
    """Return a row for every variant: name, score, gain over the best, what is said of it."""
    return [
        (
            one.name,
            format_score(one.score, one.score_se),
            format_improvement(one.gain, one.gain_se, rising=rising),
            one.problem or ("speaks for the script" if one.is_best else ""),
        )
        for one in attempt.variants
    ]


def hypothesis_record(event: Event) -> HypothesisRecord | None:
    """Return a hypothesis, every field checked; None for an empty one."""
    if not event:
        return None
    effect = as_mapping(event.get("effect"))
    return {
        "id": clean_text(event.get("id"), 1000),
        "statement": clean_text(event.get("statement"), 1000),
        "component": clean_text(event.get("component"), 1000),
        "plan": clean_text(event.get("plan"), 1000),
        "refuted_by": clean_text(event.get("refuted_by"), 1000),
        "sign": finite_number(effect.get("sign")),
        "size": clean_text(effect.get("size"), 20),
        "confidence": finite_number(event.get("confidence")),
    }


def diagnosis_record(event: Event, evidence: Mapping[str, object]) -> DiagnosisRecord | None:
    """Return a diagnosis with the values of `evidence` that it cites; None for an empty one."""
    if not event:
        return None
    observations = map(as_mapping, bounded_list(event.get("observations")))
    hypotheses = map(as_mapping, bounded_list(event.get("hypotheses"), 12))
    records = map(hypothesis_record, hypotheses)
    return {
        "observations": [observation_record(item, evidence) for item in observations],
        "causes": [clean_text(cause, 600) for cause in bounded_list(event.get("causes"), 12)],
        "hypotheses": [record for record in records if record],
    }


def observation_record(observation: Event, evidence: Mapping[str, object]) -> ObservationRecord:
    """Return an observation with the values of `evidence` that it cites."""
    paths = bounded_list(observation.get("cites"), 8)
    return {
        "text": clean_text(observation.get("text"), 600),
        "cites": [(clean_text(path, 80), resolve_cite(evidence, path)) for path in paths],
    }


def resolve_cite(evidence: Mapping[str, object], path: object) -> str:
    """Return the value at a path such as `segments[0]` or `cv.mean` as text; empty without one."""
    parts = PATH_PART.findall(clean_text(path, 80))
    value: object = evidence if parts else None
    for name, index in parts:
        if name:
            value = as_mapping(value).get(name)
        else:
            items = value if isinstance(value, list) else []
            value = items[int(index)] if int(index) < len(items) else None
    return "" if value is None else format_value(value)


def format_value(value: object, limit: int = 160) -> str:
    """Format any JSON value in one line; a dict or a list shows its first eight items."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        items = list(value.items())[:8]
        text = ", ".join(f"{key} {format_value(item, 40)}" for key, item in items)
    elif isinstance(value, list):
        text = ", ".join(format_value(item, 40) for item in value[:8])
        text += " …" if len(value) > 8 else ""
    else:
        text = value if isinstance(value, str) else json.dumps(value, default=str)
    return clean_text(text, limit)


def hint_record(event: Event) -> HintRecord:
    """Return a recalled success or refutation, every field checked."""
    return {
        "kind": clean_text(event.get("kind"), 600),
        "hypothesis": clean_text(event.get("hypothesis"), 600),
        "where": clean_text(event.get("where"), 600),
        "gain": finite_number(event.get("gain")),
        "gain_se": finite_number(event.get("gain_se")),
        "weight": finite_number(event.get("weight")),
    }


def recipe_record(event: Event) -> RecipeRecord:
    """Return an offered recipe, every field checked."""
    return {
        "id": clean_text(event.get("id"), 60),
        "title": clean_text(event.get("title"), 100),
        "evidence": clean_text(event.get("evidence"), 160) or "untested",
    }


def diff_scripts(old: str, new: str, limit: int) -> str:
    """Unified diff with three lines of context, cut after `limit` characters."""
    before, after = old.splitlines(), new.splitlines()
    if max(len(before), len(after)) > MAX_DIFF_INPUT_LINES:
        return ""
    text = "\n".join(list(difflib.unified_diff(before, after, n=3, lineterm=""))[2:])
    if len(text) <= limit:
        return text
    return text[:limit].rpartition("\n")[0] + "\n… the rest of the diff is omitted"


def evidence_rows(evidence: Mapping[str, object], n: int) -> list[tuple[str, str]]:
    """Return the first n (label, value) rows of the evidence, without what the page shows apart."""
    rows: list[tuple[str, str]] = []
    for key, value in evidence.items():
        if key in ("segments", "resources", "error"):
            continue
        items = value if isinstance(value, dict) else {"": value}
        for name, item in items.items():
            rows.append(
                (label_evidence(clean_text(f"{key}.{name}".rstrip("."), 80)), format_value(item))
            )
    return rows[:n]


def segment_rows(
    evidence: Mapping[str, object],
) -> list[tuple[str, str, float | None, float | None]]:
    """Where the loss concentrates: (column, value, ratio to the mean loss, number of rows)."""
    return [
        (
            clean_text(segment.get("column"), 80),
            clean_text(segment.get("value"), 80),
            finite_number(segment.get("ratio")),
            finite_number(segment.get("n")),
        )
        for segment in map(as_mapping, bounded_list(evidence.get("segments"), 8))
    ]


def resource_rows(event: Event, attempt: AttemptView) -> list[tuple[str, str]]:
    """Resources that the execution used, as (label, value) rows without the unknown ones."""
    end, code = clean_text(event.get("end"), 40), finite_number(event.get("exit_code"))
    if end == "exit" and code is not None:
        end = f"exit {int(code)}"
    rows = [
        ("wall time", format_duration(attempt.seconds)),
        ("CPU time", format_duration(finite_number(event.get("cpu_s")))),
        ("peak memory", format_bytes(finite_number(event.get("peak_bytes")))),
        ("ended by", end),
        ("sandbox", clean_text(event.get("tier"), 40)),
    ]
    if attempt.uses:
        rows.append(("builds on", ", ".join(attempt.uses)))
    if attempt.usage.tokens:
        rows.append(("tokens", format_count(attempt.usage.tokens)))
    if attempt.usage.usd is not None:
        rows.append(("cost", format_usd(attempt.usage.usd)))
    return [row for row in rows if row[1] and row[1] != "–"]
