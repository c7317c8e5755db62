"""The last line of a running script reaches every listener: bounded, throttled, never stored."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from e2b_kit import TEMPLATE, service
from kit import HONEST, Player, quick, write_task

from report.projection import apply_events
from run.events import iterate_events
from sandbox.factory import create_sandbox
from sandbox.inside.progress import MAX_CHARS, LastLine, plain_line
from sandbox.protocol import Job, Limits, Sandbox, SandboxUnavailableError
from session.session import start_run

FOLDS = """
import time
for k in (1, 2, 3):
    print(f'fold {k}/3', flush=True)
    time.sleep(0.1)
time.sleep(4)
"""
FLOOD = """
import sys, time
line = b"\\x1b[31mred\\x1b[0m \\x07\\xff\\xe2\\x80\\xae" + b"y" * 100_000
end = time.time() + 3
while time.time() < end:
    sys.stdout.buffer.write(line * 10 + b"\\n")
sys.stdout.buffer.write(b"z" * 10_000_000)
"""


@pytest.fixture(params=["local", "e2b"])
async def sandbox(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Sandbox]:
    with service(tmp_path / "cloud"):
        try:
            made = create_sandbox(request.param, run_dir=tmp_path / "run", e2b_template=TEMPLATE)
        except SandboxUnavailableError as error:
            pytest.skip(str(error))
        yield made
        await made.close()


async def heard(sandbox: Sandbox, folder: Path, script: str) -> list[tuple[float, str]]:
    """Run a script and return its progress lines with their times."""
    workspace, found = folder / "work", list[tuple[float, str]]()
    workspace.mkdir()
    job = Job(
        id="job",
        script=script,
        workspace=workspace,
        limits=Limits(wall_s=120, output_bytes=4096),
    )
    done = await sandbox.run(job, lambda text: found.append((time.monotonic(), text)))
    assert done.end == "exit" and done.exit_code == 0, done.output
    return found


async def test_lines_of_a_running_script_arrive_before_it_ends(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    found = await heard(sandbox, tmp_path, FOLDS)
    said = [text for _, text in found]
    assert said[0] in ("fold 1/3", "fold 2/3")  # soon, though a busy machine hears late
    assert said[-1] == "fold 3/3"  # once its turn came, though no more was printed
    assert time.monotonic() - found[0][0] > 3


async def test_a_flood_arrives_as_few_short_clean_lines(sandbox: Sandbox, tmp_path: Path) -> None:
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
    assert plain_line(line) == text


def test_only_whole_lines_are_reported_and_each_once() -> None:
    now = [0.0]
    line = LastLine(2, lambda: now[0])
    line.add(b"fold 1/")
    assert line.wait_s is None and line.take() == ""
    line.add(b"5\nfold 2/5\n\n  \nfold 3")
    assert line.take() == "fold 2/5" and line.take() == ""
    line.add(b"/5\r 40%|####      |\r 50%|#####")
    assert line.wait_s == 2 and line.take() == ""
    now[0] = 2.0
    assert line.take() == "40%|#### |" and line.wait_s is None


def test_a_run_sends_progress_to_listeners_and_stores_none(tmp_path: Path) -> None:
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
    kept = list(iterate_events(outcome.folder / "events.jsonl"))
    assert [event["ev"] for event in kept] == [
        event["ev"] for event in seen if event["ev"] != "execution_progress"
    ]
    assert not apply_events(seen).side_jobs
