"""What a run from a stranger may bring: its settings, its metric, its files."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kit import Player, events, quick, write_task
from longrun_kit import scripts

from graph.settings import Settings, carried_settings
from report.event_log import load_view
from report.summary import summary_lines
from run.folder import read_run_meta
from run.lock import RunError
from session.export_run import MANIFEST, export_run
from session.fork import fork_run
from session.import_run import import_run
from session.session import resume_run, start_run
from task.types import TaskError

Edit = Callable[[dict[str, Any]], None]
METRIC = """from sklearn.metrics import roc_auc_score
try:
    open({marker!r}, "a").close()
except OSError:
    pass
direction, needs = "max", "probability"
def score(y, p):
    return roc_auc_score(y, p)
"""


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A zip of a whole run."""
    root = tmp_path_factory.mktemp("original")
    (task := write_task(root / "task")).joinpath("metric.py").write_text("")
    started = start_run(str(task), quick(root, steps=2), reasoner=Player(scripts()))
    done = asyncio.run(started)
    export_run(done.folder, root / "run.zip")
    return root / "run.zip"


@pytest.fixture
def marker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that the stranger's metric would make; the test has a home of its own."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "owned"


def repack(source: Path, target: Path, edits: dict[str, Edit], **files: bytes) -> Path:
    """A zip with edited JSON files and other contents, and sound hashes."""
    with zipfile.ZipFile(source) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(contents.pop(MANIFEST))
    contents |= {name.replace("__", "/").replace("_py", ".py"): raw for name, raw in files.items()}
    for name, edit in edits.items():
        value = manifest if name == MANIFEST else json.loads(contents[name])
        edit(value)
        if name != MANIFEST:
            contents[name] = json.dumps(value).encode()
    manifest["files"] = {n: hashlib.sha256(raw).hexdigest() for n, raw in contents.items()}
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
        archive.writestr(MANIFEST, json.dumps(manifest))
    return target


HOSTILE_SETTINGS: dict[str, Any] = {
    "embedding": "openai:x@http://elsewhere/v1",
    "network": True,
    "isolation": "none",
    "sandbox": "ray",
    "ray_address": "elsewhere:10001",
    "base_url": "http://elsewhere/v1",
    "key_env": "AWS_SECRET_ACCESS_KEY",
    "extra_body": {"metadata": "x"},
    "prices": "/etc/passwd",
    "cache": "/tmp/cache",
    "memory": "http://elsewhere:8000",
    "checkpoint": "postgresql://elsewhere/x",
    "otel": True,
    "track": "wandb",
    "runs_dir": "/",
    "gpus": "0",
    "slots": 99,
    "e2b_template": "theirs",
    "e2b_usd_per_hour": 0.0,
    "e2b_life_s": 86400,
}


def test_an_imported_run_carries_only_listed_settings(exported: Path, tmp_path: Path) -> None:
    more = {"steps": 7, "model": ["gpt-x"], "a_new\nsetting": 1}
    source = repack(
        exported,
        tmp_path / "run.zip",
        {"run.json": lambda meta: meta["settings"].update(HOSTILE_SETTINGS | more)},
    )
    folder, notes = import_run(source, tmp_path / "there")
    settings = read_run_meta(folder)["settings"]
    assert {name: settings[name] for name in HOSTILE_SETTINGS} == {
        name: Settings().model_dump()[name] for name in HOSTILE_SETTINGS
    }
    assert all(name in notes[0] for name in HOSTILE_SETTINGS)
    assert "a_new setting (unknown)" in notes[0]
    assert (settings["steps"], settings["model"]) == (7, ["gpt-x"])
    assert "asks gpt-x at your endpoint" in notes[1]
    assert not carried_settings() & HOSTILE_SETTINGS.keys()
    assert read_run_meta(folder).keys().isdisjoint({"argv"})


async def test_the_hint_after_an_import_names_the_new_folder(
    exported: Path, tmp_path: Path
) -> None:
    first, _ = import_run(exported, tmp_path / "there")
    folder, _ = import_run(exported, tmp_path / "there")
    assert folder.name == f"{first.name}-2"
    with (folder / "events.jsonl").open("a") as file:
        file.write('{"t": 1, "ev": "run_ended", "reason": "interrupted"}\n')
    lines = summary_lines(load_view(folder), folder)
    assert f"resume     gome resume {folder.name}" in lines


def set_metric(metric: str) -> Edit:
    def edit(setup: dict[str, Any]) -> None:
        task = setup["prepared"]["task"]
        task["metric"] = metric.format(root=task["root"], run=setup["root"])

    return edit


INSIDE = ("{root}/metric.py", "{run}/task/metric.py", "{root}/../task/metric.py")
OUTSIDE = (
    "metric.py",
    "task/metric.py",
    "./metric.py",
    "~/metric.py",
    "../metric.py",
    "/tmp/metric.py",
    "/proc/self/cwd/task/metric.py",
    "{root}/../../metric.py",
)


@pytest.mark.parametrize("spelling", [*INSIDE, *OUTSIDE])
def test_a_metric_file_needs_trust_however_it_is_spelt(
    exported: Path, marker: Path, tmp_path: Path, spelling: str
) -> None:
    code = METRIC.format(marker=str(marker)).encode()
    edits = {"setup.json": set_metric(spelling)}
    source = repack(exported, tmp_path / "run.zip", edits, task__metric_py=code)
    with pytest.raises(RunError, match="sees the labels|a path outside the run"):
        import_run(source, tmp_path / "there")
    if spelling in OUTSIDE:
        with pytest.raises(RunError, match="a path outside the run"):
            import_run(source, tmp_path / "there", trust=True)
    assert not list((tmp_path / "there").iterdir()) and not marker.exists()


