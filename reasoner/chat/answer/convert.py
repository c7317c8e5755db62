"""From a model's answer to the protocol's value: citations checked, edits applied, scripts compiled.  An AnswerError goes back to the model."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from pydantic import BaseModel

from reasoner.chat.answer.edits import AnswerError, Edit, EditError, apply, squeezed
from reasoner.chat.answer.schemas import (
    DiagnoseAnswer,
    DraftAnswer,
    EditAnswer,
    HypothesisAnswer,
    RepairAnswer,
    ReviewAnswer,
    UpdateAnswer,
)
from reasoner.chat.answer.scripts import check_script, extract_code
from reasoner.chat.prompt.numbered_facts import known
from reasoner.chat.prompt.text import line
from reasoner.protocol import (
    Brief,
    Diagnosis,
    Effect,
    Hypothesis,
    Observation,
    RepairBrief,
    Review,
    ReviewBrief,
    Solution,
    UpdateBrief,
)

N_HYPOTHESES, N_OBSERVATIONS, N_CAUSES, N_CITES, N_ASKED = 3, 8, 5, 8, 2
MIN_QUOTED = 8  # characters of code that a finding must quote
SIGNS = {"better": 1, "none": 0, "worse": -1}


def to_solution(answer: BaseModel, brief: Brief) -> Solution:
    """The script that an answer means, checked. Raises AnswerError."""
    if isinstance(answer, DraftAnswer):
        return drafted(answer)
    if isinstance(answer, UpdateAnswer) and isinstance(brief, UpdateBrief):
        return updated(answer, brief)
    if isinstance(answer, RepairAnswer) and isinstance(brief, RepairBrief):
        return repaired(answer, brief)
    raise TypeError(f"{type(answer).__name__} does not answer a {type(brief).__name__}")


def to_diagnosis(answer: BaseModel, brief: Brief) -> Diagnosis:
    """Observations, causes and hypotheses with citations that exist. Raises AnswerError."""
    assert isinstance(answer, DiagnoseAnswer)
    return diagnosed(answer, brief)


def to_review(answer: BaseModel, brief: Brief) -> Review:
    """Findings that quote a line of the script; without one there is no finding, whatever the answer claims."""
    assert isinstance(answer, ReviewAnswer) and isinstance(brief, ReviewBrief)
    code = squeezed(brief.script)
    found = [line(reason, 400) for reason in answer.reasons[:6] if quotes_code(reason, code)]
    return Review(
        aligned=answer.aligned or not found, leaks=answer.leaks and bool(found), reasons=found
    )


def quotes_code(reason: str, code: str) -> bool:
    """Whether a finding points at the script: something between backticks that stands in it."""
    parts = [squeezed(part) for part in re.findall(r"`+([^`]+)`+", reason[:4000])]
    return any(len(part) >= MIN_QUOTED and part in code for part in parts)


def drafted(answer: DraftAnswer) -> Solution:
    script = whole(answer.script)
    if problem := check_script(script):
        raise AnswerError(problem)
    return Solution(
        script=script, summary=line(answer.summary or answer.approach or "a first solution", 160)
    )


def diagnosed(answer: DiagnoseAnswer, brief: Brief) -> Diagnosis:
    cites = Citations(brief)
    observations = [
        Observation(text=line(item.text, 400), cites=cites.kept(item.cites))
        for item in answer.observations[:N_OBSERVATIONS]
    ]
    hypotheses = [
        hypothesis(item, f"h{index}", cites)
        for index, item in enumerate(answer.hypotheses[:N_HYPOTHESES], 1)
    ]
    if not observations and not hypotheses:
        raise AnswerError(
            "The answer holds neither observations nor hypotheses. Read the evidence again and answer with both."
        )
    bare = sum(not item.cites for item in observations)
    notes = cites.notes + ([f"{bare} observations cite no evidence"] if bare else [])
    return Diagnosis(
        observations=observations,
        causes=[line(cause, 300) for cause in answer.causes[:N_CAUSES]],
        hypotheses=distinct(hypotheses),
        notes=notes,
    )


def distinct(hypotheses: list[Hypothesis]) -> list[Hypothesis]:
    """Each statement once."""
    seen = {item.statement.casefold(): item for item in reversed(hypotheses)}
    return [item for item in hypotheses if seen[item.statement.casefold()] is item]


def hypothesis(item: HypothesisAnswer, key: str, cites: Citations) -> Hypothesis:
    return Hypothesis(
        id=key,
        challenge=line(item.challenge, 400),
        statement=line(item.statement, 500),
        component=item.component,
        plan=item.plan[:1200],
        effect=Effect(sign=SIGNS[item.expected], size=item.size),
        confidence=item.confidence,
        cost=item.cost,
        refuted_by=line(item.refuted_by, 300),
        cites=cites.kept(item.cites),
    )


class Citations:
    """Keeps what exists and notes what does not."""

    def __init__(self, brief: Brief) -> None:
        self.known = {key.casefold(): path for key, path in known(brief).items()}
        self.unknown: list[str] = []

    def kept(self, cites: Sequence[str]) -> list[str]:
        given = [part.strip(" []`'\"") for cite in cites[:20] for part in cite.split(",")]
        paths = [
            self.known.get(cite.casefold()) or self.known.get(f"{cite.casefold()}]")
            for cite in given
        ]
        self.unknown += [
            line(cite, 40) for cite, path in zip(given, paths, strict=True) if path is None and cite
        ]
        return list(dict.fromkeys(path for path in paths if path))[:N_CITES]

    @property
    def notes(self) -> list[str]:
        unique = list(dict.fromkeys(self.unknown))[:10]
        return [f"cited but not in the evidence: {', '.join(unique)}"] if unique else []


def updated(answer: UpdateAnswer, brief: UpdateBrief) -> Solution:
    acted = chosen(answer, brief)
    summary = line(answer.summary or (acted.statement if acted else "a change of the script"), 160)
    changed = bool(answer.edits or answer.script.strip())
    if answer.ensemble and not changed:
        return Solution(
            script="", ensemble=blendable(answer.ensemble, brief), summary=summary, hypothesis=acted
        )
    if answer.take_from and not changed:
        return Solution(
            script="", take_from=askable(answer.take_from, brief), summary=summary, hypothesis=acted
        )
    return Solution(
        script=edited(brief.script, answer.edits, answer.script), summary=summary, hypothesis=acted
    )


def chosen(answer: UpdateAnswer, brief: UpdateBrief) -> Hypothesis | None:
    """The hypothesis acted upon, under the id of the diagnosis where it is one of its own."""
    told = answer.hypothesis.statement.strip()
    base = named(answer, brief) if answer.action != "create" or not told else None
    if not told or (base is not None and answer.action == "choose"):
        return base or next(iter(brief.diagnosis.hypotheses), None)
    key = base.id if base else "own-" + hashlib.sha256(told.encode()).hexdigest()[:8]
    return hypothesis(answer.hypothesis, key, Citations(brief))


def named(answer: UpdateAnswer, brief: UpdateBrief) -> Hypothesis | None:
    """The diagnosis's hypothesis that the answer names, by id or by its words."""
    key, words = (
        answer.chosen.strip(" []`'\"").casefold(),
        answer.hypothesis.statement.strip().casefold(),
    )
    found = brief.diagnosis.hypotheses
    return next((item for item in found if item.id.casefold() == key), None) or next(
        (item for item in found if words and item.statement.casefold() == words), None
    )


