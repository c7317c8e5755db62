"""What stands in input/ is what a plain pandas.read_csv reads; ids and labels are found again."""

from __future__ import annotations

import io
import string
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from task.data.public_tables import match_keys, plain_key, spell_texts, write_public_table

KEYS = st.one_of(
    st.text(string.ascii_letters + string.digits + " .-_+", min_size=1, max_size=6),
    st.integers(-(10**20), 10**20).map(str),
    st.integers(0, 999).map("{:06d}".format),
    st.floats(0, 1000).map(str),
    st.sampled_from(
        ["NA", "None", "nan", "null", "True", "false", "1e5", "10e0", "1.0", "inf", "true"]
    ),
    st.sampled_from(
        ["-inf", "Infinity", "true", "0.", "1e400", "-0", "+7", " 7", "1e-320", "TRUE"]
    ),
)


@pytest.mark.parametrize("name", ["v", "多\nline", 'he said "hi", ok', "a\rb", "x<5", "fold"])
@pytest.mark.parametrize(
    "values",
    [
        ["a\rb", "c\r\nd", None, 'e "f"', "g, h"],
        [1.5, None, 1e300, -0.1, 3.0],
        [1, 2, 2**62, -5, 0],
        [True, False, True, False, True],
        ["2021-01-01", "2021-01-02", None, "2021-01-04", "2021-01-05"],
    ],
)
def test_a_public_table_reads_back_equal(tmp_path: Path, name: str, values: list[object]) -> None:
    frame = pd.DataFrame({"id": list("vwxyz"), name: pd.Series(values).infer_objects()})
    write_public_table(frame, tmp_path / "train.csv")
    back = pd.read_csv(tmp_path / "train.csv")
    pd.testing.assert_frame_equal(back, frame, check_dtype=False, rtol=1e-12)


def test_a_table_of_one_column_keeps_its_gaps(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": ["a", None, "b"]})
    write_public_table(frame, tmp_path / "train.csv")
    assert pd.read_csv(tmp_path / "train.csv")["x"].isna().tolist() == [False, True, False]


@settings(derandomize=True, max_examples=150, deadline=None)
@given(st.lists(KEYS, min_size=1, max_size=30, unique=True))
def test_keys_that_a_script_reads_and_writes_are_found_again(keys: list[str]) -> None:
    spelled = list(spell_texts(keys).values())
    assert match_keys(read_and_write(spelled), spelled).tolist() == list(range(len(keys)))


def read_and_write(keys: list[str]) -> list[str]:
    """Return ids as a script writes them after a plain read_csv and to_csv."""
    file = io.StringIO()
    pd.DataFrame({"id": keys, "p": 0.5}).to_csv(file, index=False)
    read = pd.read_csv(io.StringIO(file.getvalue()))
    again = io.StringIO(read.to_csv(index=False))
    return pd.read_csv(again, dtype=str, keep_default_na=False)["id"].tolist()


@pytest.mark.parametrize(
    "keys",
    [
        ["0.", "12252905340202948608"],  # a whole number beyond 2**53 beside a decimal one
        ["0.5", "9007199254740993"],
        ["1.5", "1e400"],
        ["0.1234567890123456789", "3"],
        ["true", "True"],
        ["inf", "Infinity", "2"],
        ["-1", "18446744073709551615"],
    ],
)
def test_numbers_that_a_float_does_not_keep_are_found_again(keys: list[str]) -> None:
    spelled = list(spell_texts(keys).values())
    assert match_keys(read_and_write(spelled), spelled).tolist() == list(range(len(keys)))


def test_keys_in_another_order_are_matched_by_value() -> None:
    assert match_keys(["9", "7", "A"], ["A", "007", "9", "b"]).tolist() == [2, 1, 0, -1]


def test_one_key_for_two_is_no_match() -> None:
    assert match_keys(["7"], ["07", "007"]).tolist() == [-1, -1]


@pytest.mark.parametrize(
    ("text", "key"),
    [("00000420", "420"), ("1000.0", "1000"), ("10e0", "10"), ("A7", "A7"), ("9" * 30, "9" * 30)],
)
def test_a_plain_key_is_what_pandas_makes_of_a_text(text: str, key: str) -> None:
    assert plain_key(text) == key


def test_ids_beyond_64_bits_stay_as_written(tmp_path: Path) -> None:
    ids = [f"{10**29 + row}" for row in range(5)]
    frame = pd.DataFrame({"id": pd.Series(ids, dtype="str"), "x": range(5)})
    write_public_table(frame, tmp_path / "t.csv")
    assert list(pd.read_csv(tmp_path / "t.csv", dtype=str)["id"]) == ids
