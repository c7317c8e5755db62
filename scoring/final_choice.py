"""The final choice: score the leaders under several seeds, and choose one of them or a blend."""

from __future__ import annotations

import math
from statistics import fmean, stdev
from typing import NamedTuple

from briefs.review import ask_review, can_review, list_findings
from graph.state import Best, Json, RunState, Work
from run.attempt import OOF, Attempt, ExecutionRecord, best_from
from run.comparator import (
    compare_artifacts,
    compare_by_surrogate,
    compare_oofs,
    rank_solutions,
)
from run.pool import list_members, list_refused
from run.run import Run
from scoring.audit import audit_account
from scoring.chain import weigh_chain
from scoring.evaluation import run_with_seed, seeded_attempt, takes_seed
from scoring.final_blend import REFIT_ROOM, BlendChoice, Rival, choose_blend
from task.client import WorkerTimeoutError
from task.types import Grade

LEVEL_Z = 1.0  # contenders within so many paired SE of the first are level; the audit decides


class Contender(NamedTuple):
    """A leading solution with its scores under every seed that was run."""

    attempt: Attempt
    scores: list[float]
    oofs: list[str]

    @property
    def mean(self) -> float:
        """Mean score over seeds."""
        return fmean(self.scores)

    @property
    def se(self) -> float:
        """Standard error of the mean; 0 with one seed."""
        return stdev(self.scores) / math.sqrt(len(self.scores)) if len(self.scores) > 1 else 0.0


class FinalChoice(NamedTuple):
    """What is handed over, and the facts of the contest for events and report."""

    best: Best
    single: Rival
    blend: BlendChoice
    seeds: Json  # mean score of the single solution over seeds
    facts: Json

    def describe(self) -> Json:
        """Return the facts of the contest and of what came of the blend."""
        facts: Json = {**self.facts, "ensemble": None, "score_seeds": None}
        if self.blend.best:
            facts["ensemble"] = {
                "attempt": self.blend.best.attempt,
                "score": self.blend.best.score,
                "wins": self.blend.wins,
                "dropped": list(self.blend.dropped),
            }
        if not self.blend.wins:
            facts["score_seeds"] = self.seeds
        return facts


async def choose_final(run: Run, state: RunState) -> FinalChoice:
    """Run the contest and choose what is handed over."""
    leaders = await list_leaders(run, state)
    candidates = [{"attempt": attempt.id, "score": attempt.score} for attempt in leaders]
    run.events.emit("finalizing", key="final", candidates=candidates)
    contenders = await _run_contest(run, leaders)
    single, n_level = await _choose_honest(run, state, contenders)
    means = {trace.best.ref: trace.best for trace in state.traces.values() if trace.best}
    rival = Rival(means.get(single.attempt.ref) or best_from(single.attempt), single.oofs)
    blend = await choose_blend(run, state, rival)
    facts: Json = {
        "candidates": [_describe_contender(run, contender) for contender in contenders],
        "chosen": single.attempt.id,
        "level": n_level,
        "audit": audit_account(run, more=math.log2(n_level)),
    }
    seeds = {"mean": single.mean, "se": single.se, "n": len(single.scores)}
    best = blend.best if blend.best and blend.wins else rival.best
    return FinalChoice(best, rival, blend, seeds, facts)


async def _choose_honest(
    run: Run, state: RunState, contenders: list[Contender]
) -> tuple[Contender, int]:
    """Return the first choice in which no review finds a flaw, and how many were level with it.

    Where audit rows measure leaks, or every contender has a finding, a finding is but a warning.
    """
    left = contenders
    while True:
        single, n_level = await choose_single(run, left)
        findings = await _review_finalist(run, state, single.attempt)
        if findings:
            run.warn(f"{single.attempt.id}, a finalist: {'; '.join(findings)[:400]}")
        if not findings or run.prepared.n_audit:
            return single, n_level
        left = [one for one in left if one is not single]
        if not left:
            return await choose_single(run, contenders)


async def _review_finalist(run: Run, state: RunState, attempt: Attempt) -> list[str]:
    """What a model finds in the script; each script is read once in a run."""
    if not can_review(run) or attempt.members:
        return []
    trace = state.traces[str(attempt.trace)]
    work = Work(
        attempt=attempt.id,
        kind="update",
        mode=attempt.mode,
        base=attempt.base,
        script=attempt.script,
    )
    return list_findings(await ask_review(run, trace, work, name=attempt.id))


async def list_leaders(run: Run, state: RunState) -> list[Attempt]:
    """Return the contenders: the traces' bests in order, then other accepted solutions.

    A best that followed shuffled labels, or has a flaw of the data that another trace removed, is
    none, unless there is nothing else.
    """
    bests = [trace.best for trace in state.traces.values() if trace.best]
    bests.sort(key=lambda best: (-run.sign * best.score, best.trace))
    bests = await rank_solutions(run, bests)
    heads = [trace.head for trace in state.sorted_traces()]
    others = list_members(run, heads, led_only=True)
    refs = [best.ref for best in bests] + [member.ref for member in others]
    attempts = [run.attempt(ref) for ref in refs]
    refused = list_refused(run, heads)
    honest = [each for each in attempts if each.id not in refused]
    if attempts and not honest:
        honest = [run.attempt(member.ref) for member in list_members(run, heads)]
        run.warn(
            f"{attempts[0].id} follows shuffled labels, as a script that builds on it showed,"
            " or has a flaw of the data that another trace removed"
            + ("" if honest else ", and nothing else is valid: do not trust its score")
        )
    attempts = honest or attempts
    distinct: dict[str | None, Attempt] = {}
    for attempt in attempts:
        distinct.setdefault(attempt.script, attempt)
    return list(distinct.values())[: run.settings.top_k]


