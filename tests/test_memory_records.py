"""Records: identity, bounds, hostile text."""

from __future__ import annotations

import math
import random

import pytest

from memory.protocol import Record
from memory.records import (
    TEXT_CHARS,
    RecordError,
    dump_record,
    indexed_text,
    parse_record,
    validate_record,
)


def a_record(**changes: object) -> Record:
    given = {
        "kind": "accepted",
        "challenge": "residuals are skewed",
        "hypothesis": "train on log1p of the target",
        "component": "features",
        "task_hash": "t1",
        "gain": 0.05,
        "gain_se": 0.01,
        "run": "r1",
    }
    return Record.model_validate({**given, **changes})


def test_a_repeat_has_the_same_id_whatever_the_time_and_float_dust() -> None:
    first = validate_record(a_record(created="2026-01-01T00:00:00+00:00"))
    again = validate_record(a_record(created="2026-01-02T00:00:00+00:00", gain=0.05 + 1e-12))
    assert first.id == again.id


@pytest.mark.parametrize(
    "change",
    [
        {"gain": 0.06},
        {"step": 1},
        {"trace": 2},
        {"run": "r2"},
        {"kind": "refuted"},
        {"hypothesis": "other"},
    ],
)
def test_another_result_has_another_id(change: dict[str, object]) -> None:
    assert validate_record(a_record()).id != validate_record(a_record(**change)).id


def test_a_forged_id_is_replaced() -> None:
    assert validate_record(a_record(id="f" * 32)).id == validate_record(a_record()).id


def test_text_is_bounded_and_free_of_control_and_hidden_characters() -> None:
    record = validate_record(
        a_record(hypothesis="a\x1b[31m\u202eb\x00\ud800c\n" + "x" * 10 * TEXT_CHARS, move="m\nn")
    )
    assert len(record.hypothesis) <= TEXT_CHARS
    assert all(c.isprintable() or c == "\n" for c in record.hypothesis)
    assert record.move == "m n"


def test_cleaning_twice_changes_nothing() -> None:
    rng = random.Random(0)
    alphabet = "ab \n\t\u00a0\u0301\u200b\u202e\x00e\u1100\u1161\ufb01Å"
    for _ in range(300):
        once = validate_record(
            a_record(
                hypothesis="h" + "".join(rng.choices(alphabet, k=30)),
                run="".join(rng.choices(alphabet, k=9)),
            )
        )
        assert parse_record(dump_record(once)) == once


@pytest.mark.parametrize(
    "change",
    [
        {"gain": math.nan},
        {"gain": math.inf},
        {"gain_se": -1.0},
        {"hypothesis": " \x00"},
        {"component": "x"},
        {"step": -1},
    ],
)
def test_an_invalid_record_is_an_error(change: dict[str, object]) -> None:
    with pytest.raises(RecordError):
        validate_record(a_record(**change))


HOSTILE = [
    "",
    "{",
    "[1]",
    "null",
    '{"kind": "accepted"}',
    "[" * 60_000,
    "[" * 100_000,
    "9" * 70_000,
    '{"gain": NaN}',
    b"\xff\xfe",
]


@pytest.mark.parametrize("line", HOSTILE)
def test_a_hostile_line_is_one_kind_of_error(line: str | bytes) -> None:
    with pytest.raises(RecordError):
        parse_record(line)


def test_challenge_hypothesis_and_context_are_indexed_together() -> None:
    assert (
        indexed_text(a_record(context="c"))
        == "residuals are skewed\ntrain on log1p of the target\nc"
    )


@pytest.mark.parametrize(
    "given", ["2026-01-01T12:00:00Z", "2026-01-01T14:00:00+02:00", "2026-01-01T12:00:00"]
)
def test_times_are_kept_in_utc(given: str) -> None:
    assert validate_record(a_record(created=given)).created == "2026-01-01T12:00:00+00:00"
