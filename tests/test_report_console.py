"""Terminal output: fitted to its width, free of hostile text, plain where it is no terminal."""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console, RenderableType

from evals.harness.made_up import synthetic_events
from report.console import make_listener
from report.harness_work import baseline_sentence
from report.live import render_screen
from report.model import RunView
from report.projection import apply_events
from report.run_json import summarize_run
from report.run_tables import run_page, runs_table
from report.summary import state_word


def shown(renderable: RenderableType, width: int, *, terminal: bool = False) -> str:
    out = io.StringIO()
    Console(
        file=out,
        width=width,
        force_terminal=terminal,
        color_system="standard" if terminal else None,
    ).print(renderable)
    return out.getvalue()


@pytest.mark.parametrize("width", [40, 80, 160])
def test_the_live_screen_fits_its_width_at_every_moment(width: int) -> None:
    view = RunView()
    for event in synthetic_events(traces=4, steps=3):
        view = apply_events([event], view)
        text = shown(render_screen(view, (view.last or 0) + 2, width, 30), width)
        assert max(cell_len(line) for line in text.splitlines()) <= width
        assert len(text.splitlines()) <= 30


def test_the_live_screen_shows_best_activity_budget_and_news() -> None:
    events = synthetic_events(traces=3, steps=6)
    cut = next(i for i, e in enumerate(events) if e["ev"] == "execution_started" and e["step"] == 4)
    view = apply_events(events[: cut + 1])
    text = shown(render_screen(view, (view.last or 0) + 2, 160), 160)
    assert view.best_attempt is not None
    assert f"{view.best_attempt.score:.4f} ± 0.0040" in text
    assert "executing 2 s/1:00" in text
    assert "4/6" in text
    assert "/ 10:00" in text
    assert "accepted" in text
    assert "★" in text


def test_sixty_traces_leave_room_for_the_rest() -> None:
    view = apply_events(synthetic_events(traces=60, steps=1, ended=False))
    text = shown(render_screen(view, view.last or 0, 80, 30), 80)
    assert len(text.splitlines()) <= 30
    assert "more" in text
    assert "time" in text


def test_hostile_text_reaches_a_terminal_without_escapes_or_markup() -> None:
    view = apply_events(synthetic_events(traces=2, steps=2))
    text = shown(render_screen(view, view.last or 0, 200), 200, terminal=True)
    assert "\x1b[31mred\x1b[0m" not in text
    assert "\x07" not in text
    assert "[bold red]" in text


def test_a_listener_that_is_no_terminal_prints_plain_lines() -> None:
    out = io.StringIO()
    with make_listener("live", out=out) as listener:
        for event in synthetic_events(steps=3):
            listener.on_event(event)
    text = out.getvalue()
    assert "\x1b" not in text
    assert "trace 0 step 0  first" in text and "  accepted" in text
    assert "The budget is used up." in text
    assert "best/submission.csv" in text


def test_plain_lines_reach_an_output_that_lacks_their_characters() -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii")
    with make_listener("plain", out=out) as listener:
        for event in synthetic_events():
            listener.on_event(event)
    text = raw.getvalue().decode("ascii")
    assert "higher is better ? 3 traces" in text and "auc ?" in text


def test_json_mode_prints_the_events_as_they_came() -> None:
    out, events = io.StringIO(), synthetic_events(steps=2)
    with make_listener("json", out=out) as listener:
        for event in events:
            listener.on_event(event)
    assert [json.loads(line) for line in out.getvalue().splitlines()] == events
    assert out.getvalue().isascii()


def test_quiet_mode_prints_nothing_and_keeps_the_view() -> None:
    out = io.StringIO()
    with make_listener("quiet", out=out) as listener:
        for event in synthetic_events(steps=2):
            listener.on_event(event)
    assert out.getvalue() == ""
    assert listener.view.best is not None


