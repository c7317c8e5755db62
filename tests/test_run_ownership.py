"""A copied run folder: settings that name a place, a service or no limit are not obeyed unasked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from kit import HONEST, Player, events, quick, write_task

from graph.settings import Settings
from run.lock import RunError
from run.ownership import is_own_run, own_run, risky_settings
from session.fork import fork_run
from session.session import resume_run, start_run


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's own store of consents."""
    path = tmp_path / "home" / "trusted"
    monkeypatch.setattr("task.consent.CONSENTS", str(path))
    return path


def test_only_settings_that_reach_beyond_the_run_are_risky() -> None:
    harmless: dict[str, object] = {
        "traces": 5,
        "time_s": 60,
        "model": ["m"],
        "memory": "off",
        "runs_dir": "/x",
    }
    harmless["embedding"] = "lexical"  # the default of earlier versions, as their runs have it
    assert risky_settings(Settings.model_validate(harmless)) == {}
    risky = {"base_url": "http://elsewhere/v1", "key_env": "AWS_SECRET", "network": True}
    assert risky_settings(Settings.model_validate(harmless | risky)) == risky


def test_a_note_holds_for_one_run_with_these_settings() -> None:
    settings = Settings.model_validate({"network": True})
    own_run("one", settings)
    assert is_own_run("one", settings)
    assert not is_own_run("two", settings)
    assert not is_own_run("one", Settings.model_validate({"network": True, "isolation": "none"}))
    assert is_own_run("two", Settings())


async def stopped_run(tmp_path: Path) -> Path:
    """A run of one step, which a resume would continue."""
    settings = quick(tmp_path, steps=1, isolation="none", base_url="http://localhost:9/v1")
    player = Player([HONEST.format(noise=0.3)])
    outcome = await start_run(str(write_task(tmp_path / "task")), settings, reasoner=player)
    return outcome.folder


async def test_a_strangers_folder_is_refused_until_it_is_trusted(
    tmp_path: Path, store: Path
) -> None:
    folder, player = await stopped_run(tmp_path), Player([HONEST.format(noise=0.3)])
    assert (await resume_run(folder, reasoner=player)).score is not None  # our own
    store.unlink()  # as if another account had started it
    with pytest.raises(RunError, match=r'base_url="http://localhost:9/v1", isolation="none"; if'):
        await resume_run(folder, reasoner=player)
    meta = json.loads((folder / "run.json").read_text())
    assert meta["settings"]["isolation"] == "none"  # nothing was changed
    assert (await resume_run(folder, reasoner=player, trust=True)).score is not None
    assert (await resume_run(folder, reasoner=player)).score is not None  # noted once


async def test_a_fork_is_as_trusted_as_its_origin(tmp_path: Path, store: Path) -> None:
    folder, player = await stopped_run(tmp_path), Player([HONEST.format(noise=0.3)])
    own = fork_run(folder, None, {"steps": 2})
    assert (await resume_run(own, reasoner=player)).score is not None
    store.unlink()
    foreign = fork_run(folder, None, {"steps": 2})
    with pytest.raises(RunError, match="was not started by this account"):
        await resume_run(foreign, reasoner=player)


async def test_without_a_writable_home_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr("task.consent.CONSENTS", str(tmp_path / "file" / "trusted"))
    folder = await stopped_run(tmp_path)
    await resume_run(folder, reasoner=Player([HONEST.format(noise=0.3)]))
    warnings = [event["message"] for event in events(folder, "warning")]
    assert any("may be a stranger's" in text and 'isolation="none"' in text for text in warnings)
