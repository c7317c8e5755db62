"""What the side files of the rows are: kinds, counts, sizes, modes, rates, lengths, and examples.

A few files of every kind are opened; nothing is unpickled and no file is read whole that need not.
"""

from __future__ import annotations

import statistics
import warnings
import wave
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from task.data.heads import head_lines
from task.data.media.side_files import INDEX
from task.types import MediaProfile, Prepared

N_OPENED = 40
MAX_KINDS = 8
HEAD_BYTES = 2**16
KINDS = {
    "image": "png jpg jpeg gif bmp webp tif tiff",
    "sound": "wav flac ogg mp3 aif aiff",
    "scan": "dcm dicom",
    "array": "npy npz",
    "table": "csv tsv parquet",
    "text": "txt json md html xml",
}
KIND_OF_ENDING = {f".{ending}": kind for kind, text in KINDS.items() for ending in text.split()}
TEXT_KINDS = ("table", "text", "other")
Values = dict[str, Any]


def profile_media(prepared: Prepared) -> list[MediaProfile]:
    """Describe the kinds of files that belong to rows, the commonest first."""
    path = Path(prepared.public) / INDEX
    if not path.is_file():
        return []
    index = pd.read_csv(path, dtype=str, keep_default_na=False)
    index.columns = pd.Index(["id", "part", "path"])
    index["ending"] = index["path"].map(lambda name: PurePosixPath(name).suffix.lower())
    rows = {"train": prepared.n_train, "test": prepared.n_test}
    profiles = []
    for ending, files in index.groupby("ending", sort=False):
        profiles.append(profile_kind(prepared, str(ending), files, rows))
    return sorted(profiles, key=lambda item: -item["n_files"])[:MAX_KINDS]


def profile_kind(
    prepared: Prepared, ending: str, files: pd.DataFrame, rows: dict[str, int]
) -> MediaProfile:
    """Describe the files of one ending by some of them, in train and test."""
    own = files[["id", "part"]].drop_duplicates()
    shares = {part: float((own["part"] == part).sum() / max(1, n)) for part, n in rows.items()}
    kind = KIND_OF_ENDING.get(ending, "other")
    sample = files["path"].drop_duplicates().sample(frac=1, random_state=0).head(N_OPENED)
    paths = [host_path(prepared, name) for name in sample]
    sizes = [path.stat().st_size for path in paths if path.is_file()]
    facts = summarize_values([open_quietly(OPENERS[kind], path) for path in paths])
    head = next(filter(None, map(head_lines, paths)), []) if kind in TEXT_KINDS else []
    firsts = [str(files.loc[files["part"] == part, "path"].min()) for part in ("train", "test")]
    profile = MediaProfile(
        ending=ending,
        kind=kind,
        n_files=int(files["path"].nunique()),
        files_per_row=round(len(files) / max(1, len(own)), 2),
        train_share=round(shares["train"], 4),
        test_share=round(shares["test"], 4),
        bytes=describe_spread(sizes),
        examples=[name for name in firsts if name != "nan"],
        facts=facts,
    )
    if head:
        profile["head"] = head
    return profile


def host_path(prepared: Prepared, name: str) -> Path:
    """Return where a file below input/ lies."""
    top, _, rest = name.partition("/")
    source = Path(prepared.inputs.get(top, ""))
    return source / rest if rest else source


