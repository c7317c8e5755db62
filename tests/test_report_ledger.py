"""The ledger: claims revised by measurements, whose numbers nobody but the harness sets."""

from __future__ import annotations

import random
from typing import Any

import pytest

from report.ledger import (
    FORGET_BATCH,
    MAX_CLAIMS,
    N_LINES,
    Ledger,
    claims_tried_by,
    make_ledger,
    select_claims,
)

Event = dict[str, Any]


def idea(statement: str, name: str = "h1", **more: Any) -> Event:
    return {"id": name, "statement": statement, "component": "model", **more}


def diagnosed(trace: int, *ideas: Event, revisions: list[Event] | None = None) -> Event:
    return {
        "ev": "diagnosed",
        "trace": trace,
        "hypotheses": list(ideas),
        "revisions": revisions or [],
    }


def updated(attempt: str, hypothesis: Event) -> Event:
    return {"ev": "updated", "trace": int(attempt[1]), "attempt": attempt, "hypothesis": hypothesis}


def attempt(
    name: str, statement: str, verdict: str, gain: float | None = None, **more: Any
) -> Event:
    scores = {"score": 0.8, "gain": gain, "gain_se": 0.001} if verdict != "failed" else {}
    codes = ["worse"] if verdict == "rejected" else []
    base = {"ev": "attempt", "id": name, "trace": int(name[1]), "step": int(name[3:])}
    base |= {"hypothesis": statement, "verdict": verdict, "codes": codes, "from_best": True}
    return base | scores | more


def only_claim(events: list[Event]) -> Any:
    (claim,) = make_ledger(events).claims.values()
    return claim


@pytest.mark.parametrize(
    ("results", "state"),
    [
        ([("accepted", 0.003)], "supported"),
        ([("rejected", -0.003)], "refuted"),
        ([("tie", 0.0002)], "open"),
        ([("failed", None)], "open"),
        ([("accepted", 0.002), ("tie", 0.0001)], "supported"),
        ([("accepted", 0.006), ("rejected", -0.002)], "supported"),
        ([("accepted", 0.0025), ("rejected", -0.002)], "open"),
        ([("accepted", 0.0015), ("rejected", -0.006)], "refuted"),
    ],
)
def test_new_measurements_revise_a_claim_instead_of_adding_a_line(
    results: list[tuple[str, float | None]], state: str
) -> None:
    events: list[Event] = []
    for step, (verdict, gain) in enumerate(results):
        name = f"t{step % 2}s{step}"
        events += [
            diagnosed(step % 2, idea("Use log targets.")),
            updated(name, idea("use log targets")),
        ]
        events.append(attempt(name, "use log targets", verdict, gain))
    claim = only_claim(events)
    assert (claim.state, len(claim.measured)) == (state, len(results))


def test_noise_on_the_same_rows_does_not_average_out() -> None:
    claim = only_claim([attempt(f"t0s{k}", "bag", "tie", 0.0009) for k in range(9)])
    gain, se = claim.mean_gain
    assert gain == pytest.approx(0.0009) and se == pytest.approx(0.001)  # not .001 / 3
    assert claim.state == "open"


def test_a_loss_from_an_earlier_solution_refutes_nothing() -> None:
    lost = attempt("t0s1", "bag", "rejected", -0.004, from_best=False, mode="backtrack")
    won = attempt("t0s2", "bag", "accepted", 0.004, from_best=False, mode="backtrack")
    assert only_claim([lost]).state == "open"
    assert only_claim([lost, won]).state == "supported"
    draft = attempt("t0s3", "trees", "rejected", -0.004, from_best=False, mode="draft")
    assert only_claim([draft]).state == "refuted"  # a draft is always compared with the best


def test_what_is_tried_is_known_from_the_choice_until_the_result() -> None:
    first, second = idea("bag", "h1"), idea("stack", "h2")
    events = [diagnosed(0, first, second), updated("t0s1", idea("stack two levels", "h2"))]
    ledger = make_ledger(events)
    names = {claim.text: claim.id for claim in ledger.claims.values()}
    assert claims_tried_by(ledger, names["stack two levels"]) == [(0, "t0s1")]
    assert "stack" not in names  # the words that are acted upon, on the same line
    assert ledger.claims[names["bag"]].proposed_by == 0
    ledger = make_ledger([*events, attempt("t0s1", "stack two levels", "tie", 0.0)])
    assert not ledger.trying and len(ledger.claims) == 2


def test_a_model_changes_words_and_lines_but_never_numbers() -> None:
    events = [
        attempt("t0s1", "add log of price", "accepted", 0.004),
        attempt("t1s1", "take the logarithm of price", "rejected", -0.001),
        attempt("t0s2", "deeper trees", "tie", 0.0),
    ]
    revisions: list[Event] = [
        {"id": "K1", "claim": "log of price helps", "merge": ["K2", "K9", "K1"], "gain": 9.0},
        {"id": "K2", "claim": "a line that is gone"},
        {"id": "K7", "claim": "no such line"},
    ]
    ledger = make_ledger([*events, diagnosed(0, revisions=revisions)])
    merged, gone, other = ledger.claims.values()
    assert merged.text == "log of price helps" and merged.state == "supported"
    assert [(each.attempt, each.gain) for each in merged.measured] == [
        ("t0s1", 0.004),
        ("t1s1", -0.001),
    ]
    assert (gone.state, gone.into, other.state) == ("superseded", "K1", "open")
    again = attempt("t1s2", "take the logarithm of price", "accepted", 0.003)
    ledger = make_ledger([*events, diagnosed(0, revisions=revisions), again])
    assert [each.attempt for each in ledger.claims["K1"].measured] == ["t0s1", "t1s1", "t1s2"]


