"""best/: the best valid solution so far, complete at every moment."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from graph.state import Best, Json
from run.artifacts import ArtifactError, write_atomic
from run.attempt import BASELINE as BASELINE
from run.attempt import Attempt, Member
from run.chain import chain_files, list_scripts
from run.comparator import leads
from run.models import place_model, seeded_key
from run.plots import publish_plots
from run.rerun import write_rerun_notes
from run.run import Run
from sandbox.inside.walk import remove_folder
from sandbox.protocol import MODEL_FOLDER

LABELS_SCRIPT = "labels.py"  # where solution.py writes probabilities or values
REFIT_PREFIX = "refit-"  # of the name of an execution on all rows


class PublishedBest(BaseModel):
    """best/best.json."""

    model_config = ConfigDict(frozen=True, extra="allow")
    attempt: str
    trace: int
    score: float | None
    se: float | None = None
    refit: bool = False
    baseline: bool = False  # the harness's own; no attempt was accepted yet


def current_best(run: Run) -> Best | None:
    """Return the run's best of this moment, of all traces and blends; None: the baseline, or none.

    best/ has it; a file there that was changed names nothing that this run stores.
    """
    known = read_best(run.folder / "best")
    if known is None or known.baseline:
        return None
    try:
        best = Best.model_validate(known.model_dump())
        attempt = run.attempt(best.ref)
    except (ValidationError, ArtifactError):
        return None
    return best if attempt.id == best.attempt and attempt.oof else None


async def publish_best(run: Run, best: Best, *, force: bool = False) -> None:
    """Publish an attempt's solution.py, submission.csv and best.json, if it is the best so far."""
    async with run.publishing:
        folder = run.folder / "best"
        if not force and not await leads(run, best, current_best(run)):
            return
        attempt = run.attempt(best.ref)
        submission = run.artifacts.path(str(attempt.submission))
        await write_solution(run, folder, attempt, submission, run.prepared.inputs)
        await publish_plots(run, folder, attempt)
        write_best_json(folder, best, {"refit": False})


async def correct_published(run: Run, best: Best) -> None:
    """Write the new score of a best that was measured again, where it is the published one."""
    async with run.publishing:
        current = read_best(run.folder / "best")
        if current and current.attempt == best.attempt and current.score != best.score:
            write_best_json(run.folder / "best", best, {"refit": current.refit})


def write_best_json(folder: Path, best: Best, more: Json) -> None:
    """Write best.json of an attempt."""
    write_best_file(folder, {**best.dump(), **more})


def write_best_file(folder: Path, facts: Json) -> None:
    """Write best.json."""
    write_atomic(folder / "best.json", json.dumps(facts, indent=2))


def read_best(folder: Path) -> PublishedBest | None:
    """Read best.json; None: nothing was published, or the file is damaged."""
    try:
        return PublishedBest.model_validate_json((folder / "best.json").read_bytes())
    except (OSError, ValidationError):
        return None


async def write_solution(
    run: Run,
    folder: Path,
    attempt: Attempt,
    submission: Path,
    inputs: dict[str, str],
    *,
    refit: bool = False,
) -> dict[str, str]:
    """Write the files, each atomically; return their hashes.

    input/ is linked, so solution.py runs alone. An ensemble's solution.py is a driver; its members'
    scripts are in members/NAME/. So is that of a script that builds on others, which are in chain/.
    `refit`: these are the files of the fit on all rows.
    """
    draft = folder / ".submission.csv"
    oof = str(run.artifacts.path(attempt.oof)) if attempt.oof else None
    decoder = await run.worker.final_submission(run.prepared, str(submission), str(draft), oof)
    draft.replace(folder / "submission.csv")
    _write_decoder(folder / LABELS_SCRIPT, decoder)
    _write_members(run, folder, attempt.members)
    _write_chain(run, folder, attempt)
    _link_inputs(folder / "input", inputs)
    n_model_files = await asyncio.to_thread(_place_models, run, folder, attempt, refit=refit)
    write_rerun_notes(
        run, folder, attempt, n_model_files, refit=refit, has_decoder=decoder is not None
    )
    return hash_solution(folder)


def _write_decoder(path: Path, decoder: str | None) -> None:
    """Write the script that makes labels; remove that of a former best."""
    if decoder is None:
        path.unlink(missing_ok=True)
    else:
        write_atomic(path, decoder)


def _place_models(run: Run, folder: Path, attempt: Attempt, *, refit: bool) -> int:
    """Place what the solution, or each member, left in model/; return the number of files."""
    prefix = REFIT_PREFIX if refit else ""
    places = [
        (seeded_key(one.script, one.seed), folder / "members" / name)
        for name, one in attempt.members.items()
    ]
    places = places or [(str(attempt.script), folder)]
    if attempt.members:
        remove_folder(folder / MODEL_FOLDER)  # of a former best
    return sum(place_model(run.folder, prefix + key, place) for key, place in places)


def hash_solution(folder: Path) -> dict[str, str]:
    """Return the sha256 of every file that is handed over."""
    files = [folder / "solution.py", folder / "submission.csv", *list_scripts(folder)]
    if (folder / LABELS_SCRIPT).is_file():
        files.append(folder / LABELS_SCRIPT)
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def _write_members(run: Run, folder: Path, members: dict[str, Member]) -> None:
    """Write the scripts that an ensemble's driver runs; remove those of a former best."""
    shutil.rmtree(folder / "members", ignore_errors=True)
    for name, member in members.items():
        (folder / "members" / name).mkdir(parents=True)
        if member.ref:
            _write_chain(run, folder / "members" / name, run.attempt(member.ref), member.variant)
            continue
        script = run.artifacts.get(member.script)
        write_atomic(folder / "members" / name / "solution.py", script)


def _write_chain(run: Run, folder: Path, attempt: Attempt, variant: str = "") -> None:
    """Write solution.py; of a script that builds on others one that runs them all, in chain/."""
    remove_folder(folder / "chain")  # of a former best
    script = {"solution.py": run.artifacts.get(str(attempt.script))}
    for name, text in (
        script | chain_files(attempt, run.attempt, run.artifacts.get, variant)
    ).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_atomic(folder / name, text)


def _link_inputs(folder: Path, inputs: dict[str, str]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    for name, target in inputs.items():
        link = folder / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target)
