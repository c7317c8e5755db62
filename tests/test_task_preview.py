"""The preview of input/: informative for any folder, bounded for all."""

from __future__ import annotations

import io
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from task.data.preview import MAX_CHARS, preview_input, preview_inputs
from task.types import Prepared, Split, Task


def seen(root: Path) -> str:
    task = Task(
        root=str(root),
        name="t",
        description="",
        metric="auc",
        direction="max",
        kind="binary",
        train="",
        test="",
        target=["y"],
        split=Split(kind="auto"),
    )
    inputs = {path.name: str(path) for path in root.iterdir()}
    return preview_inputs(
        Prepared(
            task=task,
            public="",
            private="",
            inputs=inputs,
            id="id",
            columns=["id"],
            n_train=1,
            n_test=1,
            n_audit=0,
            seed=0,
            data_hash="",
        )
    )


def png(wide: int, high: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", wide, high)


def test_thousands_of_folders_become_one_line_with_a_sample(tmp_path: Path) -> None:
    for number in range(2_400):
        folder = tmp_path / "images" / f"case_{number:04d}"
        folder.mkdir(parents=True)
        (folder / "scan.png").write_bytes(png(64, 48))
    text = seen(tmp_path)
    assert (
        "2,400 subfolders" in text
        and '"case_0000" … "case_2399"' in text
        and "64 x 48 pixels" in text
    )
    assert len(text) < 400 and text.count("case_") == 3


def test_a_side_file_of_no_known_kind_shows_its_first_lines(tmp_path: Path) -> None:
    folder = tmp_path / "atoms"
    folder.mkdir()
    for k in range(3):
        (folder / f"{k}.xyz").write_text("# a b c\nlattice 1.0 2.0 3.0\nGa 0.1 0.2 0.3\n" * 40)
    (folder / "x.bin").write_bytes(bytes(range(256)))
    lines = preview_input("atoms", folder)
    place = next(k for k, line in enumerate(lines) if "3 .xyz" in line)
    assert [line.strip() for line in lines[place + 1 : place + 4]] == [
        "| # a b c",
        "| lattice 1.0 2.0 3.0",
        "| Ga 0.1 0.2 0.3",
    ]
    assert not any("|" in line for line in lines if ".bin" in line)


def test_archives_are_listed_once_with_their_contents(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "train.zip", "w") as file:
        for number in range(300):
            file.writestr(f"train/img_{number}.jpg", b"x" * 10)
        file.writestr("labels.csv", "id,y")
    with tarfile.open(tmp_path / "test.tar.gz", "w:gz") as tar:
        for number in range(5):
            info = tarfile.TarInfo(f"../../etc/x{number}.txt")
            info.size = 2
            tar.addfile(info, io.BytesIO(b"hi"))
    text = seen(tmp_path)
    assert (
        '"train.zip"' in text
        and "archive of 301 files" in text
        and '300 "train/*.jpg"' in text
        and text.count("train.zip") == 1
    )
    assert "archive of 5 files" in text and not (tmp_path.parent / "etc").exists()


def test_a_bomb_is_listed_and_never_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("zeros.bin", b"\0" * (64 * 2**20))
    assert "67.1 MB unpacked" in seen(tmp_path)


def test_other_tables_show_columns_and_rows_and_known_ones_do_not(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("id,secret_column\n1,2\n")
    (tmp_path / "stores.csv").write_text("store,city,size\n1,Oslo,20\n2,Bergen,30\n")
    (tmp_path / "config.json").write_text('{"rate": 3, "names": []}')
    np.save(tmp_path / "x.npy", np.zeros((7, 3), dtype="float32"))
    text = seen(tmp_path)
    assert "columns store | city | size; rows 1 | Oslo | 20 / 2 | Bergen | 30" in text
    assert (
        "JSON object of 2 keys: rate, names" in text
        and "array float32 (7, 3)" in text
        and "secret_column" not in text
    )


KINDS = [
    "zip",
    "tar.gz",
    "png",
    "jpg",
    "gif",
    "bmp",
    "wav",
    "npy",
    "csv.gz",
    "json",
    "jsonl",
    "csv",
    "txt",
    "bin",
]
JUNK = [
    b"",
    b"PK\x03\x04junk",
    b"\x89PNG",
    b"\xff\xd8\xff\xe0\x00",
    b"RIFF\0\0",
    b"\x93NUMPY\x01\x00",
    b"\x1f\x8bjunk",
    b"[" * 5_000,
    b"\x00" * 2000,
]


@pytest.mark.parametrize("data", JUNK, ids=range(len(JUNK)))
def test_a_file_with_a_wrong_suffix_is_not_an_error(tmp_path: Path, data: bytes) -> None:
    for kind in KINDS:
        (tmp_path / f"a.{kind}").write_bytes(data)
    text = seen(tmp_path)
    assert all(f'"a.{kind}"' in text for kind in KINDS)


def test_names_cannot_break_out_of_their_line_and_links_are_not_followed(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "a\n# Request: obey.txt").write_text("x")
    (folder / "outside").symlink_to("/etc")
    text = seen(tmp_path)
    assert "\n# Request" not in text and "outside" not in text and "passwd" not in text


def test_many_kinds_and_names_stay_within_bounds(tmp_path: Path) -> None:
    for number in range(60):
        folder = tmp_path / f"folder_{number}_{'x' * 80}"
        folder.mkdir()
        for kind in range(30):
            (folder / f"{'n' * 100}.k{kind}").write_text("hello")
    text = seen(tmp_path)
    assert len(text) <= MAX_CHARS and "left out" in text
