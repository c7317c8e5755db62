"""Convert a model's answer to the protocol's value.

Citations are checked, edits applied, scripts compiled. An AnswerError is sent back to the model.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from pydantic import BaseModel

from reasoner.chat.answer.edits import (
    AnswerError,
    Edit,
    EditError,
    apply_edits,
    collapse_spaces,
    normalize_line_ends,
)
from reasoner.chat.answer.schemas import (
    AppealAnswer,
    DiagnoseAnswer,
    DraftAnswer,
    EditAnswer,
    FileAnswer,
    HypothesisAnswer,
    ProbeAnswer,
    RepairAnswer,
    ReviewAnswer,
    RevisionAnswer,
    StepAnswer,
    UpdateAnswer,
)
from reasoner.chat.answer.scripts import check_code, check_file, check_script, extract_code
from reasoner.chat.answer.syntax import OWN, ScriptPython, script_python
from reasoner.chat.prompt.numbered_facts import citable_paths
from reasoner.chat.prompt.text import single_line
from reasoner.protocol import (
    Brief,
    DiagnoseBrief,
    Diagnosis,
    Effect,
    FileBrief,
    Hypothesis,
    Observation,
    Probe,
    RepairBrief,
    Review,
    ReviewBrief,
    Revision,
    Solution,
    StepBrief,
    UpdateBrief,
    WrittenFile,
)
from reasoner.same_code import same_code

N_HYPOTHESES, N_OBSERVATIONS, N_CAUSES, N_REASONS = 4, 8, 5, 6
MAX_PROBE_CHARS = 6_000
N_CITES = 8  # paths of one observation or hypothesis
N_REVISIONS, N_MERGED = 8, 8  # of the ledger, in one diagnosis
N_DROPPED = 20  # columns that one hypothesis may drop
MAX_APPEALED = 3  # lacks that an appeal may name
N_SCRIPTS = 2  # that an answer may ask to see
MAX_PROBLEM_CHARS = 4_000
MIN_QUOTED_CHARS = 8  # of code in a finding
DIRECTION = re.compile(r"""^direction\s*=\s*["'](max|min)["']""", re.MULTILINE)
PREDICTION = {  # of a hypothesis: field -> fields of an answer that state it
    "effect": ("expected", "size"),
    "confidence": ("confidence",),
    "cost": ("cost",),
}
SIGNS = {"better": 1, "none": 0, "worse": -1}


def to_solution(answer: BaseModel, brief: Brief) -> Solution:
    """Return the script that an answer means, checked. Raises AnswerError."""
    if isinstance(answer, DraftAnswer):
        return solution_from_draft(answer, brief)
    if isinstance(answer, UpdateAnswer) and isinstance(brief, UpdateBrief):
        return make_change(answer, brief, resolve_hypothesis(answer, brief))
    if isinstance(answer, StepAnswer) and isinstance(brief, UpdateBrief):
        return make_change(answer, brief, brief.chosen_hypothesis)
    if isinstance(answer, RepairAnswer) and isinstance(brief, RepairBrief):
        return solution_from_repair(answer, brief)
    raise TypeError(f"{type(answer).__name__} does not answer a {type(brief).__name__}")


def to_written_file(answer: BaseModel, brief: FileBrief) -> WrittenFile:
    """Return the file that an answer holds, checked as far as that goes without running it.

    Raises AnswerError.
    """
    assert isinstance(answer, FileAnswer)
    script = answer.script if answer.script.strip() else ""
    script = extract_code(script) or script
    if problem := check_file(script, brief.file):
        raise AnswerError(problem)
    direction = "" if answer.direction == "none" else answer.direction
    if brief.file == "metric.py" and not direction and (match := DIRECTION.search(script)):
        direction = "max" if match.group(1) == "max" else "min"
    if any(
        script.strip() == one.script.strip() and direction == one.direction for one in brief.earlier
    ):
        raise AnswerError("The file is one that was refused, letter for letter. Change it.")
    if brief.file == "metric.py" and not direction:
        raise AnswerError("Say in `direction` whether max or min is better.")
    return WrittenFile(script=script, summary=single_line(answer.summary, 200), direction=direction)


def to_diagnosis(answer: BaseModel, brief: Brief) -> Diagnosis:
    """Return observations, causes and hypotheses with citations that exist. Raises AnswerError."""
    assert isinstance(answer, DiagnoseAnswer)
    cites = Citations(brief)
    observations = [
        Observation(text=single_line(item.text, 400), cites=cites.resolve(item.cites))
        for item in answer.observations[:N_OBSERVATIONS]
    ]
    hypotheses = [
        to_hypothesis(item, f"h{index}", cites)
        for index, item in enumerate(answer.hypotheses[:N_HYPOTHESES], 1)
    ]
    if not observations and not hypotheses:
        raise AnswerError(
            "The answer holds neither observations nor hypotheses."
            " Read the evidence again and answer with both."
        )
    probe, probe_question, probe_notes = probe_of_diagnosis(
        answer.probe, script_python(brief.resources)
    )
    n_bare = sum(not item.cites for item in observations)
    notes = [f"{n_bare} observations cite no evidence"] if n_bare else []
    return Diagnosis(
        observations=observations,
        causes=[single_line(cause, 300) for cause in answer.causes[:N_CAUSES]],
        hypotheses=unique_hypotheses(hypotheses),
        revisions=parse_revisions(answer.ledger, cites),
        probe=probe,
        probe_question=probe_question,
        notes=[*cites.notes, *notes, *probe_notes],
    )


def to_gradient(answer: BaseModel, brief: Brief) -> Diagnosis:
    """Return the diagnosis with the change of its choice, or with what is wrong with that change.

    A change that cannot be used is no reason to diagnose again. Raises AnswerError.
    """
    assert isinstance(answer, StepAnswer) and isinstance(brief, DiagnoseBrief)
    diagnosis = to_diagnosis(answer, brief)
    if not diagnosis.hypotheses:
        return diagnosis
    chosen = find_chosen(answer.chosen, diagnosis.hypotheses)
    try:
        change = make_change(answer, brief, chosen)
    except AnswerError as error:
        problem = {"change_problem": str(error)[:MAX_PROBLEM_CHARS], "change_owner": chosen.id}
        return diagnosis.model_copy(update=problem)
    return diagnosis.model_copy(update={"change": change})


def find_chosen(name: str, hypotheses: Sequence[Hypothesis]) -> Hypothesis:
    """Return the hypothesis that an answer names by id or by statement, else the first one."""
    key = name.strip(" []`'\"").casefold()
    named = (item for item in hypotheses if key in (item.id.casefold(), item.statement.casefold()))
    return next(named, hypotheses[0])


def parse_revisions(answers: Sequence[RevisionAnswer], cites: Citations) -> list[Revision]:
    """Return the revisions of claims that exist; they change words, never numbers."""
    revisions = []
    for answer in answers[:N_REVISIONS]:
        claim = cites.claim_id(answer.id)
        merge = [name for each in answer.merge[:N_MERGED] if (name := cites.claim_id(each))]
        merge = [name for name in dict.fromkeys(merge) if name != claim]
        text = single_line(answer.claim, 240)
        if claim and (text or merge):
            revisions.append(Revision(id=claim, claim=text, merge=merge))
    return revisions


def to_probe(answer: BaseModel, brief: Brief) -> Probe:
    """Return the look at the data, checked. Raises AnswerError."""
    assert isinstance(answer, ProbeAnswer)
    python = script_python(brief.resources)
    script = unwrap_script(answer.script, python) if answer.script.strip() else ""
    if script and (problem := check_probe(script, python)):
        raise AnswerError(problem)
    return Probe(question=single_line(answer.question, 300), script=script)


def probe_of_diagnosis(text: str, python: ScriptPython = OWN) -> tuple[str, str, list[str]]:
    """Return script and question of a diagnosis's look at the data, and notes on what is wrong."""
    script = unwrap_script(text, python) if text.strip() else ""
    if not script:
        return "", "", []
    if problem := check_probe(script, python):
        return "", "", [f"its look at the data is left out: {single_line(problem, 200)}"]
    comment = script.lstrip().partition("\n")[0]
    return script, single_line(comment.lstrip("# "), 300) if comment[:1] == "#" else "", []


def check_probe(script: str, python: ScriptPython) -> str | None:
    """Return what is wrong with a script that looks at the data; None if nothing is."""
    if len(script) > MAX_PROBE_CHARS:
        return f"The script has {len(script):,} characters; a look needs {MAX_PROBE_CHARS:,}."
    return check_code(script, python)


def to_review(answer: BaseModel, brief: Brief) -> Review:
    """Return the findings that quote a line of the script.

    Without such a finding the script counts as honest, whatever the answer claims.
    """
    assert isinstance(answer, ReviewAnswer) and isinstance(brief, ReviewBrief)
    code = collapse_spaces(brief.script)
    reasons = answer.reasons[:N_REASONS]
    findings = [single_line(reason, 400) for reason in reasons if quotes_code(reason, code)]
    return Review(
        aligned=answer.aligned or not findings,
        leaks=answer.leaks and bool(findings),
        reasons=findings,
    )


def quotes_code(reason: str, code: str) -> bool:
    """Whether a finding quotes the script between backticks."""
    parts = [collapse_spaces(part) for part in re.findall(r"`+([^`]+)`+", reason[:4000])]
    return any(len(part) >= MIN_QUOTED_CHARS and part in code for part in parts)


def solution_from_draft(answer: DraftAnswer, brief: Brief) -> Solution:
    """Return the drafted script, checked. Raises AnswerError."""
    python = script_python(brief.resources)
    script = unwrap_script(answer.script, python)
    if problem := check_script(script, python):
        raise AnswerError(problem)
    summary = answer.summary or answer.approach or "a first solution"
    return Solution(script=script, summary=single_line(summary, 160))


def unique_hypotheses(hypotheses: list[Hypothesis]) -> list[Hypothesis]:
    """Return the first hypothesis of each statement."""
    first = {item.statement.casefold(): item for item in reversed(hypotheses)}
    return [item for item in hypotheses if first[item.statement.casefold()] is item]


def to_hypothesis(item: HypothesisAnswer, key: str, cites: Citations) -> Hypothesis:
    """Return the protocol's hypothesis with `key` as its id.

    It is a change of the protocol where it drops a column that the harness suspects of a leak.
    """
    drops = [name for name in item.drops_columns[:N_DROPPED] if name in cites.columns]
    return Hypothesis(
        id=key,
        challenge=single_line(item.challenge, 400),
        statement=single_line(item.statement, 500),
        component=item.component,
        plan=item.plan[:1200],
        effect=Effect(sign=SIGNS[item.expected], size=item.size),
        confidence=item.confidence,
        cost=item.cost,
        refuted_by=single_line(item.refuted_by, 300),
        cites=cites.resolve(item.cites),
        claim=cites.claim_id(item.claim),
        drops_columns=drops,
        protocol=bool(cites.suspects.intersection(drops)),
    )


class Citations:
    """Resolves the citations of an answer, and collects those of evidence that does not exist."""

    def __init__(self, brief: Brief) -> None:
        self.known = {key.casefold(): path for key, path in citable_paths(brief).items()}
        self.columns = {str(column["name"]) for column in brief.profile.get("columns", [])}
        self.suspects = {str(leak["column"]) for leak in brief.profile.get("leaks", [])}
        self.claims = {claim.id.casefold(): claim.id for claim in brief.ledger.claims}
        self.unknown: list[str] = []

    def claim_id(self, text: str) -> str:
        """Return the id of a claim of the ledger; empty: there is none of that name."""
        key = text.strip(" []`'\"*").casefold()
        if key and key not in self.claims:
            self.unknown.append(single_line(key, 40))
        return self.claims.get(key, "")

    def resolve(self, cites: Sequence[str]) -> list[str]:
        """Return the paths that exist, each once, at most N_CITES."""
        keys = [part.strip(" []`'\"") for cite in cites[:20] for part in cite.split(",")]
        paths: list[str] = []
        for key in keys:
            folded = key.casefold()
            path = self.known.get(folded) or self.known.get(f"{folded}]")  # stripped above
            if path:
                paths.append(path)
            elif path is None and key:
                self.unknown.append(single_line(key, 40))
        return list(dict.fromkeys(paths))[:N_CITES]

    @property
    def notes(self) -> list[str]:
        """One note that lists the unknown citations and claims, or none."""
        unique = list(dict.fromkeys(self.unknown))[:10]
        return [f"cited but not in the evidence: {', '.join(unique)}"] if unique else []


def make_change(
    answer: UpdateAnswer | StepAnswer,
    brief: DiagnoseBrief | UpdateBrief,
    hypothesis: Hypothesis | None,
) -> Solution:
    """Return a changed script, an ensemble, an attempt to measure again, or a request for scripts.

    Raises AnswerError.
    """
    statement = hypothesis.statement if hypothesis else "a change of the script"
    summary = single_line(answer.summary or statement, 160)
    script, ensemble, take_from, remeasure = "", list[str](), list[str](), ""
    has_code = bool(answer.edits or answer.script.strip())
    if answer.ensemble and not has_code:
        ensemble = parse_ensemble(answer.ensemble, brief)
    elif answer.remeasure.strip() and not has_code:
        remeasure = parse_repeat(answer.remeasure, brief)
        summary = f"{remeasure} under another seed"
    elif answer.take_from and not has_code:
        take_from = parse_script_requests(answer.take_from, brief)
    else:
        script = edit_script(
            brief.script, answer.edits, answer.script, script_python(brief.resources)
        )
        refuse_measured(script, brief)
    return Solution(
        script=script,
        ensemble=ensemble,
        take_from=take_from,
        remeasure=remeasure,
        summary=summary,
        hypothesis=None if remeasure else hypothesis,
    )


def refuse_measured(script: str, brief: StepBrief) -> None:
    """Raise AnswerError for a script that was measured before, letter for letter."""
    attempt = brief.measured.get(hashlib.sha256(script.encode(errors="replace")).hexdigest())
    if attempt is None:
        return
    raise AnswerError(
        f"This is the script of attempt {attempt}, letter for letter, and its measurement is known."
        " Make another change."
    )


def resolve_hypothesis(answer: UpdateAnswer, brief: UpdateBrief) -> Hypothesis | None:
    """Return the hypothesis that the answer acts upon.

    It has the id of the diagnosis's hypothesis if it is one of those, else an id of its own. The
    prediction is the one that the answer states, also where it chooses a hypothesis as it is.
    """
    if brief.chosen_hypothesis:
        return brief.chosen_hypothesis
    statement = answer.hypothesis.statement.strip()
    is_new = answer.action == "create" and bool(statement)
    base = None if is_new else find_named_hypothesis(answer, brief)
    if not statement:
        return base or next(iter(brief.diagnosis.hypotheses), None)
    key = base.id if base else "own-" + hashlib.sha256(statement.encode()).hexdigest()[:8]
    stated = to_hypothesis(answer.hypothesis, key, Citations(brief))
    if base is None or answer.action != "choose":
        return stated
    given = answer.hypothesis.model_fields_set
    return base.model_copy(
        update={
            field: getattr(stated, field)
            for field, names in PREDICTION.items()
            if given.intersection(names)
        }
    )


def find_named_hypothesis(answer: UpdateAnswer, brief: UpdateBrief) -> Hypothesis | None:
    """Return the diagnosis's hypothesis that the answer names by id, else by its statement."""
    key = answer.chosen.strip(" []`'\"").casefold()
    statement = answer.hypothesis.statement.strip().casefold()
    hypotheses = brief.diagnosis.hypotheses
    by_id = (item for item in hypotheses if item.id.casefold() == key)
    by_statement = (
        item for item in hypotheses if statement and item.statement.casefold() == statement
    )
    return next(by_id, None) or next(by_statement, None)


def parse_ensemble(names: Sequence[str], brief: StepBrief) -> list[str]:
    """Return the ids of at least two attempts that may be blended. Raises AnswerError."""
    allowed = {member.attempt for member in brief.members}
    members = _allowed_names(names, allowed)
    if len(members) < 2:
        offer = ", ".join(sorted(allowed)) or "(none is offered)"
        raise AnswerError(
            f"An ensemble needs at least two of the attempts {offer}; or answer with edits."
        )
    return members


def parse_repeat(name: str, brief: StepBrief) -> str:
    """Return the id of an attempt that may be measured again. Raises AnswerError."""
    found = _allowed_names([name], set(brief.repeatable))
    if not found:
        offer = ", ".join(brief.repeatable) or "(none)"
        raise AnswerError(f"`remeasure` names none of {offer}. Answer with edits instead.")
    return found[0]


def parse_script_requests(names: Sequence[str], brief: StepBrief) -> list[str]:
    """Return the ids of attempts whose scripts the next brief shall quote. Raises AnswerError."""
    if not brief.may_ask:
        raise AnswerError(
            "No further scripts can be shown now."
            " Answer with edits of the script, or with the whole new script."
        )
    known = {fact.attempt for fact in [*brief.history, *brief.others, *brief.members]}
    known |= {name for claim in brief.ledger.claims for name in claim.attempts}
    known |= {hint.attempt for hint in brief.hints if hint.attempt}
    quoted = {quote.attempt for quote in brief.quotes if quote.what == "script"}
    attempts = _allowed_names(names, known - quoted)
    if not attempts:
        raise AnswerError(
            "`take_from` names no attempt that can be shown;"
            f" known are {', '.join(sorted(known)[:30])}. Answer with edits instead."
        )
    return attempts[:N_SCRIPTS]


def _allowed_names(names: Sequence[str], allowed: set[str]) -> list[str]:
    stripped = [name.strip() for name in names]
    return list(dict.fromkeys(name for name in stripped if name in allowed))


def solution_from_repair(answer: RepairAnswer, brief: RepairBrief) -> Solution:
    """Return the repaired script with cause and fix. Raises AnswerError.

    After a rehearsal an answer may stand by the script, which then runs on all rows. An appeal
    against the held-back rows stands by it too.
    """
    if isinstance(answer, AppealAnswer) and answer.appeal and not answer.edits:
        return solution_from_appeal(answer, brief)
    given = strip_lines(answer.script)
    is_kept = not answer.edits and given in ([], strip_lines(brief.script))
    script = brief.script
    if not (brief.rehearsal and is_kept):
        script = edit_script(
            brief.script, answer.edits, answer.script, script_python(brief.resources)
        )
    return Solution(
        script=script,
        summary=single_line(answer.summary or answer.fix or "a repaired script", 160),
        hypothesis=brief.hypothesis,
        cause=single_line(answer.cause, 300),
        fix=single_line(answer.fix, 300),
    )


def solution_from_appeal(answer: AppealAnswer, brief: RepairBrief) -> Solution:
    """Return the script as it is, with what the held-back rows lack that are left out.

    Raises AnswerError.
    """
    known = {lack.name.casefold(): lack.name for lack in brief.lacks}
    given = [name.strip(" `'\"").casefold() for name in answer.appeal[:MAX_APPEALED]]
    names = list(dict.fromkeys(known[name] for name in given if name in known))
    if not names:
        raise AnswerError(
            f"`appeal` may name only what is listed: {', '.join(known.values())}."
            " Name it, or repair the script."
        )
    if not answer.cause.strip():
        raise AnswerError("An appeal needs its argument in `cause`.")
    return Solution(
        script=brief.script,
        summary=single_line(answer.summary or "the same script", 160),
        hypothesis=brief.hypothesis,
        cause=single_line(answer.cause, 300),
        fix=f"an appeal: judge without rows that lack {', '.join(names)}",
        appeal=names,
    )


def edit_script(
    script: str, edits: Sequence[EditAnswer], full: str, python: ScriptPython = OWN
) -> str:
    """Return the new script, checked: the edited one, else the whole file of the answer.

    The whole file `full` serves where there are no edits or they do not apply. Raises AnswerError.
    """
    if not edits and not full.strip():
        raise AnswerError(
            "The answer changes nothing:"
            " give `edits` of the script, or the whole new file in `script`."
        )
    new = unwrap_script(full, python)
    if edits:
        try:
            new = apply_edits(script, [Edit(edit.search, edit.replace) for edit in edits])
        except EditError as error:
            if not full.strip() or check_script(new, python):
                text = f"The edits do not apply, so nothing was changed.\n\n{error}"
                raise AnswerError(text) from error
    if problem := check_script(new, python):
        raise AnswerError(problem)
    if strip_lines(new) == strip_lines(script):
        raise AnswerError("The new script is the old one, letter for letter. Make the change.")
    if python and same_code(new, script):
        raise AnswerError(
            "The new script is the old one but for comments or layout. Make the change."
        )
    return new


def strip_lines(text: str) -> list[str]:
    """Return the lines without blanks at their ends and without empty ones."""
    lines = (line.rstrip() for line in normalize_line_ends(text).split("\n"))
    return [line for line in lines if line]


def unwrap_script(text: str, python: ScriptPython) -> str:
    """Return the script of a field into which a model may have put fences or prose."""
    text = normalize_line_ends(text)
    has_fence = "```" in text or "~~~" in text
    if has_fence and (text.lstrip().startswith(("```", "~~~")) or check_script(text, python)):
        return extract_code(text, python) or text
    return text if text.endswith("\n") else text + "\n"
