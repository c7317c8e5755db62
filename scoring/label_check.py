"""The check of scores that are too good to be true: a second execution with shuffled labels.

Where no held-back rows can tell, a script whose out-of-fold predictions are far better than those
of the plain model runs once more on a training table in which the labels of one fold are permuted.
Predictions that follow them have seen the labels that they predict. What the check cleared becomes
the yardstick of later attempts, so an honest run is checked once or twice, not at every step.
"""

from __future__ import annotations

import asyncio
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from graph.state import Json
from run.attempt import OOF, UNCHECKED, ExecutionRecord, is_refused
from run.budget import REPEAT_EXTRA_S, REPEAT_FACTOR
from run.chain import list_chain
from run.run import Run
from run.variants import variant_environment, variant_files
from scoring.acceptance import Judgement
from scoring.audit import count_audit_bits
from scoring.chain import BrokenChainError, ChainRuns, Execute, Link, link_of, weigh_chain
from scoring.execution import ScriptRun, execute_script
from task.client import WorkerTimeoutError
from task.types import Grade, GradedVariant, Line, Problem

MIN_AUDIT_ROWS = 100  # fewer held-back rows cannot tell
LEFT_SHARE, MIN_GAP = 0.5, 0.02
"""Too good: at most this share of what the yardstick leaves is left, and the gap is so large."""
N_FOLDS = 2  # folds whose shuffled labels must be followed before a script is refused
FOLLOWS = "leak_labels"
"""Codes: predictions follow the labels of the rows that they predict; it could not be found out."""
ENDS = {
    "timeout": "it ran into its time limit of {limit:.0f} s",
    "memory": "it ran into its memory limit",
    "disk": "it ran into its disk limit",
    "output": "it printed without end",
}


class Shuffle(BaseModel):
    """What a second execution on shuffled labels showed."""

    model_config = ConfigDict(frozen=True)
    fold: int
    seconds: float
    usd: float = 0.0
    p: float = 1.0
    followed: float = 0.0
    follows: bool = False
    failure: str = ""  # why it could not be compared
    through: list[str] = []  # of the scripts that it builds on, those that follow too


class LabelCheck(BaseModel):
    """The answer for one script, as it is stored.

    `power` and `bar` are the strength of its predictions and of what they were compared with, per
    target column, 0..1.
    """

    model_config = ConfigDict(frozen=True)
    result: Literal["ordinary", "honest", "follows", "unchecked"]
    power: list[float] = []
    bar: list[float] = []
    shuffles: list[Shuffle] = []
    problem: Problem | None = None
    through: list[str] = []  # attempts that it builds on and that follow the labels themselves


class Draw(BaseModel):
    """The number that decides a permutation; scripts must not be able to guess it."""

    number: str


class Doubted(NamedTuple):
    """A script whose score is checked, and its first execution."""

    name: str  # attempt and repair
    script: str  # artifact
    oof: str  # path
    wall_s: float
    uses: Mapping[str, str] = {}  # attempts that it builds on -> their records
    variant: str = ""  # that speaks for it, where it wrote several


async def check_labels(
    run: Run, name: str, script: str, execution: ExecutionRecord, grade: Grade, before: Judgement
) -> Judgement:
    """Return the judgement after the check, which only ever refuses.

    Args:
        run: the run.
        name: of the script: attempt and repair.
        script: its artifact.
        execution: its first execution.
        grade: of that execution.
        before: the judgement so far.
    """
    if not run.settings.check_labels or before.verdict == "failed" or is_refused(before.codes):
        return before
    if can_audit_tell(run, grade):
        return before
    path = str(run.artifacts.path(execution.files[OOF]))
    variant = grade.line.best if grade.line else ""
    doubted = Doubted(name, script, path, execution.wall_s, execution.uses, variant)

    async def ask() -> LabelCheck:
        return await _check_script(run, doubted)

    check = await run.once("labels", [name, script], ask, LabelCheck)
    if check.result != "ordinary":
        _announce_check(run, name, check)
    return before if check.problem is None else Judgement("rejected", False, [check.problem])


async def check_other_variants(
    run: Run, execution: ExecutionRecord, grade: Grade, line: Line
) -> Line:
    """Return the line without the variants that are too good to be true, the best one apart.

    The best was checked by itself. Another one that leaves far less unexplained than what was
    cleared is refused: it scores lower, so the two do not go together.
    """
    if not run.settings.check_labels or can_audit_tell(run, grade):
        return line
    checked: list[GradedVariant] = []
    for variant in line.variants:
        if variant.counts and variant.name != line.best:
            oof = str(run.artifacts.path(execution.files[variant_files(variant.name)[0]]))
            if await _is_unexplained(run, oof):
                message = "far better than a plain model's by its strength, and not by its score"
                problem = Problem(code=UNCHECKED, message=message)
                variant = variant.model_copy(update={"problems": [problem]})
        checked.append(variant)
    return line.model_copy(update={"variants": checked})


