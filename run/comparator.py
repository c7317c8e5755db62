"""The one comparator of a run: which of two solutions is better, by all that is known of both.

Attempts of all traces, blends, finalists and the run's best are compared by it. Where both are
finer than labels, the surrogate decides unless the metric tells the two apart; else the metric.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence

from pydantic import BaseModel, ConfigDict

from graph.state import Best
from run.attempt import OOF, Attempt, ExecutionRecord
from run.run import Run
from run.variants import choose_variant, seeded_parts
from task.client import WorkerTimeoutError
from task.types import Paired, PairedJson

MAX_SEEDS = 4  # of one script in the search, its first one included
Compare = Callable[..., Awaitable[PairedJson | None]]


class Comparison(BaseModel):
    """Differences of one solution to another; positive is better, None: not comparable."""

    model_config = ConfigDict(frozen=True)
    metric: Paired | None = None
    surrogate: Paired | None = None

    def decide(self, z: float) -> Paired | None:
        """Return the difference that counts, see `decide`."""
        return decide(self.metric, self.surrogate, z) if self.metric else None


def decide(metric: Paired, surrogate: Paired | None, z: float) -> Paired:
    """Return the difference that counts: by the surrogate, unless the metric tells by `z` SE."""
    if surrogate is None or abs(metric.d) > z * metric.se:
        return metric
    return surrogate


def is_better(direction: str, one: float, two: float | None) -> bool:
    """Whether a score is strictly better than another (None: than nothing)."""
    if two is None:
        return True
    return one > two if direction == "max" else one < two


async def leads(run: Run, one: Best, other: Best | None) -> bool:
    """Whether a solution is better than another (None: than nothing), however little."""
    if other is None:
        return True
    decided = await compare_bests(run, one, other)
    if decided is None:
        return is_better(run.prepared.task.direction, one.score, other.score)
    return decided.d > 0


async def find_leader(run: Run, solutions: Iterable[Best | None]) -> Best | None:
    """Return the best of these solutions; the first of equal ones."""
    leader: Best | None = None
    for each in solutions:
        if each is not None and await leads(run, each, leader):
            leader = each
    return leader


async def rank_solutions(run: Run, solutions: Sequence[Best]) -> list[Best]:
    """Return the solutions, the best first; equal ones in their order."""
    ranked: list[Best] = []
    for each in solutions:
        place = len(ranked)
        while place and await leads(run, each, ranked[place - 1]):
            place -= 1
        ranked.insert(place, each)
    return ranked


async def compare_bests(run: Run, one: Best, other: Best) -> Paired | None:
    """Return the difference that counts, over every seed that was run; None: scores are compared.

    Where no surrogate can decide, the scores say the same and cost nothing.
    """
    if run.prepared.soft is None or one.ref == other.ref:
        return None
    new, old = (measured_oofs(run, run.attempt(each.ref)) for each in (one, other))

    async def compare() -> Comparison:
        return await compare_oofs(run, new, old)

    comparison = await run.once("compared", [*new, "against", *old], compare, Comparison)
    return comparison.decide(run.settings.accept_z) if comparison.surrogate else None


def measured_oofs(run: Run, attempt: Attempt) -> list[str]:
    """Return the out-of-fold artifacts of an attempt: its own, and those under further seeds."""
    oofs = [str(attempt.oof)]
    for seed in range(1, max(run.settings.final_seeds, MAX_SEEDS)):
        parts = seeded_parts(str(attempt.script), seed, attempt.variant)
        record = run.read_stored("seeded", parts, ExecutionRecord)
        if record is not None and record.ok:
            oofs += [ref for ref in [choose_variant(record, attempt.variant).files.get(OOF)] if ref]
    return oofs


async def compare_oofs(run: Run, new: list[str], old: list[str]) -> Comparison:
    """Compare two solutions, each by its out-of-fold artifacts under one or more seeds."""
    metric = await compare_artifacts(run, new, old)
    return Comparison(metric=metric, surrogate=await compare_by_surrogate(run, new, old))


async def compare_artifacts(run: Run, new: list[str], old: list[str]) -> Paired | None:
    """Return the paired difference of two sets of out-of-fold artifacts; None: not comparable."""
    return await ask_worker(run, run.worker.compare_files, new, old)


async def compare_by_surrogate(run: Run, new: list[str], old: list[str]) -> Paired | None:
    """Return the difference by the surrogate; None: one side holds labels, or cannot be read."""
    if run.prepared.soft is None:
        return None
    return await ask_worker(run, run.worker.compare_surrogate, new, old)


async def ask_worker(run: Run, compare: Compare, new: list[str], old: list[str]) -> Paired | None:
    """Return what the worker says of two sets of artifacts; None: nothing, or not in time."""
    paths = artifact_paths(run, new), artifact_paths(run, old)
    try:
        paired = await compare(run.prepared, *paths, seed=run.settings.seed)
    except WorkerTimeoutError:
        return None
    return None if paired is None else Paired.model_validate(paired)


def artifact_paths(run: Run, refs: list[str]) -> list[str]:
    """Return the files of these artifacts."""
    return [str(run.artifacts.path(ref)) for ref in refs]
