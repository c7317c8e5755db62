"""Tasks whose labels are texts: read, prepared, graded, compared and handed over as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from trust_kit import ready

from briefs.task_brief import make_task_brief
from reasoner.chat.prompt.numbered_facts import data_items, evidence_items
from reasoner.chat.prompt.sections import describe_form
from task.data.profile import profile_data
from task.grade.blend import blend_attempts
from task.grade.grade import compare_files, grade_execution
from task.grade.handover import write_final_submission
from task.grade.plots import describe_predictions
from task.grade.rehearse import rehearse
from task.grade.score_answers import score_private
from task.load.spec import load_task, read_task
from task.types import Prepared, TaskError

N, N_TEST = 60, 12
ODD = ["", "NA", 'say "no", twice', "two\nlines", " 007", "null"]


def true_text(row: int) -> str:
    """Return the label of a row: odd ones first."""
    return ODD[row] if row < len(ODD) else f"answer {row} of {row % 7}"


def write_text_task(folder: Path, metric: str = "levenshtein", **spec: Any) -> Path:
    """A folder with a text to predict from a question."""
    folder.mkdir()
    frame = pd.DataFrame({"id": [f"q{i}" for i in range(N)], "x": [i % 7 for i in range(N)]})
    frame["answer"] = [true_text(i) for i in range(N)]
    frame.to_csv(folder / "train.csv", index=False)
    test = pd.DataFrame({"id": [f"t{i}" for i in range(N_TEST)], "x": range(N_TEST)})
    test.to_csv(folder / "test.csv", index=False)
    test[["id"]].assign(answer="some words").to_csv(folder / "sample_submission.csv", index=False)
    lines = {"metric": metric, **spec}
    (folder / "task.yaml").write_text("".join(f"{key}: {value}\n" for key, value in lines.items()))
    return folder


def write_files(prepared: Prepared, folder: Path, say: Any) -> dict[str, str]:
    """oof.csv and submission.csv of texts made by `say` of the row's number."""
    folder.mkdir(parents=True)
    train = pd.DataFrame({"id": [f"q{i}" for i in range(N)]})
    train["answer"] = [say(i) for i in range(N)]
    train.to_csv(folder / "oof.csv", index=False)
    sample = pd.read_csv(Path(prepared.public) / "sample_submission.csv", dtype=str)
    sample.assign(answer=[say(i) for i in range(len(sample))]).to_csv(
        folder / "submission.csv", index=False
    )
    return {name: str(folder / name) for name in ("oof.csv", "submission.csv")}


def test_texts_are_kept_letter_for_letter(tmp_path: Path) -> None:
    prepared = ready(write_text_task(tmp_path / "task"))
    assert (prepared.task.kind, prepared.task.metric) == ("text", "levenshtein")
    assert rehearse(prepared)["truth"] == 0.0
    public = pd.read_csv(Path(prepared.public) / "train.csv", keep_default_na=False, dtype=str)
    assert list(public["answer"]) == [true_text(i) for i in range(N)]
    files = write_files(prepared, tmp_path / "a", true_text)
    grade = grade_execution(prepared, files, {}, None)
    assert grade["ok"] and grade["score"] is not None and grade["score"]["value"] == 0.0
    write_final_submission(prepared, files["submission.csv"], str(tmp_path / "final.csv"))
    final = pd.read_csv(tmp_path / "final.csv", keep_default_na=False, dtype=str)
    assert list(final["answer"]) == [true_text(i) for i in range(N_TEST)]
    assert score_private(
        str(tmp_path / "task"),
        str(write_answers(tmp_path, N_TEST)),
        str(tmp_path / "final.csv"),
    ) == pytest.approx(0.0)


def write_answers(folder: Path, n: int) -> Path:
    """True texts of the test rows, under another name than the target's order."""
    path = folder / "answers.csv"
    rows = pd.DataFrame({"id": [f"t{i}" for i in range(n)]})
    rows["answer"] = [true_text(i) for i in range(n)]
    rows[::-1].to_csv(path, index=False)
    return path


def test_attempts_are_compared_row_by_row_and_described(tmp_path: Path) -> None:
    prepared = ready(write_text_task(tmp_path / "task"))
    good = write_files(prepared, tmp_path / "good", lambda i: true_text(i)[:-1])
    bad = write_files(prepared, tmp_path / "bad", lambda i: "answer" if i % 2 else "")
    pair = compare_files(prepared, [good["oof.csv"]], [bad["oof.csv"]])
    assert pair is not None and pair["method"] == "rows"
    assert pair["d"] > 0 and pair["p_improved"] > 0.99
    told = grade_execution(prepared, bad, {}, None)["evidence"]["texts"]
    assert told["empty"] == 0.5 and told["empty_true"] == pytest.approx(1 / N, abs=1e-6)
    assert told["distinct"] == 2 and told["worst"][0]["true"] == 'say "no", twice'