async def _is_unexplained(run: Run, oof: str) -> bool:
    try:
        strength = await run.worker.measure_strength(run.prepared, oof)
    except WorkerTimeoutError:
        return True
    return is_too_good(strength["power"], _raise_bar(run, strength["plain"]))


def can_audit_tell(run: Run, grade: Grade) -> bool:
    """Whether held-back rows judge the attempts of this run: enough of them, that still answer.

    Under a split by time they are harder than the others and show no leak. After an appeal the
    check on shuffled labels judges besides: it leaves no row out.
    """
    if grade.audit is None or grade.audit.n < MIN_AUDIT_ROWS or grade.appeal is not None:
        return False
    is_by_time = run.prepared.task.split.kind == "time"
    return not is_by_time and count_audit_bits(run) < run.settings.audit_bits


def is_too_good(power: list[float], bar: list[float]) -> bool:
    """Whether predictions leave far less unexplained than the bar, in any target column."""
    return any(
        one - other > MIN_GAP and 1 - one < LEFT_SHARE * (1 - other)
        for one, other in zip(power, bar, strict=True)
    )


async def _check_script(run: Run, doubted: Doubted) -> LabelCheck:
    try:
        strength = await run.worker.measure_strength(run.prepared, doubted.oof)
    except WorkerTimeoutError as error:
        return _refuse_unchecked(LabelCheck(result="unchecked"), str(error))
    power, bar = strength["power"], _raise_bar(run, strength["plain"])
    check = LabelCheck(result="ordinary", power=power, bar=bar)
    if not is_too_good(power, bar):
        return check
    shuffles: list[Shuffle] = []
    for place in range(N_FOLDS):
        needed_s = doubted.wall_s + weigh_chain(run, doubted.uses).seconds
        if repeat_limit_s(run, needed_s) < needed_s + 1:
            why = f"the run has no time left to spend its {needed_s:.0f} s again"
            return _refuse_unchecked(check, why)
        shuffles.append(await _execute_shuffled(run, doubted, place))
        check = check.model_copy(update={"shuffles": list(shuffles)})
        if not shuffles[-1].failure and not shuffles[-1].follows:
            return check.model_copy(update={"result": "honest"})
    if failure := next((each.failure for each in shuffles if each.failure), ""):
        return _refuse_unchecked(check, failure)
    through = [name for name in shuffles[0].through if name in shuffles[-1].through]
    problem = _describe_following(shuffles, through)
    return check.model_copy(update={"result": "follows", "problem": problem, "through": through})


def repeat_limit_s(run: Run, seconds: float) -> float:
    """Return the limit of a script that took so long and runs again on shuffled labels."""
    return min(run.time_left_s, REPEAT_FACTOR * seconds + REPEAT_EXTRA_S)


def _raise_bar(run: Run, plain: list[float]) -> list[float]:
    """The plain model's strength, or where it is higher that of a script that was cleared."""
    bar = plain
    for check in read_label_checks(run):
        if check.result == "honest" and len(check.power) == len(bar):
            bar = [max(one, other) for one, other in zip(bar, check.power, strict=True)]
    return bar


def read_label_checks(run: Run) -> list[LabelCheck]:
    """Return every answer of this run; a damaged one is found again when it is asked for."""
    return [check for check in run.read_done("labels", LabelCheck) if check]


async def _execute_shuffled(run: Run, doubted: Doubted, place: int) -> Shuffle:
    """Execute the script on shuffled labels and compare; stored, so that no resume repeats it.

    What it builds on is made anew of the shuffled labels: the recorded files know the true ones.
    """
    parts = [doubted.name, doubted.script, str(place)]

    async def draw_number() -> Draw:
        return Draw(number=secrets.token_hex(16))

    draw = await run.once("draw", parts, draw_number, Draw)

    async def execute() -> Shuffle:
        folder = run.folder / "work" / f"{doubted.name}-shuffled{place}-input"
        folder.mkdir(parents=True, exist_ok=True)
        try:
            table = await run.worker.write_shuffled_labels(
                run.prepared, place, draw.number, str(folder)
            )
            inputs = run.prepared.inputs | {Path(table["path"]).name: table["path"]}
            chain = ChainRuns(run, inputs, _runner(run, doubted, place))
            try:
                top = Link(doubted.name, doubted.script, doubted.uses, doubted.variant)
                execution = await chain.execute(top)
            except BrokenChainError as error:
                return Shuffle(fold=table["fold"], seconds=0.0, failure=str(error))
            shuffle = await _compare_predictions(
                run, doubted, execution, table["fold"], draw.number
            )
            return await _compare_links(run, doubted, chain, shuffle, draw.number)
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, True)

    return await run.once("shuffled", parts, execute, Shuffle)