def open_quietly(opener: Callable[[Path], Values], path: Path) -> Values:
    """Return what a file says of itself; that it is unreadable, where it is."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return opener(path)
    except Exception as error:  # noqa: BLE001 - a decoder may raise anything for a hostile file
        return {"unreadable": type(error).__name__}


def summarize_values(found: Sequence[Values]) -> dict[str, str]:
    """Return each property over the files opened: a spread of numbers, the commonest texts."""
    summary: dict[str, str] = {}
    for name in dict.fromkeys(key for values in found for key in values):
        values = [item[name] for item in found if name in item]
        if all(isinstance(value, (int, float)) for value in values):
            summary[name] = describe_spread(values)
        else:
            common = Counter(map(str, values)).most_common(3)
            summary[name] = ", ".join(
                text if n == len(found) else f"{text} ({n} of {len(found)})" for text, n in common
            )[:200]
    return summary


def describe_spread(values: Sequence[float]) -> str:
    """Return a number, or lowest to highest with the median."""
    if not values:
        return "none"
    low, high = min(values), max(values)
    if low == high:
        return f"{low:g}"
    return f"{low:g} to {high:g}, median {statistics.median(values):g}"


# openers


def open_image(path: Path) -> Values:
    """Return size and colour mode of a picture, from its header."""
    from PIL import Image

    with Image.open(path) as image:
        width, height = image.size
        frames = getattr(image, "n_frames", 1)
        pages = {"pages": frames} if frames > 1 else {}
        return {"width": width, "height": height, "mode": image.mode} | pages


def open_sound(path: Path) -> Values:
    """Return length, rate and channels of a sound."""
    if path.suffix.lower() == ".wav":
        with wave.open(str(path)) as sound:
            rate = sound.getframerate() or 1
            seconds = round(sound.getnframes() / rate, 3)
            return {"seconds": seconds, "rate": rate, "channels": sound.getnchannels()}
    import soundfile

    info = soundfile.info(str(path))
    return {
        "seconds": round(info.frames / max(1, info.samplerate), 3),
        "rate": info.samplerate,
        "channels": info.channels,
    }


def open_scan(path: Path) -> Values:
    """Return size, kind and depth of a DICOM scan, without its pixels."""
    import pydicom

    data = pydicom.dcmread(path, stop_before_pixels=True)
    names = {"Rows": "height", "Columns": "width", "Modality": "modality", "BitsStored": "bits"}
    return {word: getattr(data, name) for name, word in names.items() if hasattr(data, name)}


def open_array(path: Path) -> Values:
    """Return dtype and shape of an array, from its header; nothing is unpickled."""
    import numpy as np

    if path.suffix.lower() == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            return {name: f"{arrays[name].dtype} {arrays[name].shape}" for name in arrays.files[:5]}
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    return {"array": f"{array.dtype} {array.shape}"}


def open_table(path: Path) -> Values:
    """Return rows and columns of a table of one sample."""
    if path.suffix.lower() == ".parquet":
        import pyarrow.parquet as parquet

        file = parquet.ParquetFile(path)
        return {"rows": file.metadata.num_rows, "columns": ", ".join(file.schema_arrow.names[:12])}
    separator = "\t" if path.suffix.lower() == ".tsv" else ","
    head = pd.read_csv(path, sep=separator, nrows=200)
    rows = len(head) if len(head) < 200 else "200 or more"
    return {"rows": rows, "columns": ", ".join(map(str, head.columns[:12]))}


def open_text(path: Path) -> Values:
    """Return length and first words of a text."""
    with path.open("rb") as file:
        text = file.read(HEAD_BYTES).decode("utf-8", "replace")
    return {"characters": len(text), "begins": " ".join(text.split())[:60]}


def open_other(path: Path) -> Values:
    """Return the first bytes of a file of no known kind."""
    with path.open("rb") as file:
        return {"first bytes": file.read(8).hex()}


OPENERS: dict[str, Callable[[Path], Values]] = {
    "image": open_image,
    "sound": open_sound,
    "scan": open_scan,
    "array": open_array,
    "table": open_table,
    "text": open_text,
    "other": open_other,
}


def describe_media(profiles: Sequence[MediaProfile]) -> list[str]:
    """Return lines for the preview: how ids map to files, and a line per kind of file."""
    if not profiles:
        return []
    lines = [f"input/{INDEX} says which files belong to which row: id, part (train, test), path:"]
    for item in profiles:
        facts = "; ".join(f"{name} {text}" for name, text in item["facts"].items())
        per_row = "" if item["files_per_row"] == 1 else f", {item['files_per_row']:g} per row"
        lines.append(
            f"  {item['n_files']:,} {item['ending'] or 'files without ending'} ({item['kind']})"
            f"{per_row}; {item['train_share']:.0%} of the training rows and "
            f"{item['test_share']:.0%} of the test rows have one; bytes {item['bytes']}; {facts}; "
            f"e.g. {' and '.join(item['examples'])}"
        )
        lines += [f"    | {line}" for line in item.get("head", [])]
    return lines
