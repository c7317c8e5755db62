"""One table, written in any dialect, is read as the same table."""

from __future__ import annotations

import csv
import gzip
import io
import tempfile
import zipfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from task.load.columns import type_tables
from task.load.spec import load_task
from task.load.tables import find_table, read_alike, read_table
from task.types import TaskError

SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t", "bar": "|"}


class Dialect(NamedTuple):
    encoding: str
    separator: str
    decimal: str
    quoting: Any
    line_end: str
    container: str
    preamble: tuple[str, ...]
    trailing: int  # separators at the end of every row
    blank: str  # after every separator
    final_line_end: bool


def dialects() -> st.SearchStrategy[Dialect]:
    made = st.builds(
        Dialect,
        encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"]),
        separator=st.sampled_from(list(SEPARATORS.values())),
        decimal=st.sampled_from([".", ","]),
        quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
        line_end=st.sampled_from(["\n", "\r\n", "\r"]),
        container=st.sampled_from(["", "gz", "zip"]),
        preamble=st.sampled_from([(), ("sep",), ("Report of the year", "")]),
        trailing=st.sampled_from([0, 0, 1, 2]),
        blank=st.sampled_from(["", "", " "]),
        final_line_end=st.booleans(),
    )
    return made.filter(is_possible)


def is_possible(dialect: Dialect) -> bool:
    """Whether the table can be written so at all."""
    if dialect.separator == "," and dialect.decimal == ",":
        return bool(dialect.quoting == csv.QUOTE_ALL)
    return True


def example_table(n: int = 40) -> list[list[object]]:
    cities = ["Köln", "Besançon", "Málaga", "Århus", "Zürich"]
    rows: list[list[object]] = [["id", "größe", "count", "city", "note", "day", "target"]]
    for i in range(n):
        note = ["plain", 'said "yes"', "one, two; three|four", "two\nlines"][i % 4]
        city = cities[i % 5] if i % 7 else ""
        rows.append(
            [f"{i:05d}", i * 0.25 - 3, i, city, f"{note} {i}", f"2021-03-{i % 28 + 1:02d}", i % 2]
        )
    return rows


def write(rows: list[list[object]], dialect: Dialect, folder: Path, name: str) -> None:
    lines = [write_line(row, dialect) for row in rows]
    if dialect.trailing:
        lines[1:] = [line + dialect.separator * dialect.trailing for line in lines[1:]]
    if dialect.blank:
        lines = [add_blanks(line, dialect.separator) for line in lines]
    preamble = [f"sep={dialect.separator}" if p == "sep" else p for p in dialect.preamble]
    text = dialect.line_end.join(preamble + lines)
    raw = (text + dialect.line_end * dialect.final_line_end).encode(dialect.encoding)
    path = folder / f"{name}.csv"
    if dialect.container == "gz":
        path.with_suffix(".csv.gz").write_bytes(gzip.compress(raw))
    elif dialect.container == "zip":
        with zipfile.ZipFile(folder / f"{name}.zip", "w") as archive:
            archive.writestr(f"__MACOSX/._{name}.csv", b"\x00\x01")
            archive.writestr(f"{name}.csv", raw)
    else:
        path.write_bytes(raw)


def write_line(row: list[object], dialect: Dialect) -> str:
    file = io.StringIO()
    cells = [
        str(cell).replace(".", dialect.decimal) if isinstance(cell, float) else cell for cell in row
    ]
    csv.writer(file, delimiter=dialect.separator, quoting=dialect.quoting).writerow(cells)
    return file.getvalue().removesuffix("\r\n")


def add_blanks(line: str, separator: str) -> str:
    """Put a blank after every separator outside quotes."""
    parts = line.split('"')
    parts[::2] = [part.replace(separator, separator + " ") for part in parts[::2]]
    return '"'.join(parts)


