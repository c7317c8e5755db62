"""A whole run gives the same scores wherever its scripts run."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fake_e2b import FakeE2B
from fake_envd import Process
from kit import HONEST, Player, events, quick, write_task
from ray_kit import cluster

from sandbox.protocol import SandboxUnavailableError
from session.session import start_run

ROOT = Path(__file__).parents[1]
MEMORY_BYTES = 2 * 2**30


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    with FakeE2B(tmp_path / "e2b") as cloud:
        for name, value in cloud.environment.items():
            monkeypatch.setenv(name, value)
        yield cloud


async def tiny(tmp_path: Path, kind: str, **more: Any) -> list[tuple[str, float]]:
    player = Player([HONEST.format(noise=3), HONEST.format(noise=0.3)])
    settings = quick(
        tmp_path / kind,
        steps=2,
        sandbox=kind,
        run_cpus=1,
        run_memory_bytes=MEMORY_BYTES,
        run_time_s=60,
        **more,
    )
    outcome = await start_run(str(tmp_path / "task"), settings, reasoner=player)
    found = [(event["id"], event["score"]) for event in events(outcome.folder, "attempt")]
    tiers = {event["tier"] for event in events(outcome.folder, "execution_finished")}
    assert all(tier.startswith(kind) or kind == "local" for tier in tiers) and len(found) == 2
    return found


@pytest.mark.slow
async def test_local_and_e2b_give_the_same_scores_and_e2b_is_paid_for(
    environment: FakeE2B, tmp_path: Path
) -> None:
    write_task(tmp_path / "task")
    assert await tiny(tmp_path, "local") == await tiny(tmp_path, "e2b")
    assert environment.rented == {} and environment.alive() == []
    folder = next((tmp_path / "e2b").glob("runs/*"))
    spent = [event["usage"]["usd"] for event in events(folder, "execution_finished")]
    assert len(spent) == 2 and all(0 < usd < 0.1 for usd in spent)


@pytest.mark.slow
async def test_the_money_limit_covers_rented_sandboxes(
    environment: FakeE2B, tmp_path: Path
) -> None:
    write_task(tmp_path / "task")
    settings = quick(tmp_path, steps=5, sandbox="e2b", e2b_usd_per_hour=3600, max_usd=0.5)
    outcome = await start_run(
        str(tmp_path / "task"), settings, reasoner=Player([HONEST.format(noise=0.3)] * 5)
    )
    assert outcome.reason == "budget: money" and outcome.submission is not None
    assert len(events(outcome.folder, "attempt")) == 1


@pytest.mark.slow
async def test_a_sandbox_that_dies_mid_run_costs_time_but_no_attempt(
    environment: FakeE2B, tmp_path: Path
) -> None:
    write_task(tmp_path / "task")
    settings = quick(tmp_path, steps=1, sandbox="e2b", max_repairs=0)
    player = Player(["import time; time.sleep(2)\n" + HONEST.format(noise=0.3)])
    going = asyncio.create_task(start_run(str(tmp_path / "task"), settings, reasoner=player))
    while not any(
        "inside" in " ".join(process.config["args"]) and "jobs" in " ".join(process.config["args"])
        for process in processes(environment)
    ):
        await asyncio.sleep(0.1)
    await asyncio.to_thread(environment.lose, environment.created[0].id)
    outcome = await going
    attempts = events(outcome.folder, "attempt")
    assert [event["verdict"] for event in attempts] == ["accepted"] and len(
        environment.created
    ) >= 2
    assert "runs again" in events(outcome.folder, "warning")[0]["message"]


def processes(cloud: FakeE2B) -> list[Process]:
    return [
        process
        for rented in list(cloud.rented.values())
        for process in list(rented.machine.processes.values())
    ]


@pytest.mark.slow
async def test_a_sandbox_that_keeps_dying_pauses_the_run(
    environment: FakeE2B, tmp_path: Path
) -> None:
    write_task(tmp_path / "task")
    settings = quick(tmp_path, steps=1, sandbox="e2b", max_repairs=0)
    for _ in range(3):
        environment.fault("POST /process.Process/Start", times=2, delay_s=0)  # it is set up
        environment.fault("POST /process.Process/Start", times=1, status=500)  # and breaks
    with pytest.raises(SandboxUnavailableError, match="3 times in a row"):
        await start_run(
            str(tmp_path / "task"), settings, reasoner=Player([HONEST.format(noise=0.3)])
        )


@pytest.mark.slow
@pytest.mark.enable_socket
@pytest.mark.timeout(1200)
@pytest.mark.filterwarnings("ignore")
def test_an_example_gives_the_same_scores_on_this_machine_in_e2b_and_on_ray(
    environment: FakeE2B, tmp_path: Path
) -> None:
    gome("example", "modechoice", str(tmp_path / "task"))
    found = {kind: run(tmp_path, kind) for kind in ("local", "e2b")}
    with cluster(sizes=(1, 1)) as made:
        found["ray"] = run(tmp_path, "ray", "--ray-address", made.address)
    assert len(found["local"]) >= 2 and found["local"] == found["e2b"] == found["ray"]
    assert environment.rented == {}


def run(tmp_path: Path, kind: str, *more: str) -> list[tuple[str, float, str]]:
    """(attempt, score, script's hash) of a run with the expert."""
    size = [
        "--traces",
        "1",
        "--steps",
        "2",
        "--seed",
        "1",
        "--set",
        "run_cpus=1",
        "--set",
        f"run_memory_bytes={MEMORY_BYTES}",
    ]
    where = [
        "--sandbox",
        kind,
        "--memory",
        "off",
        "--runs-dir",
        str(tmp_path / kind),
        "--json",
        *more,
    ]
    lines = gome("run", str(tmp_path / "task"), *size, *where).splitlines()
    told = [json.loads(line) for line in lines]
    return [
        (event["id"], event["score"], event["script"]) for event in told if event["ev"] == "attempt"
    ]


def gome(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "gome", *arguments],
        cwd=ROOT,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout
