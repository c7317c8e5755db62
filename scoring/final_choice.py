"""The finale: the leading solutions under several seeds, the choice among them, and the refit on every labelled row."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path
from statistics import fmean, stdev
from typing import NamedTuple

from graph.state import Best, RunState
from run.best import better, place
from run.run import Json, Run
from scoring.ensemble import members_of
from scoring.evaluation import paths, seeded, takes_seed
from scoring.execution import forward, tell
from scoring.records import best_of_record
from task.types import Prepared, TaskError

LEVEL_Z = 1.0  # contenders within so many paired standard errors of the first are level; the audit chooses among them
REFIT_ROOM = 2.0  # a refit is given time for so many times the script's seconds


class Contender(NamedTuple):
    """A leading solution with its scores under every seed that was run."""

    record: Json  # with `ref`
    scores: list[float]
    oofs: list[str]

    @property
    def mean(self) -> float:
        return fmean(self.scores)

    @property
    def se(self) -> float:
        return stdev(self.scores) / math.sqrt(len(self.scores)) if len(self.scores) > 1 else 0.0

    @property
    def best(self) -> Best:
        return best_of_record(self.record, self.record["ref"])


def leading(run: Run, state: RunState) -> list[Json]:
    """The records that take part: each trace's best, the leading traces first, then other accepted solutions by score."""
    sign = 1 if run.prepared.task.direction == "max" else -1
    bests = sorted(
        (row["best"] for row in state["traces"].values() if row["best"]),
        key=lambda best: (-sign * best["score"], best["trace"]),
    )
    records = [run.attempt(best["ref"]) | {"ref": best["ref"]} for best in bests] + members_of(
        run, state.get("pool")
    )
    distinct = {record["script"]: record for record in reversed(records)}
    return [record for record in records if distinct.pop(record["script"], None)][
        : run.settings.top_k
    ]


async def contest(run: Run, records: list[Json]) -> list[Contender]:
    """Scores under every seed that time allows: all contenders under one seed before the next."""
    found = [Contender(record, [record["score"]], [record["oof"]]) for record in records]
    if len(records) < 2:
        return found
    for seed in range(1, run.settings.final_seeds):
        for contender in found:
            await under_seed(run, contender, seed)
    return found


async def under_seed(run: Run, contender: Contender, seed: int) -> None:
    """One more score, unless the script takes no seed or the refit would lack the time."""
    record = contender.record
    if (
        not takes_seed(run, record["script"])
        or run.time_left_s < (REFIT_ROOM + 2) * record["seconds"] + 10
    ):
        return
    kept = await seeded(run, record["id"], record["script"], seed, record["seconds"])
    if kept is None:
        return
    files = {name: str(run.artifacts.path(ref)) for name, ref in kept["files"].items()}
    grade = await run.worker.grade(run.prepared, files, {}, None, seed=run.settings.seed)
    if grade["ok"] and grade["score"]:
        contender.scores.append(grade["score"]["value"])
        contender.oofs.append(kept["files"]["oof.csv"])


async def chosen(run: Run, contenders: list[Contender]) -> tuple[Contender, int]:
    """Best mean less `caution` standard errors; the audit rows decide between level ones. Also how many were level."""
    sign = 1 if run.prepared.task.direction == "max" else -1
    ranked = sorted(contenders, key=lambda one: -(sign * one.mean - run.settings.caution * one.se))
    level = [ranked[0], *[one for one in ranked[1:] if await is_level(run, ranked[0], one)]]
    scored = [(audit_score(run, one), one) for one in level]
    if len(level) < 2 or any(score is None for score, _ in scored):
        return ranked[0], 1
    return max(scored, key=lambda item: sign * (item[0] or 0.0))[1], len(level)


async def is_level(run: Run, first: Contender, other: Contender) -> bool:
    paired = await run.worker.compare_files(
        run.prepared, paths(run, other.oofs), paths(run, first.oofs), seed=run.settings.seed
    )
    return paired is not None and paired["d"] > -LEVEL_Z * paired["se"]


def audit_score(run: Run, contender: Contender) -> float | None:
    audit = run.artifacts.get_json(contender.record["grade"])["audit"]
    return audit["value"] if audit else None


async def ensemble_wins(run: Run, ensemble: Best | None, single: Contender) -> bool:
    """Whether the ensemble's nested score beats the chosen single solution's, over its seeds, beyond noise."""
    if ensemble is None or not better(run.prepared.task.direction, ensemble["score"], single.mean):
        return False
    oof = run.attempt(ensemble["ref"])["oof"]
    paired = await run.worker.compare_files(
        run.prepared, paths(run, [oof]), paths(run, single.oofs), seed=run.settings.seed
    )
    return paired is not None and paired["d"] > run.settings.accept_z * paired["se"]


# the refit


async def refit(run: Run, best: Best) -> dict[str, str]:
    """Trains the chosen script, or every member of the ensemble, on all labelled rows; the hashes of what is then in best/.

    Where nothing was held back, or it fails, the audited run's files stay and no hashes are given.
    """
    if run.prepared.n_audit == 0:
        return {}
    full = await run.worker.prepare_refit(run.prepared, str(run.folder / "refit"))
    attempt = run.attempt(best["ref"])
    scripts = {name: member["script"] for name, member in attempt["members"].items()} or {
        best["attempt"]: best["script"]
    }
    kept = await asyncio.gather(
        *(again(run, name, script, full.inputs) for name, script in scripts.items())
    )
    submissions = {
        name: one["files"].get("submission.csv") for name, one in zip(scripts, kept, strict=True)
    }
    path, problem = await submission_of(run, full, attempt, submissions)
    if path is None:
        message = f"the refit on all rows gave no valid submission ({problem}); kept the former"
        run.events.emit("warning", key="refit", message=message)
        return {}
    return await place(run, run.folder / "best", attempt, path, full.inputs)


async def again(run: Run, name: str, script: str, inputs: dict[str, str]) -> Json:
    async def go() -> Json:
        async with run.slots:
            return await forward(
                run,
                f"refit-{name}",
                script,
                inputs,
                max(30.0, run.time_left_s),
                {"what": f"{name} on all rows"},
            )

    kept = await run.once("refit", [name, script], go)
    tell(run, f"refit:{script[:16]}", kept)
    return kept


async def submission_of(
    run: Run, full: Prepared, attempt: Json, submissions: dict[str, str | None]
) -> tuple[Path | None, str]:
    """The submission from the members' refits, checked against the task's own test rows; or what is wrong."""
    if None in submissions.values():
        return None, "none written"
    files = {name: str(run.artifacts.path(str(ref))) for name, ref in submissions.items()}
    path = Path(next(iter(files.values())))
    if attempt["members"]:
        path = run.folder / "refit" / ".blend.csv"
        weights = {name: member["weight"] for name, member in attempt["members"].items()}
        try:
            await run.worker.mix(full, files, weights, str(path))
        except TaskError as error:
            return None, str(error)
    problems = await run.worker.check_submission(full, str(path))
    return (None, problems[0]["message"]) if problems else (path, "")


def shown(run: Run, contenders: list[Contender]) -> list[Json]:
    """The contest for events and report; only now, when nothing more is tried, with the audit's scores."""
    return [
        {
            "attempt": one.record["id"],
            "trace": one.record["trace"],
            "scores": [round(score, 6) for score in one.scores],
            "mean": one.mean,
            "se": one.se,
            "audit": (run.artifacts.get_json(one.record["grade"])["audit"] or {}).get("value"),
        }
        for one in contenders
    ]
