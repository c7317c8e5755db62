"""The expert's second level: which attempts it reads, and that its scripts run and help."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss, mean_squared_log_error, roc_auc_score
from test_reasoner_expert import brief_fields
from trust_kit import ready, write_frames

from briefs.task_brief import make_task_brief
from reasoner.expert import moves
from reasoner.expert.engine import move_context
from reasoner.expert.facts import read_task_facts
from reasoner.expert.render import describe_script, render_script
from reasoner.expert.spec import ScriptSpec, TaskFacts, canonical_spec, parse_spec, spec_header
from reasoner.protocol import DiagnoseBrief, DraftBrief, Fact, Stage
from run.artifacts import hash_text
from task.data.profile import profile_data


def source(name: str, summary: str = "Predict y by LightGBM.") -> Fact:
    return Fact(
        attempt=name, trace=0, step=1, hypothesis="", verdict="tie", score=0.8, summary=summary
    )


def test_the_move_names_the_best_other_attempts_and_no_second_level() -> None:
    facts = read_task_facts(DraftBrief(**brief_fields("binary")))
    script = render_script(ScriptSpec(), facts)
    stacked = describe_script(ScriptSpec(stack=("t0s1",)), facts)
    late = Stage(phase="ensemble", used=0.8, step=4, trace=0, n_traces=2)
    brief = DiagnoseBrief(
        **brief_fields("binary") | {"stage": late},
        script=script,
        evidence={},
        sources=[source("t0s3"), source("t1s1"), source("t1s2", stacked), source("t0s0")],
        measured={hash_text(script): "t0s3"},
    )
    look = move_context(brief, ScriptSpec(), facts, {})
    (found,) = [(move, why) for move, why in moves.applicable_moves(look) if move.name == "stack"]
    early = brief.model_copy(update={"stage": late.model_copy(update={"phase": "improve"})})
    look = move_context(early, ScriptSpec(), facts, {})
    assert all(move.name != "stack" for move, _ in moves.applicable_moves(look))
    new = found[0].apply(ScriptSpec())
    assert new.stack == ("t0s0", "t1s1") and parse_spec(render_script(new, facts)) == new
    again = move_context(brief, new, facts, {})
    assert all(move.name != "stack" for move, _ in moves.applicable_moves(again))
    ordered = read_task_facts(DraftBrief(**brief_fields("binary", "time")))
    assert canonical_spec(new, ordered).stack == ()
    hostile = parse_spec(spec_header(ScriptSpec(stack=("../../x", 'a"]; import os', "t0s1"))))
    assert hostile is not None and canonical_spec(hostile, facts).stack == ("t0s1",)


def frames(kind: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(5)
    frame = pd.DataFrame(rng.normal(size=(700, 4)), columns=["x", "y", "u", "v"])
    value = frame["x"] - frame["y"] + 0.8 * rng.normal(size=len(frame))
    if kind == "auc":
        frame["label"] = (value > 0).astype(int)
    elif kind == "rmsle":
        frame["label"] = np.exp(value)
    else:
        frame["label"] = np.select([value < -0.7, value < 0.7], ["low", "mid"], "top")
    frame.insert(0, "id", np.arange(len(frame)) + 100)
    return frame.iloc[:500], frame.iloc[500:].reset_index(drop=True)


def run_script(place: Path, inputs: dict[str, str], script: str) -> None:
    (place / "input").mkdir(parents=True)
    for name, path in inputs.items():
        (place / "input" / name).parent.mkdir(parents=True, exist_ok=True)
        (place / "input" / name).symlink_to(path)
    (place / "solution.py").write_text(script)
    alone = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "solution.py"], cwd=place, check=True, timeout=300, env=alone)


def loss_of(kind: str, table: pd.DataFrame, truth: pd.DataFrame) -> float:
    true = truth.set_index("id")["label"].loc[table["id"]]
    if kind == "auc":
        return 1 - float(roc_auc_score(true, table["label"]))
    if kind == "rmsle":
        return float(mean_squared_log_error(true, table["label"]))
    columns = ["low", "mid", "top"]
    return float(log_loss(true, table[columns], labels=columns))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["auc", "rmsle", "log_loss"])
def test_a_second_level_is_better_than_its_parts_on_unseen_rows(tmp_path: Path, kind: str) -> None:
    train, test = frames(kind)
    more: dict[str, Any] = {}
    if kind == "log_loss":
        sample = pd.DataFrame({"id": test["id"], "low": 0.3, "mid": 0.4, "top": 0.3})
        (tmp_path / "task").mkdir()
        sample.to_csv(tmp_path / "task" / "sample_submission.csv", index=False)
        more = {"sample_submission": "sample_submission.csv"}
    prepared = ready(write_frames(tmp_path / "task", train, test, kind, **more))
    profile = profile_data(prepared)
    fields = brief_fields("binary") | {
        "task": make_task_brief(prepared, profile.get("prediction", "")),
        "profile": json.loads(json.dumps(profile, default=float)),
    }
    facts: TaskFacts = read_task_facts(DraftBrief(**fields))
    inputs = dict(prepared.inputs)
    for name, family in {"t0s1": "linear", "t1s0": "extra"}.items():
        run_script(tmp_path / name, inputs, render_script(ScriptSpec(family=family), facts))
    for name in ("t0s1", "t1s0"):
        for file in ("oof.csv", "submission.csv"):
            inputs[f"attempts/{name}/{file}"] = str(tmp_path / name / file)
    run_script(tmp_path / "plain", prepared.inputs, render_script(ScriptSpec(), facts))
    spec = ScriptSpec(stack=("t0s1", "t1s0"))
    run_script(tmp_path / "top", inputs, render_script(spec, facts))
    losses = {
        name: [
            loss_of(kind, pd.read_csv(tmp_path / name / file), rows)
            for file, rows in (("oof.csv", train), ("submission.csv", test))
        ]
        for name in ("plain", "top")
    }
    assert losses["top"][0] < losses["plain"][0] and losses["top"][1] < losses["plain"][1], losses
