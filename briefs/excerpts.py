"""Recorded code, word for word: logs, changes and scripts of earlier attempts, for briefs that quote rather than retell."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from reasoner.protocol import Fact, Hint, Quote, ReasonerError, Solution, UpdateBrief
from run.run import Json, Run

LOOKED_BACK = 300  # attempts of a trace that can be quoted
N_SCRIPTS, N_CHANGES = 2, 2
LOG_HEAD, LOG_TAIL = 3_000, 6_000  # characters
DIFF_LINES = 300
WORTH_QUOTING = 0.05  # weight of a hint


def log(run: Run, ref: str | None) -> str:
    """Head and tail of what a script printed."""
    text = run.artifacts.get(ref) if ref else ""
    if len(text) <= LOG_HEAD + LOG_TAIL:
        return text
    return f"{text[:LOG_HEAD]}\n[{len(text) - LOG_HEAD - LOG_TAIL:,} characters left out]\n{text[-LOG_TAIL:]}"


def change(run: Run, old: str | None, new: str | None) -> str:
    """What one script changed in another, as a unified diff."""
    if not old or not new or old == new:
        return ""
    before, after = run.artifacts.get(old).splitlines(), run.artifacts.get(new).splitlines()
    lines = list(difflib.unified_diff(before, after, lineterm="", n=2))[2:]
    return "\n".join(lines[:DIFF_LINES])


def attempts(run: Run, heads: Sequence[str | None]) -> dict[str, Json]:
    """What can be quoted: id -> gist, over the given traces."""
    return {
        attempt["id"]: attempt
        for head in heads
        for attempt in run.gists(head, limit=LOOKED_BACK)
        if quotable(attempt)
    }


def quotable(attempt: Json) -> bool:
    """A blend has no script of its own."""
    return bool(attempt["script"]) and not attempt.get("members")


def scripts(run: Run, heads: Sequence[str | None], names: Sequence[str]) -> list[Quote]:
    """The scripts of these attempts."""
    known = attempts(run, heads)
    found = [run.attempt(known[name]["ref"]) for name in dict.fromkeys(names) if name in known][
        :N_SCRIPTS
    ]
    return [
        Quote(
            attempt=one["id"],
            what="script",
            text=run.artifacts.get(one["script"]),
            why=outcome(one),
        )
        for one in found
    ]


def changes(
    run: Run, heads: Sequence[str | None], hints: Sequence[Hint], path: Sequence[Fact]
) -> list[Quote]:
    """The changes behind the strongest successes that the memory recalled and the script does not hold yet."""
    known, own = attempts(run, heads), {fact.attempt for fact in path}
    helped = [
        hint
        for hint in hints
        if hint.kind == "accepted"
        and hint.weight >= WORTH_QUOTING
        and not (hint.attempt and hint.attempt in own)
    ]
    found = [quoted(run, known, hint) for hint in helped]
    return [quote for quote in found if quote.text.strip()][:N_CHANGES]


def quoted(run: Run, known: dict[str, Json], hint: Hint) -> Quote:
    """The change of one hint: from this run's scripts, else as the memory kept it."""
    if hint.attempt not in known:
        return Quote(
            attempt=hint.attempt,
            what="change",
            text=hint.change,
            why=f"{hint.hypothesis[:160]}; gain {hint.gain:+.3g}, {hint.where[:120]}",
        )
    attempt = run.attempt(known[hint.attempt]["ref"])
    parent = known.get(attempt["parent"] or "")
    text = change(run, run.attempt(parent["ref"])["script"] if parent else None, attempt["script"])
    return Quote(
        attempt=attempt["id"],
        what="change",
        text=text,
        why=f"{attempt['summary'][:160]}; {outcome(attempt)}",
    )


def outcome(attempt: Json) -> str:
    gain = f", gain {attempt['gain']:+.3g}" if attempt["gain"] is not None else ""
    score = f", score {attempt['score']:.5g}" if attempt["score"] is not None else ""
    return f"{attempt['verdict']}{gain}{score}"


async def step(run: Run, brief: UpdateBrief, heads: Sequence[str | None]) -> Solution:
    """The reasoner's step; when it first asks to see recorded scripts, it is asked again with them. Raises ReasonerError."""
    first = await run.reasoner.update(brief)
    if not first.take_from or first.script or first.ensemble:
        return first
    quotes = [*scripts(run, heads, first.take_from), *brief.quotes]
    try:
        second = await run.reasoner.update(
            brief.model_copy(update={"quotes": quotes, "may_ask": False})
        )
    except ReasonerError as error:
        raise ReasonerError(str(error), first.usage + error.usage) from error
    return second.model_copy(update={"usage": first.usage + second.usage})
