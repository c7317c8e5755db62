"""Folders as competitions lay them out: what is read is what is true, or one sentence says why."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import layout_kit
import pandas as pd
import pytest

from task.data.prepare import prepare_task
from task.grade.handover import write_final_submission
from task.grade.label_shuffle import measure_strength
from task.load.init import describe_task, init_task
from task.load.spec import read_task
from task.load.tables import read_table
from task.types import TaskError


@pytest.mark.parametrize("name", sorted(layout_kit.KINDS))
def test_layout_is_read_right(name: str, tmp_path: Path) -> None:
    """Id, target, metric and direction are found, and the sample's form comes back."""
    root = tmp_path / name
    item = layout_kit.make_layout(name, root)
    report = describe_task(str(root))
    assert report["refusal"] is None
    assert report["id"] == item.id
    assert [name.replace(" ", "_") for name in report["target"]] == item.target
    assert (report["metric"], report["direction"]) == (item.metric, item.direction)
    hand_over(root, tmp_path)


def hand_over(root: Path, scratch: Path, **keys: Any) -> pd.DataFrame:
    """Hand over the public sample; it has the columns and ids of the task's own sample."""
    task = read_task(str(root), keys=keys or None).task
    public, out = scratch / "public", scratch / "submission.csv"
    prepared = prepare_task(task, str(public), str(scratch / "private"), seed=0, audit=False)
    write_final_submission(prepared, str(public / "sample_submission.csv"), str(out))
    made = pd.read_csv(out, dtype=str, keep_default_na=False)
    if task.sample_submission and prepared.form:
        sample = read_table(Path(task.sample_submission)).frame
        assert list(made.columns) == list(sample.columns)
        for name in prepared.form.sample_ids:
            assert list(made[name]) == list(sample[name].fillna("").map(str))
    return made


def test_written_task_yaml_reads_the_same(tmp_path: Path) -> None:
    """What `gome init` writes for a made table is read back to the same task."""
    for name in ("last-part-of-file-names", "boxes-in-rows", "two-id-columns"):
        root = tmp_path / name
        layout_kit.make_layout(name, root)
        before = describe_task(str(root))
        init_task(str(root))
        after = describe_task(str(root))
        for key in ("id", "target", "metric", "kind", "rows", "columns"):
            assert after[key] == before[key], key


def test_values_come_back_to_their_ids(tmp_path: Path) -> None:
    """Predictions of ids that two columns make are handed over beside both."""
    root = tmp_path / "tracks"
    layout_kit.make_layout("tracks", root)
    task = read_task(str(root)).task
    public = tmp_path / "public"
    prepared = prepare_task(task, str(public), str(tmp_path / "private"), seed=0, audit=False)
    said = pd.read_csv(public / "sample_submission.csv")
    assert list(said.columns) == ["tripId_time", "lat", "lng"]
    said["lat"] = range(len(said))
    said.sample(frac=1, random_state=1).to_csv(tmp_path / "said.csv", index=False)
    write_final_submission(prepared, str(tmp_path / "said.csv"), str(tmp_path / "out.csv"))
    out = pd.read_csv(tmp_path / "out.csv")
    assert list(out.columns) == ["tripId", "time", "lat", "lng"]
    keys = out["tripId"] + "_" + out["time"].astype(str)
    by_id = dict(zip(said["tripId_time"], said["lat"], strict=True))
    assert [by_id[key] for key in keys] == list(out["lat"])


def test_labels_of_pixels_are_those_of_the_clean_picture(tmp_path: Path) -> None:
    """A pixel's row has the brightness of both pictures at its place."""
    root = tmp_path / "pixels"
    layout_kit.make_layout("pixels", root)
    rows = read_task(str(root)).rows.train
    assert len(rows) == 6 * 8 * 8
    assert rows["value"].mean() == pytest.approx(0.7, abs=0.05)
    assert rows["pixel"].mean() == pytest.approx(0.4, abs=0.05)


