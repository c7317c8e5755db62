"""Scanning the whole history costs a long run nothing: every record is read once."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from kit import Player, make_record, quick, write_task
from longrun_kit import scripts

from policies.protocol import View
from policies.registry import POLICIES
from run.artifacts import ArtifactError
from run.attempt import Attempt, load_attempt
from run.calibration import calibration
from run.history import History, collect_predictions, history_entry
from run.registry import close_run, open_run
from run.rounds import last_round
from session.session import start_run


async def test_a_history_entry_matches_its_record_and_is_read_once(tmp_path: Path) -> None:
    task, settings = write_task(tmp_path / "task"), quick(tmp_path, steps=4)
    done = await start_run(str(task), settings, reasoner=Player(scripts()))
    known = last_round(done.folder)
    assert known is not None
    trace = known.state.traces["0"]
    assert trace.best is not None
    run = open_run(done.folder)
    try:
        whole, short = run.chain(trace.head), run.history.chain(trace.head)
        assert [each.id for each in short] == ["t0s0", "t0s1", "t0s2", "t0s3"]
        assert short == [history_entry(each) for each in whole]
        assert collect_predictions(short) != []
        load_attempt.cache_clear()
        for each in whole:
            run.artifacts.path(each.ref).unlink()
        assert run.history.chain(trace.head) == short
        assert run.history.chain(trace.head, limit=2) == short[-2:]
        view = View(short, trace.best.ref, 1, "max", others=short)
        for policy in POLICIES.values():
            assert policy(view, random.Random(3)) == policy(view, random.Random(3))
        with pytest.raises(ArtifactError):
            run.chain(trace.head)
    finally:
        await close_run(done.folder)


def test_a_history_entry_stays_small() -> None:
    idea = {"plan": "p" * 9000, "effect": {"size": "large"}}
    record = make_record(ref="r" * 64, hypothesis=idea, log="l" * 9000, reasons=["r" * 9000])
    assert len(str(history_entry(record))) < 700


def test_a_chain_is_extended_and_calibration_follows_its_heads() -> None:
    def record(step: int, verdict: str) -> Attempt:
        return make_record(
            f"t0s{step}",
            ref=f"r{step}",
            prev=f"r{step - 1}" if step else None,
            verdict=verdict,
            gain=1.0,
            gain_se=1.0,
            hypothesis={"statement": f"idea {step}"},
        )

    records = {f"r{step}": record(step, "accepted" if step % 2 else "tie") for step in range(200)}
    read: list[str] = []

    def load(ref: str) -> Attempt:
        read.append(ref)
        return records[ref]

    history = History(load)
    for step in range(200):
        chain = history.chain(f"r{step}")
        assert [each.id for each in chain] == [f"t0s{k}" for k in range(step + 1)]
    assert read == list(records)
    assert len(history._chains) <= History.MAX_CHAINS
    assert [each.id for each in history.chain("r3")] == ["t0s0", "t0s1", "t0s2", "t0s3"]
    assert len(read) == 200  # an older head, from what is known
    for heads, limit in ((["r9"], 200), (["r9"], 4), (["r3", "r9"], 200), ([None], 200)):
        chains = [history.chain(head, limit=limit) for head in heads]
        entries = [entry for chain in chains for entry in chain]
        expected = calibration(collect_predictions(entries))
        assert history.calibration(heads, limit) == expected
