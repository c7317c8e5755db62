"""One model at an endpoint: a request out, a reply in, every failure typed.  LangChain's ChatOpenAI carries the messages."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from reasoner.chat.endpoint.address import Address
from reasoner.chat.endpoint.classify import classify, failures
from reasoner.chat.endpoint.options import Options
from reasoner.chat.endpoint.prices import Price
from reasoner.protocol import Usage

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage
    from langchain_openai import ChatOpenAI

Message = dict[str, str]  # {role, content}
CONNECT_S = 10.0


@dataclass(frozen=True)
class Reply:
    """An answer as it came. `arguments` are those of a called tool, as JSON text."""

    text: str
    arguments: str
    refusal: str
    finish: str
    usage: Usage

    @property
    def content(self) -> str:
        return self.arguments or self.text


class Endpoint:
    """A model by name. `left_out` are the parameters that it refused."""

    def __init__(
        self, address: Address, model: str, options: Options, price: Price | None = None
    ) -> None:
        self.address = address
        self.model = model
        self.options = options
        self.price = price
        self.left_out: set[str] = set()

    def parameters(self) -> dict[str, Any]:
        """What goes into the request beside model and messages; only what was asked for."""
        options = self.options
        length = "max_completion_tokens" if "api.openai.com" in self.address.shown else "max_tokens"
        if length in self.left_out:
            length = "max_tokens" if length == "max_completion_tokens" else "max_completion_tokens"
        given = {
            "temperature": options.temperature,
            "reasoning_effort": options.reasoning_effort,
            length: options.max_output_tokens,
        }
        chosen = {
            name: value for name, value in given.items() if value is not None
        } | options.extra_body
        return {name: value for name, value in chosen.items() if name not in self.left_out}

    async def send(self, messages: list[Message], extra: dict[str, Any]) -> Reply:
        """One request. Raises a Fault."""
        body = self.parameters() | extra
        try:
            async with asyncio.timeout(self.options.answer_time_s):
                message = await self._chat.ainvoke(messages, extra_body=body)
        except failures() as error:
            raise classify(error, self) from error
        return reply(message, messages, self.price)

    @cached_property
    def _client(self) -> Any:
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
            streaming=self.options.stream and "stream" not in self.left_out,
            stream_usage="stream_options" not in self.left_out,
            stream_chunk_timeout=None,
            use_responses_api=False,
            http_async_client=self._client,
        )

    async def close(self) -> None:
        if "_client" in vars(self):
            await self._client.aclose()
            await asyncio.sleep(0)  # transports end in the loop's next turn


def reply(message: AIMessage, asked: list[Message], price: Price | None) -> Reply:
    calls = [str(call.get("args") or "") for call in message.invalid_tool_calls]
    raw = message.additional_kwargs.get("tool_calls") or []
    calls = [str(call.get("function", {}).get("arguments") or "") for call in raw] or calls
    if message.tool_calls and not any(calls):
        import json

        calls = [json.dumps(call["args"]) for call in message.tool_calls]
    text = str(message.text)
    return Reply(
        text=text,
        arguments=calls[0] if calls else "",
        refusal=str(message.additional_kwargs.get("refusal") or ""),
        finish=str(message.response_metadata.get("finish_reason") or ""),
        usage=usage_of(message, asked, text + "".join(calls), price),
    )


def usage_of(message: AIMessage, asked: list[Message], answered: str, price: Price | None) -> Usage:
    """As the endpoint counts; where it does not, four characters are taken for a token, so that a cap still fills."""
    counted = message.usage_metadata
    if counted:
        n_input, n_output = counted["input_tokens"], counted["output_tokens"]
        n_cached = min(n_input, counted.get("input_token_details", {}).get("cache_read") or 0)
    else:
        n_input, n_output, n_cached = (
            sum(len(one["content"]) for one in asked) // 4,
            len(answered) // 4,
            0,
        )
    usd = price.usd(n_input, n_cached, n_output) if price else None
    return Usage(calls=1, input_tokens=n_input, output_tokens=n_output, usd=usd)
