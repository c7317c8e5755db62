"""Answers become solutions, diagnoses, reviews: read leniently, converted strictly."""

from __future__ import annotations

import json
from typing import Any

import pytest

from reasoner.chat.answer.convert import to_diagnosis, to_review, to_solution
from reasoner.chat.answer.edits import AnswerError
from reasoner.chat.answer.schemas import SCHEMAS
from reasoner.protocol import (
    DiagnoseBrief,
    Diagnosis,
    DraftBrief,
    Fact,
    Hint,
    Hypothesis,
    RepairBrief,
    Resources,
    ReviewBrief,
    Solution,
    Stage,
    TaskBrief,
    UpdateBrief,
)

SCRIPT = "import csv\ndepth = 3\nopen('oof.csv', 'w')\nopen('submission.csv', 'w')\n"
BASE: dict[str, Any] = {
    "task": TaskBrief(
        name="t",
        description="",
        kind="binary",
        metric="auc",
        direction="max",
        id="id",
        target=["y"],
        columns=["id", "y"],
        split={"kind": "stratified", "n_folds": 5},
        inputs=[],
        n_train=10,
        n_test=5,
    ),
    "profile": {"columns": [{"name": "age", "kind": "numeric"}], "notes": ["few rows"]},
    "resources": Resources(wall_s=60, memory_bytes=2**30, cpus=2),
    "stage": Stage(phase="improve", used=0.2, step=2, trace=0, n_traces=2),
    "history": [Fact(attempt="t0s1", trace=0, step=1, hypothesis="h", verdict="tie")],
}
EVIDENCE = {
    "cv": {"metric": "auc", "mean": 0.7, "se": 0.01, "folds": [0.7, 0.7]},
    "segments": [{"column": "age", "value": "old", "ratio": 2.0, "n": 30}],
}
FOUND = Hypothesis(id="h1", challenge="c", statement="deeper trees", component="model")
DIAGNOSE = DiagnoseBrief(**BASE, script=SCRIPT, evidence=EVIDENCE)
HINT = Hint(
    id="m1",
    kind="accepted",
    hypothesis="x",
    component="model",
    gain=1,
    gain_se=1,
    weight=1,
    where="r",
    attempt="t1s3",
)
UPDATE = UpdateBrief(
    **BASE,
    script=SCRIPT,
    evidence=EVIDENCE,
    diagnosis=Diagnosis(hypotheses=[FOUND]),
    hints=[HINT],
    members=[
        Fact(attempt=f"t{t}s0", trace=t, step=0, hypothesis="", verdict="accepted") for t in (0, 1)
    ],
    may_ask=True,
)
REPAIR = RepairBrief(**BASE, script=SCRIPT, evidence={}, hypothesis=FOUND)


def update(brief: UpdateBrief = UPDATE, **given: Any) -> Solution:
    return to_solution(SCHEMAS["update"].model_validate(given), brief)


def diagnose(**given: Any) -> Diagnosis:
    return to_diagnosis(SCHEMAS["diagnose"].model_validate(given), DIAGNOSE)


@pytest.mark.parametrize("verb", list(SCHEMAS))
def test_schemas_are_what_strict_servers_accept(verb: str) -> None:
    text = json.dumps(SCHEMAS[verb].model_json_schema())
    assert not [
        word
        for word in ("$ref", "anyOf", "oneOf", '"default"', "$defs", "minimum", "pattern")
        if word in text
    ]

    def check(node: dict[str, Any]) -> None:
        if node["type"] == "object":
            assert node["additionalProperties"] is False and node["required"] == list(
                node["properties"]
            )
            for inner in node["properties"].values():
                check(inner)
        if node["type"] == "array":
            check(node["items"])

    check(SCHEMAS[verb].model_json_schema())


