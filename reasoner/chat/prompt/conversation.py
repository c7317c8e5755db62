"""A diagnosis's conversation as a follow-up goes on in it."""

from __future__ import annotations

import json
from collections.abc import Sequence

from reasoner.chat.answer.extract import parse_json_object
from reasoner.chat.message import Message
from reasoner.protocol import Turn

AFTER_SCRIPT = "\n# Evidence about that script"
AFTER_FAILURE = "\n# What the run has found so far"
"""Where in a question the script (of a repair: its failure) has been told, and what a correction of
the change does not need begins."""
END_OF_NEED = {"update": AFTER_SCRIPT, "follow": AFTER_SCRIPT, "repair": AFTER_FAILURE}
END_OF_NEED |= {"appeal": AFTER_FAILURE}
"""Form of a question -> where the part ends that a correction of its answer needs."""
LEFT_OUT = "\n[The rest of this question is left out.]\n"
CHANGE_KEYS = ("chosen", "take_from", "ensemble", "remeasure", "edits", "script", "summary")


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
    question = question.model_copy(
        update={"content": _cut_question(question.content, AFTER_SCRIPT)}
    )
    given = parse_json_object(answer.content) or {}
    change = {key: given[key] for key in CHANGE_KEYS if given.get(key)}
    if change:
        text = json.dumps(change, ensure_ascii=False).encode("utf-8", "replace").decode()
        answer = answer.model_copy(update={"content": text})
    return [system, question, answer]


def shorten_question(form: str, messages: Sequence[Message]) -> list[Message]:
    """Return a question as the correction of its answer needs it: with the script, little more.

    It keeps its beginning byte for byte; the request of a follow-up stays whole.
    """
    if form not in END_OF_NEED or len(messages) < 2:
        return list(messages)
    system, question, *rest = messages
    content = _cut_question(question["content"], END_OF_NEED[form])
    return [system, {"role": question["role"], "content": content}, *rest]


def _cut_question(text: str, end: str) -> str:
    head, found, _ = text.rpartition(end)
    return head + LEFT_OUT if found else text
