"""What `gome memory ls|show|search|export|import|forget` do: library functions, `where` as in memory.open.

All raise MemoryProblem with one clear line for a place that cannot be read or written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from memory.backend import COLLECTION
from memory.embed import Embedding, EmbeddingError, fingerprint, open_embedding
from memory.index import Chroma, IndexUnavailable
from memory.journal import Journal, JournalError
from memory.open import open_backend
from memory.protocol import Recall, Record
from memory.records import LINE_BYTES, RecordError, dump, parse

Keep = Callable[[Record], bool]
_AGE = re.compile(r"(\d{1,6})([dhwm])")
_UNITS = {
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
    "m": timedelta(days=30),
}
SHOWN_PROBLEMS = 20


class MemoryProblem(Exception):
    """A memory that cannot be managed as asked; the message is for the user."""


@dataclass
class Imported:
    """What an import did."""

    n_added: int = 0
    n_known: int = 0
    n_refused: int = 0
    problems: list[str] = field(default_factory=list)
    """`line N: why`, the first 20."""


def ls(
    where: str,
    *,
    run: str = "",
    task: str = "",
    kind: str = "",
    component: str = "",
    limit: int | None = None,
    embedding: str = "lexical",
) -> list[Record]:
    """Records, newest first; `run` and `task` may be given by their beginning."""
    chosen = [
        r
        for r in _all(where, embedding)
        if _matches(r, run, task) and kind in ("", r.kind) and component in ("", r.component)
    ]
    return sorted(chosen, key=lambda r: (r.created, r.step), reverse=True)[:limit]


def show(where: str, name: str, *, embedding: str = "lexical") -> Record:
    """The one record whose id begins with `name`."""
    found = [record for record in _all(where, embedding) if name and record.id.startswith(name)]
    if len(found) != 1:
        raise MemoryProblem(
            f"{len(found) or 'no'} records in {where} have an id that begins with {name!r}"
        )
    return found[0]


def search(where: str, text: str, *, k: int = 10, embedding: str = "lexical") -> list[Recall]:
    """The k records nearest to `text`, accepted and refuted, by plain similarity; weight = similarity."""
    chosen = _embedding(embedding)
    with _told():
        _exists(where)
        backend = open_backend(where, chosen)
        try:
            found = backend.nearest(chosen.embed([text])[0], k)
        finally:
            backend.close()
    return [
        Recall(record=near.record, similarity=near.similarity, weight=near.similarity)
        for near in found
    ]


def export(where: str, target: Path, *, embedding: str = "lexical") -> int:
    """Writes all records as JSON lines; returns their number. An existing file is not overwritten."""
    records = list(_all(where, embedding))
    try:
        with target.open("x", encoding="utf-8") as file:
            file.writelines(dump(record) + "\n" for record in records)
    except OSError as error:
        raise MemoryProblem(f"{target}: {error.strerror}") from None
    return len(records)


def import_(where: str, source: Path, *, embedding: str = "lexical") -> Imported:
    """Adds the valid records of a JSON lines file. Every line is hostile until parsed; ids are computed anew.

    A journal file or an export of another version may be given: its header line and invalid lines are counted as refused.
    """
    if where == "off":
        raise MemoryProblem("the memory is off; give a folder or a server")
    known = {record.id for record in _all(where, embedding, missing_ok=True)}
    result, fresh = Imported(), {}
    for number, line in _lines(source):
        try:
            record = parse(line)
        except RecordError as error:
            result.n_refused += 1
            if len(result.problems) < SHOWN_PROBLEMS:
                result.problems.append(f"line {number}: {error}")
            continue
        if record.id in known or record.id in fresh:
            result.n_known += 1
        else:
            fresh[record.id] = record
    with _told():
        backend = open_backend(where, _embedding(embedding))
        try:
            backend.put(list(fresh.values()))
        finally:
            backend.close()
    result.n_added = len(fresh)
    return result


def forget(
    where: str,
    *,
    run: str = "",
    task: str = "",
    older_than: str = "",
    ids: Sequence[str] = (),
    embedding: str = "lexical",
) -> int:
    """Takes out records of a run, of a task (data hash), older than an age (12h, 30d, 8w, 6m) and by id; returns their number.

    Conditions given together must all hold. Without a condition nothing is forgotten and MemoryProblem is raised.
    """
    if not (run or task or older_than or ids):
        raise MemoryProblem("say what to forget: a run, a task, an age or ids")
    before = _before(older_than) if older_than else ""

    def gone(record: Record) -> bool:
        return (
            (not run or record.run == run)
            and (not task or record.task_hash == task)
            and (not before or record.created < before)
            and (not ids or record.id in ids)
        )

    with _told():
        _exists(where)
        if not _is_url(where):
            return Journal(Path(where).expanduser()).rewrite(lambda record: not gone(record))
        with _served(where, _embedding(embedding)) as chroma:
            names = [record.id for record in chroma.dump() if gone(record)]
            chroma.delete(names)
            return len(names)


def _all(where: str, embedding: str, *, missing_ok: bool = False) -> Iterator[Record]:
    with _told():
        if not _is_url(where):
            if not missing_ok:
                _exists(where)
            for records, _ in Journal(Path(where).expanduser()).pages():
                yield from records
            return
        with _served(where, _embedding(embedding)) as chroma:
            yield from chroma.dump()


def _matches(record: Record, run: str, task: str) -> bool:
    return record.run.startswith(run) and record.task_hash.startswith(task)


def _lines(source: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with source.open("rb") as file:
            number = 0
            while line := file.readline(LINE_BYTES + 1):
                number += 1
                while not line.endswith(b"\n") and (more := file.readline(LINE_BYTES)):
                    line = (
                        b"x" * (LINE_BYTES + 1) + more[-1:]
                    )  # too long: refused, whatever it holds
                if line.strip():
                    yield number, line.rstrip(b"\n")
    except OSError as error:
        raise MemoryProblem(f"{source}: {error.strerror}") from None


def _before(age: str) -> str:
    match = _AGE.fullmatch(age)
    if not match:
        raise MemoryProblem(f"{age!r} is no age; write 12h, 30d, 8w or 6m")
    try:
        return (datetime.now(UTC) - int(match[1]) * _UNITS[match[2]]).isoformat(timespec="seconds")
    except OverflowError:
        raise MemoryProblem(f"{age!r} is longer ago than the calendar goes") from None


def _is_url(where: str) -> bool:
    return where.startswith(("http://", "https://"))


def _exists(where: str) -> None:
    if not _is_url(where) and not (Path(where).expanduser() / "journal.jsonl").exists():
        raise MemoryProblem(f"no success memory at {where}")


def _embedding(name: str) -> Embedding:
    try:
        return open_embedding(name)
    except EmbeddingError as error:
        raise MemoryProblem(str(error)) from None


@contextmanager
def _served(url: str, embedding: Embedding) -> Iterator[Chroma]:
    mark = fingerprint(embedding)
    chroma = Chroma(("--url", url), COLLECTION + mark, mark)
    try:
        yield chroma
    finally:
        chroma.close()


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except (JournalError, IndexUnavailable, EmbeddingError) as error:
        raise MemoryProblem(str(error)) from None


__all__ = ["Imported", "MemoryProblem", "export", "forget", "import_", "ls", "search", "show"]
