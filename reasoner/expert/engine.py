"""The expert reasoner: drafts, diagnoses, updates and repairs by rules.

It reads exactly the briefs that a model would get.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from reasoner.expert import moves
from reasoner.expert.cross import combine_accepted_moves
from reasoner.expert.drafts import first_spec
from reasoner.expert.facts import read_task_facts
from reasoner.expert.lines import FIRST_MIXES, find_room, settle_line, widen
from reasoner.expert.momentum import (
    measured_reason,
    sibling_record_factor,
    sibling_resting_moves,
    with_helpful_moves,
)
from reasoner.expert.moves import Move, MoveContext, Reason
from reasoner.expert.packages import (
    EXTRA_FAMILIES,
    PACKAGE_OF_FAMILY,
    list_missing_families,
    list_missing_packages,
)
from reasoner.expert.render import describe_script, render_script
from reasoner.expert.spec import RANGES, ScriptSpec, TaskFacts, canonical_spec, parse_spec
from reasoner.expert.stacking import list_sources
from reasoner.protocol import (
    Brief,
    DiagnoseBrief,
    Diagnosis,
    DraftBrief,
    Effect,
    Fact,
    Hypothesis,
    Observation,
    ReasonerError,
    ReasonerUnavailableError,
    RepairBrief,
    Review,
    ReviewBrief,
    Size,
    Solution,
    UpdateBrief,
)
from reasoner.ranking import Momentum, ideas_in_flight, rank_hypotheses

N_HYPOTHESES = 5
TABU_STEPS = 6
"""Steps for which a failed move rests."""
MIN_WORTH = 0.12
"""Effect (in standard errors) times confidence below which a move is not expected to help."""


class Expert:
    """The embedded reasoner: deterministic and without state between calls.

    `seed` varies the ranking of moves between traces.
    """

    name = "expert"

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def check_packages(self, packages: dict[str, str], inputs: list[str], python: str) -> list[str]:
        """Return notes on what the expert leaves out for want of a package.

        Raises:
            ReasonerUnavailableError: its scripts cannot run by this Python.
        """
        if missing := list_missing_packages(packages, inputs):
            raise ReasonerUnavailableError(
                f"the expert's scripts need {', '.join(missing)}, which {python} lacks; install it "
                "there, make an environment with `gome env create NAME --preset tabular`, or let a "
                "model write the scripts with --model"
            )
        return [
            f"{python} lacks {PACKAGE_OF_FAMILY[family]}: the expert does without its models"
            for family in list_missing_families(packages)
            if family not in EXTRA_FAMILIES
        ]

    def list_moves(self) -> dict[str, str]:
        """Return the moves that exist for every task: name -> statement."""
        return {move.name: move.statement for move in moves.FIXED_MOVES}

    async def draft(self, brief: DraftBrief) -> Solution:
        """Render a first spec without the suspected columns."""
        facts = read_task_facts(brief)
        trace, earlier = brief.stage.trace, brief.stage.n_traces * len(brief.history)
        measured = {record.move: record.verdict for record in brief.move_records}
        plain = first_spec(facts, trace, earlier, measured)
        if trace + earlier > 0:  # the first script stays plain, to compare the others with
            plain = with_helpful_moves(plain, facts, brief.move_records)
        if n_too_long := sum("timeout" in fact.codes for fact in brief.history):
            plain = _cheaper_spec(_safe_spec(facts), 2 * n_too_long)
        spec = plain.with_changes(drop=_suspected_columns(brief))
        if spec.second and brief.variants >= len(FIRST_MIXES):  # weights of the second cost nothing
            spec = spec.with_changes(line=tuple(f"mix:{mix}" for mix in FIRST_MIXES))
        why = "A first solution with the columns as they are"
        if spec.drop:
            why += f" without {', '.join(spec.drop)} ({brief.profile['leaks'][0]['reason']})"
        return _render_solution(spec, facts, f"{why}.")

    async def diagnose(self, brief: DiagnoseBrief) -> Diagnosis:
        """Turn the moves that the evidence triggers into ranked hypotheses."""
        facts = read_task_facts(brief)
        spec = parse_spec(brief.script)
        if spec is None:  # the expert does not edit free text, it offers a script of its own
            return Diagnosis(hypotheses=[_restart_hypothesis()])
        spec = settle_line(spec, brief.evidence)
        context = move_context(brief, spec, facts, brief.evidence)
        ranked = _rank_moves(context, brief, self.seed)
        best = [item for item in ranked[:N_HYPOTHESES] if item.worth >= MIN_WORTH]
        hypotheses = [hypothesis_of_move(item.move, item.reason) for item in best]
        change = None
        if brief.wants_change and hypotheses:
            chosen = rank_hypotheses(hypotheses, Momentum(in_flight=ideas_in_flight(brief.ledger)))[
                0
            ]
            change = _apply_hypothesis(chosen, spec, context)
        return Diagnosis(
            observations=_observe_evidence(context),
            causes=list(dict.fromkeys(item.reason.challenge for item in ranked[:3])),
            hypotheses=hypotheses,
            change=change,
        )

    async def update(self, brief: UpdateBrief) -> Solution:
        """Apply the move of the strongest hypothesis, or combine accepted moves in a crossover.

        Raises ReasonerError if a crossover would change nothing.
        """
        facts = read_task_facts(brief)
        spec = parse_spec(brief.script)
        spec = settle_line(spec, brief.evidence) if spec else None
        if spec is not None and brief.crossover is not None:
            return _crossover_solution(brief, spec, facts)
        chosen = brief.chosen_hypothesis or _choose_hypothesis(brief)
        if spec is None or chosen is None:
            return _render_solution(first_spec(facts, brief.stage.trace, 0), facts, "", chosen)
        return _apply_hypothesis(chosen, spec, move_context(brief, spec, facts, brief.evidence))

    async def repair(self, brief: RepairBrief) -> Solution:
        """Remove what may have failed; a second repair starts from the safest spec."""
        facts = read_task_facts(brief)
        spec = parse_spec(brief.script)
        spec = settle_line(spec, {}) if spec else None
        leaking = _reported_leak_columns(brief)
        new = _safe_spec(facts)
        if spec is not None and (brief.attempt == 1 or leaking):
            repaired = _repair_spec(spec, brief, leaking)
            new = repaired if repaired != spec else new
        if brief.attempt > 1 and spec is not None and _exceeds_limits(brief):
            new = _cheaper_spec(new, spec.rows + 2)
        drop = {*new.drop, *_suspected_columns(brief), *leaking}
        new = new.with_changes(drop=tuple(sorted(drop)))
        why = "A safer form of a script that failed."
        return _render_solution(new, facts, why, brief.hypothesis)

    async def review(self, brief: ReviewBrief) -> Review:
        """Return no findings: rules cannot read code, so the harness's leak gates decide."""
        return Review(reasons=["the expert reviews no code"])

    async def close(self) -> None:
        """Do nothing: there is no connection to release."""
        return


