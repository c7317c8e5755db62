"""A reader of the task's own, read.py: run in the sandbox on the raw folder, and checked.

It writes labels.csv (the id, the targets, other columns, optionally `group`) and rows.csv (the ids
to predict and those other columns). Targets are the columns that rows.csv lacks.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from sandbox.local.service import ConfinedService, ServiceError
from sandbox.protocol import Limits, SandboxUnavailableError
from task.consent import policy
from task.data.media.names import tells_labels
from task.load.form import label_text
from task.load.layouts.inventory import OWN_FILES, Inventory
from task.load.layouts.reader_runner import WRITTEN
from task.load.layouts.scene import LayoutTables, Scene
from task.load.tables import Table, parse_text_table
from task.types import TaskError

RUNNER = Path(__file__).with_name("reader_runner.py")
LIMITS = Limits(
    wall_s=1800, memory_bytes=8 * 2**30, disk_bytes=16 * 2**30, files=10_000, processes=64
)
MAX_READER_BYTES = 2**20
MAX_TOLD = 1000  # distinct labels, with more of which ids are not asked whether they tell them
GROUP = "group"
FILE = "file"
N_SHOWN_CLASSES = 6
N_KEPT_READINGS = 8


class Reading(NamedTuple):
    """What a reader wrote."""

    labels: pd.DataFrame
    rows: pd.DataFrame


def read_by_script(scene: Scene, path: Path) -> LayoutTables:
    """Run the reader of a task, unless the same one has read the same folder, and check it.

    Raises TaskError.
    """
    if not path.is_file():
        raise TaskError(f"{path} does not exist; correct `reader:` in task.yaml")
    if path.stat().st_size > MAX_READER_BYTES:
        raise TaskError(f"{path} is larger than {MAX_READER_BYTES >> 20} MiB")
    script = path.read_bytes()
    reading = recall_reading(scene.inventory, script, lambda: run_reader(scene.root, script, path))
    return check_reading(scene, reading, path)


def run_reader(root: Path, script: bytes, path: Path) -> Reading:
    """Run a reader in the sandbox on a folder. Raises TaskError that names `path`."""
    inputs = {
        item.name: str(item)
        for item in sorted(root.iterdir())
        if item.name not in OWN_FILES and not item.name.startswith(".") and item.name != "data"
    }
    if (root / "description.md").is_file():
        inputs["description.md"] = str(root / "description.md")
    try:
        service = ConfinedService(RUNNER.read_text(), inputs, LIMITS, policy.isolation)
    except SandboxUnavailableError as error:
        raise TaskError(f"{path} runs in the sandbox: {error}") from error
    try:
        (service.data / "read.py").write_bytes(script)
        sizes = ask_runner(service, "run")
        missing = [name for name in WRITTEN if sizes[name] < 0]
        if missing:
            raise TaskError(f"{path} did not write {' and '.join(missing)}; it should write both")
        tables = [fetch_table(service, name, sizes[name]) for name in WRITTEN]
    except ServiceError as error:
        raise TaskError(f"{path}: {error}") from error
    finally:
        service.close()
    return Reading(*tables)


def ask_runner(service: ConfinedService, call: str) -> dict[str, int]:
    """Return a checked answer of the runner. Raises ServiceError."""
    reply = service.call(call)
    if "error" in reply:
        raise ServiceError(str(reply["error"])[:500])
    value = reply.get("value")
    if not isinstance(value, dict) or not all(isinstance(value.get(k), int) for k in WRITTEN):
        raise ServiceError("it answered with no sizes")
    return value


def fetch_table(service: ConfinedService, name: str, size: int) -> pd.DataFrame:
    """Fetch a table that the reader wrote, every cell as text. Raises ServiceError."""
    data = bytearray()
    while len(data) < size:
        reply = service.call("fetch", file=name, offset=len(data))
        block = base64.b64decode(str(reply.get("value", "")))
        if "error" in reply or not block:
            raise ServiceError(f"{name} cannot be read back")
        data += block
    try:
        return parse_text_table(bytes(data), "csv", None).frame
    except ValueError as error:
        raise ServiceError(f"{name} is no csv table ({error})") from error


def check_reading(scene: Scene, reading: Reading, path: Path) -> LayoutTables:
    """Check what a reader wrote against the sample and return it as tables. Raises TaskError."""
    labels, rows = reading
    if labels.empty or rows.empty:
        empty = "labels.csv" if labels.empty else "rows.csv"
        raise TaskError(f"{path} wrote {empty} without rows")
    key = str(rows.columns[0])
    if key not in labels:
        raise TaskError(
            f"{path}: rows.csv begins with the id {key!r} and labels.csv has no such column"
        )
    targets = [name for name in map(str, labels.columns) if name not in rows and name != GROUP]
    if not targets:
        raise TaskError(f"{path}: labels.csv has no column that rows.csv lacks, so no target")
    check_reading_ids(labels, rows, key, targets, path)
    said = [f"labels and rows to predict: written by {path.name}, {len(labels)} and {len(rows)}"]
    said += check_sample(scene, rows[key], path) + check_files(scene, labels, path)
    said += [describe_classes(labels[name]) for name in targets]
    return LayoutTables(
        train=Table(labels, []),
        test=Table(rows, []),
        labels=path,
        rows=path,
        sample=scene.sample_path,
        id=key,
        sample_id=None if scene.sample is None else match_sample_id(scene, rows[key]),
        target=[name for name in targets if name],
        readings=said,
        group=GROUP if GROUP in labels else None,
    )


def check_reading_ids(
    labels: pd.DataFrame, rows: pd.DataFrame, key: str, targets: list[str], path: Path
) -> None:
    """Refuse ids that are missing, repeat, stand in both tables or tell the label.

    Raises TaskError.
    """
    for name, frame in (("labels.csv", labels), ("rows.csv", rows)):
        ids = frame[key]
        if ids.isna().any() or ids.duplicated().any():
            example = ids[ids.duplicated()].head(1).to_list()
            raise TaskError(
                f"{path}: ids in {name} are missing or repeat {example}; make each unique"
            )
    if both := set(labels[key]) & set(rows[key]):
        raise TaskError(
            f"{path}: {len(both)} ids to predict are labelled (e.g. {min(both)!r}); "
            "no row may be in both tables"
        )
    for name in targets:
        if labels[name].nunique() <= MAX_TOLD and tells_labels(list(labels[key]), labels[name]):
            raise TaskError(
                f"{path}: ids in labels.csv tell {name!r} (e.g. {labels[key].iloc[0]!r}); number "
                "those rows instead (train0, train1, …), in an order that tells nothing"
            )


def match_sample_id(scene: Scene, ids: pd.Series) -> str:
    """Return the column of the sample with the ids."""
    assert scene.sample is not None
    wanted = set(ids)
    for name in map(str, scene.sample.frame.columns):
        if set(scene.sample.frame[name].map(label_text)) == wanted:
            return name
    return str(scene.sample.frame.columns[0])


def check_sample(scene: Scene, ids: pd.Series, path: Path) -> list[str]:
    """Refuse rows that are not those of the sample. Raises TaskError."""
    if scene.sample is None:
        return []
    frame = scene.sample.frame
    asked = set(frame[match_sample_id(scene, ids)].map(label_text))
    if odd := asked ^ set(ids):
        raise TaskError(
            f"{path}: {len(odd)} ids are in only one of rows.csv and {scene.sample_path} "
            f"(e.g. {min(odd)!r}); write exactly the ids of the sample"
        )
    return [f"ids to predict are those of {scene.name_path(scene.sample_path or path)}"]


def check_files(scene: Scene, labels: pd.DataFrame, path: Path) -> list[str]:
    """Refuse training files that are named twice. Raises TaskError."""
    if FILE not in labels:
        return []
    files = labels[FILE].dropna()
    if files.duplicated().any():
        raise TaskError(
            f"{path}: {int(files.duplicated().sum())} files stand twice in labels.csv "
            f"(e.g. {files[files.duplicated()].iloc[0]!r}); every file has one row"
        )
    known = {file.path for file in scene.files}
    n_found = int(files.isin(known).sum())
    left = len({file.path for file in scene.train_files} - set(files))
    return [f"{n_found} of {len(files)} files exist; {left} training files have no label"]


def describe_classes(values: pd.Series) -> str:
    """Say how often the values of a target occur."""
    counts = values.value_counts()
    shown = ", ".join(f"{text!r} {n}" for text, n in counts.head(N_SHOWN_CLASSES).items())
    more = f" and {len(counts) - N_SHOWN_CLASSES} more" if len(counts) > N_SHOWN_CLASSES else ""
    return f"{values.name}: {shown}{more}"


def recall_reading(inventory: Inventory, script: bytes, read: Callable[[], Reading]) -> Reading:
    """Return what the same reader made of the same folder before, or read and keep it."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    folder = base / "gome" / "readings" / hash_inventory(inventory, script)
    paths = [folder / f"{name}.parquet" for name in ("labels", "rows")]
    if all(path.is_file() for path in paths):
        try:
            return Reading(*(pd.read_parquet(path) for path in paths))
        except (OSError, ValueError):
            pass  # damaged: read again
    reading = read()
    try:
        keep_reading(folder, reading)
    except OSError:
        return reading  # nowhere to keep it: it is read again when needed
    return reading


def keep_reading(folder: Path, reading: Reading) -> None:
    """Keep a reading, and only the latest ones. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name, frame in zip(("labels", "rows"), reading, strict=True):
        buffer = io.BytesIO()
        frame.to_parquet(buffer, index=False)
        partial = folder / f"{name}.{os.getpid()}"
        partial.write_bytes(buffer.getvalue())
        partial.replace(folder / f"{name}.parquet")
    kept = sorted(folder.parent.iterdir(), key=lambda path: path.stat().st_mtime)
    for old in kept[:-N_KEPT_READINGS]:
        for file in old.iterdir():
            file.unlink()
        old.rmdir()


def hash_inventory(inventory: Inventory, script: bytes) -> str:
    """Hash a reader, and names, sizes and times of what it can read."""
    digest = hashlib.sha256(script)
    paths = [*inventory.tables, *inventory.texts, *inventory.others]
    paths += [source.path for source in inventory.sources]
    for path in sorted(set(paths)):
        status = path.stat()
        digest.update(f"{path}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    for source in inventory.sources:
        digest.update("\n".join(source.files).encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:32]
