"""Side files of rows: archives are unpacked safely, files are matched with ids, and described."""

from __future__ import annotations

import io
import tarfile
import wave
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from media_kit import image_tables, prepare_folder, write_image_task, write_pictures

from task.data.media.archives import ArchiveError, unpack_media
from task.data.media.index import FileNames, mounted_files
from task.data.media.listing import ListedFile, list_files
from task.data.media.names import imitate_ids, look_alike
from task.data.preview import preview_inputs
from task.data.profile import profile_data


def write_zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def write_tar(path: Path, infos: list[tarfile.TarInfo], content: bytes = b"x") -> Path:
    with tarfile.open(path, "w") as archive:
        for info in infos:
            info.size = len(content) if info.isfile() else 0
            archive.addfile(info, io.BytesIO(content) if info.isfile() else None)
    return path


def tar_info(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def test_a_zip_is_unpacked_without_a_repeated_folder(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "train.zip", {"train/a.png": b"1", "train/b/c.png": b"2"})
    assert unpack_media(path, tmp_path / "out") == 2
    assert [file.name for file in list_files(tmp_path / "out")] == ["a.png", "b/c.png"]


def test_a_7z_is_unpacked(tmp_path: Path) -> None:
    py7zr = pytest.importorskip("py7zr")
    with py7zr.SevenZipFile(tmp_path / "train.7z", "w") as archive:
        archive.writestr("picture", "a/one.txt")
    assert unpack_media(tmp_path / "train.7z", tmp_path / "out") == 1
    assert (tmp_path / "out" / "a" / "one.txt").read_text() == "picture"


@pytest.mark.parametrize("name", ["../out.txt", "/etc/x", "a/../../x", "..\\x", "C:/x"])
def test_names_that_lead_out_are_refused(name: str, tmp_path: Path) -> None:
    for path in (
        write_zip(tmp_path / "one.zip", {"fine.txt": b"1", name: b"2"}),
        write_tar(tmp_path / "two.tar", [tar_info("fine.txt"), tar_info(name)]),
    ):
        with pytest.raises(ArchiveError, match="leads out"):
            unpack_media(path, tmp_path / "out")
        assert not (tmp_path / "out").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.zip", "two.tar"]


def test_links_and_devices_are_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "one.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    paths = [tmp_path / "one.zip"]
    for number, kind in enumerate((tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE)):
        info = tar_info("link", kind, "/etc/passwd")
        paths.append(write_tar(tmp_path / f"{number}.tar", [tar_info("fine"), info]))
    for path in paths:
        with pytest.raises(ArchiveError, match="link"):
            unpack_media(path, tmp_path / "out")
        assert not (tmp_path / "out").exists()


def test_bombs_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("task.data.media.archives.MIN_BOMB_BYTES", 2**20)
    path = write_zip(tmp_path / "bomb.zip", {"zeros": bytes(2**26)})
    with pytest.raises(ArchiveError, match="times its size"):
        unpack_media(path, tmp_path / "out")
    monkeypatch.setattr("task.data.media.archives.MAX_MEMBERS", 2)
    path = write_zip(tmp_path / "many.zip", {str(i): b"" for i in range(3)})
    with pytest.raises(ArchiveError, match="more than 2 files"):
        unpack_media(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_size_that_lies_is_bounded_while_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("task.data.media.archives.MIN_BOMB_BYTES", 2**20)
    with tarfile.open(tmp_path / "bomb.tar.gz", "w:gz") as archive:
        info = tarfile.TarInfo("zeros")
        info.size = 2**26
        archive.addfile(info, io.BytesIO(bytes(2**26)))
    with pytest.raises(ArchiveError, match="times its size"):
        unpack_media(tmp_path / "bomb.tar.gz", tmp_path / "out")


def test_damaged_archives_stay_packed_and_are_told(tmp_path: Path) -> None:
    write_image_task(tmp_path / "task")
    for name in ("more.zip", "more.tar.gz", "more.7z"):
        (tmp_path / "task" / name).write_bytes(b"no archive")
    prepared = prepare_folder(tmp_path / "task", tmp_path / "run")
    said = " ".join(prepared.repairs)
    assert all(f"{name} stays packed" in said for name in ("more.zip", "more.tar.gz", "more.7z"))


def test_archives_are_unpacked_once_and_indexed(tmp_path: Path) -> None:
    folder = tmp_path / "task"
    train = write_image_task(folder)
    for part in ("train", "test"):
        files = {f"{part}/{p.name}": p.read_bytes() for p in sorted((folder / part).iterdir())}
        for path in (folder / part).iterdir():
            path.unlink()
        (folder / part).rmdir()
        write_zip(folder / f"{part}.zip", files)
    (folder / "task.yaml").write_text("metric: auc\npositive: stork\n")
    prepared = prepare_folder(folder, tmp_path / "run")
    index = pd.read_csv(tmp_path / "run" / "public" / "index.csv")
    paths = dict(zip(index["id"], index["path"], strict=True))
    assert all(paths[key] == f"train/{key}.png" for key in train["id"])
    assert set(prepared.inputs) >= {"train", "test", "index.csv"}
    assert "train.zip" not in prepared.inputs
    before = (tmp_path / "run" / "media" / "unpacked" / "train").stat().st_mtime_ns
    prepare_folder(folder, tmp_path / "run")
    assert (tmp_path / "run" / "media" / "unpacked" / "train").stat().st_mtime_ns == before


FILES = ["train/7.png", "train/a/b/00012.png", "train/day-1/phone/log.csv", "train/x.tar.gz"]


@pytest.mark.parametrize(
    ("cell", "name"),
    [
        ("7", "train/7.png"),
        ("7.png", "train/7.png"),
        ("7.jpg", "train/7.png"),
        ("00012", "train/a/b/00012.png"),
        ("12", "train/a/b/00012.png"),
        ("b/00012.png", "train/a/b/00012.png"),
        ("day-1", "train/day-1/phone/log.csv"),
        ("day-1-phone", "train/day-1/phone/log.csv"),
        ("day-1/phone", "train/day-1/phone/log.csv"),
        ("x", "train/x.tar.gz"),
    ],
)
def test_cells_name_files(cell: str, name: str) -> None:
    listed = [ListedFile(text.partition("/")[2], 1) for text in FILES]
    names = FileNames(mounted_files(listed, "train", "/data/train", "train"))
    assert [file.name for file in names.find(cell)[0]] == [name]
    assert not names.knows("nothing")


def test_train_and_test_files_of_one_name_are_kept_apart(tmp_path: Path) -> None:
    train, test = image_tables(60, 30)
    train["id"], test["id"] = range(60), range(100, 130)
    for part, frame in (("train", train), ("test", test)):
        both = [*frame["id"], *range(200, 210)]
        write_pictures(tmp_path / "task" / part, [f"{n}.png" for n in both], [0.5] * len(both))
    train.to_csv(tmp_path / "task" / "train.csv", index=False)
    test[["id"]].to_csv(tmp_path / "task" / "test.csv", index=False)
    (tmp_path / "task" / "task.yaml").write_text("metric: auc\npositive: stork\n")
    prepare_folder(tmp_path / "task", tmp_path / "run")
    index = pd.read_csv(tmp_path / "run" / "public" / "index.csv")
    assert (index["path"] == index["part"] + "/" + index["id"].astype(str) + ".png").all()


@pytest.mark.parametrize(
    "style",
    [
        [f"ISIC_{n:07d}" for n in range(50, 90)],
        [f"{n:08x}.jpg" for n in np.random.default_rng(1).integers(2**28, 2**31, 40)],
        [str(n) for n in range(1, 41)],
        [f"100_{n:05d}_2" for n in range(120, 160)],
    ],
)
def test_drawn_ids_look_like_the_others(style: list[str]) -> None:
    drawn = imitate_ids(style, 10, [], np.random.default_rng(0))
    assert drawn is not None and len(set(drawn)) == 10 and not set(drawn) & set(style)
    assert {len(text) for text in drawn} <= {len(text) for text in style} | {3}
    assert look_alike(style[::2], style[1::2])
    assert not look_alike([f"train_{text}" for text in style], style)


def test_media_are_described(tmp_path: Path) -> None:
    train = write_image_task(tmp_path / "task")
    test = pd.read_csv(tmp_path / "task" / "test.csv")
    for part, keys in (("train", train["id"]), ("test", test["id"])):
        for key in keys:
            with wave.open(str(tmp_path / "task" / part / f"{key}.wav"), "wb") as sound:
                sound.setparams((1, 2, 8000, 0, "NONE", ""))
                sound.writeframes(bytes(8000))
            np.save(tmp_path / "task" / part / f"{key}.npy", np.zeros((3, 4), dtype=np.float32))
    prepared = prepare_folder(tmp_path / "task", tmp_path / "run")
    kinds = {item["ending"]: item for item in profile_data(prepared)["media"]}
    assert set(kinds) == {".png", ".wav", ".npy"}
    assert kinds[".png"]["facts"] == {"width": "8", "height": "8", "mode": "RGB"}
    assert kinds[".wav"]["facts"] == {"seconds": "0.5", "rate": "8000", "channels": "1"}
    assert kinds[".npy"]["facts"] == {"array": "float32 (3, 4)"}
    assert all(item["train_share"] == item["test_share"] == 1 for item in kinds.values())
    text = preview_inputs(prepared)
    assert "input/index.csv says which files belong to which row" in text
    assert "100% of the training rows" in text
