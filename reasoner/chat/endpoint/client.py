"""One model at an endpoint: send a request, return a reply, raise typed errors.

LangChain's ChatOpenAI carries the messages; `completion` parses what comes back.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from reasoner.chat.endpoint.address import Address
from reasoner.chat.endpoint.classify import classify_error, client_exceptions
from reasoner.chat.endpoint.completion import ACCEPTED, Completion, make_encodable
from reasoner.chat.endpoint.prices import Price
from reasoner.chat.message import Message
from reasoner.protocol import Usage
from reasoner.settings import ModelSettings

if TYPE_CHECKING:
    from contextvars import ContextVar

    from langchain_openai import ChatOpenAI

    from reasoner.chat.endpoint.transfer import CheckedClient

CONNECT_S = 10.0
CHARS_PER_TOKEN = 4  # where the endpoint does not count; a token cap still fills


@dataclass(frozen=True)
class Reply:
    """An unparsed answer.

    `arguments` are those of the first called tool, as JSON text; `called` those of all of them.
    """

    text: str
    arguments: str
    refusal: str
    finish: str
    usage: Usage
    thinking: str = ""  # the reasoning that an endpoint gives beside the answer
    called: tuple[str, ...] = ()

    @property
    def content(self) -> str:
        """The arguments of the tool call, else the text."""
        return self.arguments or self.text


class ModelEndpoint:
    """A model by name. `dropped_parameters` are those that it refused."""

    def __init__(
        self, address: Address, model: str, options: ModelSettings, price: Price | None = None
    ) -> None:
        self.address = address
        self.model = model
        self.options = options
        self.price = price
        self.dropped_parameters: set[str] = set()
        self.has_short_context = False  # was told

    def parameters(self) -> dict[str, Any]:
        """Return what a request sends besides model and messages: only what the user set."""
        options, dropped = self.options, self.dropped_parameters
        limit, other = "max_tokens", "max_completion_tokens"
        if "api.openai.com" in self.address.public_url:
            limit, other = other, limit
        if limit in dropped:
            limit = other
        settings = {
            "temperature": options.temperature,
            "reasoning_effort": options.reasoning_effort,
            limit: options.max_output_tokens,
        }
        given = {name: value for name, value in settings.items() if value is not None}
        sent = given | options.extra_body
        return {name: value for name, value in sent.items() if name not in dropped}

    async def send(self, messages: list[Message], form: dict[str, Any]) -> Reply:
        """Send one request. `form` are its further parameters. Raises EndpointError."""
        body = self.parameters() | form
        turns = [
            dict(message) | {"content": make_encodable(message["content"])} for message in messages
        ]
        chat, completion = self._chat, Completion()
        receiver = self._receiving.set(completion)
        try:
            async with asyncio.timeout(self.options.answer_time_s):
                await chat.ainvoke(turns, extra_body=body)
        except client_exceptions() as error:
            raise classify_error(completion.problem or error, self) from error
        finally:
            self._receiving.reset(receiver)
        return to_reply(completion, messages, self.price)

    @property
    def _receiving(self) -> ContextVar[Completion]:
        from reasoner.chat.endpoint.transfer import receiving

        return receiving

    @cached_property
    def _client(self) -> CheckedClient:
        import openai

        from reasoner.chat.endpoint.transfer import CheckedClient

        return CheckedClient(
            timeout=openai.Timeout(self.options.answer_time_s, connect=CONNECT_S),
            headers=ACCEPTED,
        )

    @property
    def _chat(self) -> ChatOpenAI:
        from langchain_openai import ChatOpenAI
        from pydantic import SecretStr

        return ChatOpenAI(
            model=self.model,
            base_url=self.address.url,
            api_key=SecretStr(self.address.key),
            max_retries=0,
            streaming=self.options.stream and "stream" not in self.dropped_parameters,
            stream_usage="stream_options" not in self.dropped_parameters,
            stream_chunk_timeout=None,
            use_responses_api=False,
            cache=False,  # an answer from a cache of LangChain's would not pass our parser
            http_async_client=self._client,
        )

    async def close(self) -> None:
        """Close the connections."""
        if "_client" in vars(self):
            await self._client.aclose()
            await asyncio.sleep(0)  # transports end in the loop's next turn


def to_reply(completion: Completion, asked: list[Message], price: Price | None) -> Reply:
    """Convert what was received."""
    arguments = completion.arguments
    return Reply(
        text=completion.text,
        arguments=arguments[0] if arguments else "",
        refusal=completion.refusal,
        finish=completion.finish,
        thinking=completion.thinking,
        called=tuple(arguments),
        usage=count_usage(completion, asked, price),
    )


def count_usage(completion: Completion, asked: list[Message], price: Price | None) -> Usage:
    """Return the tokens as the endpoint counts them, else an estimate by length.

    Without a price, the cost is the one that the endpoint states, if it does.
    """
    n_input, n_output = completion.n_input, completion.n_output
    if n_input is None:
        n_input = sum(len(turn["content"]) for turn in asked) // CHARS_PER_TOKEN
    if n_output is None:
        answer = completion.thinking + completion.text + "".join(completion.arguments)
        n_output = len(answer) // CHARS_PER_TOKEN
    n_cached = min(n_input, completion.n_cached)
    usd = price.usd(n_input, n_cached, n_output) if price else completion.usd
    return Usage(
        calls=1,
        input_tokens=n_input,
        output_tokens=n_output,
        cached_tokens=n_cached,
        usd=usd,
    )