def test_texts_are_not_blended_and_the_reason_is_told(tmp_path: Path) -> None:
    prepared = ready(write_text_task(tmp_path / "task"))
    files = write_files(prepared, tmp_path / "a", true_text)
    member = {"oof": files["oof.csv"], "submission": files["submission.csv"]}
    with pytest.raises(TaskError, match="no text lies between two others"):
        blend_attempts(prepared, {"a": member, "b": member}, str(tmp_path))


def test_one_text_for_all_rows_may_be_the_best_that_is_known(tmp_path: Path) -> None:
    prepared = ready(write_text_task(tmp_path / "task"))
    constant = write_files(prepared, tmp_path / "c", lambda i: "x")
    assert grade_execution(prepared, constant, {}, None)["ok"]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("id,answer\n" + "q0,a\n" * 3, "duplicate_ids"),
        ("id,answer\nq0,a,b\n", "not_csv"),
        ("id,other\nq0,a\n", "wrong_columns"),
        ("id,answer\n" + "".join(f"q{i},a\n" for i in range(N - 1)), "missing_rows"),
        ("id,answer\n" + "".join(f"z{i},a\n" for i in range(3000)), "too_large"),
        ('id,answer\nq0,"open\n', "not_text"),
    ],
)
def test_a_broken_file_of_texts_is_refused_by_its_fault(
    tmp_path: Path, content: str, code: str
) -> None:
    prepared = ready(write_text_task(tmp_path / "task"))
    files = write_files(prepared, tmp_path / "a", true_text)
    Path(files["oof.csv"]).write_text(content)
    grade = grade_execution(prepared, files, {}, None)
    assert [problem["code"] for problem in grade["problems"]] == [code]


def test_a_metric_that_cannot_read_a_text_refuses_the_attempt(tmp_path: Path) -> None:
    folder = write_text_task(tmp_path / "task", "map_of_iou")
    frame = pd.read_csv(folder / "train.csv").assign(answer=[f"{i + 1} 5" for i in range(N)])
    frame.to_csv(folder / "train.csv", index=False)
    prepared = ready(folder)
    files = write_files(prepared, tmp_path / "a", lambda i: "one two")
    Path(files["oof.csv"]).write_text(
        "id,answer\n" + "".join(f"q{i},{'1 2' if i else '1 x'}\n" for i in range(N))
    )
    problem = grade_execution(prepared, files, {}, None)["problems"][0]
    assert problem["code"] == "metric" and "write start and length" in problem["message"]


# what decides that labels are texts


def test_accuracy_scores_texts_where_the_sample_has_others(tmp_path: Path) -> None:
    folder = write_text_task(tmp_path / "task", "accuracy")
    assert load_task(str(folder)).kind == "text"  # nearly every row has another label
    frame = pd.read_csv(folder / "train.csv").assign(answer=[f"word {i % 9}" for i in range(N)])
    frame.to_csv(folder / "train.csv", index=False)
    sample = pd.read_csv(folder / "sample_submission.csv")
    assert load_task(str(folder)).kind == "multiclass"  # one placeholder is no text
    sample["answer"] = [f"copied {i}" for i in range(N_TEST)]
    sample.to_csv(folder / "sample_submission.csv", index=False)
    loaded = read_task(str(folder))
    assert loaded.task.kind == "text"
    assert any("the whole text" in remark for remark in loaded.task.decided)


@pytest.mark.parametrize(
    ("metric", "kind", "words"),
    [
        ("levenshtein", "multiclass", "scores texts and"),
        ("rmse", "text", "cannot score texts"),
        ("log_loss", "text", "cannot score texts"),
    ],
)
def test_a_metric_that_does_not_fit_the_kind_is_refused(
    tmp_path: Path, metric: str, kind: str, words: str
) -> None:
    folder = write_text_task(tmp_path / "task", metric, kind=kind)
    with pytest.raises(TaskError, match=words):
        load_task(str(folder))


def describe(folder: Path, text: str, cells: list[str]) -> Any:
    """Read a task whose description names the metric and whose labels are `cells`."""
    write_text_task(folder)
    (folder / "task.yaml").unlink()
    frame = pd.read_csv(folder / "train.csv")
    frame["answer"] = [cells[i % len(cells)] for i in range(N)]
    frame.to_csv(folder / "train.csv", index=False)
    (folder / "description.md").write_text(text)
    return load_task(str(folder))