async def _run_contest(run: Run, leaders: list[Attempt]) -> list[Contender]:
    """Scores under every seed that time allows: all contenders under one seed before the next."""
    contenders = [
        Contender(attempt, [attempt.score or 0.0], [str(attempt.oof)]) for attempt in leaders
    ]
    if len(contenders) < 2:
        return contenders
    for seed in range(1, run.settings.final_seeds):
        for contender in contenders:
            await _score_under_seed(run, contender, seed)
    return contenders


async def _score_under_seed(run: Run, contender: Contender, seed: int) -> None:
    """Add one more score, unless the script takes no seed or the refit would lack the time."""
    attempt = contender.attempt
    script = str(attempt.script)
    below_s = weigh_chain(run, attempt.uses).seconds  # runs in the refit alone
    needed_s = (REFIT_ROOM + 2) * attempt.seconds + REFIT_ROOM * below_s + 10
    if not takes_seed(run, script) or run.time_left_s < needed_s:
        return
    execution = await run_with_seed(run, seeded_attempt(attempt), seed)
    if execution is None:
        return
    try:
        grade = await _grade_files(run, execution)
    except WorkerTimeoutError as error:
        run.warn(f"{attempt.id} under seed {seed}: {error}")
        return
    if grade.ok and grade.score:
        contender.scores.append(grade.score.value)
        contender.oofs.append(execution.files[OOF])


async def _grade_files(run: Run, execution: ExecutionRecord) -> Grade:
    files = {name: str(run.artifacts.path(ref)) for name, ref in execution.files.items()}
    grade = await run.worker.grade(run.prepared, files, {}, None, seed=run.settings.seed)
    return Grade.model_validate(grade)


async def choose_single(run: Run, contenders: list[Contender]) -> tuple[Contender, int]:
    """Return the best mean less `caution` SE, and how many were level; the audit decides those.

    The mean is that of the surrogate where all are finer than labels, unless the metric tells one
    to be better.
    """
    ranked = await _rank(run, contenders)
    first = ranked[0]
    level = [first, *[one for one in ranked[1:] if await is_level(run, first, one)]]
    scores = [_audit_score(run, one) for one in level]
    known = [score for score in scores if score is not None]
    if len(level) < 2 or len(known) < len(level):
        return first, 1
    best = max(range(len(level)), key=lambda index: run.sign * known[index])
    return level[best], len(level)


async def _rank(run: Run, contenders: list[Contender]) -> list[Contender]:
    """The contenders by mean less `caution` standard errors over seeds, the best first."""
    caution = run.settings.caution
    finer = await _finer_scores(run, contenders)
    if finer is None:
        return sorted(contenders, key=lambda one: -(run.sign * one.mean - caution * one.se))
    losses = {one.attempt.id: one._replace(scores=each) for one, each in finer}
    ranked = sorted(
        contenders,
        key=lambda one: losses[one.attempt.id].mean + caution * losses[one.attempt.id].se,
    )
    first = ranked[0]
    for other in ranked[1:]:
        metric = await compare_artifacts(run, other.oofs, first.oofs)
        if metric is not None and metric.d > run.settings.accept_z * metric.se:
            first = other
    return [first, *(one for one in ranked if one is not first)]


async def _finer_scores(
    run: Run, contenders: list[Contender]
) -> list[tuple[Contender, list[float]]] | None:
    """The surrogate's loss of every contender and seed; None where one has labels alone."""
    if run.prepared.soft is None:
        return None
    found: list[tuple[Contender, list[float]]] = []
    for one in contenders:
        pairs = [await compare_by_surrogate(run, [oof], [oof]) for oof in one.oofs]
        losses = [paired.new for paired in pairs if paired and paired.new is not None]
        if len(losses) < len(one.oofs):
            return None
        found.append((one, losses))
    return found


async def is_level(run: Run, first: Contender, other: Contender) -> bool:
    """Whether a contender is not worse than the first by more than `LEVEL_Z` paired SE."""
    comparison = await compare_oofs(run, other.oofs, first.oofs)
    known = [one for one in (comparison.metric, comparison.surrogate) if one is not None]
    return comparison.metric is not None and all(one.d > -LEVEL_Z * one.se for one in known)


def _audit_score(run: Run, contender: Contender) -> float | None:
    grade = run.artifacts.get_model(str(contender.attempt.grade), Grade)
    return grade.audit.value if grade.audit else None


def _describe_contender(run: Run, contender: Contender) -> Json:
    """With the audit's score, which may be shown because nothing more is tried."""
    return {
        "attempt": contender.attempt.id,
        "trace": contender.attempt.trace,
        "scores": [round(score, 6) for score in contender.scores],
        "mean": contender.mean,
        "se": contender.se,
        "audit": _audit_score(run, contender),
    }
