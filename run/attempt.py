"""The attempt: one executed solution with everything that is known about it.

Frozen, and stored as JSON under its hash. What other parts need of it (an event, a fact for a
brief, a history entry, a memory record) is made by a constructor in that part.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from pydantic import Field

from graph.state import AttemptId, Best, Mode, StateModel, Trace, Verdict, Work
from reasoner.protocol import Hypothesis, Usage
from run.artifacts import Artifacts
from sandbox.protocol import End
from task.types import Grade, Paired, Problem, Score

BEST = "best"  # name of the trace's best among a grade's references
ANCHOR = "anchor"  # of its last confirmed best
RUN = "run"  # of the run's best, where that is another
OOF, SUBMISSION = "oof.csv", "submission.csv"
BASELINE = "baseline"  # stands where an attempt's id stands: the harness's own solution
UNCHECKED = "unchecked"  # code of an attempt whose predictions could not be checked for leaks
DUPLICATE = "duplicate"  # code of an attempt whose script an earlier one had executed
REMEASURED = "remeasured"  # code of a step that measured the trace's best again
HARNESS = "harness"  # code of an attempt that failed by a fault of our own


class Member(StateModel):
    """One member of an ensemble: its weight, and the artifact of its script."""

    weight: float
    script: str
    ref: str | None = Field(None, description="artifact: the attempt's record")
    variant: str = Field("", description="that its script computes; empty: it has no variants")
    seed: int = Field(0, description="under which its script runs")
    score: float | None = Field(None, description="alone")
    alike: float | None = Field(
        None, description="correlation of its errors with the ensemble's, -1 to 1"
    )


class Sampled(StateModel):
    """How many of the training rows a rehearsal had."""

    rows: int
    of: int

    @property
    def share(self) -> float:
        """Share of the rows, 0 to 1."""
        return self.rows / max(1, self.of)


class ExecutionRecord(StateModel):
    """An execution as it is stored: the sandbox's account, with log and files as artifacts.

    An ensemble needs no sandbox; its record names its members and their total seconds instead.
    """

    end: End = "exit"
    exit_code: int | None = None
    signal: int | None = None
    wall_s: float = 0.0
    cpu_s: float | None = None
    peak_bytes: int | None = None
    output_dropped_bytes: int = 0
    refused: dict[str, str] = Field({}, description="file -> why it was not collected")
    tier: str = "harness"
    enforced: list[str] = []
    limit_s: float | None = Field(None, description="the wall limit that it had")
    limit_bytes: int | None = Field(None, description="the memory limit that it had")
    cpus: int | None = Field(None, description="the cores that it had")
    ran: str | None = Field(None, description="artifact: the script")
    rehearsed: Sampled | None = Field(None, description="it ran on a sample, as a rehearsal")
    same_as: str = Field(
        "", description="attempt with this script, comments aside, whose execution it is"
    )
    where: str = ""
    gpu_ids: list[str] = []
    usd: float = 0
    log: str | None = Field(None, description="artifact: bounded output")
    files: dict[str, str] = Field({}, description="name -> artifact")
    kept: dict[str, str] = Field({}, description="name below keep/ -> artifact")
    kept_bytes: int = 0
    uses: dict[AttemptId, str] = Field(
        {}, description="attempts whose files it was given -> artifact: their records"
    )
    members: dict[AttemptId, Member] = Field({}, description="of an ensemble, by attempt id")
    member_s: float | None = Field(None, description="of an ensemble: its members' seconds")
    member_cpu_s: float | None = Field(None, description="and CPU seconds, where all are known")
    script: str | None = Field(None, description="of an ensemble: artifact, its driver")

    @property
    def ok(self) -> bool:
        """Whether the script ended by itself with exit code 0."""
        return self.end == "exit" and self.exit_code == 0


def spent_cpu_s(execution: ExecutionRecord) -> float | None:
    """Return the CPU seconds of a script; None where a GPU worked, of which they say little."""
    return None if execution.gpu_ids else execution.cpu_s


class Variant(StateModel):
    """One pair of files of a script that wrote several, graded as an attempt is."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$")
    oof: str = Field(description="artifact: out-of-fold predictions")
    submission: str = Field(description="artifact: predictions of the test rows")
    score: float | None = None
    score_se: float | None = None
    gain: float | None = Field(None, description="paired, over the trace's best; + better")
    gain_se: float | None = None
    same_as: str = Field("", description="earlier variant with the same bytes")
    problems: list[Problem] = []

    @property
    def is_valid(self) -> bool:
        """Whether its predictions may be used, and are no copy of another variant's."""
        return self.score is not None and not self.problems and not self.same_as


