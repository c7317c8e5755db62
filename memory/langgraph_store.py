"""The success memory behind LangGraph's store protocol, for graphs, Studio and clients over HTTP.

Namespaces are ("success", DATA), where DATA is the fingerprint of a task's data; keys are record
ids and values the fields of a Record. Texts of a search are compared by the memory's own embedding.
"""

from __future__ import annotations

import asyncio
import operator
import os
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, closing
from datetime import datetime
from typing import Any

from langgraph.store.base import (
    BaseStore,
    GetOp,
    Item,
    ListNamespacesOp,
    MatchCondition,
    Op,
    PutOp,
    Result,
    SearchItem,
    SearchOp,
)
from pydantic import ValidationError

from memory.backend import open_backend
from memory.choose import AUTO, embedding_at
from memory.manage import MemoryAccessError, nearest_records, remove_records, select_records
from memory.protocol import Record
from memory.records import RecordError, validate_record

ROOT = "success"
MEMORY_ENV, EMBEDDING_ENV = "GOME_MEMORY", "GOME_EMBEDDING"
DEFAULT_MEMORY = "~/.gome/memory"
MAX_SEARCHED = 1000  # nearest records that a search by text looks through
COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "$eq": operator.eq,
    "$ne": operator.ne,
    "$gt": operator.gt,
    "$gte": operator.ge,
    "$lt": operator.lt,
    "$lte": operator.le,
}


class SuccessStore(BaseStore):
    """A success memory as a LangGraph store.

    A put is validated as every record is and is idempotent; a value whose key is not the hash of
    its content, or that is no record, is a ValueError. Putting None forgets the record for good.
    """

    def __init__(self, where: str, embedding: str = "auto") -> None:
        """Open nothing yet. `where` and `embedding` as in `memory.store.open_memory`."""
        self.where, self.embedding = where, embedding

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """Execute operations in order; return a result for each."""
        return [self._execute(op) for op in ops]

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """Execute operations in order, in a thread."""
        return await asyncio.to_thread(self.batch, list(ops))

    def _execute(self, op: Op) -> Result:
        if isinstance(op, GetOp):
            return self._get(op)
        if isinstance(op, SearchOp):
            return self._search(op)
        if isinstance(op, ListNamespacesOp):
            return self._list_namespaces(op)
        if isinstance(op, PutOp):
            self._put(op)
            return None
        raise ValueError(f"the success memory knows no operation {type(op).__name__}")

    def _records(self, namespace: tuple[str, ...]) -> list[Record]:
        """Return the records of a namespace or of a beginning of one, newest first."""
        if namespace[:1] not in ((), (ROOT,)) or len(namespace) > 2:
            return []
        try:
            records = select_records(self.where, embedding=self.embedding)
        except MemoryAccessError:  # nothing was stored there yet
            return []
        return [record for record in records if namespace[1:] in ((), (record.task_hash,))]

    def _get(self, op: GetOp) -> Item | None:
        found = (record for record in self._records(op.namespace) if record.id == op.key)
        record = next(found, None) if len(op.namespace) == 2 else None
        return Item(**item_fields(record)) if record else None

    def _search(self, op: SearchOp) -> list[SearchItem]:
        within = self._records(op.namespace_prefix)
        scored: list[tuple[Record, float | None]] = [(record, None) for record in within]
        if op.query and within:
            ids = {record.id for record in within}
            nearest = nearest_records(
                self.where, op.query, k=MAX_SEARCHED, embedding=self.embedding
            )
            scored = [(one.record, one.similarity) for one in nearest if one.record.id in ids]
        items = [
            SearchItem(**item_fields(record), score=score)
            for record, score in scored
            if matches_filter(record, op.filter)
        ]
        return items[op.offset : op.offset + op.limit]

    def _list_namespaces(self, op: ListNamespacesOp) -> list[tuple[str, ...]]:
        namespaces = {(ROOT, record.task_hash)[: op.max_depth] for record in self._records(())}
        found = [
            namespace
            for namespace in sorted(namespaces)
            if all(matches_condition(namespace, one) for one in op.match_conditions or ())
        ]
        return found[op.offset : op.offset + op.limit]

    def _put(self, op: PutOp) -> None:
        if op.value is None:
            if self._get(GetOp(op.namespace, op.key)) is not None:
                remove_records(self.where, ids=[op.key], embedding=self.embedding)
            return
        record = check_value(op.namespace, op.key, op.value)
        with (
            closing(embedding_at(self.where, self.embedding)) as embedder,
            closing(open_backend(self.where, embedder)) as backend,
        ):
            backend.put([record])


def check_value(namespace: tuple[str, ...], key: str, value: Mapping[str, Any]) -> Record:
    """Return the record that a put stores. Raises ValueError for anything else."""
    try:
        record = validate_record(Record.model_validate(dict(value)))
    except (ValidationError, RecordError) as error:
        raise ValueError(
            f"the success memory stores measured hypotheses only: {str(error).splitlines()[0]}"
        ) from error
    if namespace != (ROOT, record.task_hash):
        raise ValueError(f"this record belongs to the namespace {(ROOT, record.task_hash)}")
    if key != record.id:
        raise ValueError(f"the key of a record is the hash of its content, here {record.id}")
    return record


def item_fields(record: Record) -> dict[str, Any]:
    """Return the fields of a record's store item."""
    created = datetime.fromisoformat(record.created)
    return {
        "namespace": (ROOT, record.task_hash),
        "key": record.id,
        "value": record.model_dump(),
        "created_at": created,
        "updated_at": created,
    }


def matches_filter(record: Record, wanted: dict[str, Any] | None) -> bool:
    """Whether a record has the values of a filter such as {"kind": "accepted"}."""
    return all(
        compare_value(getattr(record, name, None), value) for name, value in (wanted or {}).items()
    )


def compare_value(value: Any, wanted: Any) -> bool:
    """Whether a value is the wanted one, or meets comparisons such as {"$gt": 0}.

    Raises ValueError for an unknown comparison.
    """
    if not isinstance(wanted, dict):
        return bool(value == wanted)
    if unknown := set(wanted) - set(COMPARISONS):
        raise ValueError(f"unknown comparison {sorted(unknown)[0]!r}")
    try:
        return all(COMPARISONS[name](value, other) for name, other in wanted.items())
    except TypeError:  # values of kinds without an order
        return False


def matches_condition(namespace: tuple[str, ...], condition: MatchCondition) -> bool:
    """Whether a namespace begins or ends as a condition says; `*` stands for any label."""
    path = tuple(condition.path)
    part = namespace[-len(path) :] if condition.match_type == "suffix" else namespace[: len(path)]
    return len(part) == len(path) and all(
        label in ("*", own) for label, own in zip(path, part, strict=True)
    )


@asynccontextmanager
async def make_store() -> AsyncIterator[SuccessStore]:
    """Open the store of a LangGraph server (langgraph.json): of GOME_MEMORY and GOME_EMBEDDING."""
    where = os.environ.get(MEMORY_ENV) or DEFAULT_MEMORY
    yield SuccessStore(where, os.environ.get(EMBEDDING_ENV) or AUTO)