def test_several_readers_never_take_a_dictionary_for_labels(tmp_path: Path) -> None:
    """A table that explains the classes is no training table."""
    root = tmp_path / "task"
    site = layout_kit.Site(root, "Which class?\nScored by accuracy.")
    site.csv("category_names.csv", pd.DataFrame({"category_id": range(5), "name": list("abcde")}))
    site.at("train.bson").write_bytes(b"\x90\x01\x00\x00")
    site.csv("sample_submission.csv", pd.DataFrame({"_id": range(20), "category_id": 1}))
    refusal = str(describe_task(str(root))["refusal"])
    assert "asks for _id, category_id" in refusal and "read.py" in refusal
    assert "\n" not in refusal


def test_two_label_tables_are_a_question(tmp_path: Path) -> None:
    """Where two tables may hold the labels, a person says which."""
    root = tmp_path / "task"
    site = layout_kit.Site(root, "A number.\nScored by the root mean squared error.")
    for name, first in (("train_a.csv", 0), ("train_b.csv", 100)):
        frame = pd.DataFrame({"id": range(first, first + 40), "y": site.rng.normal(size=40)})
        site.csv(name, frame)
    site.csv("sample_submission.csv", pd.DataFrame({"id": range(900, 920), "y": 0.5}))
    refusal = str(describe_task(str(root))["refusal"])
    assert "train_a.csv, train_b.csv may all hold the labels" in refusal
    (root / "task.yaml").write_text("train: train_b.csv\n")
    report = describe_task(str(root))
    assert (report["refusal"], report["train"]) == (None, "train_b.csv")


READER = """
import csv, os
names = sorted(os.listdir("input/sounds"))
with open("labels.csv", "w", newline="") as file:
    out = csv.writer(file)
    out.writerow(["clip", "file", "loudness"])
    for name in names:
        if name.startswith("known"):
            out.writerow([name, f"sounds/{name}", open(f"input/sounds/{name}").read()])
with open("rows.csv", "w", newline="") as file:
    out = csv.writer(file)
    out.writerow(["clip", "file"])
    for name in names:
        if name.startswith("asked"):
            out.writerow([name, f"sounds/{name}"])
"""


ATTACK = """
try:
    open("input/sounds/known00.snd", "w").write("999")
except OSError:
    pass
"""


def write_sounds(root: Path, reader: str) -> None:
    """Write a folder whose labels only a reader of its own finds."""
    site = layout_kit.Site(root, "How loud?\nScored by the root mean squared error.")
    for number in range(40):
        site.text(f"sounds/known{number:02}.snd", str(number * 0.5))
    asked = [f"asked{number}.snd" for number in range(10)]
    for name in asked:
        site.text(f"sounds/{name}", "?")
    site.csv("sample_submission.csv", pd.DataFrame({"clip": asked, "loudness": 0}))
    site.text("read.py", reader)
    site.text("task.yaml", "reader: read.py\n")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of readings of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_reader_of_the_task(tmp_path: Path, cache: Path) -> None:
    """read.py says labels and rows; it runs once for the same folder."""
    root = tmp_path / "task"
    write_sounds(root, READER)
    report = describe_task(str(root))
    assert report["refusal"] is None
    assert (report["id"], report["target"]) == ("clip", ["loudness"])
    assert report["rows"] == {"train": 40, "test": 10}
    assert any("40 of 40 files exist" in text for text in report["decided"])
    [kept] = (cache / "gome" / "readings").iterdir()
    labels = pd.read_parquet(kept / "labels.parquet")
    labels["loudness"] = "7.5"
    labels.loc[0, "loudness"] = "9"
    labels.to_parquet(kept / "labels.parquet")  # what is kept is what is used
    assert set(read_task(str(root)).rows.train["loudness"]) == {7.5, 9.0}
    (root / "sounds" / "known99.snd").write_text("3")  # another folder: read again
    assert describe_task(str(root))["rows"]["train"] == 41


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('startswith("asked")', 'startswith("known")', "are labelled"),
        ('"rows.csv", "w"', '"other.csv", "w"', "did not write rows.csv"),
        ("names = sorted", "names = 1 / 0\nnames = sorted", "ZeroDivisionError: division by zero"),
        ('["clip", "file"])', '["clip", "file", "loudness"])', "no column that rows.csv"),
        ("names = sorted(", "names = 2 * sorted(", "repeat"),
        ('"input/sounds")', '"input/sounds")[5:]', "ids are in only one of rows.csv"),
        ("import csv, os", "import csv, os\nos.kill(os.getpid(), 9)", "ended"),
    ],
)
def test_reader_is_checked(old: str, new: str, said: str, tmp_path: Path, cache: Path) -> None:
    """What a reader does wrong is one sentence that names it."""
    assert READER.count(old)
    root = tmp_path / "task"
    write_sounds(root, READER.replace(old, new))
    refusal = str(describe_task(str(root))["refusal"])
    assert said in refusal and "read.py" in refusal and "\n" not in refusal


