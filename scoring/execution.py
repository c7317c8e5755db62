"""The forward pass: run one script in the sandbox, store its output and files as artifacts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

from graph.state import Trace, Work
from reasoner.same_code import code_key
from run.artifacts import ArtifactError, Artifacts
from run.attempt import ExecutionRecord
from run.chain import find_missing, reads_attempts
from run.limits import enforced_limit_s, longest_wall_s, script_memory_bytes
from run.models import keep_model
from run.run import Run
from run.transcripts import make_call_store
from run.variants import PATTERNS
from sandbox.inside.progress import ProgressCallback
from sandbox.inside.walk import free_place, make_fresh_folder
from sandbox.local.gpus import needs_gpu
from sandbox.protocol import (
    KEEP_FOLDER,
    MODEL_FOLDER,
    OUTPUTS,
    Execution,
    Job,
    Limits,
    SandboxLostError,
    SandboxUnavailableError,
)
from scoring.kept import Kept, choose_kept_of, store_kept

TRIES, PAUSE_S = 3, 1.0
DUPLICATE_LOOK_BACK = 1_000  # attempts of a trace whose scripts are known
LONGER = 1.5  # times the limit that ended a script: with more it runs again


class Place(TypedDict, total=False):
    """Where an execution belongs, for live listeners: an attempt, or another purpose (`what`)."""

    attempt: str
    trace: int
    step: int
    what: str


class ScriptRun(NamedTuple):
    """One script to execute."""

    name: str  # of its workspace
    script: str  # artifact
    inputs: dict[str, str]
    limit_s: float
    place: Place
    env: dict[str, str] = {}
    uses: Mapping[str, str] = {}  # attempts whose files are among the inputs -> their records
    keeps: bool = False  # what it leaves in keep/ is stored
    model: str = ""  # name under which its model/ is kept; empty: it is not
    is_look: bool = False  # its files are dropped, and its output is kept with the transcripts
    longest_s: float | None = None  # where it waits for its cores; None: as `limit_s`


def find_known_execution(
    run: Run,
    trace: Trace,
    work: Work,
    siblings: Sequence[str | None] = (),
    uses: Mapping[str, str] | None = None,
) -> ExecutionRecord | None:
    """Return the execution of this script, but for comments, that need not be repeated.

    Another attempt, of this trace or of the `siblings` (heads), ran it to its end; or it ran out of
    time as long as it would now have, in this attempt or one before: a draft or a repair must be
    cheaper. `uses`: what it would be given now; with other files it is another execution.
    """
    entries = [
        entry
        for head in (trace.head, *siblings)
        for entry in run.history.chain(head, limit=DUPLICATE_LOOK_BACK)
    ]
    code = _code_of(run, work.script)
    same = [run.attempt(entry.ref) for entry in entries if code == _code_of(run, entry.script)]
    records = {each.id: _read_execution(run, each.execution) for each in same if each.execution}
    records = {name: each for name, each in records.items() if each.uses == dict(uses or {})}
    for name, record in records.items():
        is_same = code == _code_of(run, record.ran) and not record.rehearsed
        if is_same and record.end == "exit":
            return record.evolve(same_as=name)
    own = [_read_execution(run, work.execution)] if work.execution else []
    limit_s = enforced_limit_s(run, trace, work)
    for record in (*own, *records.values()):
        is_same = code == _code_of(run, record.ran) and not record.rehearsed
        if is_same and record.end == "timeout" and LONGER * (record.limit_s or 0.0) >= limit_s:
            return record
    return None


def _code_of(run: Run, script: str | None) -> str:
    """The key of a stored script's code; empty where there is none."""
    return _stored_code(run.artifacts.root, script) if script else ""


@lru_cache(maxsize=4 * DUPLICATE_LOOK_BACK)
def _stored_code(root: Path, script: str) -> str:
    with suppress(ArtifactError, OSError):  # of an imported run
        return code_key(Artifacts(root).get(script))
    return script


def _read_execution(run: Run, ref: str) -> ExecutionRecord:
    return run.artifacts.get_model(ref, ExecutionRecord)


async def execute_script(run: Run, task: ScriptRun) -> ExecutionRecord:
    """Execute a script once.

    A broken sandbox is no failure of the script: the script runs again.

    Raises:
        SandboxUnavailableError: the sandbox broke `TRIES` times in a row.
    """
    for count in range(1, TRIES + 1):
        try:
            return await _execute_once(run, task)
        except SandboxLostError as error:
            if count == TRIES:
                raise SandboxUnavailableError(
                    f"the sandbox broke {TRIES} times in a row ({error}); "
                    "`gome resume` continues from here"
                ) from error
            run.warn(f"{task.name}: {error}; the script runs again")
        await asyncio.sleep(PAUSE_S * count)
    raise AssertionError("unreachable")