def test_the_live_listener_ends_with_the_summary(tmp_path: Path) -> None:
    folder = tmp_path / "20261124-made-up"
    folder.mkdir()
    (folder / "report.html").write_text("")
    out = io.StringIO()
    console = Console(file=out, width=200, force_terminal=True)
    events = synthetic_events(steps=2)
    events[-1] = events[-1] | {"reason": "interrupted"}
    with make_listener("live", run_dir=folder, console=console) as listener:
        for event in events:
            listener.on_event(event)
    text = out.getvalue()
    assert "gome resume 20261124-made-up" in text
    assert "report.html" in text
    assert text.rindex("\x1b[?25h") > text.index("\x1b[?25l")  # the cursor is back


def test_a_run_that_is_refused_leaves_no_table_behind_its_error() -> None:
    out = io.StringIO()
    console = Console(file=out, width=80, force_terminal=True, _environ={"TERM": "dumb"})
    with make_listener("live", console=console):
        console.print("gome: refused")
    assert out.getvalue().split() == ["gome:", "refused"]


def test_an_error_leaves_the_listener_with_the_terminal_restored() -> None:
    out = io.StringIO()

    def interrupted() -> None:
        with make_listener("live", console=Console(file=out, force_terminal=True)) as listener:
            listener.on_event({"ev": "run_started", "t": 1})
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert "\x1b[?25h" in out.getvalue()


def test_ls_shows_runs_with_state_best_and_age(tmp_path: Path) -> None:
    done, broken = (
        apply_events(synthetic_events(steps=3)),
        apply_events(synthetic_events(steps=1, ended=False)),
    )
    text = shown(
        runs_table(
            [(tmp_path / "a", done), (tmp_path / "b", broken), (tmp_path / "c", RunView())],
            (done.last or 0) + 7200,
        ),
        140,
    )
    assert "finished" in text
    assert "interrupted" in text
    assert "2 h ago" in text
    assert "No runs yet in /data/runs." in shown(runs_table([], 0, runs_dir="/data/runs"), 80)


def test_ls_fits_80_columns_and_shows_no_gain_while_the_first_draft_is_best() -> None:
    view = apply_events(synthetic_events(traces=1, steps=1))
    folder = Path("20261128-103808-city-prices-d148")
    for width in (80, 120):
        text = shown(runs_table([(folder, view)], view.last or 0, width=width), width)
        (row,) = [line for line in text.splitlines() if folder.name in line]
        assert "+0.0" not in row and " – " in row and "0 of 1" in row


@pytest.mark.parametrize("reason", ["error", "budget"])
def test_ls_names_the_baseline_where_no_attempt_was_accepted(reason: str) -> None:
    (begun, *_) = synthetic_events(traces=1, steps=1)
    baseline = {"ev": "baseline", "method": "plain model", "score": 0.7812, "se": 0.0121}
    view = apply_events([begun, baseline, {"ev": "run_ended", "reason": reason}])
    folder = Path("20261128-103808-city")
    row = shown(runs_table([(folder, view)], 0, width=120), 120).splitlines()[-1]
    assert "finished" in row and "baseline 0.78" in row and view.metric in row
    found = summarize_run(folder, view, reason)
    assert found["state"] == "finished" and found["best"] is None
    assert found["baseline"] == {"method": "plain model", "score": 0.7812, "se": 0.0121}
    assert (
        state_word(apply_events([begun, {"ev": "run_ended", "reason": reason}]), reason) == "failed"
    )


def test_ls_has_a_line_per_run_at_60_columns_and_names_it_by_its_beginning() -> None:
    events = [event | {"direction": "min"} for event in synthetic_events(traces=2, steps=4)]
    events[0]["metric"] = "/home/someone/city-prices/metric.py"
    view = apply_events(events)
    folder = Path("20261128-103808-city-prices-d148")
    for width in (60, 80):
        header, row = shown(
            runs_table([(folder, view)], view.last or 0, width=width), width
        ).splitlines()
        assert row.startswith(folder.name[:15]) and "metric.py" in row and "/home" not in row
        assert ("accepted" in header) == (width == 80)


