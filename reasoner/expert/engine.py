"""The expert reasoner: drafts, diagnoses, updates and repairs by rules, from exactly the briefs that a model would get."""

from __future__ import annotations

import hashlib

from reasoner.expert import moves
from reasoner.expert.cross import combine
from reasoner.expert.facts import facts_of
from reasoner.expert.momentum import choose, siblings_record, siblings_tabu
from reasoner.expert.moves import Look, Move, Reason
from reasoner.expert.render import describe, render
from reasoner.expert.spec import Facts, Spec, canonical, parse
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
    RepairBrief,
    Review,
    ReviewBrief,
    Size,
    Solution,
    UpdateBrief,
)

N_HYPOTHESES = 5
TABU_STEPS = 6  # a move that failed rests for so many steps
WORTH = 0.12  # effect x confidence below which nothing is expected to help


class Expert:
    """Deterministic; keeps no state between calls. `seed` breaks ties between traces."""

    name = "expert"

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    async def draft(self, brief: DraftBrief) -> Solution:
        facts = facts_of(brief)
        spec = first_spec(facts, brief.stage.trace, len(brief.history)).but(drop=suspected(brief))
        left = (
            f" without {', '.join(spec.drop)} ({brief.profile['leaks'][0]['reason']})"
            if spec.drop
            else ""
        )
        return Solution(
            script=render(spec, facts, f"A first solution with the columns as they are{left}."),
            summary=describe(canonical(spec, facts), facts),
        )

    async def diagnose(self, brief: DiagnoseBrief) -> Diagnosis:
        facts = facts_of(brief)
        spec = parse(brief.script)
        if spec is None:  # another's script: the expert never patches free text, it offers its own
            return Diagnosis(hypotheses=[fresh(brief)])
        look = look_of(brief, spec, facts, brief.evidence)
        ranked = rank(list(moves.applicable(look)), brief, look.spec.family, self.seed)
        return Diagnosis(
            observations=observations(look),
            causes=list(dict.fromkeys(reason.challenge for _, reason, _ in ranked[:3])),
            hypotheses=[
                hypothesis(move, reason)
                for move, reason, worth in ranked[:N_HYPOTHESES]
                if worth >= WORTH
            ],
        )

    async def update(self, brief: UpdateBrief) -> Solution:
        facts = facts_of(brief)
        spec = parse(brief.script)
        if spec is not None and brief.crossover is not None:
            return crossed(brief, spec, facts)
        chosen = choose(brief.diagnosis.hypotheses, brief.hints, brief.in_flight)
        if spec is None or chosen is None:
            spec = first_spec(facts, brief.stage.trace, 0)
            return Solution(
                script=render(spec, facts), summary=describe(spec, facts), hypothesis=chosen
            )
        move = moves.find(chosen.move or "", look_of(brief, spec, facts, brief.evidence))
        new = canonical(move.apply(spec), facts) if move else spec
        why = f"Changed: {chosen.statement}, because {chosen.challenge}."
        return Solution(
            script=render(new, facts, why), summary=describe(new, facts), hypothesis=chosen
        )

    async def repair(self, brief: RepairBrief) -> Solution:
        facts = facts_of(brief)
        spec = parse(brief.script)
        new = (
            mended(spec, brief)
            if spec is not None and (brief.attempt == 1 or condemned(brief))
            else safe_spec(facts)
        )
        if new == spec:
            new = safe_spec(facts)
        new = new.but(drop=tuple(sorted({*new.drop, *suspected(brief), *condemned(brief)})))
        return Solution(
            script=render(new, facts, "A safer form of a script that failed."),
            summary=describe(canonical(new, facts), facts),
            hypothesis=brief.hypothesis,
        )

    async def review(self, brief: ReviewBrief) -> Review:
        """Rules read no code; the harness's gates decide."""
        return Review(reasons=["the expert reviews no code"])

    async def close(self) -> None:
        return None


# drafts


def first_spec(facts: Facts, trace: int, earlier: int) -> Spec:
    """Modest, sensible, and different in every trace."""
    if facts.text:
        return (
            Spec(family="linear"),
            Spec(family="hgb"),
            Spec(family="linear", chars=True),
            Spec(family="extra"),
        )[(trace + earlier) % 4]
    families = ("hgb", "lgbm", "extra", "linear", "hgb", "lgbm")
    turn = trace + earlier
    return Spec(family=families[turn % len(families)], size=-1 if turn >= 4 else 0)


def safe_spec(facts: Facts) -> Spec:
    """As little as can fail."""
    return Spec(
        family="linear" if facts.text else "hgb",
        size=-1,
        categories="frequency" if facts.categorical else "native",
    )


def suspected(brief: Brief) -> tuple[str, ...]:
    """Columns that the profile shows to give the target away: no honest script uses them."""
    return tuple(str(leak["column"]) for leak in brief.profile.get("leaks", []))


def condemned(brief: RepairBrief) -> tuple[str, ...]:
    """Columns on which, as the harness says, the predictions of the failed script rest although they give the label away."""
    said = " ".join(text for text in brief.problems if "gives the label away" in text)
    return tuple(
        str(column["name"])
        for column in brief.profile.get("columns", [])
        if f"the column {column['name']!r}" in said
    )


def mended(spec: Spec, brief: RepairBrief) -> Spec:
    """What the error's kind asks for."""
    if names := condemned(brief):
        return spec.but(drop=(*spec.drop, *names))
    error = brief.evidence.get("error") or {}
    end = str(error.get("end", ""))
    if end in ("timeout", "memory") or any(
        "time limit" in text or "memory limit" in text for text in brief.problems
    ):
        if spec.second or spec.seeds > 1:
            return spec.but(second=None, seeds=1)
        return spec.but(family="hgb", size=min(spec.size, 0), slow=0, shift=False, chars=False)
    return spec.but(
        second=None,
        categories="frequency" if spec.categories != "frequency" else "onehot",
        thresholds=False,
        expectation=False,
        quantile=False,
    )


