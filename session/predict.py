"""gome predict: run a run's best solution on new rows, in the sandbox, without changing the run."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from graph.settings import Settings, load_settings
from report.formatting import clean_text, format_plural
from run.artifacts import Artifacts
from run.attempt import SUBMISSION, Attempt, load_attempt
from run.best import PublishedBest, read_best
from run.chain import INDEX, Given, index_text, is_plain_name, list_chain
from run.folder import check_regular_files, read_run_meta
from run.limits import DEFAULT_MEMORY_BYTES
from run.lock import RunError
from run.ownership import check_own_run
from run.services import sandbox_for
from run.setup import Setup, read_setup
from run.variants import SEED_NAME, variant_environment, variant_files
from sandbox.inside.walk import make_fresh_folder, remove_folder
from sandbox.local.gpus import needs_gpu
from sandbox.protocol import KEEP_FOLDER, Execution, Job, Limits, Sandbox
from session.disk_errors import explain_disk_errors
from task.client import TaskWorker
from task.types import Prepared

Say = Callable[[str], None]
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,80}")  # of an attempt; it becomes a folder's
SHORTEST_LIMIT_S, TIMES_ITS_SECONDS = 600.0, 5.0


class Predicted(NamedTuple):
    """What `gome predict` wrote."""

    path: Path
    n_rows: int
    attempt: str


class Solution(NamedTuple):
    """The scripts in best/ by name, each after those that it builds on.

    `weights`: how an ensemble blends them, else empty; `chain`: the attempts of a chain.
    """

    scripts: dict[str, str]
    weights: dict[str, float]
    seconds: float
    chain: dict[str, Attempt] = {}
    variants: dict[str, str] = {}  # that a script computes, by its name; the others have none
    oof: str | None = None  # path of its out-of-fold file, to which labels are fitted
    seeds: dict[str, int] = {}  # under which a script runs, by its name; 0 for the others
    is_average: bool = False  # its scripts are one solution under several seeds

    def below(self, name: str) -> list[Attempt]:
        """Return the attempts whose files a script reads."""
        link = self.chain.get(name)
        return [self.chain[used] for used in link.uses] if link else []

    @property
    def answers(self) -> list[str]:
        """The scripts whose predictions are handed over or blended."""
        return list(self.weights) or list(self.scripts)[-1:]


async def predict_rows(
    folder: Path,
    rows: Path,
    out: Path,
    *,
    changes: dict[str, Any] | None = None,
    limit_s: float | None = None,
    say: Say = lambda text: None,
) -> Predicted:
    """Predict new rows by what is in best/.

    The solution runs as it ran in the run: with the same training data, and the new rows in the
    place of the test table.

    Args:
        folder: the run folder.
        rows: table of the new rows, in any format that a task may have.
        out: csv to write, in the form of the run's submission.
        changes: settings that replace the run's.
        limit_s: wall limit of one script; None: several times what it took in the run.
        say: is told of columns that differ, and what is being done.

    Raises:
        RunError: the run has no solution yet, or it fails on these rows.
        TaskError: the rows do not fit the training table.
        SandboxUnavailableError: scripts cannot run here.
    """
    check_regular_files(folder)
    settings = settings_of_run(folder, changes or {}, say)
    setup, best = read_setup(folder), read_best(folder / "best")
    if best is None:
        raise RunError(
            f"{folder} has no solution yet; `gome show {folder.name}` lists its attempts"
        )
    solution = read_solution(folder, best)
    warn_of_edits(folder, best, say)
    limits = script_limits(settings, setup, solution, limit_s)
    place, _ = make_fresh_folder(folder / "work" / f"predict-{os.getpid()}")
    worker = TaskWorker(folder)
    try:
        new = await worker.prepare_new_rows(
            setup.prepared,
            str(rows.expanduser().absolute()),
            trained_inputs(folder, setup.prepared, refit=best.refit),
            str(place / "public"),
            str(place / "private"),
        )
        for note in new.notes:
            say(note)
        sandbox = sandbox_for(settings, place)
        try:
            given = await run_chain(sandbox, place, new.prepared, solution, limits, say)
        finally:
            await sandbox.close()
        submissions = {name: given[name].submission for name in solution.answers}
        await write_predictions(worker, new.prepared, submissions, solution, place, out)
        return Predicted(out, new.prepared.n_test, best.attempt)
    except OSError as error:
        raise RunError(f"{error.filename or out}: {error.strerror}") from error
    finally:
        await worker.close()
        await asyncio.to_thread(remove_folder, place)


def settings_of_run(folder: Path, changes: dict[str, Any], say: Say) -> Settings:
    """Return the run's settings with changes. Raises RunError where it is a stranger's run."""
    meta = read_run_meta(folder)
    settings = load_settings({**meta["settings"], **changes})
    plain = settings.model_copy(update={name: getattr(Settings(), name) for name in changes})
    if warning := check_own_run(meta["run"], plain):
        say(warning)
    return settings


async def write_predictions(
    worker: TaskWorker,
    prepared: Prepared,
    submissions: dict[str, str],
    solution: Solution,
    place: Path,
    out: Path,
) -> None:
    """Write what the scripts predicted, blended where there are weights, in the sample's form."""
    source = next(iter(submissions.values()))
    if solution.weights:
        source = str(place / "blend.csv")
        alike = solution.is_average
        await worker.mix(prepared, submissions, solution.weights, source, alike=alike)
    draft = out.with_name(f".{out.name}.{os.getpid()}.part")
    await worker.final_submission(prepared, source, str(draft), solution.oof)
    draft.replace(out)


