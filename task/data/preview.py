"""A preview of input/ in a few lines: every kind of file once, with counts, sizes and a sample.

It is made once per task and shown to reasoners, so it is bounded however large or odd the folder
is: names are quoted, links are not followed, archives are listed and never unpacked.
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

from task.data.heads import head_lines
from task.data.media.look import describe_media, profile_media
from task.types import Prepared

MAX_CHARS = 5_000
MAX_NAMES = 40  # names below input/ that are listed one by one
MAX_GROUPS = 6  # kinds of entries per folder
MAX_ENTRIES = 20_000  # entries of one folder, or of one archive, that are counted
MAX_TAR_MEMBERS = 2_000  # a compressed archive is read no further than they reach
MAX_DEPTH = 3
HEAD_BYTES = 64 * 1024
MAX_CELL_CHARS, MAX_LINE_CHARS, MAX_CELLS = 24, 220, 12
MAX_LABEL_CHARS = 80
TEXT_ENDINGS = (".csv", ".tsv", ".txt", ".json", ".jsonl", ".md")
TAR_ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".gif", ".bmp")
UNLISTED = {"folds.csv", "description.md"}  # every prompt tells what they hold
KNOWN_INPUTS = (
    "train.csv",
    "test.csv",
    "train.parquet",
    "test.parquet",
    "folds.csv",
    "description.md",
)
"""Described in full elsewhere in a brief."""


class FolderEntry(NamedTuple):
    """A file or folder below input/, or a member of an archive."""

    name: str
    n_bytes: int
    is_folder: bool = False


class EntryGroup(NamedTuple):
    """Entries of a folder with the same ending, or all its subfolders."""

    ending: str  # "/" for folders
    n: int
    n_bytes: int
    first: str
    last: str


def preview_inputs(prepared: Prepared) -> str:
    """Return the lines of the preview, at most MAX_CHARS."""
    media = describe_media(profile_media(prepared))
    names = sorted(prepared.inputs.keys() - UNLISTED)
    paths = [(name, Path(prepared.inputs[name])) for name in names[:MAX_NAMES]]
    lines = [*media, *(line for name, path in paths for line in preview_input(name, path))]
    if len(names) > MAX_NAMES:
        lines.append(f"and {len(names) - MAX_NAMES} more names")
    return limit_lines(lines)


def limit_lines(lines: list[str]) -> str:
    """Join as many lines as fit into MAX_CHARS, and say how many do not."""
    n_left = MAX_CHARS - 60
    for index, line in enumerate(lines):
        n_left -= len(line) + 1
        if n_left < 0:
            return "\n".join([*lines[:index], f"[{len(lines) - index} more lines left out]"])
    return "\n".join(lines)


def preview_input(name: str, path: Path) -> list[str]:
    """Preview one name below input/."""
    try:
        if path.is_dir():
            return preview_folder(path, quote_name(name) + "/", 0)
        is_known = name in KNOWN_INPUTS
        content = describe_content(path, is_known=is_known)
        head = [] if content or is_known else head_lines(path)
        line = f"{quote_name(name)}: {readable_file_size(path)}{content}"
        return [line, *(f"  | {text}" for text in head)]
    except OSError as error:
        return [f"{quote_name(name)}: cannot be read ({error.strerror})"]


def preview_folder(path: Path, label: str, depth: int) -> list[str]:
    """Return a line per kind of entry, with the content of the first of each."""
    entries = list(islice(scan_folder(path), MAX_ENTRIES))
    more = " or more" if len(entries) == MAX_ENTRIES else ""
    lines = [f"{'  ' * depth}{label} {len(entries):,}{more} entries" + (":" if entries else "")]
    for group in group_entries(entries)[:MAX_GROUPS]:
        lines += preview_group(path, group, depth)
    return lines


def preview_group(path: Path, group: EntryGroup, depth: int) -> list[str]:
    """Preview entries of one kind by their first one; subfolders down to MAX_DEPTH."""
    indent, first = "  " * (depth + 1), path / group.first
    names = quote_name(group.first)
    if group.n > 1:
        names += f" … {quote_name(group.last)}"
    if group.ending == "/":
        lines = [f"{indent}{group.n:,} subfolders, all similar: {names}"] if group.n > 1 else []
        if depth < MAX_DEPTH:
            lines += preview_folder(first, f"{quote_name(group.first)}/", depth + 1)
        return lines
    kind = group.ending or "files without ending"
    line = f"{indent}{group.n:,} {kind}, {readable_size(group.n_bytes)} in all: {names}"
    line = line[: 2 * MAX_LINE_CHARS]
    content = describe_content(first)
    if group.n > 1:
        line += f"; the first: {readable_file_size(first)}"
    head = [] if content else head_lines(first)
    return [line + content, *(f"{indent}  | {text}" for text in head)]


def scan_folder(path: Path) -> Iterator[FolderEntry]:
    """Yield the entries of a folder, without links and hidden names."""
    with os.scandir(path) as entries:
        for entry in entries:
            if entry.name.startswith(".") or entry.is_symlink():
                continue
            if entry.is_dir(follow_symlinks=False):
                yield FolderEntry(entry.name, 0, is_folder=True)
            else:
                yield FolderEntry(entry.name, entry.stat(follow_symlinks=False).st_size)


def group_entries(entries: list[FolderEntry]) -> list[EntryGroup]:
    """Group entries by ending, the most frequent first."""
    by_ending: dict[str, list[FolderEntry]] = {}
    for entry in entries:
        key = "/" if entry.is_folder else file_ending(entry.name)
        by_ending.setdefault(key, []).append(entry)
    groups = []
    for ending, members in by_ending.items():
        names = [member.name for member in members]
        n_bytes = sum(member.n_bytes for member in members)
        groups.append(EntryGroup(ending, len(members), n_bytes, min(names), max(names)))
    return sorted(groups, key=lambda group: (-group.n, group.ending))


def file_ending(name: str) -> str:
    """Return the ending in lower case: .csv, .tar.gz; at most twelve characters."""
    suffixes = Path(name).suffixes[-2:]
    is_tar = len(suffixes) == 2 and suffixes[0] == ".tar"
    return "".join(suffixes if is_tar else suffixes[-1:]).lower()[:12]


# -------------------------------------------------------------------------------- content of a file


UNREADABLE = (
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
)
"""What the readers below raise for a file that is not what its ending says."""


def describe_content(path: Path, *, is_known: bool = False) -> str:
    """Describe what a file contains, after a semicolon; empty where nothing can be said."""
    try:
        text = inspect_file(path, is_known)
    except UNREADABLE as error:
        kind = file_ending(path.name) or "a file"
        text = f"cannot be read as {kind} ({type(error).__name__})"
    return f"; {text[: MAX_LINE_CHARS * 2]}" if text else ""


def inspect_file(path: Path, is_known: bool) -> str:
    """Describe a file by its ending. Raises one of UNREADABLE."""
    ending = file_ending(path.name)
    if ending == ".zip":
        return describe_archive(list_zip(path))
    if ending in TAR_ENDINGS:
        return describe_archive(list_tar(path))
    if ending in IMAGE_ENDINGS:
        return describe_image(path)
    if ending == ".wav":
        return describe_wav(path)
    if ending == ".npy":
        return describe_npy(path)
    if is_known or ending not in (*TEXT_ENDINGS, ".gz"):
        return ""
    return describe_text(read_head(path), file_ending(path.stem) if ending == ".gz" else ending)


def read_head(path: Path) -> str:
    """Read the first HEAD_BYTES of a text, unpacked if it ends in .gz."""
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
        return file.read(HEAD_BYTES).decode("utf-8", "replace")


def describe_text(text: str, ending: str) -> str:
    """Describe a table by its first rows, JSON by its type, other text by how it begins."""
    if ending in (".csv", ".tsv"):
        return describe_rows(text, "\t" if ending == ".tsv" else ",")
    if not text.strip():
        return "empty"
    if ending in (".json", ".jsonl"):
        value = text.splitlines()[0] if ending == ".jsonl" else text
        return describe_json(json.loads(value)) if len(value) < HEAD_BYTES else "JSON"
    return "begins " + quote_name(" ".join(text.split())[:120])


def describe_rows(text: str, separator: str) -> str:
    """Show the header and the first two rows of a table."""
    rows = islice(csv.reader(text.splitlines(), delimiter=separator), 3)
    texts = [row_text(row) for row in rows]
    if not texts:
        return "empty"
    header, *samples = texts
    return f"columns {header}" + (f"; rows {' / '.join(samples)}" if samples else "")


def row_text(row: list[str]) -> str:
    """Show the first cells of a row."""
    cells = " | ".join(cell_text(value) for value in row[:MAX_CELLS])
    return cells + (f" | … {len(row)} in all" if len(row) > MAX_CELLS else "")


def describe_json(value: object) -> str:
    """Describe a JSON value by its type, size and first item."""
    if isinstance(value, dict):
        keys = ", ".join(cell_text(key) for key in islice(value, 10))
        return f"JSON object of {len(value):,} keys: {keys}"
    if isinstance(value, list):
        first = f", the first: {describe_json(value[0])}" if value else ""
        return f"JSON list of {len(value):,}{first}"
    return f"JSON {type(value).__name__} {cell_text(value)}"


def describe_archive(members: list[FolderEntry]) -> str:
    """Count the members by folder and ending, with one example each."""
    groups: dict[str, list[str]] = {}
    for member in members:
        folder, _, name = member.name.rpartition("/")
        groups.setdefault(f"{folder[:40]}/*{file_ending(member.name)}", []).append(name)
    common = Counter({key: len(names) for key, names in groups.items()}).most_common(5)
    listed = ", ".join(
        f"{n:,} {quote_name(key)} (e.g. {quote_name(groups[key][0])})" for key, n in common
    )
    more = " or more" if len(members) >= MAX_ENTRIES else ""
    size = readable_size(sum(member.n_bytes for member in members))
    text = f"archive of {len(members):,}{more} files, {size} unpacked: {listed}"
    return text + (", …" if len(groups) > len(common) else "")


def list_zip(path: Path) -> list[FolderEntry]:
    """List the files of a zip, at most MAX_ENTRIES members."""
    with zipfile.ZipFile(path) as archive:
        members = islice(archive.infolist(), MAX_ENTRIES)
        return [FolderEntry(info.filename, info.file_size) for info in members if not info.is_dir()]


def list_tar(path: Path) -> list[FolderEntry]:
    """List the files among the first members of a tar."""
    with tarfile.open(path) as archive:
        members = islice(archive, MAX_TAR_MEMBERS)
        return [FolderEntry(info.name, info.size) for info in members if info.isfile()]


def describe_image(path: Path) -> str:
    """Return width x height, read from the first bytes."""
    with path.open("rb") as file:
        data = file.read(HEAD_BYTES)
    if data.startswith(b"\x89PNG"):
        return "{} x {} pixels".format(*struct.unpack(">II", data[16:24]))
    if data.startswith(b"GIF8"):
        return "{} x {} pixels".format(*struct.unpack("<HH", data[6:10]))
    if data.startswith(b"BM"):
        return "{} x {} pixels".format(*struct.unpack("<ii", data[18:26]))
    return describe_jpeg(data) if data.startswith(b"\xff\xd8") else "not a known picture format"


def describe_jpeg(data: bytes) -> str:
    """Return width x height from the frame header, where it is among the first bytes."""
    offset = 2
    while offset + 9 < len(data) and data[offset] == 0xFF:
        marker, length = data[offset + 1], struct.unpack(">H", data[offset + 2 : offset + 4])[0]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", data[offset + 5 : offset + 9])
            return f"{width} x {height} pixels"
        offset += 2 + length
    return "a JPEG picture"


def describe_wav(path: Path) -> str:
    """Return duration, rate and channels."""
    with wave.open(str(path)) as sound:
        rate = sound.getframerate() or 1
        seconds = sound.getnframes() / rate
        return f"{seconds:.1f} s at {rate} Hz, {sound.getnchannels()} channels"


def describe_npy(path: Path) -> str:
    """Return dtype and shape from the header; nothing is unpickled."""
    import numpy as np

    with path.open("rb") as file:
        version = np.lib.format.read_magic(file)
        is_old = version == (1, 0)
        read_header = (
            np.lib.format.read_array_header_1_0 if is_old else np.lib.format.read_array_header_2_0
        )
        shape, _, dtype = read_header(file)
    return f"array {dtype} {shape}"


# ------------------------------------------------------------------------------------ text of parts


def quote_name(name: object) -> str:
    """Quote a name, so that it cannot break out of its line."""
    return json.dumps(str(name)[:MAX_LABEL_CHARS], ensure_ascii=False)


def cell_text(value: object) -> str:
    """Return a cell on one line, cut at MAX_CELL_CHARS."""
    return " ".join(str(value).split())[:MAX_CELL_CHARS]


def readable_size(n_bytes: int) -> str:
    """Return a size such as 1.5 MB."""
    for unit, step in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if n_bytes >= step:
            return f"{n_bytes / step:.1f} {unit}"
    return f"{n_bytes} bytes"


def readable_file_size(path: Path) -> str:
    """Return a file's size such as 1.5 MB."""
    return readable_size(path.stat().st_size)