def test_a_hypothesis_may_name_the_claim_that_it_tests_again() -> None:
    first = attempt("t0s1", "bag ten models", "tie", 0.0005)
    again = idea("bag fifty models, seeds 1 to 50", claim="K1")
    events = [first, diagnosed(0, again), updated("t0s2", again)]
    events.append(attempt("t0s2", again["statement"], "accepted", 0.003, claim="K1"))
    claim = only_claim(events)
    assert claim.state == "supported" and claim.text == "bag ten models"


def test_the_experts_moves_name_claims() -> None:
    events = [
        attempt("t0s1", "blend with linear", "accepted", 0.002, move="blend:linear"),
        attempt("t1s1", "blend with a linear model", "tie", 0.0, move="blend:linear"),
    ]
    assert [each.attempt for each in only_claim(events).measured] == ["t0s1", "t1s1"]


def test_the_blend_of_a_merge_takes_the_place_of_the_one_before() -> None:
    def blend(number: int, verdict: str, gain: float) -> Event:
        members = {"t0s1": {"weight": 0.7}, f"t1s{number}": {"weight": 0.3}}
        place = {"trace": -1, "step": number, "mode": "ensemble", "from_best": False}
        event = attempt("t0s0", "blend of t0s1 0.70", verdict, gain, members=members, **place)
        return event | {"id": f"m{number}"}

    drafted = {"ev": "drafted", "trace": 0, "attempt": "t0s1", "summary": "boosted trees"}
    first = attempt(
        "t0s1", "boosted trees", "accepted", None, summary="boosted trees", mode="draft"
    )
    ledger = make_ledger([drafted, first, blend(0, "tie", 0.001), blend(1, "accepted", 0.003)])
    _, old, new = ledger.claims.values()
    assert (old.state, old.into, new.state) == ("superseded", new.id, "supported")
    assert "t0s1 0.70 (boosted trees)" in new.text


def test_hints_and_findings_are_open_lines_until_something_measures_them() -> None:
    hint = {"ev": "hinted", "trace": None, "text": "try ratios of prices"}
    found = {"ev": "probed", "trace": 0, "question": "do rows share a text?", "script": "ab"}
    ledger = make_ledger([hint, hint, found, found, {"ev": "probed", "question": "no answer"}])
    assert [(claim.source, claim.state) for claim in ledger.claims.values()] == [
        ("person", "open"),
        ("probe", "open"),
    ]
    tested = attempt("t0s1", "ratios of prices", "accepted", 0.003, claim="K1")
    assert make_ledger([hint, found, tested]).claims["K1"].state == "supported"
    restated = {"ev": "diagnosed", "trace": 1, "revisions": [{"id": "K2", "claim": "12 % do"}]}
    known = make_ledger([hint, found, restated]).claims["K2"]
    assert (known.text, known.source) == ("12 % do", "probe")


def test_the_table_is_bounded_and_counts_what_it_folds() -> None:
    rng = random.Random(3)
    events = []
    for step in range(3 * MAX_CLAIMS):
        verdict = rng.choice(["accepted", "tie", "rejected", "failed"])
        gain = {"accepted": 0.002, "rejected": -0.002}.get(verdict, 0.0) * (1 + rng.random())
        events.append(attempt(f"t0s{step}", f"idea {step}", verdict, gain))
    ledger = make_ledger(events)
    page = select_claims(ledger)
    assert (
        MAX_CLAIMS <= len(ledger.claims) <= MAX_CLAIMS + FORGET_BATCH
        and len(page.claims) == N_LINES
    )
    assert len(page.claims) + sum(page.folded.values()) == len(events)
    strongest = max(
        (claim for claim in ledger.claims.values() if claim.state == "supported"),
        key=lambda claim: (claim.best.z if claim.best else None) or 0.0,
    )
    assert strongest in page.claims and f"idea {len(events) - 1}" in {
        claim.text for claim in page.claims if claim.state != "supported"
    } | {claim.text for claim in ledger.claims.values() if claim.state == "supported"}


def test_hostile_events_cannot_break_or_flood_the_ledger() -> None:
    junk: list[Any] = [None, 7, "x" * 10**6, ["\x1b[2J"], {"a": {}}, float("nan"), True, -1, 10**30]
    rng = random.Random(5)
    kinds = ("drafted", "diagnosed", "updated", "attempt", "hinted", "probed")
    names = ["trace", "attempt", "id", "hypothesis", "hypotheses", "revisions", "verdict", "gain"]
    names += (
        "question",
        "script",
        "gain_se",
        "members",
        "claim",
        "text",
        "move",
        "codes",
        "reasons",
        "source",
        "statement",
    )
    ledger = Ledger()
    events = [
        {
            "ev": rng.choice(kinds),
            **{name: rng.choice([*junk, [{"id": "K1", "merge": junk}]]) for name in names},
        }
        for _ in range(600)
    ]
    ledger = make_ledger(events)
    assert len(ledger.claims) <= MAX_CLAIMS + FORGET_BATCH
    assert all(
        len(claim.text) <= 480 and claim.text.isprintable() for claim in ledger.claims.values()
    )
    assert all(claim.state for claim in ledger.claims.values())
    select_claims(ledger)
