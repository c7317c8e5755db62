"""The sample that scripts are rehearsed on is laid out as the task."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from trust_kit import binary_frames, ready, write_frames

from task.data.sample import sample_task

N, N_TEST = 1800, 500


def read(inputs: dict[str, str], name: str) -> pd.DataFrame:
    return pd.read_csv(inputs[name], dtype=str, keep_default_na=False)


def test_tables_keep_names_cells_folds_and_classes(tmp_path: Path) -> None:
    train, test = binary_frames(N, N_TEST)
    train["word"] = ['say "x",\nor not' if i % 2 else "" for i in range(N)]
    test["word"] = "y"
    train.loc[:9, "label"] = 2  # a rare class
    prepared = ready(write_frames(tmp_path / "task", train, test, "accuracy"))
    sample = sample_task(prepared, str(tmp_path / "sample"))
    assert set(sample["inputs"]) == set(prepared.inputs)
    whole, part = read(prepared.inputs, "train.csv"), read(sample["inputs"], "train.csv")
    assert (len(part), len(whole)) == (sample["rows"], sample["of"])
    assert 300 <= len(part) < 0.25 * len(whole)
    assert list(part["id"]) == [key for key in whole["id"] if key in set(part["id"])]
    known = whole.set_index("id").loc[part["id"]].reset_index()
    pd.testing.assert_frame_equal(part, known)
    folds = read(sample["inputs"], "folds.csv")
    assert list(folds["id"]) == list(part["id"])
    assert set(folds["fold"]) == set(read(prepared.inputs, "folds.csv")["fold"])
    assert set(part["label"]) == {"0", "1", "2"}
    asked = read(sample["inputs"], "test.csv")
    assert list(asked["id"]) == list(read(sample["inputs"], "sample_submission.csv")["id"])
    again = sample_task(prepared, str(tmp_path / "again"))
    assert read(again["inputs"], "train.csv").equals(part)


def test_groups_stay_whole(tmp_path: Path) -> None:
    train, test = binary_frames(N, N_TEST)
    train["house"] = [f"h{i // 6}" for i in range(N)]
    test["house"] = [f"t{i // 6}" for i in range(N_TEST)]
    folder = write_frames(tmp_path / "task", train, test, "auc", split="group:house")
    sample = sample_task(ready(folder), str(tmp_path / "sample"))
    sizes = read(sample["inputs"], "train.csv").groupby("house").size()
    assert set(sizes) == {6} and len(sizes) >= 10


@pytest.mark.parametrize("nested", [False, True])
def test_side_files_are_those_of_the_rows(tmp_path: Path, nested: bool) -> None:
    train, test = binary_frames(N, N_TEST)
    folder = write_frames(tmp_path / "task", train, test, "auc")
    pictures = folder / "pictures"
    for key in [*train["id"], *test["id"]]:
        place = pictures / key / "1.txt" if nested else pictures / f"{key}.txt"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(key)
    (pictures / "words.json").write_text("[]")
    rows = np.repeat(train["id"].to_numpy(), 2)
    pd.DataFrame({"id": rows, "n": range(2 * N)}).to_csv(folder / "visits.csv", index=False)
    pd.DataFrame({"town": ["a"], "n": [1]}).to_csv(folder / "towns.csv", index=False)
    prepared = ready(folder)
    sample = sample_task(prepared, str(tmp_path / "sample"))
    ids = set(read(sample["inputs"], "train.csv")["id"]) | set(
        read(sample["inputs"], "test.csv")["id"]
    )
    files = [path for path in Path(sample["inputs"]["pictures"]).rglob("*") if path.is_file()]
    shown = {path.parent.name if nested else path.stem for path in files} - {"pictures", "words"}
    assert shown == ids and any(path.name == "words.json" for path in files)
    visits = read(sample["inputs"], "visits.csv")
    assert set(visits["id"]) <= ids and len(visits) == 2 * sample["rows"]
    assert sample["inputs"]["towns.csv"] == prepared.inputs["towns.csv"]
