"""After a script ran out of time the expert offers a much cheaper one, which still works."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from trust_kit import binary_frames, ready, write_frames

from briefs.task_brief import make_task_brief
from reasoner.expert.engine import Expert, move_context
from reasoner.expert.facts import read_task_facts
from reasoner.expert.moves import applicable_moves
from reasoner.expert.spec import ScriptSpec, parse_spec
from reasoner.protocol import DraftBrief, Fact, RepairBrief, Resources, Stage
from task.data.profile import profile_data
from task.grade.grade import grade_execution

TOO_LONG = Fact(attempt="t0s0", trace=0, step=0, hypothesis="", verdict="failed", codes=["timeout"])


def brief_of(folder: Path, metric: str) -> dict[str, Any]:
    train, test = binary_frames(600, 60)
    if metric == "rmse":
        train["label"] = train["x"] - train["y"]
    elif metric == "accuracy":  # one class is rare
        train["label"] = np.where(train.index < 12, "rare", np.where(train["x"] > 0, "a", "b"))
    prepared = ready(write_frames(folder, train, test, metric))
    profile = profile_data(prepared)
    fields = {
        "task": make_task_brief(prepared, profile["prediction"]),
        "profile": profile,
        "resources": Resources(wall_s=60, memory_bytes=2**30, cpus=1),
        "stage": Stage(phase="draft", used=0.1, step=1, trace=0, n_traces=1),
    }
    return {"brief": fields, "prepared": prepared}


@pytest.mark.parametrize("metric", ["auc", "accuracy", "rmse"])
async def test_a_draft_after_a_timeout_takes_fewer_rows_and_works(
    tmp_path: Path, metric: str
) -> None:
    made = brief_of(tmp_path / "task", metric)
    fields, prepared = made["brief"], made["prepared"]
    first = parse_spec((await Expert().draft(DraftBrief(**fields))).script)
    assert first is not None and first.rows == 0
    scripts = [
        (await Expert().draft(DraftBrief(**fields, history=[TOO_LONG] * n))).script for n in (1, 2)
    ]
    specs = [parse_spec(script) for script in scripts]
    assert [spec.rows for spec in specs if spec] == [2, 4]
    (tmp_path / "alone").mkdir()
    (tmp_path / "alone" / "input").symlink_to(prepared.public)
    (tmp_path / "alone" / "solution.py").write_text(scripts[0])
    done = subprocess.run(
        [sys.executable, "solution.py"],
        cwd=tmp_path / "alone",
        capture_output=True,
        text=True,
        check=False,
        env={"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    names = ("oof.csv", "submission.csv")
    grade = grade_execution(
        prepared, {name: str(tmp_path / "alone" / name) for name in names}, {}, None
    )
    assert grade["ok"], grade["problems"]


async def test_a_repair_after_a_timeout_halves_the_rows_again(tmp_path: Path) -> None:
    fields = brief_of(tmp_path / "task", "auc")["brief"]
    script = (await Expert().draft(DraftBrief(**fields))).script
    rows = []
    for attempt in (1, 2):
        brief = RepairBrief(
            **fields,
            script=script,
            evidence={"error": {"end": "timeout"}},
            problems=["the script was ended at its time limit of 60 s"],
            attempt=attempt,
        )
        script = (await Expert().repair(brief)).script
        spec = parse_spec(script)
        assert spec is not None
        rows.append((spec.rows, spec.size))
    assert rows == [(2, -2), (4, -2)]


def test_all_rows_come_back_where_there_is_time_for_them(tmp_path: Path) -> None:
    brief = DraftBrief(**brief_of(tmp_path / "task", "auc")["brief"])
    facts = read_task_facts(brief)
    for seconds, is_offered in ((5.0, True), (20.0, False)):
        evidence: dict[str, object] = {"resources": {"seconds": seconds, "limit_s": 60.0}}
        context = move_context(brief, ScriptSpec(rows=2), facts, evidence)
        offered = {move.name for move, _ in applicable_moves(context)}
        assert ("all_rows" in offered) == is_offered