def test_citations_by_id_or_path_are_kept_as_paths_and_unknown_ones_dropped_with_a_note() -> None:
    seen = [
        {"text": "auc 0.7", "cites": ["E1", "segments[0]", "E99", "[P1]", "t0s1", "C1"]},
        {"text": "bare", "cites": "made up"},
    ]
    found = diagnose(observations=seen, causes="one cause", hypotheses=[])
    assert found.observations[0].cites == [
        "cv.mean",
        "segments[0]",
        "profile.notes[0]",
        "t0s1",
        "columns.age",
    ]
    assert found.observations[1].cites == [] and found.causes == ["one cause"]
    assert (
        "E99" in found.notes[0]
        and "made up" in found.notes[0]
        and "1 observations cite no evidence" in found.notes[1]
    )


def test_hypotheses_carry_prediction_confidence_cost_and_refutation() -> None:
    one = {
        "statement": "s",
        "challenge": "c",
        "component": "feature engineering",
        "plan": "p",
        "expected": "worse",
        "size": "LARGE",
    }
    found = diagnose(
        hypotheses=[one | {"confidence": "80%", "cost": "High", "refuted_by": "r", "cites": ["E2"]}]
    )
    item = found.hypotheses[0]
    assert (item.id, item.component, item.effect.sign, item.effect.size, item.confidence) == (
        "h1",
        "features",
        -1,
        "large",
        0.8,
    )
    assert (item.cost, item.refuted_by, item.cites) == ("high", "r", ["cv.folds"])


def test_a_hypothesis_names_the_columns_that_it_drops_if_they_exist() -> None:
    leak = {"statement": "drop a leak", "drops_columns": ["age", "no such column"]}
    answer = diagnose(hypotheses=[leak, {"statement": "other"}])
    assert [item.drops_columns for item in answer.hypotheses] == [["age"], []]


def test_dropping_a_suspected_column_is_a_change_of_the_protocol() -> None:
    leak = {"column": "age", "strength": 1.0, "drift": 0.0, "reason": "after the outcome"}
    brief = DIAGNOSE.model_copy(update={"profile": DIAGNOSE.profile | {"leaks": [leak]}})
    answer = SCHEMAS["diagnose"].model_validate(
        {"hypotheses": [{"statement": "s", "drops_columns": ["age"]}, {"statement": "t"}]}
    )
    assert [item.protocol for item in to_diagnosis(answer, brief).hypotheses] == [True, False]
    assert not to_diagnosis(answer, DIAGNOSE).hypotheses[0].protocol


def test_at_most_four_hypotheses_each_once() -> None:
    found = diagnose(
        hypotheses={
            "a": {"statement": "s"},
            "b": {"statement": "S"},
            "c": {"statement": "t"},
            "d": {"statement": "u"},
            "e": {"statement": "v"},
        }
    )
    assert [item.statement for item in found.hypotheses] == ["s", "t", "u"]


def test_an_empty_diagnosis_is_refused() -> None:
    with pytest.raises(AnswerError, match="neither observations nor hypotheses"):
        diagnose()


def test_edits_change_the_script_and_keep_the_chosen_hypothesis() -> None:
    found = update(
        action="choose", chosen="h1", edits=[{"search": "depth = 3", "replace": "depth = 5"}]
    )
    assert found.script == SCRIPT.replace("3", "5") and found.hypothesis == FOUND


def test_a_modified_hypothesis_keeps_its_id_and_a_new_one_gets_its_own() -> None:
    edits = [{"search": "depth = 3", "replace": "depth = 5"}]
    changed = update(
        action="modify", chosen="`H1`", hypothesis={"statement": "much deeper trees"}, edits=edits
    )
    made = update(
        action="create",
        chosen="h1",
        hypothesis={"statement": "something else", "component": "data"},
        edits=edits,
    )
    assert changed.hypothesis and (changed.hypothesis.id, changed.hypothesis.statement) == (
        "h1",
        "much deeper trees",
    )
    assert (
        made.hypothesis
        and made.hypothesis.id.startswith("own-")
        and made.hypothesis.component == "data"
    )


