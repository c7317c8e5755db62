"""The model's endpoint as the product reaches it: address, key, prices, retries, errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from evals.models.study import StudyError
from graph.settings import Settings
from reasoner.chat.endpoint.address import Address, resolve_address
from reasoner.chat.endpoint.cache import ChatRequest, NoExchanges
from reasoner.chat.endpoint.client import ModelEndpoint, Reply
from reasoner.chat.endpoint.faults import EndpointError
from reasoner.chat.endpoint.models import advise_on_error, list_models
from reasoner.chat.endpoint.prices import Price, load_prices, price_of
from reasoner.chat.endpoint.record import recorded_exchange
from reasoner.chat.endpoint.retry import ask_with_retries
from reasoner.chat.message import Message
from reasoner.protocol import ReasonerUnavailableError

SCRIPTED = "scripted"  # how a server names a model whose answers were written beforehand
PING = "Answer with the word ready."
LOOPBACK = ("localhost", "127.", "[::1]", "0.0.0.0")
Say = Callable[[str], None]


class EndpointStoppedError(StudyError):
    """The endpoint does not answer any more: the cell is not finished, and no fault of the model's.

    The study goes on where it was once the endpoint answers again.
    """


def find_address(settings: Settings) -> Address:
    """Return the endpoint of the settings. Raises StudyError without a key or a web address."""
    try:
        return resolve_address(settings.base_url, settings.key_env)
    except ReasonerUnavailableError as error:
        raise StudyError(str(error)) from error


def find_price(settings: Settings) -> Price | None:
    """Return the model's price, None for one that is not known. Raises StudyError."""
    try:
        return price_of(settings.model[0], load_prices(settings.prices))
    except ReasonerUnavailableError as error:
        raise StudyError(str(error)) from error


def open_endpoint(settings: Settings, model: str = "") -> ModelEndpoint:
    """Return a connection of its own to the model."""
    price = find_price(settings)
    return ModelEndpoint(find_address(settings), model or settings.model[0], settings, price)


async def ask(
    endpoint: ModelEndpoint,
    messages: list[Message],
    parameters: dict[str, Any],
    say: Say,
    *,
    form: str,
    patient: bool = True,
) -> Reply:
    """Ask the model as a run does, and record the exchange for who keeps it.

    Raises EndpointError.
    """
    request = ChatRequest(endpoint, messages, parameters, "")
    with recorded_exchange(request, form) as record:
        record.reply = await ask_with_retries(request, NoExchanges(), say, patient=patient)
        return record.reply


async def check_endpoint(settings: Settings, say: Say) -> Reply:
    """Ask one tiny question, so that a wrong key or name fails before anything is spent.

    Raises StudyError with the remedy.
    """
    endpoint = open_endpoint(settings)
    try:
        messages: list[Message] = [{"role": "user", "content": PING}]
        return await ask(endpoint, messages, {}, say, form="text", patient=False)
    except EndpointError as error:
        advice = await advise_on_error(error, endpoint)
        raise StudyError(f"{error}; {advice}" if advice else str(error)) from error
    finally:
        await endpoint.close()


async def is_scripted(settings: Settings) -> bool:
    """Whether the endpoint says that its answers were written beforehand."""
    if settings.model[0].startswith(SCRIPTED):
        return True
    address = find_address(settings)
    names = await list_models(address, address.url)
    return any(name.startswith(SCRIPTED) for name in names or [])


def is_here(url: str) -> bool:
    """Whether an address is this machine's own."""
    host = url.partition("://")[2].rpartition("@")[2]
    return host.startswith(LOOPBACK)
