"""The last line of a running script on the console."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from evals.harness.made_up import synthetic_events
from report.formatting import parse_progress
from report.live import render_screen
from report.model import RunView
from report.projection import apply_event, apply_events


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("fold 3/5 auc 0.8", "fold 3/5"),
        ("[INFO] Epoch: 12 of 100, loss 0.3", "epoch 12/100"),
        (" 40%|#### |", "40%"),
        ("loading 2024-01-02", ""),
        ("done", ""),
    ],
)
def test_a_counting_line_gives_the_progress(line: str, words: str) -> None:
    assert parse_progress(line) == words


@pytest.mark.parametrize("width", [40, 80, 160])
def test_the_console_shows_progress_beside_the_attempt(width: int) -> None:
    events = synthetic_events(traces=2, steps=3)
    cut = next(i for i, e in enumerate(events) if e["ev"] == "execution_started" and e["step"] == 2)
    view, at = apply_events(events[: cut + 1]), events[cut]["t"]
    trace = events[cut]["trace"]
    told = {"ev": "execution_progress", "trace": trace, "step": 2, "name": "a"}
    view = apply_event(view, told | {"t": at + 5, "text": "fold 3/5 \x1b[31m" + "x" * 500})
    assert (
        view.traces[trace].progress.startswith("fold 3/5")
        and len(view.traces[trace].progress) <= 200
    )
    beside = {
        "ev": "execution_progress",
        "name": "t0s1-seed1",
        "what": "t0s1 under seed 1",
        "limit_s": 90,
    }
    view = apply_event(
        apply_event(view, beside | {"t": at + 6}), beside | {"t": at + 7, "text": "epoch 7 of 9"}
    )
    text = drawn(view, at + 12, width)
    assert "fold 3/5" in text and "t0s1 under seed 1  6 s/1:30" in text and "\x1b" not in text
    assert len(text.splitlines()) <= 24
    after = apply_event(view, beside | {"t": at + 9, "over": True})
    assert "under seed" not in drawn(after, at + 12, width)
    late = apply_event(
        apply_event(view, events[cut] | {"ev": "execution_finished"}),
        told | {"t": at + 9, "text": "too late"},
    )
    assert late.traces[trace].progress == ""


def drawn(view: RunView, now: float, width: int) -> str:
    out = io.StringIO()
    Console(file=out, width=width).print(render_screen(view, now, width, 24))
    return out.getvalue()
