"""Functions behind `gome memory ls|show|search|export|import|forget`.

`where` names a memory as in memory.store.open_memory. All raise MemoryAccessError, one sentence for
the user.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from memory.backend import Warn, ignore_warning, is_server_url, open_backend
from memory.choose import embedding_at
from memory.chroma import ChromaIndex
from memory.embed import EmbeddingError, embedding_fingerprint
from memory.index import IndexUnavailableError
from memory.journal import JOURNAL_FILE, Journal, JournalError
from memory.protocol import Recall, Record
from memory.recall import hypothesis_key
from memory.records import LINE_BYTES, RecordError, dump_record, parse_record

_AGE = re.compile(r"(\d{1,6})([dhwm])")
_UNITS = {
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
    "m": timedelta(days=30),
}
N_PROBLEMS = 20


class MemoryAccessError(Exception):
    """A memory that cannot be managed as asked; the message is for the user."""


@dataclass
class ImportResult:
    """Counts and problems of an import."""

    n_added: int = 0
    n_known: int = 0
    n_refused: int = 0
    problems: list[str] = field(default_factory=list)
    """`line N: why`, the first 20."""


def select_records(
    where: str,
    *,
    run: str = "",
    task: str = "",
    kind: str = "",
    component: str = "",
    limit: int | None = None,
    embedding: str = "auto",
) -> list[Record]:
    """Return the matching records, newest first.

    `run` and a data hash as `task` may be prefixes; a task's name counts whole.
    """
    matches = [
        record
        for record in _iterate_records(where, embedding)
        if record.run.startswith(run)
        and (record.task_hash.startswith(task) or record.task == task)
        and kind in ("", record.kind)
        and component in ("", record.component)
    ]
    return sorted(matches, key=lambda record: (record.created, record.step), reverse=True)[:limit]


def find_record(where: str, name: str, *, embedding: str = "auto") -> Record:
    """Return the one record whose id begins with `name`."""
    matches = [
        record
        for record in _iterate_records(where, embedding)
        if name and record.id.startswith(name)
    ]
    if not matches:
        raise MemoryAccessError(
            f"no record in {where} has an id that begins with {name!r}; `gome memory ls` lists them"
        )
    if len(matches) > 1:
        raise MemoryAccessError(
            f"{len(matches)} records in {where} have ids that begin with {name!r}; write more of it"
        )
    return matches[0]


def select_same_claim(where: str, record: Record, *, embedding: str = "auto") -> list[Record]:
    """Return the other records of the same hypothesis in words, newest first."""
    return [
        other
        for other in select_records(where, embedding=embedding)
        if other.id != record.id and hypothesis_key(other) == hypothesis_key(record)
    ]


def nearest_records(
    where: str,
    text: str,
    *,
    k: int = 10,
    embedding: str = "auto",
    on_warning: Warn = ignore_warning,
) -> list[Recall]:
    """Return the k records nearest to `text`, accepted and refuted; weight = similarity."""
    with _translate_errors():
        _require_memory(where)
        with (
            closing(embedding_at(where, embedding)) as embedder,
            closing(open_backend(where, embedder, on_warning)) as backend,
        ):
            neighbors = backend.nearest(embedder.embed([text])[0], k)
    return [
        Recall(record=neighbor.record, similarity=neighbor.similarity, weight=neighbor.similarity)
        for neighbor in neighbors
    ]


def export_to_file(where: str, target: Path, *, embedding: str = "auto") -> int:
    """Write all records to the new file `target` as JSON lines; return their number."""
    records = list(_iterate_records(where, embedding))
    try:
        with target.open("x", encoding="utf-8") as file:
            file.writelines(dump_record(record) + "\n" for record in records)
    except OSError as error:
        raise MemoryAccessError(f"{target}: {error.strerror}") from None
    return len(records)


def import_from_file(where: str, source: Path, *, embedding: str = "auto") -> ImportResult:
    """Add the valid records of a JSON lines file. Every line is hostile; ids are computed.

    `source` may also be a journal or an export of another version: its header line and its invalid
    lines count as refused.
    """
    if where == "off":
        raise MemoryAccessError("the memory is off; give a folder or a server")
    known_ids = {record.id for record in _iterate_records(where, embedding, missing_ok=True)}
    result, new = ImportResult(), {}
    for number, line in _read_bounded_lines(source):
        try:
            record = parse_record(line)
        except RecordError as error:
            result.n_refused += 1
            if len(result.problems) < N_PROBLEMS:
                result.problems.append(f"line {number}: {error}")
            continue
        if record.id in known_ids or record.id in new:
            result.n_known += 1
        else:
            new[record.id] = record
    with (
        _translate_errors(),
        closing(embedding_at(where, embedding)) as embedder,
        closing(open_backend(where, embedder)) as backend,
    ):
        backend.put(list(new.values()))
    result.n_added = len(new)
    return result


def remove_records(
    where: str,
    *,
    run: str = "",
    task: str = "",
    older_than: str = "",
    ids: Sequence[str] = (),
    embedding: str = "auto",
) -> int:
    """Remove the records that meet all given conditions; return their number.

    `task` is a data hash or a task's name, `older_than` an age (12h, 30d, 8w, 6m), `ids` are full
    record ids; `embedding` selects the collection of a server. At least one condition must be
    given.
    """
    if not (run or task or older_than or ids):
        raise MemoryAccessError("say what to forget: a run, a task, an age or ids")
    before = _cutoff_time(older_than) if older_than else ""

    def is_forgotten(record: Record) -> bool:
        return (
            (not run or record.run == run)
            and (not task or task in (record.task_hash, record.task))
            and (not before or record.created < before)
            and (not ids or record.id in ids)
        )

    with _translate_errors():
        _require_memory(where)
        if not is_server_url(where):
            journal = Journal(Path(where).expanduser())
            return journal.rewrite(lambda record: not is_forgotten(record))
        with _open_server(where, embedding) as chroma:
            forgotten = [record.id for record in chroma.read_all() if is_forgotten(record)]
            chroma.delete(forgotten)
            return len(forgotten)


def _iterate_records(where: str, embedding: str, *, missing_ok: bool = False) -> Iterator[Record]:
    with _translate_errors():
        if not is_server_url(where):
            if not missing_ok:
                _require_memory(where)
            for records, _ in Journal(Path(where).expanduser()).pages():
                yield from records
            return
        with _open_server(where, embedding) as chroma:
            yield from chroma.read_all()


def _read_bounded_lines(source: Path) -> Iterator[tuple[int, bytes]]:
    """The numbers and lines of a file; a line that is too long stays too long, but bounded."""
    try:
        with source.open("rb") as file:
            number = 0
            while line := file.readline(LINE_BYTES + 1):
                number += 1
                while not line.endswith(b"\n") and (more := file.readline(LINE_BYTES)):
                    line = b"x" * (LINE_BYTES + 1) + more[-1:]
                if line.strip():
                    yield number, line.rstrip(b"\n")
    except OSError as error:
        raise MemoryAccessError(f"{source}: {error.strerror}") from None


def _cutoff_time(age: str) -> str:
    match = _AGE.fullmatch(age)
    if not match:
        raise MemoryAccessError(f"{age!r} is not an age; write 12h, 30d, 8w or 6m")
    try:
        return (datetime.now(UTC) - int(match[1]) * _UNITS[match[2]]).isoformat(timespec="seconds")
    except OverflowError:
        raise MemoryAccessError(f"{age!r} is before the first year of the calendar") from None


def _require_memory(where: str) -> None:
    if not is_server_url(where) and not (Path(where).expanduser() / JOURNAL_FILE).exists():
        raise MemoryAccessError(
            f"no success memory at {where}: no run with --memory {where} has measured a gain or a "
            "loss beyond noise yet"
        )


@contextmanager
def _open_server(url: str, embedding: str) -> Iterator[ChromaIndex]:
    with (
        closing(embedding_at(url, embedding)) as embedder,
        closing(ChromaIndex(("--url", url), embedding_fingerprint(embedder))) as chroma,
    ):
        yield chroma


@contextmanager
def _translate_errors() -> Iterator[None]:
    try:
        yield
    except (JournalError, IndexUnavailableError, EmbeddingError) as error:
        raise MemoryAccessError(str(error)) from None
