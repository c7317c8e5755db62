"""Record one real run for the prompts: briefs, and attempts with scripts, evidence and logs.

    python -m tools.prompt_record            # runs `modechoice`, writes evals/data/prompt_run.json
    python -m tools.prompt_record pictures   # or texts: the tasks of evals/harness/file_tasks.py

The expert runs it. One step of `modechoice` fails on purpose (a wrong file name), so that there is
a real failure to repair.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from evals.harness.common import write_example_task
from evals.harness.file_tasks import WRITERS
from graph.settings import Settings
from reasoner.expert.engine import Expert
from reasoner.protocol import (
    Brief,
    DiagnoseBrief,
    Diagnosis,
    DraftBrief,
    RepairBrief,
    Review,
    ReviewBrief,
    Solution,
    UpdateBrief,
)
from run.artifacts import Artifacts
from session.session import start_run

EXAMPLE = "modechoice"
DATA = Path(__file__).parents[1] / "evals" / "data"
BRIEFS: dict[str, type[Brief]] = {
    "draft": DraftBrief,
    "diagnose": DiagnoseBrief,
    "update": UpdateBrief,
    "repair": RepairBrief,
    "review": ReviewBrief,
}
KEPT_BRIEFS = (
    "t1s0 draft",
    "t0s1 diagnose",
    "t0s1 update",
    "t0s3 repair",
    "t0s5 diagnose",
    "t0s5 update",
)
KEPT_OF_OTHERS = (
    "t0s0 draft",
    "t0s1 diagnose",
    "t0s1 update",
    "t0s5 diagnose",
    "t0s5 update",
)
FAILING_STEP = (0, 3)  # trace and step whose script names a file that is not there


class RecordingExpert:
    """The expert; it records its briefs."""

    name = "expert"

    def __init__(self, failing: tuple[int, int] | None = None) -> None:
        self.inner = Expert()
        self.failing = failing
        self.briefs: dict[str, dict[str, Any]] = {}

    def record(self, verb: str, brief: Brief) -> None:
        """Store a brief under its trace, step and verb."""
        key = f"t{brief.stage.trace}s{brief.stage.step} {verb}"
        self.briefs[key] = brief.model_dump(mode="json")

    async def draft(self, brief: DraftBrief) -> Solution:
        """Draft as the expert does."""
        self.record("draft", brief)
        return await self.inner.draft(brief)

    async def diagnose(self, brief: DiagnoseBrief) -> Diagnosis:
        """Diagnose as the expert does."""
        self.record("diagnose", brief)
        return await self.inner.diagnose(brief)

    async def update(self, brief: UpdateBrief) -> Solution:
        """Update as the expert does; the script of the failing step gets a wrong file name."""
        self.record("update", brief)
        solution = await self.inner.update(brief)
        if (brief.stage.trace, brief.stage.step) == self.failing:
            script = solution.script.replace("train.csv", "train_clean.csv")
            return solution.model_copy(update={"script": script})
        return solution

    async def repair(self, brief: RepairBrief) -> Solution:
        """Correct the wrong file name; repair other failures as the expert does."""
        self.record("repair", brief)
        script = brief.script.replace("train_clean.csv", "train.csv")
        if script == brief.script:
            return await self.inner.repair(brief)
        return Solution(
            script=script,
            summary="the same with the training table under its right name",
            hypothesis=brief.hypothesis,
            cause="input/train_clean.csv does not exist",
            fix="read input/train.csv",
        )

    async def review(self, brief: ReviewBrief) -> Review:
        """Review as the expert does."""
        self.record("review", brief)
        return await self.inner.review(brief)

    async def close(self) -> None:
        """Do nothing."""


async def record_run() -> dict[str, Any]:
    """Run the example; return its setup, chosen briefs and attempts."""
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        await write_example_task(EXAMPLE, root / EXAMPLE)
        expert = RecordingExpert(FAILING_STEP)
        outcome = await start_run(str(root / EXAMPLE), settings_in(root, traces=2), reasoner=expert)
        setup = json.loads((outcome.folder / "setup.json").read_text().replace(str(root), "/run"))
        return {
            "setup": setup,
            "briefs": {key: expert.briefs[key] for key in KEPT_BRIEFS},
            "attempts": recorded_attempts(Artifacts(outcome.folder / "artifacts")),
        }


async def record_other(kind: str) -> dict[str, Any]:
    """Run the task of `evals.harness.file_tasks` of this kind; return its chosen briefs."""
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        WRITERS[kind](root / kind)
        expert = RecordingExpert()
        await start_run(str(root / kind), settings_in(root, traces=1), reasoner=expert)
        return {"briefs": {key: expert.briefs[key] for key in KEPT_OF_OTHERS}}


def settings_in(root: Path, traces: int) -> Settings:
    """Return the settings of a recorded run; the order of its steps does not depend on timing."""
    return Settings(
        traces=traces,
        steps=6,
        time_s=1800,
        memory=str(root / "memory"),
        runs_dir=str(root / "runs"),
        calls="two",
        deal="turns",
        ahead=0,
    )


def recorded_attempts(artifacts: Artifacts) -> list[dict[str, Any]]:
    """Return the attempts' records, with script, evidence and log instead of their references."""
    attempts = []
    for path in artifacts.root.glob("*/*"):
        try:
            value = json.loads(path.read_text())
        except ValueError:
            continue
        if isinstance(value, dict) and {"id", "prev", "verdict"} <= set(value):
            refs = {name: value[name] for name in ("script", "evidence", "log") if value.get(name)}
            texts = {name: artifacts.get(ref) for name, ref in refs.items()}
            attempts.append(value | texts)
    return sorted(attempts, key=lambda attempt: (attempt["trace"], attempt["step"]))


def load_recording(kind: str = "run") -> dict[str, Any]:
    """Return the recorded run; `kind`: pictures or texts, else the table."""
    recording: dict[str, Any] = json.loads((DATA / f"prompt_{kind}.json").read_text())
    return recording


def main(kind: str) -> None:
    """Record and write one run."""
    recorded = asyncio.run(record_run() if kind == "run" else record_other(kind))
    text = json.dumps(recorded, indent=0, sort_keys=True).replace(sys.prefix, "/opt/gome/.venv")
    (DATA / f"prompt_{kind}.json").write_text(text + "\n")
    print(f"wrote {DATA / f'prompt_{kind}.json'}; now run python -m tools.prompts_docs")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "run")