@pytest.mark.parametrize(
    ("direction", "words"),
    [("max", "the best attempt is +0.300 against it"), ("min", "is lower by 0.300 than it")],
)
def test_the_baseline_is_compared_in_the_metrics_direction(direction: str, words: str) -> None:
    view = apply_events([e | {"direction": direction} for e in synthetic_events(steps=1, traces=1)])
    best = view.best_attempt
    assert best is not None and best.score is not None
    score = best.score - 0.3 if direction == "max" else best.score + 0.3
    event = {"ev": "baseline", "method": "plain model", "score": score}
    assert words in baseline_sentence(apply_events([event], view))


def test_show_lists_attempts_and_the_diff_of_the_best_against_the_first(tmp_path: Path) -> None:
    synthetic_events(steps=4, folder=tmp_path)
    from report.event_log import load_view

    text = shown(run_page(load_view(tmp_path), tmp_path), 120)
    assert "What helped most" in text
    assert "measured hypotheses helped" in text and "Brier score" in text
    assert "% sure" in text and "by component: " in text
    assert "KeyError: 'city'" in text
    assert "+++ best" in text
    assert "\x1b" not in text


def test_importing_the_console_does_not_load_rich() -> None:
    code = (
        "import sys, report.console, report.event_log\n"
        "raise SystemExit('rich' in sys.modules or 'jinja2' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=30).returncode == 0


def test_the_summary_of_a_resumed_run_includes_its_earlier_session(tmp_path: Path) -> None:
    events = synthetic_events(traces=2, steps=4)
    cut = len(events) // 2
    (tmp_path / "events.jsonl").write_text(
        "".join(json.dumps(event) + "\n" for event in events[:cut])
    )
    out = io.StringIO()
    with make_listener("plain", run_dir=tmp_path, out=out) as listener:
        for event in events[cut:]:
            listener.on_event(event)
    assert listener.view == apply_events(events)
    assert listener.view.metric in out.getvalue() and str(listener.view.n_traces) in out.getvalue()


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        (
            "within noise: +0.0007559 ± 0.0014, p(improved) 0.71",
            "+0.0008 ± 0.0014  smaller (p(improved) 0.71)",
        ),
        (
            "within noise: over several seeds, +7.56e-04 ± 0.0014, p(improved) 0.71",
            "+0.0008 ± 0.0014  smaller (over several seeds, p(improved) 0.71)",
        ),
        (
            "rows that were held back contradict it",
            "+0.0008 ± 0.0014  smaller (rows that were held back contradict it)",
        ),
    ],
)
def test_a_line_states_the_difference_once(reason: str, told: str) -> None:
    event = {
        "ev": "attempt",
        "id": "a",
        "trace": 0,
        "step": 1,
        "verdict": "tie",
        "hypothesis": "smaller",
        "reasons": [reason],
    }
    view = apply_events(
        [
            event
            | {
                "t": 1,
                "score": 0.5,
                "gain": 0.0007559,
                "gain_se": 0.0014,
                "parent": "b",
                "kind": "update",
            }
        ]
    )
    assert view.lines[-1].text == told


def test_a_terminal_echoes_no_control_marks_and_is_restored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    leader, follower = pty.openpty()
    with os.fdopen(leader), os.fdopen(follower) as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        before = termios.tcgetattr(terminal)
        assert before[3] & termios.ECHOCTL
        with make_listener("live", console=Console(file=io.StringIO(), force_terminal=True)):
            assert not termios.tcgetattr(terminal)[3] & termios.ECHOCTL
        assert termios.tcgetattr(terminal) == before


def test_a_full_disk_behind_the_output_is_one_sentence() -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
        done = subprocess.run(
            [sys.executable, "-m", "gome", "--help"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr == "gome: the output: the disk is full; free space\n"
