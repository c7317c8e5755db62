"""Labels of held-back rows are nowhere below input/; their files lie where test files lie."""

from __future__ import annotations

import hashlib
import os
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
import pytest
from layout_kit import KINDS, make_layout
from media_kit import (
    held_back_rows,
    image_tables,
    input_files,
    prepare_folder,
    readable_texts,
    write_image_task,
    write_pictures,
)
from PIL import Image

from task.data import prepare
from task.data.media import place
from task.data.prepare import prepare_refit
from task.load.tables import read_public_table
from task.types import Prepared, TaskError

N_SURE = 4  # held-back rows, from which words beside their ids are no chance


@pytest.fixture(autouse=True)
def audits_on_small_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hold rows back of small tables, and more of them than usual."""
    monkeypatch.setattr(prepare, "MIN_AUDITED_ROWS", 20)
    monkeypatch.setattr(prepare, "AUDIT_SHARE", 0.25)


def tells_label(text: str, key: str, label: str) -> bool:
    """Whether a line of a text (or a name) holds an id and the label."""
    word = re.compile(rf"(?<!\w){re.escape(label)}(?!\w)")
    return any(key in line and word.search(line.replace(key, " ")) for line in text.splitlines())


def find_labels(prepared: Prepared, keys: dict[str, str]) -> list[str]:
    """Return the files that tell the labels of rows by their ids more often than by chance."""
    telling = []
    shuffled = dict(zip(keys, [*list(keys.values())[1:], *list(keys.values())[:1]], strict=True))
    for name, path in input_files(prepared):
        texts = [name, *readable_texts(path)]
        hits, others = (
            sum(any(tells_label(text, key, word) for text in texts) for key, word in pairs.items())
            for pairs in (keys, shuffled)
        )
        chance = float(others)
        if name == "test.csv":  # an answer may stand in the text that it is about
            chance = len(keys) * features_telling(prepared)
        if hits >= N_SURE and hits > chance + 0.5 * (len(keys) - chance):
            telling.append(name)
    return telling


def features_telling(prepared: Prepared) -> float:
    """Return the share of visible training rows whose features hold the label."""
    train, test = (read_public_table(prepared.public, name) for name in ("train", "test"))
    target = prepared.task.target[0]
    assert target not in test
    features = train[[name for name in train.columns if name in test]]
    told = [
        tells_label(row.to_json(force_ascii=False), str(row[prepared.id]), str(label))
        for (_, row), label in zip(features.iterrows(), train[target], strict=True)
    ]
    return float(np.mean(told))


@pytest.mark.parametrize("name", sorted(KINDS))
def test_no_label_of_a_held_back_row_is_below_input(name: str, tmp_path: Path) -> None:
    make_layout(name, tmp_path / "task")
    try:
        prepared = prepare_folder(tmp_path / "task", tmp_path / "run")
    except TaskError:
        pytest.skip("needs a reader")
    hidden = held_back_rows(prepared)
    assert len(hidden) == prepared.n_audit
    keys = dict(zip(hidden["id"].astype(str), hidden["label"], strict=True))
    assert find_labels(prepared, keys) == []


@pytest.mark.parametrize("name", ["mask-arrays", "mask-pictures"])
def test_no_mask_of_a_held_back_row_is_below_input(name: str, tmp_path: Path) -> None:
    """By content; the masks of rows that scripts see are there."""
    root = tmp_path / "task"
    make_layout(name, root)
    rng = np.random.default_rng(4)
    owners: dict[bytes, str] = {}
    for path in sorted(root.rglob("*_mask*.*")):  # no two alike
        if path.suffix == ".npy":
            np.save(path, rng.integers(0, 2, np.load(path).shape))
        else:
            Image.fromarray((rng.random((8, 8)) > 0.5).astype(np.uint8) * 255).save(path)
        own = path.parent.name if path.suffix == ".npy" else path.stem.partition("_mask")[0]
        owners[path.read_bytes()] = own
    prepared = prepare_folder(root, tmp_path / "run")
    shown = set(read_public_table(prepared.public, "train")[prepared.id].astype(str))
    shown = {key.partition(".")[0] for key in shown}
    mounted = [
        (file, owners[content])
        for file, path in input_files(prepared)
        if (content := path.read_bytes()) in owners
    ]
    assert prepared.n_audit >= 4
    assert {owner for _, owner in mounted} <= shown
    assert not [file for file, _ in mounted if file.startswith("test")]


def test_a_row_whose_id_pandas_takes_for_infinite_keeps_its_file(tmp_path: Path) -> None:
    root = tmp_path / "task"
    train = write_image_task(root)
    (root / "train" / f"{train['id'][3]}.png").rename(root / "train" / "216e62447306.png")
    train.loc[3, "id"] = "216e62447306"
    train.to_csv(root / "train.csv", index=False)
    prepared = prepare_folder(root, tmp_path / "run", audit=False)
    index = pd.read_csv(Path(prepared.public) / "index.csv").set_index("id")
    assert index.loc["_216e62447306", "path"] == "train/216e62447306.png"
    assert len(index) == len(pd.read_csv(root / "test.csv")) + len(train)


def test_the_check_finds_a_copy(tmp_path: Path) -> None:
    write_image_task(tmp_path / "task")
    prepared = prepare_folder(tmp_path / "task", tmp_path / "run")
    hidden = held_back_rows(prepared)
    hidden.to_csv(Path(prepared.public) / "sample_submission.csv", index=False)
    keys = dict(zip(hidden["id"], hidden["label"], strict=True))
    assert find_labels(prepared, keys) == ["sample_submission.csv"]


def test_files_of_held_back_rows_lie_among_test_files(tmp_path: Path) -> None:
    train = write_image_task(tmp_path / "task")
    prepared = prepare_folder(tmp_path / "task", tmp_path / "run")
    assert prepared.n_audit >= 10
    names = {name for name, _ in input_files(prepared)}
    index = pd.read_csv(Path(prepared.public) / "index.csv")
    hidden = held_back_rows(prepared)
    own = index[index["id"].isin(hidden["id"])]
    assert len(own) == len(hidden) and set(own["part"]) == {"test"}
    assert set(own["path"]) == {f"test/{key}.png" for key in hidden["id"]} <= names
    assert set(index["path"]) <= names
    shown = set(pd.read_csv(Path(prepared.public) / "train.csv")["id"])
    assert not {f"train/{key}.png" for key in train["id"] if key not in shown} & names
    contents = [hashlib.sha256(path.read_bytes()).digest() for n, path in input_files(prepared)]
    assert len(contents) == len(set(contents))


def test_the_final_fit_has_all_files_under_their_own_names(tmp_path: Path) -> None:
    train = write_image_task(tmp_path / "task")
    prepared = prepare_folder(tmp_path / "task", tmp_path / "run")
    full = prepare_refit(prepared, str(tmp_path / "run" / "refit"))
    index = pd.read_csv(tmp_path / "run" / "refit" / "index.csv")
    assert set(index.loc[index["part"] == "train", "id"]) == set(train["id"])
    assert full.inputs["train"] == str(tmp_path / "task" / "train")


def test_without_audit_the_folders_are_mounted_as_they_are(tmp_path: Path) -> None:
    write_image_task(tmp_path / "task")
    prepared = prepare_folder(tmp_path / "task", tmp_path / "run", audit=False)
    assert prepared.inputs["train"] == str(tmp_path / "task" / "train")
    assert not list((tmp_path / "run").glob("media/*"))


def test_large_media_are_linked_and_not_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place, "MAX_COPIED_BYTES", 0)
    write_image_task(tmp_path / "task")
    prepared = prepare_folder(tmp_path / "task", tmp_path / "run")
    assert prepared.n_audit > 0
    own = {path.stat().st_ino for path in (tmp_path / "task").rglob("*.png")}
    assert {path.stat().st_ino for n, path in input_files(prepared) if n.endswith(".png")} == own


def test_where_nothing_can_be_linked_no_rows_are_held_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("another disk")

    monkeypatch.setattr(place, "MAX_COPIED_BYTES", 0)
    monkeypatch.setattr(os, "link", refuse)
    write_image_task(tmp_path / "task")
    prepared = prepare_folder(tmp_path / "task", tmp_path / "run")
    assert prepared.n_audit == 0
    assert any("no rows are held back" in text and "link" in text for text in prepared.repairs)


def test_names_that_tell_labels_are_not_shown(tmp_path: Path) -> None:
    folder = tmp_path / "task"
    train, test = image_tables(80, 30)
    train["image"] = [f"{row.label}/{row.id}.png" for row in train.itertuples()]
    test["image"] = [f"{row.id}.png" for row in test.itertuples()]
    for part, frame in (("train", train), ("test", test)):
        write_pictures(folder / part, list(frame["image"]), [0.5] * len(frame))
    train.to_csv(folder / "train.csv", index=False)
    test.drop(columns="label").to_csv(folder / "test.csv", index=False)
    (folder / "task.yaml").write_text("metric: auc\npositive: stork\n")
    prepared = prepare_folder(folder, tmp_path / "run", audit=False)
    names = [name for name, _ in input_files(prepared) if name.startswith("train/")]
    assert len(names) == 80 and not [name for name in names if "stork" in name or "heron" in name]
    shown = pd.read_csv(Path(prepared.public) / "train.csv")
    assert {f"train/{cell}" for cell in shown["image"]} == set(names)
    assert any("tell the label" in text for text in prepared.repairs)


def test_folders_of_classes_side_by_side_are_not_shown(tmp_path: Path) -> None:
    """Cover/1.png and Hidden/1.png: one new folder, whose names say nothing."""
    folder = tmp_path / "task"
    names = [f"{i:05d}.png" for i in range(30)]
    for kind in ("Cover", "Hidden"):
        write_pictures(folder / kind, names, [0.5] * 30, seed=len(kind))
    write_pictures(folder / "Test", names[:20], [0.5] * 20)
    files = [f"{kind}/{name}" for kind in ("Cover", "Hidden") for name in names]
    train = pd.DataFrame({"id": [f"r{i}" for i in range(60)], "file": files})
    train["label"] = [i // 30 for i in range(60)]
    train.to_csv(folder / "train.csv", index=False)
    test = pd.DataFrame({"id": [f"s{i}" for i in range(20)], "file": names[:20]})
    test.assign(file="Test/" + test["file"]).to_csv(folder / "test.csv", index=False)
    (folder / "task.yaml").write_text("metric: auc\n")
    prepared = prepare_folder(folder, tmp_path / "run", audit=False)
    shown = read_public_table(prepared.public, "train")
    mounted = {name for name, _ in input_files(prepared)}
    assert {f"train/{PurePosixPath(cell).name}" for cell in shown["file"]} <= mounted
    assert not [name for name in mounted if name.startswith(("Cover", "Hidden"))]
    cells = {label: set(shown["file"][shown["label"] == label].str.len()) for label in (0, 1)}
    assert cells[0] == cells[1]


def test_a_file_that_only_training_rows_have_stays_out_of_the_test_rows(tmp_path: Path) -> None:
    train = write_image_task(tmp_path / "task")
    keys = [f"{key}.png" for key in train["id"]]
    write_pictures(tmp_path / "task" / "train" / "masks", keys, [0.5] * len(keys), seed=9)
    prepared = prepare_folder(tmp_path / "task", tmp_path / "run")
    index = pd.read_csv(Path(prepared.public) / "index.csv")
    assert prepared.n_audit > 0
    assert not index.loc[index["part"] == "test", "path"].str.contains("mask").any()
    assert index.loc[index["part"] == "train", "path"].str.contains("masks").any()


def test_labels_inside_the_rows_own_files_forbid_an_audit(tmp_path: Path) -> None:
    train = write_image_task(tmp_path / "task")
    test = pd.read_csv(tmp_path / "task" / "test.csv")
    for row in train.itertuples():
        text = f'{{"kind": "{row.label}"}}'
        (tmp_path / "task" / "train" / f"{row.id}.json").write_text(text)
    for key in test["id"]:
        (tmp_path / "task" / "test" / f"{key}.json").write_text('{"kind": ""}')
    prepared = prepare_folder(tmp_path / "task", tmp_path / "run")
    assert prepared.n_audit == 0
    assert any("hold the labels of their rows" in text for text in prepared.repairs)


# a second copy of the labels, whatever its container


def write_gz(frame: pd.DataFrame, folder: Path) -> None:
    frame.to_csv(folder / "backup.csv.gz", index=False)


def write_zip(frame: pd.DataFrame, folder: Path) -> None:
    frame.to_csv(folder / "old.zip", index=False, compression={"method": "zip"})


def write_parquet(frame: pd.DataFrame, folder: Path) -> None:
    frame.to_parquet(folder / "same.parquet")


def write_records(frame: pd.DataFrame, folder: Path) -> None:
    frame.to_json(folder / "rows.json", orient="records")


def write_mapping(frame: pd.DataFrame, folder: Path) -> None:
    frame.set_index("id")["label"].to_json(folder / "answers.json")


def write_lines(frame: pd.DataFrame, folder: Path) -> None:
    lines = [f"seen {row.id} today: a {row.label}." for row in frame.itertuples()]
    (folder / "notes.txt").write_text("\n".join(lines))


def write_codes(frame: pd.DataFrame, folder: Path) -> None:
    codes = frame.assign(code=(frame["label"] == "stork") + 5)[["id", "code"]]
    codes.sample(frac=1, random_state=0).to_csv(folder / "codes.csv", index=False)


def write_in_order(frame: pd.DataFrame, folder: Path) -> None:
    np.save(folder / "y.npy", frame["label"].to_numpy(dtype=int))


def write_names(frame: pd.DataFrame, folder: Path) -> None:
    named = frame.assign(file=[f"pictures/{key}.png" for key in frame["id"]])
    named[["file", "label"]].to_csv(folder / "files.tsv", sep="\t", index=False)


def write_database(frame: pd.DataFrame, folder: Path) -> None:
    with sqlite3.connect(folder / "all.db") as base:
        frame.to_sql("rows", base)


def write_below(frame: pd.DataFrame, folder: Path) -> None:
    (folder / "task-private").mkdir()
    frame.to_csv(folder / "task-private" / "answers.csv", index=False)


COPIES: list[Callable[[pd.DataFrame, Path], None]] = [
    write_gz,
    write_zip,
    write_parquet,
    write_records,
    write_mapping,
    write_lines,
    write_codes,
    write_in_order,
    write_names,
    write_database,
    write_below,
]


@pytest.mark.parametrize("write", COPIES)
def test_a_second_copy_of_the_labels_is_not_mounted(
    write: Callable[[pd.DataFrame, Path], None], tmp_path: Path
) -> None:
    train = write_image_task(tmp_path / "task")
    before = {name for name, _ in input_files(prepare_folder(tmp_path / "task", tmp_path / "one"))}
    if write is write_in_order:  # labels as codes stand in the table then
        train["label"] = (train["label"] == "stork").astype(int)
        train.to_csv(tmp_path / "task" / "train.csv", index=False)
        (tmp_path / "task" / "task.yaml").write_text("metric: auc\n")
    write(train, tmp_path / "task")
    prepared = prepare_folder(tmp_path / "task", tmp_path / "two")
    assert {name for name, _ in input_files(prepared)} - before == set()
    assert any("is not among the scripts' files" in text for text in prepared.repairs)


def test_a_copy_inside_a_folder_of_media_is_left_out(tmp_path: Path) -> None:
    train = write_image_task(tmp_path / "task")
    train.to_csv(tmp_path / "task" / "test" / "answers.csv", index=False)
    prepared = prepare_folder(tmp_path / "task", tmp_path / "run", audit=False)
    names = {name for name, _ in input_files(prepared)}
    assert "test/answers.csv" not in names and len(names) > 100
    assert any("answers.csv is not among" in text for text in prepared.repairs)


def test_a_table_whose_columns_add_up_to_the_labels_is_not_mounted(tmp_path: Path) -> None:
    """The parts of a label, for training rows alone; features of all rows stay."""
    folder = tmp_path / "task"
    folder.mkdir()
    rng = np.random.default_rng(2)
    rows = pd.DataFrame({"id": range(160), "molecule": [f"m{i // 4}" for i in range(160)]})
    rows["atom"] = rows["id"] % 4
    parts = rows[["molecule", "atom"]].assign(fc=rng.normal(size=160), sd=rng.normal(size=160))
    y = (parts["fc"] + parts["sd"]).round(6)
    rows[:120].assign(y=y).to_csv(folder / "train.csv", index=False)
    rows[120:].to_csv(folder / "test.csv", index=False)
    rows[120:][["id"]].assign(y=0.0).to_csv(folder / "sample_submission.csv", index=False)
    (folder / "task.yaml").write_text("metric: mae\n")
    parts[:120].to_csv(folder / "contributions.csv", index=False)
    parts.to_csv(folder / "structures.csv", index=False)
    prepared = prepare_folder(folder, tmp_path / "run", audit=False)
    assert "structures.csv" in prepared.inputs and "contributions.csv" not in prepared.inputs
    assert any("fc, sd together give 'y' of training rows" in text for text in prepared.repairs)


def test_other_tables_stay(tmp_path: Path) -> None:
    train = write_image_task(tmp_path / "task")
    rng = np.random.default_rng(0)
    keys = [*train["id"], *pd.read_csv(tmp_path / "task" / "test.csv")["id"]]
    depths = pd.DataFrame({"id": keys, "depth": rng.normal(size=len(keys))})
    depths.to_csv(tmp_path / "task" / "depths.csv", index=False)
    pd.DataFrame({"label": ["heron", "stork"], "legs": [2, 2]}).to_csv(
        tmp_path / "task" / "kinds.csv", index=False
    )
    prepared = prepare_folder(tmp_path / "task", tmp_path / "run")
    assert {"depths.csv", "kinds.csv"} <= set(prepared.inputs)
    assert prepared.n_audit > 0


def test_a_table_of_training_rows_alone_forbids_an_audit(tmp_path: Path) -> None:
    train = write_image_task(tmp_path / "task")
    depths = train[["id"]].assign(depth=np.arange(len(train)))
    depths.to_csv(tmp_path / "task" / "depths.csv", index=False)
    prepared = prepare_folder(tmp_path / "task", tmp_path / "run")
    assert "depths.csv" in prepared.inputs and prepared.n_audit == 0
    assert any("depths.csv names the training rows" in text for text in prepared.repairs)
