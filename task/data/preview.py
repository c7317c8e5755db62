"""What lies below input/, in a few lines: every kind of thing once, with counts, sizes and one opened sample.

Made once per task and shown to reasoners, so it is bounded however large or odd the folder is: names are quoted, links are not followed, archives
are listed and never unpacked.
"""

from __future__ import annotations

import csv
import gzip
import json
import os
import struct
import tarfile
import wave
import zipfile
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from task.types import Prepared

MAX_CHARS = 5_000
MAX_TOP = 40  # names below input/ that are told one by one
MAX_ENTRIES = 20_000  # entries of one folder, or of one archive, that are counted
MAX_DEPTH = 3
HEAD_BYTES = 64 * 1024
CELL, LINE, N_CELLS = 24, 220, 12
TABLES = (".csv", ".tsv", ".txt", ".json", ".jsonl", ".md")
KNOWN = (
    "train.csv",
    "test.csv",
    "train.parquet",
    "test.parquet",
    "folds.csv",
    "description.md",
)  # told elsewhere in full


class Kind(NamedTuple):
    """Entries of a folder that are alike: same ending, or all folders."""

    ending: str  # "/" for folders
    n: int
    n_bytes: int
    first: str
    last: str


def preview(prepared: Prepared) -> str:
    """Lines for a prompt; at most MAX_CHARS."""
    names = sorted(prepared.inputs)
    lines = [line for name in names[:MAX_TOP] for line in top(name, Path(prepared.inputs[name]))]
    if len(names) > MAX_TOP:
        lines.append(f"and {len(names) - MAX_TOP} more names")
    return bounded(lines)


def bounded(lines: list[str]) -> str:
    kept: list[str] = []
    left = MAX_CHARS - 60
    for line in lines:
        left -= len(line) + 1
        if left < 0:
            return "\n".join([*kept, f"[{len(lines) - len(kept)} more lines left out]"])
        kept.append(line)
    return "\n".join(kept)


def top(name: str, path: Path) -> list[str]:
    try:
        if path.is_dir():
            return folder(path, quoted(name) + "/", 0)
        return [f"{quoted(name)}: {size(path.stat().st_size)}{opened(path, known=name in KNOWN)}"]
    except OSError as error:
        return [f"{quoted(name)}: cannot be read ({error.strerror})"]


def folder(path: Path, label: str, depth: int) -> list[str]:
    """One line per kind of entry, the first of each opened."""
    entries = list(islice(scan(path), MAX_ENTRIES))
    indent = "  " * depth
    more = " or more" if len(entries) == MAX_ENTRIES else ""
    lines = [f"{indent}{label} {len(entries):,}{more} entries" + (":" if entries else "")]
    for kind in kinds(entries)[:6]:
        lines += told(path, kind, depth)
    return lines


def told(path: Path, kind: Kind, depth: int) -> list[str]:
    indent, names = (
        "  " * (depth + 1),
        quoted(kind.first) + (f" … {quoted(kind.last)}" if kind.n > 1 else ""),
    )
    if kind.ending == "/":
        head = (
            [
                f"{indent}{kind.n:,} {'subfolders, all told alike' if kind.n > 1 else 'subfolder'}: {names}"
            ]
            if kind.n > 1
            else []
        )
        return head + (
            folder(path / kind.first, f"{quoted(kind.first)}/", depth + 1)
            if depth < MAX_DEPTH
            else []
        )
    line = f"{indent}{kind.n:,} {kind.ending or 'files without ending'}, {size(kind.n_bytes)} in all: {names}"
    return [
        line[: 2 * LINE]
        + ("; " if kind.n > 1 else "")
        + (
            f"the first: {size_of(path / kind.first)}{opened(path / kind.first)}"
            if kind.n > 1
            else opened(path / kind.first)
        )
    ]


def scan(path: Path) -> Iterator[tuple[str, bool, int]]:
    """(name, is a folder, bytes) of what lies in a folder; links and hidden names are passed over."""
    with os.scandir(path) as found:
        for entry in found:
            if entry.name.startswith(".") or entry.is_symlink():
                continue
            is_folder = entry.is_dir(follow_symlinks=False)
            yield (
                entry.name,
                is_folder,
                0 if is_folder else entry.stat(follow_symlinks=False).st_size,
            )


def kinds(entries: list[tuple[str, bool, int]]) -> list[Kind]:
    """Entries by ending, the commonest first."""
    groups: dict[str, list[tuple[str, int]]] = {}
    for name, is_folder, n_bytes in entries:
        groups.setdefault("/" if is_folder else ending(name), []).append((name, n_bytes))
    found = [
        Kind(key, len(group), sum(n for _, n in group), min(group)[0], max(group)[0])
        for key, group in groups.items()
    ]
    return sorted(found, key=lambda kind: (-kind.n, kind.ending))


def ending(name: str) -> str:
    suffixes = Path(name).suffixes[-2:]
    return "".join(
        suffixes if len(suffixes) == 2 and suffixes[0] == ".tar" else suffixes[-1:]
    ).lower()[:12]


# one file, looked into


def opened(path: Path, *, known: bool = False) -> str:
    """What is inside, behind a semicolon; empty where nothing can be said."""
    try:
        said = look(path, known)
    except (
        OSError,
        ValueError,
        EOFError,
        struct.error,
        wave.Error,
        zipfile.BadZipFile,
        tarfile.TarError,
        csv.Error,
        RecursionError,
        NotImplementedError,
    ) as error:
        said = f"cannot be read as {ending(path.name) or 'a file'} ({type(error).__name__})"
    return f"; {said[: LINE * 2]}" if said else ""


