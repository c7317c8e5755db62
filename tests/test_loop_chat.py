"""The whole loop against a scripted endpoint with faults in a third of its answers.

It ends better than it started, and every token is counted. The endpoint answers with honest scripts
of different quality (tests/scripts) for the `modechoice` example.
"""

from __future__ import annotations

import csv
import json
import threading
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from chat_kit import QUICK, at_home, gome, honest, verb_of
from kit import events, write_task
from openai_server import Body, Say, Server, fail, say
from test_reasoner_chat_run import the_run, tokens

pytestmark = pytest.mark.timeout(900)  # each is a process with pandas in it; a busy machine is slow

SCRIPTS = {
    path.stem.removeprefix("modechoice_"): path.read_text()
    for path in (Path(__file__).parent / "scripts").glob("modechoice_*.py")
}
UPDATES = ("linear", "neighbours", "relative", "linear", "relative")
CRASH = "raise MemoryError('too many neighbours')  # writes neither oof.csv nor submission.csv\n"
HYPOTHESES = {
    "linear": ("the row's own columns are not used", "logistic regression of all columns", "model"),
    "neighbours": ("interactions are missed", "nearest neighbours catch interactions", "model"),
    "relative": (
        "a choice is made among four ways",
        "compare each way with the person's others",
        "features",
    ),
}


def faults(text: str) -> list[Say]:
    """Return faulty answers: in transport, form and content."""
    return [
        say(text[: len(text) // 2]),
        fail(500, "internal error"),
        say("```json\n" + text + "\n```\nI hope that this helps."),
        say(text, cut=True),
        say(""),
        fail(429, "slow down", headers={"Retry-After": "0"}),
        say("<think>let me see {maybe}</think>" + text),
        say(text[: len(text) // 3], finish="length"),
        say("", refusal="I would rather not."),
        say({"answer": 5, "hypotheses": "none"}),
        say("", raw="<html>bad gateway</html>"),
        say("I would try a linear model."),
    ]


class Player:
    """Plays the scripts in order; every third request meets a fault, each in its turn."""

    def __init__(self) -> None:
        self.turn = threading.Lock()
        self.n_updates = self.n_faults = self.n = 0

    def __call__(self, body: Body, n: int) -> Say:
        with self.turn:
            self.n += 1
            text = json.dumps(self.answer(verb_of(body)))
            if self.n % 3 or self.n < 3:
                return say(text)
            self.n_faults += 1
            possible = faults(text)
            return possible[self.n_faults % len(possible)]

    def answer(self, verb: str) -> dict[str, Any]:
        name = UPDATES[self.n_updates % len(UPDATES)]
        challenge, statement, component = HYPOTHESES[name]
        hypothesis = {
            "challenge": challenge,
            "statement": f"{statement} ({self.n_updates})",
            "component": component,
            "confidence": 0.6,
        }
        change: Body = {}
        if verb in ("diagnose", "follow", "update"):
            self.n_updates += 1
            script = CRASH if self.n_updates == 3 else f"{SCRIPTS[name]}# take {self.n_updates}\n"
            change = {"script": script, "summary": statement}
        if verb == "diagnose":
            miss = {"edits": [{"search": "nowhere", "replace": "x"}]}
            return {
                "observations": [{"text": "the score is low", "cites": ["E1"]}],
                "causes": [challenge],
                "hypotheses": [hypothesis],
            } | (miss if self.n_updates % 2 == 0 else change)
        if verb == "follow":
            return {"chosen": "h1"} | change
        if verb == "update":
            return {
                "action": "choose",
                "chosen": "h1",
                "hypothesis": hypothesis,
                "script": script,
                "summary": statement,
            }
        if verb == "repair":
            return {
                "cause": "memory",
                "fix": "a smaller model",
                "script": SCRIPTS["linear"] + f"# mended {self.n}\n",
                "summary": "linear",
            }
        if verb == "draft":
            return {
                "approach": "rates",
                "summary": f"rates by way of travel {self.n}",
                "script": SCRIPTS["base"] + f"# draft {self.n}\n",
            }
        return (
            {"answer": 5} if verb == "check" else {"reasons": [], "aligned": True, "leaks": False}
        )


def private(tmp_path: Path, submission: Path) -> float:
    """The score on answers that no run can reach."""
    result = gome(
        "score", "tasks/modechoice", "tasks/modechoice-private/answers.csv", str(submission)
    )
    assert result.exit_code == 0, result.output
    return float(result.output.split()[0])


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_two_traces_of_six_steps_on_a_real_example(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    player = Player()
    with Server(player) as server:
        at_home(tmp_path, monkeypatch, server.url)
        assert gome("example", "modechoice").exit_code == 0
        more: tuple[str, ...] = (
            "--traces",
            "2",
            "--steps",
            "6",
            "--time",
            "1h",
            "--memory",
            "memory",
        )
        more += tuple(
            word
            for one in ("backoff_s=0.05", "top_k=1", "final_seeds=1", "confirm=false")
            for word in ("--set", one)
        )
        result = gome("run", "tasks/modechoice", "--model", "m", *more)
        assert result.exit_code == 0, result.output
        folder = the_run(tmp_path)
        assert tokens(folder) == server.tokens
    assert player.n_faults >= player.n // 3 - 1 and player.n_faults >= 9
    attempts = [event for event in events(folder, "attempt") if event["kind"] != "refit"]
    assert {(attempt["trace"], attempt["step"]) for attempt in attempts} >= {
        (trace, step) for trace in (0, 1) for step in range(6)
    }
    drafts = [attempt["score"] for attempt in attempts if attempt["step"] == 0 and attempt["score"]]
    best = json.loads((folder / "best" / "best.json").read_text())
    assert best["score"] > max(drafts) + 0.05
    places = (
        tmp_path / "tasks/modechoice/sample_submission.csv",
        folder / "best" / "submission.csv",
    )
    sample, submission = (
        sorted(row["id"] for row in csv.DictReader(path.read_text().splitlines()))
        for path in places
    )
    assert submission == sample
    assert private(tmp_path, folder / "best" / "submission.csv") > 0.85


def test_a_small_run_through_faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same in small: one trace of three steps, every second answer another kind of fault."""
    write_task(tmp_path / "task")
    kinds = cycle(range(12))

    def reply(body: Body, n: int) -> Say:
        answer = honest(body, n)
        return faults(answer.text)[next(kinds)] if n % 3 == 2 else answer

    with Server(reply) as server:
        at_home(tmp_path, monkeypatch, server.url)
        result = gome("run", "task", "--model", "m", *QUICK, "--steps", "3", "--set", "retries=3")
        assert result.exit_code == 0, result.output
        folder = the_run(tmp_path)
        assert tokens(folder) == server.tokens
    verdicts = [
        attempt["verdict"] for attempt in events(folder, "attempt") if attempt["kind"] != "refit"
    ]
    assert len(verdicts) == 3 and verdicts[0] == "accepted" and "accepted" in verdicts[1:]
    assert (folder / "best" / "submission.csv").exists()
