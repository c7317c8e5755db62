"""What flows through the graph: ids, numbers and short text.  Everything larger lies in the artifact store by its hash.

Attempts form a chain like commits: a trace holds the hash of its latest attempt, every attempt names the one before it.
So the state stays small however long a run is, and a checkpoint of long ago still sees exactly the history of its time.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import BaseModel, Field
from typing_extensions import (
    TypedDict,
)  # pydantic checks stored states and wants this one below Python 3.12

SCHEMA_VERSION = 2

Status = Literal["running", "done", "failed", "dropped"]
Verdict = Literal["accepted", "tie", "rejected", "failed"]


class Input(BaseModel):
    """What a caller gives: the task folder, and a run folder when it chose one."""

    task: str = Field(
        title="Task folder",
        description="path of a folder with task.yaml, or train/test/sample_submission tables",
    )
    run_dir: str = Field(
        "",
        title="Run folder",
        description="where the run keeps its files; empty: a new one below `runs_dir`",
    )


class Best(TypedDict):
    """A trace's or the run's best attempt."""

    attempt: str
    trace: int
    ref: str  # artifact: the attempt's record
    script: str  # artifact: the script
    score: float
    se: float


class Trace(TypedDict):
    """One trace between two visits."""

    trace: int
    step: int  # attempts made so far
    status: Status
    head: str | None  # artifact: the latest attempt's record
    merged: str | None  # head at the last merge
    best: Best | None
    n_accepted: int
    stagnant: int  # merges since the last accepted attempt
    failures: int  # steps in a row without a valid script
    rescued: list[str]  # what the trace was restarted from, so that no restart is made twice
    cross: str | None  # artifact: what its next step is to combine (briefs.crossover)
    diagnosis: str | None  # artifact: the last diagnosis of the trace's best
    tried: list[str]  # ids of its hypotheses that were run
    told: NotRequired[
        str | None
    ]  # what a person wants next: an artifact (a diagnosis), or their words (run.steering.understood)
    pinned: NotRequired[bool]  # by a person: never restarted from another trace's best


class Work(TypedDict, total=False):
    """The attempt being made in a trace."""

    attempt: str
    kind: str  # draft | update | repair | ensemble
    mode: str  # policies.protocol.Mode
    why: str  # of the mode
    base: str | None  # artifact: record of the attempt that it starts from
    parent: str | None  # attempt id it started from
    script: str  # artifact
    summary: str
    hypothesis: dict[str, Any] | None
    diagnosis: str  # artifact
    repairs: int
    execution: str  # artifact
    grade: str  # artifact
    verdict: Verdict
    replaces: bool
    validity: bool  # it removes a flaw of the data, so its score is not compared
    ensemble: list[str]  # ids of the attempts that it blends
    reasons: list[str]
    codes: list[str]  # the reasons for machines
    usage: dict[str, Any]
    error: str  # the reasoner gave nothing usable
    review: bool  # the script is to be read before it is recorded
    reviewed: bool  # and was
    cause: str  # of the last failure, as its repair saw it
    fix: str  # what that repair changed
    mended: list[str]  # cause -> fix of every repair of the attempt
    failed: dict[str, Any]  # problems of the script that a repair answers


class Used(TypedDict):
    """Spent so far."""

    time_s: float
    executions: int
    tokens: int
    usd: float


def by_key(old: dict[str, Any] | None, new: dict[str, Any] | None) -> dict[str, Any]:
    """Reducer: later values win, key by key; the order of the traces does not matter."""
    return {**(old or {}), **(new or {})}


class RunState(TypedDict, total=False):
    """State of the whole run."""

    schema_version: int
    task: str
    run_dir: str
    round: int
    steps: int  # per trace, from the settings
    merge_every: int
    traces: Annotated[dict[str, Trace], by_key]
    best: Best | None
    ensemble: Best | None  # of the attempts in `pool`, where it beats the best single one
    pool: str | None  # artifact: attempts that may be blended
    used: Used
    stop: str  # why the loop ended; empty while it goes on
    submission: str  # path, once finalized


class TraceInput(TypedDict):
    """What a trace is sent out with."""

    run_dir: str
    row: Trace
    until: int  # step at which it comes back to the merge
    siblings: list[str]  # heads of the other traces at the last merge
    pool: str | None


class TraceState(TraceInput, total=False):
    """State inside one visit of a trace."""

    work: Work
    traces: Annotated[dict[str, Trace], by_key]


class TraceOutput(TypedDict, total=False):
    """Only what may flow up; every key has a reducer in RunState."""

    traces: Annotated[dict[str, Trace], by_key]


def new_trace(index: int) -> Trace:
    return Trace(
        trace=index,
        step=0,
        status="running",
        head=None,
        merged=None,
        best=None,
        n_accepted=0,
        stagnant=0,
        failures=0,
        rescued=[],
        cross=None,
        diagnosis=None,
        tried=[],
    )
