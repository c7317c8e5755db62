"""Looking far back costs a long run nothing: every record is read once, and its gist says the same as the record."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from kit import Player, quick, write_task
from longrun_kit import scripts

from briefs.brief import tally
from briefs.crossover import gained, words
from briefs.excerpts import quotable
from policies.adaptive import cost
from policies.protocol import View
from policies.registry import POLICIES
from run.artifacts import ArtifactError, cached_json
from run.calibration import calibration, predictions
from run.history import Gists, gist
from run.rounds import last_round
from run.registry import close_run, open_run
from session.session import start_run


async def test_a_gist_says_what_its_record_says_and_is_read_once(tmp_path: Path) -> None:
    done = await start_run(
        str(write_task(tmp_path / "task")), quick(tmp_path, steps=4), reasoner=Player(scripts())
    )
    row = last_round(done.folder).state["traces"]["0"]  # type: ignore[union-attr]
    run = open_run(done.folder)
    try:
        whole, short = run.chain(row["head"]), run.gists(row["head"])
        assert (
            [each["id"] for each in short]
            == ["t0s0", "t0s1", "t0s2", "t0s3"]
            == [each["id"] for each in whole]
        )
        assert predictions(short) == predictions(whole) != []
        for look in (
            gained,
            words,
            quotable,
            cost,
            lambda each: (each["ref"], each["parent"], each["verdict"], each["gain"]),
        ):
            assert [look(each) for each in short] == [look(each) for each in whole]
        counted = tally(run, row)
        cached_json.cache_clear()
        for each in whole:
            run.artifacts.path(each["ref"]).unlink()
        assert (
            run.gists(row["head"]) == short
            and run.gists(row["head"], limit=2) == short[-2:]
            and tally(run, row) == counted
        )
        for policy in POLICIES.values():
            looks = (
                View(attempts, row["best"]["ref"], 1, "max", others=attempts)
                for attempts in (whole, short)
            )
            assert len({policy(look, random.Random(3)) for look in looks}) == 1
        with pytest.raises(ArtifactError):
            run.chain(row["head"])
    finally:
        await close_run(done.folder)


def test_a_gist_stays_small() -> None:
    record = {
        "ref": "r" * 64,
        "hypothesis": {"statement": "s", "plan": "p" * 9000, "effect": {"size": "large"}},
        "problems": [{"x": 1}],
    }
    assert len(str(gist(record | {"log": "l" * 9000, "reasons": ["r" * 9000]}))) < 400


def test_a_chain_is_extended_from_what_was_walked_and_calibration_follows_its_heads() -> None:
    def record(step: int, verdict: str) -> dict[str, Any]:
        hypothesis = {
            "statement": f"idea {step}",
            "component": "model",
            "confidence": 0.5,
            "effect": {"size": "small"},
        }
        own = {
            "id": f"t0s{step}",
            "prev": f"r{step - 1}" if step else None,
            "verdict": verdict,
            "mode": "directed",
            "gain": 1.0,
            "gain_se": 1.0,
        }
        return own | {"hypothesis": hypothesis, "problems": []}

    kept = {f"r{step}": record(step, "accepted" if step % 2 else "tie") for step in range(200)}
    read: list[str] = []
    gists = Gists(lambda ref: read.append(ref) or kept[ref])  # type: ignore[func-returns-value]
    for step in range(200):
        chain = gists(f"r{step}")
        assert [each["id"] for each in chain] == [f"t0s{k}" for k in range(step + 1)]
    assert read == [f"r{step}" for step in range(200)] and len(gists.chains) <= Gists.KEPT
    assert [each["id"] for each in gists("r3")] == ["t0s0", "t0s1", "t0s2", "t0s3"] and len(
        read
    ) == 200  # an older head, from what is known
    for heads, limit in ((["r9"], 200), (["r9"], 4), (["r3", "r9"], 200), ([None], 200)):
        expected = calibration(
            [
                found
                for head in heads
                for found in predictions([kept[f"r{k}"] for k in span(head, limit)])
            ]
        )
        assert gists.calibration(heads, limit) == expected == gists.calibration(heads, limit)


def span(head: str | None, limit: int) -> range:
    last = int(head[1:]) if head else -1
    return range(max(0, last + 1 - limit), last + 1)
