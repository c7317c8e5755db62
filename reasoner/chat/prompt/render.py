"""From a brief to the messages of its verb: strict templates in reasoner/prompts, a token budget per section, data bounded and fenced.

No section grows with the number of steps: histories are cut to their latest, long texts to head and tail.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from reasoner.chat.answer.schemas import SCHEMAS
from reasoner.chat.prompt import numbered_facts as facts
from reasoner.chat.prompt import sections
from reasoner.chat.prompt.sections import SHARE, budget, cut
from reasoner.chat.prompt.text import code, duration, fenced, line, number
from reasoner.protocol import (
    Brief,
    DiagnoseBrief,
    DraftBrief,
    RepairBrief,
    ReviewBrief,
    UpdateBrief,
)

Message = dict[str, str]  # {role, content}
PROMPTS = Path(__file__).resolve().parents[2] / "prompts"


def messages(verb: str, brief: Brief, share: float = 1.0) -> list[Message]:
    """System and user message of a verb; `share` of every section's budget. A name that a template does not know is an error."""
    before = SHARE.set(share)
    try:
        user = rendered(verb, CONTEXTS[verb](brief))
    finally:
        SHARE.reset(before)
    return [
        {"role": "system", "content": rendered("system", system(brief))},
        {"role": "user", "content": user},
    ]


@lru_cache(maxsize=1)
def prompt_hash() -> str:
    """Version of the prompts: templates and answer schemas. Stands in run.json."""
    digest = hashlib.sha256()
    for path in sorted(PROMPTS.glob("*.md")):
        digest.update(f"{path.name}\n{path.read_text(encoding='utf-8')}\n".encode())
    for verb, model in SCHEMAS.items():
        digest.update(f"{verb} {json.dumps(model.model_json_schema(), sort_keys=True)}\n".encode())
    return digest.hexdigest()[:12]


@lru_cache(maxsize=1)
def environment() -> Any:
    import jinja2

    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(PROMPTS),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # prompts are plain text; `text` and `facts` bound and fence whatever enters them
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def rendered(name: str, context: dict[str, Any]) -> str:
    text: str = environment().get_template(f"{name}.md").render(context)
    return text.strip() + "\n"


# what each verb is told


def system(brief: Brief) -> dict[str, Any]:
    time = brief.task.split.get("kind") == "time"
    rule = (
        "Train on the folds below k and predict fold k (time must not run backwards)."
        if time
        else "Train on all folds but k and predict fold k."
    )
    return {"fold_rule": rule, "accept_z": f"{brief.accept_z:g}"}


def common(brief: Brief) -> dict[str, Any]:
    return {
        "task": sections.task(brief),
        "description": fenced(brief.task.description, budget("description"), "markdown")
        if brief.task.description.strip()
        else "",
        "preview": fenced(brief.preview, budget("preview")) if brief.preview else "",
        "facts": items(facts.data_items(brief.profile), "facts"),
        "columns": sections.columns(brief.profile),
        "resources": sections.resources(brief.resources),
        "stage": sections.stage(brief),
        "phase": brief.stage.phase,
        "path": cut([facts.fact_line(fact, short=True) for fact in brief.path], "path", keep="end"),
        "tally": sections.tally(brief),
        "history": sections.history(brief.history),
        "stuck": sections.stuck(brief),
        "others": cut([facts.fact_line(fact) for fact in brief.others], "others", keep="end"),
        "in_flight": cut([line(text, 200) for text in brief.in_flight], "in_flight"),
        "said": cut([line(text, 400) for text in brief.said], "said", keep="end"),
        "calibration": cut([line(text, 240) for text in brief.calibration], "calibration"),
    }


def draft(brief: Brief) -> dict[str, Any]:
    assert isinstance(brief, DraftBrief)
    return common(brief) | {
        "siblings": cut([line(text, 200) for text in brief.siblings], "siblings")
    }


def diagnose(brief: Brief) -> dict[str, Any]:
    assert isinstance(brief, DiagnoseBrief)
    latest = brief.history[-1] if brief.history else None
    return (
        common(brief)
        | script(brief.script, brief.log, "The script to be improved" + best_note(brief))
        | {
            "evidence": items(facts.evidence_items(brief.evidence), "evidence"),
            "last": items(
                [*facts.evidence_items(brief.last, "L"), *facts.failure_items(brief.last)], "last"
            )
            if brief.last
            else "",
            "last_title": facts.fact_line(latest) if latest else "",
            "last_diff": fenced(brief.last_diff, budget("diff"), "diff") if brief.last_diff else "",
            "attention": sections.attention(brief.scenario),
        }
    )


def update(brief: Brief) -> dict[str, Any]:
    assert isinstance(brief, UpdateBrief)
    seconds = (brief.evidence.get("resources") or {}).get("seconds")
    return (
        common(brief)
        | script(brief.script, brief.log, "The script that you change" + best_note(brief))
        | {
            "evidence": items(facts.evidence_items(brief.evidence), "evidence"),
            "diagnosis": sections.diagnosis(brief.diagnosis),
            "hypotheses": cut(
                [sections.hypothesis(item) for item in brief.diagnosis.hypotheses], "hypotheses"
            ),
            "hints": cut(
                [f"M{index} {facts.hint_line(hint)}" for index, hint in enumerate(brief.hints, 1)],
                "hints",
            ),
            "quotes": sections.quotes(brief.quotes),
            "crossover": sections.crossover(brief.crossover),
            "members": cut([sections.member(fact) for fact in brief.members], "members"),
            "may_ask": brief.may_ask,
            "seconds": duration(seconds)
            if isinstance(seconds, (int, float))
            else "an unknown time",
        }
    )


def repair(brief: Brief) -> dict[str, Any]:
    assert isinstance(brief, RepairBrief)
    return (
        common(brief)
        | script(brief.script, brief.log, "The script that failed")
        | {
            "problems": cut(
                [line(text, 600) for text in brief.problems] or ["it gave no valid result"],
                "problems",
            ),
            "error": sections.error(brief.evidence),
            "evidence": items(facts.evidence_items(brief.evidence), "evidence"),
            "earlier": cut([line(text, 500) for text in brief.earlier], "earlier", keep="end"),
            "idea": line(brief.hypothesis.statement, 400) if brief.hypothesis else "",
            "attempt": f"repair {brief.attempt} of this attempt",
            "limit": sections.limit_hit(brief),
            "last_try": brief.attempt >= 2,
        }
    )


def review(brief: Brief) -> dict[str, Any]:
    assert isinstance(brief, ReviewBrief)
    diff = fenced(brief.diff, budget("diff"), "diff") if brief.diff else ""
    return common(brief) | script(brief.script, "", "The script") | {"diff": diff}


CONTEXTS = {
    "draft": draft,
    "diagnose": diagnose,
    "update": update,
    "repair": repair,
    "review": review,
}


def script(text: str, log: str, title: str) -> dict[str, Any]:
    return {
        "script_title": title,
        "script": code(text, budget("script")),
        "log": fenced(log, budget("log")) if log.strip() else "",
    }


def best_note(brief: Brief) -> str:
    return (
        f" (this trace's best so far scores {number(brief.stage.best)})"
        if brief.stage.best is not None
        else ""
    )


def items(found: Sequence[facts.Item], section: str) -> str:
    return cut([f"{item.id} {item.text}" for item in found], section)
