"""report.html: one file that loads nothing, contains the run, and gives hostile text no power."""

import base64
import gzip
import json
import os
import random
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.app import app
from evals.harness.made_up import HOSTILE, synthetic_events
from report.detail import AttemptDetails, diff_scripts, resolve_cite
from report.event_log import load_view
from report.html import render_report, write_report
from report.notebook import outcome_html
from report.payload import build_index, pack_details
from report.projection import apply_events
from report.reliability import calibrate_run
from report.summary import most_helpful_attempt


class Page(HTMLParser):
    """The elements of a page as a browser would see them, and the text of its scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: dict[str, str] = {}
        self.words: list[str] = []
        self.inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.inside = (dict(attrs).get("id") or "code") if tag == "script" else tag

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] == "script":
            self.scripts[self.inside] = self.scripts.get(self.inside, "") + data
        elif self.inside != "style":
            self.words.append(data)

    @property
    def index(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.scripts["index"])
        return value


def details(page: Page) -> list[dict[str, Any]]:
    packed = [text.strip() for name, text in page.scripts.items() if name.startswith("chunk-")]
    return [item for text in packed for item in json.loads(gzip.decompress(base64.b64decode(text)))]


def test_one_file_contains_the_whole_run(tmp_path: Path) -> None:
    events = synthetic_events(traces=3, steps=6, folder=tmp_path)
    page = Page(write_report(tmp_path).read_text())
    records = [event for event in events if event["ev"] == "attempt"]
    assert [a["id"] for a in page.index["attempts"]] == [a["id"] for a in records]
    assert [d["id"] for d in details(page)] == [a["id"] for a in records]
    last = next(d for d in reversed(details(page)) if d["diagnosis"] and d["diff"])
    assert last["diagnosis"]["observations"][0]["cites"][0][1].startswith("column city")
    assert last["recalled"][0]["weight"] == 0.61
    assert last["offered"][0]["evidence"] == "untested"
    assert "+# step" in last["diff"]
    assert "round 100 loss 0.3" in last["log"]
    assert len(last["folds"]) == 5
    words = " ".join(page.words)
    assert (
        "What helped most" in words
        and "city-prices" in words
        and "accept_z" in words
        and "bubblewrap" in words
    )


def test_the_page_requests_nothing_outside(tmp_path: Path) -> None:
    synthetic_events(folder=tmp_path)
    page = Page(write_report(tmp_path).read_text())
    asked = [
        value
        for _, attributes in page.tags
        for name, value in attributes.items()
        if name in ("src", "href", "action", "data", "srcset")
    ]
    assert asked and all(value and value.startswith(("#", "data:")) for value in asked)
    policy = next(
        a["content"]
        for t, a in page.tags
        if t == "meta" and a.get("http-equiv") == "Content-Security-Policy"
    )
    assert (
        policy is not None
        and "default-src 'none'" in policy
        and "unsafe" not in policy
        and "http" not in policy
    )


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    synthetic_events(traces=2, steps=4, folder=tmp_path, hostile=True)
    (tmp_path / "run.json").write_text(
        json.dumps({"platform": HOSTILE, "versions": {HOSTILE: HOSTILE}})
    )
    text = write_report(tmp_path).read_text()
    page = Page(text)
    assert not [
        tag
        for tag, attributes in page.tags
        if tag in ("img", "iframe", "object") or "onerror" in attributes
    ]
    scripts = [attributes.get("id", "code") for tag, attributes in page.tags if tag == "script"]
    assert scripts == ["index", "chunk-0", "code"]
    assert not [
        char for char in text if (ord(char) < 32 and char not in "\n\t") or ord(char) == 0x202E
    ]
    told = json.dumps(details(page))
    assert "<script>alert(1)" in told and "\\u001b" not in told and "\\u202e" not in told


@pytest.mark.parametrize(
    "field", ["hypothesis", "reasons", "problems", "move", "id", "component", "folds"]
)
def test_a_giant_value_is_shortened(field: str) -> None:
    events = synthetic_events(traces=1, steps=2)
    giant: Any = {
        "folds": [0.5] * 10**6,
        "reasons": ["x" * 10**6] * 1000,
        "problems": [{"message": "x" * 10**6}] * 1000,
    }.get(field, "x" * 10**7)
    view = apply_events(
        [event | {field: giant} if event["ev"] == "attempt" else event for event in events]
    )
    text = render_report(view, Path("/nonexistent"), now=1.0)
    assert len(text) < 400_000


def test_long_texts_are_shortened_until_the_file_is_small_enough(tmp_path: Path) -> None:
    synthetic_events(traces=2, steps=8, folder=tmp_path)
    noise = random.Random(1)
    view = load_view(tmp_path)
    for attempt in view.attempts.values():
        path = tmp_path / "artifacts" / attempt.script[:2] / attempt.script
        path.write_text("\n".join(f"x = '{noise.randbytes(40).hex()}'" for _ in range(400)))
    whole, small = (
        pack_details(view, AttemptDetails(tmp_path), limit) for limit in (10**9, 60_000)
    )
    assert sum(map(len, small)) <= 60_000 < sum(map(len, whole))
    assert Page(
        "".join(f'<script id="chunk-{i}">{c}</script>' for i, c in enumerate(small))
    ).scripts.keys() == {"chunk-0"}


def test_a_file_in_place_of_an_artifact_that_is_a_link_or_a_pipe_is_not_read(
    tmp_path: Path,
) -> None:
    synthetic_events(traces=1, steps=2, folder=tmp_path)
    first, second = load_view(tmp_path).attempts.values()
    secret = tmp_path / "secret"
    secret.write_text("the secret")
    for attempt, make in ((first, lambda path: path.symlink_to(secret)), (second, os.mkfifo)):
        path = tmp_path / "artifacts" / attempt.script[:2] / attempt.script
        path.unlink()
        make(path)
    assert [d["script"] for d in details(Page(write_report(tmp_path).read_text()))] == ["", ""]


def test_a_run_in_any_state_has_a_page(tmp_path: Path) -> None:
    events = synthetic_events(traces=2, steps=3)
    for n in range(0, len(events), 5):
        view = apply_events(events[:n])
        page = Page(
            render_report(view, tmp_path, now=(view.last or 0) + 1, alive=True, refresh_s=5)
        )
        assert page.index["refresh"] == 5 and "Running" in page.words
    lost = Page(render_report(apply_events(events[:20]), tmp_path, alive=False, refresh_s=5))
    assert (
        lost.index["refresh"] == 0
        and "Not responding" in lost.words
        and "gome resume" in " ".join(lost.words)
    )
    assert (
        Page(render_report(apply_events(events), tmp_path, alive=False, refresh_s=5)).index[
            "refresh"
        ]
        == 0
    )


def test_events_cut_by_a_crash_and_lost_artifacts_still_make_a_page(tmp_path: Path) -> None:
    synthetic_events(traces=2, steps=3, folder=tmp_path, ended=False)
    raw = (tmp_path / "events.jsonl").read_bytes()
    (tmp_path / "events.jsonl").write_bytes(raw[: len(raw) * 2 // 3] + b'{"t": 17, "ev": "att')
    for path in (tmp_path / "artifacts").glob("*/*"):
        path.unlink()
    page = Page(write_report(tmp_path, alive=False).read_text())
    assert page.index["attempts"] and all(not d["script"] for d in details(page))


def test_audit_scores_are_shown_only_after_the_end_of_the_run(tmp_path: Path) -> None:
    events = synthetic_events(traces=2, steps=3)
    before = [event for event in events if event["ev"] != "run_ended"]
    assert build_index(apply_events(before), tmp_path)["audit"] == {}
    assert set(build_index(apply_events(events), tmp_path)["audit"]) == {
        c["attempt"] for e in events if e["ev"] == "finalizing" for c in e["candidates"]
    }


def test_calibration_compares_predictions_with_results() -> None:
    base = {
        "ev": "attempt",
        "trace": 0,
        "kind": "update",
        "parent": "p",
        "component": "model",
        "score": 0.5,
    }
    rows = [
        ("accepted", 0.9, 0.01),
        ("rejected", 0.9, -0.01),
        ("tie", 0.2, 0.0),
        ("failed", 0.9, None),
    ]
    said = {"gain_se": 0.005, "measured": True}
    events = [
        base | said | {"t": i, "id": str(i), "step": i, "verdict": v, "confidence": c, "gain": g}
        for i, (v, c, g) in enumerate(rows)
    ]
    found = calibrate_run(apply_events([*events[:3], events[3] | {"measured": False}]))
    assert found is not None and (found.n, found.helped) == (3, 1)
    assert found.brier == pytest.approx((0.01 + 0.81 + 0.04) / 3)
    assert [(row.key, row.n, row.rate, round(row.z, 1)) for row in found.by_confidence] == [
        ("0.0-0.3", 1, 0.0, 0.0),
        ("0.9-1.0", 2, 0.5, 0.0),
    ]
    assert calibrate_run(apply_events(synthetic_events(steps=1))) is None


def test_the_most_helpful_attempt_is_an_ancestor_of_the_best() -> None:
    base = {"ev": "attempt", "kind": "update", "verdict": "accepted", "replaces": True}
    rows = [
        ("a", None, 0, 0.5, None),
        ("b", None, 1, 0.9, None),
        ("c", "a", 0, 0.7, 0.2),
        ("d", "b", 1, 0.95, 0.05),
    ]
    view = apply_events(
        {**base, "t": 1, "id": i, "parent": p, "trace": t, "step": 0, "score": s, "gain": g}
        for i, p, t, s, g in rows
    )
    top = most_helpful_attempt(view)
    assert top is not None and top.id == "d"


def test_cites_are_resolved_and_a_wrong_one_is_empty() -> None:
    evidence = {"segments": [{"column": "city", "ratio": 2.25}], "cv": {"mean": 0.51234567}}
    assert resolve_cite(evidence, "segments[0]") == "column city, ratio 2.25"
    assert resolve_cite(evidence, "cv.mean") == "0.5123"
    assert [
        resolve_cite(evidence, path)
        for path in ("segments[9]", "cv.mean.x", "cv[0]", "", None, 7, "__class__")
    ] == [""] * 7


def test_scripts_too_long_to_compare_are_not_compared() -> None:
    assert diff_scripts("a\n" * 5000, "b\n", 1000) == ""
    assert diff_scripts("a\nb", "a\nc", 1000) == "@@ -1,2 +1,2 @@\n a\n-b\n+c"


def test_the_command_writes_the_page_and_prints_its_path(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "one"
    synthetic_events(traces=1, steps=2, folder=folder)
    (folder / "run.json").write_text("{}")
    done = CliRunner().invoke(app, ["report", "--runs-dir", str(tmp_path / "runs"), "--watch"])
    assert done.exit_code == 0, done.output
    assert (
        done.output.strip() == str(folder / "report.html")
        and (folder / "report.html").stat().st_size > 10_000
    )


def test_an_unwritable_path_gives_one_sentence(tmp_path: Path) -> None:
    synthetic_events(traces=1, steps=1, folder=tmp_path)
    (tmp_path / "run.json").write_text("{}")
    (tmp_path / "report.html").mkdir()
    done = CliRunner().invoke(app, ["report", str(tmp_path)])
    assert done.exit_code == 2 and "report.html cannot be written" in done.stderr


def test_a_notebook_shows_curve_and_attempts_and_runs_nothing(tmp_path: Path) -> None:
    events = synthetic_events(traces=2, steps=3, folder=tmp_path)
    page = Page(outcome_html(tmp_path, "best/submission.csv", "budget"))
    scored = [event for event in events if event["ev"] == "attempt" and event["score"] is not None]
    tags = [tag for tag, _ in page.tags]
    assert (
        tags.count("circle") == len(scored)
        and tags.count("tr") == 7
        and not {"script", "img"} & set(tags)
    )
    assert "best/submission.csv" in page.words
