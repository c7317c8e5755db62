"""Reasoner backed by an OpenAI-compatible endpoint: one model per verb, with a fallback."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, Field

from reasoner.chat.answer.convert import (
    to_diagnosis,
    to_gradient,
    to_probe,
    to_review,
    to_solution,
    to_written_file,
)
from reasoner.chat.answer.forms import known_form
from reasoner.chat.answer.schemas import SCHEMAS
from reasoner.chat.answer.scripts import rescue_from_text
from reasoner.chat.answer.structured import (
    Accepted,
    Asker,
    ModelQuestion,
    NoUsableAnswerError,
    keep_parsed,
)
from reasoner.chat.answer.syntax import OWN, script_python
from reasoner.chat.endpoint.address import Address, resolve_address
from reasoner.chat.endpoint.cache import ExchangeFolder, Exchanges, NoExchanges
from reasoner.chat.endpoint.client import ModelEndpoint
from reasoner.chat.endpoint.faults import (
    EndpointDownError,
    EndpointError,
    PromptTooLongError,
)
from reasoner.chat.endpoint.models import advise_on_error
from reasoner.chat.endpoint.prices import Prices, load_prices, price_of
from reasoner.chat.endpoint.retry import Tell, must_pause_run
from reasoner.chat.prompt.conversation import shorten_question
from reasoner.chat.prompt.files import file_messages
from reasoner.chat.prompt.render import prompt_messages
from reasoner.protocol import (
    Brief,
    DiagnoseBrief,
    Diagnosis,
    DraftBrief,
    FileBrief,
    Probe,
    ProbeBrief,
    ReasonerDownError,
    ReasonerError,
    ReasonerUnavailableError,
    RepairBrief,
    Review,
    ReviewBrief,
    Solution,
    Turn,
    UpdateBrief,
    Usage,
    WrittenFile,
)
from reasoner.settings import FILE_VERB, PROBE_VERB, ModelSettings, models_by_verb

T = TypeVar("T")
SCRIPT_FORMS = ("draft", "step", "follow", "update", "repair", "appeal", PROBE_VERB, FILE_VERB)
PROMPT_SHARES = (1.0, 0.4, 0.15)  # of the section budgets, tried until the prompt is short enough
CHECK_PROMPT = 'Add 2 and 3. Answer with one JSON object, such as {"answer": 7}.'


class Ping(BaseModel):
    """The tiny question of `check`."""

    answer: int = Field(description="the sum")


class Chat:
    """Reasoner backed by an OpenAI-compatible endpoint; see `build_chat`.

    It reads refusals: whatever a gate says of a script goes to its repair.

    Every verb raises ReasonerError when the models gave no usable answer, and
    ReasonerUnavailableError when asking again is pointless; both carry the `usage`.
    """

    reads_refusals = True

    def __init__(
        self, address: Address, options: ModelSettings, prices: Prices, kept: Exchanges, tell: Tell
    ) -> None:
        self.options = options
        self.tell = tell
        self.by_verb = models_by_verb(options)
        self.fallback = [options.fallback] if options.fallback else []
        self.askers = {
            name: Asker(ModelEndpoint(address, name, options, price_of(name, prices)), kept, tell)
            for name in dict.fromkeys([*self.by_verb.values(), *self.fallback])
        }
        self.name = ", ".join(dict.fromkeys(self.by_verb.values()))

    async def draft(self, brief: DraftBrief) -> Solution:
        """Write a first script."""
        return await self._write_script("draft", brief)

    async def update(self, brief: UpdateBrief) -> Solution:
        """Change the script by one hypothesis, in the conversation of its diagnosis if it can."""
        form = "follow" if brief.chosen and brief.diagnosis.turns else "update"
        return await self._write_script("update", brief, form)

    async def repair(self, brief: RepairBrief) -> Solution:
        """Repair a script that failed."""
        return await self._write_script("repair", brief, "appeal" if brief.lacks else "")

    async def diagnose(self, brief: DiagnoseBrief) -> Diagnosis:
        """Derive hypotheses from the evidence, with the change for one if the brief wants it."""
        if not brief.wants_change:
            found = await self._ask("diagnose", brief, lambda answer: to_diagnosis(answer, brief))
            return found.value.model_copy(update={"usage": found.usage})
        found = await self._ask(
            "diagnose", brief, lambda answer: to_gradient(answer, brief), "step"
        )
        turns = [Turn.model_validate(turn) for turn in found.turns]
        return found.value.model_copy(update={"usage": found.usage, "turns": turns})

    async def review(self, brief: ReviewBrief) -> Review:
        """Review a script for honesty."""
        found = await self._ask("review", brief, lambda answer: to_review(answer, brief))
        return found.value.model_copy(update={"usage": found.usage})

    async def probe(self, brief: ProbeBrief) -> Probe:
        """Write a short script that looks at the data."""
        found = await self._ask(PROBE_VERB, brief, lambda answer: to_probe(answer, brief))
        return found.value.model_copy(update={"usage": found.usage})

    async def write_file(self, brief: FileBrief) -> WrittenFile:
        """Write read.py or metric.py of a task folder."""
        found = await self._ask(FILE_VERB, brief, lambda answer: to_written_file(answer, brief))
        return found.value.model_copy(update={"usage": found.usage})

    async def check(self) -> Usage:
        """Ask each model one tiny structured question and return the cost.

        Raises:
            ReasonerDownError: nothing answers at the address.
            ReasonerUnavailableError: key, model name, price or answer of a model is no good.
        """
        usage = Usage()
        for asker in self.askers.values():
            if self.options.max_usd and asker.endpoint.price is None:
                raise ReasonerUnavailableError(no_price_message(asker.endpoint.model))
        for asker in self.askers.values():
            question = ModelQuestion(
                [{"role": "user", "content": CHECK_PROMPT}],
                Ping,
                lambda answer: answer,
                "check",
                patient=False,
            )
            try:
                usage += (await asker.ask(question)).usage
            except EndpointDownError as error:
                raise ReasonerDownError(str(error)) from error
            except EndpointError as error:
                advice = await advise_on_error(error, asker.endpoint)
                text = f"{error}; {advice}" if advice else str(error)
                raise ReasonerUnavailableError(text, error.usage) from error
            except NoUsableAnswerError as error:
                raise ReasonerUnavailableError(
                    f"{error}; a model that cannot answer in JSON cannot drive a run,"
                    " choose another"
                ) from error
        return usage

    def forms(self) -> list[str]:
        """Return the forms of answer in use, each once."""
        return list(dict.fromkeys(known_form(asker.endpoint) for asker in self.askers.values()))

    async def close(self) -> None:
        """Close the connections."""
        for asker in self.askers.values():
            await asker.endpoint.close()

    async def _write_script(self, verb: str, brief: Brief, form: str = "") -> Solution:
        found = await self._ask(verb, brief, lambda answer: to_solution(answer, brief), form)
        return found.value.model_copy(update={"usage": found.usage})

    async def _ask(
        self, verb: str, brief: Brief | FileBrief, accept: Callable[[BaseModel], T], form: str = ""
    ) -> Accepted[T]:
        """Ask the verb's model, then the fallback.

        `form` of the question, where the verb has several: step, follow.
        """
        python = OWN if isinstance(brief, FileBrief) else script_python(brief.resources)

        def question(share: float) -> ModelQuestion[T]:
            kind = "update" if form == "follow" and share < 1 else form or verb
            messages = (
                file_messages(brief, share)
                if isinstance(brief, FileBrief)
                else prompt_messages(kind, brief, share)
            )
            rescue = keep_parsed
            if kind in SCRIPT_FORMS:
                rescue = partial(rescue_from_text, python=python)
            return ModelQuestion(
                messages,
                SCHEMAS[kind],
                accept,
                question_salt(verb, brief),
                rescue,
                shorten=partial(shorten_question, kind),
            )

        spent = Usage()
        failures: list[EndpointError | NoUsableAnswerError] = []
        for model in dict.fromkeys([self.by_verb[verb], *self.fallback]):
            if failures:
                self.tell(f"{failures[-1]}; asking {model} instead")
            try:
                found = await self._ask_within_context(model, question)
                return found._replace(usage=spent + found.usage)
            except (EndpointError, NoUsableAnswerError) as error:
                spent += error.usage
                failures.append(error)
        raise combined_error(verb, failures, spent)

    async def _ask_within_context(
        self, model: str, question: Callable[[float], ModelQuestion[T]]
    ) -> Accepted[T]:
        """Ask; if the prompt exceeds the context window, ask again with a shorter one."""
        asker = self.askers[model]
        *longer, shortest = PROMPT_SHARES
        for share in longer:
            try:
                return await asker.ask(question(share))
            except PromptTooLongError as error:
                self.tell(f"{error}; asking again with a shorter prompt")
        return await asker.ask(question(shortest))


def combined_error(
    verb: str, failures: Sequence[EndpointError | NoUsableAnswerError], spent: Usage
) -> ReasonerError | ReasonerUnavailableError:
    """Return what the failure of every model means: for the step, or for the run."""
    text = "; ".join(str(failure) for failure in failures)
    if all(isinstance(error, EndpointError) and must_pause_run(error) for error in failures):
        return ReasonerUnavailableError(text, spent)
    return ReasonerError(f"{verb}: {text}", spent)


def question_salt(verb: str, brief: Brief | FileBrief) -> str:
    """Return where in a run a question is asked; elsewhere, an equal prompt is asked again."""
    if isinstance(brief, FileBrief):
        return f"{verb} {brief.file} {len(brief.earlier)} seed {brief.seed}"
    return f"{verb} t{brief.stage.trace}s{brief.stage.step} seed {brief.seed}"


def no_price_message(model: str) -> str:
    """Return why a money cap needs a price, with the remedy."""
    return (
        f"--max-usd: no price is known for {model};"
        " give one with `--set prices=FILE` (docs/models.md), or cap with --max-tokens"
    )


def build_chat(options: ModelSettings, tell: Tell) -> Chat:
    """Return the reasoner of these settings; nothing is sent yet.

    Raises:
        ReasonerUnavailableError: an unusable setting or a missing key, with the remedy.
    """
    exchanges = ExchangeFolder(Path(options.cache).expanduser()) if options.cache else NoExchanges()
    try:
        return Chat(
            resolve_address(options.base_url, options.key_env),
            options,
            load_prices(options.prices),
            exchanges,
            tell,
        )
    except ValueError as error:
        raise ReasonerUnavailableError(str(error)) from error
