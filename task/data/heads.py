"""The beginning of a file for a reader: lines of a text, or bytes of anything else."""

from __future__ import annotations

from pathlib import Path
from typing import IO

HEAD_BYTES, HEX_BYTES, HEAD_CHARS = 1500, 96, 900
MAX_ODD_SHARE = 0.02  # of characters that are neither printable nor white space
LINE_CHARS, N_LINES = 120, 6


def head_of(path: Path) -> str:
    """Return the head of a file."""
    return show_head(path.open("rb"))


def show_head(file: IO[bytes]) -> str:
    """Return the first lines of a text, or the first bytes as hexadecimal digits."""
    with file:
        data = file.read(HEAD_BYTES)
    text = read_as_text(data)
    if text:
        return text[:HEAD_CHARS]
    return f"bytes {data[:HEX_BYTES].hex(' ')}" if data else "empty"


def read_as_text(data: bytes) -> str:
    """Return the text that the bytes are; empty where they are none."""
    text = data.decode("utf-8", "replace")
    if text.endswith("\ufffd") and len(data) >= HEAD_BYTES:
        text = text[:-1]  # a sign that the end cut in two
    n_odd = sum(
        char == "\ufffd" or (not char.isprintable() and char not in "\r\n\t") for char in text
    )
    return text if text and n_odd <= MAX_ODD_SHARE * len(text) else ""


def head_lines(path: Path) -> list[str]:
    """Return the first lines of a text, each bounded and without signs that cannot be seen.

    None of a file that is no text, or that cannot be read; links are not followed.
    """
    try:
        if path.is_symlink() or not path.is_file():
            return []
        with path.open("rb") as file:
            data = file.read(HEAD_BYTES)
    except OSError:
        return []
    lines = [line for line in read_as_text(data).splitlines() if line.strip()][:N_LINES]
    visible = ("".join(char if char.isprintable() else " " for char in line) for line in lines)
    return [line[:LINE_CHARS] + ("…" if len(line) > LINE_CHARS else "") for line in visible]
