"""Line search: several pairs of files of one script, graded each, chosen among, and paid for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import NormalDist
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from kit import HONEST, Player, events, make_record, quick, write_task
from trust_kit import binary_frames, ready, save, write_frames

from evals.studies.luck import NULL, World
from evals.studies.luck_line import Line, simulate
from graph.state import Trace
from run.artifacts import Artifacts
from run.attempt import Attempt, ExecutionRecord
from run.chain import chain_files
from run.events import iterate_events
from run.luck import acceptance_bar, best_of_bar, step_luck, trace_bars
from run.members import members_of
from run.variants import choose_variant, list_pairs
from session.session import resume_run, start_run
from task.grade.blend import blend_driver
from task.grade.line import grade_line
from task.types import BlendJson

LINE = (
    HONEST.replace("{noise}", "NOISE").replace("{{", "{").replace("}}", "}")
    + """
import os
only = os.environ.get("GOME_VARIANT")
random.seed(1 + int(os.environ.get("GOME_SEED", 0)))
os.remove("oof.csv"), os.remove("submission.csv")
for name, NOISE in {settings}.items():
    if only in (None, name):
        print("computing", name, flush=True)
        write(f"oof-{name}.csv", [train[row["id"]] for row in folds])
        write(f"submission-{name}.csv", list(csv.DictReader(open("input/test.csv"))))
"""
).replace("random.seed(1)\n", "random.seed(1)\nNOISE = 1\n", 1)
SPOILED = """
write("oof-half.csv", [train[row["id"]] for row in folds])
write("oof-a b.csv", [])
os.mkdir("oof-folder.csv")
os.symlink("/etc/passwd", "submission-link.csv")
write("oof-link.csv", [])
write("oof-empty.csv", []), write("submission-empty.csv", [])
for part in ("oof", "submission"):
    open(f"{part}-twin.csv", "wb").write(open(f"{part}-mild.csv", "rb").read())
