"""Tables of every format are read by their content, or refused in one sentence with a remedy."""

from __future__ import annotations

import datetime
import decimal
import gzip
import io
import json
import shutil
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from task.load.columns import type_tables
from task.load.spec import read_task
from task.load.tables import find_table, read_frame, read_table
from task.types import TaskError

CSV = "id,x,city\n007,1.5,Rome\n008,2.5,Oslo\n"
CELL = '<c t="inlineStr"><is><t>{}</t></is></c>'


def expect_rows(path: Path) -> None:
    frame = read_table(path).frame
    assert [str(key) for key in frame["id"]] == ["007", "008"]
    assert frame["city"].tolist() == ["Rome", "Oslo"]
    assert read_frame(path)["x"].tolist() == [1.5, 2.5]


def workbook(rows: list[list[str]]) -> bytes:
    """Make a workbook of text cells."""
    lines = ["<row>" + "".join(CELL.format(cell) for cell in row) + "</row>" for row in rows]
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types">'
        '<Default Extension="xml" ContentType="application/xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="r" '
        f'Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets>'
        '<sheet name="data" sheetId="1" r:id="r1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships">'
        f'<Relationship Id="r1" Type="{office}/worksheet" Target="worksheets/sheet1.xml"/>'
        "</Relationships>",
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{main}"><sheetData>'
        + "".join(lines)
        + "</sheetData></worksheet>",
    }
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    return file.getvalue()


@pytest.mark.parametrize("name", ["train.csv.gz", "train.csv"])
def test_a_gz_is_read_whatever_its_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(gzip.compress(CSV.encode()))
    expect_rows(tmp_path / name)


def test_a_zip_from_a_mac_is_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "train.zip", "w") as archive:
        archive.writestr("__MACOSX/._train.csv", b"\0\1")
        archive.writestr("folder/train.csv", CSV)
        archive.writestr("readme.csv", "a,b\n1,2\n")
    expect_rows(tmp_path / "train.zip")


@pytest.mark.parametrize("name", ["train.xlsx", "train.csv"])
def test_a_workbook_is_read_whatever_its_name(tmp_path: Path, name: str) -> None:
    pytest.importorskip("python_calamine")
    (tmp_path / name).write_bytes(workbook([line.split(",") for line in CSV.split()]))
    expect_rows(tmp_path / name)


def test_a_workbook_that_cannot_be_read_is_refused_with_a_remedy(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "train.csv", "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
    with pytest.raises(TaskError, match="train.csv is an Excel workbook.* csv"):
        read_table(tmp_path / "train.csv")


@pytest.mark.parametrize("form", ["records", "columns", "lines", "lines in json", "under a key"])
def test_json_is_read_in_its_usual_forms(tmp_path: Path, form: str) -> None:
    records = [{"id": "007", "x": 1.5, "city": "Rome"}, {"id": "008", "x": 2.5, "city": "Oslo"}]
    lines = "\n".join(json.dumps(record) for record in records)
    columns = {name: {str(i): row[name] for i, row in enumerate(records)} for name in records[0]}
    texts = {
        "records": json.dumps(records),
        "columns": json.dumps(columns),
        "lines": lines,
        "lines in json": lines,
        "under a key": json.dumps({"version": 1, "data": records}),
    }
    path = tmp_path / ("train.jsonl" if form == "lines" else "train.json")
    path.write_text(texts[form])
    expect_rows(path)


def test_numbers_of_json_are_never_taken_for_dates(tmp_path: Path) -> None:
    records = [{"id": i, "modified": 1.6e9 + i} for i in range(60)]
    (tmp_path / "train.json").write_text(json.dumps(records))
    assert read_frame(tmp_path / "train.json")["modified"].tolist()[:2] == [1.6e9, 1.6e9 + 1]


def test_types_of_parquet_are_kept(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "id": ["007", "008"],
            "money": [decimal.Decimal("1.50"), None],
            "kind": pd.Categorical(["a", "b"]),
            "n": pd.array([1, None], dtype="Int64"),
            "when": pd.to_datetime(["2021-03-04", "2021-03-05"]),
            "day": [datetime.date(2021, 1, 2), datetime.date(2021, 1, 3)],
            "flag": [True, False],
        }
    ).set_index("id")
    frame.to_parquet(tmp_path / "train.parquet")
    table = read_table(tmp_path / "train.parquet")
    typed = type_tables(table, table, id_columns=["id"]).train
    assert any("the index (id)" in said for said in table.repairs)
    assert typed["id"].tolist() == ["007", "008"] and typed["kind"].tolist() == ["a", "b"]
    assert typed["money"].iloc[0] == 1.5 and typed["n"].iloc[0] == 1
    assert typed["when"].tolist() == ["2021-03-04", "2021-03-05"]
    assert typed["day"].tolist() == ["2021-01-02", "2021-01-03"]
    assert typed["flag"].tolist() == [True, False]


