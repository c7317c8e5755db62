"""The pool of blend members: all that is valid and honest, of all traces, nothing twice."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from kit import HONEST, Player, make_record, quick, write_task
from test_task_blend import members as write_members
from test_task_blend import squash
from trust_kit import binary_frames, ready, write_frames

from run.members import members_of
from run.pool import find_members, list_members
from run.registry import close_run, open_run
from run.rounds import last_round
from run.run import Run
from session.session import start_run
from task.grade.diversity import choose_diverse
from task.types import Grade


def test_ties_and_honest_rejections_are_members_and_what_a_gate_doubts_is_not() -> None:
    files = {"oof": "o", "submission": "s", "script": "x"}

    def is_member(**changes: Any) -> bool:
        return bool(members_of(make_record(**files, **changes)))

    assert is_member(verdict="tie") and is_member(verdict="rejected", codes=["worse"])
    for code in ("leak_column", "leak_labels", "unchecked", "audit_contradicts"):
        assert not is_member(verdict="rejected", codes=[code])
    assert not is_member(verdict="failed") and not is_member(kind="ensemble")
    (member,) = members_of(make_record(**files, score_se=0.1, verdict="accepted"))
    assert (member.id, member.name, member.score, member.se) == ("t0s1", None, 0.5, 0.1)


def add_attempt(run: Run, head: str | None, name: str, source: Any, **changes: Any) -> str:
    """Store an attempt after `head` with the files of `source`; return its hash."""
    made = source.evolve(id=name, prev=head, trace=int(name[1]), **changes)
    return run.artifacts.put_json(made.dump())


async def test_the_pool_follows_from_the_heads_without_copies_and_asks_gates_that_were_not(
    tmp_path: Path,
) -> None:
    task, settings = write_task(tmp_path / "task", n=300), quick(tmp_path, steps=2)
    scripts = [HONEST.format(noise=noise) for noise in (0.5, 2.0)]
    folder = (await start_run(str(task), settings, reasoner=Player(scripts))).folder
    known = last_round(folder)
    assert known is not None
    run = open_run(folder)
    try:
        head = known.state.traces["0"].head
        worse, first = run.chain(head)[1], run.chain(head)[0]
        assert worse.verdict == "rejected"
        assert ids(await find_members(run, [head])) == ["t0s0", "t0s1"]
        assert [run.is_done("gates", [str(one.oof)]) for one in (first, worse)] == [False, True]
        assert ids(list_members(run, [head], led_only=True)) == ["t0s0"]
        copy = add_attempt(run, None, "t1s0", first, verdict="tie")
        assert ids(list_members(run, [head, copy])) == ["t0s0", "t0s1"]
        leaking = leaking_attempt(run, worse, first)
        other = add_attempt(run, copy, "t1s1", leaking)
        assert "t1s1" in ids(list_members(run, [head, other]))
        assert "t1s1" not in ids(await find_members(run, [head, other]))
        cleaned = add_attempt(run, other, "t1s2", worse, validity=True)
        assert ids(list_members(run, [cleaned])) == ["t1s2"]
    finally:
        await close_run(folder)


def leaking_attempt(run: Run, worse: Any, first: Any) -> Any:
    """An attempt that was far behind the best and whose held-back rows are predicted far worse."""
    grade = run.artifacts.get_model(worse.grade, Grade)
    problem = {"code": "leak_audit", "message": "far better than the held-back rows"}
    doubted = run.artifacts.put_json({**grade.model_dump(), "audit_leak": problem})
    oof = run.artifacts.put(run.artifacts.get(first.oof) + "\n")
    return worse.evolve(oof=oof, grade=doubted)


def ids(members: Sequence[Any]) -> list[str]:
    return [member.id for member in members]


def test_above_the_bound_the_least_alike_of_the_others_are_taken(tmp_path: Path) -> None:
    prepared = ready(write_frames(tmp_path / "task", *binary_frames(400, 50), metric="log_loss"))
    rng = np.random.default_rng(0)

    def near(frame: pd.DataFrame) -> Any:
        return squash(frame["x"] + rng.normal(0, 0.05, len(frame)))

    given = write_members(
        prepared, tmp_path, {"a": near, "b": near, "c": near, "d": lambda f: squash(-f["y"])}
    )
    paths = {name: files["oof"] for name, files in given.items()}
    assert choose_diverse(prepared, paths, 2) == ["a", "d"]
    assert choose_diverse(prepared, paths, 3) == ["a", "b", "d"]
