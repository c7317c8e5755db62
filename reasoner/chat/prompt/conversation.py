"""A diagnosis's conversation as a follow-up goes on in it."""

from __future__ import annotations

import json
from collections.abc import Sequence

from reasoner.chat.answer.extract import parse_json_object
from reasoner.chat.message import Message
from reasoner.protocol import Turn

AFTER_SCRIPT = "\n# Evidence about that script"
"""Where in a question the script has ended, and what a correction of it does not need begins."""
LEFT_OUT = "\n[The rest of this question is left out.]\n"
CHANGE_KEYS = ("chosen", "take_from", "ensemble", "edits", "script", "summary")


def as_messages(turns: Sequence[Turn]) -> list[Message]:
    """Return a conversation as it is sent."""
    return [{"role": turn.role, "content": turn.content} for turn in turns]


def shorten_turns(turns: Sequence[Turn]) -> list[Turn]:
    """Return what a correction of the change needs: the script, and the change as it was given.

    The question keeps its beginning byte for byte, so that a prefix cache serves it.
    """
    if len(turns) != 3:
        return list(turns)
    system, question, answer = turns
    head, found, _ = question.content.rpartition(AFTER_SCRIPT)
    if found:
        question = question.model_copy(update={"content": head + LEFT_OUT})
    given = parse_json_object(answer.content) or {}
    change = {key: given[key] for key in CHANGE_KEYS if given.get(key)}
    if change:
        text = json.dumps(change, ensure_ascii=False).encode("utf-8", "replace").decode()
        answer = answer.model_copy(update={"content": text})
    return [system, question, answer]
