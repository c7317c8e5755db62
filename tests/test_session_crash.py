"""A run killed at many moments ends as an undisturbed one; nothing is repeated or left behind."""

from __future__ import annotations

import json
import random
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from kit import events, write_task
from longrun_kit import NOTING, attempts, drive, driven, essence, orphans, run_twice
from test_scoring_average import seeded
from test_scoring_remeasure import Doubter

KILLS = 40


def killed(root: Path, moments: random.Random) -> bool:
    """One session, killed after a while; False: it had ended by itself."""
    process = drive(root, root / "run", 1.5, traces=3, steps=6)
    try:
        process.communicate(timeout=moments.uniform(0.3, 9))
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return True
    return False


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_forty_kills_change_no_result(tmp_path: Path) -> None:
    for name in ("cut", "whole"):
        write_task(tmp_path / name / "task")
    moments = random.Random(6)
    hits = sum(killed(tmp_path / "cut", moments) for _ in range(KILLS))
    assert hits >= KILLS // 2, "the run was over too soon to be killed often"
    assert (
        driven(tmp_path / "cut", tmp_path / "cut" / "run", 1.5, traces=3, steps=6)
        == "budget: steps"
    )
    assert (
        driven(tmp_path / "whole", tmp_path / "whole" / "run", 1.5, traces=3, steps=6)
        == "budget: steps"
    )
    assert essence(tmp_path / "cut" / "run") == essence(tmp_path / "whole" / "run")
    assert run_twice(tmp_path / "cut" / "run") == []
    assert orphans(tmp_path) == []


# second seeds, blends, audit and the finale

LATE_KILLS = 24
PLAN: dict[str, Any] = {
    "player": "Seeded(0.5)",
    "traces": 2,
    "steps": 5,
    "top_k": 3,
    "final_seeds": 3,
    "isolation": "none",
    "time_s": 3600,
    "run_time_s": 60,
}


def noted(root: Path) -> list[dict[str, Any]]:
    """Every start of a script in this run, as the script itself noted it."""
    path = root / "starts.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def n_ended(root: Path) -> int:
    return len(events(root / "run", "execution_finished"))


def killed_later(root: Path, moments: random.Random) -> str:
    """Kill a session after some more scripts; return the run's phase, or "" if it had ended."""
    process = drive(root, root / "run", **PLAN)
    until, end = n_ended(root) + moments.choice((0, 1, 1, 2)), time.monotonic() + 300
    while process.poll() is None and n_ended(root) < until and time.monotonic() < end:
        time.sleep(0.02)
    time.sleep(moments.uniform(0, 0.9))
    gone = process.poll() is not None
    process.kill()
    process.communicate()
    return "" if gone else "finale" if events(root / "run", "finalizing") else "loop"


def begun_again(root: Path) -> list[str]:
    """Return executions (steps, second seeds, refits) that began again after their recorded end."""
    ended = {event["key"]: event["t"] for event in events(root / "run", "execution_finished")}
    return [
        start["key"] for start in noted(root) if start["t"] > ended.get(start["key"], start["t"])
    ]


def handed_over(folder: Path) -> dict[str, Any]:
    """The finale's account, and what was measured twice, without times and places."""
    (final,) = events(folder, "finalized")
    names = (
        "attempt",
        "score",
        "candidates",
        "chosen",
        "level",
        "ensemble",
        "audit",
        "score_seeds",
        "refit",
        "sha256",
    )
    confirmed = {
        event["attempt"]: (event["against"], event["paired"])
        for event in events(folder, "confirmed")
    }
    return {name: final[name] for name in names} | {"confirmed": confirmed}


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_kills_from_the_second_seeds_to_the_refit_change_no_result(tmp_path: Path) -> None:
    cut, whole = tmp_path / "cut", tmp_path / "whole"
    for root in (cut, whole):
        write_task(root / "task", n=2400)
    assert driven(whole, whole / "run", **PLAN) == "budget: steps"
    moments = random.Random(11)
    phases = [killed_later(cut, moments) for _ in range(LATE_KILLS)]
    print(
        f"kills in the loop {phases.count('loop')}, in the finale {phases.count('finale')}, "
        f"after the end {phases.count('')}"
    )
    assert phases.count("finale") >= 3, "no kill met the finale"
    assert driven(cut, cut / "run", **PLAN) == "budget: steps"
    told = handed_over(whole / "run")
    assert (
        told["confirmed"]
        and told["refit"]
        and told["audit"]["rows"]
        and len(told["candidates"]) == 3
    ), told
    assert [event for event in events(whole / "run", "attempt") if event["kind"] == "ensemble"]
    assert {len(each["scores"]) for each in told["candidates"]} == {3}
    assert essence(cut / "run") == essence(whole / "run") and handed_over(cut / "run") == told
    assert {start["key"] for start in noted(cut)} == {
        event["key"] for event in events(cut / "run", "execution_finished")
    }
    assert begun_again(cut) == [] and run_twice(cut / "run") == []
    assert orphans(cut) == []


# a step that measures again


def make_doubter() -> Doubter:
    """Measures its first best under two more seeds, and then makes one change for the worse."""
    texts = [seeded(terms) + NOTING.format(pause=1.5) for terms in ("x - y", "x")]
    return Doubter([texts[0], *texts, texts[1]], {1: "t0s0", 2: "t0s0"})


def began(root: Path, seed: str) -> bool:
    """Whether a script has started whose key begins so."""
    return any(start["key"].startswith(seed) for start in noted(root))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_kill_in_the_middle_of_a_measurement_repeats_nothing_that_was_finished(
    tmp_path: Path,
) -> None:
    plan: dict[str, Any] = {"steps": 4, "isolation": "none", "top_k": 1}
    plan["player"] = '__import__("test_session_crash").make_doubter()'
    cut, whole = tmp_path / "cut", tmp_path / "whole"
    for root in (cut, whole):
        write_task(root / "task", n=300)
    for seed in ("seed1:", "seed2:"):
        process, end = drive(cut, cut / "run", **plan), time.monotonic() + 300
        while time.monotonic() < end and not began(cut, seed):
            time.sleep(0.02)
        process.kill()
        process.communicate()
        ended = [event["key"] for event in events(cut / "run", "execution_finished")]
        assert began(cut, seed) and not any(key.startswith(seed) for key in ended)
    assert driven(cut, cut / "run", **plan) == driven(whole, whole / "run", **plan)
    again = attempts(cut / "run")["t0s2"]
    assert again["kind"] == "remeasure" and "over 3 seeds" in again["reasons"][0]
    assert essence(cut / "run") == essence(whole / "run")
    corrected = [attempts(root / "run")["t0s2"]["best_score"] for root in (cut, whole)]
    assert corrected[0] == corrected[1]
    kinds = sorted(one["key"].partition(":")[0] for one in noted(cut))
    assert kinds == ["seed1", "seed1", "seed2", "seed2", "t0s0r0", "t0s3r0"]  # the killed twice
    assert begun_again(cut) == [] and run_twice(cut / "run") == []
