"""Whether what is handed over beats the harness's own baselines beyond noise."""

from __future__ import annotations

from typing import NamedTuple, get_args

from graph.state import Best, Json
from run.attempt import OOF
from run.comparator import compare_artifacts
from run.run import Run
from scoring.baseline import make_method
from task.client import WorkerError
from task.types import BaselineMethod, TaskError

BEATS_Z = 2.5
"""Standard errors beyond which a solution beats a baseline: the best of several is lucky, and of
runs without any signal few may claim more than there is (docs/results/bait.md)."""


class OverBaseline(NamedTuple):
    """The paired difference from the baseline that is hardest to beat; positive is better."""

    method: str
    d: float
    se: float

    @property
    def is_beaten(self) -> bool:
        """Whether the difference is beyond noise."""
        return self.d > 0 and self.d > BEATS_Z * self.se

    def describe(self) -> Json:
        """Return what the event says."""
        return {"method": self.method, "d": self.d, "se": self.se, "beaten": self.is_beaten}


async def compare_with_baselines(run: Run, best: Best) -> Json | None:
    """Compare a solution with every baseline that was made, on the same rows; None without any."""
    oof = run.attempt(best.ref).oof
    found = []
    for method in get_args(BaselineMethod):
        if oof is None or not run.is_done("baseline", [method]):
            continue
        try:
            made = await make_method(run, method)
            paired = await compare_artifacts(run, [oof], [made.files[OOF]])
        except (TaskError, WorkerError) as error:
            run.warn(f"the baseline cannot be compared with: {' '.join(str(error).split())[:200]}")
            continue
        if paired is not None:
            found.append(OverBaseline(method, paired.d, paired.se))
    hardest = min(found, key=lambda one: one.d / max(one.se, 1e-12), default=None)
    return hardest.describe() if hardest else None
