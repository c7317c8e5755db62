"""Folders of pictures for the tests, and everything that scripts can read below input/."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from task.data import prepare
from task.data.prepare import prepare_task
from task.load.spec import load_task
from task.types import Prepared


def picture_bytes(rng: np.random.Generator, tint: float, size: int = 8) -> bytes:
    """A noisy picture whose brightness follows `tint`."""
    pixels = np.clip(rng.normal(60 + 130 * tint, 25, (size, size, 3)), 0, 255).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def write_pictures(folder: Path, names: list[str], tints: list[float], seed: int = 1) -> None:
    """Write a picture per name, which may hold folders."""
    rng = np.random.default_rng(seed)
    for name, tint in zip(names, tints, strict=True):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture_bytes(rng, tint))


def image_tables(n: int, m: int, seed: int = 2) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Labelled and unlabelled rows with random ids; the label is a word."""
    rng = np.random.default_rng(seed)
    ids = [rng.bytes(6).hex() for _ in range(n + m)]
    labels = rng.permutation(np.resize(["heron", "stork"], n + m))
    frame = pd.DataFrame({"id": ids, "label": labels})
    return frame[:n].reset_index(drop=True), frame[n:].reset_index(drop=True)


def write_image_task(folder: Path, n: int = 80, m: int = 30) -> pd.DataFrame:
    """A folder with train.csv, test.csv and a picture per row in train/ and test/; labels, too."""
    train, test = image_tables(n, m)
    folder.mkdir(parents=True, exist_ok=True)
    for part, frame in (("train", train), ("test", test)):
        tints = [float(label == "stork") for label in frame["label"]]
        write_pictures(folder / part, [f"{k}.png" for k in frame["id"]], tints, seed=len(frame))
    train.to_csv(folder / "train.csv", index=False)
    test[["id"]].to_csv(folder / "test.csv", index=False)
    test[["id"]].assign(label=0.5).to_csv(folder / "sample_submission.csv", index=False)
    (folder / "description.md").write_text("Heron or stork?\nScored by the area under the ROC.\n")
    (folder / "task.yaml").write_text("metric: auc\npositive: stork\n")
    return train


def prepare_folder(folder: Path, run: Path, *, audit: bool = True) -> Prepared:
    """Prepare a task folder for a run folder."""
    task = load_task(str(folder))
    return prepare_task(task, str(run / "public"), str(run / "private"), seed=0, audit=audit)


def held_back_rows(prepared: Prepared) -> pd.DataFrame:
    """Ids that scripts see of the held-back rows, with their labels as text."""
    labels = pd.read_parquet(Path(prepared.private) / "labels.parquet")
    hidden = labels[labels["_fold"] == -2]
    names = [name for name in labels.columns if name.startswith(prepare.LABEL_PREFIX)]
    return pd.DataFrame({"id": hidden["_id"], "label": hidden[names[0]].astype(str)})


def input_files(prepared: Prepared) -> Iterator[tuple[str, Path]]:
    """Yield name and path of every file below input/."""
    for name, source in prepared.inputs.items():
        path = Path(source)
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file():
                yield f"{name}/{file.relative_to(path)}" if path.is_dir() else name, file


def readable_texts(path: Path) -> Iterator[str]:
    """Yield what a script could read of a file: as text, as a table, and inside archives."""
    data = path.read_bytes()
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    if data[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for name in archive.namelist():
                yield name
                yield archive.read(name).decode("utf-8", "replace")
        return
    if data[:4] == b"PAR1":
        yield pd.read_parquet(path).to_csv()
        return
    yield data.decode("utf-8", "replace")
