"""The life of a run under hostile scripts, answers, kills, a full disk and a wrong clock.

Hypothesis draws sequences of sessions; after each, the run folder must be whole and resumable. A
failure prints the sequence. CI plays a few, always the same; `make nightly` plays more, with a
new seed that it prints (HYPOTHESIS_SEED=n repeats it; LIVES=n plays as many).
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from kit import write_task
from longrun_kit import attempts
from stateful_kit import (
    ACTIONS,
    ANSWERS,
    SessionPlan,
    check_folder,
    count_starts,
    finished_keys,
    play_in_child,
    play_session,
)

from run.best import read_best
from run.rounds import last_round
from session.fork import fork_run

OVER = ("budget", "converged", "target", "no valid script")


class RunLife(RuleBasedStateMachine):
    """One run, from its start through interruptions to its end."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="gome-life-", dir="/var/tmp"))
        write_task(self.root / "task", n=60)
        self.folder = self.root / "runs" / "run"
        self.played: dict[str, Any] = {}
        self.said: list[str] = []
        self.finished: set[str] = set()

    @initialize(
        actions=st.lists(st.sampled_from(sorted(ACTIONS)), min_size=2, max_size=4),
        answers=st.lists(st.sampled_from(ANSWERS), min_size=1, max_size=3),
    )
    def decide(self, actions: list[str], answers: list[str]) -> None:
        self.played = {"actions": ["honest", *actions], "answers": ["script", *answers]}

    def plan(self, **what: Any) -> SessionPlan:
        return SessionPlan(root=self.root, folder=self.folder, **self.played, **what)

    def play(self, plan: SessionPlan) -> None:
        in_child = bool(plan.signal or plan.clock_s)
        before = count_starts(self.root)
        self.finished |= finished_keys(self.folder)
        said = play_in_child(plan) if in_child else asyncio.run(play_session(plan))
        self.said.append(said)
        expected = (*OVER, "waiting", "interrupted", "refused: ")
        assert said.startswith(expected) or (in_child and said.startswith("signal ")), said
        if said.startswith("refused: "):
            assert plan.writes is not None and "the disk is full" in said, said
        again = count_starts(self.root) - before
        assert not self.finished & set(again), "finished scripts ran again"

    @rule(rounds=st.integers(1, 3))
    def step(self, rounds: int) -> None:
        self.play(self.plan(rounds=rounds))

    @rule(at=st.integers(1, 25), number=st.sampled_from([signal.SIGKILL, signal.SIGTERM]))
    def end_by_a_signal(self, at: int, number: int) -> None:
        self.play(self.plan(stop_at=at, signal=int(number)))

    @rule(seconds=st.sampled_from([-86_400.0, -90.0, 86_400.0]))
    def clock_jumps(self, seconds: float) -> None:
        self.play(self.plan(rounds=1, clock_s=seconds))

    @rule(writes=st.integers(0, 30))
    def disk_fills(self, writes: int) -> None:
        self.play(self.plan(rounds=2, writes=writes))

    @precondition(lambda self: (self.folder / "events.jsonl").exists())
    @rule(n_bytes=st.integers(1, 300))
    def last_bytes_are_lost(self, n_bytes: int) -> None:
        path = self.folder / "events.jsonl"
        os.truncate(path, max(0, path.stat().st_size - n_bytes))

    @precondition(lambda self: last_round(self.folder) is not None)
    @rule()
    def fork(self) -> None:
        self.folder = fork_run(self.folder, None, {})

    @invariant()
    def is_whole(self) -> None:
        check_folder(self.root, self.folder)

    def teardown(self) -> None:
        """Whatever happened, the run ends well when it is left alone."""
        try:
            if self.played:
                self.play(self.plan())
                assert self.said[-1].startswith(OVER), self.said
                self.is_whole()
                is_won = any(
                    each["verdict"] == "accepted" for each in attempts(self.folder).values()
                )
                assert read_best(self.folder / "best") or not is_won, self.said
        finally:
            shutil.rmtree(self.root, ignore_errors=True)


def play_lives(n: int, steps: int, number: int) -> None:
    """Play n lives of at most so many steps; the same number gives the same ones."""
    print(f"HYPOTHESIS_SEED={number}")
    run_state_machine_as_test(
        seed(number)(RunLife),
        settings=settings(
            max_examples=n,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            print_blob=True,
            phases=[Phase.generate],  # a life takes seconds: it is printed as it was played
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.timeout(600)
def test_a_run_survives_a_few_lives() -> None:
    play_lives(2, 3, 5)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_run_survives_many_lives() -> None:
    given = os.environ.get("HYPOTHESIS_SEED")
    n = int(os.environ.get("LIVES") or 40)
    play_lives(n, 8, int(given) if given else random.SystemRandom().randrange(10**6))
