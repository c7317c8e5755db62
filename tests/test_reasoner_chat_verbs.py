"""The five verbs over a real HTTP endpoint: faulty answers, and how a model is led to fix them."""

from __future__ import annotations

import ast
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from openai_server import Body, Say, Server, fail, say
from test_reasoner_chat_answers import BASE, DIAGNOSE, REPAIR, SCRIPT, UPDATE

from reasoner.chat.endpoint.address import Address
from reasoner.chat.endpoint.cache import ExchangeFolder, Exchanges, NoExchanges
from reasoner.chat.endpoint.prices import Price, load_prices, price_of
from reasoner.chat.engine import Chat
from reasoner.protocol import (
    DraftBrief,
    ReasonerError,
    ReasonerUnavailableError,
    ReviewBrief,
    Usage,
)
from reasoner.settings import ModelSettings, models_by_verb

CHAT = Path(__file__).parents[1] / "reasoner" / "chat"
DRAFT = DraftBrief(**BASE)
DEEPER = SCRIPT.replace("depth = 3", "depth = 9")
HYPOTHESIS = {
    "statement": "deeper trees",
    "component": "model",
    "confidence": 0.8,
    "expected": "better",
    "size": "small",
}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def chat(
    server: Server, told: list[str] | None = None, kept: Exchanges | None = None, **options: Any
) -> Chat:
    given = ModelSettings.model_validate(
        {"model": ["m"], "backoff_s": 0.01, "retries": 1, "answer_time_s": 60} | options
    )
    address = Address(server.url, server.url, "sk-secret-0123456789", "OPENAI_API_KEY")
    return Chat(
        address,
        given,
        {"m": Price(input=1, output=10)},
        kept or NoExchanges(),
        told.append if told is not None else lambda _: None,
    )


async def asked(
    server: Server,
    ask: Callable[[Chat], Awaitable[Any]],
    told: list[str] | None = None,
    **options: Any,
) -> Any:
    """The value of one question; every token the server counted is in it, or in its error."""
    reasoner = chat(server, told, **options)
    usage = Usage()
    try:
        value = await ask(reasoner)
        usage = value.usage
        return value
    except (ReasonerError, ReasonerUnavailableError) as error:
        usage = error.usage
        raise
    finally:
        await reasoner.close()
        assert (usage.input_tokens, usage.output_tokens) == (
            server.input_tokens,
            server.output_tokens,
        )


def script(*answers: Say) -> Callable[[Body, int], Say]:
    return lambda body, n: answers[min(n, len(answers) - 1)]


def edit(search: str, replace: str) -> Say:
    return say(
        {
            "chosen": "h1",
            "summary": "deeper",
            "hypothesis": HYPOTHESIS,
            "edits": [{"search": search, "replace": replace}],
        }
    )


async def test_a_draft_after_thinking_aloud() -> None:
    answer = json.dumps({"approach": "a", "summary": "first", "script": SCRIPT})
    with Server(
        script(
            say(
                "<think>try ```python\nimport x\n``` or {}?</think>\n"
                f"Here:\n```json\n{answer}\n```"
            )
        )
    ) as server:
        solution = await asked(server, lambda reasoner: reasoner.draft(DRAFT))
    assert solution.script == SCRIPT and solution.summary == "first"
    assert solution.usage.usd == pytest.approx(
        (server.input_tokens + 10 * server.output_tokens) / 1e6
    )


@pytest.mark.parametrize(
    "text",
    [SCRIPT, f"Here is the script.\n\n{SCRIPT}", f"```python\n{SCRIPT}```\nIt reads the data."],
)
async def test_a_draft_without_json_or_fence(text: str) -> None:
    with Server(script(say(text))) as server:
        solution = await asked(server, lambda reasoner: reasoner.draft(DRAFT))
    assert solution.script.strip() == SCRIPT.strip() and len(server.requests) == 1


async def test_a_script_with_a_syntax_error_is_sent_back_once() -> None:
    broken = {"summary": "s", "script": SCRIPT + "for x in\n"}
    with Server(script(say(broken), say(broken | {"script": SCRIPT}))) as server:
        assert (await asked(server, lambda reasoner: reasoner.draft(DRAFT))).script == SCRIPT
    assert (
        "does not compile" in server.requests[1]["messages"][-1]["content"]
        and "line 5" in server.requests[1]["messages"][-1]["content"]
    )


async def test_an_edit_that_fits_nowhere_is_sent_back_with_the_nearest_lines() -> None:
    with Server(
        script(edit("max_depth = 33", "max_depth = 9"), edit("depth = 3", "depth = 9"))
    ) as server:
        assert (await asked(server, lambda reasoner: reasoner.update(UPDATE))).script == DEEPER
    told = server.requests[1]["messages"][-1]["content"]
    assert "does not occur in the script" in told and "depth = 3" in told


async def test_a_whole_file_replaces_unusable_edits() -> None:
    whole = say({"chosen": "h1", "summary": "deeper", "hypothesis": HYPOTHESIS, "script": DEEPER})
    with Server(script(edit("nowhere", "x"), whole)) as server:
        assert (await asked(server, lambda reasoner: reasoner.repair(REPAIR))).script == DEEPER


async def test_edits_that_never_fit_end_in_an_error_that_counts_its_tokens() -> None:
    with (
        Server(script(edit("nowhere at all", "x"))) as server,
        pytest.raises(ReasonerError, match="do not apply"),
    ):
        await asked(server, lambda reasoner: reasoner.update(UPDATE))
    assert len(server.requests) == 3


