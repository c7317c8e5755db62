"""The ledger: what a run has learnt, as one bounded table of claims.

A pure projection of events: a claim comes from a hypothesis, a draft, a blend, a person's hint or a
probe; attempts measure it, and a reasoner may restate or merge claims. The numbers are those of the
attempts alone. Nothing in an event is trusted: texts are cleaned and bounded, numbers checked.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from report.formatting import as_mapping, bounded_list, clean_text, finite_number, whole_number
from report.variants import describe_line, parse_variants

Event = Mapping[str, object]
State = Literal["open", "supported", "refuted", "superseded"]
STATES: tuple[State, ...] = ("supported", "open", "refuted", "superseded")
N_LINES = 24  # claims that prompt, report and terminal show
N_SUPPORTED = 12  # of them supported ones, the strongest
N_UNMEASURED = 6  # of them ideas and findings without a measurement, the latest
MAX_CLAIMS = 200  # claims that are remembered; older ones are only counted
FORGET_BATCH = 50  # claims above the bound that are forgotten at once
MAX_MEASURED = 16  # measurements of one claim that are remembered, the latest
MAX_IDEAS, MAX_REVISIONS, MAX_MERGED = 8, 12, 12  # of one diagnosis
MAX_HINTS = 40  # a person's hints that become claims
CLAIM_CHARS, NOTE_CHARS = 240, 200
MERGE_TRACE = -1  # the trace of blends that a merge makes


@dataclass(frozen=True)
class Measurement:
    """One attempt that tested a claim; `gain` is in metric units, positive is better.

    `elsewhere`: it started from an earlier solution than the best and did not beat the best, which
    says nothing about the claim.
    """

    attempt: str
    trace: int
    verdict: str
    gain: float | None = None
    gain_se: float | None = None
    score: float | None = None
    score_se: float | None = None
    elsewhere: bool = False
    note: str = ""

    @property
    def z(self) -> float | None:
        """Gain in noise units: its own standard errors."""
        if self.gain is None or not self.gain_se or self.gain_se <= 0:
            return None
        return self.gain / self.gain_se

    @property
    def supports(self) -> bool:
        """Whether the attempt was better beyond noise."""
        return self.verdict == "accepted"

    @property
    def refutes(self) -> bool:
        """Whether the attempt was worse beyond noise, or refused."""
        return self.verdict == "rejected" and not self.elsewhere


@dataclass(frozen=True)
class Claim:
    """One line of the ledger."""

    id: str
    text: str
    source: str = "hypothesis"
    component: str = ""
    move: str | None = None
    measured: tuple[Measurement, ...] = ()
    proposed_by: int | None = None
    into: str = ""  # the claim that took its place
    touched: int = 0  # rank in time of its last change

    @property
    def state(self) -> State:
        """What the measurements say; contradictory ones are decided by their mean beyond noise."""
        if self.into:
            return "superseded"
        n_for = sum(each.supports for each in self.measured)
        n_against = sum(each.refutes for each in self.measured)
        if n_for and n_against:
            gain, se = self.mean_gain
            if gain is None or se is None or abs(gain) <= se:
                return "open"
            return "supported" if gain > 0 else "refuted"
        if n_for:
            return "supported"
        return "refuted" if n_against else "open"

    @property
    def mean_gain(self) -> tuple[float | None, float | None]:
        """Mean gain over the comparable measurements, and its standard error.

        All measurements are on the same rows, so their noise does not average out: the error is
        the mean of theirs.
        """
        known = [
            (each.gain, each.gain_se)
            for each in self.measured
            if each.gain is not None and each.gain_se and not each.elsewhere
        ]
        if not known:
            return None, None
        weights = [1 / se**2 for _, se in known]
        total = sum(weights)
        pairs = list(zip(weights, known, strict=True))
        gain = sum(weight * gain for weight, (gain, _) in pairs) / total
        return gain, sum(weight * se for weight, (_, se) in pairs) / total

    @property
    def best(self) -> Measurement | None:
        """The measurement that says most: the largest gain, or the clearest loss if refuted."""
        graded = [each for each in self.measured if each.score is not None]
        if not graded:
            return self.measured[-1] if self.measured else None
        sign = -1 if self.state == "refuted" else 1
        return max(graded, key=lambda each: (each.z is not None, sign * (each.z or 0.0)))

    def count(self, verdict: str) -> int:
        """Return how many attempts ended with this verdict."""
        return sum(each.verdict == verdict for each in self.measured)


@dataclass(frozen=True)
class Ledger:
    """All claims of a run by id, and what is being tried now: trace -> (claim, attempt)."""

    claims: Mapping[str, Claim] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)  # words or move -> claim
    ideas: Mapping[str, str] = field(default_factory=dict)  # trace/hypothesis -> claim
    trying: Mapping[int, tuple[str, str]] = field(default_factory=dict)
    summaries: Mapping[str, str] = field(default_factory=dict)  # attempt -> what it is
    forgotten: Mapping[str, int] = field(default_factory=dict)  # state -> claims
    n_created: int = 0
    clock: int = 0


@dataclass(frozen=True)
class LedgerPage:
    """The claims worth showing, most important first, and the number of others by state."""

    claims: tuple[Claim, ...]
    folded: Mapping[str, int]


def apply_to_ledger(ledger: Ledger, event: Event) -> Ledger:
    """Return the ledger after one more event."""
    kind = event.get("ev")
    handler = HANDLERS.get(kind) if isinstance(kind, str) else None
    if handler is None:
        return ledger
    return _forget_claims(handler(replace(ledger, clock=ledger.clock + 1), event))


def make_ledger(events: Iterable[Event]) -> Ledger:
    """Return the ledger of these events."""
    ledger = Ledger()
    for event in events:
        ledger = apply_to_ledger(ledger, event)
    return ledger


def select_claims(ledger: Ledger, limit: int = N_LINES) -> LedgerPage:
    """Return at most `limit` claims: tried now, supported, then the latest measured and open."""
    alive = [claim for claim in ledger.claims.values() if not claim.into]
    tried = {claim for claim, _ in ledger.trying.values()}
    latest = sorted(alive, key=lambda claim: -claim.touched)
    strongest = sorted(alive, key=lambda claim: (-_strength(claim), -claim.touched))
    groups = (
        [claim for claim in latest if claim.id in tried],
        [claim for claim in strongest if claim.state == "supported"][:N_SUPPORTED],
        [claim for claim in latest if claim.measured and claim.state != "supported"],
        [claim for claim in latest if not claim.measured][:N_UNMEASURED],
    )
    chosen = {claim.id: claim for group in groups for claim in group}
    shown = tuple(chosen.values())[:limit]
    names = {claim.id for claim in shown}
    others = Counter(claim.state for claim in ledger.claims.values() if claim.id not in names)
    folded = {state: others[state] + ledger.forgotten.get(state, 0) for state in STATES}
    return LedgerPage(shown, {state: n for state, n in folded.items() if n})


def _strength(claim: Claim) -> float:
    """Noise units of the best gain; a claim without a comparison comes after all that have one."""
    best = claim.best
    return best.z if best is not None and best.z is not None else -1e9


def claims_tried_by(ledger: Ledger, claim: str) -> list[tuple[int, str]]:
    """Return (trace, attempt) of each trace that is trying the claim now."""
    return [(trace, each[1]) for trace, each in sorted(ledger.trying.items()) if each[0] == claim]


def normalise_claim(text: str) -> str:
    """Return the words of a claim, which identify it."""
    return " ".join(re.findall(r"\w+", text.lower()))


# claims by name


def _put_claim(ledger: Ledger, claim: Claim) -> Ledger:
    touched = replace(claim, touched=ledger.clock)
    return replace(ledger, claims={**ledger.claims, claim.id: touched})


def _create_claim(
    ledger: Ledger, key: str, text: str, source: str, **fields: object
) -> tuple[Ledger, str]:
    name = f"K{ledger.n_created + 1}"
    made = replace(
        ledger,
        n_created=ledger.n_created + 1,
        keys={**ledger.keys, key: name} if key else ledger.keys,
    )
    claim = replace(Claim(id=name, text=text, source=source), **fields)  # type: ignore[arg-type]
    return _put_claim(made, claim), name


def _living_claim(ledger: Ledger, name: str | None) -> str | None:
    """Follow a claim to the one that took its place; None if it is not known."""
    for _ in range(MAX_CLAIMS):
        claim = ledger.claims.get(name or "")
        if claim is None or not claim.into:
            return claim.id if claim else None
        name = claim.into
    return None


def _claim_of_idea(
    ledger: Ledger, idea: Event, trace: int, source: str = "hypothesis"
) -> tuple[Ledger, str | None]:
    """Find the claim that a hypothesis tests, or make one.

    It is the line that the hypothesis names, else the one of its move, of its words, or of the
    proposal that it was made from.
    """
    text = clean_text(idea.get("statement"), CLAIM_CHARS)
    move = clean_text(idea.get("move"), 100) or None
    words = normalise_claim(text)
    key = f"move {move}" if move else f"{source} {words}"
    place = f"{trace}/{clean_text(idea.get('id'), 60)}"
    named = clean_text(idea.get("claim"), 12) or None
    for name in (named, ledger.keys.get(key), ledger.ideas.get(place)):
        if known := _living_claim(ledger, name):
            return _reword_idea(ledger, known, text, key), known
    if not words:
        return ledger, None
    component = clean_text(idea.get("component"), 20)
    return _create_claim(ledger, key, text, source, component=component, move=move)


def _reword_idea(ledger: Ledger, name: str, text: str, key: str) -> Ledger:
    """An idea that was changed before it was measured takes the words that are acted upon."""
    claim = ledger.claims[name]
    if claim.measured or claim.source != "hypothesis" or not text or claim.text == text:
        return ledger
    renamed = replace(ledger, keys={**ledger.keys, key: name})
    return _put_claim(renamed, replace(claim, text=text))


def _forget_claims(ledger: Ledger) -> Ledger:
    """Drop the oldest claims above the bound and count them: superseded, unmeasured, refuted."""
    n_over = len(ledger.claims) - MAX_CLAIMS
    if n_over <= FORGET_BATCH:
        return ledger
    order = {"superseded": 0, "open": 1, "refuted": 2, "supported": 3}
    tried = {claim for claim, _ in ledger.trying.values()}
    ranked = sorted(
        (claim for claim in ledger.claims.values() if claim.id not in tried),
        key=lambda claim: (order[claim.state], bool(claim.measured), claim.touched),
    )
    gone = {claim.id: claim.state for claim in ranked[:n_over]}
    forgotten = Counter(ledger.forgotten) + Counter(gone.values())
    return replace(
        ledger,
        claims={name: claim for name, claim in ledger.claims.items() if name not in gone},
        keys={key: name for key, name in ledger.keys.items() if name not in gone},
        ideas={place: name for place, name in ledger.ideas.items() if name not in gone},
        forgotten=dict(forgotten),
    )


# events


def _on_diagnosed(ledger: Ledger, event: Event) -> Ledger:
    trace = whole_number(event.get("trace"), MERGE_TRACE)
    rest = {
        place: name for place, name in ledger.ideas.items() if not place.startswith(f"{trace}/")
    }
    ledger = replace(ledger, ideas=rest)
    for item in bounded_list(event.get("hypotheses"), MAX_IDEAS):
        idea = as_mapping(item)
        ledger, name = _claim_of_idea(ledger, idea, trace)
        if name is None:
            continue
        claim = ledger.claims[name]
        if not claim.measured:
            ledger = _put_claim(ledger, replace(claim, proposed_by=trace))
        place = f"{trace}/{clean_text(idea.get('id'), 60)}"
        ledger = replace(ledger, ideas={**ledger.ideas, place: name})
    for item in bounded_list(event.get("revisions"), MAX_REVISIONS):
        ledger = _revise_claim(ledger, as_mapping(item))
    return ledger


def _revise_claim(ledger: Ledger, revision: Event) -> Ledger:
    """Restate a claim, and merge others into it; measurements move, numbers stay."""
    name = clean_text(revision.get("id"), 12)
    claim = ledger.claims.get(name)
    if claim is None or claim.into:
        return ledger
    merged = [clean_text(item, 12) for item in bounded_list(revision.get("merge"), MAX_MERGED)]
    for other_name in dict.fromkeys(merged):
        other = ledger.claims.get(other_name)
        if other is None or other.into or other_name == name:
            continue
        claim = replace(claim, measured=_join_measured(claim.measured, other.measured))
        ledger = _put_claim(ledger, replace(other, into=name))
        trying = {
            trace: (name if each[0] == other_name else each[0], each[1])
            for trace, each in ledger.trying.items()
        }
        ledger = replace(ledger, trying=trying)
    text = clean_text(revision.get("claim"), CLAIM_CHARS)
    return _put_claim(ledger, replace(claim, text=text or claim.text))


def _join_measured(
    one: tuple[Measurement, ...], two: tuple[Measurement, ...]
) -> tuple[Measurement, ...]:
    joined = {each.attempt: each for each in (*one, *two)}
    return tuple(joined.values())[-MAX_MEASURED:]


def _on_drafted(ledger: Ledger, event: Event) -> Ledger:
    trace, attempt = whole_number(event.get("trace"), MERGE_TRACE), _attempt_id(event, "attempt")
    idea = {"statement": event.get("summary")}
    ledger, name = _claim_of_idea(ledger, idea, trace, "draft")
    return _start_trying(ledger, trace, name, attempt)


def _on_updated(ledger: Ledger, event: Event) -> Ledger:
    trace, attempt = whole_number(event.get("trace"), MERGE_TRACE), _attempt_id(event, "attempt")
    if event.get("remeasure"):  # no idea of its own
        return ledger
    idea = as_mapping(event.get("hypothesis")) or {"statement": event.get("summary")}
    ledger, name = _claim_of_idea(ledger, idea, trace)
    return _start_trying(ledger, trace, name, attempt)


def _start_trying(ledger: Ledger, trace: int, name: str | None, attempt: str) -> Ledger:
    if name is None or not 0 <= trace < 256:
        return ledger
    return replace(ledger, trying={**ledger.trying, trace: (name, attempt)})


def _attempt_id(event: Event, key: str) -> str:
    return clean_text(event.get(key), 40)


def _on_attempt(ledger: Ledger, event: Event) -> Ledger:
    trace, attempt = whole_number(event.get("trace"), MERGE_TRACE), _attempt_id(event, "id")
    name, tried = ledger.trying.get(trace, (None, ""))
    ledger = replace(
        ledger,
        trying={other: each for other, each in ledger.trying.items() if other != trace},
        summaries=_remember_summary(ledger, attempt, event),
    )
    if trace == MERGE_TRACE:
        return _measure_blend(ledger, event, attempt)
    if event.get("kind") == "remeasure":
        return _measure_again(ledger, event, _measurement(event, attempt, trace))
    if not name or tried != attempt:
        idea = {**event, "statement": event.get("hypothesis"), "id": ""}
        source = "draft" if event.get("mode") == "draft" else "hypothesis"
        ledger, name = _claim_of_idea(ledger, idea, trace, source)
    return _measure_claim(ledger, name, _measurement(event, attempt, trace))


def _measure_again(ledger: Ledger, event: Event, measurement: Measurement) -> Ledger:
    """An attempt under a further seed: its claim gets the comparison, or the mean where none is."""
    measured_id = _attempt_id(event, "parent")
    claims = [claim for claim in ledger.claims.values() if not claim.into]
    claim = next(
        (one for one in claims if any(each.attempt == measured_id for each in one.measured)), None
    )
    if claim is None or measurement.verdict == "failed":
        return ledger
    if measurement.gain is not None:
        return _measure_claim(ledger, claim.id, measurement)
    note = "; ".join(clean_text(item, NOTE_CHARS) for item in bounded_list(event.get("reasons"), 1))
    measured = tuple(
        replace(each, score=measurement.score, note=note) if each.attempt == measured_id else each
        for each in claim.measured
    )
    return _put_claim(ledger, replace(claim, measured=measured))


def _remember_summary(ledger: Ledger, attempt: str, event: Event) -> Mapping[str, str]:
    text = clean_text(event.get("summary") or event.get("hypothesis"), 120)
    return dict(list({**ledger.summaries, attempt: text}.items())[-MAX_CLAIMS:])


def _measure_blend(ledger: Ledger, event: Event, attempt: str) -> Ledger:
    """A blend of a merge: one line, in whose place the next blend comes."""
    weights = {
        clean_text(name, 40): finite_number(as_mapping(member).get("weight")) or 0.0
        for name, member in list(as_mapping(event.get("members")).items())[:12]
    }
    ranked = sorted(weights.items(), key=lambda item: -item[1])
    parts = [
        f"{name} {weight:.2f} ({ledger.summaries.get(name, '')[:60]})" for name, weight in ranked
    ]
    text = clean_text("blend of all traces: " + ", ".join(parts[:4]), CLAIM_CHARS)
    earlier = _living_claim(ledger, ledger.keys.get("merge"))
    ledger, name = _create_claim(ledger, "merge", text, "blend", component="ensemble")
    if earlier:
        ledger = _put_claim(ledger, replace(ledger.claims[earlier], into=name))
    return _measure_claim(ledger, name, _measurement(event, attempt, MERGE_TRACE))


def _measure_claim(ledger: Ledger, name: str | None, measurement: Measurement) -> Ledger:
    claim = ledger.claims.get(name or "")
    if claim is None:
        return ledger
    measured = _join_measured(claim.measured, (measurement,))
    return _put_claim(ledger, replace(claim, measured=measured, proposed_by=None))


def _measurement(event: Event, attempt: str, trace: int) -> Measurement:
    verdict = clean_text(event.get("verdict"), 10)
    se = finite_number(event.get("gain_se"))
    is_compared = event.get("from_best") is not False or event.get("mode") in ("draft", "ensemble")
    return Measurement(
        attempt=attempt,
        trace=trace,
        verdict=verdict if verdict in ("accepted", "tie", "rejected") else "failed",
        gain=finite_number(event.get("gain")),
        gain_se=se if se is not None and se >= 0 else None,
        score=finite_number(event.get("score")),
        score_se=finite_number(event.get("score_se")),
        elsewhere=not is_compared and verdict != "accepted",
        note=_describe_result(event, verdict),
    )


def _describe_result(event: Event, verdict: str) -> str:
    """Its line, why it failed or was refused for another reason than a loss, and its repairs."""
    cause, fix = (clean_text(event.get(name), NOTE_CHARS // 2) for name in ("cause", "fix"))
    repairs = f"cause: {cause}; fix tried: {fix}" if cause else ""
    if verdict in ("accepted", "tie") or "worse" in bounded_list(event.get("codes")):
        line = describe_line(parse_variants(event))
        return "; ".join(
            [line] * bool(line) + [f"crashed at first, repaired; {repairs}"] * bool(repairs)
        )
    reasons = [clean_text(item, NOTE_CHARS) for item in bounded_list(event.get("reasons"), 2)]
    return "; ".join([clean_text("; ".join(reasons), NOTE_CHARS), repairs]).strip("; ")


def _on_steps_confirmed(ledger: Ledger, event: Event) -> Ledger:
    """Ties that were stepped on and are accepted now, together with a later attempt."""
    steps = {clean_text(item, 40) for item in bounded_list(event.get("steps"), MAX_MEASURED)}
    for claim in list(ledger.claims.values()):
        if any(each.attempt in steps and each.verdict == "tie" for each in claim.measured):
            measured = tuple(
                replace(each, verdict="accepted", note=f"with {_attempt_id(event, 'attempt')}")
                if each.attempt in steps and each.verdict == "tie"
                else each
                for each in claim.measured
            )
            ledger = _put_claim(ledger, replace(claim, measured=measured))
    return ledger


def _on_hinted(ledger: Ledger, event: Event) -> Ledger:
    text = clean_text(event.get("text"), 2 * CLAIM_CHARS)
    key = f"person {normalise_claim(text)}"
    n_hints = sum(claim.source == "person" for claim in ledger.claims.values())
    if not text or key in ledger.keys or n_hints >= MAX_HINTS:
        return ledger
    return _create_claim(ledger, key, text, "person")[0]


def _on_probed(ledger: Ledger, event: Event) -> Ledger:
    """A look at the data: its question, until a diagnosis puts what it showed into words."""
    text = clean_text(event.get("question"), CLAIM_CHARS)
    key = f"probe {normalise_claim(text)}"
    if not text or not event.get("script") or key in ledger.keys:
        return ledger
    return _create_claim(ledger, key, text, "probe")[0]


HANDLERS: dict[str, Callable[[Ledger, Event], Ledger]] = {
    "drafted": _on_drafted,
    "steps_confirmed": _on_steps_confirmed,
    "diagnosed": _on_diagnosed,
    "updated": _on_updated,
    "attempt": _on_attempt,
    "hinted": _on_hinted,
    "probed": _on_probed,
}
