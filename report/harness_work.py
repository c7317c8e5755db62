"""What the harness did beside the attempts, in words: its baseline, and its rehearsals."""

from __future__ import annotations

from report.formatting import (
    clean_text,
    finite_number,
    format_comparison,
    format_duration,
    format_improvement,
    format_plural,
    format_score,
    whole_number,
)
from report.model import Event, RunView

MAX_REHEARSALS = 200


def describe_baseline(event: Event | None, metric: str) -> str:
    """Say what the baseline is: `plain model, auc 0.7812 ± 0.0121`; empty without one."""
    if event is None:
        return ""
    score = finite_number(event.get("score"))
    parts = [clean_text(event.get("method"), 40)]
    if score is not None:
        parts.append(f"{metric} {format_score(score, finite_number(event.get('se')))}")
    return ", ".join(part for part in parts if part)


def best_text(view: RunView, *, with_se: bool = True) -> str:
    """The score of what best/ has, of the baseline where no attempt was accepted; a dash without.

    With its standard error, or without: `0.7812 ± 0.0121`, `baseline 0.7812`.
    """
    if (best := view.best_attempt) is not None:
        return format_score(best.score, best.score_se if with_se else None)
    if view.baseline is None:
        return "–"
    score, se = (finite_number(view.baseline.get(name)) for name in ("score", "se"))
    text = format_score(score, se if with_se else None) if score is not None else ""
    return f"baseline {text}".strip()


def baseline_sentence(view: RunView) -> str:
    """Compare the best attempt with the baseline in one sentence; empty without a baseline."""
    text = describe_baseline(view.baseline, view.metric)
    if not text or view.baseline is None:
        return ""
    best, score = view.best_attempt, finite_number(view.baseline.get("score"))
    if best is None:
        return f"Baseline of the harness, until an attempt is accepted: {text}."
    if score is None or best.score is None:
        return f"Baseline of the harness: {text}."
    difference = (best.score - score) * (1 if view.rising else -1)
    comparison = format_comparison(difference, "it", rising=view.rising)
    sentence = f"Baseline of the harness: {text}; the best attempt is {comparison}."
    return " ".join(part for part in (sentence, unbeaten_sentence(view)) if part)


def unbeaten_sentence(view: RunView) -> str:
    """Say that nothing beats the baseline beyond noise, where that is so; else empty."""
    over = (view.final or {}).get("over_baseline")
    if not isinstance(over, dict) or over.get("beaten") is not False:
        return ""
    gain = format_improvement(
        finite_number(over.get("d")), finite_number(over.get("se")), rising=view.rising
    )
    method = clean_text(over.get("method"), 40)
    return f"Nothing beats the baseline ({method}) by more than noise: {gain} against it."


def describe_average(view: RunView) -> str:
    """Say over how many seeds the submission is averaged, and what that brought; else empty."""
    known = (view.final or {}).get("averaged")
    known = known if isinstance(known, dict) else {}
    n_kept, n_tried = whole_number(known.get("rounds")), whole_number(known.get("tried"))
    gain = finite_number(known.get("gain"))
    if n_tried < 2 or gain is None:
        return ""
    if n_kept < 2:
        return f"not averaged: {n_tried} seeds were run, and their average is no better"
    comparison = format_comparison(gain, "one of them on average", rising=view.rising)
    return f"the submission is the average over {n_kept} seeds: {comparison}, out of fold"


def describe_rehearsal(event: Event) -> str:
    """Describe a rehearsal in one line."""
    rows, total = whole_number(event.get("rows")), whole_number(event.get("of"))
    text = (
        f"on {rows:,} of {total:,} rows in {format_duration(finite_number(event.get('seconds')))}"
    )
    if event.get("failed") is True:
        return f"failed {text}: repaired first, no execution spent"
    expected = finite_number(event.get("expected_s"))
    return f"{text}; all rows would take about {format_duration(expected)}"


def rehearsal_sentence(view: RunView) -> str:
    """Say how many rehearsals there were and what they found; empty without any."""
    if not view.rehearsals:
        return ""
    n_failed = sum(event.get("failed") is True for event in view.rehearsals)
    seconds = sum(finite_number(event.get("seconds")) or 0.0 for event in view.rehearsals)
    text = f"{format_plural(len(view.rehearsals), 'rehearsal')} on a sample of the rows took"
    text += f" {format_duration(seconds)} and no execution"
    if not n_failed:
        return f"{text}."
    return f"{text}; {n_failed} found a failure before the whole script was spent."


def rehearsal_lines(view: RunView) -> list[str]:
    """Describe the latest rehearsals, a line each."""
    return [
        f"{clean_text(event.get('attempt'), 100)} {describe_rehearsal(event)}"
        for event in view.rehearsals[-50:]
    ]
