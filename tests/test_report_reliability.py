"""Report and loop use one calibration: the same attempts, the same arithmetic."""

from __future__ import annotations

import asyncio
from pathlib import Path

from kit import HONEST, Player, events, quick, write_task

from report.event_log import load_view
from report.reliability import (
    MIN_PREDICTIONS,
    Prediction,
    calibrate_run,
    calibration,
    describe_confidence,
)
from run.calibration import describe_calibration
from session.session import start_run


def test_the_report_counts_what_the_loop_counted(tmp_path: Path) -> None:
    scripts = [
        HONEST.format(noise=3),
        HONEST.format(noise=1),
        HONEST.format(noise=9),
        HONEST.format(noise=0.2),
    ]
    outcome = asyncio.run(
        start_run(
            str(write_task(tmp_path / "task")), quick(tmp_path, steps=4), reasoner=Player(scripts)
        )
    )
    told, found = (
        events(outcome.folder, "calibration")[-1],
        calibrate_run(load_view(outcome.folder)),
    )
    assert found is not None and found.n == told["n"] == 3
    assert (found.helped, round(found.brier, 4), round(found.brier_constant, 4)) == (
        told["helped"],
        told["brier"],
        told["brier_constant"],
    )
    shown = [
        (row.key, row.n, row.helped, round(row.z, 4))
        for row in (*found.by_component, *found.by_confidence)
    ]
    assert shown == [
        (row["key"], row["n"], row["helped"], row["z"])
        for row in (*told["by_component"], *told["by_confidence"])
    ]
    bests = [
        attempt.id for attempt in load_view(outcome.folder).attempts.values() if attempt.replaces
    ]
    assert bests[-1] == events(outcome.folder, "merged")[-1]["best"]["attempt"]


def test_the_report_is_silent_below_the_number_that_the_reasoner_is_told_from() -> None:
    missed = Prediction("model", "small", confidence=0.9, helped=False, z=-2.0)
    few, enough = calibration([missed] * 2), calibration([missed] * MIN_PREDICTIONS)
    assert few is not None and enough is not None
    assert describe_confidence(few) == "too few to judge: 90 % sure, 0 % right"
    assert describe_confidence(enough).startswith("overconfident")
    assert describe_calibration(few) == [] and "overconfident" in describe_calibration(enough)[0]