def read_solution(folder: Path, best: PublishedBest) -> Solution:
    """Return the scripts in best/. Raises RunError."""
    attempt = _best_attempt(folder, best)
    members = attempt.members if attempt else {}
    if odd := [name for name in [best.attempt, *members] if not NAME.fullmatch(name)]:
        raise RunError(f"{folder / 'best'}: {odd[0][:80]!r} is not the name of an attempt")
    scripts = _read_scripts(folder, best, attempt)
    weights = {name: member.weight for name, member in members.items()}
    chain = _read_chain(folder, attempt) if attempt else {}
    store = Artifacts(folder / "artifacts")
    links = {name: store.get(str(link.script)) for name, link in chain.items()}
    seconds = max([attempt.seconds if attempt else 0.0, *(one.seconds for one in chain.values())])
    variants = {name: link.variant for name, link in chain.items()}
    variants |= {name: member.variant for name, member in members.items()}
    if attempt and not members:
        variants[best.attempt] = attempt.variant
    oof = str(store.path(attempt.oof)) if attempt and attempt.oof else None
    seeds = {name: member.seed for name, member in members.items()}
    is_average = attempt is not None and attempt.is_average
    everything = {**links, **(scripts | links)}
    return Solution(everything, weights, seconds, chain, variants, oof, seeds, is_average)


def _read_chain(folder: Path, attempt: Attempt) -> dict[str, Attempt]:
    """Return the attempts of a chain by name, each after those that it builds on; {}: none."""

    def load(ref: str) -> Attempt:
        return load_attempt(Artifacts(folder / "artifacts").root, ref)

    with explain_disk_errors(folder):
        refs = {name: member.ref for name, member in attempt.members.items() if member.ref}
        tops = {name: load(ref) for name, ref in refs.items()} or {attempt.id: attempt}
        chain: dict[str, Attempt] = {}
        for name, top in tops.items():
            below = list_chain(load, top.uses)
            chain |= {link.id: link for link in below} | ({name: top} if below else {})
        return chain


def _best_attempt(folder: Path, best: PublishedBest) -> Attempt | None:
    """Return the attempt in best/; None for a baseline, which is none."""
    ref = (best.model_extra or {}).get("ref")
    if best.baseline or not isinstance(ref, str):
        return None
    with explain_disk_errors(folder):
        attempt = load_attempt(Artifacts(folder / "artifacts").root, ref)
    if attempt.id != best.attempt:
        raise RunError(
            f"{folder / 'best' / 'best.json'} names {best.attempt[:80]!r}, and what the run stored "
            f"under its `ref` is {attempt.id}: it was edited; write {attempt.id} there again"
        )
    return attempt


def _read_scripts(folder: Path, best: PublishedBest, attempt: Attempt | None) -> dict[str, str]:
    """Return the script of the best, or of each member, as the run stored it. Raises RunError."""
    path, store = folder / "best" / "solution.py", Artifacts(folder / "artifacts")
    if attempt is None:  # the baseline
        try:
            return {best.attempt: path.read_text(encoding="utf-8")}
        except (OSError, UnicodeDecodeError) as error:
            raise RunError(f"{path.parent}: its solution cannot be read ({error})") from error
    with explain_disk_errors(folder):
        refs = {
            name: load_attempt(store.root, member.ref).script if member.ref else member.script
            for name, member in attempt.members.items()
        }
        refs = refs or {attempt.id: attempt.script}
        return {name: store.get(str(ref)) for name, ref in refs.items()}