async def test_diagnosis_and_review() -> None:
    found = {
        "observations": [{"text": "old people are hard", "cites": ["E9"]}],
        "causes": ["few"],
        "hypotheses": [HYPOTHESIS],
    }
    judged = {"reasons": ["`depth = 3` was chosen on all rows"], "aligned": True, "leaks": True}
    with Server(script(say(found))) as server:
        diagnosis = await asked(server, lambda reasoner: reasoner.diagnose(DIAGNOSE))
    assert [hypothesis.statement for hypothesis in diagnosis.hypotheses] == ["deeper trees"]
    with Server(script(say(judged))) as server:
        assert (
            await asked(
                server, lambda reasoner: reasoner.review(ReviewBrief(**BASE, script=SCRIPT))
            )
        ).leaks


async def test_each_verb_has_its_model_and_a_fallback_follows() -> None:
    def reply(body: Body, n: int) -> Say:
        return (
            fail(404, "gone")
            if body["model"] == "thinker"
            else say({"summary": "s", "script": SCRIPT, "hypotheses": [HYPOTHESIS]})
        )

    told: list[str] = []
    models: dict[str, Any] = {"model": ["m", "diagnose=thinker"], "fallback": "spare"}
    with Server(reply) as server:
        await asked(server, lambda reasoner: reasoner.draft(DRAFT), **models)
    assert [body["model"] for body in server.requests] == ["m"]
    with Server(reply) as server:
        await asked(server, lambda reasoner: reasoner.diagnose(DIAGNOSE), told, **models)
    assert [body["model"] for body in server.requests] == ["thinker", "spare"]
    assert "knows no model thinker" in told[0] and "asking spare instead" in told[0]


async def test_bad_answers_fail_a_step_and_closed_doors_pause_a_run() -> None:
    with (
        Server(script(say("no idea"))) as server,
        pytest.raises(ReasonerError, match="no usable answer"),
    ):
        await asked(server, lambda reasoner: reasoner.diagnose(DIAGNOSE))
    with (
        Server(script(fail(401, "revoked"))) as server,
        pytest.raises(ReasonerUnavailableError, match="refuses the API key"),
    ):
        await asked(server, lambda reasoner: reasoner.diagnose(DIAGNOSE), fallback="spare")


async def test_a_cached_answer_is_reused_and_costs_nothing(tmp_path: Path) -> None:
    with Server(script(say({"summary": "s", "script": SCRIPT}))) as server:
        reasoner = chat(server, kept=ExchangeFolder(tmp_path / "kept"))
        first = await reasoner.draft(DRAFT)
        again = await reasoner.draft(DRAFT)
        elsewhere = await reasoner.draft(
            DraftBrief(**BASE | {"seed": 7})
        )  # the same prompt at another place is asked anew
        await reasoner.close()
    assert again.script == first.script and again.usage == Usage() and elsewhere.usage.calls == 1
    assert len(server.requests) == 2
    assert not [path for path in (tmp_path / "kept").iterdir() if "sk-secret" in path.read_text()]


async def test_a_money_cap_needs_a_price_before_the_first_request() -> None:
    with Server(script(say({"answer": 5}))) as server:
        reasoner = chat(server, model=["m", "diagnose=thinker"], max_usd=5)
        with pytest.raises(
            ReasonerUnavailableError, match="no price is known for thinker.*--max-tokens"
        ):
            await reasoner.check()
        await reasoner.close()
    assert not server.requests


@pytest.mark.parametrize(
    ("models", "words"),
    [
        (["m", "think=o3"], "no such verb"),
        (["update=o3"], "names none for draft"),
        (["m", "n"], "2 times without a verb"),
        (["m", "draft="], "name a model"),
    ],
)
def test_senseless_models_are_refused(models: list[str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        models_by_verb(ModelSettings(model=models))


def test_prices_by_name_provider_and_date(tmp_path: Path) -> None:
    (tmp_path / "prices.yaml").write_text(
        "gpt-5: {input: 9, output: 9}\nmine: {input: 1, cached: 0.5, output: 2}\n"
    )
    table = load_prices(str(tmp_path / "prices.yaml"))
    assert price_of("openai/gpt-5-2025-08-07", table) == Price(input=9, output=9)
    assert price_of("nobody-knows", table) is None
    mine = price_of("mine", table)
    assert mine and mine.usd(1000, 400, 100) == pytest.approx((600 + 200 + 200) / 1e6)
    (tmp_path / "bad.yaml").write_text("mine: {input: cheap}\n")
    with pytest.raises(ReasonerUnavailableError, match="bad.yaml: mine"):
        load_prices(str(tmp_path / "bad.yaml"))


@pytest.mark.parametrize("module", sorted(CHAT.rglob("*.py")), ids=lambda path: path.stem)
def test_no_default_of_a_setting_is_typed_a_second_time(module: Path) -> None:
    repeated = []
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.arguments):
            positional = [*node.posonlyargs, *node.args]
            repeated += positional[len(positional) - len(node.defaults) :]
            repeated += [
                name
                for name, default in zip(node.kwonlyargs, node.kw_defaults, strict=True)
                if default is not None
            ]
        elif isinstance(node, ast.ClassDef):
            fields = [line for line in node.body if isinstance(line, ast.AnnAssign) and line.value]
            repeated += [ast.arg(ast.unparse(line.target)) for line in fields]
    assert not {name.arg for name in repeated} & ModelSettings.model_fields.keys()