def look(path: Path, known: bool) -> str:
    kind = ending(path.name)
    if kind == ".zip":
        return archive(zip_names(path))
    if kind in (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz"):
        return archive(tar_names(path))
    if kind in (".png", ".jpg", ".jpeg", ".gif", ".bmp"):
        return picture(path)
    if kind == ".wav":
        return sound(path)
    if kind == ".npy":
        return array(path)
    if known or kind not in (*TABLES, ".gz"):
        return ""
    return text(head(path), ending(path.stem) if kind == ".gz" else kind)


def head(path: Path) -> str:
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
        return file.read(HEAD_BYTES).decode("utf-8", "replace")


def text(given: str, kind: str) -> str:
    if kind in (".csv", ".tsv"):
        rows = list(
            islice(csv.reader(given.splitlines(), delimiter="\t" if kind == ".tsv" else ","), 3)
        )
        told = [
            " | ".join(cell(value) for value in row[:N_CELLS])
            + (f" | … {len(row)} in all" if len(row) > N_CELLS else "")
            for row in rows
        ]
        return (
            "columns " + told[0] + ("; rows " + " / ".join(told[1:]) if told[1:] else "")
            if told
            else "empty"
        )
    if kind in (".json", ".jsonl") and given.strip():
        whole = given.splitlines()[0] if kind == ".jsonl" else given
        return shape(json.loads(whole)) if len(whole) < HEAD_BYTES else "JSON"
    return "begins " + quoted(" ".join(given.split())[:120]) if given.strip() else "empty"


def shape(value: object) -> str:
    if isinstance(value, dict):
        return f"JSON object of {len(value):,} keys: " + ", ".join(
            cell(key) for key in islice(value, 10)
        )
    if isinstance(value, list):
        return f"JSON list of {len(value):,}" + (f", the first: {shape(value[0])}" if value else "")
    return f"JSON {type(value).__name__} {cell(value)}"


def archive(entries: list[tuple[str, int]]) -> str:
    """Names inside by folder and ending, with one example each."""
    groups: dict[str, list[str]] = {}
    for name, _ in entries:
        groups.setdefault(f"{os.path.dirname(name)[:40]}/*{ending(name)}", []).append(name)
    common = Counter({key: len(found) for key, found in groups.items()}).most_common(5)
    told = ", ".join(
        f"{n:,} {quoted(key)} (e.g. {quoted(os.path.basename(groups[key][0]))})"
        for key, n in common
    )
    more = " or more" if len(entries) >= MAX_ENTRIES else ""
    return (
        f"archive of {len(entries):,}{more} files, {size(sum(n for _, n in entries))} unpacked: {told}"
        + (", …" if len(groups) > 5 else "")
    )


def zip_names(path: Path) -> list[tuple[str, int]]:
    with zipfile.ZipFile(path) as found:
        return [
            (info.filename, info.file_size)
            for info in islice(found.infolist(), MAX_ENTRIES)
            if not info.is_dir()
        ]


def tar_names(path: Path) -> list[tuple[str, int]]:
    """The first members; a compressed archive is read no further than they reach."""
    with tarfile.open(path) as found:
        return [(info.name, info.size) for info in islice(found, 2000) if info.isfile()]


def picture(path: Path) -> str:
    """Width x height from the first bytes."""
    with path.open("rb") as file:
        data = file.read(HEAD_BYTES)
    if data.startswith(b"\x89PNG"):
        return "{} x {} pixels".format(*struct.unpack(">II", data[16:24]))
    if data.startswith(b"GIF8"):
        return "{} x {} pixels".format(*struct.unpack("<HH", data[6:10]))
    if data.startswith(b"BM"):
        return "{} x {} pixels".format(*struct.unpack("<ii", data[18:26]))
    return jpeg(data) if data.startswith(b"\xff\xd8") else "not a picture that is known"


def jpeg(data: bytes) -> str:
    place = 2
    while place + 9 < len(data) and data[place] == 0xFF:
        marker, length = data[place + 1], struct.unpack(">H", data[place + 2 : place + 4])[0]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            high, wide = struct.unpack(">HH", data[place + 5 : place + 9])
            return f"{wide} x {high} pixels"
        place += 2 + length
    return "a JPEG picture"


def sound(path: Path) -> str:
    with wave.open(str(path)) as found:
        rate = found.getframerate() or 1
        return f"{found.getnframes() / rate:.1f} s at {rate} Hz, {found.getnchannels()} channels"


def array(path: Path) -> str:
    """dtype and shape from the header; nothing is unpickled."""
    import numpy as np

    with path.open("rb") as file:
        version = np.lib.format.read_magic(file)
        form, _, dtype = (
            np.lib.format.read_array_header_1_0(file)
            if version == (1, 0)
            else np.lib.format.read_array_header_2_0(file)
        )
    return f"array {dtype} {form}"


# words


def quoted(name: object) -> str:
    """A name that cannot break out of its line."""
    return json.dumps(str(name)[:80], ensure_ascii=False)


def cell(value: object) -> str:
    return " ".join(str(value).split())[:CELL]


def size(n_bytes: int) -> str:
    for unit, step in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if n_bytes >= step:
            return f"{n_bytes / step:.1f} {unit}"
    return f"{n_bytes} bytes"


def size_of(path: Path) -> str:
    return size(path.stat().st_size)