"""


def line_script(settings: dict[str, float], more: str = "") -> str:
    return LINE.replace("{settings}", repr(settings)) + more


def attempts_of(folder: Path) -> list[Attempt]:
    found = [event for event in iterate_events(folder / "events.jsonl") if event["ev"] == "attempt"]
    made = [Attempt.model_validate({**event, "hypothesis": None}) for event in found]
    return [attempt for attempt in made if attempt.trace >= 0]


async def test_every_pair_is_graded_the_best_speaks_and_what_is_left_out_is_told(
    tmp_path: Path,
) -> None:
    task = write_task(tmp_path / "task")
    scripts = [line_script({"wild": 3.0, "mild": 0.2, "mid": 1.0}, SPOILED), "raise ValueError"]
    outcome = await start_run(
        str(task), quick(tmp_path, steps=1, max_repairs=0), reasoner=Player(scripts)
    )
    (attempt,) = attempts_of(outcome.folder)
    scores = {one.name: one.score for one in attempt.variants if one.is_valid}
    assert attempt.variant == max(scores, key=lambda name: scores[name] or 0) == "mild"
    assert set(scores) == {"wild", "mild", "mid"} and attempt.score == scores["mild"]
    (reason,) = [text for text in attempt.reasons if text.startswith("of its variants")]
    for told in (
        "twin is mild again, byte for byte",
        "oof-half.csv is left out: it has no submission-half.csv",
        "submission-link.csv is a link",
        "'oof-a b.csv' has no name of 1 to 32 letters",
        "empty: oof-empty.csv",
    ):
        assert told in reason, (told, reason)
    evidence = json.loads(Artifacts(outcome.folder / "artifacts").get(str(attempt.evidence)))
    assert {one["name"] for one in evidence["line"]} >= {"wild", "mild", "mid", "twin", "empty"}
    best = json.loads((outcome.folder / "best" / "best.json").read_text())
    assert best["variant"] == "mild"
    notes = (outcome.folder / "best" / "README.md").read_text()
    assert "GOME_VARIANT=mild .env/bin/python solution.py" in notes


async def test_a_line_is_kept_by_its_winner_in_seeds_and_not_executed_again(
    tmp_path: Path,
) -> None:
    task = write_task(tmp_path / "task", n=400)
    scripts = [HONEST.format(noise=1.0), line_script({"a": 0.9, "b": 0.6, "c": 0.8})]
    settings = quick(tmp_path, steps=2, traces=1, final_seeds=2, accept_z=0.0)
    outcome = await start_run(str(task), settings, reasoner=Player(scripts))
    attempt = attempts_of(outcome.folder)[1]
    assert attempt.variant == "b" and [one.name for one in attempt.variants] == ["a", "b", "c"]
    logs = [
        Artifacts(outcome.folder / "artifacts").get(json.loads(path.read_text())["log"])
        for path in (outcome.folder / "done").glob("seeded-*.json")
    ]
    assert "computing b\n" in logs and not any("computing a" in log for log in logs)


class Killed(BaseException):
    """Ends a process in the middle of a node."""


async def test_a_line_that_was_executed_is_graded_and_not_executed_again_after_a_kill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def die(*args: object, **more: object) -> None:
        raise Killed

    settings, player = quick(tmp_path, steps=1), Player([line_script({"a": 0.9, "b": 0.3})])
    with monkeypatch.context() as patch:
        patch.setattr("scoring.evaluation.grade_variants", die)
        with pytest.raises(Killed):
            await start_run(str(write_task(tmp_path / "task")), settings, reasoner=player)
    (folder,) = (tmp_path / "runs").iterdir()
    outcome = await resume_run(folder, reasoner=player)
    assert len(events(outcome.folder, "execution_started")) == 1
    (attempt,) = attempts_of(outcome.folder)
    assert attempt.variant == "b" and len(attempt.variants) == 2


def test_the_pool_of_blends_holds_every_valid_variant_once() -> None:
    files = {"oof": "o", "submission": "s", "script": "x", "variant": "b", "verdict": "tie"}
    one = {"oof": "o", "submission": "s", "score": 0.5}
    variants = [
        {**one, "name": "b"},
        {**one, "name": "a", "oof": "p", "score": 0.4},
        {**one, "name": "c", "same_as": "a"},
        {**one, "name": "d", "problems": [{"code": "leak_column", "message": "m"}]},
    ]
    own, other = members_of(make_record(**files, variants=variants, seconds=6.0))
    assert (own.id, own.name, own.variant, own.seconds) == ("t0s1", None, "b", 3.0)
    assert (other.id, other.name, other.oof, other.score) == ("t0s1-a", "a", "p", 0.4)


def test_an_ensemble_runs_the_variant_that_was_blended(tmp_path: Path) -> None:
    weights = {"t0s1": 0.5, "t0s1-a": 0.5}
    blend: dict[str, Any] = {"weights": weights, "method": "mean", "classes": []}
    driver = blend_driver(cast(BlendJson, blend), {"t0s1": "", "t0s1-a": "a"})
    (tmp_path / "solution.py").write_text(driver)
    script = (
        "import os\nname = os.environ.get('GOME_VARIANT')\nend = f'-{name}' if name else ''\n"
        "for part in ('oof', 'submission'):\n"
        "    open(f'{part}{end}.csv', 'w').write(f'id,y\\nr1,{3 if name else 1}\\n')\n"
    )
    (tmp_path / "input").mkdir()
    for name in weights:
        (tmp_path / "members" / name).mkdir(parents=True)
        (tmp_path / "members" / name / "solution.py").write_text(script)
    subprocess.run([sys.executable, "solution.py"], cwd=tmp_path, check=True)
    assert (tmp_path / "submission.csv").read_text() == "id,y\nr1,2.0\n"


def test_a_chain_runs_and_reads_the_variant_that_speaks_for_a_script(tmp_path: Path) -> None:
    below = make_record("t0s1", script="below", variant="b")
    top = make_record("t0s2", script="top", uses={"t0s1": "ref"}, variant="c")
    texts = {
        "below": "import os\nname = os.environ['GOME_VARIANT']\n"
        "for part in ('oof', 'submission'): open(f'{part}-{name}.csv', 'w').write(name)\n",
        "top": "import os\nname = os.environ['GOME_VARIANT']\n"
        "for part in ('oof', 'submission'):\n"
        "    read = open(f'input/attempts/t0s1/{part}.csv').read()\n"
        "    open(f'{part}-{name}.csv', 'w').write(read + name)\n",
    }
    for name, text in chain_files(top, lambda ref: below, texts.__getitem__).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "input").mkdir()
    subprocess.run([sys.executable, "solution.py"], cwd=tmp_path, check=True)
    assert (tmp_path / "submission.csv").read_text() == "bc"
    as_member = os.environ | {"GOME_VARIANT": "c"}
    subprocess.run([sys.executable, "solution.py"], cwd=tmp_path, check=True, env=as_member)
    assert (tmp_path / "submission-c.csv").read_text() == "bc"  # what an ensemble's driver reads


def test_pairs_are_taken_by_name_up_to_a_number() -> None:
    names = ["oof.csv", "submission.csv", "oof-b.csv", "submission-b.csv", "submission-z.csv"]
    record = ExecutionRecord(exit_code=0, files={name: name for name in names})
    assert list(list_pairs(record, 8).files) == ["plain", "b"]
    first, told = list_pairs(record, 1)
    assert list(first) == ["plain"] and "only the first 1 pairs by name count, 1 more" in str(told)
    assert choose_variant(record, "b").files["oof.csv"] == "oof-b.csv"
    assert choose_variant(record, "plain") == record
    assert "oof.csv" not in choose_variant(record, "gone").files


# what the choice costs


def test_the_bar_of_the_best_of_several_is_that_of_correlated_nulls() -> None:
    rng = np.random.default_rng(0)
    for size, alike in ((2, 0.0), (8, 0.0), (8, 0.5), (8, 0.95)):
        bar = best_of_bar(0.01, [alike] * (size - 1))
        draws = rng.normal(size=(200_000, size)) * np.sqrt(1 - alike)
        draws += rng.normal(size=(200_000, 1)) * np.sqrt(alike)
        assert 0.004 < (draws.max(axis=1) > bar).mean() < 0.0108
    one = NormalDist().inv_cdf(0.99)
    assert best_of_bar(0.01) == pytest.approx(one, abs=1e-5)
    assert best_of_bar(0.01, [1.0] * 7) == pytest.approx(one, abs=1e-3)
    bars = [trace_bars(Trace(trace=0), 0.1, 1, [0.5] * (size - 1))[1] for size in (1, 2, 4, 8)]
    assert bars == sorted(bars) and bars[-1] > bars[0] + 0.5


def test_a_step_on_the_best_of_several_counts_for_more() -> None:
    luck = [step_luck(0.7, size, 0.5) for size in (1, 2, 8)]
    assert luck[0] == 1 and luck == sorted(luck) and 1.3 < luck[2] < step_luck(0.7, 8, 0.0)
    assert step_luck(1.0, 8, 0.0) == 1
    trace = Trace(trace=0, stepped=4, luck=4 * luck[2])
    plain, _ = trace_bars(Trace(trace=0, stepped=4), 0.1, 1)
    assert plain == acceptance_bar(0.1, 1, 1, 5) < trace_bars(trace, 0.1, 1)[0]


@pytest.mark.parametrize("size", [2, 8])
def test_a_run_of_null_lines_accepts_anything_in_at_most_a_tenth(size: int) -> None:
    for world in (World(1, True), World(0.5, False)):
        assert simulate(world, NULL, Line(size, 0.5), 100, 300).accepted[-1] <= 0.1
    assert simulate(World(1, True), NULL, Line(8, 0.5, "naive"), 24, 300).accepted[-1] > 0.3


def test_a_line_is_graded_as_attempts_are_and_its_luck_is_measured(tmp_path: Path) -> None:
    train, test = binary_frames(1500, 60)
    prepared = ready(write_frames(tmp_path / "task", train, test, "log_loss"), audit=False)
    folds = pd.read_csv(Path(prepared.public) / "folds.csv")
    rows = train.set_index("id").loc[folds.id]
    rng = np.random.default_rng(1)
    base = rows.x.to_numpy() - rows.y.to_numpy()
    shared = rng.normal(0, 0.5, len(rows))

    def pair(name: str, score: np.ndarray) -> tuple[str, str]:
        p = 1 / (1 + np.exp(-score))
        oof = save(tmp_path / f"{name}-oof.csv", folds.id, p)
        return oof, save(tmp_path / f"{name}-test.csv", test.id, [0.5, 0.6] * (len(test) // 2))

    old = pair("old", base + rng.normal(0, 0.5, len(rows)))
    pairs = {
        "one": pair("one", base + shared),
        "two": pair("two", base + shared + rng.normal(0, 0.05, len(rows))),
        "lone": pair("lone", base + rng.normal(0, 0.5, len(rows))),
        "bad": (old[0], str(tmp_path / "nothing.csv")),
    }
    (tmp_path / "nothing.csv").write_text("id,label\n")
    line = grade_line(prepared, pairs, {"best": {"oof": old[0], "submission": old[1]}})
    assert [bool(one["problems"]) for one in line["variants"]] == [False, False, False, True]
    links = sorted(line["links"]["best"])
    assert links[1] > 0.95 and 0.2 < links[0] < 0.8
    assert 0.2 < line["alike"] < 0.9 and line["best"] in pairs
