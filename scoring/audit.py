"""The hidden audit rows, consulted Ladder-style (Blum and Hardt, 2015): one bit each, on a budget.

They are consulted only when the out-of-fold rows say accept, and answer only whether there is a
leak or a contradiction beyond noise. Answers are stored on disk, so a resumed run neither asks nor
counts twice.
"""

from __future__ import annotations

import math

from pydantic import BaseModel, ConfigDict

from graph.state import Json
from run.run import Run
from scoring.acceptance import Judgement, judge_audit
from task.types import Grade


class AuditAnswer(BaseModel):
    """One question to the audit rows, as it is stored."""

    model_config = ConfigDict(frozen=True)
    asked: bool
    blocked: bool
    judgement: Judgement


async def consult_audit(run: Run, name: str, grade: Grade, judgement: Judgement) -> Judgement:
    """Return the judgement after the audit.

    Unchanged where nothing is accepted, no rows are held back, or the budget is spent.
    """
    if judgement.replaces and grade.blind:
        run.warn(f"{name}: {grade.blind}: a fault of Gome's preparation, not of the script")
    if not judgement.replaces or grade.audit is None:
        return judgement

    async def ask() -> AuditAnswer:
        if count_audit_bits(run) >= run.settings.audit_bits:
            return AuditAnswer(asked=False, blocked=False, judgement=judgement)
        after = judge_audit(judgement, grade.audit_leak, grade.audit_paired.get("best"))
        return AuditAnswer(asked=True, blocked=after != judgement, judgement=after)

    async with run.auditing:
        ref = run.artifacts.put_json(grade.model_dump())
        answer = await run.once("audit", [name, ref], ask, AuditAnswer)
    return answer.judgement


def read_audit_answers(run: Run) -> list[AuditAnswer]:
    """Return every answer that the audit rows have given; a damaged one counts as asked."""
    unknown = AuditAnswer(asked=True, blocked=False, judgement=Judgement("tie", False, []))
    return [answer or unknown for answer in run.read_done("audit", AuditAnswer)]


def count_audit_bits(run: Run) -> int:
    """Return the bits given away so far: one for each question that was answered."""
    return sum(answer.asked for answer in read_audit_answers(run))


def audit_account(run: Run, more: float = 0.0) -> Json:
    """Return what the audit gave away, for events and report; `more` bits for the final choice."""
    n_rows, answers = run.prepared.n_audit, read_audit_answers(run)
    bits = sum(answer.asked for answer in answers) + more
    return {
        "rows": n_rows,
        "bits": round(bits, 2),
        "budget": run.settings.audit_bits,
        "blocked": sum(answer.blocked for answer in answers),
        "refused": sum(not answer.asked for answer in answers),
        "bias_bound": round(math.sqrt(2 * bits * math.log(2)), 2) if n_rows else None,
    }
