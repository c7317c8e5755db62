"""From a brief to the messages of its verb."""

from __future__ import annotations

from reasoner.protocol import Brief

Message = dict[str, str]  # {role, content}
LIMIT = 60_000  # characters of a brief


def messages(verb: str, brief: Brief) -> list[Message]:
    """System and user message of a verb; bounded."""
    system = f"You are an ML engineer at the step `{verb}` of an optimisation loop. Scripts read input/, write oof.csv and submission.csv."
    return [{"role": "system", "content": system}, {"role": "user", "content": brief.model_dump_json()[:LIMIT]}]
