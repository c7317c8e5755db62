"""Get a structured answer from any model.

The forms of request are tried in turn until one brings a valid answer:

    json_schema -> one repair turn -> function call -> JSON mode -> plain text

JSON is extracted from whatever comes back and validated here. A valid answer that does not fit (an
edit that matches nothing, a script that does not compile) is sent back with the exact reason.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from reasoner.chat.answer import forms
from reasoner.chat.answer.edits import AnswerError
from reasoner.chat.answer.extract import extract_json, parse_json_object, strip_thinking
from reasoner.chat.endpoint.cache import ChatRequest, Exchanges
from reasoner.chat.endpoint.client import ModelEndpoint, Reply
from reasoner.chat.endpoint.faults import EndpointError, PromptTooLongError, RefusedRequestError
from reasoner.chat.endpoint.record import recorded_exchange
from reasoner.chat.endpoint.retry import Tell, ask_with_retries
from reasoner.chat.message import Message
from reasoner.protocol import Usage

T = TypeVar("T")
Rescue = Callable[[str, dict[str, Any] | None], dict[str, Any] | None]
MAX_CORRECTIONS = 2  # times that a valid answer is sent back
MAX_CALLS = 8
MAX_ECHO_CHARS = 12_000  # of a bad answer, quoted back to the model


class MalformedAnswerError(Exception):
    """An answer that is not of the schema. The text is for the model."""


class NoUsableAnswerError(Exception):
    """The model gave no usable answer. `usage` is what its attempts cost."""

    def __init__(self, text: str, usage: Usage) -> None:
        super().__init__(text)
        self.usage = usage


def keep_parsed(text: str, given: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return the parsed JSON: the `rescue` of a question whose answer is never code."""
    return given


@dataclass(frozen=True)
class ModelQuestion(Generic[T]):
    """A question to a model.

    `accept` converts a valid answer or raises AnswerError. `rescue` receives the text and the JSON
    found in it, and completes that JSON or builds it from the text. `salt`: see ChatRequest.
    Without `patient`, nobody waits for an endpoint that cannot be reached. `shorten` leaves out of
    the messages what is not needed to correct an answer that does not fit.
    """

    messages: list[Message]
    schema: type[BaseModel]
    accept: Callable[[BaseModel], T]
    salt: str = ""
    rescue: Rescue = keep_parsed
    patient: bool = True
    shorten: Callable[[list[Message]], list[Message]] = list


class Accepted(NamedTuple, Generic[T]):
    """An accepted answer. `turns`: the question and its answer, without corrections between."""

    value: T
    usage: Usage
    turns: list[Message]


@dataclass
class Asker:
    """Asks one endpoint, and learns which form works there."""

    endpoint: ModelEndpoint
    exchanges: Exchanges
    tell: Tell

    async def ask(self, question: ModelQuestion[T]) -> Accepted[T]:
        """Return the accepted value, its cost and its conversation.

        Raises:
            NoUsableAnswerError: no form brought a usable answer.
            EndpointError: the endpoint failed; its `usage` is what was spent before.
        """
        conversation = Conversation(self, question)
        try:
            value = await conversation.run()
            return Accepted(value, conversation.usage, conversation.accepted)
        except EndpointError as error:
            error.usage = conversation.usage
            raise


