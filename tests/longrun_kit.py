"""Shared by the tests of long runs: a run in its own process, and comparison of two runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
from kit import HONEST, Player
from trust_kit import one_column

from reasoner.protocol import DraftBrief, Solution, UpdateBrief
from run.events import iterate_events

NOISES = (3, 1, 5, 0.5, 2, 0.2, 0.01, 4)
SLOW = "import time; time.sleep({pause})\n"

DRIVER = """
import asyncio, json, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from kit import Player, quick
from longrun_kit import Seeded, scripts
from session.session import start_run, resume_run
folder = Path({folder!r})
settings = quick(Path({root!r}), **json.loads({settings!r}))
player = {player}
if (folder / "run.json").exists():
    outcome = asyncio.run(resume_run(folder, reasoner=player))
else:
    outcome = asyncio.run(start_run({task!r}, settings, folder=folder, reasoner=player))
print(outcome.reason)
"""


def scripts(pause: float = 0.0) -> list[str]:
    """Honest scripts, better and worse in turn."""
    return [
        HONEST.format(noise=noise) + (SLOW.format(pause=pause) if pause else "") for noise in NOISES
    ]


# a script that records each start under the key of its execution's event, and takes GOME_SEED
NOTING = """import hashlib, json, os, time
name, seed = os.path.basename(os.getcwd()), os.environ.get("GOME_SEED", "")
ref = hashlib.sha256(open(__file__, "rb").read()).hexdigest()
if name.startswith("refit-"):
    key = "refit:" + ref[:16]
elif "-seed" in name:
    key = "seed%s:%s" % (seed, ref[:16])
else:
    key = "%s:%s" % (name, ref[:12])
with open("../../../starts.jsonl", "a") as file:
    file.write(json.dumps(dict(key=key, t=time.time())) + "\\n")
time.sleep({pause})
"""
# noise by step: differences in doubt that a second seed decides; ties would depend on run times
CLOSE = (
    2.0,
    1.7,
    1.4,
    2.6,
    1.15,
)


class Seeded(Player):
    """Each trace knows one column; its scripts differ little, take a seed, record their starts."""

    name = "seeded"

    def __init__(self, pause: float) -> None:
        super().__init__([""] * len(CLOSE))
        self.pause = pause

    def script(self, trace: int, step: int) -> str:
        column, sign = (("x", 1), ("y", -1))[trace % 2]
        text = one_column(column, sign, noise=CLOSE[step], noise_seed=100 * trace + step)
        return text + NOTING.format(pause=self.pause)

    async def draft(self, brief: DraftBrief) -> Solution:
        return Solution(
            script=self.script(brief.stage.trace, brief.stage.step),
            summary=f"draft {brief.stage.trace}",
        )

    async def update(self, brief: UpdateBrief) -> Solution:
        hypothesis = brief.diagnosis.hypotheses[0]
        return Solution(
            script=self.script(brief.stage.trace, brief.stage.step),
            summary=hypothesis.statement,
            hypothesis=hypothesis,
        )


def drive(
    root: Path, folder: Path, pause: float = 0.0, player: str = "", **settings: Any
) -> subprocess.Popen[str]:
    """Start or resume the run of `folder` in a process. `player`: the reasoner as an expression."""
    values = {
        "root": str(root),
        "folder": str(folder),
        "task": str(root / "task"),
        "settings": json.dumps(settings),
    }
    code = DRIVER.format(
        tests=str(Path(__file__).parent), player=player or f"Player(scripts({pause}))", **values
    )
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[1],
        start_new_session=True,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def driven(root: Path, folder: Path, pause: float = 0.0, **settings: Any) -> str:
    """Run a session to its end and return its reason, or the last line of its error."""
    process = drive(root, folder, pause, **settings)
    out, err = process.communicate(timeout=400)
    return out.strip() or err.strip().splitlines()[-1]


def attempts(folder: Path) -> dict[str, dict[str, Any]]:
    return {
        event["id"]: event
        for event in iterate_events(folder / "events.jsonl")
        if event["ev"] == "attempt"
    }


def essence(folder: Path) -> dict[str, Any]:
    """Return everything of a run that no interruption may change: all but times and paths."""
    names = (
        "id",
        "trace",
        "step",
        "parent",
        "kind",
        "mode",
        "script",
        "oof",
        "submission",
        "score",
        "gain",
        "verdict",
        "repairs",
    )
    best = json.loads((folder / "best" / "best.json").read_text())
    return {
        "attempts": {
            key: {name: event[name] for name in names} for key, event in attempts(folder).items()
        },
        "best": {name: best[name] for name in ("attempt", "script", "score")},
        "merges": [
            [row | {} for row in event["standings"]]
            for event in iterate_events(folder / "events.jsonl")
            if event["ev"] == "merged"
        ],
    }


def orphans(root: Path) -> list[str]:
    """Processes whose command line names the run."""
    return [
        line
        for each in psutil.process_iter(["cmdline"])
        if str(root) in (line := " ".join(each.info["cmdline"] or []))
    ]


def run_twice(folder: Path) -> list[str]:
    """Scripts that were started again although they had finished."""
    finished: set[str] = set()
    again = []
    for event in iterate_events(folder / "events.jsonl"):
        if (
            event["ev"] == "execution_finished" and "attempt" in event
        ):  # those of the finale have none
            finished.add(event["attempt"])
        if event["ev"] == "execution_started" and event.get("attempt") in finished:
            again.append(event["attempt"])
    return again
