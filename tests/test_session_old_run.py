"""Run folders of the first release are shown, resumed, forked and exported."""

from __future__ import annotations

import json
import tarfile
import zipfile
from pathlib import Path

import pytest
from kit import events
from typer.testing import CliRunner

from cli.app import app
from run.events import iterate_events
from run.rounds import last_round
from session.session import resume_run

FIXTURE = Path(__file__).parent / "fixtures" / "run-0.1.tar.xz"
MADE_IN = "/tmp/fx/gome-run-of-the-first-release"  # the folder of task and runs, now elsewhere


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    with tarfile.open(FIXTURE) as archive:
        # Python 3.11 before 3.11.4 has no filters
        archive.extraction_filter = getattr(tarfile, "data_filter", lambda member, path: member)
        archive.extractall(tmp_path)
    for path in [*tmp_path.glob("runs/*/run.json"), *tmp_path.glob("runs/*/setup.json")]:
        path.write_text(path.read_text().replace(MADE_IN, str(tmp_path)))
    return tmp_path / "runs"


def test_a_finished_run_is_shown_and_exported(runs: Path) -> None:
    shown = CliRunner().invoke(app, ["show", "--runs-dir", str(runs), "finished"])
    assert shown.exit_code == 0, shown.output
    recorded = events(runs / "finished", "attempt")
    assert f"used        {len(recorded)} attempts (2 accepted)" in shown.output
    assert "0.929 ± 0.030" in shown.output
    target = runs / "finished.zip"
    words = ["export", "finished", "--runs-dir", str(runs), "--to", str(target), "--read-only"]
    exported = CliRunner().invoke(app, words)
    assert exported.exit_code == 0, exported.output
    assert "events.jsonl" in zipfile.ZipFile(target).namelist()
    words = ["export", "finished", "--runs-dir", str(runs), "--format", "gome-traces"]
    words += ["--to", str(runs / "traces.json")]
    assert CliRunner().invoke(app, words).exit_code == 0


@pytest.mark.slow
async def test_an_interrupted_run_is_resumed_and_repeats_nothing(runs: Path) -> None:
    folder = runs / "interrupted"
    before = list(iterate_events(folder / "events.jsonl"))
    known = last_round(folder)
    assert known is not None
    assert known.step == 4
    outcome = await resume_run(folder)
    assert outcome.reason == "budget: steps"
    assert outcome.submission is not None
    assert outcome.submission.is_file()
    after = list(iterate_events(folder / "events.jsonl"))
    assert after[: len(before)] == before
    keys = [(event["ev"], event["key"]) for event in after if event.get("key")]
    assert len(keys) == len(set(keys))
    single = [each["id"] for each in events(folder, "attempt") if each["kind"] != "ensemble"]
    assert sorted(single) == sorted(f"t{trace}s{step}" for trace in range(2) for step in range(6))


async def test_an_ended_run_returns_its_outcome(runs: Path) -> None:
    outcome = await resume_run(runs / "finished")
    best = json.loads((runs / "finished" / "best" / "best.json").read_text())
    assert (outcome.reason, outcome.score) == ("budget: steps", best["score"])