def test_reader_cannot_write_into_the_folder(tmp_path: Path, cache: Path) -> None:
    """A reader sees the folder, and nothing that it does there stays."""
    root = tmp_path / "task"
    write_sounds(root, ATTACK + READER)
    assert describe_task(str(root))["refusal"] is None
    assert (root / "sounds" / "known00.snd").read_text() == "0.0"


def test_odd_folders_are_refused_in_a_sentence(tmp_path: Path) -> None:
    """Damaged or empty files never end in an exception other than a refusal."""
    for number, (name, content) in enumerate(
        [
            ("train.zip", b"PK\x03\x04 damaged"),
            ("train.7z", b"7z\xbc\xaf\x27\x1c damaged"),
            ("train.tar.gz", b"\x1f\x8b\x08"),
            ("train/metadata.json", b'{"images": [{"id": 1}], "annotations": [{"id": [1]}]}'),
            ("train/metadata.json", b'{"images": [1, 2], "annotations": {"a": 1}}'),
            ("labels.txt", b"1,?\n2,a,b\n"),
            ("train.json", b'[{"id": {"a": 1}, "y": [1]}, 3]'),
            ("train/a_1.png", b"not a picture"),
        ]
    ):
        root = tmp_path / str(number)
        site = layout_kit.Site(root, "What?\nScored by accuracy.")
        site.at(name).write_bytes(content)
        site.csv("sample_submission.csv", pd.DataFrame({"id": ["9_1_1", "9_1_2"], "y": 0}))
        report = describe_task(str(root))
        assert report["refusal"], name
        assert "\n" not in report["refusal"]
        with pytest.raises(TaskError):
            read_task(str(root))


def test_classes_without_a_number_are_a_question(tmp_path: Path) -> None:
    """Where the sample asks for a number and folders are words, nothing is guessed."""
    root = tmp_path / "task"
    site = layout_kit.Site(root, "Is something hidden?\nScored by the area under the ROC curve.")
    for folder in ("Cover", "JMiPOD", "UERD"):
        for number in range(10):
            site.picture(f"{folder}/{number:04}.jpg")
    for number in range(5):
        site.picture(f"Test/{number:04}.jpg")
    ids = [f"{number:04}.jpg" for number in range(5)]
    site.csv("sample_submission.csv", pd.DataFrame({"Id": ids, "Label": 0.5}))
    refusal = str(describe_task(str(root))["refusal"])
    assert "one number (Label)" in refusal and "Cover, JMiPOD, UERD" in refusal
    assert "read.py" in refusal


