"""Text tables that are too long to hold as text: read in blocks, numbers kept as numbers.

A file's pages are given back as soon as they are read, so that memory holds the table alone.
"""

from __future__ import annotations

import io
import mmap
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv

from task.load.encodings import Buffer

LONG_BYTES = 256 * 2**20
"""A text table of at least this size is read in blocks."""
BLOCK_BYTES = 2**23
RELEASE_BYTES = 2**25
DECIMAL = r"^-?\d+\.\d+$|^-?\d+$"
FEW_VALUES = 20
"""A column with more distinct values in its first block is no column of classes."""


class FailedCast(Exception):  # noqa: N818 - it names the event; nobody outside sees it
    """A value of a column is no number."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(name)


class ConsumedBuffer(io.RawIOBase):
    """A buffer that is read once from front to end; pages of a file are given back behind it."""

    def __init__(self, data: Buffer, start: int) -> None:
        self._view, self._place, self._released = memoryview(data), start, 0
        owner = self._view.obj
        self._map = owner if isinstance(owner, mmap.mmap) else None
        self._release(len(self._view))
        self._released = 0

    def readable(self) -> bool:
        """Whether it can be read."""
        return True

    def readinto(self, target: Any) -> int:
        """Copy the next bytes into a buffer; return how many."""
        part = self._view[self._place : self._place + len(target)]
        target[: len(part)] = part
        self._place += len(part)
        if self._place - self._released >= RELEASE_BYTES:
            self._release(self._place)
        return len(part)

    def _release(self, end: int) -> None:
        """Give back the pages before a place; they are read again where somebody asks."""
        if self._map is None or not hasattr(mmap, "MADV_DONTNEED"):
            return
        first = self._released - self._released % mmap.PAGESIZE
        length = end - end % mmap.PAGESIZE - first
        if length > 0:
            self._map.madvise(mmap.MADV_DONTNEED, first, length)
        self._released = end


def read_long_csv(
    data: Buffer,
    start: int,
    names: list[str],
    parse_options: arrow_csv.ParseOptions,
    convert_options: arrow_csv.ConvertOptions,
) -> pa.Table:
    """Read rows of text in blocks; columns of decimal numbers become such.

    Raises pa.ArrowInvalid for rows of another length.
    """
    kept_as_text: set[str] = set()
    while True:
        stream = pa.PythonFile(ConsumedBuffer(data, start), mode="r")
        reader = arrow_csv.open_csv(
            stream,
            read_options=arrow_csv.ReadOptions(column_names=names, block_size=BLOCK_BYTES),
            parse_options=parse_options,
            convert_options=convert_options,
        )
        try:
            return pa.Table.from_batches(list(convert_blocks(reader, kept_as_text)))
        except FailedCast as failed:
            kept_as_text.add(failed.name)  # read again with this column as text


def convert_blocks(reader: Any, kept_as_text: set[str]) -> Iterator[pa.RecordBatch]:
    """Yield blocks in which columns of decimal numbers are such. Raises FailedCast."""
    numeric: set[str] | None = None
    for block in reader:
        if numeric is None:
            names = [name for name in block.schema.names if name not in kept_as_text]
            numeric = {name for name in names if is_decimal_column(block.column(name))}
        arrays = [
            cast_column(block.column(name), name) if name in numeric else block.column(name)
            for name in block.schema.names
        ]
        yield pa.RecordBatch.from_arrays(arrays, block.schema.names)


def is_decimal_column(array: pa.Array) -> bool:
    """Whether a column of a block holds decimal numbers of many values."""
    known = array.drop_null()
    if not len(known) or not pc.any(pc.match_substring(known, ".")).as_py():
        return False
    is_plain = pc.all(pc.match_substring_regex(known, DECIMAL)).as_py()
    return bool(is_plain) and pc.count_distinct(known).as_py() > FEW_VALUES


def cast_column(array: pa.Array, name: str) -> pa.Array:
    """Return a column of text as numbers. Raises FailedCast."""
    try:
        return pc.cast(array, pa.float64())
    except pa.ArrowInvalid:
        raise FailedCast(name) from None
