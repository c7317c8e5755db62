"""One type per column over both tables: numbers with marks, dates, words, ids and labels."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from task.load.columns import TypedTables, type_tables
from task.load.tables import Table, read_table


def read_pair(folder: Path, train: list[str], test: list[str], *, name: str = "v") -> TypedTables:
    """Read two tables whose only feature has these values."""
    for file, values in (("train", train), ("test", test)):
        quoted = ['"' + value.replace('"', '""') + '"' for value in values]
        lines = [f'"{i}",{value},"{i % 2}"' for i, value in enumerate(quoted)]
        (folder / f"{file}.csv").write_text("\n".join([f"id,{name},y", *lines]))
    tables = [read_table(folder / f"{file}.csv") for file in ("train", "test")]
    return type_tables(*tables, id_columns=["id"], target=["y"])


def kind_of(typed: TypedTables, name: str = "v") -> str:
    return next(column.kind for column in typed.columns if column.name == name)


@pytest.mark.parametrize(
    ("written", "numbers"),
    [
        (["1,234.56", "12.5", "1,000"], [1234.56, 12.5, 1000]),
        (["1.234,56", "12,5", "1.000"], [1234.56, 12.5, 1000]),
        (["1 234,5", "0,25", "7"], [1234.5, 0.25, 7]),
        (["1'234.5", "2", "3.5"], [1234.5, 2, 3.5]),
        (["$1,234.50", "$3", "-$2.5"], [1234.5, 3, -2.5]),
        (["€ 1.234,50", "€ 3,00", "€ 0,5"], [1234.5, 3, 0.5]),
        (["6,50 €", "7 €", "1.000,1 €"], [6.5, 7, 1000.1]),
        (["12.5%", "-3 %", "0%"], [12.5, -3, 0]),
        (["<1.0", "2.5", ">9"], [1, 2.5, 9]),
        (["(1,234)", "5", "5-"], [-1234, 5, -5]),
        (["23.4 kmpl", "12 kmpl", "9 kmpl"], [23.4, 12, 9]),
        (["1,23,456.7", "12", "3"], [123456.7, 12, 3]),
        (["007", "1e3", " 2 "], [7, 1000, 2]),
        (["€110.5M", "€600K", "€0"], [110.5e6, 600e3, 0]),
        (["950", "1.2K", "30k"], [950, 1200, 30_000]),
        (["300 K", "280.5 K", "270 K"], [300, 280.5, 270]),
        (["07:05", "23:59:30", "100:00"], [25_500, 86_370, 360_000]),
        (["12.5%", "0.25", "3%"], [12.5, 25, 3]),
        (["12.5%", "30", "3%"], [12.5, 30, 3]),
        (["$(1,234.50)", "$3", "$0.5"], [-1234.5, 3, 0.5]),
        (["12,50 zł", "1 000,5 zł", "0,25 zł"], [12.5, 1000.5, 0.25]),
        (["2h 5m", "50m", "19h"], [7500, 3000, 68_400]),
        (["1 hour 5 minutes", "2 hours", "30 minutes"], [3900, 7200, 1800]),
        (["PT1H30M", "PT45S", "P1DT1H"], [5400, 45, 90_000]),
        (["0 days 01:00:01", "2 days 00:00:00", "1 days 00:00:10"], [3601, 172_800, 86_410]),
        (["12:37 AM", "1:14 PM", "11 pm"], [2220, 47_640, 82_800]),
        (["5'10\"", "6'0\"", "5'1\""], [70, 72, 61]),
        (["5 ft 10 in", "6 ft", "5 ft 1.5 in"], [70, 72, 61.5]),
        (["1 1/2", "3/4", "2"], [1.5, 0.75, 2]),
    ],
)
def test_numbers_with_marks_are_numbers(
    tmp_path: Path, written: list[str], numbers: list[float]
) -> None:
    typed = read_pair(tmp_path, written * 20, written)
    assert kind_of(typed) == "numeric"
    assert typed.train["v"].tolist() == numbers * 20 and typed.test["v"].tolist() == numbers


@pytest.mark.parametrize("mark", ["?", "-", "n/a", "NULL", "#DIV/0!", " "])
def test_marks_for_missing_in_test_alone_leave_a_column_of_numbers(
    tmp_path: Path, mark: str
) -> None:
    typed = read_pair(tmp_path, [f"{i}.5" for i in range(60)], ["1.5", mark, "2.5", mark])
    assert typed.test["v"].isna().tolist() == [False, True, False, True]
    assert typed.train["v"].dtype == typed.test["v"].dtype == float
    if mark.strip():
        assert any(said.startswith("v: 2 cells with") for said in typed.repairs)


@pytest.mark.parametrize(
    "words",
    [["3+", "1", "2"], ["A12", "B7", "C9"], ["1st", "2nd", "3rd"], ["12 cm", "5 in", "9 cm"]],
)
def test_words_with_digits_stay_words(tmp_path: Path, words: list[str]) -> None:
    typed = read_pair(tmp_path, words * 20, words)
    assert kind_of(typed) == "text" and typed.test["v"].tolist() == words


def test_words_that_test_has_as_digits_only_read_as_words_in_both(tmp_path: Path) -> None:
    typed = read_pair(tmp_path, ["1", "2", "A", "B"] * 10, ["1", "2", "1"])
    typed.test.to_csv(tmp_path / "public.csv", index=False)
    back = pd.read_csv(tmp_path / "public.csv")
    assert set(back["v"]) <= set(typed.train["v"])


def test_a_few_words_that_repeat_beside_many_numbers_are_missing_and_told(tmp_path: Path) -> None:
    numbers = [f"{i}.5" for i in range(90)]
    typed = read_pair(tmp_path, [*numbers, *["refused", "top"] * 5], ["1.5", "refused"])
    assert typed.train["v"].isna().sum() == 10 and typed.test["v"].isna().tolist() == [False, True]
    assert any("'refused'" in said and "read as missing" in said for said in typed.repairs)
    codes = [str(i % 9) for i in range(90)] + ["W"] * 5
    assert kind_of(read_pair(tmp_path, codes, codes)) == "text"


def test_truth_values_that_one_table_writes_as_numbers_are_one_and_zero(tmp_path: Path) -> None:
    typed = read_pair(tmp_path, ["True", "False"] * 20, ["1", "0", "1"])
    assert typed.train["v"].tolist()[:2] == [1, 0] and typed.test["v"].tolist() == [1, 0, 1]


@pytest.mark.parametrize("none", ["0000-00-00", "9999-12-31"])
def test_dates_that_stand_for_none_are_missing_and_told(tmp_path: Path, none: str) -> None:
    days = [f"2021-02-{day:02d}" for day in range(1, 29)]
    typed = read_pair(tmp_path, [*days, none, none], days)
    assert kind_of(typed) == "date" and typed.train["v"].isna().sum() == 2
    assert any(none in said for said in typed.repairs)


def test_true_and_false_with_gaps_are_one_and_zero_in_both(tmp_path: Path) -> None:
    typed = read_pair(tmp_path, ["True", "False"] * 20, ["True", "", "False"])
    assert typed.train["v"].tolist()[:2] == [1, 0] and typed.test["v"].isna().sum() == 1


def test_infinite_numbers_are_missing_and_told(tmp_path: Path) -> None:
    typed = read_pair(tmp_path, ["1.5", "inf", "2.5", "-inf"] * 10, ["3.5"])
    assert typed.train["v"].isna().sum() == 20
    assert "v: 20 infinite values read as missing" in typed.repairs


@pytest.mark.parametrize(
    ("written", "iso"),
    [
        (["13/02/2021", "01/02/2021"], ["2021-02-13", "2021-02-01"]),
        (["02/13/2021", "01/02/2021"], ["2021-02-13", "2021-01-02"]),
        (["13.02.21", "01.03.99"], ["2021-02-13", "1999-03-01"]),
        (["5 Feb 2023", "12 March 2022"], ["2023-02-05", "2022-03-12"]),
        (["Feb 5, 2023", "Dec 31, 2022"], ["2023-02-05", "2022-12-31"]),
        (["05-Feb-23", "31-Dec-98"], ["2023-02-05", "1998-12-31"]),
        (["5. März 2021", "1. Dezember 2020"], ["2021-03-05", "2020-12-01"]),
        (["5 de febrero de 2023", "1 de enero de 2022"], ["2023-02-05", "2022-01-01"]),
        (
            ["1/2/2021 3:45 PM", "12/31/2021 11:00 AM"],
            ["2021-01-02 15:45:00", "2021-12-31 11:00:00"],
        ),
        (
            ["2021-01-01T10:00:00+02:00", "2021-01-01T10:00:00Z"],
            ["2021-01-01 08:00:00", "2021-01-01 10:00:00"],
        ),
        (
            ["2021-01-01T10:00:00Z", "2021-01-02T11:30:00Z"],
            ["2021-01-01 10:00:00", "2021-01-02 11:30:00"],
        ),
        (["2021-03", "2021-12"], ["2021-03-01", "2021-12-01"]),
        (["Mar-21", "Dec-98"], ["2021-03-01", "1998-12-01"]),
        (["98-Mar", "21-Dec"], ["1998-03-01", "2021-12-01"]),
        (["2021Q3", "2020-Q1"], ["2021-07-01", "2020-01-01"]),
        (["Q3 2021", "1Q2020"], ["2021-07-01", "2020-01-01"]),
        (["2020-W01", "2020W53"], ["2019-12-30", "2020-12-28"]),
        (["1959M1", "1960M12"], ["1959-01-01", "1960-12-01"]),
    ],
)
def test_dates_of_all_spellings_are_written_in_iso_form(
    tmp_path: Path, written: list[str], iso: list[str]
) -> None:
    typed = read_pair(tmp_path, written * 20, written)
    assert kind_of(typed) == "date"
    assert typed.train["v"].tolist() == iso * 20 and typed.test["v"].tolist() == iso


@pytest.mark.parametrize("form", ["{0:02d}-Mar", "Mar-{0:02d}"])
def test_days_without_a_year_are_no_dates(tmp_path: Path, form: str) -> None:
    days = [form.format(day) for day in range(1, 32)]
    assert kind_of(read_pair(tmp_path, days * 3, days)) == "text"


def test_days_and_months_are_decided_over_both_tables(tmp_path: Path) -> None:
    typed = read_pair(tmp_path, ["01/02/2021", "05/03/2021"] * 10, ["25/03/2021", "01/02/2021"])
    assert typed.train["v"].tolist()[:2] == ["2021-02-01", "2021-03-05"]


def test_days_and_months_that_stay_open_are_told(tmp_path: Path) -> None:
    typed = read_pair(tmp_path, ["03/04/2021", "01/02/2021"] * 10, ["01/02/2021"])
    assert any("leave open whether" in said for said in typed.repairs)


@pytest.mark.parametrize(
    ("name", "factor", "first"),
    [("date", 0, "2021-01-01"), ("ts", 1, "2021-01-01"), ("ts", 1000, "2021-01-01")],
)
def test_whole_numbers_that_are_dates_are_written_in_iso_form(
    tmp_path: Path, name: str, factor: int, first: str
) -> None:
    days = pd.date_range("2021-01-01", periods=60, freq="D")
    numbers = days.strftime("%Y%m%d") if not factor else days.as_unit("s").astype("int64") * factor
    typed = read_pair(tmp_path, [str(n) for n in numbers], [str(numbers[0])], name=name)
    assert typed.train[name].tolist() == [str(day.date()) for day in days]
    assert typed.test[name].tolist() == [first]


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("date", "{:%d%m%Y}"),
        ("saleDate", "{:%m%d%Y}"),
        ("order_date", "{days}"),
        ("date", "{days}.5"),
    ],
)
def test_other_numbers_are_dates_in_a_column_named_after_dates(
    tmp_path: Path, name: str, form: str
) -> None:
    days = pd.date_range("2020-12-25", periods=60, freq="D")
    numbers = [form.format(day, days=(day - pd.Timestamp("1899-12-30")).days) for day in days]
    typed = read_pair(tmp_path, numbers, numbers[:1], name=name)
    assert kind_of(typed, name) == "date"
    assert [text[:10] for text in typed.train[name]] == [str(day.date()) for day in days]
    assert any("written in ISO form" in said for said in typed.repairs)
    assert kind_of(read_pair(tmp_path, numbers, numbers[:1], name="candidate"), "candidate") == (
        "numeric"
    )


def test_numbers_of_the_size_of_unix_time_stay_numbers_without_a_name_of_time(
    tmp_path: Path,
) -> None:
    typed = read_pair(tmp_path, [str(1_600_000_000 + i) for i in range(60)], ["1600000000"])
    assert kind_of(typed) == "numeric"


@pytest.mark.parametrize(
    "ids",
    [
        ["00000420", "00000007"],
        ["1000.0", "1001.0"],
        ["10e0", "11e0"],
        ["9" * 30, "8" * 30],
        ["NA", "None"],
        ["TRUE", "false"],
        [" 1", "2 "],
    ],
)
def test_ids_and_labels_are_text_letter_for_letter(tmp_path: Path, ids: list[str]) -> None:
    for file in ("train", "test"):
        lines = [f"{key},1.5,{key}" for key in ids]
        (tmp_path / f"{file}.csv").write_text("\n".join(["id,x,y", *lines]))
    tables = [read_table(tmp_path / f"{file}.csv") for file in ("train", "test")]
    typed = type_tables(*tables, id_columns=["id"], target=["y"], labels=["y"])
    assert typed.train["id"].tolist() == ids and typed.train["y"].tolist() == ids


def test_a_class_called_none_is_a_class(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("x,y\n" + "1,None\n2,1\n3,2\n" * 20)
    (tmp_path / "test.csv").write_text("x\n1\n")
    tables = [read_table(tmp_path / f"{file}.csv") for file in ("train", "test")]
    typed = type_tables(*tables, target=["y"])
    assert sorted(set(typed.train["y"])) == ["1", "2", "None"]


@pytest.mark.slow
def test_the_5000th_column_is_treated_as_any_other(tmp_path: Path) -> None:
    names = [f"c{i}" for i in range(5000)]
    frame = pd.DataFrame([["1,5"] * 5000] * 30, columns=names)
    frame.to_csv(tmp_path / "train.csv", index=False, sep=";")
    table = read_table(tmp_path / "train.csv")
    typed = type_tables(table, table)
    assert typed.train["c4999"].tolist() == [1.5] * 30


def test_lists_and_objects_become_columns_or_json_text() -> None:
    frame = pd.DataFrame(
        {
            "words": [["a", "b"], ["c"]],
            "point": [[1.0, 2.0], [3.0, 4.0]],
            "flat": [{"a": 1, "b": "x"}, {"a": 2}],
        }
    )
    typed = type_tables(Table(frame, []), Table(frame, []))
    assert typed.train["words"].tolist() == ['["a", "b"]', '["c"]']
    assert typed.train["point.1"].tolist() == [2.0, 4.0]
    assert typed.test["flat.a"].tolist() == [1, 2] and typed.test["flat.b"].isna().tolist() == [
        False,
        True,
    ]


def test_tables_with_another_decimal_mark_each_are_read_each_by_itself(tmp_path: Path) -> None:
    typed = read_pair(tmp_path, ["0,1257", "-1,5", "2,25"] * 20, ["0.5", "1.75", "-2.125"])
    assert typed.train["v"].tolist() == [0.1257, -1.5, 2.25] * 20
    assert typed.test["v"].tolist() == [0.5, 1.75, -2.125]
    assert any("decimal commas, the other decimal points" in said for said in typed.repairs)


def test_words_that_begin_with_numbers_are_told(tmp_path: Path) -> None:
    mixed = [f"{i} mg" if i % 2 else f"0.{i} g" for i in range(60)]
    typed = read_pair(tmp_path, mixed, mixed)
    assert kind_of(typed) == "text"
    assert any("begin with numbers and stay words" in said for said in typed.repairs)


@pytest.mark.parametrize("mark", ["?", "NA", "-"])
def test_marks_among_labels_of_numbers_are_missing_labels(tmp_path: Path, mark: str) -> None:
    lines = ["id,y", *(f"{i},{mark if i == 7 else i % 2}" for i in range(20))]
    (tmp_path / "train.csv").write_text("\n".join(lines))
    table = read_table(tmp_path / "train.csv")
    typed = type_tables(table, table, id_columns=["id"], target=["y"], labels=["y"])
    assert typed.train["y"].isna().sum() == 1 and set(typed.train["y"].dropna()) == {"0", "1"}
    assert any("missing labels" in said for said in typed.repairs)


@pytest.mark.parametrize("name", ["month", "year_month", "period", "date"])
def test_whole_numbers_of_year_and_month_are_dates(tmp_path: Path, name: str) -> None:
    months = [f"{2015 + i // 12}{i % 12 + 1:02d}" for i in range(40)]
    typed = read_pair(tmp_path, months[:30], months[30:], name=name)
    assert kind_of(typed, name) == "date"
    assert typed.train[name].iloc[13] == "2016-02-01"
