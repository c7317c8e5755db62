"""A valid submission is there from the first seconds, and never passes for an attempt."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from chat_kit import at_home, gome, honest, one_line
from kit import FAULTS, HONEST, Player, events, quick, write_task
from openai_server import Server

from reasoner.protocol import DraftBrief, ReasonerUnavailableError, Solution
from report.event_log import load_view
from report.harness_work import baseline_sentence
from report.html import write_report
from report.summary import summary_lines
from run.best import read_best
from scoring.over_baseline import OverBaseline, claim_bar
from session.session import resume_run, start_run


def ids(path: Path) -> list[str]:
    return [row["id"] for row in csv.DictReader(path.read_text().splitlines())]


class Watching(Player):
    """Looks at best/ when it is asked for a first draft."""

    def __init__(self, scripts: list[str], folder: Path) -> None:
        super().__init__(scripts)
        self.folder, self.seen = folder, list[bool]()

    async def draft(self, brief: DraftBrief) -> Solution:
        best = read_best(self.folder / "best")
        self.seen.append(best is not None and best.baseline)
        return await super().draft(brief)


@pytest.mark.parametrize(("n_tries", "bar"), [(1, 2.5), (8, 2.5), (24, 2.86), (100, 3.29)])
def test_more_scripts_must_beat_the_baseline_by_more(n_tries: int, bar: float) -> None:
    assert claim_bar(n_tries) == pytest.approx(bar, abs=0.01)
    assert OverBaseline("constant", bar + 0.02, 1, n_tries).is_beaten
    assert not OverBaseline("constant", bar - 0.02, 1, n_tries).is_beaten


async def test_it_is_there_before_the_first_draft_and_gives_way_to_an_attempt(
    tmp_path: Path,
) -> None:
    task, folder = write_task(tmp_path / "task", n=400), tmp_path / "run"
    worse = HONEST.format(noise=9)
    player = Watching([worse], folder)
    outcome = await start_run(str(task), quick(tmp_path, steps=1), folder=folder, reasoner=player)
    assert player.seen == [True]
    (made,) = events(folder, "baseline")
    assert made["method"] == "plain model" and made["score"] > 0.8
    best = read_best(folder / "best")
    assert best is not None and not best.baseline and best.attempt == "t0s0"
    assert outcome.score == best.score and best.score is not None and best.score < made["score"]
    assert not outcome.is_baseline
    view = load_view(folder)
    assert list(view.attempts) == ["t0s0"] and view.best == "t0s0"
    assert "plain model, auc 0." in baseline_sentence(view)
    assert "Nothing beats the baseline (plain model)" in "\n".join(summary_lines(view, folder))


async def test_a_run_in_which_nothing_works_hands_it_over(tmp_path: Path) -> None:
    task = write_task(tmp_path / "task")
    settings = quick(tmp_path, steps=2, max_repairs=0)
    outcome = await start_run(str(task), settings, reasoner=Player([FAULTS["crash"]]))
    assert outcome.is_baseline and outcome.score is None
    assert outcome.submission is not None and ids(outcome.submission) == ids(task / "test.csv")
    known = json.loads((outcome.folder / "best" / "best.json").read_text())
    assert (known["attempt"], known["baseline"], known["method"]) == (
        "baseline",
        True,
        "plain model",
    )
    end = events(outcome.folder, "run_ended")[-1]
    assert "the submission is the baseline" in end["message"] and end["best"] is None
    view = load_view(outcome.folder)
    assert view.best is None
    lines = "\n".join(summary_lines(view, outcome.folder))
    assert "submission.csv (the baseline)" in lines and "plain model, auc" in lines
    write_report(outcome.folder)
    page = (outcome.folder / "report.html").read_text()
    assert "Baseline of the harness" in page and "the baseline</small>" in page
    again = await resume_run(outcome.folder, reasoner=Player([]))
    assert again.is_baseline and again.submission == outcome.submission


async def test_a_lost_baseline_is_published_again_without_work(tmp_path: Path) -> None:
    task, folder = write_task(tmp_path / "task"), tmp_path / "run"

    class Down(Player):
        async def draft(self, brief: DraftBrief) -> Solution:
            raise ReasonerUnavailableError("the endpoint is down")

    with pytest.raises(ReasonerUnavailableError, match="gome resume"):
        await start_run(str(task), quick(tmp_path), folder=folder, reasoner=Down([]))
    first = (folder / "best" / "submission.csv").read_bytes()
    for path in (folder / "best").iterdir():
        if path.is_file():
            path.unlink()
    done = {path.name: path.stat().st_mtime_ns for path in (folder / "done").glob("baseline-*")}
    with pytest.raises(ReasonerUnavailableError, match="gome resume"):
        await resume_run(folder, reasoner=Down([]))
    assert (folder / "best" / "submission.csv").read_bytes() == first
    after = {path.name: path.stat().st_mtime_ns for path in (folder / "done").glob("baseline-*")}
    assert len(done) == 2 and after == done
    assert len(events(folder, "baseline")) == 1


def test_with_an_endpoint_that_is_down_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = write_task(tmp_path / "task")
    with Server(honest) as server:
        url = server.url
    at_home(tmp_path, monkeypatch, url)  # nobody listens there any more
    line = one_line(gome("run", "task", "--model", "m", "--set", "retries=1"))
    (folder,) = (tmp_path / "runs").iterdir()
    assert "gome resume" in line
    best = read_best(folder / "best")
    assert best is not None and best.baseline
    assert ids(folder / "best" / "submission.csv") == ids(task / "test.csv")
    assert [event["reason"] for event in events(folder, "run_ended")] == ["paused"]


@pytest.mark.slow
def test_twenty_seconds_end_with_a_valid_submission(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert gome("example", "modechoice", "modechoice").exit_code == 0
    result = gome("run", "modechoice", "--time", "20s")
    assert result.exit_code == 0, result.output
    (folder,) = (tmp_path / "runs").iterdir()
    submission = folder / "best" / "submission.csv"
    assert ids(submission) == ids(tmp_path / "modechoice" / "test.csv")
