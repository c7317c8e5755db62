"""One attempt as its page shows it: everything bounded and cleaned, texts read from the artifact store."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from report import formatting as words
from report.artifacts import parse_json, read_artifact, read_json, read_text
from report.formatting import clean, number
from report.model import Attempt, Event, RunView

MAX_COMPARED_LINES = 1_200  # a hostile pair of scripts costs the comparison at most seconds
PART = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


class Details:
    """Details of a run's attempts. An attempt never changes once it is recorded, so each is made once per scale."""

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = run_dir
        self.made: dict[tuple[str, float], dict[str, Any]] = {}
        setup = parse_json(read_text(run_dir / "setup.json", 4 * 2**20))
        profile = setup.get("profile")
        self.profile = profile if isinstance(profile, dict) else {}

    def of(self, view: RunView, attempt: Attempt, scale: float = 1.0) -> dict[str, Any]:
        """`scale` shrinks the long texts, for runs whose report would grow too large."""
        key = (attempt.id, scale)
        if key not in self.made:
            self.made[key] = self._make(view, attempt, scale)
        return self.made[key]

    def _make(self, view: RunView, attempt: Attempt, scale: float) -> dict[str, Any]:
        parent = view.attempts.get(attempt.parent or "")
        before = read_json(self.run_dir, parent.evidence) if parent else {}
        script = self._text(attempt.script, 64_000, scale)
        place = (attempt.trace, attempt.step)
        return {
            "id": attempt.id,
            "summary": view.summaries.get(attempt.id, ""),
            "why": attempt.why,
            "repairs": attempt.repairs,
            "reasons": list(attempt.reasons),
            "problems": list(attempt.problems),
            "folds": list(attempt.folds),
            "parent_folds": list(parent.folds) if parent else [],
            "hypothesis": hypothesis(view.hypotheses.get(attempt.id, {})),
            "diagnosis": diagnosis(view.diagnoses.get(place, {}), before, self.profile),
            "recalled": [hint(h) for h in view.recalls.get(place, ())],
            "diff": compared(
                self._text(parent.script, 64_000, 1.0) if parent else "",
                script,
                int(40_000 * scale),
            )
            if parent
            else "",
            "script": script,
            "evidence": list(told(read_json(self.run_dir, attempt.evidence), int(80 * scale) + 4)),
            "segments": segments(read_json(self.run_dir, attempt.evidence)),
            "log": clean(
                read_artifact(self.run_dir, attempt.log, int(8_000 * scale), tail=True),
                10_000,
                lines=True,
            ),
            "resources": resources(view.executions.get(attempt.id, {}), attempt),
        }

    def _text(self, ref: str, limit: int, scale: float) -> str:
        return clean(read_artifact(self.run_dir, ref, int(limit * scale)), limit, lines=True)


def listed(value: object, n: int = 30) -> list[Any]:
    return value[:n] if isinstance(value, list) else []


