"""The expert's scripts on side files and free answers: they learn what is to be learnt, and end."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import warnings
import wave
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from media_kit import image_tables, picture_bytes, prepare_folder
from test_reasoner_expert import facts_of

from briefs.task_brief import make_task_brief
from reasoner.expert.answers import LIKENESS_CODES, WAYS
from reasoner.expert.drafts import first_spec
from reasoner.expert.engine import Expert
from reasoner.expert.facts import read_task_facts
from reasoner.expert.media import COURSES, READ_CODE, media_code
from reasoner.expert.predictions import ERROR_LINES
from reasoner.expert.render import render_script
from reasoner.protocol import DraftBrief, Resources, Stage
from task.data.profile import profile_data
from task.grade.grade import grade_execution
from task.types import Prepared

RNG = np.random.default_rng(4)
Writer = Callable[[Path, float], None]


def write_picture(path: Path, signal: float) -> None:
    path.with_suffix(".png").write_bytes(picture_bytes(RNG, signal))


def write_sound(path: Path, signal: float) -> None:
    t = np.arange(2000) / 8000
    samples = 8000 * np.sin(2 * np.pi * (400 + 900 * signal) * t) + RNG.normal(0, 800, len(t))
    with wave.open(str(path.with_suffix(".wav")), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(samples.astype("<i2").tobytes())


def write_array(path: Path, signal: float) -> None:
    np.save(path.with_suffix(".npy"), RNG.normal(signal, 0.5, (4, 8)).astype(np.float32))


def write_table(path: Path, signal: float) -> None:
    frame = pd.DataFrame({"a": RNG.normal(size=30), "b": RNG.normal(signal, 1, 30)})
    frame.to_csv(path.with_suffix(".csv"), index=False)


def write_text(path: Path, signal: float) -> None:
    words = "marsh reed nest" if (signal > 0) != (RNG.random() < 0.1) else "roof chimney nest"
    noise = " ".join(RNG.choice(list("abcdefgh"), 20))
    path.with_suffix(".txt").write_text(f"{words} {noise}")


def write_media_task(folder: Path, write: Writer, *, broken: int = 0) -> None:
    """A task whose only signal stands in the rows' files; the first `broken` cannot be read."""
    train, test = image_tables(70, 30)
    for part, frame in (("train", train), ("test", test)):
        (folder / part).mkdir(parents=True)
        for row in frame.itertuples():
            write(folder / part / str(row.id), 1.0 if str(row.label) == "stork" else 0.0)
        for path in sorted((folder / part).iterdir())[:broken]:
            path.write_bytes(b"broken")
    train.to_csv(folder / "train.csv", index=False)
    test[["id"]].to_csv(folder / "test.csv", index=False)
    (folder / "task.yaml").write_text("metric: auc\npositive: stork\n")


def make_brief(prepared: Prepared, wall_s: float = 600) -> DraftBrief:
    profile = profile_data(prepared)
    return DraftBrief(
        task=make_task_brief(prepared, profile["prediction"]),
        profile=profile,
        resources=Resources(wall_s=wall_s, memory_bytes=2**32, cpus=2),
        stage=Stage(phase="draft", used=0, step=0, trace=0, n_traces=1),
    )