def test_history_ends_before_the_labels(tmp_path: Path) -> None:
    """A list to predict is never part of the history beside it."""
    root = tmp_path / "task"
    layout_kit.make_layout("what-is-bought-next", root)
    bought = pd.read_csv(root / "transactions_train.csv", dtype=str)
    loaded = read_task(str(root))
    train = loaded.rows.train.set_index("customer_id")
    for person, row in train.iterrows():
        own = bought[bought["customer_id"] == person]
        last, before = own[own["t_dat"] >= "2020-09-16"], own[own["t_dat"] < "2020-09-16"]
        assert set(str(row["prediction"]).split()) == set(last["article_id"])
        assert row["n_before"] == len(before)
    assert str(root / "transactions_train.csv") in loaded.task.label_sources
    assert str(root / "transactions_train.csv") not in loaded.task.extra


def test_report_is_json(tmp_path: Path) -> None:
    """The report of a made table can be written as JSON."""
    root = tmp_path / "task"
    layout_kit.make_layout("positions", root)
    assert json.loads(json.dumps(describe_task(str(root))))["target"][0] == "reactivity"


def write_tables(root: Path, train: pd.DataFrame, test: pd.DataFrame, ids: list[Any]) -> Path:
    root.mkdir()
    train.to_csv(root / "train.csv", index=False)
    test.to_csv(root / "test.csv", index=False)
    sample = pd.DataFrame({"id": ids, "y": 0})
    sample.to_csv(root / "sample_submission.csv", index=False)
    return root


