"""The ledger as a section of a prompt: a line per claim, grouped by what the measurements say."""

from __future__ import annotations

from collections import Counter

from reasoner.chat.prompt.text import n_tokens, number_text, se_text, signed_text, single_line
from reasoner.protocol import Brief, Claim, RepairBrief

TITLES = {
    "supported": "Supported",
    "open": "Open",
    "refuted": "Refuted",
    "unmeasured": "Not measured",
}
USUAL = {"supported": "accepted", "open": "tie", "refuted": "rejected"}
CHARS = {"supported": 140, "open": 110, "refuted": 90, "unmeasured": 70}  # of a claim's words


def ledger_section(brief: Brief, room: int) -> str:
    """Return the claims that fit the room, most important first; the rest is counted."""
    shown = shown_claims(brief, room)
    folded = Counter(brief.ledger.folded)
    folded.update(claim.state for claim in listed_claims(brief) if claim not in shown)
    groups: dict[str, list[str]] = {state: [] for state in TITLES}
    for claim in shown:
        groups[claim_group(claim)].append(f"- {claim_line(claim)}")
    parts = [f"{TITLES[state]}:\n" + "\n".join(lines) for state, lines in groups.items() if lines]
    if any(folded.values()):
        counts = ", ".join(f"{n} {state}" for state, n in folded.items() if n)
        parts.append(f"Not listed: {counts}.")
    return "\n".join(parts)


def shown_claims(brief: Brief, room: int) -> list[Claim]:
    """Return the claims that fit the room, most important first."""
    shown = []
    for claim in listed_claims(brief):
        room -= n_tokens(claim_line(claim)) + 2
        if room >= 0 and claim.state in TITLES:
            shown.append(claim)
    return shown


def claims_by_attempt(brief: Brief, room: int) -> dict[str, str]:
    """Return attempt -> id of the shown claim that it measured."""
    return {name: claim.id for claim in shown_claims(brief, room) for name in claim.attempts}


def listed_claims(brief: Brief) -> list[Claim]:
    """Return the claims without what has a place of its own: unmeasured hints, and looks.

    A repair has less room: failures and its own idea first, and nothing that nobody measured.
    """
    looks = {single_line(probe.question, 240) for probe in brief.probes}
    claims = [
        claim
        for claim in brief.ledger.claims
        if claim.attempts or not (claim.source == "person" or claim.claim in looks)
    ]
    if not isinstance(brief, RepairBrief):
        return claims
    idea = brief.hypothesis.statement if brief.hypothesis else ""
    measured = [claim for claim in claims if claim_group(claim) != "unmeasured"]
    return sorted(measured, key=lambda claim: not (claim.note or claim.claim in idea))


def claim_group(claim: Claim) -> str:
    """Return the title under which a claim stands."""
    return claim.state if claim.attempts or claim.trying else "unmeasured"


def claim_line(claim: Claim) -> str:
    """Return a claim on one line: id, part of the best or not, words, result, where, what now."""
    mark = "*" if claim.held else ""
    kind = "draft" if claim.source == "draft" else claim.component or claim.source
    words = single_line(claim.claim, CHARS.get(claim_group(claim), 100))
    parts = [f"{claim.id}{mark} {single_line(kind, 20)}: {words}"]
    if claim.attempts:
        parts.append(_result_text(claim))
    if claim.note:
        parts.append(single_line(claim.note, 400))
    if claim.trying:
        parts.append(f"RUNNING NOW as {', '.join(single_line(name, 20) for name in claim.trying)}")
    elif claim.proposed_by is not None and not claim.attempts:
        parts.append(f"proposed by trace {claim.proposed_by}")
    return " | ".join(parts)


def _result_text(claim: Claim) -> str:
    """`+0.004 ± 0.001 = +3.8 SE, 0.817 at t0s3; mean +0.002 ± 0.001 … (1 accepted, 1 tie)`."""
    where = single_line(claim.attempt, 20)
    parts = []
    if claim.gain is not None:
        parts.append(f"{gain_text(claim.gain, claim.gain_se)}")
    if claim.score is not None:
        alone = f" ± {se_text(claim.score_se)}" if claim.gain is None else ""
        parts.append(f"{number_text(claim.score)}{alone}")
    text = f"{', '.join(parts) or 'no score'} at {where}"
    if claim.mean_gain is not None:
        text += f"; mean {gain_text(claim.mean_gain, claim.mean_se)}"
    counts = _counts_text(claim)
    verdict = f" ({counts})" if counts else ""
    if claim.elsewhere:
        verdict += "; it began at an earlier solution than the best it is compared with: no answer"
    return text + verdict


def _counts_text(claim: Claim) -> str:
    words = (
        (claim.n_supported, "accepted"),
        (claim.n_tied, "tie"),
        (claim.n_refuted, "rejected"),
        (claim.n_failed, "FAILED"),
    )
    known = [(n, word) for n, word in words if n]
    if claim.source == "draft" and claim.gain is None and known == [(1, "accepted")]:
        return "the first of its trace"
    if len(known) == 1 and known[0][0] == 1:
        word = known[0][1]
        return "" if word == USUAL.get(claim.state) else word  # the group's title says it
    return ", ".join(f"{n} {word}" for n, word in known)


def gain_text(gain: float, se: float | None) -> str:
    """Return a paired gain in metric units and in noise units."""
    noise = f" = {gain / se:+.1f} SE" if se else ""
    return f"{signed_text(gain)} ± {se_text(se)}{noise}"
