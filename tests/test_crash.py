"""kill -9 at forty moments of a run's life: it ends as a run that nobody disturbed, nothing finished is run again, nothing is left behind."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import psutil
import pytest
from kit import write_task
from longrun_kit import drive, driven, essence, run_twice

KILLS = 40


def orphans(root: Path) -> list[str]:
    """Processes whose command line names the run."""
    return [line for each in psutil.process_iter(["cmdline"]) if str(root) in (line := " ".join(each.info["cmdline"] or []))]


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
def test_forty_kills_change_nothing(tmp_path: Path) -> None:
    for name in ("cut", "whole"):
        write_task(tmp_path / name / "task")
    moments = random.Random(6)
    hits = sum(killed(tmp_path / "cut", moments) for _ in range(KILLS))
    assert hits >= KILLS // 2, "the run was over too soon to be killed often"
    assert driven(tmp_path / "cut", tmp_path / "cut" / "run", 1.5, traces=3, steps=6) == "budget: steps"
    assert driven(tmp_path / "whole", tmp_path / "whole" / "run", 1.5, traces=3, steps=6) == "budget: steps"
    assert essence(tmp_path / "cut" / "run") == essence(tmp_path / "whole" / "run")
    assert run_twice(tmp_path / "cut" / "run") == []
    assert orphans(tmp_path) == []