def list_edited(folder: Path, best: PublishedBest) -> list[str]:
    """Return the files in best/ that differ from what the run handed over, by name."""
    handed = (best.model_extra or {}).get("sha256")
    handed = handed if isinstance(handed, dict) else {}
    edited = []
    for name, digest in handed.items():
        path = folder / "best" / name
        if not name.endswith(".py") or not path.resolve().is_relative_to(folder.resolve()):
            continue
        if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            edited.append(name)
    return edited


def warn_of_edits(folder: Path, best: PublishedBest, say: Say) -> None:
    """Say which files in best/ were edited: the run's own scripts predict."""
    if best.baseline or not (edited := list_edited(folder, best)):
        return
    names = ", ".join(f"best/{clean_text(name, 60)}" for name in edited[:5])
    say(
        f"edited since the run, and not used here: {names}; the scripts that the run stored "
        "predict. best/README.md says how to run an edited one by hand"
    )


def trained_inputs(folder: Path, prepared: Prepared, *, refit: bool) -> dict[str, str]:
    """Return what the solution in best/ was trained with: name below input/ -> path."""
    refitted = folder / "refit"
    return {
        name: str(refitted / name) if refit and (refitted / name).is_file() else path
        for name, path in prepared.inputs.items()
    }


def script_limits(
    settings: Settings, setup: Setup, solution: Solution, limit_s: float | None
) -> Limits:
    """Return the limits of one script."""
    given = settings.run_memory_bytes
    memory = (setup.memory_bytes or DEFAULT_MEMORY_BYTES) if given == "auto" else given
    return Limits(
        wall_s=limit_s or max(SHORTEST_LIMIT_S, TIMES_ITS_SECONDS * solution.seconds),
        memory_bytes=memory,
        cpus=setup.cpus,
        network=settings.network,
    )


async def run_chain(
    sandbox: Sandbox, place: Path, prepared: Prepared, solution: Solution, limits: Limits, say: Say
) -> dict[str, Given]:
    """Run every script, with the files of those that it builds on; return what each gave.

    Raises:
        RunError: one of them fails.
    """
    given: dict[str, Given] = {}
    for name, script in solution.scripts.items():
        below = solution.below(name)
        inputs = dict(prepared.inputs)
        for link in below:
            inputs |= given[link.id].mounts(link.id)
        if below:
            index = place / f"{name}-attempts.csv"
            index.write_text(index_text(below, solution.scripts), encoding="utf-8")
            inputs[INDEX] = str(index)
        whole = prepared.model_copy(update={"inputs": inputs})
        env = variant_environment(variant := solution.variants.get(name, ""))
        env |= {SEED_NAME: str(solution.seeds[name])} if solution.seeds.get(name) else {}
        one = Script(name, script, variant, env)
        given[name] = await run_solution(sandbox, place, whole, one, limits, say)
    return given


class Script(NamedTuple):
    """A script to run, its variant alone, in an environment."""

    name: str
    text: str
    variant: str
    env: dict[str, str]


async def run_solution(
    sandbox: Sandbox,
    place: Path,
    prepared: Prepared,
    one: Script,
    limits: Limits,
    say: Say,
) -> Given:
    """Run one script, its variant alone; return its files. Raises RunError."""
    name, script = one.name, one.text
    oof, submission = variant_files(one.variant)
    workspace, _ = make_fresh_folder(place / "jobs" / name)
    host = await sandbox.probe()
    n_gpus = 1 if host.gpus and needs_gpu(script) else 0
    say(f"running {name} on {format_plural(prepared.n_test, 'row')}")
    execution = await sandbox.run(
        Job(
            id=f"predict-{name}",
            script=script,
            workspace=workspace,
            inputs=prepared.inputs,
            limits=limits.model_copy(update={"gpus": n_gpus}),
            env=one.env,
            collect=[oof, submission, KEEP_FOLDER],
        )
    )
    if not execution.ok or submission not in execution.files:
        raise RunError(f"{name} fails on these rows: {describe_end(execution, submission)}")
    kept = {
        file.removeprefix(KEEP_FOLDER): path
        for file, path in execution.files.items()
        if file.startswith(KEEP_FOLDER) and is_plain_name(file.removeprefix(KEEP_FOLDER))
    }
    return Given(execution.files.get(oof, ""), execution.files[submission], kept)


def describe_end(execution: Execution, submission: str = SUBMISSION) -> str:
    """Say how a script ended that gave no predictions."""
    lines = execution.output.strip().splitlines()
    last = lines[-1][:300] if lines else "it printed nothing"
    if execution.end == "timeout":
        return "it ran out of time; give it more with --time"
    if execution.end != "exit":
        return f"it was ended for its use of {execution.end} ({last})"
    if not execution.ok:
        return last
    return f"it wrote no {submission}"
