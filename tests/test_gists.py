"""Looking far back costs a long run nothing: every record is read once, and its gist says the same as the record."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from kit import Player, quick, write_task
from longrun_kit import scripts

from graph.adaptive import cost
from graph.artifacts import ArtifactError, cached_json
from graph.briefs import tally
from graph.calibration import predictions
from graph.crossover import gained, words
from graph.gists import gist
from graph.policies import POLICIES
from graph.policy import View
from graph.quotes import quotable
from graph.rounds import last_round
from graph.run import close_run, open_run
from graph.session import start


async def test_a_gist_says_what_its_record_says_and_is_read_once(tmp_path: Path) -> None:
    done = await start(str(write_task(tmp_path / "task")), quick(tmp_path, steps=4), reasoner=Player(scripts()))
    row = last_round(done.folder).state["traces"]["0"]  # type: ignore[union-attr]
    run = open_run(done.folder)
    try:
        whole, short = run.chain(row["head"]), run.gists(row["head"])
        assert [each["id"] for each in short] == ["t0s0", "t0s1", "t0s2", "t0s3"] == [each["id"] for each in whole]
        assert predictions(short) == predictions(whole) != []
        for look in (gained, words, quotable, cost, lambda each: (each["ref"], each["parent"], each["verdict"], each["gain"])):
            assert [look(each) for each in short] == [look(each) for each in whole]
        counted = tally(run, row)
        cached_json.cache_clear()
        for each in whole:
            run.artifacts.path(each["ref"]).unlink()
        assert run.gists(row["head"]) == short and run.gists(row["head"], limit=2) == short[-2:] and tally(run, row) == counted
        for policy in POLICIES.values():
            looks = (View(attempts, row["best"]["ref"], 1, "max", others=attempts) for attempts in (whole, short))
            assert len({policy(look, random.Random(3)) for look in looks}) == 1
        with pytest.raises(ArtifactError):
            run.chain(row["head"])
    finally:
        await close_run(done.folder)


def test_a_gist_stays_small() -> None:
    record = {"ref": "r" * 64, "hypothesis": {"statement": "s", "plan": "p" * 9000, "effect": {"size": "large"}}, "problems": [{"x": 1}]}
    assert len(str(gist(record | {"log": "l" * 9000, "reasons": ["r" * 9000]}))) < 400