def _runner(run: Run, doubted: Doubted, place: int) -> Execute:
    """How a script of the chain is executed on the shuffled labels."""
    seconds = {each.id: each.seconds for each in list_chain(run.attempt, doubted.uses)}

    async def execute(link: Link, inputs: dict[str, str]) -> ExecutionRecord:
        name, what = f"{link.name}-shuffled{place}", f"{link.name} on shuffled labels"
        is_top = link.name == doubted.name
        limit_s = repeat_limit_s(run, doubted.wall_s if is_top else seconds[link.name])
        environment = variant_environment(link.variant)
        task = ScriptRun(
            name, link.script, inputs, limit_s, {"what": what}, environment, keeps=not is_top
        )
        async with run.slots:
            return await execute_script(run, task)

    return execute


async def _compare_links(
    run: Run, doubted: Doubted, chain: ChainRuns, shuffle: Shuffle, number: str
) -> Shuffle:
    """The shuffle with what it cost in all, and with the scripts below that follow the labels."""
    through, seconds, usd = [], 0.0, 0.0
    for attempt in list_chain(run.attempt, doubted.uses):
        execution = await chain.execute(link_of(attempt))
        seconds, usd = seconds + execution.wall_s, usd + execution.usd
        if not shuffle.follows:
            continue
        own = Doubted(attempt.id, "", str(run.artifacts.path(str(attempt.oof))), 0.0)
        found = await _compare_predictions(run, own, execution, shuffle.fold, number)
        through += [attempt.id] if found.follows else []
    total_s, total_usd = round(shuffle.seconds + seconds, 3), shuffle.usd + usd
    changes = {"through": through, "seconds": total_s, "usd": total_usd}
    return shuffle.model_copy(update=changes)


async def _compare_predictions(
    run: Run, doubted: Doubted, execution: ExecutionRecord, fold: int, number: str
) -> Shuffle:
    shuffle = Shuffle(fold=fold, seconds=round(execution.wall_s, 3), usd=execution.usd)
    if failure := _describe_failure(run, execution):
        return shuffle.model_copy(update={"failure": failure})
    second = str(run.artifacts.path(execution.files[OOF]))
    try:
        found = await run.worker.measure_following(run.prepared, doubted.oof, second, fold, number)
    except WorkerTimeoutError as error:
        return shuffle.model_copy(update={"failure": str(error)})
    problem = found["problem"]
    changes = {name: found[name] for name in ("p", "followed", "follows")}
    return shuffle.model_copy(update=changes | {"failure": problem["message"] if problem else ""})


def _describe_failure(run: Run, execution: ExecutionRecord) -> str:
    """Why an execution has no predictions to compare; empty: it has."""
    if execution.end in ENDS:
        return ENDS[execution.end].format(limit=execution.wall_s)
    if not execution.ok:
        last = run.artifacts.get(str(execution.log)).strip().rpartition("\n")[2]
        return f"it ended with exit code {execution.exit_code}: {last[:200]}"
    return "" if OOF in execution.files else f"it wrote no {OOF}"


def _refuse_unchecked(check: LabelCheck, why: str) -> LabelCheck:
    message = (
        "the out-of-fold score is far better than a plain model's, so the script was to run again "
        f"with the labels of one fold shuffled, and nothing could be compared: {why}; make it run "
        "on any labels, and faster if time is short"
    )
    problem = Problem(code=UNCHECKED, message=message)
    return check.model_copy(update={"result": "unchecked", "problem": problem})


def _describe_following(shuffles: list[Shuffle], through: list[str]) -> Problem:
    folds = " and ".join(str(each.fold) for each in shuffles)
    share = min(each.followed for each in shuffles)
    message = (
        "out-of-fold predictions follow the labels of the very rows that they predict: the script "
        f"ran again with the labels of one fold shuffled (fold {folds}), and its predictions of "
        f"that fold agreed with the shuffled labels ({share:.0%} as well as with the true ones "
        "before); predict every fold by a model, and from features, that have seen none of its "
        "labels"
    )
    if through:
        names = ", ".join(through)
        message += f"; those of {names}, which it builds on, follow them too: leave those out"
    return Problem(code=FOLLOWS, message=message)


def _announce_check(run: Run, name: str, check: LabelCheck) -> None:
    usd = sum(each.usd for each in check.shuffles)
    payload: Json = check.model_dump(exclude={"problem"})
    run.events.emit(
        "labels_checked",
        key=name,
        attempt=name.rpartition("r")[0],
        **payload,
        seconds=round(sum(each.seconds for each in check.shuffles), 3),
        message=check.problem.message if check.problem else "",
        usage={"usd": usd} if usd else {},
    )
