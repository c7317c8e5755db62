"""The sections of a prompt, each within its budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from itertools import islice, takewhile
from typing import Any, Literal

from reasoner.chat.prompt.numbered_facts import column_items, effect_text, fact_line
from reasoner.chat.prompt.text import (
    duration_text,
    fence_data,
    fence_script,
    n_tokens,
    number_text,
    se_text,
    single_line,
    size_text,
)
from reasoner.protocol import (
    Brief,
    Crossover,
    DiagnoseBrief,
    Diagnosis,
    DraftBrief,
    Fact,
    Hypothesis,
    Ledger,
    ProbeFinding,
    Quote,
    RecipeCard,
    RepairBrief,
    Resources,
    Stage,
    TaskBrief,
    UpdateBrief,
)

SECTION_TOKENS = {
    "description": 5000,
    "preview": 1200,
    "facts": 900,
    "columns": 2200,
    "ledger": 700,
    "known": 300,
    "attempts": 600,
    "said": 500,
    "probe": 700,
    "siblings": 400,
    "calibration": 300,
    "script": 10_000,
    "log": 900,
    "evidence": 2000,
    "last": 500,
    "diff": 700,
    "diagnosis": 1200,
    "hypotheses": 1500,
    "hints": 700,
    "recipes": 1500,
    "quote": 3000,
    "quotes": 6000,
    "partner": 6000,
    "lacks": 800,
    "members": 80,
    "problems": 600,
    "error": 900,
    "earlier": 500,
    "listing": 1500,
    "heads": 2500,
    "rows": 900,
}
"""Estimated tokens of each section; their sum bounds the whole prompt."""
MIN_SECTION_TOKENS = 60
MIN_QUOTE_TOKENS = 200
BUDGET_SHARE: ContextVar[float] = ContextVar("share", default=1.0)
"""Share of every budget in use, for models with a short context window."""
N_STUCK = 3  # attempts without success from which a change of approach is asked for


def section_budget(section: str) -> int:
    """Return the tokens of a section at the current share."""
    return max(MIN_SECTION_TOKENS, int(SECTION_TOKENS[section] * BUDGET_SHARE.get()))


def cut_to_budget(
    lines: Sequence[str], section: str, *, keep: Literal["start", "end"] = "start"
) -> str:
    """Return as many lines as fit the budget, as a list, and how many are left out."""
    order = list(lines) if keep == "start" else list(lines)[::-1]
    items: list[str] = []
    n_left = section_budget(section)
    for text in order:
        n_left -= n_tokens(text) + 2
        if n_left < 0:
            break
        items.append(f"- {text}")
    n_more = len(order) - len(items)
    if keep == "start":
        return "\n".join([*items, f"- [{n_more} more left out]"] if n_more else items)
    items.reverse()
    return "\n".join([f"- [{n_more} earlier ones left out]", *items] if n_more else items)


# the task


KINDS = {
    "binary": "Binary classification",
    "multiclass": "Classification into several classes",
    "regression": "Regression",
    "text": "Prediction of texts",
}
PREDICTIONS = {
    "probability": " The prediction is a probability (0..1), not a label.",
    "label": " The prediction is a class label as it stands in the training table,"
    " not a probability.",
    "text": " The prediction is a text, compared letter for letter as it is written; an empty one"
    " is a prediction too. Read texts with `keep_default_na=False, dtype=str`.",
}
TEXT_FORMS = {  # by the beginning of the metric's name
    "tags_f1": "A prediction is a set of labels, separated as in the training table.",
    "map@": "A prediction is a list of labels, best first, separated as in the training table.",
    "kendall_tau": "A prediction is an order: all words of the row, separated by blanks.",
    "edit_distance": "A prediction is a sequence of words, separated by blanks.",
    "dice": "A prediction is a mask as run lengths, `start length start length …`, or empty.",
    "fbeta": "A prediction is a mask as run lengths, `start length start length …`, or empty.",
    "iou_masks": "A prediction is a mask as run lengths, `start length start length …`, or empty.",
    "map_of_iou_3d": "A prediction is nine words for each box: confidence x y z width length height"
    " yaw class; the training table has them without the confidence.",
    "map_of_iou": "A prediction is a mask as run lengths, `start length start length …`, or empty.",
    "map_boxes": "A prediction is six words for each box: class confidence xmin ymin xmax ymax.",
    "boxes_f1": "A prediction is three words for each point: label x y; the training table has"
    " label x y width height of boxes, and a point in a box with its label counts.",
}
N_TARGETS, N_OUTPUT_COLUMNS = 20, 40


def task_section(brief: Brief) -> dict[str, str]:
    """Return what the task is: kind, metric, target, columns, sizes, split."""
    task = brief.task
    columns = _quoted_names(task.columns[:N_OUTPUT_COLUMNS])
    if len(task.columns) > N_OUTPUT_COLUMNS:
        columns += f" and {len(task.columns) - N_OUTPUT_COLUMNS} more"
    return {
        "name": single_line(task.name, 80),
        "kind": KINDS.get(task.kind, single_line(task.kind, 40)),
        "metric": single_line(task.metric, 80),
        "better": "higher" if task.direction == "max" else "lower",
        "target": _quoted_names(task.target[:N_TARGETS]),
        "id": _quoted_names([task.id]),
        "columns": columns,
        "prediction": PREDICTIONS.get(task.prediction, "")
        + describe_form(task)
        + describe_soft(task),
        "n_train": f"{task.n_train:,}",
        "n_test": f"{task.n_test:,}",
        "split": describe_split(task.split),
    }


def describe_form(task: TaskBrief) -> str:
    """Say what the prediction columns mean, where their names alone do not."""
    parts = []
    pairs = [(name, said["label"] or said["target"]) for name, said in task.form.items()]
    is_single = len(pairs) == 1
    if is_single and task.positive and task.prediction == "probability":
        parts.append(f"It is that of the class `{single_line(task.positive, 60)}`.")
    elif not is_single and any(name != meaning for name, meaning in pairs):
        shown = ", ".join(
            f"`{single_line(name, 60)}` = {single_line(meaning, 60)}"
            for name, meaning in pairs[:N_OUTPUT_COLUMNS]
        )
        parts.append(f"The columns mean: {shown}.")
    if task.prediction == "ranking":
        n_guesses = single_line(task.metric.rpartition("@")[2], 4)
        parts.append(f"A prediction is {n_guesses} classes, best first, separated by blanks.")
    if task.prediction == "text":
        forms = (text for start, text in TEXT_FORMS.items() if task.metric.startswith(start))
        parts += list(islice(forms, 1))
    if task.bounds:
        low, high = (single_line("" if edge is None else f"{edge:g}", 20) for edge in task.bounds)
        parts.append(f"The harness clips values to {low}..{high}.")
    return "".join(f" {part}" for part in parts)


SOFT_FORMS = {
    "classes": "probabilities instead, with the columns {columns}",
    "positive": "the probability of `{second}` instead, in the same column",
    "values": "values between the labels instead, in the same columns",
}


def describe_soft(task: TaskBrief) -> str:
    """Say what may be written in place of labels, and why it should be."""
    form = SOFT_FORMS.get(str(task.soft.get("layout", "")))
    if form is None:
        return ""
    columns = _quoted_names(task.soft["columns"][:N_OUTPUT_COLUMNS])
    second = single_line(task.soft.get("second", ""), 60)
    what = form.format(columns=columns, second=second)
    loss = single_line(task.soft.get("loss", ""), 40)
    return (
        f" Better write {what}, in both files: the harness makes the best labels of them and judges"
        f" by {loss}, which sees smaller gains. Do not tune thresholds."
    )


def _quoted_names(names: Sequence[str]) -> str:
    return ", ".join(f"`{single_line(name, 60)}`" for name in names)


def describe_split(split: dict[str, Any]) -> str:
    """Return number and kind of the folds."""
    kind, column = str(split.get("kind")), single_line(split.get("column") or "", 60)
    kinds = {
        "stratified": "stratified by the target",
        "random": "at random",
        "group": f"whole groups of `{column}` together",
        "time": f"blocks in the order of `{column}`; train on earlier ones only",
        "file": "given by the task",
    }
    return f"{split.get('n_folds', 5)}, {kinds.get(kind, single_line(kind, 40))}"


def columns_section(profile: dict[str, Any]) -> str:
    """Return the strongest columns, and a summary where there are more."""
    items = column_items(profile)
    n_columns = max(int(profile.get("n_columns", 0)), len(profile.get("columns", [])))
    text = cut_to_budget([f"{item.id} {item.text}" for item in items], "columns")
    n_more = n_columns - len(items)
    return f"{text}\n- [{n_more} further columns: {kinds_of(profile)}]" if n_more > 0 else text


def kinds_of(profile: dict[str, Any]) -> str:
    """Return the number of columns of each kind, with first and last name."""
    by_kind: dict[str, list[str]] = {}
    for item in profile.get("columns", []):
        by_kind.setdefault(str(item["kind"]), []).append(single_line(item["name"], 40))
    return "in all " + ", ".join(
        f"{len(names)} {kind} (`{names[0]}` … `{names[-1]}`)" for kind, names in by_kind.items()
    )


def resources_section(resources: Resources) -> dict[str, str]:
    """Return the limits of a script and what it finds."""
    gpus = ", ".join(single_line(name, 60) for name in resources.gpus[:8])
    packages = ", ".join(
        f"{single_line(name, 40)} {single_line(version, 20)}"
        for name, version in list(resources.packages.items())[:80]
    )
    return {
        "wall": duration_text(resources.wall_s),
        "on_cores": f" on {plural(resources.cpus, 'core')}",
        "memory": size_text(resources.memory_bytes),
        "gpus": f"GPUs: {gpus}" if resources.gpus else "No GPU",
        "python": f"Python {single_line(resources.python, 20)}. " if resources.python else "",
        "packages": packages or "nothing is known to be",
    }


# the state of the run


GOALS = {
    "draft": "There is no valid script yet: a correct one comes first.",
    "improve": "Improve the best by changes that can be measured beyond noise.",
    "ensemble": "The budget nears its end. Prefer what combines proven parts (blends of different"
    " models, averaging over seeds, more rows or iterations) over new and risky ideas.",
}


LINE_GOAL = (
    "Begin another line: a correct and cheap script of another kind. What can become of it counts"
    " more than its first score."
)


def stage_section(brief: Brief) -> dict[str, str]:
    """Return the position in the budget, the best score, and the goal of the phase."""
    stage = brief.stage
    where = f"Trace {stage.trace} of {stage.n_traces}, step {stage.step}."
    if stage.best is not None and number_text(stage.best) != evidence_score(brief):
        score = f"{number_text(stage.best)} ± {se_text(stage.best_se)} SE"
        where += f" The trace's best scores {score}."
    if stage.leader and stage.leader_score is not None:
        score = f"{number_text(stage.leader_score)} ± {se_text(stage.leader_se)} SE"
        where += f" The run's best, {single_line(stage.leader, 80)}, scores {score}."
    if stage.beside:
        names = " and ".join(f"trace {trace}" for trace in stage.beside)
        where += f" The same solution is the start of {names} too: take another direction."
    is_line = isinstance(brief, DraftBrief) and stage.best is not None
    goal = LINE_GOAL if is_line else GOALS[stage.phase]
    return {"where": where, "goal": goal, "left": budget_left(stage)}


def evidence_score(brief: Brief) -> str:
    """Return the score that the evidence of a brief tells."""
    evidence = brief.evidence if isinstance(brief, DiagnoseBrief | UpdateBrief) else {}
    return number_text((evidence.get("cv") or {}).get("mean"))


def budget_left(stage: Stage) -> str:
    """Return what is left to the trace and to the run, as it is counted."""
    parts = []
    if stage.steps_left is not None:
        parts.append(f"{plural(stage.steps_left, 'step')} of this trace, this one included")
    if stage.time_left_s is not None:
        parts.append(f"{duration_text(stage.time_left_s)} of the run")
    if stage.executions_left is not None:
        kept = f"; {stage.executions_reserved} more are kept for the finale"
        counted = f"repairs and second seeds count{kept if stage.executions_reserved else ''}"
        parts.append(f"{plural(stage.executions_left, 'execution')} of the run ({counted})")
    if stage.tokens_left is not None:
        parts.append(f"{stage.tokens_left:,} tokens of the run")
    if stage.usd_left is not None:
        parts.append(f"${stage.usd_left:.2f} of the run")
    if stage.repairs:
        parts.append(f"{plural(stage.repairs, 'repair')} of a script that fails")
    return f"Left ({stage.used:.0%} is used): {', '.join(parts)}." if parts else ""


def plural(n: int, word: str) -> str:
    """Return a count with its word."""
    return f"{n:,} {word}{'s' if n != 1 else ''}"


def hint_lines(brief: Brief) -> list[str]:
    """Return a person's hints, each with the id of its claim in the ledger."""
    ids = {claim.claim: claim.id for claim in brief.ledger.claims if claim.source == "person"}
    known = {text: ids.get(single_line(text, 480)) for text in brief.said}
    return [f"{name}: {text}" if (name := known[text]) else text for text in brief.said]


