"""A script that an attempt of the run ran to its end is not executed again."""

from __future__ import annotations

import asyncio
from pathlib import Path

from kit import FAULTS, HONEST, Player, events, quick, write_task

from session.session import start_run


def test_the_same_script_is_executed_once_and_named(tmp_path: Path) -> None:
    first, crash = HONEST.format(noise=1), FAULTS["crash"]
    commented = f"# seen before\n{first}\n# settings: 1\n"
    scripts = [first, crash, commented, crash]
    settings = quick(tmp_path, traces=1, steps=4, max_repairs=0, confirm=False)
    task = str(write_task(tmp_path / "task"))
    outcome = asyncio.run(start_run(task, settings, reasoner=Player(scripts)))
    attempts = events(outcome.folder, "attempt")
    assert [each["verdict"] for each in attempts] == ["accepted", "failed", "tie", "failed"]
    assert ["duplicate" in each["codes"] for each in attempts] == [False, False, True, True]
    assert "the same script as t0s0 but for comments" in str(attempts[2])
    assert "the same script as t0s1, letter for letter" in str(attempts[3])
    ran = [each["attempt"] for each in events(outcome.folder, "execution_started")]
    assert ran[:2] == ["t0s0", "t0s1"] and not {"t0s2", "t0s3"} & set(ran)