async def _execute_once(run: Run, task: ScriptRun) -> ExecutionRecord:
    # a new folder: a leftover of a killed run may hold planted links
    workspace, left = await asyncio.to_thread(make_fresh_folder, run.folder / "work" / task.name)
    if left:
        run.warn(f"{task.name}: {left}")
    text = run.artifacts.get(task.script)
    limits = Limits(
        wall_s=task.limit_s,
        longest_s=task.longest_s or longest_wall_s(run, task.limit_s),
        memory_bytes=script_memory_bytes(run),
        cpus=run.setup.cpus,
        gpus=1 if run.setup.gpus and needs_gpu(text) else 0,
        network=run.settings.network,
    )
    job = Job(
        id=task.name,
        script=text,
        workspace=workspace,
        inputs=task.inputs,
        limits=limits,
        env=task.env,
        collect=[*OUTPUTS, *(PATTERNS if run.settings.variants else ())],
    )
    try:
        with run.board.running_script(), _report_progress(run, task) as tell:
            execution = await run.sandbox.run(job, tell)
        if task.model:
            await asyncio.to_thread(keep_model, run.folder, task.model, execution.files)
        if task.is_look:
            execution = execution.model_copy(update={"files": {}})
        store = make_call_store(run.folder) if task.is_look else run.artifacts
        kept = await asyncio.to_thread(choose_kept_of, run, execution) if task.keeps else Kept()
        notes = [*describe_mounts(text, task.uses), *kept.notes]
        execution = execution.model_copy(update={"output": _with_notes(notes, execution.output)})
        record = await asyncio.to_thread(store_execution, store, execution)
        files = await asyncio.to_thread(store_kept, store, kept)
        return record.evolve(
            uses=dict(task.uses),
            kept=files,
            kept_bytes=kept.n_bytes,
            limit_s=limits.wall_s,
            limit_bytes=limits.memory_bytes,
            cpus=limits.cpus,
            ran=task.script,
        )
    finally:
        if left := await asyncio.to_thread(free_place, workspace):
            run.warn(f"{task.name}: {left}")


@contextmanager
def _report_progress(run: Run, task: ScriptRun) -> Iterator[ProgressCallback]:
    """Send live listeners its start, the last line it printed, and its end."""

    def tell(text: str = "", **more: Any) -> None:
        place = {"name": task.name, **task.place}
        with suppress(OSError):  # a listener that is gone fails again at the next stored event
            run.events.emit_live("execution_progress", **place, text=text, **more)

    tell(limit_s=round(task.limit_s, 1))
    try:
        yield tell
    finally:
        tell(over=True)


def describe_mounts(script: str, uses: Mapping[str, str]) -> list[str]:
    """Say what a script reads below input/attempts/ and was not given."""
    if not reads_attempts(script):
        return []
    missing = find_missing(script, uses)
    if uses and not missing:
        return []
    given = f"only {', '.join(uses)}" if uses else "nothing"
    more = f"; there is no valid attempt {', '.join(missing[:5])} to build on" if missing else ""
    return [
        f"input/attempts/ holds {given}: the attempts whose ids stand in the script as they are"
        f"{more}"
    ]


def _with_notes(notes: Sequence[str], output: str) -> str:
    return "".join(f"[harness] {note}\n" for note in notes) + output


def store_execution(store: Artifacts, execution: Execution) -> ExecutionRecord:
    """Store log and files as artifacts."""
    files_of = execution.files.items()
    folders = (MODEL_FOLDER, KEEP_FOLDER)
    paths = {name: Path(path) for name, path in files_of if not name.startswith(folders)}
    files = {name: store.put_file(path) for name, path in paths.items()}
    account = execution.model_dump(exclude={"output", "files"})
    log = store.put(execution.output)
    return ExecutionRecord.model_validate({**account, "log": log, "files": files})


def announce_execution(run: Run, key: str, execution: ExecutionRecord, **place: Any) -> None:
    """Emit the event of an execution that ended; a rented sandbox's cost counts as usage."""
    run.events.emit(
        "execution_finished",
        key=key,
        **place,
        seconds=round(execution.wall_s, 3),
        end=execution.end,
        exit_code=execution.exit_code,
        cpu_s=execution.cpu_s,
        peak_bytes=execution.peak_bytes,
        tier=execution.tier,
        usage={"usd": execution.usd} if execution.usd else {},
    )
