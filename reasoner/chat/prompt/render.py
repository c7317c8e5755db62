"""Render a brief to the messages of its verb.

Templates in reasoner/prompts are strict, every section has a token budget, data is bounded and
fenced. No section grows with the number of steps: histories are cut to their latest entries, long
texts to head and tail.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from reasoner.chat.answer.schemas import SCHEMAS
from reasoner.chat.message import Message
from reasoner.chat.prompt import numbered_facts as facts
from reasoner.chat.prompt import sections
from reasoner.chat.prompt.conversation import as_messages, shorten_turns
from reasoner.chat.prompt.description import keep_useful_sections
from reasoner.chat.prompt.ledger import claims_by_attempt, ledger_section
from reasoner.chat.prompt.sections import BUDGET_SHARE, cut_to_budget, section_budget
from reasoner.chat.prompt.text import (
    duration_text,
    fence_data,
    fence_script,
    single_line,
    size_text,
)
from reasoner.protocol import (
    Brief,
    DiagnoseBrief,
    DraftBrief,
    Fact,
    Hypothesis,
    Lack,
    ProbeBrief,
    Rejected,
    RepairBrief,
    ReviewBrief,
    Turn,
    UpdateBrief,
)

if TYPE_CHECKING:
    import jinja2

Context = dict[str, Any]  # the names of a template
TEMPLATES = {"step": "diagnose", "appeal": "repair"}  # form -> template, where the names differ
LEDGER_ROOM: Mapping[type[Brief], str] = {
    RepairBrief: "known",
    ReviewBrief: "known",
}  # where a short ledger is enough
PROMPTS = Path(__file__).resolve().parents[2] / "prompts"


def prompt_messages(verb: str, brief: Brief, share: float = 1.0) -> list[Message]:
    """Return the messages of a verb, or of a form of it: step, follow.

    Every user message begins with the same text in all verbs of a run (task, data, environment),
    then come the fixed instructions of the verb, what changes seldom, and what changes always, so
    that a prefix cache serves most of it. A follow-up goes on in the diagnosis's conversation.

    `share` (0..1) scales the budget of every section. A name that a template does not know raises
    jinja2.UndefinedError.
    """
    token = BUDGET_SHARE.set(share)
    try:
        user = render_template(TEMPLATES.get(verb, verb), CONTEXTS[verb](brief))
    finally:
        BUDGET_SHARE.reset(token)
    if verb == "follow" and isinstance(brief, UpdateBrief):
        return [*as_messages(earlier_turns(brief)), {"role": "user", "content": user}]
    return [
        {"role": "system", "content": render_template("system", system_context(brief))},
        {"role": "user", "content": user},
    ]


@lru_cache(maxsize=1)
def prompt_hash() -> str:
    """Return the version of the prompts, a hash of templates and answer schemas, for run.json."""
    digest = hashlib.sha256()
    for path in sorted(PROMPTS.glob("*.md")):
        digest.update(f"{path.name}\n{path.read_text(encoding='utf-8')}\n".encode())
    for verb, model in SCHEMAS.items():
        digest.update(f"{verb} {json.dumps(model.model_json_schema(), sort_keys=True)}\n".encode())
    return digest.hexdigest()[:12]


@lru_cache(maxsize=1)
def template_environment() -> jinja2.Environment:
    """Return the strict template engine."""
    import jinja2

    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(PROMPTS),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # plain text; `text` and `numbered_facts` bound and fence the data
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def render_template(name: str, context: Context) -> str:
    """Render reasoner/prompts/NAME.md; the text ends with one line end."""
    text = template_environment().get_template(f"{name}.md").render(context)
    return text.strip() + "\n"


# the context of each template


def system_context(brief: Brief) -> Context:
    """Return the names of system.md."""
    rule = "Train on all folds but k and predict fold k."
    if brief.task.split.get("kind") == "time":
        rule = "Train on the folds below k and predict fold k (time must not run backwards)."
    bar = brief.accept_bar or brief.accept_z
    kept = brief.resources.keep_bytes
    bars = {"accept_z": f"{brief.accept_z:g}", "accept_bar": f"{bar:.1f}"}
    building = {"builds": kept is not None, "keep": size_text(kept) if kept else ""}
    return {"fold_rule": rule, "variants": brief.variants, **building, **bars}


def common_context(brief: Brief) -> Context:
    """Return what every verb knows: task, data, resources, budget and history."""
    description = brief.task.description
    return {
        "task": sections.task_section(brief),
        "description": data_section(keep_useful_sections(description), "description", "markdown"),
        "preview": fence_data(brief.preview, section_budget("preview")) if brief.preview else "",
        "facts": list_facts(facts.data_items(brief.profile), "facts"),
        "columns": sections.columns_section(brief.profile),
        "resources": sections.resources_section(brief.resources),
        "stage": sections.stage_section(brief),
        "ledger": ledger_section(brief, section_budget(LEDGER_ROOM.get(type(brief), "ledger"))),
        "n_attempts": len(brief.history),
        "stuck": sections.stuck_section(brief),
        "probes": sections.probes_section(brief.probes, brief.ledger),
        "said": list_texts(sections.hint_lines(brief), "said", 400, keep="end"),
        "calibration": list_texts(brief.calibration, "calibration", 240),
    }


def draft_context(brief: Brief) -> Context:
    """Return the names of draft.md."""
    assert isinstance(brief, DraftBrief)
    too_long = [fact for fact in brief.history if "timeout" in fact.codes]
    return common_context(brief) | {
        "siblings": list_texts(unlisted_siblings(brief), "siblings", 200),
        "has_siblings": bool(brief.siblings),
        "too_long": list_attempts(too_long, "attempts", short=True),
        "rejected": rejected_context(brief.rejected),
        "recipes": sections.recipes_section(brief.recipes),
    }


def unlisted_siblings(brief: DraftBrief) -> list[str]:
    """Return the directions of other traces that are not drafts of the ledger."""
    drafts = {claim.claim for claim in brief.ledger.claims if claim.source == "draft"}
    return [text for text in brief.siblings if single_line(text, 240) not in drafts]


def rejected_context(rejected: Rejected | None) -> Context | None:
    """Return the names of a refused script."""
    if rejected is None:
        return None
    return {
        "attempt": single_line(rejected.attempt, 20),
        "reasons": list_texts(rejected.reasons, "problems", 600),
        "evidence": list_facts(facts.evidence_items(rejected.evidence, "R"), "last"),
        "script": fence_script(rejected.script, section_budget("script")),
        "log": data_section(rejected.log, "log"),
    }


def diagnose_context(brief: Brief) -> Context:
    """Return the names of diagnose.md."""
    assert isinstance(brief, DiagnoseBrief)
    last = [*facts.latest_items(brief.last or {}), *facts.failure_items(brief.last or {})]
    diff = brief.last_diff
    return {
        **common_context(brief),
        **step_context(brief),
        **script_context(brief.script, brief.log, "The script to be improved"),
        "wants_change": brief.wants_change,
        "recipes": sections.recipes_section(brief.recipes),
        "evidence": list_facts(facts.evidence_items(brief.evidence), "evidence"),
        "last": list_facts(last, "last"),
        "last_title": latest_title(brief),
        "last_diff": fence_data(diff, section_budget("diff"), "diff") if diff else "",
        "attention": sections.attention_section(brief.scenario),
    }


def latest_title(brief: DiagnoseBrief) -> str:
    """Return what the latest attempt was and gained; its words stand in the ledger if they can."""
    if not brief.history:
        return ""
    latest = brief.history[-1]
    claims = claims_by_attempt(brief, section_budget("ledger"))
    if known := claims.get(latest.attempt):
        latest = latest.model_copy(update={"hypothesis": f"claim {known}"})
    return facts.fact_line(latest)


def update_context(brief: Brief) -> Context:
    """Return the names of update.md."""
    assert isinstance(brief, UpdateBrief)
    hypotheses = [sections.hypothesis_line(item) for item in brief.diagnosis.hypotheses]
    chosen = brief.chosen_hypothesis
    return {
        **common_context(brief),
        **step_context(brief),
        **script_context(brief.script, brief.log, "The script that you change"),
        "evidence": list_facts(facts.evidence_items(brief.evidence), "evidence"),
        "diagnosis": sections.diagnosis_section(brief.diagnosis),
        "hypotheses": cut_to_budget(hypotheses, "hypotheses"),
        "crossover": sections.crossover_section(brief.crossover),
        "chosen": sections.hypothesis_line(chosen) if chosen else "",
    }


def step_context(brief: DiagnoseBrief | UpdateBrief) -> Context:
    """Return the names of _memory.md and _members.md."""
    recalled = enumerate(facts.untold_hints(brief), 1)
    hints = [f"M{index} {facts.hint_line(hint)}" for index, hint in recalled]
    return {
        "hints": cut_to_budget(hints, "hints"),
        "quotes": sections.quote_sections(brief.quotes),
        "members_title": sections.members_title(brief),
        "members": sections.members_section(brief),
        "may_ask": brief.may_ask,
        "repeatable": sections.repeatable_text(brief.repeatable),
    }


def follow_context(brief: Brief) -> Context:
    """Return the names of follow.md: only what the conversation does not hold yet."""
    assert isinstance(brief, UpdateBrief) and brief.chosen_hypothesis
    told = "\n".join(turn.content for turn in earlier_turns(brief))
    problem = change_problem(brief)
    known = [int(step) for step in re.findall(rf"\bt{brief.stage.trace}s(\d+)\b", told)]
    since = [fact for fact in brief.history if fact.step > max(known, default=-1)]
    hints = [hint for hint in brief.hints if single_line(hint.hypothesis, 260) not in told]
    quotes = [quote for quote in brief.quotes if quote.text.strip() not in told]
    if problem:  # only a change is to be corrected
        since, hints, quotes = [], [], []
    return {
        **common_context(brief),
        **step_context(brief.model_copy(update={"hints": hints, "quotes": quotes})),
        "since": list_attempts(since[-5:], "attempts"),
        "problem": problem[:4000],
        "chosen": chosen_line(brief.chosen_hypothesis, told),
    }


def change_problem(brief: UpdateBrief) -> str:
    """Return what is wrong with the change of the chosen hypothesis, if it came with one."""
    owner = brief.diagnosis.change_owner
    return brief.diagnosis.change_problem if owner in ("", brief.chosen) else ""


def earlier_turns(brief: UpdateBrief) -> list[Turn]:
    """Return the diagnosis's conversation, as far as the follow-up needs it."""
    turns = brief.diagnosis.turns
    return shorten_turns(turns) if change_problem(brief) else list(turns)