class Conversation(Generic[T]):
    """One question with all its turns."""

    def __init__(self, asker: Asker, question: ModelQuestion[T]) -> None:
        self.asker, self.question = asker, question
        self.schema = question.schema.model_json_schema()
        self.usage = Usage()
        self.n_calls = 0
        self.problem = "no answer"
        self.accepted: list[Message] = []

    async def run(self) -> T:
        """Try the forms, beginning with the one known to work. Raises NoUsableAnswerError."""
        endpoint = self.asker.endpoint
        first = forms.FORMS.index(forms.known_form(endpoint))
        for form in (*forms.FORMS[first:], *forms.FORMS[:first]):
            result = await self._ask_in_form(form)
            if result is not None:
                forms.remember_form(endpoint, form)
                return result[0]
            if self.n_calls >= MAX_CALLS:
                break
        text = f"{endpoint.model} gave no usable answer in {self.n_calls} calls"
        raise NoUsableAnswerError(f"{text}; the last: {self.problem}", self.usage)

    async def _ask_in_form(self, form: forms.Form) -> tuple[T] | None:
        """Return the value in a tuple, or None if this form brings no valid answer."""
        messages = forms.instruct_form(form, self.question.messages, self.schema)
        turns, asked = messages, self.question.messages
        n_malformed = n_corrections = 0
        while self.n_calls < MAX_CALLS:
            try:
                reply = await self._send(form, turns)
            except RefusedRequestError as error:
                if form == "text" or not is_about_form(error):
                    raise
                self.problem = str(error)
                return None
            try:
                value = self.question.accept(self._parse(reply))
                self.accepted = [*messages, {"role": "assistant", "content": reply.content}]
                return (value,)
            except MalformedAnswerError as error:
                self.problem = str(error)
                n_malformed += 1
                if n_malformed > 1 or self.n_calls > 2:  # one repair turn, in the first form only
                    return None
            except AnswerError as error:
                self.problem = str(error)
                n_corrections += 1
                if n_corrections > MAX_CORRECTIONS:
                    text = f"{self.asker.endpoint.model}: {self.problem}"
                    raise NoUsableAnswerError(text, self.usage) from error
                asked = self.question.shorten(self.question.messages)
            turns = [
                *forms.instruct_form(form, asked, self.schema),
                *correction_turns(reply, self.problem),
            ]
        return None

    async def _send(self, form: forms.Form, turns: list[Message]) -> Reply:
        self.n_calls += 1
        parameters = forms.form_parameters(form, self.schema)
        request = ChatRequest(self.asker.endpoint, turns, parameters, self.question.salt)
        with recorded_exchange(request, form) as record:
            reply = await ask_with_retries(
                request, self.asker.exchanges, self.asker.tell, patient=self.question.patient
            )
            record.reply = reply
        self.usage += reply.usage
        return reply

    def _parse(self, reply: Reply) -> BaseModel:
        """Return the validated answer. Raises MalformedAnswerError."""
        if reply.refusal:
            raise MalformedAnswerError(
                f"You refused ({reply.refusal[:200]}). This is ordinary machine-learning work on"
                " the user's own data; answer as asked."
            )
        given = extract_json(reply.content)
        if given is None and reply.arguments:
            given = extract_json(reply.text)
        if given is None and not reply.content.strip():  # some servers take it all for thinking
            given = parse_json_object(reply.thinking.strip())
        is_cut = reply.finish in ("length", "max_tokens")
        if not is_cut:
            given = self.question.rescue(reply.content, given)
        if given is None:
            raise MalformedAnswerError(missing_json_message(reply, is_cut))
        try:
            return self.question.schema.model_validate(given)
        except ValidationError as error:
            raise MalformedAnswerError(validation_message(error)) from error


def is_about_form(error: RefusedRequestError) -> bool:
    """Whether the endpoint may be refusing the form of the answer.

    An error that names no parameter (a bare `bad request`) often means just that.
    """
    if isinstance(error, PromptTooLongError):
        return False
    return error.parameter in (None, "response_format", "tools", "tool_choice")


def correction_turns(reply: Reply, problem: str) -> list[Message]:
    """Return the model's bad answer and the request to correct it."""
    text = f"That answer cannot be used. {problem}\nGive the whole answer again, corrected."
    return [
        {"role": "assistant", "content": reply.content[:MAX_ECHO_CHARS] or "(nothing)"},
        {"role": "user", "content": text},
    ]


def missing_json_message(reply: Reply, is_cut: bool) -> str:
    """Return why a reply has no JSON."""
    if is_cut and not reply.content.strip():
        return (
            "Your reasoning used up the whole length limit (setting max_output_tokens), and no"
            " answer came. Think much less and answer at once."
        )
    if is_cut:
        return (
            "It was cut off at the length limit. Answer much shorter: edits rather than a whole"
            " file, short texts, no repetition."
        )
    if reply.finish == "content_filter":
        return "The endpoint's content filter stopped it. Answer in other words."
    if not strip_thinking(reply.content):
        return "It was empty. Answer with one JSON object of the form asked for."
    return (
        "It holds no JSON object. Answer with one JSON object of the form asked for, without any"
        " text around it."
    )


def validation_message(error: ValidationError) -> str:
    """Return the exact errors, one a line, at most eight."""
    lines = []
    for detail in error.errors(include_url=False)[:8]:
        where = ".".join(str(part) for part in detail["loc"]) or "answer"
        lines.append(f"- {where}: {detail['msg']} (got {str(detail['input'])[:80]!r})")
    return "It does not satisfy the schema:\n" + "\n".join(lines)
