"""What was found dishonest, or flawed, after it had led: nobody steps from it or blends it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kit import make_record
from trust_kit import open_run_without_worker

from graph.state import Trace
from run.attempt import Attempt, best_from
from run.pool import list_members
from run.registry import close_run
from run.run import Run
from scoring.honesty import leave_dishonest
from scoring.label_check import LabelCheck


def add_attempt(run: Run, name: str, before: Attempt | None, score: float, **more: Any) -> Attempt:
    """Store an attempt after another of its trace; by default one that was stepped on."""
    files = {key: run.artifacts.put(f"{name} {key}") for key in ("oof", "submission")}
    record: dict[str, Any] = files | {"script": run.artifacts.put(f"print({name!r})")}
    record |= {"score": score, "verdict": "accepted", "replaces": True, "trace": int(name[1])}
    record |= {"prev": before.ref if before else None, "base": before.ref if before else None}
    made = make_record(name, **record | more)
    return made.evolve(ref=run.artifacts.put_json(made.dump()))


async def note_dishonest(run: Run, name: str) -> None:
    async def check() -> LabelCheck:
        return LabelCheck(result="follows", through=[name])

    await run.once("labels", [name], check, LabelCheck)


async def test_a_trace_goes_on_from_its_best_honest_attempt(tmp_path: Path) -> None:
    run = open_run_without_worker(tmp_path, traces=1)
    try:
        first = add_attempt(run, "t0s0", None, 0.7)
        second = add_attempt(run, "t0s1", first, 0.8)
        third = add_attempt(run, "t0s2", second, 0.9)
        fourth = add_attempt(run, "t0s3", third, 0.95, verdict="tie")
        trace = Trace(trace=0, step=4, head=fourth.ref, best=best_from(third), diagnosis="d")
        trace = trace.evolve(anchor=best_from(second), stepped=1, tried=["h"])
        assert leave_dishonest(run, trace) is trace
        await note_dishonest(run, "t0s2")
        left = leave_dishonest(run, trace)
        assert left.best == best_from(second)  # t0s3 is a change of the dishonest one
        assert (left.anchor, left.stepped, left.diagnosis, left.tried) == (None, 0, None, [])
        for name in ("t0s0", "t0s1", "t0s3"):
            await note_dishonest(run, name)
        assert leave_dishonest(run, trace).best is None
    finally:
        await close_run(run.folder)


async def test_a_flaw_that_one_trace_removed_is_in_no_blend_by_another(tmp_path: Path) -> None:
    run = open_run_without_worker(tmp_path, traces=2)
    run.setup = run.setup.model_copy(update={"profile": {"leaks": [{"column": "x"}]}})
    try:
        flawed = add_attempt(run, "t0s0", None, 0.9)
        clean = run.artifacts.put('X = train.drop(columns=["x"])')
        without = add_attempt(run, "t0s1", flawed, 0.8, script=clean)
        other = add_attempt(run, "t1s0", None, 0.9)
        heads = [without.ref, other.ref]
        assert [one.id for one in list_members(run, heads)] == ["t0s0", "t1s0", "t0s1"]
        idea = {"protocol": True, "drops_columns": ["x"]}
        removing = add_attempt(run, "t1s1", other, 0.7, validity=True, hypothesis=idea)
        later = add_attempt(run, "t1s2", removing, 0.75)
        heads = [without.ref, later.ref]
        assert [one.id for one in list_members(run, heads)] == ["t0s1", "t1s2", "t1s1"]
    finally:
        await close_run(run.folder)
