"""Shared by the tests of the loop: a tiny real task, scripts, a reasoner that plays scripts."""

from __future__ import annotations

import csv
import random
from pathlib import Path
from typing import Any

from graph.settings import Settings
from reasoner.protocol import (
    DiagnoseBrief,
    Diagnosis,
    DraftBrief,
    Hypothesis,
    RepairBrief,
    Review,
    ReviewBrief,
    Solution,
    UpdateBrief,
)
from run.attempt import Attempt
from run.events import iterate_events

HONEST = '''"""Nearest-neighbour free: a linear score of two columns, noise {noise}."""
import csv, random
random.seed(1)
train = {{row["id"]: row for row in csv.DictReader(open("input/train.csv"))}}
def predict(row):
    return 1 / (1 + 2.718281828 ** -(float(row["x"]) - float(row["y"]) + random.gauss(0, {noise})))
def write(name, rows):
    with open(name, "w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["id", "label"])
        out.writerows([row["id"], predict(row)] for row in rows)
folds = [row for row in csv.DictReader(open("input/folds.csv")) if row["fold"] != "-1"]
write("oof.csv", [train[row["id"]] for row in folds])
write("submission.csv", list(csv.DictReader(open("input/test.csv"))))
'''

REVERSED = HONEST.replace("def write(name, rows):", "def write(name, rows):\n    rows = rows[::-1]")
FAULTS = {
    "crash": "raise ValueError('boom in fit')",
    "hang": "import time\ntime.sleep(600)",
    "flood": "import sys\nline = 'x' * 1023 + '\\n'\n"
    "for _ in range(1024 * 1024):\n    sys.stdout.write(line)",
    "nan": HONEST.format(noise=0.1)
    + "\nopen('oof.csv', 'a').close()\ntext = open('oof.csv').read().splitlines()\n"
    "text[1] = text[1].split(',')[0] + ',nan'\nopen('oof.csv', 'w').write('\\n'.join(text))",
    "rows": HONEST.format(noise=0.1) + "\ntext = open('oof.csv').read().splitlines()\n"
    "open('oof.csv', 'w').write('\\n'.join(text[:-5]))",
    "nothing": "print('done')",
}


def write_task(folder: Path, n: int = 120) -> Path:
    """A binary task with two informative columns; id, x, y, label."""
    folder.mkdir(parents=True, exist_ok=True)
    noise = random.Random(7)
    rows = [
        (f"r{i}", round(noise.gauss(0, 1), 4), round(noise.gauss(0, 1), 4)) for i in range(2 * n)
    ]
    label = {row[0]: int(row[1] - row[2] + noise.gauss(0, 0.5) > 0) for row in rows}
    table(
        folder / "train.csv", ["id", "x", "y", "label"], [(*row, label[row[0]]) for row in rows[:n]]
    )
    table(folder / "test.csv", ["id", "x", "y"], rows[n:])
    table(folder / "sample_submission.csv", ["id", "label"], [(row[0], 0.5) for row in rows[n:]])
    (folder / "task.yaml").write_text(
        "name: tiny\nmetric: auc\ntrain: train.csv\ntest: test.csv\nid: id\ntarget: label\n"
    )
    (folder / "description.md").write_text("Predict the label.")
    return folder


def table(path: Path, header: list[str], rows: list[Any]) -> None:
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(header)
        out.writerows(rows)


def make_record(name: str = "t0s1", **changes: Any) -> Attempt:
    """An attempt of trace 0 that tied; a hypothesis may be given by its fields."""
    base: dict[str, Any] = {"id": name, "trace": 0, "step": int(name.partition("s")[2] or 0)}
    base |= {"kind": "update", "mode": "directed", "verdict": "tie", "score": 0.5, "script": "s"}
    idea = changes.get("hypothesis")
    if idea is not None:
        filled = {"id": "h", "challenge": "c", "statement": "s", "component": "model"}
        changes["hypothesis"] = filled | idea
    return Attempt.model_validate(base | changes)


class Player:
    """A reasoner that plays scripts in order, one per step; it repairs with an honest script."""

    name = "player"

    def __init__(self, scripts: list[str]) -> None:
        self.scripts = scripts

    async def draft(self, brief: DraftBrief) -> Solution:
        return Solution(
            script=self.scripts[min(brief.stage.step, len(self.scripts) - 1)],
            summary=f"script {brief.stage.step}",
        )

    async def diagnose(self, brief: DiagnoseBrief) -> Diagnosis:
        step = brief.stage.step
        if step >= len(self.scripts):
            return Diagnosis()
        return Diagnosis(
            hypotheses=[
                Hypothesis(
                    id=f"h{step}",
                    challenge="noise",
                    statement=f"play script {step}",
                    component="model",
                )
            ]
        )

    async def update(self, brief: UpdateBrief) -> Solution:
        hypothesis = brief.diagnosis.hypotheses[0]
        return Solution(
            script=self.scripts[brief.stage.step],
            summary=hypothesis.statement,
            hypothesis=hypothesis,
        )

    async def repair(self, brief: RepairBrief) -> Solution:
        return Solution(script=HONEST.format(noise=0.3), summary="repaired")

    async def review(self, brief: ReviewBrief) -> Review:
        return Review()

    async def close(self) -> None:
        return None


def quick(tmp_path: Path, **changes: Any) -> Settings:
    """Settings of a small run whose folders all lie below tmp_path."""
    given = {
        "traces": 1,
        "steps": 3,
        "time_s": 120,
        "run_time_s": 20,
        "average_seeds": 1,
        "memory": "off",
        "embedding": "lexical",
        "runs_dir": str(tmp_path / "runs"),
    }
    return Settings.model_validate(given | changes)


def events(folder: Path, kind: str) -> list[dict[str, Any]]:
    return [event for event in iterate_events(folder / "events.jsonl") if event["ev"] == kind]