# the gradient


def look_of(brief: Brief, spec: Spec, facts: Facts, evidence: dict[str, object]) -> Look:
    return Look(
        spec=canonical(spec, facts),
        facts=facts,
        profile=brief.profile,
        evidence=evidence,
        families=tuple(tried_families(brief.history)),
        late=brief.stage.phase == "ensemble",
    )


def tried_families(history: list[Fact]) -> list[str]:
    """Families that were tried as the main model and lost."""
    return [
        fact.move.partition(":")[2]
        for fact in history
        if fact.move and fact.move.startswith("family:")
    ]


def rank(
    found: list[tuple[Move, Reason]], brief: Brief, family: str, seed: int
) -> list[tuple[Move, Reason, float]]:
    """By expected effect x confidence, with failed moves at rest and a small difference between traces."""
    resting = tabu(brief.history) | siblings_tabu(brief, family)
    scored = []
    for move, reason in found:
        if move.name in resting:
            continue
        record = own_record(move, brief.history) * siblings_record(move, brief.others)
        worth = (
            reason.effect * reason.confidence * record * jitter(seed, brief.stage.trace, move.name)
        )
        scored.append((move, reason, worth))
    return sorted(scored, key=lambda item: (-item[2], item[0].name))


def tabu(history: list[Fact]) -> set[str]:
    """Moves that did not help lately; a change of family lets them try again."""
    resting: set[str] = set()
    for fact in history[-TABU_STEPS:] if len(history) > TABU_STEPS else history:
        if fact.verdict == "accepted" and (fact.move or "").startswith("family:"):
            resting.clear()
        elif fact.move and fact.verdict != "accepted":
            resting.add(fact.move)
    return resting


def own_record(move: Move, history: list[Fact]) -> float:
    """A move that failed before in this trace is less promising; one that helped may help again."""
    factor = 1.0
    for fact in history:
        if fact.move == move.name:
            factor *= 1.25 if fact.verdict == "accepted" else 0.35
    return factor


def jitter(seed: int, trace: int, name: str) -> float:
    """0.8 .. 1.2, the same for the same trace and move; trace 0 follows the plain ranking."""
    if trace == 0:
        return 1.0
    digest = hashlib.sha256(f"{seed}/{trace}/{name}".encode()).digest()
    return 0.8 + 0.4 * digest[0] / 255


def hypothesis(move: Move, reason: Reason) -> Hypothesis:
    size: Size = "large" if reason.effect >= 4 else "medium" if reason.effect >= 1.5 else "small"
    return Hypothesis(
        id=move.name,
        challenge=reason.challenge,
        statement=move.statement,
        component=move.component,
        plan=f"edit of the spec: {move.name}",
        effect=Effect(sign=1, size=size),
        confidence=reason.confidence,
        cost="medium" if move.name in ("bag", "shift") or move.name.startswith("blend") else "low",
        refuted_by=move.refuted_by,
        cites=list(reason.cites),
        move=move.name,
        protocol=move.protocol,
    )


def fresh(brief: DiagnoseBrief) -> Hypothesis:
    return Hypothesis(
        id="fresh",
        challenge="the script is not the expert's own and cannot be edited by rules",
        statement="start again from a plain solution",
        component="workflow",
        move="fresh",
    )


def observations(look: Look) -> list[Observation]:
    """What the evidence says, each with its place."""
    said = []
    cv = look.evidence.get("cv", {})
    if cv:
        said.append(
            Observation(
                text=f"{cv.get('metric')} {cv.get('mean'):.5g} ± {cv.get('se', 0):.2g} over {len(cv.get('folds', []))} folds",
                cites=["cv.mean", "cv.se"],
            )
        )
    if (gap := moves.overfit(look)) > 0.3:
        said.append(
            Observation(
                text=f"{gap:.0%} of the remaining loss is gone on the training part: overfitting",
                cites=["train.folds"],
            )
        )
    for index, segment in enumerate(look.evidence.get("segments", [])[:2]):
        text = f"loss is {segment['ratio']:.2f} times the mean where {segment['column']} is {segment['value']} ({segment['n']} rows)"
        said.append(Observation(text=text, cites=[f"segments[{index}]"]))
    if abs(bias := look.get("residuals.last_fold_bias")) > 0.1:
        said.append(
            Observation(
                text=f"the last fold is off by {bias:+.2f} standard deviations",
                cites=["residuals.last_fold_bias"],
            )
        )
    if look.get("calibration.confidence") - look.get("calibration.accuracy") > 0.03:
        said.append(Observation(text="more confident than right", cites=["calibration.confidence"]))
    said += [
        Observation(text=str(note), cites=["profile.notes"])
        for note in look.profile.get("notes", [])[:2]
    ]
    return said


def crossed(brief: UpdateBrief, spec: Spec, facts: Facts) -> Solution:
    """The best script with what the other traces proved; a combination that changes nothing is not worth a run."""
    assert brief.crossover is not None
    look = look_of(brief, spec, facts, brief.evidence)
    new, taken = combine(look, brief.crossover, brief.history)
    if new == look.spec:
        raise ReasonerError("nothing of what the other traces proved fits into this script")
    proposed = brief.diagnosis.hypotheses[0]
    hypothesis = proposed.model_copy(
        update={"statement": f"take over from other traces: {'; '.join(taken)}"}
    )
    return Solution(
        script=render(new, facts, f"Changed: {hypothesis.statement}."),
        summary=describe(new, facts),
        hypothesis=hypothesis,
    )
