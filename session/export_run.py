"""gome export: pack a run into one zip file, to resume on another machine or only to view."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from graph.state import Json
from run.artifacts import Artifacts, read_regular
from run.events import iterate_events
from run.folder import check_regular_files, read_run_meta
from run.lock import RunError
from run.setup import Setup
from task.consent import is_metric_file

MANIFEST = "gome-export.json"
SCHEMA = 1
LOGS = ("run.json", "setup.json", "events.jsonl", "rounds.jsonl", "hints.jsonl", "report.html")
STORES = ("artifacts", "best")
RESUME_STORES = (  # needed for a resume
    *("done", "made", "public", "private", "calls"),
    *("media", "refit", "models"),
)
MAX_ARTIFACT_BYTES = 2 * 2**20  # in a read-only zip
MAX_RECORD_BYTES = 2**20  # of an execution's record, which names the files of its script


class ExportManifest(BaseModel):
    """gome-export.json in the zip."""

    model_config = ConfigDict(frozen=True)
    version: int = Field(SCHEMA, alias="schema")
    run: str
    read_only: bool = False
    roots: dict[str, str] = Field({}, description="run and task: their folders before the export")
    files: dict[str, str] = Field(description="name in the zip -> sha256")


def export_run(folder: Path, target: Path, *, read_only: bool = False) -> ExportManifest:
    """Write the zip; return its manifest.

    A read-only one contains no data of the task, no labels and no predictions.

    Raises:
        RunError: the target exists, or the run cannot be exported.
    """
    if target.exists():
        raise RunError(f"{target} exists; choose another name with --to, or remove it")
    meta = read_run_meta(folder)
    check_regular_files(folder)
    entries = dict(list_entries(folder, read_only))
    if not read_only:
        entries |= task_entries(folder)
    hashes: dict[str, str] = {}
    draft = target.with_name(f".{target.name}.part")
    with zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED, compresslevel=3) as archive:
        for name, path in sorted(entries.items()):
            hashes[name] = write_entry(archive, name, path)
        roots = {} if read_only else original_roots(folder)
        manifest = ExportManifest(run=meta["run"], read_only=read_only, roots=roots, files=hashes)
        archive.writestr(MANIFEST, json.dumps(manifest.model_dump(by_alias=True), indent=1))
    draft.replace(target)
    return manifest


def write_entry(archive: zipfile.ZipFile, name: str, path: Path) -> str:
    """Write a file into the zip in pieces; return its sha256."""
    digest = hashlib.sha256()
    with path.open("rb") as source, archive.open(name, "w", force_zip64=True) as out:
        while piece := source.read(2**20):
            digest.update(piece)
            out.write(piece)
    return digest.hexdigest()


def list_entries(folder: Path, read_only: bool) -> Iterator[tuple[str, Path]]:
    """Yield the run's files with their names in the zip."""
    predictions = find_predictions(folder) if read_only else set()
    for name in LOGS:
        path = folder / name
        is_own = path.is_file() and not path.is_symlink()
        if is_own and not (read_only and name == "setup.json"):
            yield name, path
    for store in STORES if read_only else (*STORES, *RESUME_STORES):
        for path in sorted((folder / store).rglob("*")):
            name = path.relative_to(folder).as_posix()
            if path.is_symlink() or not path.is_file() or path.name.startswith("."):
                continue
            is_model = read_only and "model" in path.relative_to(folder).parts  # may hold rows
            is_large = read_only and store == "artifacts" and _is_over(path, MAX_ARTIFACT_BYTES)
            is_prediction = path.name in predictions or (read_only and path.suffix == ".csv")
            if is_model or is_large or is_prediction or name.startswith("best/input/"):
                continue
            yield name, path


def _is_over(path: Path, n_bytes: int) -> bool:
    return path.stat().st_size > n_bytes


def find_predictions(folder: Path) -> set[str]:
    """Return the artifacts that scripts and blends wrote as files, by the run's own records."""
    found: set[str] = set()
    for path in (*(folder / "artifacts").rglob("*"), *(folder / "done").rglob("*")):
        if path.is_symlink() or not path.is_file() or _is_over(path, MAX_RECORD_BYTES):
            continue
        try:
            json.loads(read_regular(path), object_hook=lambda record: _add_files(record, found))
        except (OSError, ValueError, RecursionError):
            continue
    return found