def chosen_line(hypothesis: Hypothesis, told: str) -> str:
    """Return a hypothesis; of one that stands in the conversation only what names it."""
    plan = json.dumps(hypothesis.plan, ensure_ascii=False)[1:-1]
    statement = single_line(hypothesis.statement, 400)
    line = f"**{single_line(hypothesis.id, 40)}** ({hypothesis.component}): {statement}"
    is_told = not hypothesis.plan or plan in told
    return line if is_told else f"{line} | plan: {single_line(hypothesis.plan, 700)}"


def probe_context(brief: Brief) -> Context:
    """Return the names of probe.md."""
    assert isinstance(brief, ProbeBrief)
    return common_context(brief) | {"limit": duration_text(brief.limit_s)}


def repair_context(brief: Brief) -> Context:
    """Return the names of repair.md."""
    assert isinstance(brief, RepairBrief)
    problems = brief.problems or ["it gave no valid result"]
    return {
        **common_context(brief),
        **script_context(brief.script, brief.log, "The script that failed"),
        "problems": list_texts(problems, "problems", 600),
        "error": sections.error_section(brief.evidence),
        "evidence": list_facts(facts.evidence_items(brief.evidence), "evidence"),
        "earlier": list_texts(brief.earlier, "earlier", 500, keep="end"),
        "idea": single_line(brief.hypothesis.statement, 400) if brief.hypothesis else "",
        "attempt": f"repair {brief.attempt} of this attempt",
        "limit": sections.limit_hit(brief),
        "last_try": brief.attempt >= 2,
        "rehearsal": single_line(brief.rehearsal, 500),
        "lacks": list_texts([lack_line(lack) for lack in brief.lacks], "problems", 200),
    }