def run_script(prepared: Prepared, script: str, folder: Path) -> Any:
    """Run a script on the prepared inputs; return its grade."""
    (folder / "input").mkdir(parents=True)
    for name, source in prepared.inputs.items():
        (folder / "input" / name).symlink_to(source)
    (folder / "solution.py").write_text(script)
    done = subprocess.run(
        [sys.executable, "solution.py"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    (folder / "log").write_text(done.stdout)
    names = ("oof.csv", "submission.csv", "evidence.json")
    grade = grade_execution(prepared, {name: str(folder / name) for name in names}, {}, {})
    assert grade["ok"], grade["problems"]
    return grade


def draft_script(brief: DraftBrief, answer: str = "") -> str:
    facts = read_task_facts(brief)
    return render_script(first_spec(facts, 0, 0).with_changes(answer=answer), facts)


SLOW = pytest.mark.slow  # each runs a script


@pytest.mark.parametrize(
    "write",
    [
        write_picture,
        write_table,
        *(pytest.param(write, marks=SLOW) for write in (write_sound, write_array, write_text)),
    ],
)
def test_the_first_script_learns_from_files(write: Writer, tmp_path: Path) -> None:
    write_media_task(tmp_path / "task", write)
    prepared = prepare_folder(tmp_path / "task", tmp_path / "run")
    grade = run_script(prepared, draft_script(make_brief(prepared)), tmp_path / "work")
    assert grade["score"]["value"] > 0.8


def test_broken_files_are_missing_values(tmp_path: Path) -> None:
    write_media_task(tmp_path / "task", write_picture, broken=8)
    prepared = prepare_folder(tmp_path / "task", tmp_path / "run")
    grade = run_script(prepared, draft_script(make_brief(prepared)), tmp_path / "work")
    assert grade["score"]["value"] > 0.8
    assert (
        "files could not be read and count as missing, e.g. input/"
        in (tmp_path / "work" / "log").read_text()
    )


def test_without_time_the_files_are_left_out_and_the_script_ends(tmp_path: Path) -> None:
    write_media_task(tmp_path / "task", write_picture)
    prepared = prepare_folder(tmp_path / "task", tmp_path / "run")
    script = draft_script(make_brief(prepared, wall_s=1))
    assert "READ_S = 0 " in script
    run_script(prepared, script, tmp_path / "work")


SPOKEN = {"two": "2", "six": "6"}
TARGETS: dict[str, tuple[str, Callable[[str], str], float]] = {
    "copied": ("accuracy", lambda text: text, 1.0),
    "looked up": ("accuracy", lambda text: SPOKEN.get(text, text), 1.0),
    "tags": ("tags_f1_micro", lambda text: f"{text} common", 0.4),
}


@pytest.mark.parametrize(
    "name", ["copied", *(pytest.param(name, marks=SLOW) for name in ("looked up", "tags"))]
)
def test_free_answers_are_better_than_a_constant(name: str, tmp_path: Path) -> None:
    metric, answer, expected = TARGETS[name]
    words = ["two", "six", *(f"word{i} of many" for i in range(9))]
    said = [str(RNG.choice(words)) for _ in range(110)]
    frame = pd.DataFrame({"id": range(110), "said": said, "answer": list(map(answer, said))})
    (tmp_path / "task").mkdir()
    frame[:80].to_csv(tmp_path / "task" / "train.csv", index=False)
    frame[80:][["id", "said"]].to_csv(tmp_path / "task" / "test.csv", index=False)
    (tmp_path / "task" / "task.yaml").write_text(f"metric: {metric}\nkind: text\n")
    prepared = prepare_folder(tmp_path / "task", tmp_path / "run")
    brief = make_brief(prepared)
    grade = run_script(prepared, draft_script(brief), tmp_path / "work")
    constant = run_script(prepared, draft_script(brief, "constant"), tmp_path / "constant")
    assert grade["score"]["value"] >= expected
    assert grade["score"]["value"] > constant["score"]["value"]


def test_every_way_of_answering_is_a_move_and_a_script(tmp_path: Path) -> None:
    frame = pd.DataFrame({"id": range(60), "said": ["a", "b", "c"] * 20})
    frame["answer"] = frame["said"] * 2
    (tmp_path / "task").mkdir()
    frame[:40].to_csv(tmp_path / "task" / "train.csv", index=False)
    frame[40:][["id", "said"]].to_csv(tmp_path / "task" / "test.csv", index=False)
    (tmp_path / "task" / "task.yaml").write_text("metric: levenshtein\nkind: text\n")
    prepared = prepare_folder(tmp_path / "task", tmp_path / "run")
    brief = make_brief(prepared)
    for way in WAYS:
        compile(draft_script(brief, way), way, "exec")


async def test_the_experts_draft_says_what_it_is(tmp_path: Path) -> None:
    write_media_task(tmp_path / "task", write_picture)
    prepared = prepare_folder(tmp_path / "task", tmp_path / "run")
    solution = await Expert().draft(make_brief(prepared))
    assert "image_features" in solution.script and "extra trees" in solution.summary
    assert json.loads(solution.script.splitlines()[0].partition("expert-spec: ")[2])


def test_files_that_test_rows_lack_are_no_features() -> None:
    """Masks of training rows tell their labels; rows of one id in both tables stay apart."""
    space: dict[str, Any] = {"pd": pd, "re": re, "ID": "id"}
    exec(READ_CODE, space)
    paths = {
        "train": ["train/images/7a.png", "train/masks/7a.png", "train/only/7b.png"],
        "test": ["test/images/7a.png"],
    }
    rows = [(path.split("/")[-1][:2], part, path) for part in paths for path in paths[part]]
    index = pd.DataFrame(rows, columns=["id", "part", "path"])
    index["row"] = index["part"] + " " + index["id"]
    kept = list(space["shared_kinds"](index)["path"])
    assert kept == ["train/images/7a.png", "train/only/7b.png", "test/images/7a.png"]
    nested = [
        path for part in ("train", "test") for path in (f"jpeg/{part}/7a.jpg", f"{part}/7a.dcm")
    ]
    rows = [("7a", path.split("/")[-2], path) for path in nested]
    index = pd.DataFrame(rows, columns=["id", "part", "path"])
    index["row"] = index["part"] + " " + index["id"]
    assert list(space["shared_kinds"](index)["path"]) == nested


@pytest.mark.parametrize("kind", list(COURSES))
def test_the_course_of_a_series_tells_what_its_statistics_do_not(kind: str, tmp_path: Path) -> None:
    """A series, the same one backwards, and its values in another order."""
    series = np.sin(np.linspace(0, 6, 60)) + np.linspace(0, 1, 60)
    mixed = np.random.default_rng(0).permutation(series)
    mixed[[0, -1]], series[[0, -1]] = 0.5, 0.5  # ends are statistics too

    def read(values: Any, *, course: bool) -> Any:
        facts = facts_of(media=((kind, ".csv" if kind == "table" else ".npy"),))
        space: dict[str, Any] = {"np": np, "pd": pd, "os": os, "warnings": warnings}
        code = media_code(facts, course=course)
        exec(code[: code.index("READERS = ")], space)
        path = tmp_path / f"series{facts.media[0][1]}"
        if kind == "table":
            pd.DataFrame({"a": values}).to_csv(path, index=False)
        else:
            np.save(path, values.reshape(1, -1))
        made = space[f"{kind}_features"](str(path))
        return pd.Series(made).drop(["bytes", "rows"], errors="ignore")

    plain, whole = read(series, course=False), read(series, course=True)
    assert set(plain.index) < set(whole.index) and whole.notna().sum() >= plain.notna().sum() + 16
    for other in (series[::-1], mixed):
        differs = ~np.isclose(whole, read(other, course=True), equal_nan=True)
        assert differs[list(whole.index).index(plain.index[-1]) + 1 :].sum() >= 4
    short = read(series[:2], course=True)
    assert list(short.index) == list(whole.index)


def test_masks_are_not_put_together_of_words(tmp_path: Path) -> None:
    """The words that near masks share, such as `- 3 7`, are no mask."""
    frame = pd.DataFrame({"id": range(60), "x": range(60), "mask": ["-", "1 5 9 2", "3 7"] * 20})
    (tmp_path / "task").mkdir()
    frame[:40].to_csv(tmp_path / "task" / "train.csv", index=False)
    frame[40:][["id", "x"]].to_csv(tmp_path / "task" / "test.csv", index=False)
    (tmp_path / "task" / "task.yaml").write_text("metric: dice_global\nkind: text\n")
    script = draft_script(make_brief(prepare_folder(tmp_path / "task", tmp_path / "run")))
    assert 'ways["nearest"]' in script and 'ways["words"]' not in script


def test_common_boxes_are_one_answer_with_their_shares() -> None:
    space: dict[str, Any] = {"Counter": Counter}
    exec(LIKENESS_CODES["confident"], space)
    one, two = "a 1 0 0 1 1 a 1 0 0 1 1", "b 1 2 2 3 3"
    answers = space["common_boxes"]([one, one, one, two])
    assert answers == ["a 0.750 0 0 1 1", "a 0.750 0 0 1 1 b 0.250 2 2 3 3"]
    assert space["likeness"](answers[0], one) == 1.0 and space["likeness"](answers[0], two) == 0.0
    assert space["likeness"](answers[1], two) == 2 / 3


def test_a_column_of_no_target_holds_the_usual_error() -> None:
    """A sample's column such as Confidence is filled, and the values stay in their places."""
    train = pd.DataFrame({"FVC": [1000.0, 2000.0, 3000.0]})
    space: dict[str, Any] = {"np": np, "train": train, "TARGET": "FVC", "IS_TARGET": [True, False]}
    space |= {"oof": np.array([1100.0, 1900.0, 3100.0]), "validated": np.ones(3, dtype=bool)}
    exec("\n".join(ERROR_LINES), space)
    made = space["with_errors"](np.array([1.0, 2.0]))
    assert np.allclose(made, [[1, 100 * 2**0.5], [2, 100 * 2**0.5]])
