"""One real run, recorded for the prompts: the briefs of its verbs, and its attempts with scripts, evidence and logs.

    python -m tools.prompt_record      # runs `modechoice` with the expert and writes evals/data/prompt_run.json

One step is made to fail on purpose (a wrong file name), so that there is a real failure to repair.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from pathlib import Path
from typing import Any

from evals.harness.common import write
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
RECORDED = Path(__file__).parents[1] / "evals" / "data" / "prompt_run.json"
BRIEFS: dict[str, type[Brief]] = {
    "draft": DraftBrief,
    "diagnose": DiagnoseBrief,
    "update": UpdateBrief,
    "repair": RepairBrief,
    "review": ReviewBrief,
}
KEPT = ("t1s0 draft", "t0s1 diagnose", "t0s1 update", "t0s3 repair", "t0s5 diagnose", "t0s5 update")
FAILS = (0, 3)  # trace and step whose script names a file that is not there


class Recorder:
    """The expert, whose briefs are kept."""

    name = "expert"

    def __init__(self) -> None:
        self.inner = Expert()
        self.briefs: dict[str, dict[str, Any]] = {}

    def keep(self, verb: str, brief: Brief) -> None:
        self.briefs[f"t{brief.stage.trace}s{brief.stage.step} {verb}"] = brief.model_dump(
            mode="json"
        )

    async def draft(self, brief: DraftBrief) -> Solution:
        self.keep("draft", brief)
        return await self.inner.draft(brief)

    async def diagnose(self, brief: DiagnoseBrief) -> Diagnosis:
        self.keep("diagnose", brief)
        return await self.inner.diagnose(brief)

    async def update(self, brief: UpdateBrief) -> Solution:
        self.keep("update", brief)
        solution = await self.inner.update(brief)
        if (brief.stage.trace, brief.stage.step) == FAILS:
            return solution.model_copy(
                update={"script": solution.script.replace("train.csv", "train_clean.csv")}
            )
        return solution

    async def repair(self, brief: RepairBrief) -> Solution:
        self.keep("repair", brief)
        mended = brief.script.replace("train_clean.csv", "train.csv")
        if mended == brief.script:
            return await self.inner.repair(brief)
        return Solution(
            script=mended,
            summary="the same with the training table under its right name",
            hypothesis=brief.hypothesis,
            cause="input/train_clean.csv does not exist",
            fix="read input/train.csv",
        )

    async def review(self, brief: ReviewBrief) -> Review:
        self.keep("review", brief)
        return await self.inner.review(brief)

    async def close(self) -> None:
        return None


async def record() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        await write(EXAMPLE, root / EXAMPLE)
        settings = Settings(
            traces=2, steps=6, time_s=1800, memory=str(root / "memory"), runs_dir=str(root / "runs")
        )
        recorder = Recorder()
        outcome = await start_run(str(root / EXAMPLE), settings, reasoner=recorder)
        setup = json.loads((outcome.folder / "setup.json").read_text().replace(str(root), "/run"))
        return {
            "setup": setup,
            "briefs": {key: recorder.briefs[key] for key in KEPT},
            "attempts": attempts(Artifacts(outcome.folder / "artifacts")),
        }


def attempts(artifacts: Artifacts) -> list[dict[str, Any]]:
    """The attempts' records, with script, evidence and log in place of their references."""
    found = []
    for path in artifacts.root.glob("*/*"):
        try:
            value = json.loads(path.read_text())
        except ValueError:
            continue
        if isinstance(value, dict) and {"id", "prev", "verdict"} <= set(value):
            found.append(
                value
                | {
                    name: artifacts.get(value[name])
                    for name in ("script", "evidence", "log")
                    if value.get(name)
                }
            )
    return sorted(found, key=lambda one: (one["trace"], one["step"]))


def recorded() -> dict[str, Any]:
    value: dict[str, Any] = json.loads(RECORDED.read_text())
    return value


if __name__ == "__main__":
    RECORDED.write_text(json.dumps(asyncio.run(record()), indent=0, sort_keys=True) + "\n")
    print(f"wrote {RECORDED}; now run python -m tools.prompts_docs")
