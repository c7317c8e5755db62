"""One model at an endpoint: send a request, return a reply, raise typed errors.

LangChain's ChatOpenAI carries the messages.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from reasoner.chat.endpoint.address import Address
from reasoner.chat.endpoint.classify import classify_error, client_exceptions
from reasoner.chat.endpoint.prices import Price
from reasoner.chat.message import Message
from reasoner.protocol import Usage
from reasoner.settings import ModelSettings

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage
    from langchain_openai import ChatOpenAI
    from openai import DefaultAsyncHttpxClient

CONNECT_S = 10.0
CHARS_PER_TOKEN = 4  # where the endpoint does not count; a token cap still fills


@dataclass(frozen=True)
class Reply:
    """An unparsed answer. `arguments` are those of a called tool, as JSON text."""

    text: str
    arguments: str
    refusal: str
    finish: str
    usage: Usage

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
        turns = [dict(message) for message in messages]
        try:
            async with asyncio.timeout(self.options.answer_time_s):
                answer = await self._chat.ainvoke(turns, extra_body=body)
        except client_exceptions() as error:
            raise classify_error(error, self) from error
        return to_reply(answer, messages, self.price)

    @cached_property
    def _client(self) -> DefaultAsyncHttpxClient:
        import openai

        return openai.DefaultAsyncHttpxClient(
            timeout=openai.Timeout(self.options.answer_time_s, connect=CONNECT_S)
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
            http_async_client=self._client,
        )

    async def close(self) -> None:
        """Close the connections."""
        if "_client" in vars(self):
            await self._client.aclose()
            await asyncio.sleep(0)  # transports end in the loop's next turn


def to_reply(message: AIMessage, asked: list[Message], price: Price | None) -> Reply:
    """Convert LangChain's message."""
    arguments = _tool_arguments(message)
    text = str(message.text)
    return Reply(
        text=text,
        arguments=arguments[0] if arguments else "",
        refusal=str(message.additional_kwargs.get("refusal") or ""),
        finish=str(message.response_metadata.get("finish_reason") or ""),
        usage=count_usage(message, asked, text + "".join(arguments), price),
    )


def _tool_arguments(message: AIMessage) -> list[str]:
    """The arguments of all tool calls: as sent where LangChain has them, else as parsed."""
    invalid = [str(call.get("args") or "") for call in message.invalid_tool_calls]
    raw_calls = message.additional_kwargs.get("tool_calls") or []
    raw = [str(call.get("function", {}).get("arguments") or "") for call in raw_calls]
    arguments = raw or invalid
    if message.tool_calls and not any(arguments):
        return [json.dumps(call["args"]) for call in message.tool_calls]
    return arguments


def count_usage(
    message: AIMessage, asked: list[Message], answer: str, price: Price | None
) -> Usage:
    """Return the tokens as the endpoint counts them, else an estimate by length."""
    reported = message.usage_metadata
    if reported:
        n_input, n_output = reported["input_tokens"], reported["output_tokens"]
        n_cached = min(n_input, reported.get("input_token_details", {}).get("cache_read") or 0)
    else:
        n_input = sum(len(turn["content"]) for turn in asked) // CHARS_PER_TOKEN
        n_output = len(answer) // CHARS_PER_TOKEN
        n_cached = 0
    usd = price.usd(n_input, n_cached, n_output) if price else None
    return Usage(calls=1, input_tokens=n_input, output_tokens=n_output, usd=usd)
