"""Shared by the stateful test: hostile scripts and answers by name, sessions here and in children.

A session is described in JSON, so that a child process can play it and be killed in the middle:

    python tests/stateful_kit.py '{"root": …, "actions": …, "stop_at": 12, "signal": 9}'
"""

from __future__ import annotations

import asyncio
import errno
import json
import math
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
from kit import FAULTS, HONEST, Player, quick
from longrun_kit import NOTING, orphans
from pydantic import BaseModel

from reasoner.protocol import (
    DiagnoseBrief,
    Diagnosis,
    DraftBrief,
    Hypothesis,
    ReasonerError,
    ReasonerUnavailableError,
    RepairBrief,
    Review,
    ReviewBrief,
    Solution,
    UpdateBrief,
)
from run.best import read_best
from run.events import iterate_events
from run.lock import RunError
from run.steering import Answer, Question
from sandbox.protocol import SandboxUnavailableError
from session.session import resume_run, start_run
from task.types import TaskError

REFUSALS = (RunError, ReasonerUnavailableError, SandboxUnavailableError, TaskError)
ACTIONS = {
    **FAULTS,
    "honest": HONEST.format(noise=0.4),
    "better": HONEST.format(noise=0.05),
    "worse": HONEST.format(noise=4),
    "flood": "import sys\nfor _ in range(256):\n    sys.stdout.write('x' * 65535 + '\\n')",
    "bytes": "import os\nos.write(1, bytes(range(256)) * 100)\n"
    "open('oof.csv', 'wb').write(b'\\xff')",
    "nested": "import os\nfor _ in range(1500):\n    os.mkdir('deeper')\n    os.chdir('deeper')",
    "closed": "import os\nos.mkdir('shut')\nopen('shut/x', 'w').write('x')\n"
    "open('oof.csv', 'w').write('x')\nfor name in ('oof.csv', 'shut', '.'):\n"
    "    os.chmod(name, 0)",
    "links": "import os\nos.symlink('/etc/passwd', 'oof.csv')\n"
    "os.symlink('oof.csv', 'submission.csv')\nos.symlink('.', 'evidence.json')",
    "pipes": "import os\nos.mkfifo('oof.csv')\nos.mkfifo('submission.csv')",
    "row": "open('oof.csv', 'w').write('id,label\\n' + 'x' * (5 << 20))",
    "wrong-ids": HONEST.format(noise=0.1).replace('row["id"], predict', '"z" + row["id"], predict'),
    "child": "import os, signal, time\nif os.fork() == 0:\n    os.setsid()\n"
    "    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n    time.sleep(600)",
    "evidence": "open('evidence.json', 'w').write('[' * 100_000)\n" + HONEST.format(noise=0.2),
    "labels": HONEST.format(noise=0.1).replace(
        "predict(row)]", '0.9 * float(row.get("label") or 0.5) + random.random() / 20]'
    ),
    "segv": "import ctypes\nctypes.string_at(0)",
}
del ACTIONS["rows"]
ANSWERS = (
    "script", "script", "script", "no-answer", "empty", "syntax", "nul", "surrogate", "giant",
    "blend-unknown", "take-unknown", "many-ideas", "no-ideas", "control", "nan-effect",
)  # fmt: skip
STEPS = 4


class SessionPlan(BaseModel):
    """One session: what the reasoner plays and what happens to the process."""

    root: Path
    folder: Path
    actions: list[str]
    answers: list[str]
    rounds: int | None = None  # then it waits for an answer; None: to the end
    stop_at: int = 0  # number of the stored event that is followed by `signal`
    signal: int = 0
    clock_s: float = 0.0  # what the clock is off
    writes: int | None = None  # before the disk is full


class Hostile(Player):
    """Plays actions and answers by step, the same ones in every session."""

    name = "hostile"

    def __init__(self, plan: SessionPlan) -> None:
        super().__init__([NOTING.format(pause=0) + ACTIONS[name] for name in plan.actions])
        self.answers = plan.answers

    def solution(self, step: int, hypothesis: Hypothesis | None = None) -> Solution:
        script = self.scripts[step % len(self.scripts)]
        answer, more = self.answers[step % len(self.answers)], dict[str, Any]()
        if answer == "no-answer":
            raise ReasonerError("no usable answer")
        changed = {
            "empty": "",
            "syntax": "def (:",
            "nul": script + "\0",
            "surrogate": script + "\nx = '\ud800'",
            "giant": "#" * 2_000_000 + "\n" + script,
        }
        if answer in ("blend-unknown", "take-unknown"):
            script, more = "", {"ensemble": ["t9s9"]} if "blend" in answer else {"take_from": ["?"]}
        return Solution(
            script=changed.get(answer, script),
            summary="a script\x1b[2J\n\n# of lines" if answer == "control" else f"script {step}",
            hypothesis=hypothesis,
            **more,
        )

    async def draft(self, brief: DraftBrief) -> Solution:
        return self.solution(brief.stage.step)

    async def diagnose(self, brief: DiagnoseBrief) -> Diagnosis:
        step = brief.stage.step
        answer = self.answers[step % len(self.answers)]
        if answer == "no-ideas":
            return Diagnosis()
        base = {"challenge": "noise", "component": "model"}
        ideas = [
            Hypothesis(id=f"h{step}-{n}", statement=f"idea {n}", **base)
            for n in range(40 if answer == "many-ideas" else 1)
        ]
        if answer == "control":
            ideas = [Hypothesis(id="../x\n", statement="\x00\x1b[31m\ud800", **base)] * 2
        if answer == "nan-effect":
            ideas = [Hypothesis(id="h", statement="x" * 100_000, cites=["?"] * 500, **base)]
        return Diagnosis(hypotheses=ideas)

    async def update(self, brief: UpdateBrief) -> Solution:
        ideas = brief.diagnosis.hypotheses
        return self.solution(brief.stage.step, ideas[0] if ideas else None)

    async def repair(self, brief: RepairBrief) -> Solution:
        return self.solution(brief.stage.step + 1)

    async def review(self, brief: ReviewBrief) -> Review:
        if self.answers[brief.stage.step % len(self.answers)] != "control":
            return Review()
        return Review(aligned=False, leaks=True, reasons=["\x1b[2J" + "y" * 10_000])


