"""A trial: an execution's files graded, compared with the best, measured again where that is in doubt, and held against the audit."""

from __future__ import annotations

from typing import NamedTuple

from graph.state import Best
from run import budget
from run.run import Json, Run
from scoring import audit
from scoring.acceptance import Judgement, Side, doubtful, judge, n_lines
from scoring.execution import forward, tell
from task.types import Grade, Paired, Reference

SEED_NAME = (
    "GOME_SEED"  # environment variable that a script takes its seed from (docs/script-contract.md)
)


class Entry(NamedTuple):
    """What is tried."""

    attempt: str
    script: str  # artifact
    execution: Json
    seconds: float
    validity: bool = False
    repeatable: bool = True  # may be run again under another seed


async def judged(run: Run, entry: Entry, best: Best | None) -> tuple[Grade, Judgement]:
    grade = await grading(run, entry.execution, best, every_gate=entry.validity)
    again = (
        await over_seeds(run, entry, best)
        if best and run.settings.confirm and entry.repeatable and doubtful(grade)
        else None
    )
    judgement = (run.judge or judge)(
        grade,
        z=run.settings.accept_z,
        has_best=best is not None,
        new=Side(entry.seconds, n_lines(run.artifacts.get(entry.script))),
        best=side(run, best) if best else None,
        validity=entry.validity,
        again=again,
    )
    return grade, await audit.consult(run, entry.attempt, grade, judgement)


def side(run: Run, best: Best) -> Side:
    return Side(run.attempt(best["ref"])["seconds"], n_lines(run.artifacts.get(best["script"])))


async def grading(
    run: Run, execution: Json, best: Best | None, *, every_gate: bool = False
) -> Grade:
    """The harness's own score of the files, paired with the best's predictions on the same rows."""
    files = {name: str(run.artifacts.path(ref)) for name, ref in execution["files"].items()}
    references = {"best": reference(run, best)} if best else {}
    account = {key: value for key, value in execution.items() if key not in ("files", "log")}
    account |= {
        "output": run.artifacts.get(execution["log"]),
        "limit_mb": run.settings.run_memory_bytes / 2**20,
    }
    return await run.worker.grade(
        run.prepared, files, references, account, seed=run.settings.seed, every_gate=every_gate
    )


def reference(run: Run, best: Best) -> Reference:
    attempt = run.attempt(best["ref"])
    return Reference(
        oof=str(run.artifacts.path(attempt["oof"])),
        submission=str(run.artifacts.path(attempt["submission"])),
    )


async def over_seeds(run: Run, entry: Entry, best: Best) -> Paired | None:
    """The difference with both scripts run under one more seed; None where neither takes a seed or a run failed."""
    incumbent = run.attempt(best["ref"])
    new = await repeated(
        run, entry.attempt, entry.script, entry.execution["files"]["oof.csv"], entry.seconds
    )
    old = await repeated(
        run, best["attempt"], best["script"], incumbent["oof"], incumbent["seconds"]
    )
    if len(new) + len(old) < 3:
        return None
    paired = await run.worker.compare_files(
        run.prepared, paths(run, new), paths(run, old), seed=run.settings.seed
    )
    run.events.emit(
        "confirmed",
        key=entry.attempt,
        attempt=entry.attempt,
        against=best["attempt"],
        paired=paired,
    )
    return paired


def paths(run: Run, refs: list[str]) -> list[str]:
    return [str(run.artifacts.path(ref)) for ref in refs]


async def repeated(run: Run, attempt: str, script: str, oof: str, seconds: float) -> list[str]:
    """The out-of-fold files of a script: the one at hand and that of seed 1."""
    if not takes_seed(run, script):
        return [oof]
    kept = await seeded(run, attempt, script, 1, seconds)
    return [oof, kept["files"]["oof.csv"]] if kept and "oof.csv" in kept["files"] else [oof]


def takes_seed(run: Run, script: str) -> bool:
    return SEED_NAME in run.artifacts.get(script)


async def seeded(run: Run, attempt: str, script: str, seed: int, seconds: float) -> Json | None:
    """One more run of a script, under another seed; None where the budget has no room for it. Kept under script and seed."""
    limit_s = budget.repeat_limit_s(run, seconds)
    if limit_s is None:
        return None
    name = f"{attempt}-seed{seed}"

    async def go() -> Json:
        async with run.slots:
            return await forward(
                run,
                name,
                script,
                run.prepared.inputs,
                limit_s,
                {"what": f"{attempt} under seed {seed}"},
                env={SEED_NAME: str(seed)},
            )

    kept = await run.once("seeded", [script, str(seed)], go)
    tell(run, f"seed{seed}:{script[:16]}", kept, seed=seed)
    return kept if kept["end"] == "exit" and kept["exit_code"] == 0 else None
