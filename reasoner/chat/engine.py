"""Chat: the reasoner over an OpenAI-compatible endpoint.  One model per verb, a fallback behind each."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from pydantic import BaseModel, Field

from reasoner.chat.answer.convert import to_diagnosis, to_review, to_solution
from reasoner.chat.answer.edits import AnswerError
from reasoner.chat.answer.forms import known_form
from reasoner.chat.answer.schemas import SCHEMAS
from reasoner.chat.answer.scripts import from_text
from reasoner.chat.answer.structured import Asker, Misfit, Question, Unusable
from reasoner.chat.endpoint.address import Address
from reasoner.chat.endpoint.cache import Exchanges
from reasoner.chat.endpoint.client import Endpoint
from reasoner.chat.endpoint.faults import Fault, TooLong
from reasoner.chat.endpoint.options import Options, models_by_verb
from reasoner.chat.endpoint.prices import Prices, price_of
from reasoner.chat.endpoint.retry import Tell, ends_the_run
from reasoner.chat.prompt.render import messages
from reasoner.protocol import (
    Brief,
    DiagnoseBrief,
    Diagnosis,
    DraftBrief,
    ReasonerError,
    ReasonerUnavailable,
    RepairBrief,
    Review,
    ReviewBrief,
    Solution,
    UpdateBrief,
    Usage,
)

T = TypeVar("T")
SCRIPTED = ("draft", "update", "repair")
SHARES = (1.0, 0.4, 0.15)  # of the prompt's budgets, when the one before was too long for the model


class Ping(BaseModel):
    """The tiny question of `check`."""

    answer: int = Field(description="the sum")


class Chat:
    """Who thinks is a model elsewhere; see `make`."""

    def __init__(
        self, address: Address, options: Options, prices: Prices, kept: Exchanges, tell: Tell
    ) -> None:
        self.options = options
        by_verb = models_by_verb(options)
        names = list(
            dict.fromkeys([*by_verb.values(), *([options.fallback] if options.fallback else [])])
        )
        self.askers = {
            name: Asker(Endpoint(address, name, options, price_of(name, prices)), kept, tell)
            for name in names
        }
        self.by_verb = by_verb
        self.tell = tell
        self.name = ", ".join(dict.fromkeys(by_verb.values()))

    async def draft(self, brief: DraftBrief) -> Solution:
        return await self._script("draft", brief)

    async def update(self, brief: UpdateBrief) -> Solution:
        return await self._script("update", brief)

    async def repair(self, brief: RepairBrief) -> Solution:
        return await self._script("repair", brief)

    async def diagnose(self, brief: DiagnoseBrief) -> Diagnosis:
        value, usage = await self._ask(
            "diagnose", brief, lambda answer: to_diagnosis(answer, brief)
        )
        return value.model_copy(update={"usage": usage})

    async def review(self, brief: ReviewBrief) -> Review:
        value, usage = await self._ask("review", brief, lambda answer: to_review(answer, brief))
        return value.model_copy(update={"usage": usage})

    async def check(self) -> Usage:
        """One tiny structured question to each model: key, model name and form of the answer are found good, or not, at once.

        Raises ReasonerUnavailable.
        """
        spent = Usage()
        text = 'Add 2 and 3. Answer with one JSON object, such as {"answer": 7}.'
        for asker in self.askers.values():
            if self.options.max_usd and asker.endpoint.price is None:
                raise ReasonerUnavailable(unpriced(asker.endpoint.model))
        for asker in self.askers.values():
            question = Question(
                [{"role": "user", "content": text}], Ping, lambda answer: answer, salt="check"
            )
            try:
                spent += (await asker.ask(question))[1]
            except Fault as fault:
                raise ReasonerUnavailable(str(fault)) from fault
            except Unusable as error:
                raise ReasonerUnavailable(
                    f"{error}; a model that cannot answer in JSON cannot drive a run, choose another"
                ) from error
        return spent

    def forms(self) -> list[str]:
        """The forms of answer in use, by model."""
        return list(dict.fromkeys(known_form(asker.endpoint) for asker in self.askers.values()))

    async def close(self) -> None:
        for asker in self.askers.values():
            await asker.endpoint.close()

    async def _script(self, verb: str, brief: Brief) -> Solution:
        value, usage = await self._ask(verb, brief, lambda answer: to_solution(answer, brief))
        return value.model_copy(update={"usage": usage})

    async def _ask(
        self, verb: str, brief: Brief, accept: Callable[[BaseModel], T]
    ) -> tuple[T, Usage]:
        """The verb's model, then the fallback. Raises ReasonerError (with `usage`) or ReasonerUnavailable."""
        rescue = from_text if verb in SCRIPTED else lambda text, given: given

        def question(share: float) -> Question[T]:
            return Question(
                messages(verb, brief, share),
                SCHEMAS[verb],
                fitting(accept),
                salt(verb, brief),
                rescue,
            )

        spent = Usage()
        failures: list[Exception] = []
        for model in dict.fromkeys(
            [self.by_verb[verb], *([self.options.fallback] if self.options.fallback else [])]
        ):
            if failures:
                self.tell(f"{failures[-1]}; asking {model} instead")
            try:
                value, usage = await self._shorter(model, question)
                return value, spent + usage
            except (Fault, Unusable) as error:
                spent += error.usage
                failures.append(error)
        raise verdict(verb, failures, spent)

    async def _shorter(
        self, model: str, question: Callable[[float], Question[T]]
    ) -> tuple[T, Usage]:
        """Asks; where the prompt is longer than the model reads, again with less of every section."""
        for share in SHARES:
            try:
                return await self.askers[model].ask(question(share))
            except TooLong as fault:
                if share == SHARES[-1]:
                    raise
                self.tell(f"{fault}; asking again with a shorter prompt")
        raise AssertionError("the last share returns or raises")


def verdict(verb: str, failures: list[Exception], spent: Usage) -> Exception:
    """What the failure of every model means for the run."""
    text = f"{verb}: " + "; ".join(str(failure) for failure in failures)
    if all(isinstance(failure, Fault) and ends_the_run(failure) for failure in failures):
        return ReasonerUnavailable("; ".join(str(failure) for failure in failures), spent)
    return ReasonerError(text, spent)


def salt(verb: str, brief: Brief) -> str:
    """Where in a run a question is asked; the same prompt elsewhere is another question."""
    return f"{verb} t{brief.stage.trace}s{brief.stage.step} seed {brief.seed}"


def fitting(accept: Callable[[BaseModel], T]) -> Callable[[BaseModel], T]:
    """`accept`, whose complaint goes back to the model."""

    def take(answer: BaseModel) -> T:
        try:
            return accept(answer)
        except AnswerError as error:
            raise Misfit(str(error)) from error

    return take


def unpriced(model: str) -> str:
    return f"--max-usd: no price is known for {model}; give one with `--set prices=FILE` (docs/models.md), or cap with --max-tokens"


def make(options: Options, tell: Tell) -> Chat:
    """The reasoner of these options. Raises ReasonerUnavailable with the remedy; nothing is sent yet."""
    from pathlib import Path

    from reasoner.chat.endpoint.address import address
    from reasoner.chat.endpoint.cache import Folder, Nowhere
    from reasoner.chat.endpoint.prices import load_prices

    kept = Folder(Path(options.cache).expanduser()) if options.cache else Nowhere()
    try:
        return Chat(
            address(options.base_url, options.key_env),
            options,
            load_prices(options.prices),
            kept,
            tell,
        )
    except ValueError as error:
        raise ReasonerUnavailable(str(error)) from error
