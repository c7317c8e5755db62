"""The average over seeds: left-over time and executions go into what is handed over.

Every script of the final solution that takes a seed runs under further ones, on the rows on which
it was fitted last. The mean of its predictions has the pipeline's error without the luck of one
seed; it is handed over where the harness's own scores do not speak against it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from graph.state import Json
from run.attempt import (
    OOF,
    SUBMISSION,
    Attempt,
    ExecutionRecord,
    Member,
    best_from,
    store_attempt,
)
from run.best import write_solution
from run.budget import executions_left
from run.models import seeded_key
from run.run import Run
from run.variants import choose_variant, seeded_parts
from scoring.chain import BrokenChainError, ChainRuns, Link
from scoring.evaluation import (
    NoRoomError,
    Seeded,
    room_for,
    run_with_seed,
    takes_seed,
)
from scoring.refit import Fit, chain_refits, fit_parts, fit_script, list_links
from task.client import WorkerError
from task.types import AveragedJson, BlendJson, TaskError


class Pair(NamedTuple):
    """Artifacts of what a script predicted, and how long it took."""

    oof: str
    submission: str
    seconds: float


Round = dict[str, Pair]  # of each script, under one seed


async def average_seeds(run: Run, fit: Fit) -> Fit:
    """Average what is handed over over more seeds, as far as time and executions are left.

    Returns:
        What is handed over then; `fit` where nothing is averaged.
    """
    attempt = run.attempt(fit.choice.best.ref)
    links = list_links(run, attempt)
    takers = {name: link for name, link in links.items() if takes_seed(run, link.script)}
    if run.settings.average_seeds < 2 or not takers:
        return fit
    weights = {name: member.weight for name, member in attempt.members.items()}
    weights = weights or dict.fromkeys(links, 1.0)
    try:
        first = await _first_round(run, fit, attempt, links)
        await _judge(run, fit, [first], weights)  # else nothing is worth running
        rounds = [first, *await _run_rounds(run, Seeds(run, fit, attempt), takers, first)]
        if len(rounds) < 2:
            return fit
        judged = await _judge(run, fit, rounds, weights)
        return await _hand_over(run, fit, attempt, rounds, judged)
    except (TaskError, WorkerError, BrokenChainError) as error:
        text = " ".join(str(error).split())[:200]
        run.warn(f"{attempt.id} is not averaged over seeds: {text}")
        return fit


async def _first_round(run: Run, fit: Fit, attempt: Attempt, links: Mapping[str, Link]) -> Round:
    """What is handed over now, by script. Raises TaskError where that is not known."""
    if fit.full is not None:
        chain = chain_refits(run, attempt, fit.full.inputs)  # done already: nothing runs again
        executions = {name: await chain.execute(link) for name, link in links.items()}
        pairs = {name: _pair_of(one) for name, one in executions.items()}
    else:
        pairs = {name: _recorded_pair(run, attempt, name) for name in links}
    if missing := [name for name, pair in pairs.items() if pair is None]:
        raise TaskError(f"{missing[0]} has no out-of-fold predictions to compare with")
    return {name: pair for name, pair in pairs.items() if pair is not None}


def _pair_of(execution: ExecutionRecord | None) -> Pair | None:
    files = execution.files if execution is not None and execution.ok else {}
    if execution is None or not {OOF, SUBMISSION} <= files.keys():
        return None
    return Pair(files[OOF], files[SUBMISSION], execution.wall_s)


def _recorded_pair(run: Run, attempt: Attempt, name: str) -> Pair | None:
    """What an attempt predicted in the run, or a member of a blend."""
    if not attempt.members:
        return Pair(str(attempt.oof), str(attempt.submission), attempt.seconds)
    ref = attempt.members[name].ref
    known = run.history.entry(ref).members if ref else ()
    return next(
        (Pair(one.oof, one.submission, one.seconds) for one in known if one.id == name), None
    )


class Seeds:
    """Executions of scripts under further seeds, on the rows of a fit."""

    def __init__(self, run: Run, fit: Fit, attempt: Attempt) -> None:
        self.run, self.fit = run, fit
        self.chain: ChainRuns | None = None
        if fit.full is not None:
            self.chain = chain_refits(run, attempt, fit.full.inputs)

    def is_done(self, link: Link, seed: int) -> bool:
        """Whether the execution is stored."""
        if self.chain is None:
            return self.run.is_done("seeded", seeded_parts(link.script, seed, link.variant))
        return self.run.is_done("refit", fit_parts(link, seed))

    async def execute(self, link: Link, seed: int, seconds: float) -> Pair | None:
        """Run a script that took so long; None: there is no room, or it gave nothing valid."""
        pair = _pair_of(await self._execute(link, seed, seconds))
        if pair is None:
            return None
        prepared = self.fit.full or self.run.prepared
        path = str(self.run.artifacts.path(pair.submission))
        return None if await self.run.worker.check_submission(prepared, path) else pair

    async def _execute(self, link: Link, seed: int, seconds: float) -> ExecutionRecord | None:
        run = self.run
        if self.chain is None:
            seeded = Seeded(link.name, link.script, seconds, link.uses, link.variant)
            return await run_with_seed(run, seeded, seed)
        inputs = self.chain.inputs | await self.chain.mounts_of(link)
        try:
            made = await fit_script(run, link, inputs, lambda: room_for(run, seconds), seed)
        except NoRoomError:
            return None
        return choose_variant(made, link.variant)


async def _run_rounds(
    run: Run, seeds: Seeds, takers: Mapping[str, Link], first: Round
) -> list[Round]:
    """Run one seed after the other, the heaviest member first, as far as there is room."""
    rounds: list[Round] = []
    left = dict(takers)
    for seed in range(1, run.settings.average_seeds):
        known = [name for name, link in left.items() if seeds.is_done(link, seed)]
        new = [name for name in left if name not in known][: executions_left(run)]
        names = [name for name in left if name in known or name in new]
        pairs = await asyncio.gather(
            *(seeds.execute(left[name], seed, first[name].seconds) for name in names)
        )
        found = {name: pair for name, pair in zip(names, pairs, strict=True) if pair}
        for name in [name for name, pair in found.items() if is_same_pair(pair, first[name])]:
            del found[name], left[name]  # a linear model, say: no further seed changes it
        if not found:
            break
        rounds.append(found)
    return rounds


def is_same_pair(one: Pair, other: Pair) -> bool:
    """Whether two executions predicted the same, to the byte."""
    return (one.oof, one.submission) == (other.oof, other.submission)


async def _judge(
    run: Run, fit: Fit, rounds: Sequence[Round], weights: dict[str, float]
) -> AveragedJson:
    """Which rounds to average, by the out-of-fold files of these very executions."""
    return await run.worker.judge_average(
        run.prepared,
        [
            {name: str(run.artifacts.path(pair.oof)) for name, pair in each.items()}
            for each in rounds
        ],
        weights,
        z=run.settings.accept_z,
        alike=len(weights) == 1,
        n_rows=fit.full.n_train if fit.full else 0,
    )


async def _hand_over(
    run: Run, fit: Fit, attempt: Attempt, rounds: Sequence[Round], judged: AveragedJson
) -> Fit:
    """Write the average into best/, and return what is handed over then."""
    tried = {"rounds": len(judged["kept"]), "tried": len(rounds), "refit": fit.full is not None}
    facts: Json = tried | {name: judged[name] for name in ("gain", "score", "single")}
    if len(judged["kept"]) < 2:
        return _with_facts(fit, facts)
    seeds = {
        name: [seed for seed in judged["kept"] if name in judged["names"][seed]]
        for name in rounds[0]
    }
    members = share_members(attempt, seeds)
    pairs = {
        name_seed(name, seed, rounds[0]): rounds[seed][name]
        for name, own in seeds.items()
        for seed in own
    }
    prepared, path = fit.full or run.prepared, run.folder / "work" / "averaged.csv"
    files = {name: str(run.artifacts.path(pair.submission)) for name, pair in pairs.items()}
    weights = {name: member.weight for name, member in members.items()}
    alike = len(seeds) == 1
    await run.worker.mix(prepared, files, weights, str(path), alike=alike)
    if problems := await run.worker.check_submission(prepared, str(path)):
        raise TaskError(problems[0]["message"])
    script = run.artifacts.put(await _write_driver(run, members, judged))
    average = attempt.evolve(members=members, script=script, variant="", uses={})
    average = store_attempt(run.artifacts, average)
    hashes = await write_solution(
        run, run.folder / "best", average, path, prepared.inputs, refit=fit.full is not None
    )
    path.unlink(missing_ok=True)
    score = fit.choice.best.score  # a mean, where it was measured again
    choice = fit.choice._replace(best=best_from(average).evolve(score=score))
    fit = fit._replace(choice=choice, files=hashes if fit.full else {})
    return _with_facts(fit, facts | {"seeds": seeds})


def _with_facts(fit: Fit, facts: Json) -> Fit:
    choice = fit.choice
    return fit._replace(choice=choice._replace(facts={**choice.facts, "averaged": facts}))


def share_members(attempt: Attempt, seeds: Mapping[str, Sequence[int]]) -> dict[str, Member]:
    """Return a member for every script and seed; the first seed stands for those not run."""
    n_rounds = len({seed for own in seeds.values() for seed in own})
    members: dict[str, Member] = {}
    for name, own in seeds.items():
        alone = Member(
            weight=1.0, script=str(attempt.script), ref=attempt.ref, variant=attempt.variant
        )
        whole = attempt.members.get(name, alone)
        for seed in own:
            n_times = 1 if seed else n_rounds - len(own) + 1
            members[name_seed(name, seed, seeds)] = whole.evolve(
                weight=whole.weight * n_times / n_rounds, seed=seed
            )
    return members


def name_seed(name: str, seed: int, names: Iterable[str]) -> str:
    """Return the name of a script under a seed; a variant may have the same one."""
    made, taken = seeded_key(name, seed), set(names)
    while seed and made in taken:
        made += "x"
    return made


async def _write_driver(run: Run, members: Mapping[str, Member], judged: AveragedJson) -> str:
    """The script that runs every member under its seed, and averages."""
    has_chain = {name: bool(one.ref and run.attempt(one.ref).uses) for name, one in members.items()}
    blend = BlendJson(
        weights={name: member.weight for name, member in members.items()},
        method=judged["method"],
        classes=judged["classes"],
        scaled=judged["scaled"],
        bounds=judged["bounds"],
        columns=judged["columns"],
        oof="",
        submission="",
        refused={},
        seconds=0.0,
    )
    variants = {
        name: "" if has_chain[name] else one.variant  # a chain's driver knows it
        for name, one in members.items()
    }
    return await run.worker.blend_driver(
        blend, variants, {name: member.seed for name, member in members.items()}
    )