def _add_files(record: dict[str, Json], found: set[str]) -> dict[str, Json]:
    """Add the artifacts that a record lists as files of an execution."""
    for name in ("files", "kept"):
        files = record.get(name)
        if isinstance(files, dict):
            found |= {ref for ref in files.values() if isinstance(ref, str)}
    return record


def task_entries(folder: Path) -> dict[str, Path]:
    """Return the task's own files, which the final refit reads, by their names below task/."""
    task = read_raw_setup(folder)["prepared"]["task"]
    root = Path(task["root"])
    paths = [task[name] for name in ("train", "test", "sample_submission") if task.get(name)]
    paths += [*task.get("extra", []), *(source["path"] for source in task.get("media", []))]
    paths += task.get("label_sources", [])
    if is_metric_file(task["metric"]):
        paths.append(task["metric"])
    paths += [root / name for name in ("task.yaml", "description.md")]
    entries = {}
    own = [Path(path) for path in paths if not Path(path).is_relative_to(folder.resolve() / "made")]
    for path in own:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file():
                entries[f"task/{path_in_task(root, file)}"] = file
    return entries


def path_in_task(root: Path, path: Path) -> str:
    """Return a file's path below the task folder.

    Raises:
        RunError: it is outside the folder.
    """
    if not path.is_relative_to(root):
        raise RunError(
            f"{path} is outside the task folder {root}; "
            "a zip for a resume on another machine cannot contain it, use --read-only"
        )
    return path.relative_to(root).as_posix()


def original_roots(folder: Path) -> dict[str, str]:
    """Return the folders of run and task, which an import replaces in stored paths."""
    setup = read_raw_setup(folder)
    return {"run": setup.get("root") or str(folder), "task": setup["prepared"]["task"]["root"]}


def read_raw_setup(folder: Path) -> Json:
    """Read setup.json as it is stored, once its types are checked.

    Raises:
        RunError: it is missing or damaged.
    """
    try:
        value: Json = json.loads(read_regular(folder / "setup.json"))
        Setup.model_validate(value)
    except (OSError, ValueError, RecursionError) as error:
        first = (str(error).splitlines() or [""])[0]
        raise RunError(
            f"{folder}/setup.json cannot be read ({first}); only --read-only works"
        ) from error
    return value


# the layout of the traces that the paper's authors published: competition -> scenario, loop_N


def published_traces(folder: Path) -> Json:
    """Return the run as {task: {"scenario": …, "loop_0": …, …}}, attempts in recorded order."""
    setup, store = read_raw_setup(folder), Artifacts(folder / "artifacts")
    loops: Json = {}
    scripts: dict[str, str] = {}
    for event in iterate_events(folder / "events.jsonl"):
        if event.get("ev") == "attempt":
            loops[f"loop_{len(loops)}"] = published_loop(store, event, scripts)
    return {setup["prepared"]["task"]["name"]: {"scenario": published_scenario(setup), **loops}}


def published_scenario(setup: Json) -> Json:
    """Return the task's description in that layout."""
    brief, packages = setup["brief"], setup.get("packages", {})
    columns = ", ".join(brief["columns"])
    versions = [f"{name} {version}" for name, version in sorted(packages.items())]
    return {
        "background": brief["description"],
        "raw_description": brief["description"],
        "submission_specifications": (
            f"submission.csv with the columns {columns}, one row for each test id"
        ),
        "evaluation": f"{brief['metric']} on out-of-fold predictions, {brief['split']}",
        "metric_name": brief["metric"],
        "metric_direction": brief["direction"] == "max",
        "runtime_environment": ", ".join(versions),
    }


def published_loop(store: Artifacts, event: Json, scripts: dict[str, str]) -> Json:
    """Return one attempt in that layout; `scripts` collects the code of attempts by id."""
    code = store.get(event["script"]) if event.get("script") else ""
    scripts[str(event.get("id"))] = code
    reasons = event.get("reasons")
    return {
        "base_code": scripts.get(str(event.get("parent")), ""),
        "code": code,
        "final_hypothesis": event.get("hypothesis", ""),
        "component": event.get("component", ""),
        "task": event.get("kind", ""),
        "valid_score": event.get("score"),
        "test_report": "; ".join(map(str, reasons if isinstance(reasons, list) else [])),
        "feedback": {
            "decision": event.get("verdict") == "accepted",
            "verdict": event.get("verdict"),
            "gain": event.get("gain"),
            "gain_se": event.get("gain_se"),
        },
        "running_time": event.get("seconds"),
        "trace": event.get("trace"),
        "step": event.get("step"),
    }
