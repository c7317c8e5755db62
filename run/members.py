"""Members of blends: predictions of an attempt that are valid and honest as far as it tells."""

from __future__ import annotations

from dataclasses import dataclass, replace

from run.attempt import Attempt, Variant, is_refused

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
    name: str | None = None  # of a variant beside the attempt's own; None: the attempt itself
    variant: str = ""  # that the script computes for these files; empty: it has none


def members_of(attempt: Attempt) -> tuple[PoolMember, ...]:
    """Return what an attempt adds to the pool: nothing where it is a blend, invalid or refused."""
    if attempt.kind == "ensemble" or attempt.members or not is_blendable(attempt):
        return ()
    own = PoolMember(
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
        seconds=attempt.seconds_of_one,
        led=attempt.verdict == "accepted" or attempt.replaces,
        variant=attempt.variant,
    )
    others = [one for one in attempt.variants if one.is_valid and one.name != attempt.variant]
    return (own, *(_variant_member(own, one) for one in others))


def _variant_member(own: PoolMember, variant: Variant) -> PoolMember:
    """A variant beside the one that spoke for its script."""
    return replace(
        own,
        id=f"{own.attempt}-{variant.name}",
        oof=variant.oof,
        submission=variant.submission,
        score=variant.score or 0.0,
        se=variant.score_se or 0.0,
        led=False,
        name=variant.name,
        variant=variant.name,
    )


def is_blendable(attempt: Attempt) -> bool:
    """Whether an attempt's predictions are valid and no gate refused them."""
    if attempt.verdict == "failed" or attempt.problems or attempt.score is None:
        return False
    if is_refused(attempt.codes) or CONTRADICTED in attempt.codes:
        return False
    return bool(attempt.oof and attempt.submission and attempt.script)