class Attempt(StateModel):
    """One executed solution."""

    # identity
    ref: str = Field("", exclude=True, description="artifact: the hash of this very record")
    id: AttemptId
    trace: int
    step: int
    prev: str | None = Field(None, description="artifact: the trace's attempt before this one")
    base: str | None = Field(None, description="artifact: the attempt whose script was changed")
    parent: str | None = Field(None, description="id of that attempt")
    kind: str = Field(description="draft | update | repair | ensemble")
    mode: Mode
    why: str = Field("", description="reason for the mode")
    from_best: bool = Field(True, description="the attempt changed the trace's best")
    took: list[str] = Field([], description="hypotheses that a crossover was asked to take over")
    # hypothesis
    summary: str = ""
    hypothesis: Hypothesis | None = None
    diagnosis: str | None = Field(None, description="artifact")
    repairs: int = 0
    cause: str = Field("", description="of its last failure, as a repair saw it")
    fix: str = ""
    # execution
    script: str | None = Field(None, description="artifact")
    execution: str | None = Field(None, description="artifact")
    log: str | None = Field(None, description="artifact")
    oof: str | None = Field(None, description="artifact: out-of-fold predictions")
    submission: str | None = Field(None, description="artifact: predictions of the test rows")
    kept: dict[str, str] = Field({}, description="name below keep/ -> artifact")
    uses: dict[AttemptId, str] = Field(
        {}, description="attempts that it builds on -> artifact: their records"
    )
    members: dict[AttemptId, Member] = Field({}, description="of an ensemble, by attempt id")
    seconds: float = 0.0
    variant: str = Field("", description="whose files these are, where a script wrote several")
    variants: list[Variant] = Field([], description="of a script that wrote several pairs of files")
    # score
    grade: str | None = Field(None, description="artifact")
    evidence: str | None = Field(None, description="artifact")
    score: float | None = None
    score_se: float | None = None
    folds: list[float] = []
    gain: float | None = Field(
        None, description="paired difference with the trace's best; + better"
    )
    gain_se: float | None = None
    run_best: str | None = Field(
        None, description="id of the run's best at that time, where that was another"
    )
    run_gain: float | None = Field(None, description="paired difference with it; + better")
    run_gain_se: float | None = None
    best_score: float | None = Field(
        None, description="mean of the trace's best, where that was measured again too"
    )
    looked_better: bool = Field(
        False, description="than the best or the last confirmed one; this raises the bar"
    )
    # verdict
    verdict: Verdict
    replaces: bool = Field(False, description="became the trace's best")
    validity: bool = Field(False, description="removed a flaw of the data")
    luck: float = Field(1.0, description="what it counts for as a step; the best of several more")
    reasons: list[str] = []
    codes: list[str] = Field([], description="the reasons, machine-readable")
    problems: list[Problem] = []
    # usage
    usage: Usage = Usage()

    @property
    def statement(self) -> str:
        """The hypothesis in words, or what the script is."""
        return self.hypothesis.statement if self.hypothesis else self.summary

    @property
    def is_average(self) -> bool:
        """Whether its members are one solution under several seeds."""
        return len({(one.script, one.ref, one.variant) for one in self.members.values()}) == 1

    @property
    def n_seeds(self) -> int:
        """How many seeds its members ran under."""
        return len({one.seed for one in self.members.values()} | {0})

    @property
    def seconds_of_one(self) -> float:
        """Seconds of one variant, if all take equally long; of a script with none, its own."""
        return self.seconds / self.n_variants

    @property
    def n_variants(self) -> int:
        """How many valid pairs of files it wrote, at least one."""
        return max(1, sum(variant.is_valid for variant in self.variants))


