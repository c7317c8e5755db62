"""Members of blends: predictions of an attempt that are valid and honest as far as it tells."""

from __future__ import annotations

from dataclasses import dataclass

from run.attempt import Attempt, is_refused

CONTRADICTED = "audit_contradicts"  # code: held-back rows do not know the score that it has


@dataclass(frozen=True, slots=True)
class PoolMember:
    """Predictions that may be blended, with what is known of them."""

    id: str  # unique in the run: the attempt's, with the name of a variant
    attempt: str
    ref: str  # artifact: the attempt's record
    trace: int
    step: int
    script: str  # artifact
    oof: str  # artifact
    submission: str  # artifact
    score: float
    se: float
    seconds: float
    led: bool  # the trace went on from it
    name: str | None = None  # of a variant; None: the plain files of the script


def members_of(attempt: Attempt) -> tuple[PoolMember, ...]:
    """Return what an attempt adds to the pool: nothing where it is a blend, invalid or refused."""
    if attempt.kind == "ensemble" or attempt.members or not is_blendable(attempt):
        return ()
    plain = PoolMember(
        id=attempt.id,
        attempt=attempt.id,
        ref=attempt.ref,
        trace=attempt.trace,
        step=attempt.step,
        script=str(attempt.script),
        oof=str(attempt.oof),
        submission=str(attempt.submission),
        score=attempt.score or 0.0,
        se=attempt.score_se or 0.0,
        seconds=attempt.seconds,
        led=attempt.verdict == "accepted" or attempt.replaces,
    )
    return (plain,)


def is_blendable(attempt: Attempt) -> bool:
    """Whether an attempt's predictions are valid and no gate refused them."""
    if attempt.verdict == "failed" or attempt.problems or attempt.score is None:
        return False
    if is_refused(attempt.codes) or CONTRADICTED in attempt.codes:
        return False
    return bool(attempt.oof and attempt.submission and attempt.script)