async def play_session(plan: SessionPlan) -> str:
    """Start or resume the run; return how the session ended, or the refusal in one line."""
    left = [plan.rounds]
    n_events = 0

    def ask(question: Question) -> Answer | None:
        if left[0] is None:
            return Answer()
        left[0] -= 1
        return Answer() if left[0] >= 0 else None

    def listen(event: dict[str, Any]) -> None:
        nonlocal n_events
        n_events += event["ev"] != "execution_progress"
        if plan.signal and n_events == plan.stop_at and event["ev"] != "execution_progress":
            os.kill(os.getpid(), plan.signal)

    options: dict[str, Any] = {"reasoner": Hostile(plan), "ask": ask, "listeners": [listen]}
    settings = quick(
        plan.root,
        steps=STEPS,
        time_s=3600,
        run_time_s=4,
        isolation="none",
        gpus="none",
        steer="each",
        final_seeds=1,
        max_repairs=1,
    )
    try:
        with clock_off(plan.clock_s), disk_full_after(plan.writes, plan.folder):
            if (plan.folder / "run.json").exists():
                outcome = await resume_run(plan.folder, **options)
            else:
                task = str(plan.root / "task")
                outcome = await start_run(task, settings, folder=plan.folder, **options)
    except REFUSALS as error:
        text = str(error)
        assert "\n" not in text and "Traceback" not in text, text
        return f"refused: {text}"
    return outcome.reason


@contextmanager
def clock_off(seconds: float) -> Iterator[None]:
    """Let the clock be off; seconds that pass are right."""
    real, real_ns = time.time, time.time_ns
    time.time = lambda: real() + seconds
    time.time_ns = lambda: real_ns() + int(seconds * 1e9)
    try:
        yield
    finally:
        time.time, time.time_ns = real, real_ns


@contextmanager
def disk_full_after(writes: int | None, folder: Path) -> Iterator[None]:
    """After so many writes below the folder, half a write arrives and then the disk is full."""
    if writes is None:
        yield
        return
    whole, count = Path.write_bytes, [0]

    def write_bytes(path: Path, data: Any) -> int:
        if not path.is_relative_to(folder):
            return whole(path, data)
        count[0] += 1
        if count[0] <= writes:
            return whole(path, data)
        whole(path, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    Path.write_bytes = write_bytes  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        Path.write_bytes = whole  # type: ignore[method-assign]


def play_in_child(plan: SessionPlan) -> str:
    """Play a session in a process of its own; return its last line, or how it was ended."""
    done = subprocess.run(
        [sys.executable, __file__, plan.model_dump_json()],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
        start_new_session=True,
    )
    assert "Traceback" not in done.stderr, done.stderr[-3000:]
    if done.returncode < 0:
        return f"signal {-done.returncode}"
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.strip().splitlines()[-1]


def check_folder(root: Path, folder: Path) -> None:
    """Check what holds after every session, however it ended."""
    deadline = time.monotonic() + 5
    while (left := orphans(root)) and time.monotonic() < deadline:
        time.sleep(0.05)  # killed ones take a moment to disappear
    assert left == []
    if not folder.exists():
        return
    keys = [
        (event["ev"], event["key"])
        for event in iterate_events(folder / "events.jsonl")
        if event.get("key")
    ]
    assert len(keys) == len(set(keys)), [key for key in keys if keys.count(key) > 1]
    check_best(root, folder / "best")


def count_starts(root: Path) -> Counter[str]:
    """Return how often each script was started, by the key of its execution's event."""
    path = root / "runs" / "starts.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    keys = [str(json.loads(line)["key"]) for line in lines]
    return Counter(key.partition(":")[0] if "-shuffled" in key else key for key in keys)


def finished_keys(folder: Path) -> set[str]:
    """Return the keys of the executions that have ended, those on shuffled labels included."""
    keys: set[str] = set()
    for event in iterate_events(folder / "events.jsonl"):
        if event["ev"] == "execution_finished":
            keys.add(str(event.get("key")))
        if event["ev"] == "labels_checked":
            keys |= {f"{event['key']}-shuffled{place}" for place in range(len(event["shuffles"]))}
    return keys


def check_best(root: Path, folder: Path) -> None:
    """best/ holds a valid submission with its script, or no best.json."""
    if read_best(folder) is None:
        assert not (folder / "best.json").exists(), (folder / "best.json").read_text()
        return
    table = pd.read_csv(folder / "submission.csv")
    asked = pd.read_csv(root / "task" / "test.csv")
    assert list(table.columns) == ["id", "label"] and set(table["id"]) == set(asked["id"])
    assert all(math.isfinite(value) for value in table["label"])
    compile((folder / "solution.py").read_text(), "solution.py", "exec")


def main() -> None:
    plan = SessionPlan.model_validate(json.loads(sys.argv[1]))
    print(asyncio.run(play_session(plan)))


if __name__ == "__main__":
    main()