TAGS = ["a b", "b c d", "c", "a d", "d"]


def test_f1_of_label_lists_is_told_or_asked_for(tmp_path: Path) -> None:
    task = describe(tmp_path / "a", "Evaluated by the [Mean F1-Score](https://a.b/Mean_F).", TAGS)
    assert (task.metric, task.kind) == ("tags_f1_micro", "text")
    assert any("tags_f1_samples` is the mean over rows" in line for line in task.decided)
    task = describe(tmp_path / "c", "Evaluated by the F1 score of each row, averaged.", TAGS)
    assert task.metric == "tags_f1_samples"
    (tmp_path / "a" / "task.yaml").write_text("metric: f1\n")
    with pytest.raises(TaskError, match="tags_f1_micro.*tags_f1_samples.*tags_f1_macro"):
        load_task(str(tmp_path / "a"))
    task = describe(tmp_path / "b", "Evaluated by the micro-averaged F1 score.", TAGS)
    assert (task.metric, task.kind) == ("tags_f1_micro", "text")


def test_names_of_several_words_are_classes(tmp_path: Path) -> None:
    names = ["Sugar beet", "Black-grass", "Common wheat", "Loose Silky-bent"]
    task = describe(tmp_path / "a", "Evaluated by the micro-averaged F1 score.", names)
    assert (task.metric, task.kind) == ("f1_micro", "multiclass")


def test_dice_of_masks_is_that_of_masks(tmp_path: Path) -> None:
    task = describe(tmp_path / "a", "Scored by the mean Dice coefficient.", ["1 5", "", "3 4 9 2"])
    assert (task.metric, task.kind) == ("dice_masks", "text")
    task = describe(tmp_path / "b", "Scored by the mean Dice coefficient.", ["no", "yes"])
    assert (task.metric, task.kind) == ("f1", "binary")


def test_the_logarithm_of_an_error_over_unnamed_groups_is_a_question(tmp_path: Path) -> None:
    text = "Scored by the log of the mean absolute error, for each {}."
    numbers = [str(value) for value in range(1, 30)]
    with pytest.raises(TaskError, match="log_mae_per_COLUMN"):
        describe(tmp_path / "a", text.format("planet"), numbers)
    assert describe(tmp_path / "b", text.format("x"), numbers).metric == "log_mae_per_x"


def test_a_model_is_told_what_a_text_is(tmp_path: Path) -> None:
    prepared = ready(write_text_task(tmp_path / "task"))
    bad = write_files(prepared, tmp_path / "bad", lambda i: "answer" if i % 2 else "")
    evidence = grade_execution(prepared, bad, {}, None)["evidence"]
    lines = [item.text for item in evidence_items(evidence)]
    assert any("a row that lost most" in line and 'say \\"no\\"' in line for line in lines)
    facts = [item.text for item in data_items(profile_data(prepared))]
    assert any(line.startswith("target answer: texts; ") for line in facts)
    brief = make_task_brief(prepared, "text").model_copy(update={"metric": "tags_f1_micro"})
    assert "a set of labels" in describe_form(brief) and brief.prediction == "text"


def test_texts_that_are_mostly_copies_are_no_classes(tmp_path: Path) -> None:
    """A target that repeats another column is text, though few texts occur; it has no plots."""
    folder = tmp_path / "task"
    folder.mkdir()
    words = [f"word{i % 25}" for i in range(200)]
    said = [word if i % 5 else f"{word} spoken" for i, word in enumerate(words)]
    train = pd.DataFrame({"id": range(200), "before": words, "after": said})
    train.to_csv(folder / "train.csv", index=False)
    test = pd.DataFrame({"id": range(500, 520), "before": words[:20]})
    test.to_csv(folder / "test.csv", index=False)
    (folder / "description.md").write_text("Scored by accuracy.")
    task = read_task(str(folder)).task
    assert (task.kind, task.metric) == ("text", "accuracy")
    assert "most are those of 'before'" in " ".join(task.decided)
    prepared = ready(folder)
    train[["id", "after"]].to_csv(tmp_path / "oof.csv", index=False)
    assert describe_predictions(prepared, str(tmp_path / "oof.csv")) == []
    others = train.assign(before=[f"word{(i * 7) % 25}" for i in range(200)])
    others.to_csv(folder / "train.csv", index=False)
    assert read_task(str(folder)).task.kind == "multiclass"