def lack_line(lack: Lack) -> str:
    """Return what some rows lack, and how many of either side."""
    return (
        f"`{single_line(lack.name, 80)}`: {lack.validated:,} of {lack.of_validated:,} validated"
        f" rows, {lack.test:,} of {lack.of_test:,} rows of `test.csv`"
    )


def review_context(brief: Brief) -> Context:
    """Return the names of review.md."""
    assert isinstance(brief, ReviewBrief)
    return {
        **common_context(brief),
        **script_context(brief.script, "", "The script"),
        "diff": fence_data(brief.diff, section_budget("diff"), "diff") if brief.diff else "",
        "doubts": list_texts(brief.doubts, "problems", 400),
    }


CONTEXTS = {
    "draft": draft_context,
    "diagnose": diagnose_context,
    "step": diagnose_context,
    "follow": follow_context,
    "update": update_context,
    "repair": repair_context,
    "appeal": repair_context,
    "review": review_context,
    "probe": probe_context,
}


def script_context(text: str, log: str, title: str) -> Context:
    """Return the names of _script.md."""
    return {
        "script_title": title,
        "script": fence_script(text, section_budget("script")),
        "log": data_section(log, "log"),
    }


# sections that need no code of their own


def data_section(text: str, section: str, language: str = "text") -> str:
    """Return data between fences, or nothing if it is blank."""
    return fence_data(text, section_budget(section), language) if text.strip() else ""


def list_facts(items: Sequence[facts.NumberedFact], section: str) -> str:
    """Return numbered facts as a list, the first ones that fit."""
    return cut_to_budget([f"{item.id} {item.text}" for item in items], section)


def list_attempts(attempts: Sequence[Fact], section: str, *, short: bool = False) -> str:
    """Return attempts as a list, the latest ones that fit."""
    lines = [facts.fact_line(fact, short=short) for fact in attempts]
    return cut_to_budget(lines, section, keep="end")


def list_texts(
    texts: Sequence[str], section: str, chars: int, *, keep: Literal["start", "end"] = "start"
) -> str:
    """Return texts as a list, each on a line of at most so many characters."""
    return cut_to_budget([single_line(text, chars) for text in texts], section, keep=keep)
