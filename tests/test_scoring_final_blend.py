"""The finale's blend: handed over if it is ahead; smaller if time is short or a refit fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from kit import make_record
from trust_kit import open_run_without_worker, save

from graph.state import Best, RunState, Trace
from run.attempt import Attempt, best_from
from run.registry import close_run
from run.run import Run
from scoring.ensemble import best_member, go_on_from_blend
from scoring.final_blend import Rival, choose_blend
from scoring.final_choice import FinalChoice
from scoring.refit import choose_smaller
from task.types import Grade

COLUMNS = {"t0s0": (1.0, 0.2), "t0s1": (0.2, 1.0), "t0s2": (0.9, 0.4)}
SECONDS = 300.0


def add_attempt(run: Run, name: str, head: str | None, verdict: str) -> Attempt:
    """Store an attempt that knows both columns a little, each row with an error of its own."""
    rng = np.random.default_rng(int(name[-1]))
    x, y = COLUMNS[name]
    files = {}
    for which in ("train", "test"):
        frame = pd.read_csv(f"{run.prepared.public}/{which}.csv")
        values = x * frame["x"] - y * frame["y"] + rng.normal(0, 0.5, len(frame))
        place = save(run.folder / f"{name}-{which}.csv", frame["id"], 1 / (1 + np.exp(-values)))
        files[which] = run.artifacts.put_file(Path(place))
    record: dict[str, Any] = {
        "oof": files["train"],
        "submission": files["test"],
        "script": run.artifacts.put(f"print({name!r})"),
        "grade": run.artifacts.put_json(Grade(ok=True).model_dump()),
        "score": {"t0s0": 0.86, "t0s1": 0.85, "t0s2": 0.87}[name],
    }
    made = make_record(name, prev=head, verdict=verdict, seconds=SECONDS, **record)
    return made.evolve(ref=run.artifacts.put_json(made.dump()))


def open_finale(tmp_path: Path, **settings: Any) -> tuple[Run, RunState, Rival]:
    """A run of three attempts at its end, the last of them the best; two were ties."""
    run = open_run_without_worker(tmp_path, traces=1, **settings)
    head: str | None = None
    for name in COLUMNS:
        attempt = add_attempt(run, name, head, "accepted" if name == "t0s2" else "tie")
        head = attempt.ref
    best = best_from(attempt)
    trace = Trace(trace=0, step=3, head=head, best=best)
    return run, RunState(round=2, traces={"0": trace}, best=best), Rival(best, [str(attempt.oof)])


def members_of(run: Run, blend: Best | None) -> set[str]:
    assert blend is not None
    return set(run.attempt(blend.ref).members)


async def test_ties_join_the_final_blend_which_loses_its_lightest_member_where_time_is_short(
    tmp_path: Path,
) -> None:
    run, state, single = open_finale(tmp_path, time_s=1e6)
    try:
        whole = await choose_blend(run, state, single)
        assert whole.wins and members_of(run, whole.best) == set(COLUMNS)
        assert whole.best is not None and whole.best.attempt == "m2"
        choice = FinalChoice(whole.best, single, whole, {}, {})
        smaller = await choose_smaller(run, choice, ["t0s1"])
        assert smaller.blend.dropped == ("t0s1",)
        assert smaller.best == single.best and not smaller.blend.wins  # no longer ahead
        alone = await choose_smaller(run, choice, ["t0s0", "t0s1"])
        assert alone.best == single.best and not alone.describe()["ensemble"]["wins"]
        blend = run.attempt(whole.best.ref)
        member = await best_member(run, blend)
        assert member is not None and member.attempt == "t0s2"
        behind = Trace(trace=0, best=best_from(run.attempt(single.best.ref)).evolve(score=0.5))
        assert (await go_on_from_blend(run, behind, blend)).best == member
        ahead = behind.evolve(best=single.best.evolve(score=0.99))
        assert await go_on_from_blend(run, ahead, blend) == ahead
        run.settings = run.settings.model_copy(update={"time_s": 5 * SECONDS})
        short = await choose_blend(run, state, single)
        (dropped,) = short.dropped
        assert short.wins and members_of(run, short.best) == set(COLUMNS) - {dropped}
    finally:
        await close_run(run.folder)
