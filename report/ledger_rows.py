"""The ledger as rows of a table, for report.html and `gome show`, and as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from report.formatting import MINUS, format_improvement, format_plural, format_score
from report.ledger import Claim, LedgerPage, Measurement, claims_tried_by, select_claims
from report.model import RunView

PERSON = "a person's hint"


@dataclass(frozen=True)
class LedgerRow:
    """One claim in words: result, noise units, the attempts that measured it, and what is open."""

    id: str
    state: str
    kind: str
    text: str
    gain: str
    z: str
    attempts: list[str]
    note: str


@dataclass(frozen=True)
class LedgerFacts:
    """The table, and one sentence on the claims that it does not list."""

    rows: list[LedgerRow]
    folded: str


def ledger_facts(view: RunView) -> LedgerFacts:
    """Return the ledger as the report shows it, supported claims first."""
    page = select_claims(view.ledger)
    order = {"supported": 0, "open": 1, "refuted": 2}
    claims = sorted(page.claims, key=lambda claim: order.get(claim.state, 3))
    return LedgerFacts([ledger_row(view, claim) for claim in claims], describe_folded(page))


def ledger_row(view: RunView, claim: Claim) -> LedgerRow:
    """Format one claim."""
    best = claim.best
    z = best.z if best else None
    return LedgerRow(
        id=claim.id,
        state=claim.state,
        kind="draft" if claim.source == "draft" else claim.component or claim.source,
        text=claim.text,
        gain=_gain_text(view, best),
        z="" if z is None else f"{z:+.1f} SE".replace("-", MINUS),
        attempts=[each.attempt for each in claim.measured],
        note="; ".join(_describe_claim(view, claim)),
    )


def _gain_text(view: RunView, best: Measurement | None) -> str:
    if best is None:
        return ""
    if best.gain is None:
        return f"score {format_score(best.score, best.score_se)}" if best.score is not None else ""
    return format_improvement(best.gain, best.gain_se, rising=view.rising)


def _describe_claim(view: RunView, claim: Claim) -> list[str]:
    """Say how often it was measured, why it failed, and who tries it."""
    parts = []
    if len(claim.measured) > 1:
        words = ((name, claim.count(name)) for name in ("accepted", "tie", "rejected", "failed"))
        parts.append(", ".join(f"{n} {name}" for name, n in words if n))
    if claim.measured and all(each.elsewhere for each in claim.measured):
        parts.append("from an earlier solution only")
    parts += [each.note for each in claim.measured if each.note][-1:]
    if view.ended is None:
        running = claims_tried_by(view.ledger, claim.id)
        parts += [f"trace {trace} tries it now ({attempt})" for trace, attempt in running]
    if not claim.measured:
        parts.append(_describe_origin(claim))
    return [part for part in parts if part]


def _describe_origin(claim: Claim) -> str:
    if claim.source == "person":
        return PERSON
    if claim.source == "probe":
        return "a look at the data"
    return "" if claim.proposed_by is None else f"proposed by trace {claim.proposed_by}, not tried"


def describe_folded(page: LedgerPage) -> str:
    """Say how many claims are not listed; empty: none."""
    n = sum(page.folded.values())
    if not n:
        return ""
    counts = ", ".join(f"{count} {state}" for state, count in page.folded.items())
    return f"{format_plural(n, 'claim')} not listed: {counts}."


def ledger_json(view: RunView) -> dict[str, Any]:
    """Return all claims that are remembered, with every measurement."""
    page = select_claims(view.ledger)
    shown = {claim.id for claim in page.claims}
    return {
        "metric": view.metric,
        "direction": view.direction,
        "claims": [
            _claim_json(view, claim) | {"listed": claim.id in shown}
            for claim in view.ledger.claims.values()
        ],
        "forgotten": dict(view.ledger.forgotten),
    }


def _claim_json(view: RunView, claim: Claim) -> dict[str, Any]:
    best, (gain, se) = claim.best, claim.mean_gain
    trying = claims_tried_by(view.ledger, claim.id) if view.ended is None else []
    measured = [asdict(each) | {"z": each.z} for each in claim.measured]
    return {
        "id": claim.id,
        "claim": claim.text,
        "state": claim.state,
        "source": claim.source,
        "component": claim.component,
        "move": claim.move,
        "best": asdict(best) | {"z": best.z} if best else None,
        "mean_gain": gain,
        "mean_gain_se": se,
        "measured": measured,
        "trying": [{"trace": trace, "attempt": attempt} for trace, attempt in trying],
        "proposed_by": claim.proposed_by,
        "superseded_by": claim.into or None,
    }