def mapped(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def hypothesis(event: Event) -> dict[str, Any] | None:
    """A hypothesis of a diagnosis or the one that was chosen."""
    if not mapped(event):
        return None
    effect = mapped(event.get("effect"))
    texts = {
        name: clean(event.get(name), 1000)
        for name in ("id", "statement", "challenge", "component", "plan", "refuted_by", "cost")
    }
    cites = [clean(c, 80) for c in listed(event.get("cites"), 10)]
    return texts | {
        "sign": number(effect.get("sign")),
        "size": clean(effect.get("size"), 20),
        "confidence": number(event.get("confidence")),
        "cites": cites,
    }


def diagnosis(
    event: Event, evidence: Mapping[str, Any], profile: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Observations with what they cite, causes, ranked hypotheses; None where the attempt rests on none."""
    if not event:
        return None
    whole = {**evidence, "profile": profile}
    observations = [
        {
            "text": clean(seen.get("text"), 600),
            "cites": [
                [clean(path, 80), cited(whole, path)] for path in listed(seen.get("cites"), 8)
            ],
        }
        for seen in map(mapped, listed(event.get("observations")))
    ]
    return {
        "observations": observations,
        "causes": [clean(cause, 600) for cause in listed(event.get("causes"), 12)],
        "hypotheses": [
            h for found in listed(event.get("hypotheses"), 12) if (h := hypothesis(mapped(found)))
        ],
    }


def cited(evidence: Mapping[str, Any], path: object) -> str:
    """The value that a path such as `segments[0]` or `cv.mean` names; empty where there is none."""
    parts = PART.findall(clean(path, 80))
    value: Any = evidence if parts else None
    for name, index in parts:
        if index:
            value = (
                value[int(index)] if isinstance(value, list) and int(index) < len(value) else None
            )
        else:
            value = value.get(name) if isinstance(value, dict) else None
    return "" if value is None else short(value)


def short(value: object, limit: int = 160) -> str:
    """A value of the evidence in a line."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return clean(
            ", ".join(f"{key} {short(item, 40)}" for key, item in list(value.items())[:8]), limit
        )
    if isinstance(value, list):
        return clean(
            ", ".join(short(item, 40) for item in value[:8]) + (" …" if len(value) > 8 else ""),
            limit,
        )
    return clean(value if isinstance(value, str) else json.dumps(value, default=str), limit)


def hint(event: Event) -> dict[str, Any]:
    """A recalled success (or refutation) with its weight."""
    texts = {
        name: clean(event.get(name), 600)
        for name in ("kind", "hypothesis", "component", "challenge", "where")
    }
    return texts | {name: number(event.get(name)) for name in ("gain", "gain_se", "weight")}


def compared(old: str, new: str, limit: int) -> str:
    """Unified diff with three lines of context, at most `limit` characters."""
    before, after = old.splitlines(), new.splitlines()
    if max(len(before), len(after)) > MAX_COMPARED_LINES:
        return ""
    text = "\n".join(list(difflib.unified_diff(before, after, n=3, lineterm=""))[2:])
    return (
        text
        if len(text) <= limit
        else text[:limit].rpartition("\n")[0] + "\n… the rest of the diff is left out"
    )


def told(evidence: Mapping[str, Any], n: int) -> Iterator[list[str]]:
    """The evidence as [path, value] rows, without what the page shows elsewhere."""
    rows: list[list[str]] = []
    for key, value in evidence.items():
        if key in ("segments", "resources", "error"):
            continue
        items = value.items() if isinstance(value, dict) else [("", value)]
        rows += [[clean(f"{key}.{name}".rstrip("."), 80), short(item)] for name, item in items]
    yield from rows[:n]


def segments(evidence: Mapping[str, Any]) -> list[list[Any]]:
    """Where the loss concentrates: [column, value, ratio to the mean loss, rows]."""
    found = [mapped(row) for row in listed(evidence.get("segments"), 8)]
    return [
        [
            clean(s.get("column"), 80),
            clean(s.get("value"), 80),
            number(s.get("ratio")),
            number(s.get("n")),
        ]
        for s in found
    ]


def resources(event: Event, attempt: Attempt) -> list[list[str]]:
    """What the execution took, as (label, value) rows."""
    code = number(event.get("exit_code"))
    rows = [
        ["wall time", words.duration(attempt.seconds)],
        ["CPU time", words.duration(number(event.get("cpu_s")))],
        ["peak memory", words.size(number(event.get("peak_bytes")))],
        [
            "ended by",
            {"exit": f"exit {int(code)}" if code is not None else "exit"}.get(
                str(event.get("end")), clean(event.get("end"), 40)
            ),
        ],
        ["sandbox", clean(event.get("tier"), 40)],
    ]
    if attempt.usage.tokens:
        rows.append(["tokens", words.count(attempt.usage.tokens)])
    if attempt.usage.usd is not None:
        rows.append(["cost", words.money(attempt.usage.usd)])
    return [row for row in rows if row[1] and row[1] != "–"]
