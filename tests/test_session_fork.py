"""Fork, export and import of a run; nothing hostile in a zip gets out of its folder."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kit import Player, events, quick, write_task
from longrun_kit import attempts, scripts
from test_scoring_average import seeded
from test_scoring_remeasure import Doubter

from run.comparator import measured_oofs
from run.folder import read_run_meta
from run.lock import RunError
from run.registry import close_run, open_run
from run.rounds import last_round
from run.run import name_done
from run.variants import seeded_event_key, seeded_parts
from session.export_run import MANIFEST, export_run, published_traces
from session.fork import change_run_settings, copy_seeds, fork_run
from session.import_run import import_run
from session.session import Outcome, resume_run, start_run

SAME = ("id", "parent", "kind", "mode", "script", "score", "gain", "verdict", "hypothesis")


async def original(tmp_path: Path, **settings: Any) -> Outcome:
    return await start_run(
        str(write_task(tmp_path / "task")),
        quick(tmp_path, steps=3, **settings),
        reasoner=Player(scripts()),
    )


def steps(folder: Path) -> list[dict[str, Any]]:
    return [{name: event[name] for name in SAME} for _, event in sorted(attempts(folder).items())]


def test_a_fork_says_what_is_expected_of_a_setting() -> None:
    with pytest.raises(RunError, match="^--set steps: expected a whole number from 1 to 100000$"):
        change_run_settings({}, {"steps": 0})


def test_a_damaged_run_json_names_file_and_remedy(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(
        RunError, match=r"run\.json is damaged .* restore a copy, or start a new run"
    ):
        read_run_meta(tmp_path)


@pytest.mark.parametrize("fresh", [pytest.param(True, marks=pytest.mark.slow), False])
async def test_a_fork_with_nothing_changed_repeats_the_next_steps_exactly(
    tmp_path: Path, fresh: bool
) -> None:
    first = await original(tmp_path)
    new = fork_run(first.folder, 1, {}, fresh=fresh)
    assert list(attempts(new)) == ["t0s0"]
    again = await resume_run(new, reasoner=Player(scripts()))
    assert steps(new) == steps(first.folder) and again.score == first.score
    assert len(events(new, "execution_started")) - len(
        events(first.folder, "execution_started")
    ) == (0 if fresh else -2 - first_finale(first))
    assert (
        read_run_meta(new)["parent"]["at"] == 1 and events(new, "run_started")[0]["run"] == new.name
    )


def first_finale(outcome: Outcome) -> int:
    """Executions of the original that belong to no step; the fork finds them kept as well."""
    return len(events(outcome.folder, "execution_started")) - 3


@pytest.mark.slow
async def test_a_fork_with_changed_settings_diverges(tmp_path: Path) -> None:
    first = await original(tmp_path)
    with pytest.raises(RunError, match="--at 9: .* there are 0, 1, 2, 3"):
        fork_run(first.folder, 9, {})
    with pytest.raises(RunError, match="folds and audit rows were fixed"):
        fork_run(first.folder, 1, {"audit": "false"})
    with pytest.raises(RunError, match="--set steps"):
        fork_run(first.folder, 1, {"steps": "many"})
    longer = fork_run(first.folder, None, {"steps": "4", "traces": "2"})
    done = await resume_run(longer, reasoner=Player(scripts()))
    assert done.reason == "budget: steps"
    assert sorted(attempts(longer)) == [
        "t0s0",
        "t0s1",
        "t0s2",
        "t0s3",
        "t1s0",
        "t1s1",
        "t1s2",
        "t1s3",
    ]
    assert sorted(attempts(first.folder)) == ["t0s0", "t0s1", "t0s2"]


def test_a_fork_gets_the_seeds_that_its_attempts_ran_under_before_it_began(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    for folder in (old, new):
        (folder / "done").mkdir(parents=True)
    before = [seeded_parts("a" * 64, 1, ""), seeded_parts("b" * 64, 2, "deep")]
    later = [seeded_parts("a" * 64, 2, ""), seeded_parts("c" * 64, 1, "")]
    for parts in (*before, *later):
        (old / "done" / name_done("seeded", parts)).write_text("{}")
    made = [{"script": "a" * 64, "variant": ""}, {"script": "b" * 64, "variant": "deep"}]
    ended = [{"key": seeded_event_key(parts), "seed": parts[1]} for parts in before]
    lines = [{"ev": "attempt"} | one for one in made]
    lines += [{"ev": "execution_finished"} | one for one in ended]
    (new / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    copy_seeds(old, new)
    found = {path.name for path in (new / "done").iterdir()}
    assert found == {name_done("seeded", parts) for parts in before}


@pytest.mark.slow
async def test_a_fork_with_changed_settings_compares_by_the_seeds_of_the_original(
    tmp_path: Path,
) -> None:
    task = write_task(tmp_path / "task", n=300)
    player = Doubter([seeded("x - y"), seeded("x")], {1: "t0s0"})
    settings = quick(tmp_path, steps=2, top_k=1)
    first = (await start_run(str(task), settings, reasoner=player)).folder
    new = fork_run(first, None, {"steps": 3})
    known = []
    for folder in (first, new):
        run, stored = open_run(folder), last_round(folder)
        try:
            assert stored is not None and (best := stored.state.traces["0"].best) is not None
            known.append(measured_oofs(run, run.attempt(best.ref)))
        finally:
            await close_run(folder)
    assert known[0] == known[1] and len(known[0]) == 2


@pytest.mark.slow
async def test_an_exported_run_resumes_elsewhere(tmp_path: Path) -> None:
    first = await original(tmp_path, memory=str(tmp_path / "memory"))
    export_run(first.folder, tmp_path / "run.zip")
    shutil.rmtree(tmp_path / "task")
    shutil.rmtree(first.folder)
    folder, notes = import_run(tmp_path / "run.zip", tmp_path / "there")
    assert "memory" in notes[0] and "runs_dir" in notes[0]
    again = await resume_run(folder, reasoner=Player(scripts()))
    assert (again.reason, again.score) == (
        first.reason,
        first.score,
    ) and again.submission is not None
    longer = await resume_run(
        fork_run(folder, 3, {"steps": 4, "memory": "off"}), reasoner=Player(scripts())
    )
    assert len(attempts(longer.folder)) == 4  # the finale read the task's files from the zip


async def test_a_read_only_export_contains_no_data_and_refuses_to_resume(tmp_path: Path) -> None:
    first = await original(tmp_path)
    export_run(first.folder, tmp_path / "look.zip", read_only=True)
    archive = zipfile.ZipFile(tmp_path / "look.zip")
    names = archive.namelist()
    assert not [name for name in names if name.startswith(("private", "public", "task", "done"))]
    header = (first.folder / "best" / "submission.csv").read_bytes().splitlines()[0]
    stored = [
        path.read_bytes() for path in (first.folder / "artifacts").rglob("*") if path.is_file()
    ]
    assert sum(raw.startswith(header) for raw in stored) >= len(attempts(first.folder))
    assert not [name for name in names if archive.read(name).startswith(header)]
    assert "best/solution.py" in names
    folder, notes = import_run(tmp_path / "look.zip", tmp_path / "there")
    assert "read-only" in notes[-1] and steps(folder) == steps(first.folder)
    with pytest.raises(RunError, match="read-only import"):
        await resume_run(folder, reasoner=Player(scripts()))


async def test_the_published_layout_of_traces(tmp_path: Path) -> None:
    first = await original(tmp_path)
    found = published_traces(first.folder)["tiny"]
    assert (
        found["scenario"]["metric_name"] == "auc" and found["scenario"]["metric_direction"] is True
    )
    assert [key for key in found if key.startswith("loop_")] == ["loop_0", "loop_1", "loop_2"]
    assert (
        found["loop_1"]["base_code"] == found["loop_0"]["code"]
        and found["loop_1"]["valid_score"] is not None
    )


# what a stranger's zip may try


def hostile(
    change: Callable[[dict[str, Any], dict[str, bytes]], None],
) -> Callable[[Path, Path], None]:
    """Rewrites a good zip: its manifest and contents by name."""

    def spoil(source: Path, target: Path) -> None:
        with zipfile.ZipFile(source) as archive:
            contents = {name: archive.read(name) for name in archive.namelist()}
        manifest = json.loads(contents.pop(MANIFEST))
        change(manifest, contents)
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in contents.items():
                archive.writestr(name, content)
            archive.writestr(MANIFEST, json.dumps(manifest))

    return spoil


def planted(name: str) -> Callable[[dict[str, Any], dict[str, bytes]], None]:
    def change(manifest: dict[str, Any], contents: dict[str, bytes]) -> None:
        contents[name] = b"owned"
        manifest["files"][name] = "4c41bd08b0b6b0b5"

    return change


def edited(
    name: str, edit: Callable[[dict[str, Any]], None]
) -> Callable[[dict[str, Any], dict[str, bytes]], None]:
    def change(manifest: dict[str, Any], contents: dict[str, bytes]) -> None:
        import hashlib

        value = json.loads(contents[name])
        edit(value)
        contents[name] = json.dumps(value).encode()
        manifest["files"][name] = hashlib.sha256(contents[name]).hexdigest()

    return change


def mounts_home(setup: dict[str, Any]) -> None:
    setup["prepared"]["inputs"]["keys"] = "/root/.ssh"


def own_metric(setup: dict[str, Any]) -> None:
    setup["prepared"]["task"]["metric"] = setup["prepared"]["task"]["root"] + "/metric.py"


def flipped(manifest: dict[str, Any], contents: dict[str, bytes]) -> None:
    name = next(name for name in contents if name.startswith("artifacts/"))
    contents[name] = contents[name][:-1] + b"?"


HOSTILE = {
    "a name that climbs out": (planted("artifacts/../../../evil"), "which no run has"),
    "an absolute name": (planted("/tmp/evil"), "which no run has"),
    "a file that no run has": (planted("sitecustomize.py"), "which no run has"),
    "a changed artifact": (flipped, "does not match its hash"),
    "a setup that mounts a home folder": (
        edited("setup.json", mounts_home),
        "a path outside the run",
    ),
    "a metric that is code": (edited("setup.json", own_metric), "sees the labels"),
    "a run named ..": (lambda manifest, contents: manifest.update(run=".."), "no usable name"),
    "a bomb": (
        lambda manifest, contents: contents.update({"artifacts/aa/zero": bytes(400 * 2**20)}),
        "out of proportion",
    ),
}


async def test_a_hostile_zip_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))  # where nothing is trusted yet
    first = await original(tmp_path)
    export_run(first.folder, tmp_path / "run.zip")
    for index, (what, (change, word)) in enumerate(HOSTILE.items()):
        hostile(change)(tmp_path / "run.zip", tmp_path / f"{index}.zip")
        with pytest.raises(RunError, match=word):
            import_run(tmp_path / f"{index}.zip", tmp_path / "there")
        assert list((tmp_path / "there").iterdir()) == [], what
    (tmp_path / "cut.zip").write_bytes((tmp_path / "run.zip").read_bytes()[:-400])
    with pytest.raises(RunError, match="export the run again"):
        import_run(tmp_path / "cut.zip", tmp_path / "there")
    folder, _ = import_run(tmp_path / "run.zip", tmp_path / "there")
    assert read_run_meta(folder)["settings"]["isolation"] == "auto"
