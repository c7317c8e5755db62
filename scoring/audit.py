"""The hidden audit rows, consulted Ladder-style (Blum and Hardt, 2015): rarely, for one bit each time, up to a budget.

They are asked only when the out-of-fold rows say accept, and answer only: is there a leak or a contradiction beyond noise, or not.
Answers lie on disk, so that a resumed run neither asks nor counts twice.
"""

from __future__ import annotations

import math

from run.run import Json, Run
from scoring.acceptance import Judgement, audited
from task.types import Grade


async def consult(run: Run, name: str, grade: Grade, judgement: Judgement) -> Judgement:
    """The judgement after the audit; unchanged where nothing is accepted, no rows are held back or the budget is spent."""
    if not judgement.replaces or grade["audit"] is None:
        return judgement
    async with run.auditing:

        async def go() -> Json:
            if asked(run) >= run.settings.audit_bits:
                return {"asked": False, "blocked": False, "judgement": judgement}
            after = audited(judgement, grade["audit_leak"], grade["audit_paired"].get("best"))
            return {"asked": True, "blocked": after != judgement, "judgement": after}

        kept = await run.once("audit", [name, run.artifacts.put_json(grade)], go)
    return Judgement(*kept["judgement"])


def answers(run: Run) -> list[Json]:
    return [run.kept(path) for path in sorted((run.folder / "done").glob("audit-*.json"))]


def asked(run: Run) -> int:
    """Bits given away so far: one for each question that was answered."""
    return sum(answer["asked"] for answer in answers(run))


def account(run: Run, more: float = 0.0) -> Json:
    """What the audit gave away, for events and report; `more` bits for the final choice."""
    n_rows, found = run.prepared.n_audit, answers(run)
    bits = sum(answer["asked"] for answer in found) + more
    return {
        "rows": n_rows,
        "bits": round(bits, 2),
        "budget": run.settings.audit_bits,
        "blocked": sum(answer["blocked"] for answer in found),
        "refused": sum(not answer["asked"] for answer in found),
        "bias_bound": round(math.sqrt(2 * bits * math.log(2)), 2) if n_rows else None,
    }
