"""Small made-up folders, each laid out as a kind of competition lays its files out."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

N, M = 60, 20  # training rows, rows to predict
WORDS = ["ash", "birch", "cedar", "dogwood", "elm", "fir", "gum", "hazel", "iris", "juniper"]


class Site:
    """A folder being filled."""

    def __init__(self, root: Path, description: str) -> None:
        self.root, self.rng = root, np.random.default_rng(3)
        root.mkdir(parents=True)
        self.text("description.md", description + "\n")

    def at(self, name: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def text(self, name: str, value: str) -> None:
        self.at(name).write_text(value)

    def csv(self, name: str, frame: pd.DataFrame) -> None:
        frame.to_csv(self.at(name), index=False)

    def json(self, name: str, value: object) -> None:
        self.text(name, json.dumps(value))

    def lines(self, name: str, rows: list[dict[str, Any]]) -> None:
        self.text(name, "".join(json.dumps(row) + "\n" for row in rows))

    def picture(self, name: str, tint: float = 0.5) -> None:
        self.at(name).write_bytes(self.picture_bytes(tint, Path(name).suffix))

    def picture_bytes(self, tint: float, suffix: str = ".png", size: int = 8) -> bytes:
        pixels = np.clip(self.rng.normal(255 * tint, 20, (size, size)), 0, 255).astype(np.uint8)
        out = io.BytesIO()
        Image.fromarray(pixels).save(out, {".jpg": "JPEG", ".tif": "TIFF"}.get(suffix, "PNG"))
        return out.getvalue()

    def mask(self, name: str, n_columns: int) -> None:
        """Write a mask of two rows and some columns, none for 0."""
        cells = np.zeros((8, 8), np.uint8)
        cells[1:3, 2 : 2 + n_columns] = 255
        Image.fromarray(cells).save(self.at(name))

    def zip(self, name: str, files: dict[str, bytes]) -> None:
        with zipfile.ZipFile(self.at(name), "w") as archive:
            for inside, content in files.items():
                archive.writestr(inside, content)

    def keys(self, n: int, length: int = 10) -> list[str]:
        return [self.rng.bytes(length).hex()[:length] for _ in range(n)]

    def sentences(self, n: int, words: int = 6) -> list[str]:
        return [" ".join(self.rng.choice(WORDS, words)) for _ in range(n)]

    def spread(self, classes: object, n: int) -> Any:
        return self.rng.permutation(np.resize(np.asarray(classes), n))

    def runs(self) -> str:
        starts = np.sort(self.rng.choice(np.arange(1, 200, 10), 3, replace=False))
        return " ".join(f"{start} {self.rng.integers(1, 9)}" for start in starts)


@dataclass(frozen=True)
class Kind:
    """A layout, and what has to be found out about it."""

    name: str
    id: str | None
    target: list[str]
    metric: str
    direction: str
    description: str
    fill: Callable[[Site], None]


Filler = Callable[[Site], None]
KINDS: dict[str, Kind] = {}


def kind(
    name: str, id: str | None, target: str, metric: str, description: str
) -> Callable[[Filler], Filler]:
    """Register a layout; `metric` is such as `max auc`."""

    def keep(fill: Filler) -> Filler:
        direction, _, plain = metric.partition(" ")
        KINDS[name] = Kind(name, id, target.split(), plain, direction, description, fill)
        return fill

    return keep


def make_layout(name: str, root: Path) -> Kind:
    """Write a layout into a new folder."""
    item = KINDS[name]
    item.fill(Site(root, item.description))
    return item


@kind(
    "pixels",
    "id",
    "value",
    "min rmse",
    "Clean the pictures.\nScored by the root mean squared error.",
)
def fill_pixels(site: Site) -> None:
    for number in range(6):
        site.picture(f"train/{number}.png", 0.4)
        site.picture(f"train_cleaned/{number}.png", 0.7)
    rows = []
    for number in (20, 21):
        site.picture(f"test/{number}.png", 0.4)
        rows += [f"{number}_{i}_{j}" for i in range(1, 9) for j in range(1, 9)]
    site.csv("sampleSubmission.csv", pd.DataFrame({"id": rows, "value": 1}))


@kind(
    "label-first",
    None,
    "Insult",
    "max auc",
    "Is it an insult?\nScored by the area under the ROC curve.",
)
def fill_label_first(site: Site) -> None:
    n = N + M
    frame = pd.DataFrame(
        {
            "Insult": site.spread([0, 1], n),
            "Date": [None if i % 3 == 0 else f"201206{10 + i % 20}000000Z" for i in range(n)],
            "Comment": site.sentences(n, 3),
        }
    )
    frame["Comment"] = frame["Comment"].where(frame.index != 1, frame["Comment"].iloc[2])
    site.csv("train.csv", frame[:N])
    site.csv("test.csv", frame[N:].drop(columns="Insult"))
    site.csv("sample_submission_null.csv", frame[N:].assign(Insult=0))


@kind(
    "labels-of-pictures",
    "id",
    "label",
    "max auc",
    "Tumour or not?\nScored by the area under the ROC curve.",
)
def fill_labels_of_pictures(site: Site) -> None:
    frame = pd.DataFrame({"id": site.keys(N + M, 20), "label": site.spread([0, 1], N + M)})
    for place, key in enumerate(frame["id"]):
        site.picture(f"{'train' if place < N else 'test'}/{key}.tif", frame["label"][place])
    site.csv("train_labels.csv", frame[:N])
    site.csv("sample_submission.csv", frame[N:].assign(label=0))


@kind(
    "ragged-labels",
    "Id",
    "Probability",
    "max auc",
    "Which birds sing?\nScored by the area under the ROC curve.",
)
def fill_ragged_labels(site: Site) -> None:
    lines, folds, names = ["rec_id,[labels]"], ["rec_id,fold"], ["rec_id,filename"]
    asked = []
    for rec in range(40):
        found = sorted(site.rng.choice(5, site.rng.integers(0, 3), replace=False))
        is_test = rec % 4 == 3
        lines.append(",".join([str(rec), *(["?"] if is_test else map(str, found))]))
        folds.append(f"{rec},{int(is_test)}")
        names.append(f"{rec},PC_{rec:04d}")
        site.at(f"essential_data/src_wavs/PC_{rec:04d}.wav").write_bytes(b"RIFF")
        asked += [rec * 100 + label for label in range(5)] if is_test else []
    site.text("essential_data/rec_labels_test_hidden.txt", "\n".join(lines) + "\n")
    site.text("essential_data/CVfolds_2.txt", "\n".join(folds) + "\n")
    site.text("essential_data/rec_id2filename.txt", "\n".join(names) + "\n")
    site.text("essential_data/species_list.txt", "class_id,code,species\n0,A,B\n")
    site.csv("sample_submission.csv", pd.DataFrame({"Id": asked, "Probability": 0}))


@kind(
    "folders-of-geometry",
    "id",
    "formation_energy_ev_natom bandgap_energy_ev",
    "min rmsle_mean_columns",
    "Two properties of a crystal.\n"
    "Scored by the mean column-wise root mean squared logarithmic error.",
)
def fill_folders_of_geometry(site: Site) -> None:
    targets = ["formation_energy_ev_natom", "bandgap_energy_ev"]
    frame = pd.DataFrame(
        {
            "id": range(1, N + 1),
            "spacegroup": site.spread([12, 33], N),
            "percent_al": site.rng.random(N),
        }
    )
    labels = pd.DataFrame(site.rng.random((N, 2)), columns=targets)
    site.csv("train.csv", pd.concat([frame, labels], axis=1))
    site.csv("test.csv", frame[:M])
    site.csv("sample_submission.csv", frame[["id"]][:M].assign(**dict.fromkeys(targets, 0.1)))
    for part, n in (("train", N), ("test", M)):
        for key in range(1, n + 1):
            site.text(f"{part}/{key}/geometry.xyz", "lattice_vector 1 0 0\n")


@kind(
    "one-hot-columns",
    "image_id",
    "healthy multiple_diseases rust scab",
    "max auc_mean_columns",
    "What ails the leaf?\nScored by the mean column-wise ROC AUC.",
)
def fill_one_hot_columns(site: Site) -> None:
    names = ["healthy", "multiple_diseases", "rust", "scab"]
    keys = [f"Train_{i}" for i in range(N)] + [f"Test_{i}" for i in range(M)]
    which = site.spread(range(4), N)
    labels = pd.DataFrame({name: (which == place).astype(int) for place, name in enumerate(names)})
    for key in keys:
        site.picture(f"images/{key}.jpg")
    site.csv("train.csv", pd.concat([pd.DataFrame({"image_id": keys[:N]}), labels], axis=1))
    site.csv("test.csv", pd.DataFrame({"image_id": keys[N:]}))
    site.csv(
        "sample_submission.csv",
        pd.DataFrame({"image_id": keys[N:]}).assign(**dict.fromkeys(names, 0.25)),
    )


@kind(
    "json-records",
    "request_id",
    "requester_received_pizza",
    "max auc",
    "Does the request get a pizza?\nScored by the area under the ROC curve.",
)
def fill_json_records(site: Site) -> None:
    def records(n: int, first: int, known: bool) -> list[dict[str, Any]]:
        rows = []
        for i in range(first, first + n):
            row: dict[str, Any] = {
                "request_id": f"t3_{i:05d}",
                "request_text": site.sentences(1)[0],
                "subreddits": ["a", "b"],
            }
            rows.append(
                row
                | ({"requester_received_pizza": bool(i % 3 == 0), "giver": "N/A"} if known else {})
            )
        return rows

    train, test = records(N, 0, True), records(M, 500, False)
    site.json("train.json", train)
    site.json("test.json", test)
    site.zip("train.zip", {"train.json": json.dumps(train).encode()})
    site.csv(
        "sampleSubmission.csv",
        pd.DataFrame(
            {"request_id": [row["request_id"] for row in test], "requester_received_pizza": 0}
        ),
    )


LINES = ["ETT - Abnormal", "ETT - Normal", "CVC - Abnormal", "Swan Ganz Catheter Present"]


@kind(
    "columns-with-blanks",
    "StudyInstanceUID",
    "ETT_-_Abnormal ETT_-_Normal CVC_-_Abnormal Swan_Ganz_Catheter_Present",
    "max auc_mean_columns",
    "Where is the catheter?\nScored by the mean column-wise ROC AUC.",
)
def fill_columns_with_blanks(site: Site) -> None:
    frame = pd.DataFrame({"StudyInstanceUID": [f"1.2.{i}" for i in range(N + M)]})
    labels = pd.DataFrame({name: site.spread([0, 0, 1], N) for name in LINES})
    train = pd.concat([frame[:N], labels], axis=1).assign(PatientID=site.keys(N, 8))
    for place, key in enumerate(frame["StudyInstanceUID"]):
        site.picture(f"{'train' if place < N else 'test'}/{key}.jpg")
    site.csv("train.csv", train)
    site.csv(
        "train_annotations.csv",
        pd.DataFrame(
            {"StudyInstanceUID": ["1.2.0"], "label": ["CVC - Normal"], "data": ["[[1, 2]]"]}
        ),
    )
    site.csv("sample_submission.csv", frame[N:].assign(**dict.fromkeys(LINES, 0)))


@kind(
    "last-part-of-file-names",
    "clip",
    "probability",
    "max auc",
    "Does a whale call?\nScored by the area under the ROC curve.",
)
def fill_last_part_of_file_names(site: Site) -> None:
    train = {f"train2/2009_{i:06d}_TRAIN{i}_{i % 2}.aif": b"FORM" for i in range(N)}
    test = {f"test2/2009_{i:06d}_Test{i}.aif": b"FORM" for i in range(M)}
    site.zip("train2.zip", train)
    site.zip("test2.zip", test)
    site.csv(
        "sampleSubmission.csv",
        pd.DataFrame({"clip": [name.partition("/")[2] for name in test], "probability": 0}),
    )


@kind(
    "classes-in-a-column",
    "image_id",
    "label",
    "max accuracy",
    "Which disease has the plant?\nScored by accuracy.",
)
def fill_classes_in_a_column(site: Site) -> None:
    frame = pd.DataFrame(
        {"image_id": [f"{i}.jpg" for i in range(N + M)], "label": site.spread(range(5), N + M)}
    )
    for place, name in enumerate(frame["image_id"]):
        site.picture(f"{'train' if place < N else 'test'}_images/{name}")
    site.at("train_tfrecords/a.tfrec").write_bytes(b"x" * 50)
    site.json("label_num_to_disease_map.json", {"0": "a", "1": "b"})
    site.csv("train.csv", frame[:N])
    site.csv("sample_submission.csv", frame[N:].assign(label=4))


@kind(
    "side-tables",
    "id",
    "scalar_coupling_constant",
    "min mae",
    "How do atoms couple?\nScored by the mean absolute error.",
)
def fill_side_tables(site: Site) -> None:
    n = N + M
    frame = pd.DataFrame(
        {
            "id": range(n),
            "molecule_name": [f"m{i // 4}" for i in range(n)],
            "type": site.spread(["1JHC", "2JHH"], n),
            "scalar_coupling_constant": site.rng.normal(size=n),
        }
    )
    site.csv("train.csv", frame[:N])
    site.csv("test.csv", frame[N:].drop(columns="scalar_coupling_constant"))
    site.csv(
        "structures.csv",
        pd.DataFrame(
            {"molecule_name": [f"m{i // 4}" for i in range(n)], "atom_index": 0, "x": 0.1}
        ),
    )
    site.csv(
        "dipole_moments.csv",
        pd.DataFrame({"molecule_name": [f"m{i}" for i in range(N // 4)], "X": 0.5}),
    )
    site.csv(
        "scalar_coupling_contributions.csv",
        pd.DataFrame(
            {
                "molecule_name": frame["molecule_name"][:N],
                "fc": frame["scalar_coupling_constant"][:N] * 0.9,
            }
        ),
    )
    site.csv("sample_submission.csv", frame[["id"]][N:].assign(scalar_coupling_constant=0))


@kind(
    "many-values",
    "qa_id",
    "question_ash question_elm answer_fir",
    "max spearman_mean_columns",
    "How good is an answer?\nScored by the mean column-wise Spearman correlation.",
)
def fill_many_values(site: Site) -> None:
    n, targets = N + M, ["question_ash", "question_elm", "answer_fir"]
    frame = pd.DataFrame(
        {
            "qa_id": range(n),
            "question_title": site.sentences(n),
            "answer": site.sentences(n),
            "category": site.spread(["A", "B"], n),
        }
    )
    labels = pd.DataFrame(site.rng.integers(0, 4, (N, 3)) / 3, columns=targets)
    site.csv("train.csv", pd.concat([frame[:N], labels], axis=1))
    site.csv("test.csv", frame[N:])
    site.csv("sample_submission.csv", frame[["qa_id"]][N:].assign(**dict.fromkeys(targets, 0.3)))


def coco(site: Site, n: int, first: int, labels: bool, name: str) -> None:
    images = [
        {"id": f"im-{i}", "file_name": f"im-{i}.jpg", "location": i % 5, "width": 8}
        for i in range(first, first + n)
    ]
    notes = [
        {"id": f"a{i}", "image_id": f"im-{i}", "category_id": i % 6}
        for i in range(first, first + n)
    ]
    more = {"annotations": notes} if labels else {}
    site.json(
        name,
        {"images": images, "categories": [{"id": k, "name": WORDS[k]} for k in range(6)]} | more,
    )


@kind(
    "annotations", "Id", "category_id", "max accuracy", "Which animal is it?\nScored by accuracy."
)
def fill_annotations(site: Site) -> None:
    coco(site, N, 0, True, "camera2020_train_annotations.json")
    coco(site, M, 900, False, "camera2020_test_information.json")
    site.json(
        "megadetector_results.json", {"images": [{"id": "im-1", "detections": []}], "info": {}}
    )
    for i in [*range(N), *range(900, 900 + M)]:
        site.picture(f"{'train' if i < N else 'test'}/im-{i}.jpg")
    site.csv(
        "sample_submission.csv",
        pd.DataFrame({"Id": [f"im-{i}" for i in range(900, 900 + M)], "Category": 0}),
    )


@kind(
    "annotations-with-validation",
    "id",
    "category_id",
    "max accuracy",
    "Name the species.\nScored by classification accuracy.",
)
def fill_annotations_with_validation(site: Site) -> None:
    for name, first, n, known in (
        ("train2019.json", 0, N, True),
        ("val2019.json", 300, 20, True),
        ("test2019.json", 900, M, False),
    ):
        images = [
            {"id": i, "file_name": f"x/{i}.jpg", "rights_holder": "z"}
            for i in range(first, first + n)
        ]
        notes = [{"id": i, "image_id": i, "category_id": i % 6} for i in range(first, first + n)]
        site.json(
            name, {"images": images} | ({"annotations": notes, "categories": []} if known else {})
        )
    site.csv(
        "kaggle_sample_submission.csv", pd.DataFrame({"id": range(900, 900 + M), "predicted": 0})
    )


@kind(
    "run-lengths",
    "id",
    "encoding",
    "max dice_masks",
    "Where are the glomeruli?\nScored by the mean Dice coefficient of masks as run lengths.",
)
def fill_run_lengths(site: Site) -> None:
    keys = site.keys(N + M, 9)
    site.csv(
        "train.csv", pd.DataFrame({"id": keys[:N], "encoding": [site.runs() for _ in range(N)]})
    )
    for place, key in enumerate(keys):
        part = "train" if place < N else "test"
        site.picture(f"{part}/{key}.tif")
        site.json(f"{part}/{key}-anatomical-structure.json", [])
    site.csv(
        "dataset_information.csv",
        pd.DataFrame({"image_file": [f"{k}.tif" for k in keys], "width": 8, "age": range(N + M)}),
    )
    site.csv("sample_submission.csv", pd.DataFrame({"id": keys[N:], "predicted": None}))


@kind(
    "tags-and-their-names",
    "id",
    "attribute_ids",
    "max tags_f1_micro",
    "What is on the painting?\nScored by the micro-averaged F1 of tags.",
)
def fill_tags_and_their_names(site: Site) -> None:
    keys = site.keys(N + M, 16)
    cells = [" ".join(map(str, sorted(site.rng.choice(30, 3, replace=False)))) for _ in range(N)]
    site.csv(
        "labels.csv",
        pd.DataFrame(
            {"attribute_id": range(30), "attribute_name": [f"tag::{w}" for w in WORDS * 3]}
        ),
    )
    site.csv("train.csv", pd.DataFrame({"id": keys[:N], "attribute_ids": cells}))
    for place, key in enumerate(keys):
        site.picture(f"{'train' if place < N else 'test'}/{key}.png")
    site.csv("sample_submission.csv", pd.DataFrame({"id": keys[N:], "attribute_ids": "0 1 2"}))


@kind(
    "one-hot-choice",
    "id",
    "winner_model_a winner_model_b winner_tie",
    "min log_loss",
    "Which answer do people prefer?\nScored by log loss.",
)
def fill_one_hot_choice(site: Site) -> None:
    names, n = ["winner_model_a", "winner_model_b", "winner_tie"], N + M
    which = site.spread(range(3), N)
    frame = pd.DataFrame(
        {
            "id": range(n),
            "prompt": site.sentences(n),
            "response_a": site.sentences(n),
            "response_b": site.sentences(n),
        }
    )
    train = frame[:N].assign(
        model_a="x", model_b="y", **{name: (which == k).astype(int) for k, name in enumerate(names)}
    )
    site.csv("train.csv", train)
    site.csv("test.csv", frame[N:])
    site.csv("sample_submission.csv", frame[["id"]][N:].assign(**dict.fromkeys(names, 1 / 3)))


@kind(
    "visits",
    "Patient_Week",
    "FVC",
    "max laplace_log_likelihood",
    "How does the lung decline?\nScored by the modified Laplace log likelihood.",
)
def fill_visits(site: Site) -> None:
    def visits(patients: list[str], n: int) -> pd.DataFrame:
        return pd.DataFrame(
            [
                {
                    "Patient": p,
                    "Weeks": 5 * w,
                    "FVC": 2500 - 9 * w + int(site.rng.integers(60)),
                    "Percent": 70.5,
                    "Age": 60 + len(p),
                    "Sex": "Male",
                    "SmokingStatus": "Ex-smoker",
                }
                for p in patients
                for w in range(n)
            ]
        )

    test = visits([f"ID009{i}" for i in range(4)], 1)
    site.csv("train.csv", visits([f"ID000{i}" for i in range(9)], 8))
    site.csv("test.csv", test)
    for patient in test["Patient"]:
        site.at(f"test/{patient}/1.dcm").write_bytes(b"\0" * 128 + b"DICM")
    ids = [f"{p}_{week}" for p in test["Patient"] for week in range(-2, 5)]
    site.csv(
        "sample_submission.csv", pd.DataFrame({"Patient_Week": ids, "FVC": 2000, "Confidence": 100})
    )


@kind(
    "several-labels-in-a-cell",
    "image",
    "labels",
    "max tags_f1_micro",
    "What ails the leaf?\nScored by the micro-averaged F1 of labels.",
)
def fill_several_labels_in_a_cell(site: Site) -> None:
    keys = [f"{key}.jpg" for key in site.keys(N + M, 12)]
    site.csv(
        "train.csv",
        pd.DataFrame(
            {
                "image": keys[:N],
                "labels": site.spread(["scab", "rust", "scab frog_eye", "healthy"], N),
            }
        ),
    )
    for place, key in enumerate(keys):
        site.picture(f"{'train' if place < N else 'test'}_images/{key}")
    site.csv("sample_submission.csv", pd.DataFrame({"image": keys[N:], "labels": "healthy"}))


@kind(
    "archives-of-json", "id", "is_iceberg", "min log_loss", "Ship or iceberg?\nScored by log loss."
)
def fill_archives_of_json(site: Site) -> None:
    import py7zr

    def records(n: int, known: bool) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = [
            {"id": key, "band_1": [0.1, 0.2, 0.3, 0.4], "inc_angle": "na" if i == 2 else 40.5}
            for i, key in enumerate(site.keys(n, 8))
        ]
        return [row | ({"is_iceberg": i % 2} if known else {}) for i, row in enumerate(rows)]

    test = records(M, False)
    for name, rows in (("train.json", records(N, True)), ("test.json", test)):
        with py7zr.SevenZipFile(site.at(name + ".7z"), "w") as archive:
            archive.writestr(json.dumps(rows), f"data/processed/{name}")
    sample = pd.DataFrame({"id": [row["id"] for row in test], "is_iceberg": 0.5})
    with py7zr.SevenZipFile(site.at("sample_submission.csv.7z"), "w") as archive:
        archive.writestr(sample.to_csv(index=False), "sample_submission.csv")


@kind(
    "text-in-text",
    "textID",
    "selected_text",
    "max word_jaccard",
    "Which words carry the mood?\nScored by the mean word-level Jaccard score.",
)
def fill_text_in_text(site: Site) -> None:
    n = N + M
    frame = pd.DataFrame(
        {
            "textID": site.keys(n),
            "text": site.sentences(n),
            "sentiment": site.spread(["neutral", "positive"], n),
        }
    )
    frame["selected_text"] = [" ".join(text.split()[1:3]) for text in frame["text"]]
    site.csv("train.csv", frame[:N])
    site.csv("test.csv", frame[N:].drop(columns="selected_text"))
    site.csv("sample_submission.csv", frame[["textID"]][N:].assign(selected_text=""))


@kind(
    "two-id-columns",
    "id class",
    "segmentation",
    "max dice_masks",
    "Where are the organs?\nScored by the mean Dice coefficient of masks as run lengths.",
)
def fill_two_id_columns(site: Site) -> None:
    def rows(case: int, n: int) -> pd.DataFrame:
        return pd.DataFrame(
            [
                {"id": f"case{case}_day{day}_slice_{i:04d}", "class": organ}
                for day in range(2)
                for i in range(n)
                for organ in ("large_bowel", "small_bowel", "stomach")
            ]
        )

    train, test = pd.concat([rows(1, 8), rows(2, 8)], ignore_index=True), rows(9, 5)
    site.csv(
        "train.csv",
        train.assign(segmentation=[site.runs() if i % 2 else "" for i in range(len(train))]),
    )
    for frame, part in ((train, "train"), (test, "test")):
        for key in frame["id"].unique():
            case, day, _, slice_ = key.split("_")
            site.picture(f"{part}/{case}/{case}_{day}/scans/slice_{slice_}_8_8_1.50_1.50.png")
    site.csv("sample_submission.csv", test.assign(predicted=""))


@kind(
    "ids-called-image",
    "Image",
    "Id",
    "max map@5",
    "Which whale is it?\nScored by the mean average precision at 5.",
)
def fill_ids_called_image(site: Site) -> None:
    names = [f"{key}.jpg" for key in site.keys(N + M, 8)]
    site.csv(
        "train.csv",
        pd.DataFrame(
            {"Image": names[:N], "Id": site.spread([f"w_{i}" for i in range(9)] + ["new_whale"], N)}
        ),
    )
    for place, name in enumerate(names):
        site.picture(f"{'train' if place < N else 'test'}/{name}")
    site.csv(
        "sample_submission.csv",
        pd.DataFrame({"Image": names[N:], "Id": "new_whale w_1 w_2 w_3 w_4"}),
    )


@kind(
    "folders-of-classes",
    "file",
    "species",
    "max f1_micro",
    "Which seedling is it?\nScored by the micro-averaged F1 score.",
)
def fill_folders_of_classes(site: Site) -> None:
    for k, name in enumerate(("Black-grass", "Charlock", "Sugar beet", "Loose Silky-bent")):
        for key in site.keys(N // 4, 9):
            site.picture(f"train/{name}/{key}.png", k / 4)
    names = [f"{key}.png" for key in site.keys(M, 9)]
    for name in names:
        site.picture(f"test/{name}")
    site.csv("sample_submission.csv", pd.DataFrame({"file": names, "species": "Sugar beet"}))


@kind(
    "labels-with-many-columns",
    "contact_id",
    "contact",
    "max mcc",
    "Do two players touch?\nScored by Matthews correlation coefficient.",
)
def fill_labels_with_many_columns(site: Site) -> None:
    def rows(game: int, n: int) -> pd.DataFrame:
        frame = pd.DataFrame(
            {
                "game_play": f"{game}_1",
                "step": range(n),
                "nfl_player_id_1": 10,
                "nfl_player_id_2": 20,
            }
        )
        frame.insert(0, "contact_id", [f"{game}_1_{i}_10_20" for i in range(n)])
        return frame

    site.csv(
        "train_labels.csv",
        rows(5, N).assign(datetime="2022-09-09T00:00:00Z", contact=site.spread([0, 0, 1], N)),
    )
    for part in ("train", "test"):
        site.csv(
            f"{part}_player_tracking.csv",
            pd.DataFrame({"game_play": ["5_1"] * 4, "step": range(4), "x_position": 0.5}),
        )
        site.csv(
            f"{part}_video_metadata.csv", pd.DataFrame({"game_play": ["5_1"], "view": ["Sideline"]})
        )
        site.at(f"{part}/5_1_Sideline.mp4").write_bytes(b"mp4" * 30)
    site.csv(
        "sample_submission.csv",
        pd.DataFrame({"contact_id": rows(8, M)["contact_id"], "contact": 0}),
    )


@kind(
    "several-rows-of-one-prediction",
    "prediction_id",
    "cancer",
    "max auc",
    "Is there cancer?\nScored by the area under the ROC curve.",
)
def fill_several_rows_of_one_prediction(site: Site) -> None:
    def rows(first: int, n: int) -> pd.DataFrame:
        return pd.DataFrame(
            [
                {
                    "site_id": 1,
                    "patient_id": p,
                    "image_id": p * 100 + k,
                    "laterality": side,
                    "view": view,
                    "age": 50.5,
                }
                for p in range(first, first + n)
                for side in "LR"
                for k, view in enumerate(("CC", "MLO"))
            ]
        )

    train, test = rows(100, 20), rows(700, 8)
    cancer = {(p, side): int(site.rng.random() < 0.4) for p in range(100, 120) for side in "LR"}
    site.csv(
        "train.csv",
        train.assign(
            cancer=[
                cancer[p, s] for p, s in zip(train["patient_id"], train["laterality"], strict=True)
            ]
        ),
    )
    test["prediction_id"] = test["patient_id"].astype(str) + "_" + test["laterality"]
    site.csv("test.csv", test)
    for part, frame in (("train", train), ("test", test)):
        for row in frame.itertuples():
            site.at(f"{part}_images/{row.patient_id}/{row.image_id}.dcm").write_bytes(
                b"\0" * 128 + b"DICM"
            )
    site.csv(
        "sample_submission.csv",
        pd.DataFrame({"prediction_id": test["prediction_id"].unique(), "cancer": 0}),
    )


@kind(
    "folders-of-scans",
    "BraTS21ID",
    "MGMT_value",
    "max auc",
    "Is the gene there?\nScored by the area under the ROC curve.",
)
def fill_folders_of_scans(site: Site) -> None:
    site.csv(
        "train_labels.csv",
        pd.DataFrame({"BraTS21ID": range(N), "MGMT_value": site.spread([0, 1], N)}),
    )
    for key in range(N + M):
        for scan in ("FLAIR", "T1w"):
            site.at(f"{'train' if key < N else 'test'}/{key:05d}/{scan}/Image-1.dcm").write_bytes(
                b"\0" * 128 + b"DICM"
            )
    site.csv(
        "sample_submission.csv",
        pd.DataFrame({"BraTS21ID": [f"{k:05d}" for k in range(N, N + M)], "MGMT_value": 0.5}),
    )


@kind(
    "positions",
    "id_seqpos",
    "reactivity deg_Mg_pH10 deg_pH10",
    "min rmse_mean_columns",
    "How stable is the molecule?\nScored by the mean column-wise root mean squared error.",
)
def fill_positions(site: Site) -> None:
    targets = ["reactivity", "deg_Mg_pH10", "deg_pH10"]

    def record(key: str, known: bool) -> dict[str, Any]:
        row: dict[str, Any] = {
            "id": key,
            "sequence": "".join(site.rng.choice(list("GACU"), 30)),
            "structure": "".join(site.rng.choice(list("(.)"), 30)),
            "seq_length": 30,
            "seq_scored": 20,
        }
        return row | (
            {name: site.rng.normal(size=20).round(4).tolist() for name in targets} if known else {}
        )

    site.lines("train.json", [record(f"id_{key}", True) for key in site.keys(12, 9)])
    test = [record(f"id_{key}", False) for key in site.keys(5, 9)]
    site.lines("test.json", test)
    ids = [f"{row['id']}_{k}" for row in test for k in range(20)]
    site.csv(
        "sample_submission.csv",
        pd.DataFrame({"id_seqpos": ids}).assign(**dict.fromkeys(targets, 0.0)),
    )
    site.at("bpps/id_1.npy").write_bytes(b"\x93NUMPY")


@kind(
    "a-table-per-folder",
    "Id",
    "Predicted",
    "max dice_masks",
    "Where is the ink?\nScored by the Dice coefficient of masks as run lengths.",
)
def fill_a_table_per_folder(site: Site) -> None:
    for key in range(1, 13):
        site.csv(
            f"train/{key}/inklabels_rle.csv",
            pd.DataFrame({"Id": [key], "Predicted": [site.runs()]}),
        )
        site.picture(f"train/{key}/mask.png")
        site.picture(f"train/{key}/surface_volume/00.tif")
    for letter in "ab":
        site.picture(f"test/{letter}/mask.png")
        site.picture(f"test/{letter}/surface_volume/00.tif")
    site.csv("sample_submission.csv", pd.DataFrame({"Id": ["a", "b"], "Predicted": "1 1 5 1"}))


@kind(
    "old-test-table",
    "id",
    "category_id",
    "max f1_macro",
    "Which animal is it?\nScored by the macro F1 score.",
)
def fill_old_test_table(site: Site) -> None:
    frame = pd.DataFrame(
        {
            "file_name": [f"{k}.jpg" for k in site.keys(N + M, 9)],
            "id": site.keys(N + M, 9),
            "location": site.spread(range(6), N + M),
            "category_id": site.spread(range(4), N + M),
        }
    )
    for place, name in enumerate(frame["file_name"]):
        site.picture(f"{'train' if place < N else 'test'}_images/{name}")
    site.csv("train.csv", frame[:N])
    site.csv("test.csv", frame[N:].drop(columns="category_id"))
    site.csv("sample_submission.csv", pd.DataFrame({"Id": frame["id"][N:], "Predicted": 0}))


@kind("index-column", "key", "y", "min rmse", "A number.\nScored by the root mean squared error.")
def fill_index_column(site: Site) -> None:
    frame = pd.DataFrame(
        {
            "key": site.keys(N + M, 6),
            "x": site.rng.normal(size=N + M),
            "y": site.rng.normal(size=N + M),
        }
    )
    frame[:N].to_csv(site.at("train_data.csv"))
    frame[N:].drop(columns="y").to_csv(site.at("test_data.csv"))
    frame[["key", "y"]][N:].reset_index(drop=True).assign(y=0.5).to_csv(
        site.at("sample_submission.csv")
    )


@kind(
    "quoted-tables-in-archives",
    "id",
    "after",
    "max accuracy",
    "Say it in words.\nScored by accuracy: a token counts when it matches in full.",
)
def fill_quoted_tables_in_archives(site: Site) -> None:
    frame = pd.DataFrame(
        {"id": range(N + M), "before": site.sentences(N + M, 1), "after": site.sentences(N + M, 1)}
    )
    for name, part in (
        ("xx_train.csv", frame[:N]),
        ("xx_test.csv", frame[N:].drop(columns="after")),
        ("xx_sample_submission.csv", frame[["id", "after"]][N:]),
    ):
        site.zip(name + ".zip", {name: part.to_csv(index=False, quoting=csv.QUOTE_ALL).encode()})


@kind(
    "boxes-in-rows",
    "image_id",
    "class_id x_min y_min x_max y_max",
    "max map_boxes",
    "What is where?\nScored by the mean average precision of boxes.",
)
def fill_boxes_in_rows(site: Site) -> None:
    rows = [
        {
            "image_id": f"i{i}",
            "class_name": "Mass",
            "class_id": k,
            "rad_id": "R1",
            "x_min": 1.0 + i,
            "y_min": 2.0,
            "x_max": 30.0 + i,
            "y_max": 40.0,
        }
        for i in range(N // 2)
        for k in range(1 + i % 2)
    ]
    for i in range(N):
        site.picture(f"{'train' if i < N // 2 else 'test'}/i{i}.png")
    site.csv("train.csv", pd.DataFrame(rows))
    site.csv(
        "sample_submission.csv",
        pd.DataFrame(
            {"image_id": [f"i{i}" for i in range(N // 2, N)], "PredictionString": "14 1 0 0 1 1"}
        ),
    )


@kind(
    "wide-and-long",
    "row_id",
    "fractured",
    "min log_loss",
    "Which bones are broken?\nScored by log loss.",
)
def fill_wide_and_long(site: Site) -> None:
    names = ["patient_overall", "C1", "C2"]
    site.csv(
        "train.csv",
        pd.DataFrame(
            {"StudyInstanceUID": [f"1.2.{i}" for i in range(N)]}
            | {name: site.spread([0, 1], N) for name in names}
        ),
    )
    test = pd.DataFrame(
        [
            {"row_id": f"9.9.{i}_{name}", "StudyInstanceUID": f"9.9.{i}", "prediction_type": name}
            for i in range(M)
            for name in names
        ]
    )
    site.csv("test.csv", test)
    site.csv("sample_submission.csv", test[["row_id"]].assign(fractured=0.5))


@kind(
    "tracks",
    "tripId time",
    "lat lng",
    "min rmse_mean_columns",
    "Where is the phone?\nScored by the mean column-wise root mean squared error.",
)
def fill_tracks(site: Site) -> None:
    rows = []
    for part, days in (("train", ("d-1", "d-2", "d-3")), ("test", ("d-9",))):
        for day in days:
            for phone in ("pixel", "mi"):
                track = pd.DataFrame(
                    {
                        "lat": site.rng.normal(size=9),
                        "lng": site.rng.normal(size=9),
                        "time": range(9),
                    }
                )
                site.csv(
                    f"{part}/{day}/{phone}/device.csv", pd.DataFrame({"time": range(9), "sat": 3})
                )
                if part == "train":
                    site.csv(f"{part}/{day}/{phone}/ground_truth.csv", track)
                else:
                    rows.append(track.assign(tripId=f"{day}-{phone}"))
    site.csv(
        "sample_submission.csv",
        pd.concat(rows)[["tripId", "time", "lat", "lng"]].assign(lat=0, lng=0),
    )


@kind(
    "what-is-bought-next",
    "customer_id",
    "article_id",
    "max map@12",
    "Which articles does a customer buy in the 7-day period after?\n"
    "Scored by the mean average precision at 12.",
)
def fill_what_is_bought_next(site: Site) -> None:
    people = [f"c{i}" for i in range(30)]
    articles = [f"0{700000000 + i}" for i in range(15)]
    rows = [
        {"t_dat": f"2020-09-{day:02}", "customer_id": person, "article_id": article, "price": 0.05}
        for day in range(1, 23)
        for person, article in zip(
            site.rng.choice(people, 8, replace=False), site.rng.choice(articles, 8), strict=True
        )
    ]
    site.csv("transactions_train.csv", pd.DataFrame(rows))
    site.csv("customers.csv", pd.DataFrame({"customer_id": people, "age": 40, "Active": 1.0}))
    site.csv("articles.csv", pd.DataFrame({"article_id": articles, "product_type": 253}))
    site.picture(f"images/{articles[0][:3]}/{articles[0]}.jpg")
    site.csv(
        "sample_submission.csv",
        pd.DataFrame({"customer_id": people, "prediction": " ".join(articles[:12])}),
    )


@kind(
    "tables-of-two-kinds",
    "id",
    "PredictionString",
    "max map_boxes@0.5",
    "What is where, and of what kind is the study?\n"
    "Scored by the mean average precision of boxes at an overlap of 0.5.",
)
def fill_tables_of_two_kinds(site: Site) -> None:
    names = ["Negative for Pneumonia", "Typical Appearance", "Atypical Appearance"]
    studies, which = site.keys(N), site.spread(range(3), N)
    hot = {name: (which == place).astype(int) for place, name in enumerate(names)}
    site.csv("train_study_level.csv", pd.DataFrame({"id": [f"{k}_study" for k in studies]} | hot))
    rows = [
        {
            "id": f"{key}_image",
            "boxes": None if place == 0 else "[{'x': 1.5, 'y': 2}]",
            "label": "none 1 0 0 1 1" if place == 0 else "opacity 1 1.5 2 30 40",
            "StudyInstanceUID": study,
        }
        for key, study, place in zip(site.keys(N), studies, which, strict=True)
    ]
    site.csv("train_image_level.csv", pd.DataFrame(rows))
    asked = [f"{k}_study" for k in site.keys(M)] + [f"{k}_image" for k in site.keys(M)]
    said = ["negative 1 0 0 1 1"] * M + ["none 1 0 0 1 1"] * M
    site.csv("sample_submission.csv", pd.DataFrame({"id": asked, "PredictionString": said}))
    for row in rows:
        site.picture(f"train/{row['StudyInstanceUID']}/{str(row['id']).removesuffix('_image')}.png")


DOWN = "Pixels are numbered from top to bottom, then left to right."


@kind(
    "mask-pictures",
    "img",
    "rle_mask",
    "max dice_masks",
    f"Where is the car? {DOWN}\nScored by the mean Dice coefficient of masks.",
)
def fill_mask_pictures(site: Site) -> None:
    keys = site.keys(N)
    for place, key in enumerate(keys):
        if place >= N - M:
            site.picture(f"test/{key}.jpg")
            continue
        site.picture(f"train/{key}.jpg")
        site.mask(f"train_masks/{key}_mask.png", place % 4)
    asked = [f"{key}.jpg" for key in keys[N - M :]]
    site.csv("sample_submission.csv", pd.DataFrame({"img": asked, "rle_mask": "1 1"}))


@kind(
    "mask-arrays",
    "record_id",
    "encoded_pixels",
    "max dice_global",
    f"Where are the trails? {DOWN}\nScored by the global Dice coefficient.",
)
def fill_mask_arrays(site: Site) -> None:
    for place in range(30):
        part = ("train", "train", "validation", "test")[place % 4]
        np.save(site.at(f"{part}/{900 + place}/band_08.npy"), site.rng.normal(size=(8, 8, 2)))
        if part != "test":
            cells = np.zeros((8, 8, 1), np.int32)
            cells[1:3, 2 : 2 + place % 3] = 1
            np.save(site.at(f"{part}/{900 + place}/pixel_masks.npy"), cells)
        if part == "train":
            each = np.stack([cells, cells], axis=-1)
            np.save(site.at(f"{part}/{900 + place}/individual_masks.npy"), each)
    site.json("train_metadata.json", [{"record_id": "900", "place": "a"}, {"record_id": "901"}])
    asked = [900 + place for place in range(3, 30, 4)]
    sample = pd.DataFrame({"record_id": asked, "encoded_pixels": "-"})
    sample.loc[::2, "encoded_pixels"] = "1 3 10 5"
    site.csv("sample_submission.csv", sample.assign(height=8, width=8))


@kind(
    "answers-in-texts",
    "example_id",
    "PredictionString",
    "max tags_f1_micro",
    "Find the long and the short answer in a page.\nScored by micro F1.",
)
def fill_answers_in_texts(site: Site) -> None:
    def record(number: int, known: bool) -> dict[str, Any]:
        row = {"example_id": str(10**17 + number), "question_text": "who", "document_text": "a b c"}
        note = {
            "yes_no_answer": "YES" if number % 5 == 0 else "NONE",
            "long_answer": {"start_token": 0 if number % 3 else -1, "end_token": 30},
            "short_answers": [{"start_token": 3, "end_token": 5}] * (number % 2),
        }
        return row | ({"annotations": [note]} if known else {})

    site.lines("simplified-nq-train.jsonl", [record(i, True) for i in range(N)])
    test = [record(-i, False) for i in range(1, M + 1)]
    site.lines("simplified-nq-test.jsonl", test)
    asked = [f"{row['example_id']}_{kind}" for row in test for kind in ("long", "short")]
    site.csv("sample_submission.csv", pd.DataFrame({"example_id": asked, "PredictionString": ""}))


@kind(
    "ids-of-columns",
    "contact_id",
    "contact",
    "max mcc",
    "Do two players touch?\nScored by Matthews correlation coefficient.",
)
def fill_ids_of_columns(site: Site) -> None:
    def rows(game: str) -> pd.DataFrame:
        frame = pd.DataFrame(
            [
                {"game_play": game, "datetime": f"2022-09-09T00:00:{k:02}Z", "step": k, "player": p}
                for k in range(12)
                for p in (10, 20, "G")
            ]
        )
        names = [frame[name].map(str) for name in ("game_play", "step", "player")]
        frame.insert(0, "contact_id", names[0] + "_" + names[1] + "_" + names[2])
        return frame.assign(contact=(site.rng.random(len(frame)) < 0.4).astype(int))

    train, test = pd.concat([rows("58_1"), rows("59_1"), rows("60_2")]), rows("99_3")
    site.csv("train_labels.csv", train)
    for part, frame in (("train", train), ("test", test)):
        tracks = frame[["game_play", "datetime", "step"]].assign(x=0.5)
        site.csv(f"{part}_player_tracking.csv", tracks)
    site.csv("sample_submission.csv", test[["contact_id"]].assign(contact=0))
