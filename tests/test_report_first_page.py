"""The report's first page: best against first, plots of predictions, settings, words for gains."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evals.harness.made_up import HOSTILE, synthetic_events
from graph.settings import Settings
from report.event_log import load_view
from report.formatting import format_benefit, format_improvement, reword_difference
from report.html import write_report
from report.key_labels import label_evidence, label_setting, setting_text
from report.lineage import diff_best, tell_story
from report.page_tables import setting_rows
from report.payload import build_index
from report.plots.panels import load_importances, load_panels
from report.projection import apply_events
from report.summary import summary_lines
from run.folder import changed_settings, make_run_folder, read_run_meta, write_run_meta

BINARY = {
    "kind": "binary",
    "target": "label",
    "positive": "1",
    "n": 30,
    "auc": 0.8,
    "average_precision": 0.7,
    "groups": [[10, 8], [20, 4]],
    "calibration": [[15, 0.2, 0.1], [15, 0.8, 0.7]],
}
CLASSES = {
    "kind": "classes",
    "target": "label",
    "n": 10,
    "accuracy": 0.8,
    "labels": ["a", HOSTILE],
    "matrix": [[4, 1], [1, 4]],
    "bars": [{"label": HOSTILE, "n": 5, "recall": 0.8, "precision": 0.8}],
}
REGRESSION = {
    "kind": "regression",
    "target": "price",
    "n": 9,
    "r2": 0.5,
    "scale": "linear",
    "edges": [0, 1, 2],
    "counts": [[4, 1], [0, 4]],
    "residual_edges": [-1, 0, 1],
    "residuals": [4, 5],
    "bands": [[3, 0.5, -0.5, 0.0, 0.5], [3, 1.0, -0.4, 0.1, 0.5], [3, 1.5, -0.9, 0.0, 0.6]],
}


def falling(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same run under a metric whose lower scores are better."""
    for event in events:
        if event["ev"] == "run_started":
            event |= {"metric": "rmse", "direction": "min"}
        for name in ("score",):
            if isinstance(event.get(name), float):
                event[name] = 1 - event[name]
    return events


def write_panels(folder: Path, panels: Any, attempt: str | None = None) -> None:
    (folder / "best").mkdir(exist_ok=True)
    best = attempt or load_view(folder).best
    (folder / "best" / "plots.json").write_text(json.dumps({"attempt": best, "panels": panels}))


def test_a_gain_under_a_falling_metric_says_which_way_the_score_went() -> None:
    assert format_improvement(7130.0, rising=False) == "lower by 7130"
    assert format_improvement(-0.25, 0.012, rising=False) == "higher by 0.250 ± 0.012"
    assert format_improvement(0.25, rising=True) == "+0.250"
    assert format_improvement(None, rising=False) == "–"
    assert format_benefit(-0.5) == "worse by 0.500"
    reason = "better: +7130 ± 80, p(improved) 0.99"
    assert reword_difference(reason, rising=True) == reason
    assert reword_difference(reason, rising=False) == "better: lower by 7130 ± 80, p(improved) 0.99"
    assert reword_difference("worse: -1e+06 ± 2e+04", rising=False).startswith("worse: higher by 1")
    view = apply_events(falling(synthetic_events(traces=1, steps=8, hostile=False)))
    text = "\n".join([*summary_lines(view, None), *(line.text for line in view.lines)])
    assert "lower by" in text and "(+" not in text
    index = build_index(view, Path("/absent"))
    assert index["rising"] is False


def test_the_way_from_first_to_best_is_told(tmp_path: Path) -> None:
    synthetic_events(traces=2, steps=8, folder=tmp_path, hostile=False)
    view = load_view(tmp_path)
    story = tell_story(view)
    assert story is not None and story.best == view.best and view.best
    assert story.changes[-1].id == view.best
    parents = {attempt.id: attempt.parent for attempt in view.attempts.values()}
    for before, after in zip(
        [story.base, *(row.id for row in story.changes)], story.changes, strict=False
    ):
        assert parents[after.id] == before
    diff = diff_best(view, tmp_path)
    assert diff.startswith("@@") and f"+# step {view.attempts[view.best].step}" in diff
    assert build_index(view, tmp_path)["bestDiff"] == diff
    page = write_report(tmp_path).read_text()
    assert "Best against first" in page and "another draft" in page or story.base == story.first


