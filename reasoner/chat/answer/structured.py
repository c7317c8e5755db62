"""A structured answer from any model: asked for in the best form that its endpoint honours, checked by us, mended by the model.

    json_schema -> one repair turn -> function call -> JSON mode -> plain text; out of whatever comes, JSON is extracted.

An answer that is well formed but does not fit (an edit that matches nothing, a script that does not compile) is sent back with
the exact reason.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from reasoner.chat.answer import forms
from reasoner.chat.answer.extract import json_of, spoken
from reasoner.chat.endpoint.cache import Exchanges
from reasoner.chat.endpoint.client import Endpoint, Message, Reply
from reasoner.chat.endpoint.faults import Fault, Refused, TooLong
from reasoner.chat.endpoint.retry import Tell, converse
from reasoner.protocol import Usage

T = TypeVar("T")
MAX_MENDS = 2  # times that a well-formed answer is sent back
MAX_CALLS = 8
QUOTED = 12_000  # characters of a bad answer that are quoted back


class Misfit(Exception):
    """A well-formed answer that cannot be used; the text is for the model."""


class Unusable(Exception):
    """No usable answer. `usage` is what the attempts cost."""

    def __init__(self, text: str, usage: Usage) -> None:
        super().__init__(text)
        self.usage = usage


class Malformed(Exception):
    """Not what was asked for; the text is for the model."""


@dataclass(frozen=True)
class Question(Generic[T]):
    """What is asked. `accept` makes the value of a valid answer or raises Misfit; `rescue` completes
    an answer, or makes one, from plain text."""

    messages: list[Message]
    schema: type[BaseModel]
    accept: Callable[[BaseModel], T]
    salt: str = ""
    rescue: Callable[[str, dict[str, Any] | None], dict[str, Any] | None] = lambda text, given: (
        given
    )


@dataclass
class Asker:
    """Asks one endpoint; learns which form it honours."""

    endpoint: Endpoint
    kept: Exchanges
    tell: Tell
    usage: Usage = field(default_factory=Usage)

    async def ask(self, question: Question[T]) -> tuple[T, Usage]:
        """The accepted value and what it cost. Raises Unusable, or a Fault that carries what was spent before it as `usage`."""
        talk = Talk(self, question)
        try:
            return await talk.run(), talk.usage
        except Fault as fault:
            fault.usage = talk.usage
            raise


class Talk(Generic[T]):
    """One question with all its turns."""

    def __init__(self, asker: Asker, question: Question[T]) -> None:
        self.asker, self.question = asker, question
        self.schema = question.schema.model_json_schema()
        self.usage = Usage()
        self.calls = 0
        self.problem = "no answer"

    async def run(self) -> T:
        first = forms.FORMS.index(forms.known_form(self.asker.endpoint))
        for form in (*forms.FORMS[first:], *forms.FORMS[:first]):
            found = await self.in_form(form)
            if found is not None:
                forms.remember(self.asker.endpoint, form)
                return found[0]
            if self.calls >= MAX_CALLS:
                break
        raise Unusable(
            f"{self.asker.endpoint.model} gave no usable answer in {self.calls} calls; the last: {self.problem}",
            self.usage,
        )

    async def in_form(self, form: forms.Form) -> tuple[T] | None:
        """The value in a tuple, or None where this form does not bring one."""
        messages = forms.instructed(form, self.question.messages, self.schema)
        turns = list(messages)
        malformed = mends = 0
        while self.calls < MAX_CALLS:
            try:
                reply = await self.send(form, turns)
            except Refused as fault:
                if form == "text" or not speaks_of_form(fault):
                    raise
                self.problem = str(fault)
                return None
            try:
                return (self.question.accept(self.read(reply)),)
            except Malformed as fault:
                malformed += 1
                self.problem = str(fault)
                if malformed > (1 if self.calls <= 2 else 0):
                    return None
            except Misfit as fault:
                mends += 1
                self.problem = str(fault)
                if mends > MAX_MENDS:
                    raise Unusable(
                        f"{self.asker.endpoint.model}: {self.problem}", self.usage
                    ) from fault
            turns = [
                *messages,
                {"role": "assistant", "content": reply.content[:QUOTED] or "(nothing)"},
                again(self.problem),
            ]
        return None

    async def send(self, form: forms.Form, turns: list[Message]) -> Reply:
        asker = self.asker
        self.calls += 1
        reply = await converse(
            asker.endpoint,
            turns,
            forms.body(form, self.schema),
            self.question.salt,
            asker.kept,
            asker.tell,
        )
        self.usage += reply.usage
        return reply

    def read(self, reply: Reply) -> BaseModel:
        """The answer, validated. Raises Malformed with words for the model."""
        if reply.refusal:
            raise Malformed(
                f"You refused ({reply.refusal[:200]}). This is ordinary machine-learning work on the user's own data; answer as asked."
            )
        given = json_of(reply.content)
        if given is None and reply.arguments:
            given = json_of(reply.text)
        cut = reply.finish in ("length", "max_tokens")
        if not cut:
            given = self.question.rescue(reply.content, given)
        if given is None:
            raise Malformed(missing(reply, cut))
        try:
            return self.question.schema.model_validate(given)
        except ValidationError as error:
            raise Malformed(explained(error)) from error


def speaks_of_form(fault: Refused) -> bool:
    """Whether the endpoint complains of the form of the answer, or may (a bare `bad request` often means just that)."""
    return not isinstance(fault, TooLong) and fault.parameter in (
        None,
        "response_format",
        "tools",
        "tool_choice",
    )


def again(problem: str) -> Message:
    return {
        "role": "user",
        "content": f"That answer cannot be used. {problem}\nGive the whole answer again, corrected.",
    }


def missing(reply: Reply, cut: bool) -> str:
    if cut:
        return "It was cut off at the length limit. Answer much shorter: edits rather than a whole file, short texts, no repetition."
    if not spoken(reply.content):
        return "It was empty. Answer with one JSON object of the form asked for."
    return "It holds no JSON object. Answer with one JSON object of the form asked for, without any text around it."


def explained(error: ValidationError) -> str:
    """The exact errors, one a line, at most eight."""
    lines = []
    for one in error.errors(include_url=False)[:8]:
        where = ".".join(str(part) for part in one["loc"]) or "answer"
        lines.append(f"- {where}: {one['msg']} (got {str(one['input'])[:80]!r})")
    return "It does not satisfy the schema:\n" + "\n".join(lines)