def stuck_section(brief: Brief) -> str:
    """Ask for another approach after N_STUCK attempts without success."""
    latest = takewhile(lambda fact: not fact.led, reversed(brief.history))
    unsuccessful = list(latest)[::-1]
    if len(unsuccessful) < N_STUCK:
        return ""
    components = ", ".join(dict.fromkeys(fact.component or "draft" for fact in unsuccessful))
    return (
        f"The last {len(unsuccessful)} attempts ({components}) all failed to beat the best."
        " More variations of them will not either: change the approach (another model family,"
        " representation of the data, target or loss), or a component not among them."
    )


# the gradient


ATTENTION = {
    3: "Little has been measured yet. Reason mainly from the task and its data: what would a"
    " specialist of this domain and metric do that this script does not?",
    2: "Reason from the task and its data first, then check it against what has been measured.",
    1: "Reason from the evidence and the ledger first; return to the task and its data for what"
    " they leave open.",
    0: "Much has been measured. Reason from the evidence and the ledger alone; general advice that"
    " they do not support is worth nothing now.",
}


def attention_section(scenario: int) -> str:
    """Return where to look: it moves from the problem to the evidence as the trace matures."""
    return ATTENTION[scenario]


def diagnosis_section(diagnosis: Diagnosis) -> str:
    """Return observations with their citations, and causes."""
    lines = []
    for item in diagnosis.observations[:8]:
        cites = f" [{', '.join(item.cites[:6])}]" if item.cites else ""
        lines.append(f"{single_line(item.text, 300)}{cites}")
    lines += [f"cause: {single_line(text, 300)}" for text in diagnosis.causes[:5]]
    return cut_to_budget(lines, "diagnosis") or "- none given"