def test_without_a_better_attempt_there_is_no_story(tmp_path: Path) -> None:
    synthetic_events(traces=1, steps=1, folder=tmp_path)
    assert tell_story(load_view(tmp_path)) is None
    assert "Best against first" not in write_report(tmp_path).read_text()


def test_panels_of_the_best_attempt_are_in_the_page(tmp_path: Path) -> None:
    synthetic_events(folder=tmp_path)
    write_panels(tmp_path, [BINARY, CLASSES, REGRESSION])
    view = load_view(tmp_path)
    found = load_panels(view, tmp_path)
    assert [panel["kind"] for panel in found] == ["binary", "classes", "regression"]
    page = write_report(tmp_path).read_text()
    assert "Predictions of the best attempt" in page and "<img src=x" not in page
    write_panels(tmp_path, [BINARY], attempt="t9s9")
    assert load_panels(view, tmp_path) == []
    assert "Predictions of the best attempt" not in write_report(tmp_path).read_text()


@pytest.mark.parametrize(
    "broken",
    [
        {"groups": [[10, 20]]},
        {"groups": [[10, 0]]},
        {"groups": "x"},
        {"groups": [[1]]},
        {"kind": "curse"},
        {"kind": ["binary"]},
        {"groups": [[1e400, 1]]},
    ],
)
def test_a_panel_that_cannot_be_drawn_is_left_out(tmp_path: Path, broken: Any) -> None:
    synthetic_events(folder=tmp_path)
    write_panels(tmp_path, [BINARY | broken, "x", None, CLASSES | {"matrix": [[1]]}])
    assert load_panels(load_view(tmp_path), tmp_path) == []
    (tmp_path / "best" / "plots.json").write_text("[" * 100_000)
    assert load_panels(load_view(tmp_path), tmp_path) == []


@pytest.mark.parametrize(
    "told", [{"top": [["age", 0.3], ["town", -0.6]]}, {"age": 0.3, "town": -0.6, "note": "x"}]
)
def test_importances_are_those_that_the_best_script_told(tmp_path: Path, told: Any) -> None:
    synthetic_events(folder=tmp_path)
    view = load_view(tmp_path)
    assert load_importances(view, tmp_path) == []
    best = view.best_attempt
    assert best is not None
    path = tmp_path / "artifacts" / best.evidence[:2] / best.evidence
    path.write_text(json.dumps({"importances": told}))
    assert load_importances(view, tmp_path) == [("town", -0.6), ("age", 0.3)]


def test_changed_settings_are_stored_and_marked(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    make_run_folder(folder, "task", Settings(traces=7, time_s=90))
    meta = read_run_meta(folder)
    defaults = Settings()
    assert meta["changed"] == {"traces": defaults.traces, "time_s": defaults.time_s}
    write_run_meta(folder, meta | {"settings": meta["settings"] | {"traces": defaults.traces}})
    assert set(read_run_meta(folder)["changed"]) == {"time_s"}
    assert changed_settings({"warm_start": True}) == {}, "a setting that no longer exists"
    started = {"ev": "run_started", "t": 1.0, "settings": meta["settings"]}
    rows = {row.name: row for row in setting_rows(apply_events([started]), meta)}
    assert (rows["time_s"].value, rows["time_s"].default) == ("1:30", "1:00:00")
    assert rows["traces"].default == str(defaults.traces) and not rows["seed"].default


def test_keys_are_readable() -> None:
    assert label_setting("run_time_s") == "time per script"
    assert label_setting("base_url") == "base URL"
    assert setting_text("run_memory_bytes", 2**32) == "4.0 GB"
    assert setting_text("confirm", True) == "on"
    assert label_evidence("cv.mean") == "score of all rows"
    assert label_evidence("classes.a_b") == "class a b"