def _render_solution(
    spec: ScriptSpec, facts: TaskFacts, why: str, hypothesis: Hypothesis | None = None
) -> Solution:
    """Solution with the script of a spec; `why` is one sentence for its docstring."""
    return Solution(
        script=render_script(spec, facts, why),
        summary=describe_script(canonical_spec(spec, facts), facts),
        hypothesis=hypothesis,
    )


def _choose_hypothesis(brief: UpdateBrief) -> Hypothesis | None:
    """The strongest hypothesis in the light of memory and of what other traces run."""
    hypotheses = brief.diagnosis.hypotheses
    hints = {item.id: brief.hints for item in hypotheses}
    momentum = Momentum(hints, in_flight=ideas_in_flight(brief.ledger))
    ranked = rank_hypotheses(hypotheses, momentum)
    return ranked[0] if ranked else None


def _apply_hypothesis(chosen: Hypothesis, spec: ScriptSpec, context: MoveContext) -> Solution:
    """The script with the move of a hypothesis; without such a move it stays as it is."""
    move = moves.find_move(chosen.move or "", context)
    new = canonical_spec(move.apply(spec), context.facts) if move else spec
    new = widen(spec, new, context.room)
    why = f"Changed: {chosen.statement}, because {chosen.challenge}."
    return _render_solution(new, context.facts, why, chosen)


# safe specs


def _safe_spec(facts: TaskFacts) -> ScriptSpec:
    """The spec that is least likely to fail."""
    return ScriptSpec(
        family="linear" if facts.text else "hgb",
        size=-1,
        categories="frequency" if facts.categorical else "native",
    )


