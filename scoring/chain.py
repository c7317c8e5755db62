"""What a script is given of earlier ones, and the runs of a whole chain on other inputs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from run.attempt import Attempt, ExecutionRecord, spent_cpu_s
from run.chain import INDEX, count_code_lines, given_by, index_text, list_chain
from run.run import Run
from run.variants import choose_variant
from scoring.acceptance import TieBreak


class Link(NamedTuple):
    """A script with those that it builds on."""

    name: str
    script: str  # artifact
    uses: Mapping[str, str]
    variant: str = ""  # that it computes alone; empty: it has none


Execute = Callable[[Link, dict[str, str]], Awaitable[ExecutionRecord]]  # of a script on inputs


class BrokenChainError(Exception):
    """A script of a chain gave nothing that the next one could read; the message names it."""


def mount_uses(run: Run, inputs: dict[str, str], uses: Mapping[str, str]) -> dict[str, str]:
    """Return the inputs of a script with what the attempts that it builds on predicted and kept."""
    attempts = [run.attempt(ref) for ref in uses.values()]
    mounts = dict(inputs)
    for each in attempts:
        if given := given_by(run.artifacts.path, each):
            mounts |= given.mounts(each.id)
    return mounts | _index_mount(run, attempts)


def _index_mount(run: Run, attempts: Sequence[Attempt]) -> dict[str, str]:
    if not attempts:
        return {}
    scripts = {each.id: run.artifacts.get(str(each.script)) for each in attempts}
    index = run.artifacts.put(index_text(attempts, scripts))
    return {INDEX: str(run.artifacts.path(index))}


def weigh_chain(run: Run, uses: Mapping[str, str]) -> TieBreak:
    """Return the seconds and the lines of code of all scripts that one builds on."""
    chain = list_chain(run.attempt, uses)
    lines = sum(count_code_lines(run.artifacts.get(str(each.script))) for each in chain)
    return TieBreak(sum(each.seconds_of_one for each in chain), lines, sum_cpu_s(run, chain))


def sum_cpu_s(run: Run, attempts: Iterable[Attempt]) -> float | None:
    """Return the CPU seconds of attempts together; None where those of one are not known."""
    total = 0.0
    for each in attempts:
        record = ExecutionRecord()
        if each.execution:
            record = run.artifacts.get_model(each.execution, ExecutionRecord)
        cpu_s = spent_cpu_s(record)
        if cpu_s is None:
            return None
        total += cpu_s / each.n_variants
    return total


class ChainRuns:
    """Executions of scripts and of all that they build on, on other inputs; each script once."""

    def __init__(self, run: Run, inputs: dict[str, str], execute: Execute) -> None:
        self.run, self.inputs, self._execute = run, inputs, execute
        self.tasks: dict[str, asyncio.Task[ExecutionRecord]] = {}

    async def execute(self, link: Link) -> ExecutionRecord:
        """Run a script after those that it builds on.

        Raises:
            BrokenChainError: one of those failed.
        """
        key = f"{link.name} {link.script} {link.variant}"
        if key not in self.tasks:
            self.tasks[key] = asyncio.create_task(self._run_link(link))
        return await self.tasks[key]

    async def _run_link(self, link: Link) -> ExecutionRecord:
        execution = await self._execute(link, self.inputs | await self.mounts_of(link))
        return choose_variant(execution, link.variant)

    async def mounts_of(self, link: Link) -> dict[str, str]:
        """Run what a script builds on; return what it is given of them.

        Raises:
            BrokenChainError: one of them failed.
        """
        mounts: dict[str, str] = {}
        attempts = [self.run.attempt(ref) for ref in link.uses.values()]
        for each in attempts:
            execution = await self.execute(link_of(each))
            given = given_by(self.run.artifacts.path, execution) if execution.ok else None
            if given is None:
                raise BrokenChainError(
                    f"{each.id}, which {link.name} builds on, {describe_failure(execution)}"
                )
            mounts |= given.mounts(each.id)
        return mounts | _index_mount(self.run, attempts)


def link_of(attempt: Attempt) -> Link:
    """Return an attempt as a link of a chain."""
    return Link(attempt.id, str(attempt.script), attempt.uses, attempt.variant)


def describe_failure(execution: ExecutionRecord) -> str:
    """Say how a script ended that gave no predictions."""
    if execution.end == "timeout":
        return f"ran out of time after {execution.wall_s:.0f} s"
    if execution.end != "exit":
        return f"was ended for its use of {execution.end}"
    if execution.exit_code:
        return f"ended with exit code {execution.exit_code}"
    return "wrote no predictions"
