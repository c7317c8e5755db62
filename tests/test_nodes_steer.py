"""Steering: the run asks a person between two rounds where that is wanted, and obeys the answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from kit import HONEST, Player, events, quick, write_task
from langchain_core.runnables import RunnableConfig
from longrun_kit import attempts, scripts

from reasoner.expert.engine import Expert
from reasoner.protocol import DiagnoseBrief, Diagnosis, Hypothesis, Solution, UpdateBrief
from run.folder import read_run_meta
from run.hints import add_hint
from run.steering import Answer, Budget, Choose, Question
from session.session import resume_run, start_run


class Listening(Player):
    """Records the hints it gets, and proposes two hypotheses at a time."""

    def __init__(self) -> None:
        super().__init__(scripts())
        self.said: list[list[str]] = []
        self.asked: list[str] = []

    async def diagnose(self, brief: DiagnoseBrief) -> Diagnosis:
        self.said.append(brief.said)
        step = brief.stage.step
        ideas = [
            Hypothesis(
                id=f"h{step}{letter}",
                challenge="noise",
                statement=f"idea {letter}",
                component="model",
            )
            for letter in "ab"
        ]
        return Diagnosis(hypotheses=ideas)

    async def update(self, brief: UpdateBrief) -> Solution:
        hypothesis = brief.diagnosis.hypotheses[0]
        self.asked.append(hypothesis.statement)
        return Solution(
            script=self.scripts[brief.stage.step],
            summary=hypothesis.statement,
            hypothesis=hypothesis,
        )


def asker(*answers: Answer | None) -> tuple[list[Question], Any]:
    asked: list[Question] = []
    left = list(answers)

    def ask(question: Question) -> Answer | None:
        asked.append(question)
        return left.pop(0) if left else Answer()

    return asked, ask


async def test_an_unattended_run_never_waits(tmp_path: Path) -> None:
    asked, ask = asker()
    done = await start_run(
        str(write_task(tmp_path / "task")), quick(tmp_path, steps=2), reasoner=Listening(), ask=ask
    )
    assert done.reason == "budget: steps" and asked == []


async def test_answers_of_a_person_take_effect(tmp_path: Path) -> None:
    player = Listening()
    asked, ask = asker(
        Answer(),
        Answer(
            choose=[Choose(trace=0, hypothesis="h1b", statement="idea b, but on logs")],
            hint="the target is skewed",
        ),
        Answer(budget=Budget(steps=5)),
        Answer(choose=[Choose(trace=0, statement="my own idea")]),
    )
    settings = quick(tmp_path, steps=4, steer="each")
    done = await start_run(str(write_task(tmp_path / "task")), settings, reasoner=player, ask=ask)
    assert [question.round for question in asked] == [1, 2, 3, 4]
    assert [each.hypothesis for each in asked[1].proposals] == ["h1b"]  # h1a was run
    assert player.asked == ["idea a", "idea b, but on logs", "idea a", "my own idea"]
    assert player.said[-1] == ["the target is skewed"]
    assert len(attempts(done.folder)) == 5 and read_run_meta(done.folder)["settings"]["steps"] == 5
    assert attempts(done.folder)["t0s2"]["why"] == "chosen by a person"


@pytest.mark.slow
async def test_the_expert_runs_a_move_by_name_and_leaves_out_words(tmp_path: Path) -> None:
    _, ask = asker(
        Answer(choose=[Choose(trace=0, statement="try something clever")], hint="be bold"),
        Answer(choose=[Choose(trace=0, statement="family:linear")]),
    )
    done = await start_run(
        str(write_task(tmp_path / "task")),
        quick(tmp_path, steer="each", steps=3, time_s=900),
        ask=ask,
    )
    told = [event["message"] for event in events(done.folder, "warning")]
    assert any("'try something clever' is left out" in text for text in told)
    assert any("the hint is left out" in text for text in told)
    assert not (done.folder / "hints.jsonl").exists()
    last = next(e for e in events(done.folder, "attempt") if e["id"] == "t0s2")
    assert (last["move"], last["hypothesis"]) == (
        "family:linear",
        Expert().list_moves()["family:linear"],
    )


@pytest.mark.slow
async def test_a_person_drops_a_trace_and_stops_the_run(tmp_path: Path) -> None:
    asked, ask = asker(Answer(drop=[1], pin=[0]), Answer(stop=True))
    settings = quick(tmp_path, traces=2, steps=6, steer="each")
    done = await start_run(
        str(write_task(tmp_path / "task")), settings, reasoner=Listening(), ask=ask
    )
    assert sorted(attempts(done.folder)) == ["t0s0", "t0s1", "t1s0"]
    assert [row.trace for row in asked[1].standings] == [0] and asked[1].standings[0].pinned
    assert done.reason == "stopped by you" and done.submission is not None


async def test_a_run_without_a_person_waits_resumable_and_repeats_nothing(tmp_path: Path) -> None:
    player = Listening()
    settings = quick(tmp_path, steps=2, steer="each")
    waiting = await start_run(str(write_task(tmp_path / "task")), settings, reasoner=player)
    assert waiting.waiting and len(attempts(waiting.folder)) == 1
    asked, ask = asker(Answer())
    done = await resume_run(waiting.folder, reasoner=player, ask=ask)
    assert done.reason == "budget: steps" and len(
        events(done.folder, "execution_started")
    ) == 2 + bool(events(done.folder, "finalized")[0]["refit"])


@pytest.mark.slow
async def test_stuck_asks_before_the_rescue(tmp_path: Path) -> None:
    player = Listening()
    player.scripts = [HONEST.format(noise=0.1)] + [HONEST.format(noise=9)] * 5
    asked, ask = asker()
    settings = quick(tmp_path, steps=4, steer="stuck", patience=3)
    await start_run(str(write_task(tmp_path / "task")), settings, reasoner=player, ask=ask)
    assert [question.round for question in asked] == [3] and "gained nothing for 2 rounds" in asked[
        0
    ].why


async def test_a_hint_reaches_the_next_brief_of_a_running_run(tmp_path: Path) -> None:
    player = Listening()

    def listener(event: dict[str, Any]) -> None:
        if event["ev"] == "attempt" and event["id"] == "t0s1":
            add_hint(tmp_path / "run", "prefer small models")

    done = await start_run(
        str(write_task(tmp_path / "task")),
        quick(tmp_path, steps=3),
        folder=tmp_path / "run",
        reasoner=player,
        listeners=[listener],
    )
    assert done.reason == "budget: steps" and player.said == [[], ["prefer small models"]]


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ("h1b", "idea b"),
        pytest.param("h1b: idea c", "idea c", marks=pytest.mark.slow),
        pytest.param("look at:\x1b the tails", "look at: the tails", marks=pytest.mark.slow),
    ],
)
async def test_a_hypothesis_written_into_the_state_is_the_next_step(
    tmp_path: Path, told: str, said: str
) -> None:
    from graph.build import build_graph
    from run.checkpoints.open import open_checkpoints, thread_id

    player, (_, ask) = Listening(), asker(Answer(), None)
    waiting = await start_run(
        str(write_task(tmp_path / "task")), quick(tmp_path, steer="each"), reasoner=player, ask=ask
    )
    assert waiting.reason == "waiting" and player.asked == ["idea a"]
    async with open_checkpoints(waiting.folder) as saver:
        graph = build_graph(saver)
        config: RunnableConfig = {"configurable": {"thread_id": thread_id(waiting.run)}}
        row = (await graph.aget_state(config)).values["traces"]["0"]
        await graph.aupdate_state(config, {"traces": {"0": row | {"told": told}}}, as_node="merge")
    done = await resume_run(waiting.folder, reasoner=player, ask=lambda question: Answer())
    assert done.reason == "budget: steps" and player.asked == ["idea a", said]
    assert [event["hypothesis"] for event in events(done.folder, "attempt")][1:] == ["idea a", said]