def _cheaper_spec(spec: ScriptSpec, halvings: int) -> ScriptSpec:
    """The spec with the least capacity and a part of the rows."""
    return spec.with_changes(size=-2, rows=min(RANGES["rows"][1], spec.rows + halvings))


def _suspected_columns(brief: Brief) -> tuple[str, ...]:
    """Columns that the profile suspects of leaking the target; no honest script uses them."""
    return tuple(str(leak["column"]) for leak in brief.profile.get("leaks", []))


def _reported_leak_columns(brief: RepairBrief) -> tuple[str, ...]:
    """Columns that the harness names as leaks on which the failed script's predictions rest."""
    text = " ".join(text for text in brief.problems if "gives the label away" in text)
    names = [str(column["name"]) for column in brief.profile.get("columns", [])]
    return tuple(name for name in names if f"the column {name!r}" in text)


def _repair_spec(spec: ScriptSpec, brief: RepairBrief, leaking: tuple[str, ...]) -> ScriptSpec:
    """The spec without the part that the kind of failure points at."""
    if leaking:
        return spec.with_changes(drop=(*spec.drop, *leaking))
    if _exceeds_limits(brief):
        if spec.second or spec.seeds > 1:
            return spec.with_changes(second=None, seeds=1)
        plain = spec.with_changes(family="hgb", slow=0, shift=False, chars=False)
        return _cheaper_spec(plain, 2)
    return spec.with_changes(
        second=None,
        stack=(),
        categories="frequency" if spec.categories != "frequency" else "onehot",
        thresholds=False,
        expectation=False,
        quantile=False,
    )


def _exceeds_limits(brief: RepairBrief) -> bool:
    """Whether the script ran out of time or memory."""
    error = brief.evidence.get("error") or {}
    limits = ("time limit", "memory limit")
    reported = any(limit in text for text in brief.problems for limit in limits)
    return reported or error.get("end") in ("timeout", "memory")


# hypotheses


class RankedMove(NamedTuple):
    """A triggered move and its worth: expected effect times confidence times records."""

    move: Move
    reason: Reason
    worth: float


def move_context(
    brief: Brief, spec: ScriptSpec, facts: TaskFacts, evidence: dict[str, object]
) -> MoveContext:
    """Collect what the triggers of moves read."""
    return MoveContext(
        spec=canonical_spec(spec, facts),
        facts=facts,
        profile=brief.profile,
        evidence=evidence,
        families=tuple(_tried_families(brief.history)),
        late=brief.stage.phase == "ensemble",
        room=find_room(brief, evidence),
        sources=list_sources(brief),
    )


def _tried_families(history: list[Fact]) -> list[str]:
    """Families to which earlier attempts switched the main model."""
    switches = [fact.move for fact in history if fact.move and fact.move.startswith("family:")]
    return [move.removeprefix("family:") for move in switches]


def _rank_moves(context: MoveContext, brief: Brief, seed: int) -> list[RankedMove]:
    """Applicable moves, most promising first, without those that rest after a failure."""
    family, trace = context.spec.family, brief.stage.trace
    resting = _resting_moves(brief.history) | sibling_resting_moves(brief, family)
    ranked = []
    for move, reason in moves.applicable_moves(context):
        if move.name in resting:
            continue
        reason = measured_reason(move, reason, brief)
        record = _own_record_factor(move, brief.history) * sibling_record_factor(move, brief.others)
        jitter = _trace_jitter(seed, trace, move.name)
        worth = reason.effect * reason.confidence * record * jitter
        ranked.append(RankedMove(move, reason, worth))
    return sorted(ranked, key=lambda item: (-item.worth, item.move.name))


def _resting_moves(history: list[Fact]) -> set[str]:
    """Moves that failed in the latest steps; an accepted change of family ends their rest."""
    resting: set[str] = set()
    for fact in history[-TABU_STEPS:]:
        if fact.led and (fact.move or "").startswith("family:"):
            resting.clear()
        elif fact.move and not fact.led:
            resting.add(fact.move)
    return resting


def _own_record_factor(move: Move, history: list[Fact]) -> float:
    """Factor from the trace's own history: below 1 if the move failed, above 1 if it helped."""
    factor = 1.0
    for fact in history:
        if fact.move == move.name:
            factor *= 1.25 if fact.led else 0.35
    return factor