def hypothesis_line(hypothesis: Hypothesis) -> str:
    """Return a hypothesis on one line: prediction, statement, challenge, plan, refutation."""
    effect = effect_text(hypothesis.effect)
    prediction = f"{effect}, {hypothesis.confidence:.0%} sure, cost {hypothesis.cost}"
    title = f"**{single_line(hypothesis.id, 40)}** ({hypothesis.component}; {prediction})"
    parts = [f"{title}: {single_line(hypothesis.statement, 400)}"]
    if hypothesis.challenge:
        parts.append(f"against: {single_line(hypothesis.challenge, 300)}")
    if hypothesis.plan:
        parts.append(f"plan: {single_line(hypothesis.plan, 700)}")
    if hypothesis.refuted_by:
        parts.append(f"refuted by: {single_line(hypothesis.refuted_by, 200)}")
    return " | ".join(parts)


def quote_sections(quotes: Sequence[Quote]) -> list[dict[str, str]]:
    """Return scripts and changes word for word, each with a title, as long as there is room."""
    sections: list[dict[str, str]] = []
    n_left, n_each = section_budget("quotes"), section_budget("quote")
    for quote in quotes:
        is_script = quote.what == "script"
        room = min(n_each * 2 if is_script else n_each // 4, n_left)
        if room < MIN_QUOTE_TOKENS:
            break
        text = fence_script(quote.text, room) if is_script else fence_data(quote.text, room, "diff")
        n_left -= n_tokens(text)
        sections.append({"title": _quote_title(quote), "text": text})
    return sections


def _quote_title(quote: Quote) -> str:
    what = "The script" if quote.what == "script" else "The change"
    source = f"attempt {single_line(quote.attempt, 20)}" if quote.attempt else "another run"
    reason = f": {single_line(quote.why, 240)}" if quote.why else ""
    return f"{what} of {source}{reason}"


def recipes_section(recipes: Sequence[RecipeCard]) -> str:
    """Return the recipes, best first, as many as fit; a fragment only where it fits whole."""
    n_left = section_budget("recipes")
    parts = []
    for number, card in enumerate(recipes, 1):
        known = card.evidence or "UNTESTED"
        title = f"F{number} {single_line(card.title, 100)} ({single_line(known, 160)})"
        text = f"{title}: {single_line(card.what, 500)}"
        if card.pitfalls:
            text += f" Pitfalls: {single_line(card.pitfalls, 260)}"
        if n_tokens(text) > n_left:
            break
        n_left -= n_tokens(text)
        parts.append(f"- {text}")
        if card.code and n_tokens(card.code) + 10 <= n_left:
            code = fence_data(card.code, n_tokens(card.code) + 10, "python")
            n_left -= n_tokens(code)
            parts.append(code)
    return "\n".join(parts)


def members_title(brief: DiagnoseBrief | UpdateBrief) -> str:
    """Return what may be done with the attempts that are listed."""
    uses = ["be blended"] * bool(brief.members) + ["be read by a script"] * bool(brief.sources)
    return f"Attempts that can {' and '.join(uses)}, with their scores"


def members_section(brief: DiagnoseBrief | UpdateBrief) -> str:
    """Return the attempts that an answer may name; what the evidence describes by id alone."""
    facts = {fact.attempt: fact for fact in [*brief.members, *brief.sources]}
    related = brief.evidence.get("relations") or {}
    readable = {fact.attempt for fact in brief.sources}
    known = [name for name, fact in facts.items() if name in related and not fact.kept]
    others = [member_line(fact) for name, fact in facts.items() if name not in known]
    names = ", ".join(single_line(name, 20) for name in known)
    lines = [*([f"{names}: see the evidence"] if names else []), *others]
    if readable and (unread := [name for name in facts if name not in readable]):
        lines.append(f"not to be read: {', '.join(single_line(name, 20) for name in unread)}")
    return cut_to_budget(lines, "members")


def repeatable_text(repeatable: Mapping[str, int]) -> str:
    """Return the attempts that may be measured again, with the seeds that they ran under."""
    return ", ".join(
        single_line(name, 20) + (f" ({n} seeds so far)" if n > 1 else "")
        for name, n in list(repeatable.items())[:6]
    )


def member_line(fact: Fact) -> str:
    """Return an attempt that an answer may name, with its seconds and what it kept."""
    summary = single_line(fact.summary or fact.hypothesis, 60)
    seconds = f", {duration_text(fact.seconds)}" if fact.seconds else ""
    kept = f" | keep/: {single_line(', '.join(fact.kept), 120)}" if fact.kept else ""
    return f"{single_line(fact.attempt, 20)} {number_text(fact.score)}{seconds}: {summary}{kept}"


def crossover_section(crossover: Crossover | None) -> dict[str, str] | None:
    """Return what a stuck trace may take from another."""
    if crossover is None:
        return None
    partner = crossover.partner
    lacks = cut_to_budget([fact_line(fact) for fact in crossover.lacks], "lacks")
    return {
        "lacks": lacks or "- nothing is listed; compare the two scripts",
        "partner": fence_script(partner, section_budget("partner")) if partner.strip() else "",
        "summary": single_line(crossover.summary, 200),
    }


# failures


def error_section(evidence: dict[str, Any]) -> str:
    """Return how a script ended, with the end of its traceback."""
    error = evidence.get("error")
    if not isinstance(error, dict):
        return ""
    where = f", line {number_text(error['line'])} of the script" if error.get("line") else ""
    end = f"`{single_line(error.get('end'), 40)}` (exit code {number_text(error.get('exit_code'))})"
    head = f"It ended by {end}: {single_line(error.get('type'), 80)}{where}."
    text = "\n".join(str(error[key]) for key in ("traceback_tail", "message") if error.get(key))
    return f"{head}\n{fence_data(text, section_budget('error'))}" if text.strip() else head


def limit_hit(brief: RepairBrief) -> Literal["timeout", "memory", ""]:
    """Return the limit that ended the script, or "" if it was none."""
    end = str((brief.evidence.get("error") or {}).get("end", ""))
    text = " ".join(brief.problems).lower()
    if end == "timeout" or "time limit" in text:
        return "timeout"
    is_memory = end == "memory" or "memory limit" in text or "memoryerror" in text
    return "memory" if is_memory else ""


def probes_section(probes: Sequence[ProbeFinding], ledger: Ledger) -> str:
    """Return the looks at the data: claim, question and output, each between fences of its own."""
    budget = section_budget("probe")
    ids = {claim.claim: claim.id for claim in ledger.claims if claim.source == "probe"}
    parts = []
    for probe in probes:
        name = ids.get(single_line(probe.question, 240), "")
        question = f"{name} {single_line(probe.question, 300)}".strip()
        parts.append(f"- {question}\n{fence_data(probe.output, budget)}")
    return "\n".join(parts)
