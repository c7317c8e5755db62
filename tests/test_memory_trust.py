"""Verification before trust: what may be offered as a hint."""

from __future__ import annotations

from test_memory_recall import a_record
from test_memory_store import hypotheses, open_at, told  # noqa: F401  fixtures

from memory.protocol import Record
from memory.recall import omega
from memory.trust import confirmed, trust


def known(gain: float, **changes: object) -> Record:
    return a_record("x", gain=gain, se=1.0).model_copy(update=changes)


def test_one_measurement_is_enough_from_164_standard_errors_on() -> None:
    assert [trust(known(gain)) for gain in (1.63, 1.65)] == ["weak", "verified"]


def test_weak_measurements_of_one_wording_are_enough_together_and_a_refutation_takes_it_back() -> (
    None
):
    weak = [known(1.2, run="a"), known(1.2, run="b")]
    assert confirmed(weak[:1], ["x"]) == [False]
    assert confirmed(weak, ["x", "x"]) == [True, True]
    assert confirmed(weak, ["x", "y"]) == [False, False]
    assert confirmed([*weak, known(-2.0, kind="refuted")], ["x"] * 3) == [False, False, True]


def test_an_absurd_jump_neither_votes_nor_shows_until_another_run_sees_it_too() -> None:
    absurd = known(9.0, left=0.001, run="a")
    assert trust(absurd) == "quarantined" and omega(absurd, "t") == 0.0
    again = known(9.0, left=0.001, run="a", step=3)
    assert confirmed([absurd, again], ["x", "x"]) == [False, False]
    assert confirmed([absurd, known(8.0, left=0.001, run="b")], ["x", "x"]) == [True, True]
    assert trust(known(9.0, left=0.07)) == "verified" and trust(known(9.0)) == "verified"


def test_a_recall_offers_no_weak_and_no_absurd_record(open_at, tmp_path) -> None:  # noqa: F811
    memory = open_at()
    base = {
        "challenge": "residuals are skewed",
        "component": "features",
        "task_hash": "t1",
        "gain_se": 1.0,
        "kind": "accepted",
    }
    for name, gain, left in (
        ("fit the log", 1.2, 0.9),
        ("fit the root", 3.0, 0.9),
        ("fit the rank of it", 9.0, 0.0),
    ):
        memory.record(
            Record(**base, hypothesis=f"{name} of the skewed target", gain=gain, left=left, run="r")
        )  # type: ignore[arg-type]
    assert hypotheses(memory.recall("residuals are skewed", "", task_hash="t1")) == [
        "fit the root of the skewed target"
    ]


def test_the_change_itself_travels_with_the_record_bounded_and_with_its_indentation(
    open_at,
) -> None:  # noqa: F811
    from memory.records import clean

    diff = "--- a\n+++ b\n+    if x:\n+        y\u202e = 1\x07"
    record = clean(
        Record(
            kind="accepted",
            challenge="c",
            hypothesis="h",
            component="model",
            task_hash="t",
            gain=1,
            gain_se=1,
            diff=diff,
        )
    )
    assert record.diff == "--- a\n+++ b\n+    if x:\n+        y = 1"
    long = clean(record.model_copy(update={"diff": "+x = 1\n" * 5_000})).diff
    assert len(long) < 6_100 and long.endswith("… cut here") and long.splitlines()[-2] == "+x = 1"
