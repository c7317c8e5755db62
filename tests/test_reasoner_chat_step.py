"""A step in one call: the diagnosis with its change, and the follow-up where it is not taken."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import pytest
from kit import HONEST, Player, events, quick, write_task
from openai_server import Body, Say, Server, say
from test_reasoner_chat_answers import BASE, DIAGNOSE, SCRIPT, UPDATE
from test_reasoner_chat_verbs import chat

from evals.harness.prefix import PrefixCounter, flatten_messages
from reasoner.chat.prompt.description import keep_useful_sections
from reasoner.chat.prompt.render import prompt_messages
from reasoner.protocol import (
    Brief,
    Diagnosis,
    DraftBrief,
    Rejected,
    RepairBrief,
    ReviewBrief,
    Usage,
)
from reasoner.settings import ModelSettings, makes_change
from session.session import start_run

DEEPER = SCRIPT.replace("depth = 3", "depth = 9")
ASKED = DIAGNOSE.model_copy(update={"wants_change": True})
FOUND = {
    "observations": [{"text": "few rows", "cites": ["P1"]}],
    "causes": ["noise"],
    "hypotheses": [
        {"statement": "deeper trees", "confidence": 0.7},
        {"statement": "fewer columns", "component": "features"},
    ],
}
EDIT = {"edits": [{"search": "depth = 3", "replace": "depth = 9"}], "summary": "deeper"}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


async def diagnosed(*answers: Any, brief: Any = ASKED) -> tuple[Diagnosis, list[Body]]:
    with Server(lambda body, n: say(answers[min(n, len(answers) - 1)])) as server:
        reasoner = chat(server)
        found = await reasoner.diagnose(brief)
        await reasoner.close()
        assert found.usage.input_tokens == server.input_tokens
    return found, server.requests


async def followed(found: Diagnosis, chosen: str, *answers: Say, **more: Any) -> Any:
    brief = UPDATE.model_copy(update={"diagnosis": found, "chosen": chosen, **more})
    with Server(lambda body, n: answers[min(n, len(answers) - 1)]) as server:
        reasoner = chat(server)
        solution = await reasoner.update(brief)
        await reasoner.close()
    return solution, server.requests


async def test_a_diagnosis_comes_with_the_change_of_its_choice_in_one_call() -> None:
    found, requests = await diagnosed(FOUND | EDIT | {"chosen": "h1"})
    assert len(requests) == 1 and found.change is not None and found.change.hypothesis is not None
    assert found.change.script == DEEPER and found.change.hypothesis.confidence == 0.7
    assert [turn.role for turn in found.turns] == ["system", "user", "assistant"]
    assert found.turns[1].content == requests[0]["messages"][1]["content"]


async def test_the_change_belongs_to_the_hypothesis_that_it_names() -> None:
    found, _ = await diagnosed(FOUND | EDIT | {"chosen": "h2"})
    assert found.change is not None and found.change.hypothesis is not None
    assert found.change.hypothesis.statement == "fewer columns"


async def test_another_hypothesis_is_asked_for_in_the_same_conversation() -> None:
    found, (first,) = await diagnosed(FOUND | EDIT)
    solution, (second,) = await followed(found, "h2", say(EDIT))
    assert solution.script == DEEPER and solution.hypothesis.id == "h2"
    assert second["messages"][:2] == first["messages"]
    assert second["response_format"] == first["response_format"], "a cached prefix may hold it"
    *_, answer, request = second["messages"]
    assert answer["role"] == "assistant" and "fewer columns" in request["content"]
    assert "observations" in request["content"] and SCRIPT not in request["content"]


async def test_an_edit_that_does_not_apply_costs_a_follow_up_and_no_second_diagnosis() -> None:
    miss = {"edits": [{"search": "max_depth = 33", "replace": "depth = 9"}], "chosen": "h1"}
    found, requests = await diagnosed(FOUND | miss)
    assert len(requests) == 1 and found.change is None and found.change_owner == "h1"
    solution, (second,) = await followed(found, "h1", say(EDIT))
    told = second["messages"][-1]["content"]
    assert solution.script == DEEPER
    assert "does not occur in the script" in told and "depth = 3" in told
    (_, asked, answer, _), first = second["messages"], requests[0]["messages"][1]["content"]
    head = first.partition("\n# Evidence about that script")[0]
    assert asked["content"].startswith(head) and SCRIPT.strip() in head, "a cached prefix serves it"
    assert len(asked["content"]) < len(head) + 60 and "max_depth = 33" in answer["content"]
    assert "few rows" not in answer["content"], "the diagnosis is not needed to correct an edit"
    _, (other,) = await followed(found, "h2", say(EDIT))
    assert "does not occur" not in other["messages"][-1]["content"]


@pytest.mark.parametrize(
    ("verb", "gone"),
    [
        ("update", "\n# Evidence about that script"),
        ("follow", "\n# Evidence about that script"),
        ("repair", "\n# What the run has found so far"),
    ],
)
async def test_a_correction_of_an_edit_resends_the_script_and_not_the_whole_question(
    verb: str, gone: str
) -> None:
    found, _ = await diagnosed(FOUND | EDIT)
    brief = briefs()["repair" if verb == "repair" else "update"]
    brief = brief.model_copy(update={"said": ["mind the depth " * 20]})
    if verb == "follow":
        brief = UPDATE.model_copy(update={"diagnosis": found, "chosen": "h2"})
    miss = EDIT | {"edits": [{"search": "max_depth = 33", "replace": "depth = 9"}]}
    rest = {"action": "choose", "chosen": "h1", "cause": "c", "fix": "f"}
    answers = [say(rest | miss), say(rest | EDIT)]
    with Server(lambda body, n: answers[min(n, 1)]) as server:
        reasoner = chat(server)
        solution = await getattr(reasoner, "repair" if verb == "repair" else "update")(brief)
        await reasoner.close()
    first, second = (request["messages"] for request in server.requests)
    asked, again = first[1]["content"], second[1]["content"]
    head, found_end, left_out = asked.rpartition(gone)
    assert solution.script == DEEPER and found_end and len(left_out) > 200
    assert again.startswith(head) and SCRIPT.strip() in head and len(again) < len(head) + 60
    assert second[0] == first[0] and second[2:-2] == first[2:], "a follow-up keeps its request"
    assert "max_depth = 33" in second[-2]["content"] and "depth = 3" in second[-1]["content"]


async def test_a_script_that_was_measured_is_refused_with_its_attempt() -> None:
    digest = hashlib.sha256(DEEPER.encode()).hexdigest()
    known = {"measured": {digest: "t1s4"}}
    found, _ = await diagnosed(FOUND | EDIT, brief=ASKED.model_copy(update=known))
    assert found.change is None and "attempt t1s4" in found.change_problem
    other = {"edits": [{"search": "depth = 3", "replace": "depth = 7"}]}
    solution, requests = await followed(found, "h1", say(EDIT), say(other), **known)
    assert "depth = 7" in solution.script and len(requests) == 2


async def test_a_follow_up_tells_what_was_measured_since() -> None:
    found, _ = await diagnosed(FOUND | EDIT)
    late = BASE["history"][0].model_copy(update={"attempt": "t0s7", "step": 7})
    _, (request,) = await followed(found, "h2", say(EDIT), history=[*BASE["history"], late])
    told = request["messages"][-1]["content"]
    assert "t0s7" in told and "t0s1" not in told


async def test_the_prediction_that_a_choice_states_is_the_one_that_counts() -> None:
    stated = {"statement": "deeper trees", "confidence": 0.9, "expected": "better", "size": "large"}
    answer = EDIT | {"action": "choose", "chosen": "h1", "hypothesis": stated}
    with Server(lambda body, n: say(answer)) as server:
        reasoner = chat(server)
        solution = await reasoner.update(UPDATE)
        await reasoner.close()
    assert solution.hypothesis is not None and solution.hypothesis.id == "h1"
    assert solution.hypothesis.confidence == 0.9 and solution.hypothesis.effect.size == "large"
    assert solution.hypothesis.challenge == "c", "what it does not state is the diagnosis's"


async def test_tokens_from_the_prefix_cache_are_counted_and_priced() -> None:
    with Server(lambda body, n: say(FOUND | EDIT)) as server:
        reasoner = chat(server)
        first, second = [(await reasoner.diagnose(ASKED)).usage for _ in range(2)]
        await reasoner.close()
    assert first.cached_tokens == 0 and second.cached_tokens == second.input_tokens
    assert (first + second).cached_tokens == second.cached_tokens == server.cached_tokens
    assert Usage().cached_tokens == 0


def test_two_calls_where_they_are_asked_for_or_the_models_differ() -> None:
    assert makes_change(ModelSettings()) and makes_change(ModelSettings(model=["m"]))
    assert not makes_change(ModelSettings(model=["m"], calls="two"))
    assert not makes_change(ModelSettings(model=["m", "update=n"]))


# the prefix


def briefs() -> dict[str, Brief]:
    failed = {"error": {"type": "X", "end": "exit", "exit_code": 1}}
    return {
        "draft": DraftBrief(**BASE),
        "step": ASKED,
        "diagnose": DIAGNOSE,
        "update": UPDATE,
        "repair": RepairBrief(**BASE, script=SCRIPT, evidence=failed, problems=["it crashed"]),
        "review": ReviewBrief(**BASE, script=SCRIPT),
    }


def test_every_verb_begins_with_the_same_bytes_up_to_its_instructions() -> None:
    heads = set()
    for verb, brief in briefs().items():
        head, found, _ = flatten_messages(prompt_messages(verb, brief)).partition(
            "\n# Instructions: "
        )
        assert found, verb
        heads.add(head)
    assert len(heads) == 1
    (head,) = heads
    assert "# Environment of a script" in head and "GOME_SEED" in head


def test_nothing_volatile_stands_before_the_script() -> None:
    later = BASE["stage"].model_copy(
        update={"step": 9, "used": 0.9, "time_left_s": 60.0, "tokens_left": 77, "best": 0.9}
    )
    moved = ASKED.model_copy(update={"stage": later})
    one, other = (prompt_messages("step", brief)[1]["content"] for brief in (ASKED, moved))
    assert one != other
    head = one.partition("\n# The script")[0]
    assert other.startswith(head) and "edits" in head


def test_the_prefix_counter_is_exact() -> None:
    counter = PrefixCounter()
    texts = ["abcdef" * 100, "abcdef" * 50 + "x" * 300, "zz", "abcdef" * 50 + "x" * 10 + "q" * 90]
    counts = [counter.add([{"role": "user", "content": text}]) for text in texts]
    head = len("<user>\n")
    assert [round(one.cached * 3.5) - head for one in counts] == pytest.approx(
        [-head, 300, 0, 310], abs=4
    )


async def test_a_script_written_to_the_prompts_runs_under_other_seeds(tmp_path: Path) -> None:
    system = prompt_messages("step", ASKED)[0]["content"]
    (line,) = re.findall(r"`(SEED = [^`]*GOME_SEED[^`]*)`", system)
    seeded = f"import os\n{line}\nprint('seed', SEED)\nimport random\nrandom.seed(SEED)"
    scripts = [HONEST.format(noise=noise).replace("random.seed(1)", seeded) for noise in (2, 0.5)]
    settings = quick(tmp_path, steps=2, top_k=2, final_seeds=2, time_s=600)
    task = str(write_task(tmp_path / "task"))
    folder = (await start_run(task, settings, reasoner=Player(scripts))).folder
    again = [one for one in events(folder, "execution_finished") if one.get("seed") == 1]
    (final,) = events(folder, "finalized")
    assert again and all(one["end"] == "exit" for one in again)
    scores = [one["scores"] for one in final["candidates"]]
    assert len(scores) == 2 and all(len(pair) == 2 and pair[0] != pair[1] for pair in scores)


# what is left out of a description, and what is told of limits


def test_prizes_and_dates_are_left_out_of_a_description_and_named() -> None:
    text = (
        "# Cats\nTell cats.\n\n## Timeline\n- May 1: start\n### Deadlines\nsoon\n\n## Prizes\n$1\n"
        "## Evaluation\nAUC. Prizes do not matter.\n```\n## Prizes\n```\n"
        "Citation\n--------\nX et al.\n"
    )
    kept = keep_useful_sections(text)
    for gone in ("May 1", "soon", "$1", "X et al."):
        assert gone not in kept
    assert "AUC. Prizes do not matter.\n```\n## Prizes\n```" in kept
    assert kept.rstrip().endswith("[left out: Timeline, Prizes, Citation]")
    assert keep_useful_sections("# A\nb\n") == "# A\nb\n"


def test_a_request_tells_the_limits_of_its_script_and_what_is_left_of_everything() -> None:
    stage = BASE["stage"].model_copy(
        update={
            "steps_left": 4,
            "time_left_s": 1800.0,
            "executions_left": 7,
            "executions_reserved": 3,
            "tokens_left": 120_000,
            "repairs": 2,
        }
    )
    text = prompt_messages("step", ASKED.model_copy(update={"stage": stage}))[1]["content"]
    request = text.rpartition("\n# Request: ")[2]
    assert "60 s of wall clock on 2 cores, 1.0 GiB of memory" in request
    for words in (
        "4 steps of this trace, this one included",
        "30 min of the run",
        "7 executions of the run (repairs and second seeds count; 3 more are kept for the finale)",
        "120,000 tokens of the run",
        "2 repairs of a script that fails",
    ):
        assert words in request, words


def test_a_redraft_sees_the_script_that_a_gate_refused_and_its_log() -> None:
    refused = Rejected(
        attempt="t0s0",
        script=SCRIPT,
        reasons=["by more than 3 standard errors"],
        log="unmatched 216",
    )
    text = prompt_messages("draft", DraftBrief(**BASE, rejected=refused))[1]["content"]
    assert SCRIPT.strip() in text and "unmatched 216" in text and "more than 3 standard" in text
    assert "a gate that fired on rows whose files were missing" in text
