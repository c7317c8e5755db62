"""Line searches of the expert: which settings, in how much time, and scripts that run them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from kit import write_task
from test_reasoner_expert import brief_fields
from trust_kit import ready

from reasoner.expert.engine import Expert
from reasoner.expert.facts import read_task_facts
from reasoner.expert.lines import LineRoom, find_room, settle_line, widen
from reasoner.expert.render import render_script
from reasoner.expert.spec import ScriptSpec, canonical_spec, parse_spec
from reasoner.protocol import DiagnoseBrief, DraftBrief

PLENTY = LineRoom(variants=8, one_s=1.0, room_s=1000.0)
HGB, MIXED = ScriptSpec(), ScriptSpec(family="linear", second="knn")


def test_a_change_with_a_size_becomes_a_line_as_far_as_there_is_time() -> None:
    larger = widen(HGB, HGB.with_changes(size=1), PLENTY)
    assert larger.line == ("size:1", "size:2", "size:3")
    assert widen(HGB, HGB.with_changes(size=-1), PLENTY).line == ("size:-2", "size:-1")
    assert widen(HGB, HGB.with_changes(slow=1), PLENTY).line == ("slow:1", "slow:2", "slow:3")
    mixed = widen(HGB, HGB.with_changes(second="linear"), PLENTY)
    assert mixed.line == ("mix:15", "mix:30", "mix:50", "mix:70", "mix:85")
    other = widen(HGB, HGB.with_changes(family="extra"), PLENTY._replace(room_s=9.0))
    assert other.line == ("size:0", "size:1")
    for room in (LineRoom(), PLENTY._replace(variants=1), PLENTY._replace(room_s=2.0)):
        assert widen(HGB, HGB.with_changes(size=1), room) == HGB.with_changes(size=1)
    assert widen(HGB, HGB.with_changes(ratios=True), PLENTY).line == ()


def test_a_penalty_is_searched_both_ways_and_weights_of_two_models_are_kept() -> None:
    linear = ScriptSpec(family="linear", size=1)
    both = widen(linear, linear.with_changes(size=2), PLENTY)
    assert both.line == ("size:-1", "size:0", "size:2", "size:3")
    weighed = MIXED.with_changes(mix=30)
    assert widen(weighed, weighed.with_changes(size=1), PLENTY).line == ()


async def test_a_first_script_of_two_models_weighs_them_in_one_execution() -> None:
    fields = brief_fields("binary")
    fields["stage"] = fields["stage"].model_copy(update={"trace": 0})
    brief = DraftBrief(**fields)
    facts = read_task_facts(brief)
    spec = parse_spec((await Expert().draft(brief)).script)
    assert spec is not None and spec.second == "bayes" and spec.line[::4] == ("mix:0", "mix:100")
    plain = parse_spec((await Expert().draft(brief.model_copy(update={"variants": 0}))).script)
    assert plain == canonical_spec(spec.with_changes(line=()), facts)
    ends = {"mix0": spec.family, "mix100": spec.second}
    for name, family in ends.items():
        won = settle_line(spec, {"line": [{"name": name, "best": True}]})
        alone = canonical_spec(won, facts)
        assert (alone.family, alone.second, alone.line) == (family, None, ())


def test_the_room_is_what_limit_and_budget_leave_for_a_step() -> None:
    fields = brief_fields("binary")
    brief = DraftBrief(**fields)
    evidence: dict[str, Any] = {"resources": {"seconds": 6.0}}
    assert find_room(brief, evidence) == LineRoom(8, 6.0, 30.0)
    stage = brief.stage.model_copy(update={"steps_left": 10, "time_left_s": 120.0})
    short = brief.model_copy(update={"stage": stage, "variants": 4})
    line = [{"name": "size1"}, {"name": "size2", "best": True}]
    assert find_room(short, evidence | {"line": line}) == LineRoom(4, 3.0, 12.0)
    assert find_room(brief, {}) == LineRoom()


async def test_the_next_step_begins_at_the_setting_that_won(tmp_path: Path) -> None:
    fields = brief_fields("number")
    facts = read_task_facts(DraftBrief(**fields))
    lined = canonical_spec(HGB.with_changes(size=1, line=("size:1", "size:2")), facts)
    script = render_script(lined, facts)
    assert parse_spec(script) == lined
    evidence: dict[str, Any] = {"line": [{"name": "size1"}, {"name": "size2", "best": True}]}
    assert settle_line(lined, evidence) == HGB.with_changes(size=2)
    assert settle_line(lined, {"line": "?"}) == HGB.with_changes(size=1)
    evidence |= {"resources": {"seconds": 2.0}}
    brief = DiagnoseBrief(**fields, script=script, evidence=evidence, wants_change=True)
    answer = await Expert().diagnose(brief)
    assert answer.change is not None
    spec = parse_spec(answer.change.script)
    assert spec is not None and (spec.size >= 2 or spec.family != "hgb")


def test_hostile_lines_are_left_out_of_a_spec() -> None:
    facts = read_task_facts(DraftBrief(**brief_fields("binary")))
    hostile = ('size:1"]; import os', "size:9", "mix:30", "size:1", "size:1", "slow:2", "size:2")
    assert canonical_spec(HGB.with_changes(line=hostile), facts).line == ("size:1", "size:2")
    assert canonical_spec(HGB.with_changes(line=("size:1",)), facts).line == ()


@pytest.mark.parametrize(
    "spec",
    [
        ScriptSpec(family="linear", line=("size:-1", "size:0", "size:2")),
        MIXED.with_changes(line=("mix:15", "mix:70")),
        MIXED.with_changes(mix=30),
    ],
    ids=["size", "mix", "settled"],
)
def test_the_script_of_a_line_writes_every_setting_or_the_one_asked_for(
    spec: ScriptSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = ready(write_task(tmp_path / "task"))
    fields = brief_fields("binary")
    task = fields["task"].model_copy(update={"target": ["label"], "columns": ["id", "label"]})
    profile = {"rows": {"train": 120}, "columns": [], "target": fields["profile"]["target"]}
    facts = read_task_facts(DraftBrief(**{**fields, "task": task, "profile": profile}))
    code = compile(render_script(canonical_spec(spec, facts), facts), "solution.py", "exec")
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "input").symlink_to(prepared.public)
    monkeypatch.chdir(tmp_path / "work")
    exec(code, {"__name__": "__main__"})
    names = [item.replace(":", "") for item in spec.line]
    written = {path.name: path.read_text() for path in Path().glob("*.csv")}
    ends = [f"-{name}" for name in names] or [""]
    assert set(written) == {f"{part}{end}.csv" for part in ("oof", "submission") for end in ends}
    assert len(set(written.values())) == len(written)
    if names:
        for path in Path().glob("*.csv"):
            path.unlink()
        monkeypatch.setenv("GOME_VARIANT", names[-1])
        exec(code, {"__name__": "__main__"})
        alone = {path.name: path.read_text() for path in Path().glob("*.csv")}
        assert alone == {name: written[name] for name in alone} and len(alone) == 2
