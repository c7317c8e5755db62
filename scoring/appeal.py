"""An appeal: the reasoner says which held-back rows are blind, and the audit judges without them.

The harness checks the argument (task.grade.appeal): rows are named by what they alone lack, the
audit must keep its power, and one appeal is made per attempt.
"""

from __future__ import annotations

from graph.state import Appeal, Work
from reasoner.protocol import Lack, RefusalReader, Solution
from report.formatting import format_plural
from run.attempt import UNCHECKED
from run.run import Run
from scoring.acceptance import Judgement
from scoring.label_check import FOLLOWS
from task.client import WorkerError, WorkerTimeoutError
from task.types import Appeal as AppealAccount
from task.types import Grade, Problem

AUDIT = "leak_audit"
REPAIRABLE = (
    "leak_column",
    "leak_id",
    "leak_duplicates",
    "leak_encoding",
    FOLLOWS,
    UNCHECKED,
)
"""Codes of refusals whose messages name the cause."""


def is_repairable(run: Run, codes: list[str]) -> bool:
    """Whether a refusal goes to the repair: its cause is named, or a reader of words may find it.

    The rules of an expert find nothing in a word of the held-back rows.
    """
    if AUDIT in codes:
        return isinstance(run.reasoner, RefusalReader)
    return any(code in REPAIRABLE for code in codes)


async def appealable_rows(run: Run, work: Work) -> list[Lack]:
    """Return what an appeal of this attempt may name; empty where none is possible."""
    if work.appeal is not None or AUDIT not in work.codes:
        return []
    try:
        found = await run.worker.list_lacks(run.prepared)
    except (WorkerError, WorkerTimeoutError):
        return []
    return [Lack.model_validate(lack) for lack in found]


def file_appeal(work: Work, solution: Solution) -> Work:
    """Return the work with the appeal that an answer makes instead of a repair, if it does."""
    if not solution.appeal or work.appeal is not None:
        return work
    appeal = Appeal(
        script=str(work.script),
        lacks=solution.appeal,
        argument=solution.cause,
    )
    return work.evolve(appeal=appeal)


def current_appeal(work: Work) -> Appeal | None:
    """Return the appeal of this very script."""
    return work.appeal if work.appeal and work.appeal.script == work.script else None


def announce_appeal(
    run: Run, name: str, appeal: Appeal, grade: Grade, after: Judgement
) -> Judgement:
    """Announce what became of an appeal; return the judgement with a sentence on it."""
    account = grade.appeal
    if account is None:
        return after
    is_upheld = not account.refused and AUDIT not in after.codes
    message = describe_appeal(account, is_upheld=is_upheld)
    run.events.emit(
        "appealed",
        key=name,
        attempt=name.rpartition("r")[0],
        argument=appeal.argument,
        upheld=is_upheld,
        message=message,
        **account.model_dump(),
    )
    problem = Problem(code="appeal_upheld" if is_upheld else "appeal_rejected", message=message)
    return after._replace(reasons=[*after.reasons, problem])


def describe_appeal(account: AppealAccount, *, is_upheld: bool) -> str:
    """Return a sentence on the rows left out and what the audit found without them."""
    names = " and ".join(repr(name) for name in account.lacks)
    if account.refused:
        return f"the appeal to leave out the rows that lack {names} is refused: {account.refused}"
    n_out = account.of - account.left
    found = "finds no leak" if is_upheld else "finds the same"
    return (
        f"after an appeal the audit judged without {format_plural(n_out, 'held-back row')} that "
        f"{'lacks' if n_out == 1 else 'lack'} {names}, as strictly as before, and {found}"
    )
