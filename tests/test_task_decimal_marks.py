"""Numbers with decimal commas in one file and points in another are read as they are written."""

import pytest

from task.load.marked_numbers import parse_numbers


def read(*texts: str) -> tuple[list[float], list[str]] | None:
    found = parse_numbers(dict.fromkeys(texts, 1))
    return (list(found.values.values()), found.repairs) if found else None


def test_each_number_by_its_own_mark_where_both_are_decimal_marks() -> None:
    found = read("0.126", "-2.5", "1.203", "0,637", "2,345", "-0,558")
    assert found is not None
    assert found[0] == [0.126, -2.5, 1.203, 0.637, 2.345, -0.558]
    assert found[1] == [
        "3 numbers written with decimal commas, others with points (such as '0,637')"
    ]


@pytest.mark.parametrize(
    ("texts", "values"),
    [
        (("1,203", "12.5", "999.50", "2,345"), [1203, 12.5, 999.5, 2345]),
        (("1,234.5", "12.5", "1,203"), [1234.5, 12.5, 1203]),
        (("1.234,5", "0,5"), [1234.5, 0.5]),
        (("0,637", "1,203"), [0.637, 1.203]),
    ],
)
def test_thousands_marks_stay_what_they_are(texts: tuple[str, ...], values: list[float]) -> None:
    found = read(*texts)
    assert found is not None and found[0] == values


def test_no_group_of_thousands_begins_with_a_zero() -> None:
    assert read("0,637", "1,234.5", "12.5") is None  # once read as 637
