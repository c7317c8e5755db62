"""The refit: what is handed over is fitted on all labelled rows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from run.attempt import SUBMISSION, Attempt, ExecutionRecord
from run.best import REFIT_PREFIX, write_solution
from run.models import seeded_key
from run.run import Run
from run.variants import (
    SEED_NAME,
    choose_variant,
    describe_missing_variant,
    variant_environment,
)
from scoring.chain import BrokenChainError, ChainRuns, Link, link_of
from scoring.execution import ScriptRun, announce_execution, execute_script
from scoring.final_blend import blend_without, is_ahead
from scoring.final_choice import FinalChoice
from task.types import Prepared, TaskError

MIN_REFIT_S = 30.0  # that a single solution gets in any case
MIN_MEMBER_S = 1.0  # with less time left, a member of a blend is not begun


class Fit(NamedTuple):
    """What is handed over, and on which rows it was fitted."""

    choice: FinalChoice
    full: Prepared | None = None  # the task with every labelled row in train; None: no refit
    files: dict[str, str] = {}  # hashes of the files in best/, where they are those of a refit


async def refit_choice(run: Run, choice: FinalChoice) -> Fit:
    """Train the chosen script, or every member of the blend, on all labelled rows.

    Members whose refit fails leave the blend; the rest is weighted anew and has to be ahead of the
    best single solution still, which is handed over otherwise.

    The audited run's files stay where nothing was held back, or where no refit succeeded.
    """
    if run.prepared.n_audit == 0:
        return Fit(choice)
    full = await run.worker.prepare_refit(run.prepared, str(run.folder / "refit"))
    now, problem = choice, ""
    while True:
        attempt = run.attempt(now.best.ref)
        submissions, problem = await _refit_scripts(run, attempt, full.inputs)
        path = None
        if None not in submissions.values():
            path, problem = await _refit_submission(run, full, attempt, submissions)
        if path is not None:
            folder = run.folder / "best"
            files = await write_solution(run, folder, attempt, path, full.inputs, refit=True)
            return Fit(now, full, files)
        if not attempt.members:
            break
        failed = [name for name, ref in submissions.items() if ref is None]
        now = await choose_smaller(run, now, failed)
    message = f"the refit on all rows gave no valid submission ({problem}); the former stays"
    run.events.emit("warning", key="refit", message=message)
    return Fit(choice)


async def choose_smaller(run: Run, choice: FinalChoice, failed: list[str]) -> FinalChoice:
    """Return the blend of the other members if it is still ahead, else the single solution."""
    run.warn(f"{', '.join(failed) or choice.best.attempt}: the refit on all rows failed")
    known, single = choice.blend, choice.single
    number = known.number
    left_out = known._replace(wins=False, dropped=(*known.dropped, *failed), number=number + 1)
    smaller = await blend_without(run, number, choice.best, failed, single.best) if failed else None
    if smaller is None or not await is_ahead(run, smaller, single):
        return choice._replace(best=single.best, blend=left_out)
    return choice._replace(best=smaller, blend=left_out._replace(best=smaller, wins=True))


async def _refit_scripts(
    run: Run, attempt: Attempt, inputs: dict[str, str]
) -> tuple[dict[str, str | None], str]:
    """Each script's submission, the heaviest member's first, None where it failed; and why."""
    runs, links = chain_refits(run, attempt, inputs), list_links(run, attempt)
    found = await asyncio.gather(
        *(runs.execute(link) for link in links.values()), return_exceptions=True
    )
    submissions: dict[str, str | None] = dict.fromkeys(links)
    problem = "none written"
    for name, execution in zip(links, found, strict=True):
        if isinstance(execution, ExecutionRecord):
            submissions[name] = execution.files.get(SUBMISSION)
        elif isinstance(execution, BrokenChainError):
            problem = str(execution)
        else:
            raise execution
    return submissions, problem


def chain_refits(run: Run, attempt: Attempt, inputs: dict[str, str]) -> ChainRuns:
    """Return the executions on all rows of what is handed over, and of all below."""
    is_member = bool(attempt.members)

    async def refit(link: Link, inputs: dict[str, str]) -> ExecutionRecord:
        def limit_s() -> float:
            return run.time_left_s if is_member else max(MIN_REFIT_S, run.time_left_s)

        return await fit_script(run, link, inputs, limit_s)

    return ChainRuns(run, inputs, refit)


def list_links(run: Run, attempt: Attempt) -> dict[str, Link]:
    """Return the script of an attempt, or those of a blend's members, the heaviest first."""
    if not attempt.members:
        return {attempt.id: link_of(attempt)}
    members = sorted(attempt.members.items(), key=lambda item: -item[1].weight)
    return {
        name: link_of(run.attempt(one.ref))._replace(name=name, variant=one.variant)
        if one.ref
        else Link(name, one.script, {}, one.variant)
        for name, one in members
    }


async def fit_script(
    run: Run, link: Link, inputs: dict[str, str], limit: Callable[[], float], seed: int = 0
) -> ExecutionRecord:
    """Return a script's execution on all rows, of its variant alone if it has any.

    It counts as an execution of the budget only where it is one of several seeds. `limit` is asked
    for the seconds it may take when it begins; what it raises is raised.
    """
    name, script = seeded_key(link.name, seed), link.script
    what = f"{link.name} on all rows" + (f" under seed {seed}" if seed else "")
    environment = variant_environment(link.variant) | ({SEED_NAME: str(seed)} if seed else {})

    async def execute() -> ExecutionRecord:
        async with run.slots:
            limit_s = limit()
            if limit_s < MIN_MEMBER_S:
                return ExecutionRecord(exit_code=1)
            task = ScriptRun(
                REFIT_PREFIX + name,
                script,
                inputs,
                limit_s,
                {"what": what},
                environment,
                model=REFIT_PREFIX + seeded_key(script, seed),
                keeps=True,
            )
            return await execute_script(run, task)

    execution = await run.once("refit", fit_parts(link, seed), execute, ExecutionRecord)
    key = f"refit:{name}:{script[:16]}"
    announce_execution(run, key, execution, **({"seed": seed} if seed else {"refit": True}))
    chosen = choose_variant(execution, link.variant)
    if execution.ok and SUBMISSION not in chosen.files and link.variant:
        run.warn(describe_missing_variant(link.name, link.variant, what.removeprefix(link.name)))
    return execution


def fit_parts(link: Link, seed: int) -> list[str]:
    """Return what names an execution on all rows."""
    return [seeded_key(link.name, seed), link.script]


async def _refit_submission(
    run: Run, full: Prepared, attempt: Attempt, submissions: dict[str, str | None]
) -> tuple[Path | None, str]:
    """The submission from the members' refits, checked against the test rows; or what is wrong."""
    files = {name: str(run.artifacts.path(ref)) for name, ref in submissions.items() if ref}
    path = Path(next(iter(files.values())))
    if attempt.members:
        path = run.folder / "refit" / ".blend.csv"
        weights = {name: member.weight for name, member in attempt.members.items()}
        try:
            await run.worker.mix(full, files, weights, str(path))
        except TaskError as error:
            return None, str(error)
    problems = await run.worker.check_submission(full, str(path))
    return (None, problems[0]["message"]) if problems else (path, "")