async def test_a_trusted_metric_stays_trusted_in_resume_fork_and_export(
    exported: Path, marker: Path, tmp_path: Path
) -> None:
    code = METRIC.format(marker=str(marker)).encode()
    edits = {"setup.json": set_metric("{root}/metric.py")}
    source = repack(exported, tmp_path / "run.zip", edits, task__metric_py=code)
    folder, _ = import_run(source, tmp_path / "there", trust=True)
    new = fork_run(folder, 1, {"steps": 2}, fresh=True)
    assert (await resume_run(new, reasoner=Player(scripts()))).reason == "budget: steps"
    assert not marker.exists()  # even a trusted metric runs in the sandbox
    assert "which sees the labels" in events(new, "warning")[0]["message"]
    export_run(new, tmp_path / "again.zip")
    import_run(tmp_path / "again.zip", tmp_path / "elsewhere")  # the same file: trusted
    again = fork_run(folder, 1, {"steps": 2}, fresh=True)
    metric = again / "task" / "metric.py"
    metric.unlink()
    metric.write_bytes(code + b"\n# changed\n")
    with pytest.raises(TaskError, match="gome resume --trust"):
        await resume_run(again, reasoner=Player(scripts()))
    assert not marker.exists()


def raw_folder(exported: Path, tmp_path: Path, marker: Path, metric: str, task_yaml: bool) -> Path:
    """A run folder as a stranger would send it: no import, its metric not run yet."""
    folder, _ = import_run(exported, tmp_path / "there")
    shutil.rmtree(folder / "done")
    (folder / "task" / "metric.py").write_text(METRIC.format(marker=str(marker)))
    lines = (folder / "rounds.jsonl").read_text().splitlines(keepends=True)
    (folder / "rounds.jsonl").write_text("".join(lines[:2]))
    setup = json.loads((folder / "setup.json").read_text())
    setup["prepared"]["task"]["metric"] = metric.format(root=folder / "task", run=folder)
    (folder / "setup.json").write_text(json.dumps(setup))
    if task_yaml:
        for name in ("setup.json", "rounds.jsonl", "events.jsonl"):
            (folder / name).unlink()
        spec = (folder / "task" / "task.yaml").read_text()
        (folder / "task" / "task.yaml").write_text(spec.replace("auc", "metric.py"))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("metric", "task_yaml"),
    [
        ("{root}/metric.py", False),
        ("{root}/link.py", False),
        ("/proc/self/cwd/task/metric.py", False),
        ("task/metric.py", False),
        ("auc", True),
    ],
)
async def test_a_raw_run_folder_runs_no_metric_of_its_own_without_trust(
    exported: Path,
    marker: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    metric: str,
    task_yaml: bool,
) -> None:
    folder = raw_folder(exported, tmp_path, marker, metric, task_yaml)
    (folder / "task" / "link.py").symlink_to("metric.py")
    monkeypatch.chdir(folder)
    with pytest.raises(TaskError, match="would run with your rights.*gome resume --trust"):
        await resume_run(folder, reasoner=Player(scripts()))
    assert not marker.exists()
    if not task_yaml:
        done = await resume_run(folder, reasoner=Player(scripts()), trust=True)
        assert done.reason == "budget: steps" and not marker.exists()


def read_only_with_task(manifest: dict[str, Any]) -> None:
    manifest["read_only"] = True


def test_a_read_only_zip_brings_nothing_that_a_resume_needs(exported: Path, tmp_path: Path) -> None:
    source = repack(exported, tmp_path / "run.zip", {MANIFEST: read_only_with_task})
    with pytest.raises(RunError, match="which no run has"):
        import_run(source, tmp_path / "there")


def climbing_input(setup: dict[str, Any]) -> None:
    setup["prepared"]["inputs"]["../../../x"] = setup["prepared"]["public"] + "/train.csv"


def absolute_input(setup: dict[str, Any]) -> None:
    setup["prepared"]["inputs"]["/tmp/x"] = setup["prepared"]["public"] + "/train.csv"


def relative_table(setup: dict[str, Any]) -> None:
    setup["prepared"]["task"]["train"] = "train.csv"


def no_brief(setup: dict[str, Any]) -> None:
    setup["brief"] = [7]


def odd_setting(meta: dict[str, Any]) -> None:
    meta["settings"]["steps"] = {"a": 1}


REFUSED: dict[str, tuple[str, Edit, str]] = {
    "an input that climbs out": ("setup.json", climbing_input, "a path outside the run"),
    "an input with an absolute name": ("setup.json", absolute_input, "a path outside the run"),
    "a table of the current folder": ("setup.json", relative_table, "a path outside the run"),
    "a setup of wrong types": ("setup.json", no_brief, "setup.json cannot be used"),
    "a setting of wrong type": ("run.json", odd_setting, "an unusable setting .steps"),
    "no settings": ("run.json", lambda meta: meta.update(settings=[]), "`settings` is missing"),
    "no roots": (MANIFEST, lambda manifest: manifest.update(roots={}), "cannot be used"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_zip_of_wrong_types_or_paths_is_refused(
    exported: Path, tmp_path: Path, what: str
) -> None:
    name, edit, words = REFUSED[what]
    source = repack(exported, tmp_path / "run.zip", {name: edit})
    with pytest.raises(RunError, match=words) as caught:
        import_run(source, tmp_path / "there")
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "there").iterdir()) and not os.path.lexists("/tmp/x")
