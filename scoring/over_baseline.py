"""Whether what is handed over beats the harness's own baselines beyond noise."""

from __future__ import annotations

from statistics import NormalDist
from typing import NamedTuple, get_args

from graph.state import Best, Json
from run.attempt import OOF
from run.comparator import compare_artifacts
from run.run import Run
from scoring.baseline import make_method
from task.client import WorkerError
from task.types import BaselineMethod, TaskError

FALSE_CLAIMS = 0.05
"""Share of runs without any signal that may claim to beat a baseline (docs/results/bait.md)."""
LEAST_TRIES = 8
"""Scripts that a run pays for at least, however few it executed."""


def claim_bar(n_tries: int) -> float:
    """Return the standard errors beyond which the best of so many scripts beats a baseline.

    By Bonferroni: 2.5 for eight, 3.3 for a hundred. Scripts that are alike make it conservative,
    variants within a script are not counted.
    """
    return NormalDist().inv_cdf(1 - FALSE_CLAIMS / max(n_tries, LEAST_TRIES))


class OverBaseline(NamedTuple):
    """The paired difference from the baseline that is hardest to beat; positive is better."""

    method: str
    d: float
    se: float
    n_tries: int

    @property
    def is_beaten(self) -> bool:
        """Whether the difference is beyond noise."""
        return self.d > 0 and self.d > claim_bar(self.n_tries) * self.se

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
            found.append(OverBaseline(method, paired.d, paired.se, run.events.used.executions))
    hardest = min(found, key=lambda one: one.d / max(one.se, 1e-12), default=None)
    return hardest.describe() if hardest else None