def test_the_whole_file_replaces_edits_that_miss() -> None:
    whole = SCRIPT.replace("3", "7")
    assert update(edits=[{"search": "nowhere = 1", "replace": "x"}], script=whole).script == whole
    assert update(script=f"```python\n{whole}```").script == whole


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "changes nothing"),
        ({"edits": [{"search": "nowhere = 1", "replace": "x"}]}, "nothing was changed"),
        ({"edits": [{"search": "depth = 3", "replace": "depth = ("}]}, "does not compile"),
        ({"script": SCRIPT}, "letter for letter"),
        ({"script": "print('hello')"}, "oof.csv"),
        ({"ensemble": ["t0s0", "t9s9"]}, "at least two of the attempts t0s0, t1s0"),
        ({"take_from": ["t9s9"]}, "names no attempt that can be shown"),
    ],
)
def test_an_unusable_answer_is_refused_with_the_reason(given: dict[str, Any], words: str) -> None:
    with pytest.raises(AnswerError, match=words):
        update(**given)


def test_other_names_and_wrappings_are_understood() -> None:
    edits = [{"old_string": "depth = 3", "new_string": "depth = 5"}]
    assert "depth = 5" in update(answer={"chosen": "h1", "edits": edits}).script
    assert (
        "depth = 5"
        in update(UpdateAnswer={"changes": {"find": "depth = 3", "new": "depth = 5"}}).script
    )
    assert (
        to_solution(SCHEMAS["draft"].model_validate({"code": SCRIPT}), DraftBrief(**BASE)).script
        == SCRIPT
    )
    found = diagnose(
        observations=[{"observation": "seen", "evidence": "E1"}],
        root_causes=["x"],
        hypotheses=["try it"],
    )
    assert (found.observations[0].cites, found.causes, found.hypotheses[0].statement) == (
        ["cv.mean"],
        ["x"],
        "try it",
    )


def test_attempts_can_be_blended_or_asked_for_instead_of_a_script() -> None:
    assert update(ensemble=["t0s0", "t1s0", "t7s7"]).ensemble == ["t0s0", "t1s0"]
    asked = update(take_from=["t1s3", "t0s1", "t0s0"])
    assert asked.take_from == ["t1s3", "t0s1"] and not asked.script
    with pytest.raises(AnswerError, match="No further scripts"):
        update(UPDATE.model_copy(update={"may_ask": False}), take_from=["t0s1"])


def test_a_repair_says_cause_and_fix() -> None:
    answer = SCHEMAS["repair"].model_validate(
        {"cause": "c", "fix": "f", "edits": {"search": "depth = 3", "replace": "depth = 4"}}
    )
    found = to_solution(answer, REPAIR)
    assert (found.cause, found.fix, found.hypothesis) == (
        "c",
        "f",
        FOUND,
    ) and "depth = 4" in found.script


def test_a_draft_is_checked() -> None:
    good = to_solution(
        SCHEMAS["draft"].model_validate({"summary": "s", "script": SCRIPT}), DraftBrief(**BASE)
    )
    assert good.script == SCRIPT and good.summary == "s"
    with pytest.raises(AnswerError, match="empty"):
        to_solution(SCHEMAS["draft"].model_validate({}), DraftBrief(**BASE))


def test_a_review_keeps_only_findings_that_quote_the_script() -> None:
    brief = ReviewBrief(**BASE, script=SCRIPT)
    quoting, vague = (
        "`open('oof.csv',  'w')` is written before the fit",
        "the encoder sees `all.fit(train, y)`",
    )
    found = to_review(
        SCHEMAS["review"].model_validate(
            {"aligned": "yes", "leaks": "true", "reasons": [quoting, vague]}
        ),
        brief,
    )
    assert found.aligned and found.leaks and found.reasons == [" ".join(quoting.split())]
    made_up = to_review(
        SCHEMAS["review"].model_validate({"aligned": False, "leaks": True, "reasons": vague}), brief
    )
    assert made_up.aligned and not made_up.leaks and not made_up.reasons


def test_hostile_answers_are_bounded() -> None:
    long = "x" * 100_000
    found = diagnose(
        observations=[{"text": long, "cites": [long] * 100}] * 100,
        causes=[long] * 100,
        hypotheses=[{"statement": long, "plan": long}],
    )
    assert len(found.model_dump_json()) < 20_000
    assert update(
        summary=long, edits=[{"search": "depth = 3", "replace": "depth = 5"}]
    ).summary.endswith("…")
