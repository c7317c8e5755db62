"""Records of the success memory, recalls, and the interface of a memory."""

from __future__ import annotations

from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field


class Record(BaseModel):
    """One measured hypothesis.

    Its id is a content hash (memory.records.record_id), so that a repeated write changes nothing.
    """

    model_config = ConfigDict(frozen=True)
    id: str = ""
    kind: Literal["accepted", "refuted", "recipe"] = Field(
        description="a recipe is no measurement: it is indexed, never stored"
    )
    challenge: str = Field(description="the observation or root cause that the hypothesis answers")
    hypothesis: str = Field(description="what was changed and why it should help, in words")
    component: str = Field(description="data | features | model | ensemble | workflow")
    move: str | None = Field(None, description="the expert's name of the edit, where there is one")
    context: str = Field("", description="facts of profile and evidence that held, in words")
    task_hash: str = Field(description="fingerprint of the data")
    task: str = Field("", description="the task's name; records of older versions have none")
    task_kind: str = ""
    metric: str = ""
    direction: Literal["max", "min", ""] = Field(
        "", description="which scores are better; records of older versions do not say"
    )
    gain: float = Field(description="paired improvement d in metric units, positive = better")
    gain_se: float
    script_ref: str = Field("", description="artifact of the resulting script")
    diff_ref: str = Field(
        "", description="artifact of the change as a unified diff, in the run's folder"
    )
    diff: str = Field("", description="the same change, bounded, so that other hosts see it")
    left: float | None = Field(
        None,
        description="share of the loss that the change left; None without a perfect value",
    )
    run: str = ""
    trace: int = 0
    step: int = 0
    reasoner: str = ""
    created: str = Field("", description="ISO time")


class Recall(BaseModel):
    """A record that fits the current diagnosis."""

    model_config = ConfigDict(frozen=True)
    record: Record
    similarity: float
    weight: float = Field(
        description="ranking score; negative: tried in similar conditions, did not help"
    )


class Memory(Protocol):
    """A success memory. Its failures are warnings; they never stop a run."""

    def record(self, record: Record) -> str:
        """Store a measured hypothesis; return its id, empty if it is not valid."""
        ...

    def recall(
        self,
        challenge: str,
        hypothesis: str,
        *,
        task_hash: str,
        k: int = 3,
        applied: tuple[str, ...] = (),
    ) -> list[Recall]:
        """Return up to k hints for a diagnosis, then warnings (negative weight)."""
        ...

    def close(self) -> None:
        """Store what is not stored yet and release the index."""
        ...
