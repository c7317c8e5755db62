"""Shared by the memory tests: records on five topics."""

from __future__ import annotations

from memory.backend import FolderBackend
from memory.protocol import Memory, Recall, Record
from memory.store import SuccessMemory

TOPICS = [
    ("residuals are skewed to the right", "train on log1p of the target", "features"),
    ("recall of the rare class is low", "balance the class weights", "model"),
    ("many cells are missing", "add indicators of missing values", "features"),
    (
        "one column has thousands of levels",
        "encode the levels by out-of-fold target means",
        "features",
    ),
    ("train score is far above validation", "fewer leaves and a stronger penalty", "model"),
]


def a_record(i: int, **changes: object) -> Record:
    challenge, hypothesis, component = TOPICS[i % len(TOPICS)]
    given: dict[str, object] = {
        "kind": "accepted", "challenge": challenge, "hypothesis": hypothesis,
        "component": component, "task_hash": "t1",
        "gain": 0.05, "gain_se": 0.01, "run": "r1", "step": i,
    }  # fmt: skip
    return Record.model_validate({**given, **changes})


def folder_backend(memory: Memory) -> FolderBackend:
    """Return the backend of a memory in a local folder."""
    assert isinstance(memory, SuccessMemory) and isinstance(memory.backend, FolderBackend)
    return memory.backend


def hypotheses(recalls: list[Recall]) -> list[str]:
    return [recall.record.hypothesis for recall in recalls]
