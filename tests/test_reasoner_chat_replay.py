"""Recorded exchanges of all five verbs replay exactly; a changed prompt says how to record again.

RECORD_EXCHANGES=1 .venv/bin/python -m pytest tests/test_reasoner_chat_replay.py

Then read the diff of tests/exchanges.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from openai_server import Server, say
from test_reasoner_chat_answers import BASE, DIAGNOSE, REPAIR, SCRIPT, UPDATE

from reasoner.chat.endpoint.address import Address
from reasoner.chat.endpoint.cache import ExchangeFolder
from reasoner.chat.engine import Chat
from reasoner.protocol import DraftBrief, ReasonerUnavailableError, ReviewBrief, Turn
from reasoner.settings import ModelSettings

EXCHANGES = Path(__file__).parent / "exchanges"
HOW = (
    "look at what changed in the prompts, then record with: "
    "RECORD_EXCHANGES=1 .venv/bin/python -m pytest tests/test_reasoner_chat_replay.py"
)
RECORDING = bool(os.environ.get("RECORD_EXCHANGES"))
HYPOTHESIS = {
    "challenge": "c",
    "statement": "deeper trees",
    "component": "model",
    "confidence": 0.8,
}
CHANGED = {"summary": "deeper", "chosen": "h1", "hypothesis": HYPOTHESIS, "cause": "a", "fix": "b"}
ANSWERS = {
    "draft": say({"approach": "a", "summary": "first", "script": SCRIPT}),
    "diagnose": say(
        {
            "observations": [{"text": "old is hard"}],
            "causes": ["few rows"],
            "hypotheses": [HYPOTHESIS],
        }
    ),
    "step": say(
        {"hypotheses": [HYPOTHESIS], "edits": [{"search": "depth = 3", "replace": "depth = 9"}]}
    ),
    "follow": say({"edits": [{"search": "depth = 3", "replace": "depth = 9"}], "summary": "s"}),
    "update": say(CHANGED | {"edits": [{"search": "depth = 3", "replace": "depth = 9"}]}),
    "repair": say(CHANGED | {"edits": [{"search": "depth = 3", "replace": "depth = 9"}]}),
    "review": say({"reasons": [], "aligned": True, "leaks": False}),
}
TALKED = UPDATE.diagnosis.model_copy(
    update={
        "turns": [
            Turn(role="system", content="You improve scripts."),
            Turn(role="user", content="Diagnose and change it."),
            Turn(role="assistant", content="{}"),
        ]
    }
)
METHODS = {"step": "diagnose", "follow": "update"}
BRIEFS: dict[str, Any] = {
    "draft": DraftBrief(**BASE),
    "diagnose": DIAGNOSE,
    "step": DIAGNOSE.model_copy(update={"wants_change": True}),
    "follow": UPDATE.model_copy(update={"diagnosis": TALKED, "chosen": "h1"}),
    "update": UPDATE,
    "repair": REPAIR,
    "review": ReviewBrief(**BASE, script=SCRIPT),
}


@pytest.fixture(scope="module", autouse=True)
def afresh() -> None:
    if RECORDING:
        shutil.rmtree(EXCHANGES, ignore_errors=True)


@pytest.fixture(params=BRIEFS)
def verb(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def reasoner(verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Chat]:
    """A reasoner that replays; while recording, a scripted endpoint listens at its address."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with ExitStack() as stack:
        url = (
            stack.enter_context(Server(lambda body, n: ANSWERS[verb])).url
            if RECORDING
            else "http://127.0.0.1:9/v1"
        )
        kept = ExchangeFolder(EXCHANGES, only="" if RECORDING else HOW)
        yield Chat(
            Address(url, url, "none", "OPENAI_API_KEY"),
            ModelSettings(model=["m"], retries=0),
            {},
            kept,
            lambda text: None,
        )


async def test_a_recorded_exchange_replays_exactly(verb: str, reasoner: Chat) -> None:
    value = await getattr(reasoner, METHODS.get(verb, verb))(BRIEFS[verb])
    await reasoner.close()
    if verb == "step":
        assert value.change.script == SCRIPT.replace("depth = 3", "depth = 9")
        assert [turn.role for turn in value.turns] == ["system", "user", "assistant"]
    elif verb in ("draft", "update", "follow", "repair"):
        assert value.script == (
            SCRIPT if verb == "draft" else SCRIPT.replace("depth = 3", "depth = 9")
        )
    elif verb == "diagnose":
        assert value.hypotheses[0].statement == "deeper trees"
    else:
        assert value.aligned and not value.leaks
    assert value.usage.calls == (1 if RECORDING else 0)


@pytest.mark.skipif(RECORDING, reason="every prompt is new while recording")
async def test_an_unseen_prompt_fails_and_says_how_to_record(verb: str, reasoner: Chat) -> None:
    changed = BRIEFS[verb].model_copy(update={"profile": {"notes": ["a new note"]}, "seed": 99})
    with pytest.raises(
        ReasonerUnavailableError, match="is not recorded: the prompt .*RECORD_EXCHANGES=1"
    ):
        await getattr(reasoner, METHODS.get(verb, verb))(changed)
    await reasoner.close()
