"""Rehearsal: a script that may run long first runs on a small sample of the task.

A crash there goes to repair and costs no execution; its seconds say how long the whole may take. It
never judges: what cannot be repaired any more, or is returned unchanged, runs on all rows.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from graph.state import StateModel, Trace, Work
from run.attempt import ExecutionRecord, Sampled
from run.budget import may_repair
from run.limits import enforced_limit_s
from run.run import Run
from run.variants import has_pair
from scoring.execution import Place, ScriptRun, execute_script

LONGEST_S = 60.0  # of a rehearsal
SHARE_OF_LIMIT = 0.25  # of the script's limit, where that is shorter
LARGEST_SHARE = 0.5  # of the rows; a larger sample costs what it could save
START_S = 2.0  # of a script's seconds that do not grow with the rows: start, imports
COST_FACTOR = {"low": 1.0, "medium": 1.5, "high": 3.0}  # of a change, on its parent's seconds
SECONDS_PER_MB = 5.0  # of a first script, by the size of the training table
HEAVY_S = 300.0  # of a script that trains a network, where nothing else is known
HEAVY = re.compile(
    r"^\s*(?:import|from)\s+"
    r"(torch|torchvision|tensorflow|keras|jax|transformers|timm|fastai|sentence_transformers)\b",
    re.MULTILINE,
)


class Rehearsal(StateModel):
    """A rehearsal that took place."""

    execution: ExecutionRecord
    expected_s: float

    @property
    def needs_repair(self) -> bool:
        """Whether the script failed, other than by the short time that it had."""
        done = self.execution
        if done.end in ("timeout", "cancelled"):
            return False
        return not done.ok or not has_pair(done.files)


async def rehearse_script(run: Run, trace: Trace, work: Work) -> Rehearsal | None:
    """Run the script on a sample, where it is expected to run long and a repair is possible."""
    name, script = work.script_name, str(work.script)
    if not run.is_done("rehearse", [name, script]) and not is_rehearsed(run, trace, work):
        return None
    sample = await run.worker.sample(run.prepared, str(run.folder / "work" / "sample"))
    sampled = Sampled(rows=sample["rows"], of=sample["of"])
    if sampled.share > LARGEST_SHARE:
        return None
    limit_s = min(LONGEST_S, SHARE_OF_LIMIT * enforced_limit_s(run, trace, work))
    place: Place = {"what": f"rehearsal of {work.attempt}"}
    task = ScriptRun(f"{name}-rehearsal", script, sample["inputs"], limit_s, place)

    async def run_script() -> ExecutionRecord:
        async with run.slots:
            record = await execute_script(run, task)
        return record.evolve(rehearsed=sampled)

    execution = await run.once("rehearse", [name, script], run_script, ExecutionRecord)
    rehearsal = Rehearsal(execution=execution, expected_s=extrapolate_s(execution))
    announce_rehearsal(run, f"{name}:{script[:12]}", trace, work, rehearsal)
    return rehearsal


def is_rehearsed(run: Run, trace: Trace, work: Work) -> bool:
    """Whether the script runs on the sample first."""
    threshold_s = run.settings.rehearse_s
    if not threshold_s or not may_repair(run, work):
        return False
    if enforced_limit_s(run, trace, work) <= threshold_s:
        return False
    former = last_execution(run, work)
    if former and former.rehearsed and former.ran == work.script:  # the reasoner stands by it
        return False
    return expected_script_s(run, work, former) > threshold_s


def last_execution(run: Run, work: Work) -> ExecutionRecord | None:
    """Return the execution that this attempt's script repairs, if there is one."""
    if not work.execution:
        return None
    return run.artifacts.get_model(work.execution, ExecutionRecord)


def expected_script_s(run: Run, work: Work, former: ExecutionRecord | None) -> float:
    """Estimate a script's seconds: from what it repairs, or changes, or else from the data."""
    if former is not None:
        return extrapolate_s(former) if former.rehearsed else former.wall_s
    seconds = run.attempt(work.base).seconds if work.base else 0.0
    if seconds:
        return seconds * COST_FACTOR[work.hypothesis.cost if work.hypothesis else "low"]
    tables = [
        Path(path) for name, path in run.prepared.inputs.items() if Path(name).stem == "train"
    ]
    n_bytes = sum(path.stat().st_size for path in tables if path.is_file())
    heavy_s = HEAVY_S if HEAVY.search(run.artifacts.get(str(work.script))) else 0.0
    return max(heavy_s, SECONDS_PER_MB * n_bytes / 2**20)


def extrapolate_s(rehearsed: ExecutionRecord) -> float:
    """Return the seconds on all rows, if all but the start grows with the rows."""
    start_s = min(START_S, rehearsed.wall_s)
    share = rehearsed.rehearsed.share if rehearsed.rehearsed else 1.0
    return start_s + (rehearsed.wall_s - start_s) / share


def describe_rehearsal(execution: ExecutionRecord, expected_s: float | None) -> str:
    """Return what a rehearsal says to the repair of a script; empty where there was none."""
    if expected_s is None:
        return ""
    whole = f"all rows would take about {expected_s:,.0f} s, if its time grows with the rows"
    sample = execution.rehearsed
    if sample is None:
        return f"A rehearsal on a sample of the rows ended well; by its seconds, {whole}."
    part = f"{sample.rows:,} of {sample.of:,} training rows laid out in the same way"
    return (
        f"The script ran on a sample, {part}, and failed there after {execution.wall_s:,.0f} s; "
        f"no execution was spent; {whole}."
    )


def announce_rehearsal(run: Run, key: str, trace: Trace, work: Work, rehearsal: Rehearsal) -> None:
    """Emit the event of a rehearsal; a rented sandbox's cost counts as usage."""
    done = rehearsal.execution
    sample: dict[str, Any] = done.rehearsed.dump() if done.rehearsed else {}
    run.events.emit(
        "rehearsed",
        key=key,
        attempt=work.attempt,
        trace=trace.trace,
        step=trace.step,
        **sample,
        seconds=round(done.wall_s, 3),
        expected_s=round(rehearsal.expected_s, 1),
        failed=rehearsal.needs_repair,
        end=done.end,
        exit_code=done.exit_code,
        cpu_s=done.cpu_s,
        peak_bytes=done.peak_bytes,
        usage={"usd": done.usd} if done.usd else {},
    )