def test_a_table_behind_a_link_is_read(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "a.csv").write_text(CSV)
    (tmp_path / "train.csv").symlink_to(tmp_path / "store" / "a.csv")
    assert find_table(tmp_path, "train") == tmp_path / "train.csv"
    expect_rows(tmp_path / "train.csv")


@pytest.mark.parametrize(
    ("raw", "what"),
    [
        (b"\x89PNG\r\n\x1a\n000", "a PNG picture"),
        (b"<!DOCTYPE html><html>", "an HTML page"),
        (b"\x00\x01\x02\x03", "a binary file"),
        (b"", "empty"),
        (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
    ],
)
def test_what_is_no_table_is_refused_in_a_sentence(tmp_path: Path, raw: bytes, what: str) -> None:
    (tmp_path / "train.csv").write_bytes(raw)
    with pytest.raises(TaskError, match=f"train.csv is .*{what}"):
        read_table(tmp_path / "train.csv")


def test_formulas_without_results_are_refused(tmp_path: Path) -> None:
    """Programs write workbooks whose formulas nobody has calculated: an empty column otherwise."""
    pytest.importorskip("python_calamine")
    rows = [line.split(",") for line in CSV.split()]
    rows[0].append("twice")
    cell = CELL.format("@")
    plain = workbook([rows[0], *([*row, "@"] for row in rows[1:])])
    for stored in ("<v></v>", "<v/>", "", "<v>3</v>"):
        out = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(plain)) as old, zipfile.ZipFile(out, "w") as new:
            for name in old.namelist():
                text = old.read(name).decode().replace(cell, f"<c><f>B2*2</f>{stored}</c>")
                new.writestr(name, text)
        (tmp_path / "train.xlsx").write_bytes(out.getvalue())
        if "3" in stored:
            assert list(read_table(tmp_path / "train.xlsx").frame["twice"])[0] == 3
            continue
        with pytest.raises(TaskError, match="'twice' has formulas and no results"):
            read_table(tmp_path / "train.xlsx")


def test_a_workbook_of_openpyxl_is_typed_right(tmp_path: Path) -> None:
    """Ids and labels as text as written, dates in ISO form, numbers without their display."""
    pytest.importorskip("python_calamine")
    book = Path(__file__).parent / "fixtures" / "openpyxl.xlsx"
    shutil.copy(book, tmp_path / "train.xlsx")
    test = read_frame(book).drop(columns="target")
    test["id"] = [f"1{text}" for text in test["id"]]
    test.to_csv(tmp_path / "test.csv", index=False)
    loaded = read_task(str(tmp_path))
    assert loaded.rows.train.drop(columns="note").iloc[1].to_dict() == {
        "id": "00001",
        "day": "2024-01-02",
        "when": "2024-01-01 08:05:00",
        "price": 1235.5,
        "share": 0.25,
        "n": 10**9,
        "flag": True,
        "target": "yes",
    }
    assert loaded.rows.train["note"].isna().sum() == 8
    assert any("sheet 'Data' of 2" in text for text in loaded.task.repairs)