def _trace_jitter(seed: int, trace: int, name: str) -> float:
    """Factor from 0.8 to 1.2, fixed for a trace and move; 1 for trace 0."""
    if trace == 0:
        return 1.0
    digest = hashlib.sha256(f"{seed}/{trace}/{name}".encode()).digest()
    return 0.8 + 0.4 * digest[0] / 255


def hypothesis_of_move(move: Move, reason: Reason) -> Hypothesis:
    """The hypothesis that a move stands for; a protocol move names the columns it drops."""
    costly = move.name in ("bag", "shift") or move.name.startswith("blend")
    return Hypothesis(
        id=move.name,
        challenge=reason.challenge,
        statement=move.statement,
        component=move.component,
        plan=f"edit of the spec: {move.name}",
        effect=Effect(sign=1, size=_effect_size(reason.effect)),
        confidence=reason.confidence,
        cost="medium" if costly else "low",
        refuted_by=move.refuted_by,
        cites=list(reason.cites),
        move=move.name,
        protocol=move.protocol,
        drops_columns=list(move.drops_columns),
    )


def _effect_size(effect: float) -> Size:
    """Size of an effect given in standard errors."""
    if effect >= 4:
        return "large"
    return "medium" if effect >= 1.5 else "small"


def _restart_hypothesis() -> Hypothesis:
    return Hypothesis(
        id="fresh",
        challenge="the script is not the expert's own and cannot be edited by rules",
        statement="start again from a plain solution",
        component="workflow",
        move="fresh",
    )


def _observe_evidence(context: MoveContext) -> list[Observation]:
    """Observations that the evidence and the profile support, each with its citation."""
    observations = [*_score_observations(context), *_segment_observations(context)]
    if abs(bias := context.number_at("residuals.last_fold_bias")) > 0.1:
        text = f"the last fold is off by {bias:+.2f} standard deviations"
        observations.append(Observation(text=text, cites=["residuals.last_fold_bias"]))
    confidence = context.number_at("calibration.confidence")
    accuracy = context.number_at("calibration.accuracy")
    if confidence - accuracy > 0.03:
        text = f"overconfident: {confidence:.0%} sure, {accuracy:.0%} right"
        observations.append(Observation(text=text, cites=["calibration.confidence"]))
    notes = context.profile.get("notes", [])[:2]
    return observations + [Observation(text=str(note), cites=["profile.notes"]) for note in notes]


def _score_observations(context: MoveContext) -> list[Observation]:
    """The validated score, and how far it is from the training score."""
    observations = []
    if cv := context.evidence.get("cv", {}):
        score = f"{cv.get('metric')} {cv.get('mean'):.5g} ± {cv.get('se', 0):.2g}"
        text = f"{score} over {len(cv.get('folds', []))} folds"
        observations.append(Observation(text=text, cites=["cv.mean", "cv.se"]))
    if (share := moves.overfit_share(context)) > 0.3:
        text = f"overfitting: {share:.0%} of the remaining loss disappears on the training part"
        observations.append(Observation(text=text, cites=["train.folds"]))
    return observations


def _segment_observations(context: MoveContext) -> list[Observation]:
    """The two segments of rows with the highest loss."""
    observations = []
    for index, segment in enumerate(context.evidence.get("segments", [])[:2]):
        place = f"{segment['column']} is {segment['value']} ({segment['n']} rows)"
        text = f"loss is {segment['ratio']:.2f} times the mean where {place}"
        observations.append(Observation(text=text, cites=[f"segments[{index}]"]))
    return observations


def _crossover_solution(brief: UpdateBrief, spec: ScriptSpec, facts: TaskFacts) -> Solution:
    """The best script with the accepted moves of other traces.

    Raises ReasonerError if the combination changes nothing and so is not worth a run.
    """
    assert brief.crossover is not None
    context = move_context(brief, spec, facts, brief.evidence)
    new, statements = combine_accepted_moves(context, brief.crossover, brief.history)
    if new == context.spec:
        raise ReasonerError("no accepted move of another trace fits into this script")
    statement = f"take over from other traces: {'; '.join(statements)}"
    hypothesis = brief.diagnosis.hypotheses[0].model_copy(update={"statement": statement})
    return _render_solution(new, facts, f"Changed: {statement}.", hypothesis)