def customers(n: int, rows: int, first: int) -> pd.DataFrame:
    """Several rows per customer, with a feature each."""
    return pd.DataFrame({"id": [first + i // rows for i in range(n * rows)], "x": range(n * rows)})


def test_rows_of_one_prediction_whose_labels_differ_are_refused(tmp_path: Path) -> None:
    """Predicting the sample's ids alone would leave the features of test out, unseen."""
    train = customers(40, 3, 0).assign(y=[i % 2 for i in range(120)])
    test = customers(20, 3, 500)
    root = write_tables(tmp_path / "a", train, test, sorted(set(test["id"])))
    assert "repeats 80 ids in column 'id'" in str(describe_task(str(root))["refusal"])
    agreed = train.assign(y=train["id"] % 2)
    root = write_tables(tmp_path / "b", agreed, test, sorted(set(test["id"])))
    report = describe_task(str(root))
    assert report["refusal"] is None and report["rows"] == {"train": 40, "test": 20}
    assert "x_mean" in [
        column["name"] for column in report["columns"] if column["fate"] == "feature"
    ]


def test_an_index_before_the_ids_of_a_sample_is_carried_over(tmp_path: Path) -> None:
    """A sample of `,Id,Category` beside a test table with `id`; the index has gaps."""
    train = customers(60, 1, 0).assign(y=[i % 2 for i in range(60)])
    root = write_tables(tmp_path / "task", train, customers(30, 1, 500), [])
    sample = pd.DataFrame({"Id": range(500, 530), "Category": 0}, index=range(7, 97, 3))
    sample.to_csv(root / "sample_submission.csv")
    report = describe_task(str(root))
    assert (report["refusal"], report["id"], report["target"]) == (None, "id", ["y"])
    made = hand_over(root, tmp_path)
    assert list(made.columns) == ["Unnamed: 0", "Id", "Category"]
    assert list(made["Unnamed: 0"]) == [str(i) for i in range(7, 97, 3)]


def test_few_rows_have_fewer_folds(tmp_path: Path) -> None:
    """Masks of three scans are validated one by one; two rows of numbers validate nothing."""
    root = tmp_path / "masks"
    layout_kit.make_layout("mask-arrays", root)
    for path in [*root.glob("train/*"), *root.glob("validation/*")][3:]:
        shutil.rmtree(path)
    task = read_task(str(root)).task
    assert task.split.n_folds == 3
    assert "3 folds instead of 5: there are 3 training rows" in task.decided
    hand_over(root, tmp_path)
    public, private = str(tmp_path / "public"), str(tmp_path / "private")
    prepared = prepare_task(task, public, private, seed=0, audit=False)
    assert measure_strength(prepared, "none.csv") == {"power": [], "plain": []}
    train = customers(3, 1, 0).assign(y=[0.5, 1.5, 2.5])
    few = write_tables(tmp_path / "few", train, customers(3, 1, 9), [9, 10, 11])
    assert "has 3 rows, too few to validate" in str(describe_task(str(few))["refusal"])


@pytest.mark.parametrize("change", ["fewer", "others"])
def test_a_sample_of_other_rows_than_the_test_table_is_refused(change: str, tmp_path: Path) -> None:
    train = customers(60, 1, 0).assign(y=[i % 2 for i in range(60)])
    test = customers(30, 1, 500)
    ids = list(test["id"][3:]) if change == "fewer" else [f"z{i}" for i in range(30)]
    root = write_tables(tmp_path / "task", train, test, ids)
    assert "exactly the test ids" in str(describe_task(str(root))["refusal"])


def test_masks_are_written_as_the_description_counts(tmp_path: Path) -> None:
    """Run lengths go down the columns or along the rows, and empty ones are the sample's mark."""
    root = tmp_path / "task"
    layout_kit.make_layout("mask-arrays", root)
    page = root / "description.md"
    assert read_task(str(root)).rows.train["encoded_pixels"][1] == "18 2"
    page.write_text(page.read_text().replace("top to bottom, then left to right", "any corner"))
    report = describe_task(str(root))
    assert report["needs"] == "read.py"
    assert "pixel_masks.npy are the labels" in str(report["refusal"])
    page.write_text(page.read_text() + "\nPixels go from left to right, then top to bottom.\n")
    texts = read_task(str(root)).rows.train.set_index("record_id")["encoded_pixels"]
    assert [texts["900"], texts["901"], texts["902"]] == ["-", "11 1 19 1", "11 2 19 2"]


def test_rows_of_two_tables_are_written_as_the_sample_has_them(tmp_path: Path) -> None:
    """A column that is 1 becomes the sample's word; studies and their images stay together."""
    root = tmp_path / "task"
    layout_kit.make_layout("tables-of-two-kinds", root)
    task, rows, _ = read_task(str(root))
    said = rows.train.groupby("kind")["PredictionString"].agg(set)
    assert said["study"] == {f"{word} 1 0 0 1 1" for word in ("negative", "typical", "atypical")}
    assert said["image"] == {"none 1 0 0 1 1", "opacity 1 1.5 2 30 40"}
    assert (task.split.kind, rows.train["group"].nunique()) == ("group", layout_kit.N)
    assert dict(rows.test["kind"].value_counts()) == {"study": layout_kit.M, "image": layout_kit.M}


def test_answers_are_spans_words_or_nothing(tmp_path: Path) -> None:
    """A long and a short answer stand in a row each; none is empty text."""
    root = tmp_path / "task"
    layout_kit.make_layout("answers-in-texts", root)
    rows = read_task(str(root)).rows.train
    said = rows.groupby("answer")["PredictionString"].agg(set)
    assert (said["long"], said["short"]) == ({"", "0:30"}, {"", "3:5", "YES"})


def test_what_ids_say_is_told_of_the_rows_to_predict(tmp_path: Path) -> None:
    """Columns that ids are put together of are read from the sample's ids, and split whole."""
    root = tmp_path / "task"
    layout_kit.make_layout("ids-of-columns", root)
    task, rows, _ = read_task(str(root))
    assert list(rows.test.iloc[2][["game_play", "step", "player"]]) == ["99_3", 0, "G"]
    assert (task.split.kind, task.split.column) == ("group", "game_play")


def test_text_is_a_feature_and_no_id(tmp_path: Path) -> None:
    """Rows whose only unique column is prose are numbered; another order is refused."""
    root = tmp_path / "task"
    layout_kit.make_layout("label-first", root)
    for name in ("train.csv", "test.csv", "sample_submission_null.csv"):
        frame = pd.read_csv(root / name)
        frame["Comment"] = [
            f"{text} and then number {i}" for i, text in enumerate(frame["Comment"])
        ]
        frame.to_csv(root / name, index=False)
    task, rows, _ = read_task(str(root))
    assert task.id is None
    assert "Comment" in rows.test
    hand_over(root, tmp_path)
    frame[::-1].to_csv(root / "sample_submission_null.csv", index=False)
    assert "in another order than the test table" in str(describe_task(str(root))["refusal"])


@pytest.mark.parametrize("word", ["yes", "b c"])
def test_notes_about_files_are_no_labels(word: str, tmp_path: Path) -> None:
    """A table that only describes files is not taken for the labels of another name."""
    root = tmp_path / "task"
    site = layout_kit.Site(root, "What is it?\nScored by accuracy.")
    keys = site.keys(40)
    for place, key in enumerate(keys):
        site.picture(f"{'train' if place < 30 else 'test'}/{key}.png")
    notes = pd.DataFrame({"id": keys[:30], "camera": site.spread(["a", "d"], 30)})
    site.csv("train_metadata.csv", notes if word == "yes" else notes.assign(width=range(30)))
    site.csv("sample_submission.csv", pd.DataFrame({"id": keys[30:], "verdict": word}))
    assert describe_task(str(root))["needs"] == "read.py"


def test_parts_of_a_sample_are_no_classes(tmp_path: Path) -> None:
    """Folders that test samples have too say nothing of labels."""
    root = tmp_path / "task"
    site = layout_kit.Site(root, "Where are nuclei?\nScored by the mean Dice coefficient of masks.")
    asked = site.keys(4)
    for key in [*site.keys(8), *asked]:
        part = "test" if key in asked else "train"
        site.picture(f"{part}/{key}/images/{key}.png")
        for number in range(3 * (part == "train")):
            site.mask(f"{part}/{key}/masks/{key[:4]}{number}.png", 2)
    site.csv("sample_submission.csv", pd.DataFrame({"ImageId": asked, "EncodedPixels": ""}))
    report = describe_task(str(root))
    assert (report["needs"], "positive" in str(report["refusal"])) == ("read.py", False)


@pytest.mark.parametrize(
    ("layout", "old", "new"),
    [
        ("pixels", "id", "image"),
        ("pixels", "value", "image"),
        ("ragged-labels", "Id", "row"),
        ("ragged-labels", "Probability", "file"),
        ("positions", "id_seqpos", "id"),
        ("positions", "id_seqpos", "position"),
        ("annotations", "Id", "file_name"),
        ("annotations", "Id", "category_id"),
    ],
)
def test_names_of_the_sample_may_be_any(layout: str, old: str, new: str, tmp_path: Path) -> None:
    """A sample whose columns are called as columns that readers make reads the same."""
    root = tmp_path / "task"
    item = layout_kit.make_layout(layout, root)
    [path] = [path for path in root.iterdir() if "ample" in path.name and path.suffix == ".csv"]
    frame = pd.read_csv(path, dtype=str).rename(columns={old: new})
    frame.to_csv(path, index=False)
    report = describe_task(str(root))
    assert report["refusal"] is None
    assert report["id"] == (new if item.id == old else item.id)
    assert len(report["target"]) == len(item.target)
    hand_over(root, tmp_path)


def test_files_that_were_found_are_told(tmp_path: Path) -> None:
    """Kinds, counts and whose files they are stand in the report; and that no row names one."""
    layout_kit.make_layout("labels-of-pictures", tmp_path / "pictures")
    [line] = describe_task(str(tmp_path / "pictures"))["files"]
    assert line.startswith("80 .tif (image); 100% of the training rows and 100% of the test rows")
    layout_kit.make_layout("labels-with-many-columns", tmp_path / "videos")
    told = describe_task(str(tmp_path / "videos"))["files"]
    assert told == ["no row names a file in test, train: scripts see them whole"]
