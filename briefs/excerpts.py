"""Recorded code, verbatim: logs, changes and scripts of earlier attempts, for briefs."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from briefs.ask import ask_script
from briefs.logs import clean_log
from graph.state import Trace
from reasoner.protocol import Hint, Quote, ReasonerError, Rejected, Solution, UpdateBrief
from run.attempt import Attempt
from run.history import HistoryEntry
from run.run import Run

LOOK_BACK = 300  # attempts of a trace that can be quoted
N_SCRIPTS, N_CHANGES = 2, 2
LOG_HEAD, LOG_TAIL = 3_000, 6_000  # characters
DIFF_LINES = 300
MIN_HINT_WEIGHT = 0.05  # of a hint whose change is quoted


def excerpt_log(run: Run, ref: str | None) -> str:
    """Return head and tail of what a script printed, without warnings and repeats."""
    text = clean_log(run.artifacts.get(ref)) if ref else ""
    n_left_out = len(text) - LOG_HEAD - LOG_TAIL
    if n_left_out <= 0:
        return text
    return f"{text[:LOG_HEAD]}\n[{n_left_out:,} characters left out]\n{text[-LOG_TAIL:]}"


def diff_artifacts(run: Run, old: str | None, new: str | None) -> str:
    """Return what one script changed in another, as a unified diff."""
    if not old or not new or old == new:
        return ""
    before, after = run.artifacts.get(old).splitlines(), run.artifacts.get(new).splitlines()
    lines = list(difflib.unified_diff(before, after, lineterm="", n=2))[2:]
    return "\n".join(lines[:DIFF_LINES])


def refused_script(run: Run, trace: Trace) -> Rejected | None:
    """Return the trace's latest script, if a gate refused it and nothing stands in its place."""
    latest = run.attempt(trace.head) if trace.head and trace.best is None else None
    if latest is None or latest.verdict != "rejected" or not latest.script or latest.members:
        return None
    return Rejected(
        attempt=latest.id,
        script=run.artifacts.get(latest.script),
        reasons=latest.reasons,
        evidence=run.artifacts.get_json(latest.evidence) if latest.evidence else {},
        log=excerpt_log(run, latest.log),
    )


def quotable_attempts(run: Run, heads: Sequence[str | None]) -> dict[str, HistoryEntry]:
    """Return what can be quoted, by id, over the given traces. A blend has no script of its own."""
    entries = [entry for head in heads for entry in run.history.chain(head, limit=LOOK_BACK)]
    return {entry.id: entry for entry in entries if entry.has_script and not entry.is_blend}


def quote_scripts(run: Run, heads: Sequence[str | None], names: Sequence[str]) -> list[Quote]:
    """Return the scripts of these attempts."""
    known = quotable_attempts(run, heads)
    wanted = [name for name in dict.fromkeys(names) if name in known][:N_SCRIPTS]
    attempts = [run.attempt(known[name].ref) for name in wanted]
    return [
        Quote(
            attempt=attempt.id,
            what="script",
            text=run.artifacts.get(str(attempt.script)),
            why=_describe_outcome(attempt),
        )
        for attempt in attempts
    ]


def quote_changes(
    run: Run, heads: Sequence[str | None], hints: Sequence[Hint], path: Sequence[str]
) -> list[Quote]:
    """Return the changes behind the strongest recalled successes that the script lacks."""
    known = quotable_attempts(run, heads)
    helpful = [
        hint
        for hint in hints
        if hint.kind == "accepted" and hint.weight >= MIN_HINT_WEIGHT and hint.attempt not in path
    ]
    quotes = [_quote_change(run, known, hint) for hint in helpful]
    return [quote for quote in quotes if quote.text.strip()][:N_CHANGES]


def _quote_change(run: Run, known: dict[str, HistoryEntry], hint: Hint) -> Quote:
    """The change of one hint: from this run's scripts, else as the memory stored it."""
    if hint.attempt not in known:
        why = f"{hint.hypothesis[:160]}; gain {hint.gain:+.3g}, {hint.where[:120]}"
        return Quote(attempt=hint.attempt, what="change", text=hint.change, why=why)
    attempt = run.attempt(known[hint.attempt].ref)
    parent = known.get(attempt.parent or "")
    before = run.attempt(parent.ref).script if parent else None
    text = diff_artifacts(run, before, attempt.script)
    why = f"{attempt.summary[:160]}; {_describe_outcome(attempt)}"
    return Quote(attempt=attempt.id, what="change", text=text, why=why)


def _describe_outcome(attempt: Attempt) -> str:
    gain = f", gain {attempt.gain:+.3g}" if attempt.gain is not None else ""
    score = f", score {attempt.score:.5g}" if attempt.score is not None else ""
    return f"{attempt.verdict}{gain}{score}"


async def ask_update(run: Run, brief: UpdateBrief, heads: Sequence[str | None]) -> Solution:
    """Ask for an update; when the reasoner first asks for recorded scripts, ask again with them.

    Raises:
        ReasonerError: there is no usable answer.
    """
    first = await ask_script(run.reasoner.update, brief)
    if not first.take_from or first.script or first.ensemble:
        return first
    quotes = [*quote_scripts(run, heads, first.take_from), *brief.quotes]
    again = brief.model_copy(update={"quotes": quotes, "may_ask": False})
    try:
        second = await ask_script(run.reasoner.update, again)
    except ReasonerError as error:
        raise ReasonerError(str(error), first.usage + error.usage) from error
    return second.model_copy(update={"usage": first.usage + second.usage})
