"""The messages that ask for read.py or metric.py of a task folder."""

from __future__ import annotations

from reasoner.chat.message import Message
from reasoner.chat.prompt.render import Context, render_template
from reasoner.chat.prompt.sections import BUDGET_SHARE, cut_to_budget, section_budget
from reasoner.chat.prompt.text import clip_middle, fence_data, fence_script, single_line
from reasoner.protocol import FileBrief

TEMPLATES = {"read.py": "file_read", "metric.py": "file_metric"}
MAX_EARLIER = 2


def file_messages(brief: FileBrief, share: float = 1.0) -> list[Message]:
    """Return the system and the user message; `share` (0..1) scales the budget of every section."""
    token = BUDGET_SHARE.set(share)
    try:
        user = render_template(TEMPLATES[brief.file], file_context(brief))
    finally:
        BUDGET_SHARE.reset(token)
    return [
        {"role": "system", "content": render_template("file_system", {})},
        {"role": "user", "content": user},
    ]


def file_context(brief: FileBrief) -> Context:
    """Return the names of file_read.md and file_metric.md."""
    n_heads = max(1, len(brief.heads))
    tokens = max(60, section_budget("heads") // n_heads)
    heads = [
        {"title": f"Head of {single_line(name, 120)}:", "text": fence_data(text, tokens)}
        for name, text in brief.heads.items()
    ]
    listing = [single_line(line, 400) for line in brief.listing]
    packages = [f"{name} {version}" for name, version in brief.packages.items()]
    earlier = [
        {
            "script": fence_script(one.script, section_budget("script") // 3),
            "error": single_line(clip_middle(one.error, section_budget("error")), 1200),
        }
        for one in brief.earlier[-MAX_EARLIER:]
    ]
    return {
        "name": single_line(brief.name, 80),
        "description": fence_data(
            brief.description or "(none)", section_budget("description"), "markdown"
        ),
        "listing": cut_to_budget(listing, "listing"),
        "heads": heads,
        "sample": fence_data(brief.sample, section_budget("rows")) if brief.sample else "",
        "answers": fence_data(brief.answers, section_budget("rows")) if brief.answers else "",
        "packages": single_line(", ".join(packages) or "standard library only", 600),
        "refusal": single_line(brief.refusal, 800),
        "earlier": earlier,
    }
