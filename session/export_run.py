"""gome export: a run as one zip file, to go on with on another machine or only to look at."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

from graph.state import Json
from run.artifacts import Artifacts
from run.events import read_events
from run.folder import read_run_meta
from run.lock import RunError

MANIFEST = "gome-export.json"
SCHEMA = 1
LOGS = ("run.json", "setup.json", "events.jsonl", "rounds.jsonl", "hints.jsonl", "report.html")
STORES = ("artifacts", "best")
NEEDED = ("done", "public", "private", "refit")  # to go on
MAX_ARTIFACT_BYTES = 2 * 2**20  # of a read-only zip: predictions stay behind


def export(folder: Path, target: Path, *, read_only: bool = False) -> Json:
    """Writes the zip; gives its manifest. A read-only one holds no data of the task, no labels and no predictions."""
    if target.exists():
        raise RunError(f"{target} exists; choose another name with --to, or remove it")
    meta = read_run_meta(folder)
    entries = dict(chosen(folder, read_only))
    if not read_only:
        entries |= task_entries(folder)
    hashes: dict[str, str] = {}
    draft = target.with_name(f".{target.name}.part")
    with zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED, compresslevel=3) as archive:
        for name, path in sorted(entries.items()):
            hashes[name] = write(archive, name, path)
        manifest = {
            "schema": SCHEMA,
            "run": meta["run"],
            "read_only": read_only,
            "roots": roots(folder, read_only),
            "files": hashes,
        }
        archive.writestr(MANIFEST, json.dumps(manifest, indent=1))
    draft.replace(target)
    return manifest


def write(archive: zipfile.ZipFile, name: str, path: Path) -> str:
    """Puts a file into the zip, in pieces; gives its hash."""
    digest = hashlib.sha256()
    with path.open("rb") as source, archive.open(name, "w", force_zip64=True) as out:
        while piece := source.read(2**20):
            digest.update(piece)
            out.write(piece)
    return digest.hexdigest()


def chosen(folder: Path, read_only: bool) -> Iterator[tuple[str, Path]]:
    """The run's files by their names in the zip."""
    for name in LOGS:
        if (folder / name).is_file() and not (read_only and name == "setup.json"):
            yield name, folder / name
    for store in STORES if read_only else (*STORES, *NEEDED):
        for path in sorted((folder / store).rglob("*")):
            inside = path.relative_to(folder).as_posix()
            if (
                path.is_symlink()
                or not path.is_file()
                or path.name.startswith(".")
                or inside.startswith("best/input/")
            ):
                continue
            if not (
                read_only and store == "artifacts" and path.stat().st_size > MAX_ARTIFACT_BYTES
            ):
                yield inside, path


def task_entries(folder: Path) -> dict[str, Path]:
    """The task's own files, which the final refit reads: below task/ as they lie below its folder."""
    task = setup_of(folder)["prepared"]["task"]
    root, found = Path(task["root"]), {}
    paths = [
        task[name] for name in ("train", "test", "sample_submission") if task.get(name)
    ] + list(task.get("extra", []))
    paths += [task["metric"]] if task["metric"].startswith("/") else []
    paths += [str(root / name) for name in ("task.yaml", "description.md")]
    for text in paths:
        path = Path(text)
        for each in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if each.is_file():
                found["task/" + inside(root, each)] = each
    return found


def inside(root: Path, path: Path) -> str:
    if not path.is_relative_to(root):
        raise RunError(
            f"{path} lies outside the task folder {root}; a zip that another machine resumes cannot hold it, use --read-only"
        )
    return path.relative_to(root).as_posix()


def roots(folder: Path, read_only: bool) -> Json:
    """Where run and task lay, so that paths can be put in their new place."""
    return (
        {}
        if read_only
        else {
            "run": setup_of(folder).get("root", str(folder)),
            "task": setup_of(folder)["prepared"]["task"]["root"],
        }
    )


def setup_of(folder: Path) -> Json:
    try:
        value: Json = json.loads((folder / "setup.json").read_text())
    except (OSError, ValueError) as error:
        raise RunError(
            f"{folder}/setup.json cannot be read ({error}); only --read-only works"
        ) from error
    return value


# the layout of the traces that the paper's authors published: competition -> scenario, loop_N


def traces(folder: Path) -> Json:
    """The run as {task: {"scenario": …, "loop_0": …, …}}, attempts in the order in which they were recorded."""
    setup, store = setup_of(folder), Artifacts(folder / "artifacts")
    found: Json = {"scenario": scenario(setup)}
    scripts: dict[str, str] = {}
    for event in read_events(folder / "events.jsonl"):
        if event.get("ev") == "attempt":
            found[f"loop_{len(found) - 1}"] = loop(store, event, scripts)
    return {setup["prepared"]["task"]["name"]: found}


def scenario(setup: Json) -> Json:
    brief, packages = setup["brief"], setup.get("packages", {})
    return {
        "background": brief["description"],
        "raw_description": brief["description"],
        "submission_specifications": f"submission.csv with the columns {', '.join(brief['columns'])}, one row for each test id",
        "evaluation": f"{brief['metric']} on out-of-fold predictions, {brief['split']}",
        "metric_name": brief["metric"],
        "metric_direction": brief["direction"] == "max",
        "runtime_environment": ", ".join(
            f"{name} {version}" for name, version in sorted(packages.items())
        ),
    }


def loop(store: Artifacts, event: Json, scripts: dict[str, str]) -> Json:
    """One attempt; `scripts` remembers each attempt's code, so that its children can name what they changed."""
    code = store.get(event["script"]) if event.get("script") else ""
    scripts[event["id"]] = code
    return {
        "base_code": scripts.get(event.get("parent") or "", ""),
        "code": code,
        "final_hypothesis": event.get("hypothesis", ""),
        "component": event.get("component", ""),
        "task": event.get("kind", ""),
        "valid_score": event.get("score"),
        "test_report": "; ".join(event.get("reasons") or []),
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
