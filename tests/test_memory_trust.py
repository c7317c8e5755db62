"""Verification before trust: what may be offered as a hint."""

from __future__ import annotations

from pathlib import Path

from memory_kit import hypotheses
from test_memory_recall import a_record

from memory.protocol import Record
from memory.recall import evidence_weight
from memory.store import open_memory
from memory.trust import confirmed_mask, trust_level


def known(gain: float, **changes: object) -> Record:
    return a_record("x", gain=gain, se=1.0).model_copy(update=changes)


def test_one_measurement_is_enough_from_164_standard_errors_on() -> None:
    assert [trust_level(known(gain)) for gain in (1.63, 1.65)] == ["weak", "verified"]


def test_weak_measurements_of_one_wording_confirm_it_together_until_a_refutation() -> None:
    weak = [known(1.2, run="a"), known(1.2, run="b")]
    assert confirmed_mask(weak[:1], ["x"]) == [False]
    assert confirmed_mask(weak, ["x", "x"]) == [True, True]
    assert confirmed_mask(weak, ["x", "y"]) == [False, False]
    assert confirmed_mask([*weak, known(-2.0, kind="refuted")], ["x"] * 3) == [False, False, True]


def test_an_absurd_jump_neither_votes_nor_shows_until_another_run_sees_it_too() -> None:
    absurd = known(9.0, left=0.001, run="a")
    assert trust_level(absurd) == "quarantined" and evidence_weight(absurd, "t") == 0.0
    again = known(9.0, left=0.001, run="a", step=3)
    assert confirmed_mask([absurd, again], ["x", "x"]) == [False, False]
    assert confirmed_mask([absurd, known(8.0, left=0.001, run="b")], ["x", "x"]) == [True, True]
    assert (
        trust_level(known(9.0, left=0.07)) == "verified" and trust_level(known(9.0)) == "verified"
    )


def test_a_recall_offers_no_weak_and_no_absurd_record(tmp_path: Path) -> None:
    memory = open_memory(str(tmp_path / "memory"), run="r1", embedding="lexical")
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
        given = {"hypothesis": f"{name} of the skewed target", "gain": gain, "left": left}
        memory.record(Record.model_validate(base | given | {"run": "r"}))
    assert hypotheses(memory.recall("residuals are skewed", "", task_hash="t1")) == [
        "fit the root of the skewed target"
    ]
    memory.close()


def test_the_change_itself_travels_with_the_record_bounded_and_with_its_indentation() -> None:
    from memory.records import validate_record

    diff = "--- a\n+++ b\n+    if x:\n+        y\u202e = 1\x07"
    record = validate_record(
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
    long = validate_record(record.model_copy(update={"diff": "+x = 1\n" * 5_000})).diff
    assert len(long) < 6_100 and long.endswith("… cut here") and long.splitlines()[-2] == "+x = 1"
