"""The ledger as one trace's reasoner sees it."""

from __future__ import annotations

from graph.state import Trace
from reasoner.protocol import Claim, Ledger
from report.ledger import Claim as LedgerClaim
from run.hints import list_hints
from run.ledger import claims_tried_by, select_claims
from run.run import Run

N_PATH = 100  # attempts behind the best whose claims count as part of its script


def ledger_brief(run: Run, trace: Trace) -> Ledger:
    """Return the claims worth showing, with what other traces are trying at this moment."""
    _announce_hints(run)
    ledger = run.ledger.seen_by(trace.trace)
    page = select_claims(ledger)
    held = set(path_to_best(run, trace))
    claims = []
    for claim in page.claims:
        trying = [name for other, name in claims_tried_by(ledger, claim.id) if other != trace.trace]
        claims.append(_claim_brief(claim, trying, held))
    return Ledger(claims=claims, folded=dict(page.folded))


def _claim_brief(claim: LedgerClaim, trying: list[str], held: set[str]) -> Claim:
    best, (mean, mean_se) = claim.best, claim.mean_gain
    comparable = [each for each in claim.measured if each.gain is not None and not each.elsewhere]
    several = len(comparable) > 1
    refused = [each.note for each in claim.measured if each.note]
    is_part = any(each.attempt in held and each.verdict != "failed" for each in claim.measured)
    return Claim(
        id=claim.id,
        claim=claim.text,
        component=claim.component,
        move=claim.move,
        source=claim.source,
        state=claim.state,
        attempt=best.attempt if best else "",
        gain=best.gain if best else None,
        gain_se=best.gain_se if best else None,
        score=best.score if best else None,
        score_se=best.score_se if best else None,
        mean_gain=mean if several else None,
        mean_se=mean_se if several else None,
        attempts=[each.attempt for each in claim.measured],
        n_supported=claim.count("accepted"),
        n_tied=claim.count("tie"),
        n_refuted=claim.count("rejected"),
        n_failed=claim.count("failed"),
        elsewhere=bool(claim.measured) and all(each.elsewhere for each in claim.measured),
        note=refused[-1] if refused else "",
        trying=trying,
        proposed_by=claim.proposed_by,
        held=is_part,
    )


def _announce_hints(run: Run) -> None:
    """Enter a person's hints; each becomes a claim once."""
    for hint in list_hints(run.folder):
        run.events.emit("hinted", key=hint.key, trace=hint.trace, text=hint.text)


def path_to_best(run: Run, trace: Trace) -> list[str]:
    """Return the ids of the attempts whose changes the trace's best contains, newest first."""
    if trace.best is None:
        return []
    path: list[str] = []
    ref: str | None = trace.best.ref
    while ref is not None and len(path) < N_PATH:
        attempt = run.attempt(ref)
        if attempt.id in path:
            break
        path.append(attempt.id)
        ref = attempt.base
    return path
