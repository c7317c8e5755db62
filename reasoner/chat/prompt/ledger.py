"""The ledger as a section of a prompt: a line per claim, grouped by what the measurements say."""

from __future__ import annotations

from reasoner.chat.prompt.text import n_tokens, number_text, se_text, signed_text, single_line
from reasoner.protocol import Brief, Claim

TITLES = {
    "supported": "Supported",
    "open": "Open",
    "refuted": "Refuted",
}


def ledger_section(brief: Brief, room: int) -> str:
    """Return the claims that fit the room, most important first; the rest is counted.

    A person's hint without a measurement has a place of its own in the prompt.
    """
    unsaid = [
        claim for claim in brief.ledger.claims if claim.source == "person" and not claim.attempts
    ]
    claims = [claim for claim in brief.ledger.claims if claim not in unsaid]
    folded = dict(brief.ledger.folded)
    groups: dict[str, list[str]] = {state: [] for state in TITLES}
    for claim in claims:
        line = f"- {claim_line(claim)}"
        room -= n_tokens(line) + 1
        if room < 0 or claim.state not in groups:
            folded[claim.state] = folded.get(claim.state, 0) + 1
        else:
            groups[claim.state].append(line)
    parts = [f"{TITLES[state]}:\n" + "\n".join(lines) for state, lines in groups.items() if lines]
    if any(folded.values()):
        counts = ", ".join(f"{n} {state}" for state, n in folded.items() if n)
        parts.append(f"Not listed: {counts}.")
    return "\n".join(parts)


def claim_line(claim: Claim) -> str:
    """Return a claim on one line: id, part of the best or not, words, result, where, what now."""
    mark = "*" if claim.held else ""
    kind = "draft" if claim.source == "draft" else claim.component or claim.source
    parts = [f"{claim.id}{mark} {single_line(kind, 20)}: {single_line(claim.claim, 240)}"]
    if claim.attempts:
        parts.append(_result_text(claim))
    if claim.note:
        parts.append(single_line(claim.note, 400))
    if claim.trying:
        parts.append(f"RUNNING NOW as {', '.join(single_line(name, 20) for name in claim.trying)}")
    elif claim.proposed_by is not None and not claim.attempts:
        parts.append(f"not measured; proposed by trace {claim.proposed_by}")
    elif not claim.attempts:
        parts.append("not measured" if claim.source != "probe" else "found by a probe")
    return " | ".join(parts)


def _result_text(claim: Claim) -> str:
    """`+0.004 ± 0.001 (3.8 SE), score 0.817 at t0s3; mean +0.002 ± 0.001 of 2: 1 accepted, …`."""
    where = single_line(claim.attempt, 20)
    parts = []
    if claim.gain is not None:
        parts.append(f"{gain_text(claim.gain, claim.gain_se)}")
    if claim.score is not None:
        alone = f" ± {se_text(claim.score_se)}" if claim.gain is None else ""
        parts.append(f"score {number_text(claim.score)}{alone}")
    text = f"{', '.join(parts) or 'no score'} at {where}"
    if claim.mean_gain is not None:
        text += f"; mean {gain_text(claim.mean_gain, claim.mean_se)}"
    counts = _counts_text(claim)
    verdict = f" ({counts})" if counts else ""
    if claim.elsewhere:
        verdict += "; it began at an earlier solution and is compared with the best: no answer yet"
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
        return known[0][1]
    return ", ".join(f"{n} {word}" for n, word in known)


def gain_text(gain: float, se: float | None) -> str:
    """Return a paired gain in metric units and in noise units."""
    noise = f" = {gain / se:+.1f} SE" if se else ""
    return f"{signed_text(gain)} ± {se_text(se)}{noise}"