def make_attempt(
    trace: Trace,
    work: Work,
    execution: ExecutionRecord,
    grade: Grade | None,
    evidence: str | None,
    variants: list[Variant] | None = None,
) -> Attempt:
    """Assemble everything that is known of an attempt once it is judged.

    Args:
        trace: its trace, before it.
        work: the attempt in progress.
        execution: with the files that speak for it.
        grade: of those files.
        evidence: artifact.
        variants: all pairs of files, where the script wrote several.
    """
    score = grade.score if grade else None
    known = grade.paired if grade else {}
    paired, over_run = known.get(BEST), known.get(RUN)
    judges = [grade.paired, grade.surrogate] if grade else []
    compared = [judge[name] for judge in judges for name in (BEST, ANCHOR) if name in judge]
    answered = not work.error
    return Attempt(
        id=work.attempt,
        trace=trace.trace,
        step=trace.step,
        prev=trace.head,
        base=work.base,
        parent=work.parent,
        kind="repair" if work.repairs and answered else work.kind,
        mode=work.mode,
        why=work.why,
        from_best=trace.best is not None and trace.best.ref == work.base,
        summary=work.summary,
        hypothesis=work.hypothesis,
        diagnosis=work.diagnosis,
        repairs=work.repairs,
        cause=work.cause,
        fix=work.fix,
        script=work.script,
        execution=work.execution,
        log=execution.log,
        oof=execution.files.get(OOF),
        submission=execution.files.get(SUBMISSION),
        kept=execution.kept,
        uses=execution.uses,
        members=execution.members,
        seconds=round(execution.wall_s, 3),
        variant=grade.line.best if grade and grade.line else "",
        variants=variants or [],
        grade=work.grade,
        evidence=evidence,
        score=score.value if score else None,
        score_se=score.se if score else None,
        folds=score.folds if score else [],
        gain=paired.d if paired else None,
        gain_se=paired.se if paired else None,
        run_best=work.run_best,
        run_gain=over_run.d if over_run else None,
        run_gain_se=over_run.se if over_run else None,
        best_score=_score_of_best(work, paired, score),
        looked_better=any(each.d > 0 for each in compared),
        verdict=work.verdict if answered else "failed",
        replaces=work.replaces and answered,
        validity=work.validity and answered,
        luck=grade.line.luck if grade and grade.line else 1.0,
        reasons=work.reasons if answered else [work.error],
        codes=work.codes if answered or HARNESS in work.codes else ["unanswered"],
        problems=grade.problems if grade else [],
        usage=work.usage,
    )


def _score_of_best(work: Work, paired: Paired | None, score: Score | None) -> float | None:
    """The mean of the trace's best, where that was measured again."""
    if REMEASURED in work.codes:
        return score.value if score else None
    return paired.old if paired and paired.repeated else None


def best_from(attempt: Attempt) -> Best:
    """Return a scored attempt as the best of its trace."""
    assert attempt.script is not None and attempt.score is not None, "only scored attempts are best"
    return Best(
        attempt=attempt.id,
        trace=attempt.trace,
        ref=attempt.ref,
        script=attempt.script,
        score=attempt.score,
        se=attempt.score_se or 0.0,
        variant=attempt.variant,
    )


def store_attempt(artifacts: Artifacts, attempt: Attempt) -> Attempt:
    """Store the record; return it with its hash."""
    return attempt.evolve(ref=artifacts.put_json(attempt.dump()))


@lru_cache(maxsize=512)
def load_attempt(root: Path, ref: str) -> Attempt:
    """Return the attempt stored under this hash in the artifact store at `root`."""
    return Artifacts(root).get_model(ref, Attempt).evolve(ref=ref)


def is_refused(codes: Iterable[str]) -> bool:
    """Whether an attempt's predictions may not be used at all, not even in a blend."""
    return any(code.startswith("leak_") or code == UNCHECKED for code in codes)