def blendable(names: Sequence[str], brief: UpdateBrief) -> list[str]:
    allowed = {member.attempt for member in brief.members}
    found = list(dict.fromkeys(name.strip() for name in names if name.strip() in allowed))
    if len(found) < 2:
        raise AnswerError(
            f"An ensemble needs at least two of the attempts {', '.join(sorted(allowed)) or '(none is offered)'}; or answer with edits."
        )
    return found


def askable(names: Sequence[str], brief: UpdateBrief) -> list[str]:
    """Ids whose scripts may be asked for, once."""
    shown = {quote.attempt for quote in brief.quotes if quote.what == "script"}
    if not brief.may_ask:
        raise AnswerError(
            "No further scripts can be shown now. Answer with edits of the script, or with the whole new script."
        )
    facts = [*brief.history, *brief.path, *brief.others, *brief.members]
    allowed = {fact.attempt for fact in facts} | {
        hint.attempt for hint in brief.hints if hint.attempt
    }
    found = list(dict.fromkeys(name.strip() for name in names if name.strip() in allowed - shown))
    if not found:
        raise AnswerError(
            f"`take_from` names no attempt that can be shown; known are {', '.join(sorted(allowed)[:30])}. Answer with edits instead."
        )
    return found[:N_ASKED]


def repaired(answer: RepairAnswer, brief: RepairBrief) -> Solution:
    return Solution(
        script=edited(brief.script, answer.edits, answer.script),
        summary=line(answer.summary or answer.fix or "a repaired script", 160),
        hypothesis=brief.hypothesis,
        cause=line(answer.cause, 300),
        fix=line(answer.fix, 300),
    )


def edited(script: str, edits: Sequence[EditAnswer], full: str) -> str:
    """The new script: by edits, or the whole file where one is given and no edits are (or they do not apply)."""
    if not edits and not full.strip():
        raise AnswerError(
            "The answer changes nothing: give `edits` of the script, or the whole new file in `script`."
        )
    try:
        new = (
            apply(script, [Edit(edit.search, edit.replace) for edit in edits])
            if edits
            else whole(full)
        )
    except EditError as error:
        if not full.strip() or check_script(whole(full)):
            raise AnswerError(
                f"The edits do not apply, so nothing was changed.\n\n{error}"
            ) from error
        new = whole(full)
    if problem := check_script(new):
        raise AnswerError(problem)
    if new.strip() == script.strip():
        raise AnswerError("The new script is the old one, letter for letter. Make the change.")
    return new


def whole(text: str) -> str:
    """A script as it was meant, though a model put fences or prose into the field."""
    fenced = "```" in text or "~~~" in text
    if fenced and (text.lstrip().startswith(("```", "~~~")) or check_script(text)):
        return extract_code(text) or text
    return text if text.endswith("\n") else text + "\n"
