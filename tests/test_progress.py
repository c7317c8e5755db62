"""What a running script prints last reaches whoever watches: bounded, now and then, and no file grows by it."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from e2b_kit import TEMPLATE, service
from kit import HONEST, Player, quick, write_task
from rich.console import Console

from evals.harness.made_up import made_up
from report.formatting import far
from report.live import screen
from report.model import RunView
from report.projection import fold, fold_all
from run.events import read_events
from sandbox.factory import make_sandbox
from sandbox.inside.progress import MAX_CHARS, LastLine, shown
from sandbox.protocol import Job, Limits, Sandbox, SandboxUnavailable
from session.session import start_run

FOLDS = "import time\nfor k in (1, 2, 3):\n    print(f'fold {k}/3', flush=True)\n    time.sleep(0.1)\ntime.sleep(4)"
FLOOD = """
import sys, time
line = b"\\x1b[31mred\\x1b[0m \\x07\\xff\\xe2\\x80\\xae" + b"y" * 100_000
end = time.time() + 3
while time.time() < end:
    sys.stdout.buffer.write(line * 10 + b"\\n")
sys.stdout.buffer.write(b"z" * 10_000_000)
"""


@pytest.fixture(params=["cold", "warm", "e2b"])
async def sandbox(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Sandbox]:
    with service(tmp_path / "cloud"):
        kind = "e2b" if request.param == "e2b" else "local"
        try:
            made = make_sandbox(
                kind, run_dir=tmp_path / "run", warm=request.param == "warm", e2b_template=TEMPLATE
            )
        except SandboxUnavailable as error:
            pytest.skip(str(error))
        yield made
        await made.close()


async def heard(sandbox: Sandbox, folder: Path, script: str) -> list[tuple[float, str]]:
    """What was told, and when."""
    workspace, found = folder / "work", list[tuple[float, str]]()
    workspace.mkdir()
    job = Job(
        id="job",
        script=script,
        workspace=workspace,
        warm="t0",
        limits=Limits(wall_s=120, output_bytes=4096),
    )
    done = await sandbox.run(job, lambda text: found.append((time.monotonic(), text)))
    assert done.end == "exit" and done.exit_code == 0, done.output
    return found


async def test_a_running_script_is_heard_before_it_ends(sandbox: Sandbox, tmp_path: Path) -> None:
    found = await heard(sandbox, tmp_path, FOLDS)
    said = [text for _, text in found]
    assert said[0] in ("fold 1/3", "fold 2/3")  # soon, though a busy machine hears late
    assert said[-1] == "fold 3/3"  # once its turn came, though no more was printed
    assert time.monotonic() - found[0][0] > 3


@pytest.mark.parametrize("sandbox", ["cold", "e2b"], indirect=True)
async def test_a_flood_is_told_as_few_short_clean_lines(sandbox: Sandbox, tmp_path: Path) -> None:
    found = await heard(sandbox, tmp_path, FLOOD)
    assert found
    assert all(len(text) <= MAX_CHARS and text.isprintable() for _, text in found)
    assert all(later[0] - former[0] > 0.9 for former, later in zip(found, found[1:], strict=False))


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (b"\x1b[32mfold 2/5\x1b[0m  auc\t0.81", "fold 2/5 auc 0.81"),
        (b"\x1b]0;title\x07 \x00\x08ok", "ok"),
        ("é\u202egnol\u200b 漢字".encode(), "é gnol 漢字"),
        (b"\xff\xfe", "��"),
        (b"x" * 5000, "x" * 199 + "…"),
        (b"\x1b[2J\r \n", ""),
    ],
)
def test_a_line_is_plain_text(line: bytes, text: str) -> None:
    assert shown(line) == text


def test_only_whole_lines_are_told_and_each_once() -> None:
    now = [0.0]
    line = LastLine(2, lambda: now[0])
    line.add(b"fold 1/")
    assert line.wait_s is None and line.due() == ""
    line.add(b"5\nfold 2/5\n\n  \nfold 3")
    assert line.due() == "fold 2/5" and line.due() == ""
    line.add(b"/5\r 40%|####      |\r 50%|#####")
    assert line.wait_s == 2 and line.due() == ""
    now[0] = 2.0
    assert line.due() == "40%|#### |" and line.wait_s is None


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
def test_a_line_that_counts_says_how_far_it_is(line: str, words: str) -> None:
    assert far(line) == words


@pytest.mark.parametrize("width", [40, 80, 160])
def test_the_console_shows_it_beside_the_attempt(width: int) -> None:
    events = made_up(traces=2, steps=3)
    cut = next(i for i, e in enumerate(events) if e["ev"] == "execution_started" and e["step"] == 2)
    view, at = fold_all(events[: cut + 1]), events[cut]["t"]
    trace = events[cut]["trace"]
    told = {"ev": "execution_progress", "trace": trace, "step": 2, "name": "a"}
    view = fold(view, told | {"t": at + 5, "text": "fold 3/5 \x1b[31m" + "x" * 500})
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
    view = fold(fold(view, beside | {"t": at + 6}), beside | {"t": at + 7, "text": "epoch 7 of 9"})
    text = drawn(view, at + 12, width)
    assert "fold 3/5" in text and "t0s1 under seed 1  6 s/1:30" in text and "\x1b" not in text
    assert len(text.splitlines()) <= 24
    after = fold(view, beside | {"t": at + 9, "over": True})
    assert "under seed" not in drawn(after, at + 12, width)
    late = fold(
        fold(view, events[cut] | {"ev": "execution_finished"}),
        told | {"t": at + 9, "text": "too late"},
    )
    assert late.traces[trace].progress == ""


def drawn(view: RunView, now: float, width: int) -> str:
    out = io.StringIO()
    Console(file=out, width=width).print(screen(view, now, width, 24))
    return out.getvalue()


def test_a_run_tells_its_listeners_and_keeps_nothing(tmp_path: Path) -> None:
    loud = HONEST.format(noise=1) + "\nimport time\nprint('fold 4/5', flush=True)\ntime.sleep(1)\n"
    seen: list[dict[str, Any]] = []
    settings = quick(tmp_path, steps=1)
    outcome = asyncio.run(
        start_run(
            str(write_task(tmp_path / "task", 2000)),
            settings,
            listeners=[seen.append],
            reasoner=Player([loud]),
        )
    )
    told = [event for event in seen if event["ev"] == "execution_progress"]
    said = {
        (event.get("trace"), event.get("step"), event.get("what"))
        for event in told
        if event["text"] == "fold 4/5"
    }
    assert said == {(0, 0, None), (None, None, "t0s0 on all rows")}
    kept = list(read_events(outcome.folder / "events.jsonl"))
    assert [event["ev"] for event in kept] == [
        event["ev"] for event in seen if event["ev"] != "execution_progress"
    ]
    assert not fold_all(seen).also
