"""What the success memory holds and what a recall gives back."""

from __future__ import annotations

from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field


class Record(BaseModel):
    """One measured hypothesis. id = content hash (memory.records.record_id), so a repeated write changes nothing."""

    model_config = ConfigDict(frozen=True)
    id: str = ""
    kind: Literal["accepted", "refuted"]
    challenge: str = Field(description="the observation or root cause that the hypothesis answers")
    hypothesis: str = Field(description="what was changed and why it should help, in words")
    component: str = Field(description="data | features | model | ensemble | workflow")
    move: str | None = Field(None, description="the expert's name of the edit, where there is one")
    context: str = Field("", description="facts of profile and evidence that held, in words")
    task_hash: str = Field(description="fingerprint of the data")
    task_kind: str = ""
    metric: str = ""
    gain: float = Field(description="paired improvement d in metric units, positive = better")
    gain_se: float
    script_ref: str = Field("", description="artifact of the resulting script")
    diff_ref: str = Field(
        "", description="artifact of the change as a unified diff, in the run's folder"
    )
    diff: str = Field("", description="the same change, bounded, so that other hosts see it")
    left: float | None = Field(
        None,
        description="share of the loss that the change left; None where the metric has no perfect value",
    )
    run: str = ""
    trace: int = 0
    step: int = 0
    reasoner: str = ""
    created: str = Field("", description="ISO time")


class Recall(BaseModel):
    """A record that speaks to the present diagnosis."""

    model_config = ConfigDict(frozen=True)
    record: Record
    similarity: float
    weight: float = Field(
        description="the ranking score; negative: tried in like conditions and did not help"
    )


class Memory(Protocol):
    """Success memory. A memory that cannot be opened is `off` and says so; it never stops a run."""

    def record(self, record: Record) -> str: ...

    def recall(
        self,
        challenge: str,
        hypothesis: str,
        *,
        task_hash: str,
        k: int = 3,
        applied: tuple[str, ...] = (),
    ) -> list[Recall]: ...

    def close(self) -> None: ...