def read_pair(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    train, test = (find_table(folder, name) for name in ("train", "test"))
    assert train is not None and test is not None
    typed = type_tables(read_table(train), read_table(test), id_columns=["id"], target=["target"])
    return typed.train, typed.test


PLAIN = Dialect("utf-8", ",", ".", csv.QUOTE_MINIMAL, "\n", "", (), 0, "", True)


def prepared_in(dialect: Dialect) -> tuple[pd.DataFrame, pd.DataFrame]:
    rows = example_table()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write(rows, dialect, folder, "train")
        write([rows[0][:-1], *(row[:-1] for row in rows[1::2])], dialect, folder, "test")
        return read_pair(folder)


@lru_cache
def plain_tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    return prepared_in(PLAIN)


@settings(derandomize=True, max_examples=40, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(dialects())
def test_a_table_in_any_dialect_is_the_same_table(dialect: Dialect) -> None:
    for frame, plain in zip(prepared_in(dialect), plain_tables(), strict=True):
        pd.testing.assert_frame_equal(frame, plain)


def write_pair(folder: Path, train: str, test: str) -> None:
    (folder / "train.csv").write_text(train)
    (folder / "test.csv").write_text(test)


def test_a_row_longer_than_the_header_is_refused_with_its_line(tmp_path: Path) -> None:
    lines = ["id,note,y", *(f"{i},text,{i}" for i in range(30))]
    lines[20] = "19,a, comma,19"
    (tmp_path / "train.csv").write_text("\n".join(lines))
    with pytest.raises(TaskError, match="line 21 has 4 fields where the header has 3"):
        read_table(tmp_path / "train.csv")


def test_short_rows_are_filled_and_told(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("id,a,y\n1,2,3\n4\n5,6,7\n8,9,1\n")
    table = read_table(tmp_path / "train.csv")
    assert table.frame["y"].isna().tolist() == [False, True, False, False]
    assert any("fewer fields than the header in 1 row;" in said for said in table.repairs)


def test_a_header_one_name_short_names_the_rows(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("a,y\nr1,2,3\nr2,4,5\n")
    frame = read_table(tmp_path / "train.csv").frame
    assert frame.columns.tolist() == ["Unnamed: 0", "a", "y"]
    assert frame["Unnamed: 0"].tolist() == ["r1", "r2"]


def test_fields_that_blanks_align_are_read(tmp_path: Path) -> None:
    lines = ['  id   "a b"     y', *(f"{i:4d}   {i / 7:8.3f} \t {i % 2} " for i in range(12))]
    (tmp_path / "train.csv").write_text("\r\n".join(lines))
    table = read_table(tmp_path / "train.csv")
    assert table.frame.columns.tolist() == ["id", "a b", "y"]
    assert table.frame["y"].tolist() == [str(i % 2) for i in range(12)]
    assert table.repairs == ["train.csv: fields are separated by blanks"]


def test_sentences_in_one_column_are_not_taken_apart(tmp_path: Path) -> None:
    (tmp_path / "test.csv").write_text("the text\n" + "hello world\ngood morning\n" * 5)
    assert read_table(tmp_path / "test.csv").frame.columns.tolist() == ["the text"]


@pytest.mark.parametrize(
    ("first", "rest"),
    [
        ("5.1,3.5,1.4,setosa", "4.9,3.0,1.4,setosa"),
        ("6,148,72,0", "1,85,66,1"),
        ("0,0.126,0.378", "1,0.5,0.7"),
        ("b,30.83,0,+", "b,24.5,0.5,+"),
    ],
)
def test_a_table_without_names_of_its_columns_is_refused(
    tmp_path: Path, first: str, rest: str
) -> None:
    write_pair(tmp_path, "\n".join([first, *[rest] * 30]), "\n".join([first, *[rest] * 5]))
    with pytest.raises(TaskError, match="has no line with the names of its"):
        load_task(str(tmp_path))
    names = ",".join([*(f"x{i}" for i in range(first.count(","))), "target"])
    for name in ("train.csv", "test.csv"):
        text = (tmp_path / name).read_text()
        (tmp_path / name).write_text(names + "\n" + text)
        assert read_table(tmp_path / name).has_header


@pytest.mark.parametrize(
    ("line", "at"),
    [('99,"0.5,d,1', "'99'"), ('99,0.5,d,"1', "'99'"), ('"99,0.5,d,1', "'99,0.5,d,1'")],
)
def test_a_quotation_mark_that_stands_open_is_refused(tmp_path: Path, line: str, at: str) -> None:
    lines = ["id,x,c,y", *(f"{i},{i / 7:.3f},d,{i % 2}" for i in range(200))]
    for text in ([*lines[:100], line, *lines[101:]], ['id,x,c,"y', *lines[1:]]):
        (tmp_path / "train.csv").write_text("\n".join(text))
        where = at if text[0] == lines[0] else "'y'"
        with pytest.raises(TaskError, match=f"{where} has a quotation mark that is not closed"):
            read_table(tmp_path / "train.csv")


def test_lines_of_prose_in_a_field_are_no_rows(tmp_path: Path) -> None:
    text = "one, two, three\nand four\nfive, six\nseven\n\neight, nine"
    lines = ["id,x,c,y", *(f'{i},0.5,"{text}",{i % 2}' for i in range(50))]
    (tmp_path / "train.csv").write_text("\n".join(lines))
    assert read_table(tmp_path / "train.csv").frame["c"].tolist() == [text] * 50


@pytest.mark.parametrize("mark", ["^", "~", ":", "||", "::", ";;"])
def test_rare_separators_are_found_where_no_usual_one_fits(tmp_path: Path, mark: str) -> None:
    lines = ["id,x,y", *(f"{i},a b {i % 3},{i % 2}" for i in range(50))]
    (tmp_path / "train.csv").write_text("\n".join(line.replace(",", mark) for line in lines))
    frame = read_table(tmp_path / "train.csv").frame
    assert frame.columns.tolist() == ["id", "x", "y"] and frame["x"][4] == "a b 1"


def test_a_table_of_one_column_is_refused_by_its_name(tmp_path: Path) -> None:
    write_pair(tmp_path, "id/x/y\n" + "1/2/3\n" * 5, "id/x\n" + "1/2\n" * 5)
    with pytest.raises(TaskError, match="has one column only, named 'id/x/y'"):
        load_task(str(tmp_path))


@pytest.mark.parametrize("names", ["0,1,2,3", "id,a,a,y", "1990,1991,1992,1993", "id,2001,2002,y"])
def test_numbered_and_repeated_names_are_names(tmp_path: Path, names: str) -> None:
    (tmp_path / "train.csv").write_text("\n".join([names, *["7,5,3,2"] * 30]))
    assert read_table(tmp_path / "train.csv").has_header


def test_empty_rows_are_left_out_where_the_first_column_names_the_rows(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("id,a,y\n1,2,3\n,,\n2,3,4\n,,\n")
    (tmp_path / "test.csv").write_text("a,b\n1,2\n,\n1,4\n,\n")
    assert read_table(tmp_path / "train.csv").frame["id"].tolist() == ["1", "2"]
    assert len(read_table(tmp_path / "test.csv").frame) == 3


def test_equal_names_are_made_unique_and_told(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("x,x,x.1, y \n1,2,3,4\n")
    table = read_table(tmp_path / "train.csv")
    assert table.frame.columns.tolist() == ["x", "x.2", "x.1", "y"]
    assert any("'x' -> 'x.2'" in said for said in table.repairs)


def test_a_lone_carriage_return_inside_a_field_ends_no_row(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_bytes(b"id,note,y\n1,a\rb,0\n2,c,1\n")
    assert read_table(tmp_path / "train.csv").frame["note"].tolist() == ["a\rb", "c"]


@pytest.mark.parametrize(
    ("encoding", "words"),
    [
        ("cp1252", ["Besançon", "Köln", "Málaga"]),
        ("cp1251", ["Москва", "Казань", "Санкт-Петербург"]),
        ("gb18030", ["北京", "上海", "广州"]),
        ("shift_jis", ["東京", "大阪", "ありがとう"]),
        ("utf-16-le", ["Köln", "Málaga", "Rome"]),
    ],
)
def test_an_encoding_without_a_mark_is_detected_and_told(
    tmp_path: Path, encoding: str, words: list[str]
) -> None:
    lines = ["id,city,y", *(f"{i},{words[i % 3]},{i % 2}" for i in range(60))]
    (tmp_path / "train.csv").write_bytes("\n".join(lines).encode(encoding))
    table = read_table(tmp_path / "train.csv")
    assert table.frame["city"].tolist()[:3] == words
    assert any(encoding in said and said.startswith("train.csv") for said in table.repairs)


def test_two_tables_share_an_encoding_that_is_guessed(tmp_path: Path) -> None:
    """The few letters of the second would be read otherwise."""
    polish = "\n".join(["id,city", *(f"{i},Łódź" for i in range(60))])
    (tmp_path / "train.csv").write_bytes(polish.encode("cp1250"))
    (tmp_path / "test.csv").write_bytes("id,city\n1,Győr\n".encode("cp1250"))
    alone = read_table(tmp_path / "test.csv")
    _, test = read_alike(tmp_path / "train.csv", tmp_path / "test.csv")
    assert alone.frame["city"].tolist() != ["Győr"] == test.frame["city"].tolist()


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (lambda lines: [*lines[:9], lines[0], *lines[9:]], "the column names again"),
        (lambda lines: [lines[0], ",m,kg,", *lines[1:]], "has no values"),
        (lambda lines: [*lines, "(40 rows)"], "below the rows left out"),
        (lambda lines: [*lines, "Total,12.5,1,"], "is a total"),
        (lambda lines: [*lines[:-1], lines[-1] + "\n\x1a"], ""),
        (lambda lines: [line.replace('"', "'") for line in lines], "between ' marks"),
        (lambda lines: [line.replace('""', r"\"") for line in lines], "are written"),
    ],
)
def test_what_is_no_row_and_other_quotation_marks_change_no_table(
    tmp_path: Path, write: Callable[[list[str]], list[str]], said: str
) -> None:
    def text(i: int) -> str:
        return f'"so ""{i}"", he said"' if said == "are written" else f'"a, {i}"'

    lines = ['"id","x","z","c"', *(f'"{i}","{i / 7:.3f}","{i * 3}",{text(i)}' for i in range(40))]
    (tmp_path / "plain.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "odd.csv").write_text("\n".join(write(lines)))
    odd = read_table(tmp_path / "odd.csv")
    pd.testing.assert_frame_equal(odd.frame, read_table(tmp_path / "plain.csv").frame)
    assert not said or any(said in sentence for sentence in odd.repairs)
